"""What an edit was made from, as it was when the edit began; the file itself may have changed or gone since."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import anatomy, files, volume
from ..dataset.exam import Exam
from ..errors import CSpineSegError, InputError
from ..volume import Volume
from . import masks, records
from .masks import Mask
from .records import Revision

_REVISION = re.compile(r"r([0-9]{1,9})")


@dataclass(frozen=True, eq=False)
class Origin:
    """The mask that an edit began from. `Origin()` is none at all: drawn from nothing.

    Parameters
    ----------
    path : the file.
    sha256 : of the file when the edit began.
    revision : the revision that it is, if it is one.
    model : name and SHA-256 of the model behind it, if one is known.
    voxels : the mask on its own grid; None if it could not be read, which `problem` explains.
    """

    path: Path | None = None
    sha256: str | None = None
    revision: Revision | None = None
    model: tuple[str, str] | None = None
    voxels: Volume | None = field(default=None, repr=False)
    problem: str = ""

    @property
    def number(self) -> int:
        """Number of the revision; 0 if it is none."""
        return self.revision.number if self.revision is not None else 0


def of_mask(exam: Exam, mask: Mask | None) -> Origin:
    """The origin of an edit that begins now from this mask; None: from nothing."""
    return Origin() if mask is None else of_file(exam, mask.path)


def of_file(exam: Exam, path: Path) -> Origin:
    """The origin of an edit that begins now from this file.

    Raises
    ------
    InputError : there is no such file, or it changes while it is read.
    """
    path = Path(path)
    digest = _hash(path)
    voxels, problem = None, ""
    try:
        voxels = volume.read_mask(path, anatomy.LABELS)
    except CSpineSegError as error:
        problem = str(error)
    if _hash(path) != digest:
        raise InputError(f"{path} changed while it was read; try again once nobody writes it.")
    revision = _revision(exam, path, digest)
    model = next((masks.model_of(exam, name) for name in _models_at(exam, path)), None)
    return Origin(path, digest, revision, _model(revision) if revision else model, voxels, problem)


def of_saved(revision: Revision, mask: Volume) -> Origin:
    """The origin of an edit that goes on from a revision just saved with this mask."""
    return Origin(revision.mask, revision.sha256, revision, _model(revision), mask)


def of_overwritten(exam: Exam, path: Path) -> Origin | None:
    """The prediction that a person edited in place, as its record describes it; None if this file is no such edit.

    Its voxels are gone, so nothing can be compared with it.
    """
    for name in masks.edited_predictions(exam):
        target = exam.predicted(name)
        if target.resolve() == path.resolve():
            digest = files.read_json(exam.predicted_record(name))["mask"]["sha256"]
            problem = f"{target} was edited in place, so the model's own mask is no longer on disk."
            return Origin(target, digest, None, masks.model_of(exam, name, edited=True), None, problem)
    return None


def named(exam: Exam, text: Path | str) -> Origin:
    """The origin that a user names: a file, or a revision as r3 or r003.

    Raises
    ------
    InputError : there is no such file or no such complete revision.
    """
    match = _REVISION.fullmatch(str(text))
    if match is None or Path(text).is_file():
        return of_file(exam, Path(text))
    for revision in records.history(exam):
        if revision.number == int(match[1]):
            return of_file(exam, revision.mask)
    raise InputError(f"{exam.stem} has no complete revision {text}; 'cspineseg show' lists them.")


def reference(exam: Exam, origin: Origin) -> dict[str, Any] | None:
    """A file as provenance names it: relative to the dataset, because an absolute path can hold a person's name.

    A file outside the dataset is known by its SHA-256 alone, for the same reason. None: no file.
    """
    if origin.path is None:
        return None
    root = exam.processed.resolve().parent
    path = origin.path.resolve()
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else None
    return {"file": name, "sha256": origin.sha256, "revision": origin.number or None}


def changed(origin: Origin) -> list[str]:
    """A sentence if the file is no longer what the edit began from."""
    if origin.path is None or origin.voxels is None:
        return []
    try:
        same = files.sha256(origin.path) == origin.sha256
    except OSError:
        same = False
    sentence = f"{origin.path} changed after this work began from it; provenance and figures name it as it was then."
    return [] if same else [sentence]


def _model(revision: Revision) -> tuple[str, str] | None:
    known = revision.content.get("model")
    return (known["name"], known["sha256"]) if known else None


def _revision(exam: Exam, path: Path, digest: str) -> Revision | None:
    """The complete revision that this file is, or of which it is the copy in `corrected/`."""
    place = path.resolve()
    copied = place == exam.corrected_mask.resolve()
    for revision in reversed(records.history(exam)):
        if revision.sha256 == digest and (copied or revision.mask.resolve() == place):
            return revision
    return None


def _models_at(exam: Exam, path: Path) -> list[str]:
    """Name of the model whose prediction of the exam lies at `path`, as a list of one or none."""
    folder = path.resolve().parent
    return [folder.name] if exam.predicted(folder.name).resolve() == path.resolve() else []


def _hash(path: Path) -> str:
    try:
        return files.sha256(path)
    except FileNotFoundError:
        raise InputError(f"{path}, which the editing began from, does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from None
