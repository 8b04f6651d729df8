"""Saving a mask as a new revision. Revisions are never overwritten, and nobody's work is lost.

The number is claimed by creating the mask's file exclusively; the mask is written first and the JSON, with the mask's
SHA-256, last. A revision counts once its JSON is there, so a process that is killed at any moment leaves the revisions
before it as they were, and at most a file that does not count.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from .. import anatomy, files, volume
from ..dataset.exam import Exam
from ..errors import CSpineSegError, InputError
from ..evaluation import DEFINITIONS, compare
from ..volume import Volume
from ..volume.nifti import as_mask
from . import derived, masks, origins, places, provenance, races
from .origins import Origin
from .people import annotator_name
from .records import FORMAT, SOURCES, STATUSES, Revision, format_time, history, latest, latest_accepted

__all__ = ["Revision", "history", "latest", "latest_accepted", "save", "sweep"]


def save(
    exam: Exam,
    mask: Volume,
    *,
    status: str,
    parent: Path | Origin | None = None,
    annotator: str | None = None,
    started: datetime | None = None,
    ended: datetime | None = None,
    active_seconds: float | None = None,
    model: tuple[str, str] | None = None,
    source: str | None = None,
    blind: bool = False,
    notes: str = "",
    software: Mapping[str, str] | None = None,
    taken_from: str | None = None,
) -> Revision:
    """Save a mask as the exam's next revision, then renew the metrics and, if it is accepted, the corrected mask.

    Parameters
    ----------
    mask : labels 0, 1 and 2 on the image's voxels; reordered or cropped on the same lattice, it is put back exactly.
    status : "unreviewed", "in review", "accepted" or "rejected".
    parent : what the editing began from. An :class:`origins.Origin` says how it was then, and `Origin()` that the
        mask was drawn from nothing; a file is taken as it is now; None: what :func:`masks.blind_start` gives.
    annotator : None takes the login name, see :func:`people.annotator_name`.
    started, ended : times with a zone; None: now. active_seconds : time spent editing, s; None: unknown.
    model : name and SHA-256 of the model behind the parent; None: as the parent says.
    source : "gold", "silver" or "unknown" for the exam's own mask; None: `exam.source`.
    blind : made without seeing other readers' revisions; the parent must not be one then, and nobody is named.
    software : further names and versions, for instance {"slicer": "5.13.0"}.
    taken_from : SHA-256 of the file that the mask was edited in, if that was outside.

    Returns
    -------
    The revision. Its `warnings` say what the user should know: that somebody else saved meanwhile (both revisions
    stay; `overlapping` has the numbers) or before and is not contained, that the parent's file changed, that the mask
    was reordered, or that the revision is safe but the metrics or the corrected mask could not be renewed.

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
    origin = _origin(exam, parent, blind, who)
    source_mask = _source(exam, origin)
    figures, warnings = _figures(placed, origin, source_mask)
    known_model = model or origin.model
    content = {
        "status": status,
        "source": source or exam.source,
        "parent": origins.reference(exam, origin),
        "source_mask": origins.reference(exam, source_mask),
        "model": {"name": known_model[0], "sha256": known_model[1]} if known_model is not None else None,
        "annotator": who,
        "blind": blind,
        "started": format_time(started or ended),
        "ended": format_time(ended),
        "active_seconds": float(active_seconds) if active_seconds is not None else None,
        "voxels_added": _per_structure(figures["against_parent"], "voxels_added"),
        "voxels_removed": _per_structure(figures["against_parent"], "voxels_removed"),
        "notes": notes,
        "taken_from_sha256": taken_from,
        "software": {**provenance.software(), **(software or {})},
        "metrics": figures,
    }
    revision = _write(exam, placed, content)
    if not np.any(placed.array):
        warnings.append("The saved mask is empty: no voxel is labelled.")
    warnings += origins.changed(origin)
    others: dict[int, str] = {}
    # A blind reader is not to know what others did.
    if not blind:
        others = races.overlapping(exam, origin, revision, started or ended)
        warnings += [*others.values(), *races.left_out(exam, origin, revision, started or ended)]
    try:
        sweep(exam)
        derived.refresh(exam)
    except (CSpineSegError, OSError) as error:
        warnings.append(f"Revision {revision.number} is saved, but what follows from it could not be renewed: {error}")
    return replace(revision, warnings=(*placed.warnings, *warnings), overlapping=tuple(others))


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
    status: str,
    source: str | None,
    active_seconds: float | None,
    started: datetime | None,
    ended: datetime | None,
) -> None:
    if status not in STATUSES:
        raise InputError(f"{status!r} is not a status; choose {', '.join(STATUSES)}.")
    if source is not None and source not in SOURCES:
        raise InputError(f"{source!r} is not a source; choose {', '.join(SOURCES)}.")
    if active_seconds is not None and not (np.isfinite(active_seconds) and active_seconds >= 0):
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


def _origin(exam: Exam, parent: Path | Origin | None, blind: bool, annotator: str) -> Origin:
    """What the editing began from; InputError if a blind reading began from another reader's work."""
    if isinstance(parent, Origin):
        origin = parent
    elif parent is None:
        origin = origins.of_mask(exam, masks.blind_start(exam))
    else:
        origin = origins.of_file(exam, parent)
    if not blind or origin.path is None:
        return origin
    own = origin.revision is not None and origin.revision.blind and origin.revision.annotator == annotator
    place = origin.path.resolve()
    if not own and (place == exam.corrected_mask.resolve() or place.parent == exam.revisions_folder.resolve()):
        raise InputError(
            f"{origin.path} is somebody's revision; a blind reading starts from the source mask or one's own reading."
        )
    return origin


def _source(exam: Exam, origin: Origin) -> Origin:
    """The source mask; for a mask drawn from nothing no prediction, because that came later."""
    start = masks.blind_start(exam) if origin.path is not None else masks.own_mask(exam)
    if start is not None and origin.path is not None and origin.path.resolve() == start.path.resolve():
        return origin
    return origins.of_mask(exam, start)


def _figures(mask: Volume, origin: Origin, source: Origin) -> tuple[dict[str, Any], list[str]]:
    """Metrics against the parent and against the source mask, and sentences on what could not be compared.

    A mask on disk that cannot be read keeps nobody from saving what they drew.
    """
    figures: dict[str, Any] = {"definitions": DEFINITIONS, "spacing_mm": [float(size) for size in mask.spacing]}
    figures["against_parent"], warnings = _against(mask, origin, "parent")
    if source.path is None:
        figures["against_source"] = None
    elif source is origin:
        figures["against_source"] = figures["against_parent"]
    else:
        figures["against_source"], more = _against(mask, source, "source")
        warnings += more
    return figures, warnings


def _against(mask: Volume, origin: Origin, name: str) -> tuple[dict[str, Any] | None, list[str]]:
    """Metrics of `mask` per structure against an origin, an empty mask if it is none; or a sentence why not."""
    reference = volume.like(mask, np.zeros_like(mask.array)) if origin.path is None else origin.voxels
    try:
        if reference is None:
            raise InputError(origin.problem)
        full = compare(reference, mask)
    except CSpineSegError as error:
        return None, [f"The metrics against the {name} are missing: {error}"]
    return {part.key: full[part.key] for part in anatomy.STRUCTURES}, []


def _per_structure(figures: dict[str, Any] | None, key: str) -> dict[str, int] | None:
    return {part.key: figures[part.key][key] for part in anatomy.STRUCTURES} if figures is not None else None
