"""Validation measures what it says: the truth goes along with what is done to an exam, and figures can be redone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from training_cases import tiny_bundle, tiny_exam

from CSpineSegLib import model, volume
from CSpineSegLib.errors import InputError
from CSpineSegLib.training import exams, reporting, trials, validation

torch = pytest.importorskip("torch", reason="the model room needs torch")


@pytest.fixture(scope="module")
def exam() -> exams.Exam:
    return tiny_exam("t2", 0)


def contrast(exam: exams.Exam) -> float:
    """Mean intensity of the bodies over that of the discs: near one if the truth lay elsewhere than the spine."""
    image, mask = exam.image.array, exam.mask.array
    return float(image[mask == 1].mean() / image[mask == 2].mean())


SAME_CONTRAST = [name for name in trials.CHANGES if name not in ("inverted", "gamma 0.6", "gamma 1.6")]


@pytest.mark.parametrize("name", SAME_CONTRAST)
def test_the_truth_goes_along_with_what_is_done_to_an_exam(exam, name):
    changed = trials.CHANGES[name](exam)
    assert changed.image.shape == changed.mask.shape == changed.spared.shape
    for part in (changed.mask, changed.spared):
        np.testing.assert_allclose(part.affine, changed.image.affine)
    if name == "noise":
        np.testing.assert_array_equal(changed.mask.array, exam.mask.array)
    else:
        assert contrast(changed) == pytest.approx(contrast(exam), rel=0.25)
    assert not np.array_equal(changed.image.array, exam.image.array) or not np.array_equal(
        changed.image.affine, exam.image.affine
    )


def test_mirroring_exchanges_left_and_right_and_nothing_else(exam):
    changed = trials.CHANGES["mirrored"](exam)
    np.testing.assert_array_equal(changed.mask.array, exam.mask.array[..., ::-1])
    np.testing.assert_array_equal(changed.image.affine, exam.image.affine)


def test_a_larger_person_has_larger_voxels_in_the_sagittal_plane_alone(exam):
    spacing = trials.CHANGES["larger"](exam).image.spacing / exam.image.spacing
    np.testing.assert_allclose(spacing, [1.18, 1.18, 1.0])


def test_a_nod_turns_the_spine_by_twelve_degrees(exam):
    def slope(one: exams.Exam) -> float:
        """Angle of the line through the bodies on the array's own axes, degrees."""
        points = np.argwhere(one.mask.array == 1)[:, :2] * one.mask.spacing[:2]
        return float(np.rad2deg(np.arctan(np.polyfit(points[:, 1], points[:, 0], 1)[0])))

    turns = [slope(trials.CHANGES[name](exam)) - slope(exam) for name in ("rotated forwards", "rotated backwards")]
    assert sorted(np.sign(turns)) == [-1, 1]
    np.testing.assert_allclose(np.abs(turns), 12, atol=3)


def test_inversion_turns_dark_to_bright_and_gamma_keeps_the_order(exam):
    inverted = trials.CHANGES["inverted"](exam)
    assert np.corrcoef(inverted.image.array.ravel(), exam.image.array.ravel())[0, 1] < -0.95
    for name in ("gamma 0.6", "gamma 1.6"):
        assert np.corrcoef(trials.CHANGES[name](exam).image.array.ravel(), exam.image.array.ravel())[0, 1] > 0.8


def test_four_thin_slices_make_a_thick_one_in_their_middle():
    array = np.zeros((8, 3, 3), np.uint8)
    array[0:3, 1, 1], array[4:5, 1, 1] = 1, 1
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = 10, 20, 30
    thin = volume.from_array(array, affine)
    for codes in ("RAS", "LAS"):
        source = volume.reorient(thin, codes)
        thick, mean = trials.thickened(source, mean=False), trials.thickened(source, mean=True)
        assert (thick.orientation, thick.shape) == ("PSR", (3, 3, 2))
        np.testing.assert_array_equal(thick.array[1, 1], [1, 0])
        np.testing.assert_allclose(mean.array[1, 1], [0.75, 0.25])
        np.testing.assert_allclose(volume.reorient(thick, "RAS").affine[:3, 3], [11.5, 20, 30])
        np.testing.assert_allclose(thick.spacing, [2, 3, 4])


