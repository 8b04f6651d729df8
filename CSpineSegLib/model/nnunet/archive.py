"""A model of nnU-Net as it comes: an exported zip, or a results folder. Files are read one by one, none is unpacked.

Every name and size in a zip is checked before anything is read, though nothing is ever written under such a name: a
zip with a way out of its folder, a link or a bomb in it was not made by nnU-Net, and is not to be trusted in the rest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Protocol

from ...errors import InputError, ModelError
from ...progress import Progress

# The largest plans of nnU-Net make checkpoints of 1.2 GB; five folds of four configurations are 24 GB.
MOST_MEMBERS = 100_000
MOST_BYTES = 64 * 2**30
MOST_CHECKPOINT = 8 * 2**30
MOST_JSON = 64 * 2**20
# Trained weights hardly shrink, and deflation cannot shrink anything by more than 1032. Small files may.
MOST_RATIO, FREE_OF_RATIO = 100, 64 * 2**20
_CHUNK = 16 * 2**20
_LITTER = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"}


class Members(Protocol):
    """The files of a source. `name` names it in sentences; `sizes` is {path within it, with "/": bytes}."""

    name: str
    sizes: dict[str, int]

    def checkpoint(self, member: str, progress: Progress) -> bytes | Path:
        """A checkpoint's bytes, or its file if it lies on disk already."""

    def text(self, member: str) -> bytes:
        """The bytes of a small file."""

    def sha256(self, used: list[str], progress: Progress) -> str:
        """Of the zip itself; of a folder, of the list of its files that were used and their SHA-256."""


@contextlib.contextmanager
def open_source(path: Path | str) -> Iterator[Members]:
    """The files of a zip or a folder.

    Raises
    ------
    InputError : there is no such file or folder.
    ModelError : not a zip, damaged, or with members that no export of nnU-Net has.
    """
    path = Path(path)
    if path.is_dir():
        yield _Folder(path)
        return
    if not path.exists():
        raise InputError(f"{path} does not exist; name a zip that nnU-Net exported, or a results folder.")
    try:
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}).") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, NotImplementedError):
        raise ModelError(_no_zip(path)) from None
    with archive:
        yield _Zip(path, archive)


