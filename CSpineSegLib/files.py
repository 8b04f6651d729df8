"""The one way in which this project writes: to a temporary file beside the target, read back, then renamed.

A reader therefore never sees half a file, a kill at any moment leaves the former file or the new one, and what
cannot be verified is removed again. Works on Linux, Windows and macOS.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import InputError, WriteError

_TEMPORARY = re.compile(r"^\.cspineseg\.[0-9a-f]{12}\.cspineseg-tmp$")
_TEMPORARY_FOLDER = re.compile(r"^\.cspineseg\.[0-9a-f]{12}\.cspineseg-folder$")
STALE_SECONDS = 3600.0
_OWNERS = {os.getpid(): secrets.token_hex(4)}
_COUNT = itertools.count()
MAX_NAME_BYTES = 255


def sha256(path: Path | str) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_verified(
    path: Path | str,
    data: bytes,
    verify: Callable[[Path], None] | None = None,
    *,
    exclusive: bool = False,
) -> str:
    """Write `data` to `path` atomically and return its SHA-256.

    Parameters
    ----------
    path : the target; its folder is made if it is missing.
    data : the whole content.
    verify : called with the temporary file; it raises if the content is not what it should be.
        The bytes themselves are always compared.
    exclusive : do not replace an existing file; FileExistsError then, and nothing changes.

    Raises
    ------
    WriteError : the folder cannot be written, the disk is full, or what was read back differs.
    InputError : the file's name is over 255 bytes.
    FileExistsError : only with `exclusive`.
    """
    path = Path(path)
    check_name(path)
    # Short and independent of the target, so that a target of 255 bytes still has a valid temporary neighbour.
    temporary = path.parent / f".cspineseg.{owner()}{next(_COUNT) % 65536:04x}.cspineseg-tmp"
    with _explained(path):
        made = [folder for folder in path.parents if not folder.exists()]
    done = claimed = False
    try:
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if exclusive:
            with _explained(path, FileExistsError):
                claim(path)
            claimed = True
        with _explained(path):
            _write_bytes(temporary, data)
            if temporary.read_bytes() != data:
                raise WriteError(f"{path} did not read back as it was written; check the disk. Nothing was kept.")
            if verify is not None:
                verify(temporary)
            _replace(temporary, path)
        done = True
    finally:
        if not done:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                temporary.unlink()
            if claimed:
                path.unlink(missing_ok=True)
            # Folders that were made for this file alone go too; one that somebody else uses by now is not empty.
            with contextlib.suppress(OSError):
                for folder in made:
                    folder.rmdir()
    _sync_folder(path.parent)
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def _explained(path: Path, *passed: type[OSError]) -> Iterator[None]:
    """Turn an OSError, except those in `passed`, into the sentence of a WriteError."""
    try:
        yield
    except passed:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(
            f"{path} could not be written ({reason}); free space or choose a folder that can be written to."
        ) from error


def claim(path: Path | str) -> None:
    """Take a file name for oneself by exclusive creation of an empty file; FileExistsError if it is taken."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def write_json(path: Path | str, content: Any, *, exclusive: bool = False) -> str:
    """Write `content` as readable JSON (UTF-8, no NaN) like :func:`write_verified`; returns its SHA-256."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return write_verified(path, text.encode("utf-8"), exclusive=exclusive)


def read_json(path: Path | str) -> Any:
    """Content of a JSON file; InputError names the file if it cannot be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not a readable JSON file ({error}).") from None


def owner() -> str:
    """Eight digits with which the names of this process's temporary files begin: see :func:`sweep`."""
    return _OWNERS.setdefault(os.getpid(), secrets.token_hex(4))


def sweep(
    folder: Path | str, older_than: float = STALE_SECONDS, *, owned_by: str = "", deep: bool = True
) -> list[Path]:
    """Remove temporary files in `folder` that no living writer can own any more, and return them.

    A write takes seconds, so a temporary file untouched for `older_than` seconds was left by a killed process.

    Parameters
    ----------
    owned_by : only those of the process whose :func:`owner` it is; once that has ended, `older_than` can be 0.
    deep : also in the folders below.
    """
    removed = []
    limit = time.time() - older_than
    folder, pattern = Path(folder), f".cspineseg.{owned_by}*.cspineseg-tmp"
    for candidate in (folder.rglob if deep else folder.glob)(pattern) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if _TEMPORARY.match(candidate.name) and candidate.stat().st_mtime <= limit:
                candidate.unlink()
                removed.append(candidate)
    return removed