def test_parts_and_specks_of_a_mask_are_counted():
    labels = np.zeros((60, 80, 7), np.uint8)
    for index in range(4):
        labels[20:35, 5 + 18 * index : 17 + 18 * index, 1:6] = 1
        labels[20:35, 17 + 18 * index : 20 + 18 * index, 1:6] = 2
    labels[35:37, 0:2, 3] = 1
    mask = volume.from_array(labels, np.array([[0, 0, 4, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]))
    found = trials.counted_parts(mask)
    assert (found["bodies"], found["discs"]) == ([4, 4, 4], [4, 4, 4])
    # 3 mm between a disc and the next body hold the four pairs apart; the speck has 16 mm3.
    assert (found["parts"], found["specks"]) == (5, 1)


# --- the whole ---


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> model.Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory, bundle):
    """A report of a small network on one exam of each kind, and where it lies."""
    folder = tmp_path_factory.mktemp("validation")
    for kind in ("t2", "beyond"):
        exams.save(folder / "exams", tiny_exam(kind, 0, shape=(56, 64, 6), spacing=(3.0, 3.0, 4.0)))
    exams.save(folder / "exams", tiny_exam("isotropic", 0, shape=(24, 48, 60), spacing=(2.0, 3.0, 3.0), codes="RAS"))
    scan = folder / "scan.nii.gz"
    volume.write(tiny_exam("t2", 1, shape=(56, 64, 6), spacing=(3.0, 3.0, 4.0)).image, scan)
    (folder / "negatives").mkdir()
    blank = np.random.default_rng(0).normal(200, 40, (40, 40, 8)).astype(np.int16)
    volume.write(volume.from_array(blank, np.diag([3.0, 3.0, 4.0, 1.0])), folder / "negatives" / "noise.nii.gz")
    command = [str(bundle.folder), "--out", str(folder / "report.json"), "--exams-folder", str(folder / "exams")]
    command += ["--into-bundle", "--share", "0.05", "--negatives", str(folder / "negatives"), "--scans", str(scan)]
    command += ["--only", "t2", "beyond", "changed", "turned", "thick", "spoilt", "negatives", "scans"]
    assert validation.main(command) == 0
    return folder, command, json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_a_validation_runs_from_end_to_end_and_its_figures_go_into_the_model(measured, bundle):
    folder, _, report = measured
    figures = report["figures"]
    assert figures["held-out phantoms, T2"]["bodies"]["exams"] == 1
    assert set(figures["changed in one way"]) == {"exams", "as they are", *trials.CHANGES}
    assert figures["eight orientations, least agreement"] == {"exams": 1, "bodies": 1.0, "discs": 1.0}
    assert 0 <= figures["1 mm isotropic and 4 mm slices of it"]["agreement"]["bodies"] <= 1
    assert figures["other images refused"]["refused"] == 1
    assert figures["parts found in scan.nii.gz"]["parts"] >= 1
    assert figures["cervical phantoms refused"]["exams"] == 2
    assert figures["cervical phantoms refused, spoilt or changed"]["exams"] == 2 + len(trials.CHANGES)
    assert figures["probabilities"]["exams"] == 2
    table = (folder / "report.md").read_text(encoding="utf-8")
    assert "held-out phantoms, T2 | 1 |" in table and "gamma 0.6" in table
    assert model.load(bundle.folder).metadata["evaluation"] == figures
    assert "gamma 0.6" in (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert len(report["trials"]) == 2 + len(trials.CHANGES) + 1 + 1 + 2 + 1 + 1


def test_a_validation_that_is_started_again_measures_nothing_twice(measured, monkeypatch, capsys):
    folder, command, report = measured
    monkeypatch.setattr(trials, "run", lambda *_: pytest.fail("was measured again"))
    assert validation.main(command) == 0
    assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == report


def test_results_of_another_model_are_not_taken_over(measured, monkeypatch):
    folder, command, _ = measured
    other = json.loads((folder / "report.trials.json").read_text(encoding="utf-8"))
    other["model"] = "0" * 64
    (folder / "old.trials.json").write_text(json.dumps(other), encoding="utf-8")
    asked = []
    monkeypatch.setattr(trials, "run", lambda *what: asked.append(what) or {"dice": {"bodies": 1.0, "discs": 1.0}})
    bundle = model.load(command[0])
    wanted = validation.plan(folder / "exams", ["t2"], 0.05)
    found = validation.measure(bundle, wanted, folder / "old.trials.json")
    assert len(asked) == 1 and list(found) == [wanted[0].key]


def test_what_cannot_be_measured_is_a_sentence(tmp_path, capsys):
    with pytest.raises(InputError, match="'t3'"):
        validation.plan(tmp_path, ["t3"])
    with pytest.raises(InputError, match="No exam of the kind 'beyond'"):
        validation.plan(tmp_path, ["beyond"])
    assert validation.main(["no-such-model", "--out", str(tmp_path / "a.json"), "--only", "scans"]) == 2
    assert "no-such-model" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- the figures ---


def result(group: str, bodies: float, discs: float | None, **more) -> dict:
    truly = {"bodies": 100, "discs": 0 if discs is None else 100}
    return {
        "group": group, "option": "", "exam": "a", "truly": truly, "dice": {"bodies": bodies, "discs": discs}, **more
    }  # fmt: skip


def test_figures_are_means_deviations_and_the_worst_of_what_the_truth_holds(bundle):
    results = [result("t2", 0.9, 0.8), result("t2", 0.94, None), result("t2", 0.95, 0.9)]
    told = reporting.compose(bundle, results)["figures"]["held-out phantoms, T2"]
    assert told["bodies"] == {"exams": 3, "mean": 0.93, "sd": 0.0265, "worst": 0.9}
    assert told["discs"] == {"exams": 2, "mean": 0.85, "sd": 0.0707, "worst": 0.8}


def test_the_score_is_judged_by_the_order_and_the_error_of_what_it_predicts(bundle):
    def known(dice: float, predicted: float, group: str) -> dict:
        return result(group, dice, dice, predicted={"bodies": predicted, "discs": predicted, "score": predicted})

    results = [known(0.9, 0.91, "t2"), known(0.8, 0.85, "t2"), known(0.95, 0.92, "beyond"), known(0.3, 0.4, "spoilt")]
    told = reporting.compose(bundle, results)["figures"]["predicted Dice"]
    assert told["all"]["score"] == {"rank_correlation": 1.0, "mean_absolute_error": 0.0475}
    assert told["not spoilt"]["exams"] == 3 and told["not spoilt"]["bodies"]["mean_absolute_error"] == 0.03