def read_json(members: Members, member: str) -> dict[str, Any]:
    """A table of names and values from a JSON file of a source; ModelError names the file."""
    try:
        content = json.loads(members.text(member).decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{member} in {members.name} is not a readable JSON file ({error}).") from None
    if not isinstance(content, dict):
        raise ModelError(f"{member} in {members.name} does not hold a table of names and values; export it again.")
    return content


class _Folder:
    """Files of a folder; links are followed, because results of a cluster are often linked, but no folder twice."""

    def __init__(self, folder: Path) -> None:
        self.name, self.sizes, self._folder = str(folder), {}, folder
        seen: set[str] = set()
        for place, folders, names in os.walk(folder, followlinks=True):
            real = os.path.realpath(place)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            for name in sorted(names):
                with contextlib.suppress(OSError):
                    path = Path(place, name)
                    self.sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
            if len(self.sizes) > MOST_MEMBERS:
                raise ModelError(f"{folder} holds over {MOST_MEMBERS:,} files; name the model's own folder in it.")

    def checkpoint(self, member: str, progress: Progress) -> Path:
        _limit(self, member, MOST_CHECKPOINT)
        return self._folder / member

    def text(self, member: str) -> bytes:
        _limit(self, member, MOST_JSON)
        try:
            return (self._folder / member).read_bytes()
        except OSError as error:
            raise ModelError(f"{self._folder / member} cannot be read ({error.strerror or error}).") from None

    def sha256(self, used: list[str], progress: Progress) -> str:
        lines = []
        for index, member in enumerate(sorted(used)):
            digest = _digest(self._folder / member, progress.part(index / len(used), (index + 1) / len(used)))
            lines.append(f"{digest}  {member}\n")
        return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


class _Zip:
    """Members of a zip, all of which were checked."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.name, self._path, self._archive = str(path), path, archive
        self._infos: dict[str, zipfile.ZipInfo] = {}
        infos = archive.infolist()
        if len(infos) > MOST_MEMBERS:
            raise ModelError(f"{path} holds {len(infos):,} files, over the limit of {MOST_MEMBERS:,}; it is refused.")
        total = sum(info.file_size for info in infos)
        if total > MOST_BYTES:
            raise ModelError(
                f"{path} would unpack to {total / 2**30:.0f} GB, over the limit of {MOST_BYTES // 2**30} GB; "
                "it is refused."
            )
        seen: set[str] = set()
        for info in infos:
            fault = _fault(info, seen)
            if fault is not None:
                raise ModelError(f"{path} holds {info.orig_filename[:120]!r}, {fault}; nnU-Net exports no such zip.")
            seen.add(info.filename)
            if not info.is_dir() and not _LITTER & set(PurePosixPath(info.filename).parts):
                self._infos[info.filename] = info
        self.sizes = {name: info.file_size for name, info in self._infos.items()}

    def checkpoint(self, member: str, progress: Progress) -> bytes:
        _limit(self, member, MOST_CHECKPOINT)
        return self._read(member, progress)

    def text(self, member: str) -> bytes:
        _limit(self, member, MOST_JSON)
        return self._read(member, Progress())

    def sha256(self, used: list[str], progress: Progress) -> str:
        return _digest(self._path, progress)

    def _read(self, member: str, progress: Progress) -> bytes:
        info = self._infos[member]
        data = bytearray()
        try:
            with self._archive.open(info) as stream:
                while chunk := stream.read(_CHUNK):
                    data += chunk
                    progress.update("Reading weights", len(data) / max(info.file_size, 1), member)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise ModelError(f"{member} in {self.name} is damaged ({error}); copy or download it again.") from None
        if len(data) != info.file_size:
            raise ModelError(f"{member} in {self.name} is damaged (it ends too soon); copy or download it again.")
        return bytes(data)


def _fault(info: zipfile.ZipInfo, seen: set[str]) -> str | None:
    """What is wrong with a member of a zip, or None."""
    # The name as stored: zipfile cuts it off at a NUL and, on Windows, turns backslashes.
    name, mode = info.orig_filename, info.external_attr >> 16
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name) or not name:
        return "a name with control characters"
    if "\\" in name:
        return "a name with backslashes"
    if name.startswith("/") or PureWindowsPath(name).drive:
        return "an absolute path"
    if ".." in PurePosixPath(name).parts:
        return "a path that leads out of its folder"
    if info.filename in seen:
        return "a name that is there twice"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or a special file"
    if info.flag_bits & 0x1:
        return "an encrypted file"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "a file compressed by another method than deflation"
    if info.file_size > FREE_OF_RATIO and info.file_size > MOST_RATIO * info.compress_size:
        return f"a file that would unpack to over {MOST_RATIO} times its size"
    return None


def _limit(members: Members, member: str, most: int) -> None:
    size = members.sizes[member]
    if size > most:
        raise ModelError(
            f"{member} in {members.name} has {size / 2**20:,.0f} MB, over the limit of {most / 2**20:,.0f} MB."
        )


def _digest(path: Path, progress: Progress) -> str:
    """SHA-256 of a file, with progress."""
    digest, done = hashlib.sha256(), 0
    try:
        size = max(path.stat().st_size, 1)
        with open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                done += len(chunk)
                progress.update("Checking the file", done / size, path.name)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}).") from None
    return digest.hexdigest()


def _no_zip(path: Path) -> str:
    with open(path, "rb") as stream:
        start = stream.read(4)
    if start == b"PK\x03\x04":
        return f"{path} is a zip that is damaged or not complete; copy or download it again."
    return f"{path} is not a zip; name one that nnUNetv2_export_model_to_zip made, or a results folder."
