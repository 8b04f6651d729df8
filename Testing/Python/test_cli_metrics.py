"""`cspineseg metrics` as people and programs use it: exams and files, levels, and the paper's convention."""

# Tests take fixtures by name, which ruff holds for definitions anew.
# ruff: noqa: F811

from __future__ import annotations

import json

import numpy as np
import pytest
from cli_cases import cells, refused, said  # noqa: F401  (fixture)
from level_cases import (  # noqa: F401 - fixtures
    _labelled,
    exam,
    fused,
    holed,
    labelled,
    middle_of,
    revise,
    trimmed,
    value,
)

from CSpineSegLib import jobs, volume
from CSpineSegLib.evaluation import compare


@pytest.fixture
def corrected(exam):
    """The exam with a correction that lost one disc, by name."""
    mask = volume.read_mask(exam.mask)
    levels = jobs.levels(exam).labelling().level_volume(mask).array
    revise(exam, holed(mask, levels == value("C4-C5")))
    return exam


@pytest.fixture
def pair(exam, tmp_path):
    """The exam's mask, and the same without one voxel in a file of its own."""
    other = tmp_path / "other é_SEG.nii.gz"
    volume.write(trimmed(exam), other)
    return exam.mask, other


def table(out: str, number: int = 0) -> list[list[str]]:
    return cells(out.split("\n\n")[number])


def figures(out: str) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in table(out)[1:]}


def test_a_file_against_itself_is_a_table_of_bodies_discs_and_both(said, exam):
    code, out, err = said("metrics", exam.mask, exam.mask)
    header, *rows = cells(out)
    assert code == 0 and header == ["Figure", "bodies", "discs", "pooled"] and err == ""
    told = {row[0]: row[1:] for row in rows}
    assert (
        told["Dice"] == ["1.000"] * 3
        and told["HD95 (mm)"] == ["0.00"] * 3
        and told["Volume difference"] == ["+0.0 %"] * 3
    )
    assert "Empty" not in told, "what is nowhere is not told"
    assert "\x1b" not in out


def test_the_table_holds_the_figures_of_the_engine(said, corrected):
    code, out, _ = said("metrics", corrected.mask, corrected.corrected_mask)
    told = figures(out)
    found = compare(volume.read_mask(corrected.mask), volume.read_mask(corrected.corrected_mask))
    assert code == 0
    titles = {"Dice": ("dice", 3), "nDSC": ("ndsc", 3), "NSD, 1 mm": ("nsd_1mm", 3), "HD (mm)": ("hd_mm", 2)}
    for title, (key, digits) in titles.items():
        assert told[title] == [f"{found[part][key]:.{digits}f}" for part in ("bodies", "discs", "pooled")]
    assert told["Volume, mask (mm3)"][1] == f"{found['discs']['volume_mm3']['candidate']:.0f}"
    assert float(told["Volume difference (mm3)"][1]) < 0 and told["Voxels added"] == ["0", "0", "0"]
    assert found["discs"]["dice"] < 1 and told["Volume difference"][1].startswith("-")


def test_an_empty_mask_is_said_and_leaves_no_number_where_there_is_none(said, exam, tmp_path):
    mask = volume.read_mask(exam.mask)
    empty = tmp_path / "empty_SEG.nii.gz"
    volume.write(volume.like(mask, np.zeros_like(mask.array)), empty)
    code, out, _ = said("metrics", exam.mask, empty, "--levels")
    told = figures(out)
    assert code == 0 and told["Dice"] == ["0.000"] * 3 and "HD95 (mm)" not in told
    assert told["Empty"] == ["candidate"] * 3 and int(told["Missing"][0]) > 5 and "Precision" not in told
    code, out, _ = said("metrics", empty, empty, "--levels", "--json")
    (found,) = json.loads(out)
    assert code == 0 and found["pooled"]["empty"] == "both" and found["levels"]["rows"] == []


def test_levels_are_a_row_each_with_counts_detection_and_what_the_names_rest_on(said, corrected):
    code, out, err = said("metrics", corrected.stem, "--dataset", corrected.processed.parent, "--levels", "--iou", 0.7)
    told = figures(out)
    header, *rows = table(out, 1)
    assert code == 0 and header[:3] == ["Level", "Match", "Named in the mask"]
    names = [row[0] for row in rows]
    assert names[:4] == ["C2", "C2-C3", "C3", "C3-C4"]
    lost = rows[names.index("C4-C5")]
    assert lost[1] == "missing" and lost[3] == "0.000" and lost[5] == ""
    assert told["Missing"] == ["0", "1", ""] and told["Missing within block"] == ["", "0", ""]
    assert told["Detection F1 at IoU 0.7"][0] == "1.000" and 0.8 < float(told["Detection F1 at IoU 0.7"][1]) < 1
    assert "Panoptic quality at IoU 0.7" in told and told["Level shift rate"] == ["", "", "0.000"]
    assert "Levels of the reference: " in err and "Levels of the candidate: " in err


