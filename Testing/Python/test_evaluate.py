"""A whole evaluation: which masks meet, what fails alone, and that it goes on where it stopped, byte by byte."""

from __future__ import annotations

import numpy as np
import pytest
from evaluate_cases import PARTS, array, files_of, folders, moved, save

from CSpineSegLib import files, jobs, volume
from CSpineSegLib.errors import Cancelled, InputError
from CSpineSegLib.evaluation import results
from CSpineSegLib.progress import Progress

SHIFTS = {"a": 0, "b": 1, "c": 2}


def judge(root, sides, **options):
    references, predictions = sides
    given = {"output": root / "out", "jobs": 0, "pictures": 0} | options
    return jobs.evaluate(predictions, references, **given)


def test_every_pair_gets_its_figures_of_every_kind(tmp_path):
    found = judge(tmp_path, folders(tmp_path, SHIFTS))
    assert found.values("dice", "bodies").to_dict() == pytest.approx({"a": 1, "b": 0.9, "c": 0.8})
    assert found.values("dice", "pooled", "pooled")["a"] == 1
    assert set(found.table["kind"]) == {"class", "pooled", "level", "zhou2025", "exam"}
    assert found.values("matched", "bodies", "exam").to_list() == [3, 3, 3]
    assert found.exams["bodies_mm3"].to_list() == [30 * 12 * 4.0] * 3
    assert (found.ruler, found.predictions) == ("références", "predictions")
    assert found.exams["patient"].to_list() == ["a", "b", "c"], "who is unknown is somebody of his own"


def test_names_of_nnunet_pair_with_names_of_the_dataset(tmp_path):
    found = judge(tmp_path, folders(tmp_path, SHIFTS, ".nii.gz"))
    other = judge(tmp_path / "other", folders(tmp_path / "other", SHIFTS))
    assert found.table.equals(other.table)


def test_cases_of_an_export_are_told_by_the_table_beside_them(tmp_path):
    references, predictions = folders(tmp_path, {"a": 0})
    (predictions / "a_SEG.nii.gz").rename(predictions / "cspine_7.nii.gz")
    (predictions / "cspineseg_cases.tsv").write_text("case\texam\ncspine_7\ta\n", encoding="utf-8")
    assert judge(tmp_path, (references, predictions)).exams.index.to_list() == ["a"]


def test_what_has_no_counterpart_is_listed_and_the_rest_goes_on(tmp_path):
    references, predictions = folders(tmp_path, SHIFTS)
    (references / "a_SEG.nii.gz").unlink()
    (predictions / "c_SEG.nii.gz").unlink()
    record = judge(tmp_path, (references, predictions)).record
    assert record["unmatched"]["predictions_without_reference"] == ["a"]
    assert record["unmatched"]["references_without_prediction"] == ["c"]
    assert (record["counts"]["compared"], record["counts"]["predictions_without_reference"]) == (1, 1)


def test_a_mask_that_cannot_be_compared_fails_alone_with_a_sentence(tmp_path):
    references, predictions = folders(tmp_path, {name: 1 for name in "abcde"})
    mask = volume.read(predictions / "a_SEG.nii.gz")
    volume.write(volume.from_array(mask.array, mask.affine + np.eye(4, k=3) * 50), predictions / "a_SEG.nii.gz")
    save(predictions / "b_SEG.nii.gz", np.where(array(*PARTS) == 2, 7, array(*PARTS)))
    (predictions / "c_SEG.nii.gz").write_bytes(b"no mask")
    (references / "d_SEG.nii.gz").write_bytes((references / "d_SEG.nii.gz").read_bytes()[:-40])
    found = judge(tmp_path, (references, predictions))
    failures = found.record["failures"]
    assert list(failures) == ["a", "b", "c", "d"] and found.values("dice", "bodies").index.to_list() == ["e"]
    assert "does not lie on" in failures["a"] and "7" in failures["b"]
    assert all(f"{stem}_SEG.nii.gz" in sentence and sentence.endswith(".") for stem, sentence in failures.items())
    assert str(tmp_path) not in str(failures), "names of folders can be names of people"
    assert found.exams["status"]["a"] == f"failed: {failures['a']}"
    assert found.usable.index.to_list() == ["e"]


def test_a_mask_whose_axes_are_reordered_is_put_back(tmp_path):
    references, predictions = folders(tmp_path, {"a": 1, "b": 1})
    volume.write(volume.reorient(volume.read(predictions / "a_SEG.nii.gz"), "RAS"), predictions / "a_SEG.nii.gz")
    found = judge(tmp_path, (references, predictions))
    one, other = (found.table[found.table["exam"] == exam].drop(columns="exam") for exam in "ab")
    assert one.reset_index(drop=True).equals(other.reset_index(drop=True))
    assert list(found.record["notes"]) == ["a"]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a_SEG.nii"])
def test_two_masks_of_one_exam_are_refused_and_nothing_is_written(tmp_path, side, name):
    sides = folders(tmp_path, SHIFTS)
    save(sides[side] / name, array(*PARTS))
    with pytest.raises(InputError, match=r"holds two files of a \(a.*and a.*\), and only one can be its mask"):
        judge(tmp_path, sides)
    assert not (tmp_path / "out").exists()


def test_doubt_maps_and_level_maps_beside_masks_are_none(tmp_path):
    references, predictions = folders(tmp_path, {"a": 0})
    for ending in ("doubt", "LEVELS", "INSTANCES"):
        save(predictions / f"a_{ending}.nii.gz", array(*PARTS))
    record = judge(tmp_path, (references, predictions)).record
    assert record["unmatched"]["predictions_without_reference"] == []


