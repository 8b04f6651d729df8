"""Saving a mask as a new revision. Revisions are never overwritten, and nobody's work is lost.

The number is claimed by creating the mask's file exclusively; the mask is written first and the JSON, with the mask's
SHA-256, last. A revision counts once its JSON is there, so a process that is killed at any moment leaves the revisions
before it as they were, and at most a file that does not count.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, anatomy, files, volume
from ..dataset.exam import Exam
from ..errors import CSpineSegError, InputError
from ..evaluation import DEFINITIONS, compare
from ..volume import Volume
from ..volume.nifti import as_mask
from . import derived, masks, places, records
from .people import annotator_name
from .records import FORMAT, SOURCES, STATUSES, Revision, format_time, history, latest, latest_accepted

__all__ = ["Revision", "history", "latest", "latest_accepted", "save", "sweep"]


def save(
    exam: Exam,
    mask: Volume,
    *,
    status: str,
    parent: Path | None = None,
    annotator: str | None = None,
    started: datetime | None = None,
    ended: datetime | None = None,
    active_seconds: float = 0.0,
    model: tuple[str, str] | None = None,
    source: str | None = None,
    blind: bool = False,
    notes: str = "",
    software: Mapping[str, str] | None = None,
) -> Revision:
    """Save a mask as the exam's next revision, then renew the metrics and, if it is accepted, the corrected mask.

    Parameters
    ----------
    mask : labels 0, 1 and 2 on the image's voxels; reordered or cropped on the same lattice, it is put back exactly.
    status : "unreviewed", "in review", "accepted" or "rejected".
    parent : the mask that the editing began from; None: what :func:`masks.blind_start` gives.
    annotator : None takes the login name, see :func:`people.annotator_name`.
    started, ended : times with a zone; None: now. active_seconds : time spent editing, s.
    model : name and SHA-256 of the model behind the parent; None: as the parent revision says.
    source : "gold", "silver" or "unknown" for the exam's own mask; None: `exam.source`.
    blind : made without seeing other revisions; the parent must not be one then, and no other reader is named.
    software : further names and versions, for instance {"slicer": "5.13.0"}.

    Returns
    -------
    The revision. Its `warnings` say what the user should know: that somebody else saved meanwhile (both revisions
    stay; `overlapping` has the numbers), that the mask was reordered, or that the revision is safe but the metrics or
    the corrected mask could not be renewed.

    Raises
    ------
    InputError, GeometryError : the mask or what is said about it cannot be used.
    WriteError : it cannot be written. In every case nothing is left behind and nothing is lost.
    """
    _check_words(status, source, active_seconds, started, ended)
    targets = [exam.revisions_folder, exam.corrected_mask, exam.metrics_path]
    places.check_targets(targets, [exam.image, exam.mask])
    who = annotator_name(annotator)
    ended = ended or datetime.now(UTC)
    placed = _place(exam, mask)
    origin, start = _origin(exam, parent, blind), masks.blind_start(exam)
    before = origin.revision.number if origin is not None and origin.revision is not None else 0
    figures, warnings = _figures(placed, origin, start)
    content = {
        "status": status,
        "source": source or exam.source,
        "parent": _reference(exam, origin),
        "source_mask": _reference(exam, start),
        "model": _model(origin, model),
        "annotator": who,
        "blind": blind,
        "started": format_time(started or ended),
        "ended": format_time(ended),
        "active_seconds": float(active_seconds),
        "voxels_added": _per_structure(figures["against_parent"], "voxels_added"),
        "voxels_removed": _per_structure(figures["against_parent"], "voxels_removed"),
        "notes": notes,
        "software": {**_software(), **(software or {})},
        "metrics": figures,
    }
    revision = _write(exam, placed, content)
    if not np.any(placed.array):
        warnings.append("The saved mask is empty: no voxel is labelled.")
    others = () if blind else _overlapping(exam, before, revision.number)
    warnings += [_about(exam, number, before, revision.number) for number in others]
    try:
        sweep(exam)
        derived.refresh(exam)
    except (CSpineSegError, OSError) as error:
        warnings.append(f"Revision {revision.number} is saved, but what follows from it could not be renewed: {error}")
    return replace(revision, warnings=(*placed.warnings, *warnings), overlapping=others)


def sweep(exam: Exam) -> list[Path]:
    """Remove temporary files and empty claims that killed processes left over an hour ago; returns what was removed.

    Files that hold anything stay. An empty claim stays too while no later revision is complete, so that its number is
    never given out twice.
    """
    removed = files.sweep(exam.processed / "corrected") + files.sweep(exam.metrics_path.parent)
    newest = latest(exam)
    for found in places.revisions_of(exam).values():
        stale = time.time() - found.modified > files.STALE_SECONDS
        below = newest is not None and found.number < newest.number
        if found.mask is not None and found.size == 0 and found.record is None and stale and below:
            found.mask.unlink(missing_ok=True)
            removed.append(found.mask)
    return removed


def _write(exam: Exam, mask: Volume, content: dict[str, Any]) -> Revision:
    """Claim a number, write the mask, then the JSON; if that fails, take the mask back."""
    number, digest = _write_mask(exam, mask)
    path, record = exam.revision(number), exam.revision_record(number)
    done = False
    try:
        stated = {"file": path.name, "sha256": digest, "bytes": path.stat().st_size}
        saved = format_time(datetime.now(UTC))
        identity = {"format": FORMAT, "format_version": 1, "exam": exam.stem, "revision": number, "saved": saved}
        full = {**identity, "mask": stated, **content}
        files.write_json(record, full)
        done = True
    finally:
        if not done:
            # The error that led here is the one to report; without its JSON the mask does not count anyway.
            with contextlib.suppress(OSError):
                record.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
    return Revision(number, path, record, full)


def _write_mask(exam: Exam, mask: Volume) -> tuple[int, str]:
    number = 0
    while True:
        number = max(number, *places.revisions_of(exam), 0) + 1
        try:
            return number, volume.write(mask, exam.revision(number), allowed=anatomy.LABELS, exclusive=True)
        except FileExistsError:
            continue


def _check_words(
    status: str, source: str | None, active_seconds: float, started: datetime | None, ended: datetime | None
) -> None:
    if status not in STATUSES:
        raise InputError(f"{status!r} is not a status; choose {', '.join(STATUSES)}.")
    if source is not None and source not in SOURCES:
        raise InputError(f"{source!r} is not a source; choose {', '.join(SOURCES)}.")
    if not np.isfinite(active_seconds) or active_seconds < 0:
        raise InputError(f"{active_seconds} is not a time spent editing; give seconds, zero or more.")
    for moment in (started, ended):
        if moment is not None:
            format_time(moment)
    if started is not None and ended is not None and ended < started:
        raise InputError(f"The work cannot have ended ({ended}) before it started ({started}).")


def _place(exam: Exam, mask: Volume) -> Volume:
    """The mask as uint8 on the grid and header of the exam's image (without an image: of its own mask)."""
    labels = as_mask(mask, anatomy.LABELS)
    reference = exam.image or exam.mask
    if reference is None:
        raise InputError(f"{exam.stem} has no image on disk, so a mask of it cannot be checked; restore the image.")
    return volume.conform(labels, volume.read(reference))


