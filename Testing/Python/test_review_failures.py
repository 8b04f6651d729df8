"""Folders that cannot be written and disks that are full: the tests run as root, so errors are put in at each step."""

from __future__ import annotations

import errno
import os

import pytest
import review_cases as cases

from CSpineSegLib import files
from CSpineSegLib.errors import InputError, WriteError
from CSpineSegLib.review import derived, events, places, records

WRITES = ("mask", "JSON", "metrics", "corrected mask")


@pytest.fixture
def exam(tmp_path):
    exam = cases.make_exam(tmp_path)
    cases.save(exam, 1)
    return exam


def fail_at(monkeypatch, owner, name: str, which: int, code: int, half: bool = False):
    """The call number `which` (from 1) of a function raises OSError(code), after writing half of the data if `half`."""
    real, calls = getattr(owner, name), []

    def failing(*arguments, **given):
        calls.append(arguments)
        if len(calls) != which:
            return real(*arguments, **given)
        if half:
            arguments[0].write_bytes(arguments[1][: len(arguments[1]) // 2])
        raise OSError(code, os.strerror(code), str(arguments[0]))

    monkeypatch.setattr(owner, name, failing)
    return calls


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("step", ["write", "write half", "rename"])
@pytest.mark.parametrize("which", [1, 2], ids=WRITES[:2])
def test_a_revision_that_cannot_be_written_leaves_nothing_and_loses_nothing(exam, monkeypatch, step, which, code):
    before = cases.tree(exam.processed)
    target = (os, "replace") if step == "rename" else (files, "_write_bytes")
    with monkeypatch.context() as patch:
        calls = fail_at(patch, *target, which, code, half=step == "write half")
        with pytest.raises(WriteError, match="could not be written") as caught:
            cases.save(exam, 2)
        assert len(calls) == which
    assert "\n" not in str(caught.value) and cases.STEM in str(caught.value)
    assert cases.tree(exam.processed) == before
    assert derived.problems(exam) == []
    assert cases.save(exam, 2).number == 2


@pytest.mark.parametrize("which", [3, 4], ids=WRITES[2:])
@pytest.mark.parametrize("step", ["write half", "rename"])
def test_a_complete_revision_is_kept_if_only_what_follows_from_it_cannot_be_written(exam, monkeypatch, which, step):
    target = (os, "replace") if step == "rename" else (files, "_write_bytes")
    with monkeypatch.context() as patch:
        fail_at(patch, *target, which, errno.ENOSPC, half=step == "write half")
        revision = cases.save(exam, 2)
    assert revision.number == 2 and [r.number for r in records.history(exam)] == [1, 2]
    assert "Revision 2 is saved" in revision.warnings[-1] and "free space" in revision.warnings[-1]
    assert files.sha256(exam.corrected_mask) == records.history(exam)[0].sha256
    assert any("refresh" in sentence for sentence in derived.problems(exam))
    assert not list(exam.processed.rglob("*.cspineseg-tmp"))
    derived.refresh(exam)
    assert derived.problems(exam) == []
    assert files.sha256(exam.corrected_mask) == revision.sha256


def test_a_disk_that_gives_back_something_else_is_noticed(exam, monkeypatch):
    before = cases.tree(exam.processed)
    write = files._write_bytes
    with monkeypatch.context() as patch:
        patch.setattr(files, "_write_bytes", lambda path, data: write(path, data[:-1] + b"?"))
        with pytest.raises(WriteError, match="did not read back"):
            cases.save(exam, 2)
    assert cases.tree(exam.processed) == before


def test_a_folder_that_takes_no_new_name_is_one_sentence(exam, monkeypatch):
    before = cases.tree(exam.processed)
    with monkeypatch.context() as patch:
        fail_at(patch, files, "claim", 1, errno.EROFS)
        with pytest.raises(WriteError, match="could not be written"):
            cases.save(exam, 2)
    assert cases.tree(exam.processed) == before


@pytest.mark.parametrize("part", ["processed", "processed/corrected", "processed/corrected/revisions"])
def test_a_file_where_a_folder_should_be_is_one_sentence(tmp_path, part):
    exam = cases.make_exam(tmp_path)
    path = tmp_path / part
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not a folder", encoding="utf-8")
    before = cases.tree(tmp_path)
    with pytest.raises(WriteError, match="could not be written"):
        cases.save(exam, 1)
    assert cases.tree(tmp_path) == before


def test_a_file_where_the_folder_of_metrics_should_be_is_a_warning_that_names_it(tmp_path):
    exam = cases.make_exam(tmp_path)
    exam.processed.mkdir()
    exam.metrics_path.parent.write_text("not a folder", encoding="utf-8")
    revision = cases.save(exam, 1)
    assert str(exam.metrics_path) in revision.warnings[-1]


def test_a_folder_that_may_not_be_listed_is_one_sentence(exam, monkeypatch):
    fail_at(monkeypatch, os, "scandir", 1, errno.EACCES)
    with pytest.raises(InputError, match="cannot be listed"):
        places.scan_revisions(exam.revisions_folder)


def test_an_interruption_by_the_user_takes_the_half_written_revision_back(exam, monkeypatch):
    before = cases.tree(exam.processed)
    real = files.write_json
    with monkeypatch.context() as patch:

        def interrupted(path, content, **given):
            real(path, content, **given)
            raise KeyboardInterrupt

        patch.setattr(files, "write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cases.save(exam, 2)
    assert cases.tree(exam.processed) == before


def test_an_event_that_cannot_be_written_leaves_nothing(exam, monkeypatch):
    before = cases.tree(exam.processed)
    with monkeypatch.context() as patch:
        fail_at(patch, files, "_write_bytes", 1, errno.ENOSPC, half=True)
        with pytest.raises(WriteError, match="free space"):
            events.record(exam, "opened", annotator="Anna")
    assert cases.tree(exam.processed) == before