def test_json_holds_everything_of_levels(said, corrected):
    code, out, _ = said("metrics", corrected.stem, "--dataset", corrected.processed.parent, "--levels", "--json")
    (found,) = json.loads(out)
    assert code == 0 and found["exam"] == corrected.stem and found["kind"] == "accepted"
    assert found["levels"]["counts"]["discs"]["missing"] == 1
    assert found["levels"]["detection"]["discs"]["iou_threshold"] == 0.5
    assert found["labellings"]["candidate"]["absolute"] and found["labellings"]["candidate"]["anchor"] is None
    assert {"match", "detection", "dice"} <= found["definitions"].keys()
    assert "levels" not in json.loads(said("metrics", corrected.mask, corrected.mask, "--json")[1])[0]


def test_a_block_that_a_person_parted_by_a_disc_is_fused_in_the_reference_and_the_disc_explained(said, fused):
    mask = volume.read_mask(fused.mask)
    levels = jobs.levels(fused).labelling().level_volume(mask).array
    axis = int(np.abs(mask.affine[2, :3]).argmax())
    edges = [levels == value("C5"), levels == value("C6")]
    for _ in range(2):
        edges = [edge | np.roll(edge, -1, axis) | np.roll(edge, 1, axis) for edge in edges]
    disc = edges[0] & edges[1] & (mask.array == 1)
    revise(fused, volume.like(mask, np.where(disc, 2, mask.array).astype(np.uint8)))
    code, out, _ = said("metrics", fused.stem, "--dataset", fused.processed.parent, "--levels")
    rows = {row[0]: row[1:] for row in table(out, 1)}
    assert code == 0 and rows["C5+C6"][:2] == ["fused in reference", "C5+C6"]
    assert rows["C5-C6"][0] == "extra" and rows["C5-C6"][-1] == "within a block"
    told = figures(out)
    assert told["Fused in reference"] == ["1", "0", ""] and told["Extra within block"] == ["", "1", ""]


def test_the_anchor_that_was_kept_for_an_exam_names_both_masks(said, exam):
    mask, centres = middle_of(exam)
    volume.write(mask, exam.mask)
    words = ["metrics", exam.stem, "--dataset", exam.processed.parent, "--levels", "--json"]
    (before,) = json.loads(said(*words)[1])
    assert before["levels"]["level_shift_rate"] is None and before["levels"]["rows"][0]["name"] == "vertebra 1"
    jobs.levels(exam, anchor=("C6", centres["C6"]))
    (after,) = json.loads(said(*words)[1])
    assert [row["name"] for row in after["levels"]["rows"]] == list(centres)
    assert after["levels"]["level_shift_rate"] == 0 and after["labellings"]["reference"]["anchor"]["level"] == "C6"
    # The files of the levels may be gone or changed: the anchor is a person's word, and stays.
    exam.levels.unlink()
    assert json.loads(said(*words)[1])[0]["labellings"]["candidate"]["anchor"]["level"] == "C6"


def test_a_mask_that_has_nothing_at_the_anchor_is_named_without_it_and_that_is_said(said, exam):
    mask, _ = middle_of(exam)
    jobs.levels(exam, anchor=("C2", jobs.levels(exam).content["landmarks"]["C2"]["centre"]))
    revise(exam, mask)
    code, out, err = said("metrics", exam.stem, "--dataset", exam.processed.parent, "--levels")
    assert code == 0 and "candidate were named without the anchor of the exam: Nothing of the mask" in err
    assert "No level shift rate: levels are only relative in the candidate." in err
    assert figures(out)["Level shift rate"] == ["", "", ""]


def test_a_candidate_in_another_orientation_has_the_same_figures(said, corrected, tmp_path):
    turned = tmp_path / "turned_SEG.nii.gz"
    volume.write(volume.reorient(volume.read_mask(corrected.corrected_mask), "LPS"), turned)
    straight = said("metrics", corrected.mask, corrected.corrected_mask, "--levels")[1]
    code, out, err = said("metrics", corrected.mask, turned, "--levels")
    assert (code, out) == (0, straight) and "put back voxel by voxel" in err


