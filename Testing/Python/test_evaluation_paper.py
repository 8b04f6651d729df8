"""The paper's figures from masks whose answer is known, and its printed figures from one another."""

from __future__ import annotations

import numpy as np
import pytest
from evaluate_cases import PARTS, judged

from CSpineSegLib import jobs, volume
from CSpineSegLib.evaluation import compare, published, summary
from CSpineSegLib.evaluation.metrics import zhou2025

AFFINE = np.array([[0, 0, -4.0, 0], [-1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
# What a printed figure of three decimals can hide, and the last digit of what is computed from floats.
PRINTED = published.ROUNDING + 1e-9
# Slice-wise Dice of bodies and discs of three exams, chosen so that mean, SD and median are those of the 2D model.
BODIES, DISCS = (0.8586, 0.9510, 0.9744), (0.8374, 0.9160, 0.9496)
WHOLE = 5000


def overlapping(shared: int, size: int, rows: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Two flat masks of `size` voxels that have `shared` in common, (rows, columns) bool."""
    columns = -(-2 * size // rows)
    places = np.arange(rows * columns).reshape(rows, columns)
    return places < size, (places < shared) | ((places >= size) & (places < 2 * size - shared))


def exam(bodies: float, discs: float) -> tuple[np.ndarray, np.ndarray]:
    """Two slices, of which one is empty, so that the paper's Dice is the mean of 1 and of the volumetric one."""
    sides = np.zeros((2, 100, 200, 2), np.uint8)
    for label, dice in ((1, bodies), (2, discs)):
        shared = round((2 * dice - 1) * WHOLE)
        for side, flat in zip(sides, overlapping(shared, WHOLE), strict=True):
            side[:, (label - 1) * 100 : label * 100, 0][flat] = label
    return sides[0], sides[1]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    root = tmp_path_factory.mktemp("paper")
    for number, pair in enumerate(zip(BODIES, DISCS, strict=True)):
        for side, labels in zip(("references", "predictions"), exam(*pair), strict=True):
            volume.write(volume.from_array(labels, AFFINE), root / side / f"case_{number}.nii.gz")
    return jobs.evaluate(root / "predictions", root / "references", output=root / "results", jobs=0, pictures=0)


def test_a_row_of_the_papers_table_comes_out_of_masks_made_for_it(found):
    rows = summary.by_convention(found, published=True).set_index("structure")
    model = published.MODELS[0]
    for key in ("bodies", "discs"):
        printed = getattr(model, key)
        for name in ("mean", "sd", "median"):
            assert rows.loc[key, f"{name}_paper"] == pytest.approx(getattr(printed, name), abs=PRINTED)
    assert rows.loc["macro", "mean_paper"] == pytest.approx(model.macro, abs=PRINTED + published.ROUNDING)
    assert rows.loc["macro", "sd_paper"] == pytest.approx((0.928 - 0.901) / 2, abs=2 * PRINTED)
    assert rows.loc["bodies", f"published {model.name}"] == 0.928


def test_the_same_masks_have_their_own_dice_by_volume(found):
    rows = summary.by_convention(found).set_index("structure")
    for key, wanted in (("bodies", BODIES), ("discs", DISCS)):
        by_volume = [2 * dice - 1 for dice in wanted]
        # One voxel of 5000, by which the masks are rounded.
        assert found.values("dice", key).to_list() == pytest.approx(by_volume, abs=1 / WHOLE)
        assert rows.loc[key, "mean_volume"] == pytest.approx(np.mean(by_volume), abs=1 / WHOLE)
        assert rows.loc[key, "difference"] == pytest.approx(1 - np.mean(wanted), abs=1 / WHOLE)
        assert rows.loc[key, "sd_volume"] == pytest.approx(2 * np.std(wanted, ddof=1), abs=1 / WHOLE)


def test_the_summary_is_that_of_the_metric_engine(found):
    masks = [[volume.from_array(side, AFFINE) for side in exam(*pair)] for pair in zip(BODIES, DISCS, strict=True)]
    wanted = zhou2025.summarise([compare(*pair, convention="zhou2025") for pair in masks])
    rows = summary.by_convention(found).set_index("structure")
    for key in ("bodies", "discs"):
        for name in ("mean", "sd", "median"):
            assert rows.loc[key, f"{name}_paper"] == pytest.approx(wanted[key][name], abs=1e-12)
    for name in ("mean", "sd"):
        assert rows.loc["macro", f"{name}_paper"] == pytest.approx(wanted["macro"][name], abs=1e-12)


@pytest.mark.parametrize("model", published.MODELS, ids=lambda model: model.name)
def test_a_printed_macro_is_the_mean_of_the_two_printed_means(model):
    assert model.macro_of_means() == pytest.approx(model.macro, abs=PRINTED)


def test_the_spread_of_macro_is_that_of_the_two_means_and_not_over_exams(found):
    for model in published.MODELS:
        assert model.macro_sd() == pytest.approx(np.std([model.bodies.mean, model.discs.mean]))
        assert model.macro_sd() < min(model.bodies.sd, model.discs.sd) / 3
    assert published.MODELS[0].macro_sd() == pytest.approx(0.0135)
    over_exams = found.values("dice", "macro", "zhou2025").std(ddof=0)
    assert over_exams > 3 * summary.by_convention(found).set_index("structure").loc["macro", "sd_paper"]


def test_means_lie_below_medians_as_a_few_bad_exams_pull_them_down():
    for model in published.MODELS:
        for part in (model.bodies, model.discs):
            assert part.mean < part.median < 1
            # |mean - median| <= SD for every distribution.
            assert part.median - part.mean <= part.sd


def test_the_exams_of_the_levels_are_those_that_were_not_left_out():
    assert published.EXAMS - published.LEFT_OUT == published.LEVEL_EXAMS


def test_the_test_set_lies_within_the_folds_of_the_same_model():
    for key in ("bodies", "discs"):
        low, high = published.FOLDS[key]
        assert low <= getattr(published.MODELS[0], key).mean <= high


def slices(*pairs: tuple[int, int], empty: int) -> tuple[np.ndarray, np.ndarray]:
    """A slice for each (shared, size), and empty ones behind them."""
    sides = np.zeros((2, 60, 100, len(pairs) + empty), np.uint8)
    for place, (shared, size) in enumerate(pairs):
        for side, flat in zip(sides, overlapping(shared, size, 60), strict=True):
            side[:, : flat.shape[1], place][flat] = 1
    return sides[0], sides[1]


def test_a_volumetric_853_is_941_by_the_paper_and_one_stray_voxel_makes_it_879():
    # Six slices with a Dice of .875, a larger one with .806, nine empty ones: 16 in all.
    reference, candidate = slices(*[(875, 1000)] * 6, (2257, 2800), empty=9)
    assert dices(reference, candidate) == pytest.approx((0.853, 0.941), abs=PRINTED)
    candidate[0, 0, 15] = 1
    by_volume, by_paper = dices(reference, candidate)
    assert by_paper == pytest.approx(0.879, abs=PRINTED)
    assert by_volume == pytest.approx(0.853, abs=PRINTED)
    assert pytest.approx(0.879, abs=PRINTED) == 0.941 - 1 / 16, "the printed figures fit one slice of sixteen"


def dices(reference: np.ndarray, candidate: np.ndarray) -> tuple[float, float]:
    masks = volume.from_array(reference, AFFINE), volume.from_array(candidate, AFFINE)
    paper = compare(*masks, convention="zhou2025")
    return compare(*masks)["bodies"]["dice"], paper["bodies"]["dice"]


def discs(count: int) -> np.ndarray:
    """So many discs in the middle of three slices; the second axis grows towards the head."""
    found = np.zeros((12, 60, 3), np.uint8)
    for place in range(count):
        found[3:9, 4 + 7 * place : 6 + 7 * place, 1] = 2
    return found


@pytest.mark.parametrize(
    ("reference", "candidate", "counted"), [(6, 6, True), (7, 6, True), (5, 6, False), (6, 5, False)]
)
def test_an_exam_counts_by_level_only_with_six_discs_in_both_masks(tmp_path, reference, candidate, counted):
    for side, count in (("reference", reference), ("candidate", candidate)):
        volume.write(volume.from_array(discs(count), AFFINE), tmp_path / side / "case_SEG.nii.gz")
    found = jobs.evaluate(tmp_path / "candidate", tmp_path / "reference", output=tmp_path / "out", jobs=0, pictures=0)
    rows = found.table[(found.table["kind"] == "zhou2025") & found.table["structure"].str.contains("-")]
    assert len(rows) == 6 and rows["value"].notna().all() == counted
    if not counted:
        assert rows["note"].str.startswith("fewer than six discs").all()
    elif reference == 7:
        # The seventh stands highest, so every disc is compared with the one above it: nothing in common.
        assert rows["value"].to_list() == [0.0] * 6


def test_folds_are_printed_one_by_one_and_pooled(tmp_path):
    exams = {f"e{number}": ((PARTS, True), (PARTS if number else PARTS[1:], True)) for number in range(4)}
    found = judged(tmp_path, exams, fold=[0, 0, 1, 1])
    rows = summary.by_fold(found).set_index("fold")
    dice = found.values("dice", "bodies", "zhou2025")
    assert list(rows.index) == ["0", "1", "all"] and rows["exams"].to_list() == [2, 2, 4]
    assert rows.loc["0", "bodies_paper"] == pytest.approx(dice[["e0", "e1"]].mean())
    assert rows.loc["1", "bodies_paper"] == 1.0 and rows.loc["all", "bodies_paper"] == pytest.approx(dice.mean())
    said = summary.section(found).sentences
    assert any(
        f"Over 2 folds, by the paper's convention, bodies have {dice[['e0', 'e1']].mean():.3f} to 1.000" in one
        for one in said
    )
    assert summary.by_fold(judged(tmp_path / "without", exams)).empty