def test_what_is_no_set_of_masks_is_said(tmp_path):
    references, predictions = folders(tmp_path, {"a": 0})
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    save(other / "z_SEG.nii.gz", array(*PARTS))
    for sides, sentence in (
        ((references, tmp_path / "nowhere"), "neither a folder of masks nor a model"),
        ((references, empty), "holds no mask; masks are named"),
        ((tmp_path / "nowhere", predictions), "is no folder; give gold, silver or a folder"),
        ((references, other), "No exam is among both"),
        (("gold", predictions), "needs a dataset: name its folder with --dataset"),
    ):
        with pytest.raises(InputError, match=sentence):
            judge(tmp_path, sides)
    with pytest.raises(InputError, match="above 0 and up to 1, not 0"):
        judge(tmp_path, (references, predictions), iou=0)
    with pytest.raises(InputError, match="name a folder for the results with --output"):
        judge(tmp_path, (references, predictions), output=None)
    with pytest.raises(InputError, match="holds the masks themselves"):
        judge(tmp_path, (references, predictions), output=predictions)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(tmp_path):
    sides = folders(tmp_path, SHIFTS)
    whole = judge(tmp_path, sides, output=tmp_path / "whole")
    seen = []
    stop = Progress(seen.append, lambda: sum(event.stage == "Comparing" for event in seen) >= 2)
    with pytest.raises(Cancelled):
        judge(tmp_path, sides, progress=stop)
    done = sorted(path.name for path in (tmp_path / "out" / "exams").iterdir())
    assert done == ["a.json", "b.json"] and not (tmp_path / "out" / results.RECORD).exists()
    with pytest.raises(InputError, match="holds no finished evaluation"):
        results.read(tmp_path / "out")
    before = [(tmp_path / "out" / "exams" / name).stat().st_ino for name in done]
    judge(tmp_path, sides)
    assert files_of(tmp_path / "out") == files_of(whole.folder)
    assert [(tmp_path / "out" / "exams" / name).stat().st_ino for name in done] == before, "they were not made again"


def test_any_number_of_processes_gives_the_same_bytes(tmp_path):
    sides = folders(tmp_path, SHIFTS)
    (sides[1] / "b_SEG.nii.gz").write_bytes(b"no mask")
    found = [judge(tmp_path, sides, output=tmp_path / f"out{count}", jobs=count) for count in (0, 2)]
    assert files_of(found[0].folder) == files_of(found[1].folder)
    assert list(found[0].record["failures"]) == ["b"]


def test_a_mask_that_changed_is_compared_again_and_only_that(tmp_path):
    sides = folders(tmp_path, SHIFTS)
    judge(tmp_path, sides)
    path = tmp_path / "out" / "exams"
    before = {name: (path / f"{name}.json").stat().st_ino for name in SHIFTS}
    save(sides[1] / "b_SEG.nii.gz", array(*moved(PARTS, 3)))
    found = judge(tmp_path, sides)
    assert found.values("dice", "bodies")["b"] == pytest.approx(0.7)
    after = {name: (path / f"{name}.json").stat().st_ino for name in SHIFTS}
    assert [name for name in SHIFTS if before[name] != after[name]] == ["b"]
    # Figures of a mask that is no mask any more do not stay behind.
    (sides[1] / "b_SEG.nii.gz").write_bytes(b"no mask")
    assert "b" not in set(judge(tmp_path, sides).table["exam"])
    assert not (path / "b.json").exists()


def test_another_iou_is_another_question(tmp_path):
    sides = folders(tmp_path, {"a": 2})
    assert judge(tmp_path, sides).values("f1", "bodies", "exam")["a"] == 1
    assert judge(tmp_path, sides, iou=0.9).values("f1", "bodies", "exam")["a"] == 0


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}"])
def test_a_damaged_file_of_an_exam_is_made_again(tmp_path, content):
    sides = folders(tmp_path, {"a": 1})
    whole = files_of(judge(tmp_path, sides).folder)
    (tmp_path / "out" / "exams" / "a.json").write_bytes(content)
    assert files_of(judge(tmp_path, sides).folder) == whole


def test_folds_are_those_that_held_the_exam_out(tmp_path):
    sides = folders(tmp_path, SHIFTS)
    path = tmp_path / "splits_final.json"
    files.write_json(path, [{"train": ["b", "c"], "val": ["a"]}, {"train": ["a", "c"], "val": ["b"]}])
    found = judge(tmp_path, sides, folds=path)
    assert found.exams["fold"].to_list()[:2] == [0, 1] and np.isnan(found.exams["fold"]["c"])
    assert found.record["folds"]["sha256"] == files.sha256(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"train": []}, "not a file of folds"),
        ([{"train": ["a"]}], "not a file of folds"),
        ([{"train": ["a"], "val": ["a"]}], "trains on a in fold 0 and also holds it out"),
        ([{"train": [], "val": ["a"]}, {"train": [], "val": ["a"]}], "holds a out in the folds 0 and 1"),
    ],
)
def test_folds_that_cannot_be_are_refused(tmp_path, content, sentence):
    path = tmp_path / "splits_final.json"
    files.write_json(path, content)
    with pytest.raises(InputError, match=sentence):
        judge(tmp_path, folders(tmp_path, SHIFTS), folds=path)
    assert not (tmp_path / "out").exists()
