"""One look at the folders of a review, and the folders that are never written."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..dataset.exam import Exam
from ..dataset.folders import PARTS
from ..errors import InputError, WriteError

_REVISION = re.compile(r"(?P<stem>.+)_SEG\.r(?P<number>[0-9]{3,})\.(?P<kind>nii\.gz|json)")
_EVENT = re.compile(r"(?P<stem>.+)\.(?P<time>[0-9]{8}T[0-9]{6}\.[0-9]{6}Z)-(?P<token>[0-9a-f]{8})\.json")
_MASK = re.compile(r"(?P<stem>.+)_SEG\.nii\.gz")
_QUALITY = re.compile(r"(?P<stem>.+)_quality\.json")
_SOURCES = ("raw", "extracted")


@dataclass
class Found:
    """What lies on disk under the number of a revision; None where the file is missing.

    `size` (bytes) and `modified` (seconds since 1970) are the mask's.
    """

    number: int
    mask: Path | None = None
    record: Path | None = None
    size: int = 0
    modified: float = 0.0


def same_name(text: str) -> str:
    """A file name in the form in which names are compared: some file systems decompose accents on their own."""
    return unicodedata.normalize("NFC", text)


def scan_revisions(folder: Path, only: str | None = None) -> dict[str, dict[int, Found]]:
    """Exam stem -> revision number -> files, whether complete or not, from one look at the folder.

    only : leave out all exams but this one.
    """
    found: dict[str, dict[int, Found]] = {}
    wanted = None if only is None else same_name(only)
    for entry in _entries(folder):
        name = same_name(entry.name)
        match = _REVISION.fullmatch(name) if wanted is None or name.startswith(wanted) else None
        if match is None or wanted not in (None, match["stem"]):
            continue
        number = int(match["number"])
        files = found.setdefault(match["stem"], {}).setdefault(number, Found(number))
        if match["kind"] == "json":
            files.record = Path(entry.path)
            continue
        # A failed writer takes its claim back at any time; then the name counts as not there.
        with contextlib.suppress(FileNotFoundError):
            status = entry.stat()
            files.mask, files.size, files.modified = Path(entry.path), status.st_size, status.st_mtime
    return found


def revisions_of(exam: Exam) -> dict[int, Found]:
    """Revision number -> files of one exam, in the order of the numbers."""
    found = scan_revisions(exam.revisions_folder, exam.stem).get(same_name(exam.stem), {})
    return dict(sorted(found.items()))


def scan_events(folder: Path) -> dict[str, list[Path]]:
    """Exam stem -> files of its events, oldest first."""
    found: dict[str, list[tuple[str, Path]]] = {}
    for entry in _entries(folder):
        match = _EVENT.fullmatch(same_name(entry.name))
        if match:
            found.setdefault(match["stem"], []).append((match["time"] + match["token"], Path(entry.path)))
    return {stem: [path for _, path in sorted(events)] for stem, events in found.items()}


def scan_predictions(folder: Path) -> set[str]:
    """Stems of the exams that any model has segmented; `folder` holds a folder for each model."""
    names = (same_name(entry.name) for model in _entries(folder) for entry in _entries(Path(model.path)))
    return {match["stem"] for match in map(_MASK.fullmatch, names) if match}


def scan_qualities(folder: Path, only: str | None = None) -> dict[str, Path]:
    """Exam stem -> the latest file with a model's predicted Dice; `folder` as for :func:`scan_predictions`.

    only : leave out all exams but this one.
    """
    found: dict[str, tuple[float, Path]] = {}
    wanted = None if only is None else same_name(only)
    for model in _entries(folder):
        for entry in _entries(Path(model.path)):
            match = _QUALITY.fullmatch(same_name(entry.name))
            if match and wanted in (None, match["stem"]):
                # A prediction that is being renewed takes its quality away at any time.
                with contextlib.suppress(FileNotFoundError):
                    latest = (entry.stat().st_mtime, Path(entry.path))
                    found[match["stem"]] = max(latest, found.get(match["stem"], latest))
    return {stem: path for stem, (_, path) in found.items()}


def models_of(exam: Exam) -> list[str]:
    """Names of the models that have segmented an exam; the last one wrote last."""
    found = []
    for model in _entries(exam.processed / "predicted"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found.append((exam.predicted(model.name).stat().st_mtime, model.name))
    return [name for _, name in sorted(found)]


def check_targets(targets: Iterable[Path], sources: Iterable[Path | None] = ()) -> None:
    """WriteError if a target lies under a dataset's `raw/` or `extracted/`, or is one of the source files itself."""
    originals = {path.resolve() for path in sources if path is not None}
    for target in targets:
        resolved = target.resolve()
        if resolved in originals:
            raise WriteError(f"{target} is a source file of the exam, never written; choose another output folder.")
        for folder in resolved.parents:
            if folder.name.lower() in _SOURCES and _is_dataset(folder.parent):
                raise WriteError(
                    f"{target} lies in {folder}, which holds the released dataset and is never written; "
                    "choose another output folder."
                )


def _is_dataset(folder: Path) -> bool:
    return any((folder / "extracted" / part).is_dir() or (folder / "raw" / f"{part}.zip").is_file() for part in PARTS)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder; none if it is missing or no folder, InputError if it may not be listed."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise InputError(f"{folder} cannot be listed ({error.strerror or error}); check its permissions.") from None
