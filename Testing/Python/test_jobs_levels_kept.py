"""Levels on disk that somebody changed, a full disk, a kill, a file outside: nothing is lost or written over."""

# Tests take fixtures by name, which ruff holds for definitions anew.
# ruff: noqa: F811

from __future__ import annotations

import numpy as np
import pytest
from level_cases import _labelled, exam, fresh, labelled, revise, tree, trimmed  # noqa: F401 - fixtures

from CSpineSegLib import files, jobs, volume
from CSpineSegLib.errors import Cancelled, InputError, WriteError
from CSpineSegLib.jobs import level_files
from CSpineSegLib.progress import Progress


def test_files_that_somebody_changed_are_left_until_force_and_keep_their_anchor(exam):
    centre = next(one["centroid_mm"] for one in jobs.levels(exam).content["instances"])
    jobs.levels(exam, anchor=("C2", centre))
    edited = volume.read(exam.levels)
    volume.write(volume.like(edited, np.flip(edited.array, 0).copy()), exam.levels)
    before = tree(exam.levels.parent)
    with pytest.raises(InputError, match="was changed after it was written; move it away, or --force"):
        jobs.levels(exam)
    assert tree(exam.levels.parent) == before
    assert jobs.levels(exam, force=True).content["anchor"]["level"] == "C2"
    assert not np.array_equal(volume.read(exam.levels).array, np.flip(edited.array, 0))


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format": "other"}', b"[1, 2]", b"\xff\xfe"])
def test_a_record_that_is_none_of_ours_is_left_until_force(fresh, content):
    fresh.levels_record.parent.mkdir(parents=True)
    fresh.levels_record.write_bytes(content)
    with pytest.raises(InputError, match="was not written by this software"):
        jobs.levels(fresh)
    assert fresh.levels_record.read_bytes() == content
    assert not jobs.levels(fresh, force=True).skipped


def test_a_disk_that_is_full_leaves_what_was_there(exam, monkeypatch):
    jobs.levels(exam)
    before = tree(exam.levels.parent)
    revise(exam, trimmed(exam))
    write = volume.write

    def full(array, path, **given):
        if path == exam.levels:
            raise WriteError("the disk is full")
        return write(array, path, **given)

    monkeypatch.setattr(level_files.volume, "write", full)
    with pytest.raises(WriteError, match="full"):
        jobs.levels(exam)
    assert tree(exam.levels.parent) == before
    monkeypatch.undo()
    assert not jobs.levels(exam).skipped


def test_what_a_kill_left_half_is_finished_with_the_anchor_that_was_given(exam):
    centre = next(one["centroid_mm"] for one in jobs.levels(exam).content["instances"])
    old = exam.levels.read_bytes()
    anchored = jobs.levels(exam, anchor=("C3", centre))
    exam.levels.write_bytes(old)  # the record was written, the labelmap not yet
    again = jobs.levels(exam)
    assert not again.skipped and again.content["anchor"]["level"] == "C3"
    assert files.sha256(exam.levels) == anchored.content["levels_file"]["sha256"]


def test_a_cancelled_job_writes_nothing(fresh):
    with pytest.raises(Cancelled):
        jobs.levels(fresh, progress=Progress(cancelled=lambda: True))
    assert not fresh.levels.parent.exists()


def test_one_exam_that_fails_does_not_stop_the_others(sample_dataset):
    exams = sample_dataset.exams()[3:6]
    exams[1].mask.write_bytes(b"no mask")
    batch = jobs.levels_many(exams)
    assert [result.stem for result in batch.results] == [exams[0].stem, exams[2].stem]
    assert list(batch.failures) == [exams[1].stem] and "NIfTI" in batch.failures[exams[1].stem]


# A file outside any dataset


def test_a_file_gets_its_levels_beside_the_output(exam, tmp_path):
    result = jobs.levels_file(exam.mask, tmp_path / "neck_LEVELS.nii")
    names = sorted(path.name for path in tmp_path.glob("neck*"))
    assert names == ["neck_INSTANCES.nii", "neck_LEVELS.json", "neck_LEVELS.nii"]
    assert np.array_equal(
        volume.read(tmp_path / "neck_LEVELS.nii").array, volume.read(jobs.levels(exam).paths.levels).array
    )
    assert result.content["source"]["sha256"] == files.sha256(exam.mask)
    with pytest.raises(InputError, match="exists already"):
        jobs.levels_file(exam.mask, tmp_path / "neck_LEVELS.nii")
    assert not jobs.levels_file(exam.mask, tmp_path / "neck_LEVELS.nii", force=True).skipped


def test_no_output_is_written_over_the_mask_or_into_released_data(exam, tmp_path):
    own = tmp_path / "own_SEG.nii.gz"
    own.write_bytes(exam.mask.read_bytes())
    with pytest.raises(InputError, match="is the mask itself"):
        jobs.levels_file(own, own, force=True)
    with pytest.raises(WriteError, match="never written"):
        jobs.levels_file(own, exam.mask.parent / "x_LEVELS.nii.gz")
    with pytest.raises(InputError, match="NIfTI"):
        jobs.levels_file(own, tmp_path / "levels.png")
    with pytest.raises(InputError, match="holds label"):
        jobs.levels_file(jobs.levels(exam).paths.levels, tmp_path / "again.nii.gz")
    assert own.read_bytes() == exam.mask.read_bytes() and not list(tmp_path.glob("again*"))