@contextlib.contextmanager
def build_folder(target: Path | str, *, replace: bool = False) -> Iterator[Path]:
    """A new empty folder beside `target` to write files into; when the block ends it takes the target's place.

    If the block raises, the new folder is removed and nothing else changes. A former target is removed only after the
    new one is in place. Folders that killed processes left beside the target more than an hour ago are removed.

    Parameters
    ----------
    target : the folder to be; its parent is made if it is missing.
    replace : whether it may exist already.

    Raises
    ------
    FileExistsError : it exists and `replace` is not set. WriteError : it could not be put in place.
    """
    target = Path(target)
    check_name(target)
    if not replace and os.path.lexists(target):
        raise FileExistsError(str(target))
    temporary, former = (target.parent / f".cspineseg.{secrets.token_hex(6)}.cspineseg-folder" for _ in range(2))
    made = [folder for folder in target.parents if not folder.exists()]
    done = False
    try:
        with _explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep_folders(target.parent)
            temporary.mkdir()
        yield temporary
        with _explained(target, FileExistsError):
            _exchange(temporary, target, former, replace)
        done = True
    finally:
        _remove_tree(temporary)
        _remove_tree(former)
        if not done:
            with contextlib.suppress(OSError):
                for folder in made:
                    folder.rmdir()
    _sync_folder(target.parent)


def remove_folder(target: Path | str) -> None:
    """Remove a folder with all that is in it: first its name, at once, then the rest. WriteError if it stays."""
    target = Path(target)
    former = target.parent / f".cspineseg.{secrets.token_hex(6)}.cspineseg-folder"
    try:
        _replace(target, former)
    except OSError as error:
        raise WriteError(f"{target} could not be removed ({error.strerror or error}); close what uses it.") from error
    _remove_tree(former)


def _exchange(temporary: Path, target: Path, former: Path, replace: bool) -> None:
    """Put `temporary` at `target`; what was there goes to `former`, and comes back if that fails."""
    moved = replace and os.path.lexists(target)
    if moved:
        _replace(target, former)
    elif os.path.lexists(target):
        raise FileExistsError(17, "it exists by now", str(target))
    try:
        _replace(temporary, target)
    except OSError:
        if moved:
            _replace(former, target)
        raise


def _sweep_folders(parent: Path) -> None:
    """Remove what killed processes left of :func:`build_folder`: folders in which nothing was written for an hour."""
    limit = time.time() - STALE_SECONDS
    for candidate in parent.iterdir():
        with contextlib.suppress(OSError):
            if _TEMPORARY_FOLDER.match(candidate.name) and all(
                path.lstat().st_mtime <= limit for path in (candidate, *candidate.rglob("*"))
            ):
                _remove_tree(candidate)


def _remove_tree(folder: Path) -> None:
    import shutil

    # What is left of a folder that was replaced, because somebody reads it, is swept later.
    shutil.rmtree(folder, ignore_errors=True)


def check_name(path: Path) -> None:
    """InputError if the last part of `path` is longer than file systems allow, or cannot be written in UTF-8."""
    try:
        size = len(path.name.encode("utf-8"))
    except UnicodeEncodeError:
        raise InputError(f"The file name {path.name!a} is not UTF-8; rename the file.") from None
    if size > MAX_NAME_BYTES:
        raise InputError(
            f"The file name {path.name[:40]}... has {size} bytes, over the {MAX_NAME_BYTES} of file systems; "
            "choose a shorter name."
        )


def _write_bytes(path: Path, data: bytes) -> None:
    with open(path, "xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _replace(temporary: Path, path: Path) -> None:
    """Rename over `path`; on Windows a virus scanner or viewer can hold it open for a moment."""
    for pause in (0.05, 0.2, 0.5, 1.0) if os.name == "nt" else ():
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(temporary, path)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable where the system lets a folder be flushed; Windows and some network drives do not."""
    if os.name == "nt":
        return
    # The file is in place and verified: a folder that cannot be flushed is no reason to call the write failed.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