def _origin(exam: Exam, parent: Path | None, blind: bool) -> masks.Mask | None:
    """What the editing began from."""
    if parent is None:
        return masks.blind_start(exam)
    parent = Path(parent)
    if not parent.is_file():
        raise InputError(f"{parent}, which the editing began from, does not exist.")
    place = parent.resolve()
    copied = place == exam.corrected_mask.resolve()
    if blind and (copied or place.parent == exam.revisions_folder.resolve()):
        raise InputError(f"{parent} is somebody's revision; a blind reading starts from the source mask.")
    digest = files.sha256(parent)
    for revision in reversed(records.history(exam)):
        if revision.sha256 == digest and (copied or revision.mask.resolve() == place):
            return masks.Mask(parent, "revision", revision)
    return masks.Mask(parent, "file")


def _model(origin: masks.Mask | None, model: tuple[str, str] | None) -> dict[str, str] | None:
    if model is not None:
        return {"name": model[0], "sha256": model[1]}
    if origin is not None and origin.revision is not None:
        return origin.revision.content.get("model")
    return None


def _reference(exam: Exam, origin: masks.Mask | None) -> dict[str, Any] | None:
    """A file as provenance names it: relative to the dataset, because an absolute path can hold a person's name."""
    if origin is None:
        return None
    root = exam.processed.resolve().parent
    path = origin.path.resolve()
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    number = origin.revision.number if origin.revision is not None else None
    return {"file": name, "sha256": files.sha256(origin.path), "revision": number}


def _figures(mask: Volume, origin: masks.Mask | None, start: masks.Mask | None) -> tuple[dict[str, Any], list[str]]:
    """Metrics against the parent and against the source mask, and sentences on what could not be compared.

    A mask on disk that cannot be read keeps nobody from saving what they drew.
    """
    figures: dict[str, Any] = {"definitions": DEFINITIONS, "spacing_mm": [float(size) for size in mask.spacing]}
    warnings = []
    for key, reference in {"against_parent": origin, "against_source": start}.items():
        figures[key] = None
        if key == "against_source" and (start is None or (origin is not None and origin.path == start.path)):
            figures[key] = figures["against_parent"] if start is not None else None
            continue
        try:
            full = compare(_read_or_empty(reference, mask), mask)
            figures[key] = {part.key: full[part.key] for part in anatomy.STRUCTURES}
        except CSpineSegError as error:
            warnings.append(f"The metrics {key.replace('_', ' the ')} are missing: {error}")
    return figures, warnings


def _read_or_empty(origin: masks.Mask | None, mask: Volume) -> Volume:
    if origin is None:
        return volume.like(mask, np.zeros_like(mask.array))
    return volume.read_mask(origin.path, anatomy.LABELS)


def _per_structure(figures: dict[str, Any] | None, key: str) -> dict[str, int] | None:
    return {part.key: figures[part.key][key] for part in anatomy.STRUCTURES} if figures is not None else None


def _software() -> dict[str, str]:
    import nibabel
    import scipy

    return {
        "cspineseg": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "nibabel": nibabel.__version__,
    }


def _overlapping(exam: Exam, before: int, number: int) -> tuple[int, ...]:
    """Numbers of revisions, complete or under way, between the parent and this one."""
    found = places.revisions_of(exam)
    recent = time.time() - files.STALE_SECONDS
    return tuple(
        other
        for other in found
        if before < other < number and (found[other].record is not None or found[other].modified > recent)
    )


def _about(exam: Exam, other: int, before: int, number: int) -> str:
    found = places.revisions_of(exam).get(other)
    revision = records.load(found, verify=False) if found is not None else None
    who = f" by {revision.annotator}" if isinstance(revision, Revision) else ""
    began = f"revision {before}" if before else "the source mask"
    return (
        f"Revision {other}{who} was saved while this work went on from {began}; yours is revision {number}, "
        "neither contains the other's changes, so compare them."
    )