def test_the_papers_convention_gives_its_figures_and_no_others(said, corrected, tmp_path):
    words = ["metrics", corrected.mask, corrected.corrected_mask, "--convention", "zhou2025"]
    code, out, err = said(*words)
    found = compare(volume.read_mask(corrected.mask), volume.read_mask(corrected.corrected_mask), convention="zhou2025")
    told = figures(out)
    assert code == 0 and table(out)[0] == ["Figure", "zhou2025"]
    assert told["Dice, discs"] == [f"{found['discs']['dice']:.3f}"] and "HD95 (mm)" not in told
    assert ("No Dice of single discs: fewer than six" in err) == (found["disc_levels"] is None)
    assert json.loads(said(*words, "--json")[1])[0]["macro"] == found["macro"]
    turned = [tmp_path / name for name in ("a_SEG.nii.gz", "b_SEG.nii.gz")]
    for path, source in zip(turned, (corrected.mask, corrected.corrected_mask), strict=True):
        volume.write(volume.reorient(volume.read_mask(source), "RAS"), path)
    assert "these are not the figures of the paper" in said("metrics", *turned, "--convention", "zhou2025")[2]


def test_voxels_as_surfaces_are_other_distances_of_the_same_masks(said, pair):
    found = [json.loads(said("metrics", *pair, *more, "--json")[1])[0] for more in ([], ["--surface", "voxels"])]
    assert [one["surface"] for one in found] == ["elements", "voxels"]
    assert found[0]["bodies"]["dice"] == found[1]["bodies"]["dice"]
    assert found[0]["bodies"]["assd_mm"] != found[1]["bodies"]["assd_mm"]


def test_definitions_are_printed_on_request(said, pair):
    code, out, _ = said("metrics", *pair, "--definitions")
    header, *rows = table(out, 1)
    assert code == 0 and header == ["Name", "Definition"] and {"hd95_mm", "empty_masks"} <= {row[0] for row in rows}
    assert "Definition" not in said("metrics", *pair)[1]


def test_all_exams_of_a_patient_are_one_table_that_says_which(said, labelled):
    patient = labelled.table()["patient_id"].value_counts().idxmax()
    stems = [one.stem for one in labelled.exams(patient=patient)]
    code, out, _ = said("metrics", patient, "--dataset", labelled.root)
    header, *rows = cells(out)
    assert code == 0 and header == ["Exam", "Figure", "bodies", "discs", "pooled"] and len(stems) > 1
    assert [row[0] for row in rows if row[1] == "Dice"] == stems


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--convention", "paper"], "no convention 'paper'"),
        (["--convention", "zhou2025", "--levels"], "leave out levels"),
        (["--convention", "zhou2025", "--surface", "voxels"], "leave out surface"),
        (["--surface", "points"], "elements or voxels"),
        (["--levels", "--iou", "0"], "not at 0"),
        (["--levels", "--iou", "1.01"], "not at 1.01"),
        (["--levels", "--iou", "nan"], "not at nan"),
        (["--levels", "--iou", "half"], "'--iou'"),
        (["--iou", "0.5"], "ask for levels"),
    ],
)
def test_options_that_cannot_be_are_refused_in_a_sentence(said, pair, words, expected):
    assert expected in refused(said("metrics", *pair, *words))


@pytest.mark.parametrize("spoil", ["grid", "label", "fraction", "gone", "no mask"])
def test_masks_that_cannot_be_compared_are_refused_in_a_sentence_that_names_the_file(said, pair, tmp_path, spoil):
    mask = volume.read_mask(pair[0])
    bad = tmp_path / "bad_SEG.nii.gz"
    array, affine = mask.array.astype(np.float32), mask.affine.copy()
    if spoil == "grid":
        affine[:3, 3] += affine[:3, 0] / 3
    elif spoil == "label":
        array[0, 0, 0] = 7
    elif spoil == "fraction":
        array[0, 0, 0] = 0.5
    if spoil == "no mask":
        bad.write_bytes(b"no mask")
    elif spoil != "gone":
        volume.write(volume.from_array(array, affine), bad)
    for words in ([pair[0], bad], [bad, pair[0]]):
        assert "bad_SEG.nii.gz" in refused(said("metrics", *words, "--levels"))


def test_what_is_not_two_masks_is_refused_in_a_sentence(said, pair, exam, monkeypatch):
    monkeypatch.delenv("CSPINESEG_DATASET", raising=False)
    assert "one mask; name the one to compare it with" in refused(said("metrics", pair[0]))
    assert "--dataset" in refused(said("metrics", "593973-900005"))
    exam.mask.unlink()
    assert "has no mask yet" in refused(said("metrics", exam.stem, "--dataset", exam.processed.parent))
