"""The one way of writing: whole or not at all, verified, and without anything left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from CSpineSegLib import files
from CSpineSegLib.errors import InputError, WriteError

OLD = b"what was there before"
NEW = bytes(range(256)) * 40


@pytest.fixture
def target(tmp_path) -> Path:
    path = tmp_path / "Aufnahme é" / "masque 頸椎.nii.gz"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_what_is_written_is_there_and_its_hash_comes_back(tmp_path):
    path = tmp_path / "new" / "folders" / "a b é.bin"
    digest = files.write_verified(path, NEW)
    assert path.read_bytes() == NEW and names(tmp_path) == [path.name]
    assert digest == hashlib.sha256(NEW).hexdigest() == files.sha256(path)


def test_an_empty_file_can_be_written(tmp_path):
    files.write_verified(tmp_path / "empty", b"")
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_file_is_replaced_as_a_whole(target):
    files.write_verified(target, NEW)
    assert target.read_bytes() == NEW and names(target.parent) == [target.name]


def test_exclusive_writing_never_replaces(target):
    with pytest.raises(FileExistsError):
        files.write_verified(target, NEW, exclusive=True)
    assert target.read_bytes() == OLD and names(target.parent) == [target.name]
    other = target.with_name("other")
    files.write_verified(other, NEW, exclusive=True)
    assert other.read_bytes() == NEW


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "fsync", "replace", "mkdir"])
def test_an_error_of_the_system_is_one_sentence_and_changes_nothing(target, monkeypatch, call, code, exclusive):
    path = target.with_name("new") if exclusive else target
    owner = {"open": files, "fsync": os, "replace": os, "mkdir": Path}[call]

    def failing(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(owner, call, failing, raising=False)
    with pytest.raises(WriteError) as caught:
        files.write_verified(path, NEW, exclusive=exclusive)
    monkeypatch.undo()
    assert str(path) in str(caught.value) and os.strerror(code) in str(caught.value)
    assert target.read_bytes() == OLD and names(target.parent) == [target.name]


def test_half_a_write_changes_nothing(target, monkeypatch):
    def half(path, data):
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_write_bytes", half)
    with pytest.raises(WriteError, match="No space left"):
        files.write_verified(target, NEW)
    assert target.read_bytes() == OLD and names(target.parent) == [target.name]


def test_what_does_not_read_back_is_not_kept(target, monkeypatch):
    write = files._write_bytes
    monkeypatch.setattr(files, "_write_bytes", lambda path, data: write(path, data[:-1] + b"?"))
    with pytest.raises(WriteError, match="did not read back"):
        files.write_verified(target, NEW)
    assert target.read_bytes() == OLD and names(target.parent) == [target.name]


@pytest.mark.parametrize("error", [InputError("no mask"), KeyboardInterrupt(), MemoryError()], ids=repr)
@pytest.mark.parametrize("exclusive", [False, True])
def test_what_the_callers_check_refuses_is_not_kept(target, error, exclusive):
    path = target.with_name("new") if exclusive else target
    seen = []

    def verify(temporary: Path) -> None:
        seen.append(temporary.read_bytes())
        raise error

    with pytest.raises(type(error)):
        files.write_verified(path, NEW, verify, exclusive=exclusive)
    assert seen == [NEW]
    assert target.read_bytes() == OLD and names(target.parent) == [target.name]


@pytest.mark.parametrize("exclusive", [False, True])
def test_a_file_in_place_of_the_folder_and_a_folder_in_place_of_the_file_are_one_sentence(target, exclusive):
    with pytest.raises(WriteError, match="could not be written"):
        files.write_verified(target / "inside", NEW, exclusive=exclusive)
    with pytest.raises(WriteError, match="could not be written"):
        files.write_verified(target / "deep" / "inside", NEW, exclusive=exclusive)
    (target.parent / "folder").mkdir()
    with pytest.raises(FileExistsError if exclusive else WriteError):
        files.write_verified(target.parent / "folder", NEW, exclusive=exclusive)
    assert target.read_bytes() == OLD and names(target.parent) == [target.name]


def test_a_name_of_255_bytes_can_be_written_and_one_of_256_is_refused(tmp_path):
    fits = tmp_path / ("é" * 124 + ".nii.gz")
    assert len(fits.name.encode()) == 255
    files.write_verified(fits, NEW)
    assert fits.read_bytes() == NEW
    with pytest.raises(InputError, match="256 bytes"):
        files.write_verified(tmp_path / (fits.name + "x"), NEW)
    assert names(tmp_path) == [fits.name]


def test_readers_never_see_half_a_file(tmp_path):
    path, stop, strange = tmp_path / "file", threading.Event(), []
    contents = [bytes([value]) * 200_000 for value in range(4)]
    files.write_verified(path, contents[0])

    def read() -> None:
        while not stop.is_set():
            data = path.read_bytes()
            if data not in contents:
                strange.append(len(data))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for turn in range(40):
        files.write_verified(path, contents[turn % 4])
    stop.set()
    for reader in readers:
        reader.join()
    assert strange == []


def test_of_many_exclusive_writers_exactly_one_wins(tmp_path):
    path, won, gate = tmp_path / "file", [], threading.Barrier(8)

    def write(value: int) -> None:
        gate.wait()
        try:
            files.write_verified(path, bytes([value]) * 1000, exclusive=True)
            won.append(value)
        except FileExistsError:
            pass

    writers = [threading.Thread(target=write, args=(value,)) for value in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(won) == 1 and path.read_bytes() == bytes(won) * 1000
    assert names(tmp_path) == ["file"]


def test_json_is_readable_utf_8_without_nan(tmp_path):
    path = tmp_path / "a.json"
    digest = files.write_json(path, {"name": "Zoë", "value": 0.1, "none": None})
    assert "Zoë" in path.read_text(encoding="utf-8") and digest == files.sha256(path)
    assert files.read_json(path) == {"name": "Zoë", "value": 0.1, "none": None}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "b.json", {"dice": float("nan")})
    assert names(tmp_path) == ["a.json"]
    with pytest.raises(FileExistsError):
        files.write_json(path, {}, exclusive=True)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[1, 2"], ids=repr)
def test_unreadable_json_is_one_sentence_that_names_the_file(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="readable JSON"):
        files.read_json(path)
    with pytest.raises(InputError, match="does not exist"):
        files.read_json(tmp_path / "none.json")


def test_only_stale_temporary_files_of_this_project_are_swept(tmp_path):
    old = time.time() - 7200
    inner = tmp_path / "inner"
    inner.mkdir()
    stale = inner / ".cspineseg.0123456789ab.cspineseg-tmp"
    fresh = inner / ".cspineseg.0123456789ac.cspineseg-tmp"
    others = [inner / name for name in ("a.tmp", ".cspineseg.zz.cspineseg-tmp", "x.cspineseg-tmp", "mask.nii.gz")]
    for path in (stale, fresh, *others):
        path.write_bytes(NEW)
        os.utime(path, (old, old))
    os.utime(fresh)
    assert files.sweep(tmp_path) == [stale]
    assert names(tmp_path) == sorted(path.name for path in (fresh, *others))
    assert files.sweep(tmp_path / "none") == []


def test_what_a_killed_writer_leaves_is_what_the_sweep_removes(target, monkeypatch):
    """os._exit cannot be survived in this process, so the clean-up is what is taken away here."""
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        files.write_verified(target, NEW)
    monkeypatch.undo()
    left = [path for path in target.parent.iterdir() if path != target]
    assert len(left) == 1 and left[0].read_bytes() == NEW
    assert files.sweep(target.parent) == []
    assert files.sweep(target.parent, older_than=0.0) == left
    assert target.read_bytes() == OLD


def test_a_failed_write_takes_the_folders_away_that_it_made(tmp_path):
    def refuse(_path):
        raise WriteError("Not what was meant.")

    with pytest.raises(WriteError):
        files.write_verified(tmp_path / "new" / "deeper" / "a.bin", b"x", refuse)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept").mkdir()
    with pytest.raises(WriteError):
        files.write_verified(tmp_path / "kept" / "new" / "a.bin", b"x", refuse)
    assert [path.name for path in tmp_path.rglob("*")] == ["kept"]


def test_json_with_the_mark_that_windows_editors_put_first_is_read(tmp_path):
    path = tmp_path / "splits_final.json"
    path.write_bytes(b"\xef\xbb\xbf" + b'[{"train": [], "val": []}]')
    assert files.read_json(path) == [{"train": [], "val": []}]
