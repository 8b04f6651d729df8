"""The sample dataset: the real layout, true tables, known anatomy, the same bytes every time."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest

from CSpineSegLib import volume
from CSpineSegLib.dataset import Dataset, sample, tsv
from CSpineSegLib.dataset.sample_plan import PLANS
from CSpineSegLib.errors import Cancelled, InputError, WriteError
from CSpineSegLib.progress import Progress


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_it_holds_the_cases_that_make_trouble(sample_dataset):
    frame = sample_dataset.table()
    assert sample_dataset.problems == []
    assert len(frame) == 8 and frame["patient_id"].nunique() == 6
    assert frame["patient_id"].value_counts().max() == 3
    assert frame["age_over_89"].sum() == 1 and frame["age"].isna().sum() == 1
    assert set(frame["source"]) == {"gold", "silver"}
    assert set(frame["manufacturer"]) == {"Siemens", "GE MEDICAL SYSTEMS"}
    assert set(frame.loc[frame["patient_id"] == "593973-900003", "source"]) == {"gold", "silver"}
    assert sum(bool(plan.fused) for plan in PLANS) == 2
    table = next(sample_dataset.root.glob("extracted/structured/mr_series_*.tsv")).read_text(encoding="utf-8")
    assert "\tSIEMENS\t" in table and "\tSiemens\t" in table


def test_its_patients_cannot_be_taken_for_those_of_the_release(sample_dataset):
    assert all(int(exam.patient_id[-6:]) > 900000 for exam in sample_dataset.exams())
    assert "belongs to a real person" in (sample_dataset.root / sample.MARKER).read_text(encoding="utf-8")


def test_images_and_masks_lie_on_the_planned_grids(sample_dataset):
    for exam, plan in zip(sample_dataset.exams(), PLANS, strict=True):
        image, mask = volume.read(exam.image), volume.read_mask(exam.mask)
        assert exam.name == plan.name and image.orientation == plan.protocol.orientation
        assert image.is_left_handed == (image.orientation == "PSR")
        assert image.sagittal_axis == (0 if image.orientation == "RAS" else 2)
        assert image.array.dtype == np.int16 and volume.read(exam.mask).array.dtype == np.uint8
        assert volume.compare_grids(image.grid, mask.grid).kind == "same"
        assert set(np.unique(mask.array)) == {0, 1, 2}


def test_the_full_size_is_that_of_the_release():
    shapes = {(plan.grid().shape, tuple(plan.grid().spacing.round(4)), plan.grid().orientation) for plan in PLANS}
    assert shapes == {
        ((320, 320, 15), (0.6875, 0.6875, 4.0), "PSR"),
        ((512, 512, 13), (0.4297, 0.4297, 4.0), "PSR"),
        ((56, 256, 256), (1.0, 0.9, 0.9), "RAS"),
    }


def test_gold_masks_are_the_truth_and_silver_ones_nearly(sample_dataset):
    for exam in sample_dataset.exams():
        mask = volume.read_mask(exam.mask).array
        true = sample.truth(exam.stem, tiny=True).mask
        if exam.source == "gold":
            assert np.array_equal(mask, true)
            continue
        for label in (1, 2):
            here, there = mask == label, true == label
            assert 0.6 < 2 * (here & there).sum() / (here.sum() + there.sum()) < 0.995


def test_the_truth_of_an_unknown_exam_is_refused():
    with pytest.raises(InputError, match="is not an exam of the sample dataset"):
        sample.truth("593973-000001_Study-MR-1_Series-1")


def test_the_tables_have_the_columns_of_the_release(sample_dataset, shared_data):
    for path in (sample_dataset.root / "extracted" / "structured").iterdir():
        example = shared_data / "midrc_tables_example" / path.name
        header = path.read_text(encoding="utf-8").splitlines()[0].split("\t")
        assert header == example.read_text(encoding="utf-8").splitlines()[0].split("\t")
    assert len(list((sample_dataset.root / "extracted" / "structured").iterdir())) == 6


def test_the_tables_tell_true_sizes_sums_and_counts(sample_dataset):
    extracted = sample_dataset.root / "extracted"
    files = {path.name: path.read_bytes() for path in extracted.rglob("*") if path.is_file()}
    columns = ("file_name", "file_size", "md5sum")
    for table, count in (("annotation_file", 16), ("clinical_manifest", 5)):
        rows = tsv.read(next(extracted.glob(f"structured/{table}_*.tsv")), columns)
        assert len(rows) == count
        for row in rows:
            data = files[row["file_name"]]
            assert int(row["file_size"]) == len(data) and row["md5sum"] == hashlib.md5(data).hexdigest()
    series = tsv.read(next(extracted.glob("structured/mr_series_*.tsv")), ("number_of_instances",))
    slices = tsv.read(next(extracted.glob("structured/image_manifest_*.tsv")), ("file_name", "series_uid"))
    assert len(slices) == sum(int(row["number_of_instances"]) for row in series)
    assert len({row["file_name"] for row in slices}) == len(slices)


def test_it_is_the_same_every_time_and_its_progress_rises_to_one(sample_dataset, tmp_path):
    events = []
    again = sample.make(tmp_path / "again", Progress(events.append), tiny=True)
    assert contents(again.root) == contents(sample_dataset.root)
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert events[0].message == again.exams()[0].stem


def test_a_complete_one_is_only_opened_and_a_damaged_one_is_made_again(sample_dataset):
    before = contents(sample_dataset.root)
    mask = sample_dataset.exams()[0].mask
    (sample_dataset.root / "processed" / "mine.txt").write_text("kept", encoding="utf-8")
    times = {path: path.stat().st_mtime_ns for path in sample_dataset.root.rglob("*.nii.gz")}
    sample.make(sample_dataset.root, tiny=True)
    assert times == {path: path.stat().st_mtime_ns for path in sample_dataset.root.rglob("*.nii.gz")}
    mask.write_bytes(b"half")
    sample.make(sample_dataset.root, tiny=True)
    after = contents(sample_dataset.root)
    assert after.pop(next(path for path in after if path.name == "mine.txt")) == b"kept" and after == before


def test_it_goes_into_no_folder_that_holds_something_else(sample_dataset, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").touch()
    for folder in (tmp_path / "own", tmp_path / "own" / "thesis.txt", sample_dataset.root):
        with pytest.raises(InputError, match="is not empty and holds no such sample dataset"):
            sample.make(folder, tiny=folder != sample_dataset.root)
    assert len(list((tmp_path / "own").iterdir())) == 1


def test_it_can_be_cancelled_at_any_stage_and_leaves_nothing(tmp_path):
    for stop_at in (0, 7):
        asked = itertools.count()
        progress = Progress(cancelled=lambda asked=asked, stop_at=stop_at: next(asked) >= stop_at)
        with pytest.raises(Cancelled):
            sample.make(tmp_path / "échantillon", progress, tiny=True)
        assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(WriteError, match="No space left on device"):
        sample.make(tmp_path / "full", tiny=True)
    assert list(tmp_path.iterdir()) == []


def test_smooth_errors_move_outlines_only_within_the_sagittal_plane():
    grid = PLANS[0].grid(tiny=True)
    mask = np.zeros(grid.shape, np.uint8)
    mask[30:45, 20:60, 4] = 1
    changed = sample.with_smooth_errors(mask, grid, 3)
    assert 0 < np.count_nonzero(changed != mask) < mask.sum() / 2
    assert not changed[:, :, [0, 1, 2, 3, 5, 6, 7, 8]].any()
    assert np.array_equal(changed, sample.with_smooth_errors(mask, grid, 3))
    empty = np.zeros(grid.shape, np.uint8)
    assert not sample.with_smooth_errors(empty, grid, 3).any()


def test_it_opens_as_any_dataset(sample_dataset):
    dataset = Dataset.open(sample_dataset.root / "extracted")
    assert dataset.table().equals(sample_dataset.table())
