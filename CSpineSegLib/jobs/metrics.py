"""One mask compared with another: of an exam, or of two files; with levels, if they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import volume
from ..dataset import Exam
from ..errors import InputError
from ..evaluation import compare
from ..review import masks
from ..spine import Labelling
from ..spine import levels as finding
from ..volume import Volume
from . import level_files

Anchor = tuple[str, Sequence[float]]
# From which IoU on an element counts as detected, unless somebody says otherwise.
IOU = 0.5
CONVENTIONS, SURFACES = ("zhou2025",), ("elements", "voxels")


def exam_metrics(exam: Exam, **options: Any) -> dict[str, Any]:
    """The best mask of an exam compared with the mask that it came with (without one: with the model's).

    Parameters
    ----------
    options : see :func:`mask_metrics`. Levels count from the anchor that was given for the exam, if one was.

    Raises
    ------
    InputError : the exam does not have two masks to compare, one of them cannot be used, or an option is none.
    """
    best, reference = masks.best_mask(exam), masks.blind_start(exam)
    if best is None or reference is None:
        raise InputError(f"{exam.stem} has no mask yet; segment it first.")
    return {
        "exam": exam.stem,
        "reference": str(reference.path),
        "mask": str(best.path),
        "kind": best.kind,
        **mask_metrics(
            volume.read_mask(reference.path), volume.read_mask(best.path), anchor=kept_anchor(exam), **options
        ),
    }


def file_metrics(reference: Path, candidate: Path, **options: Any) -> dict[str, Any]:
    """The same of two mask files outside any dataset.

    Raises
    ------
    InputError : one of them cannot be used, or an option is none. GeometryError : they lie on different voxels.
    """
    found = mask_metrics(volume.read_mask(reference), volume.read_mask(candidate), **options)
    return {"reference": str(reference), "mask": str(candidate), **found}


def mask_metrics(
    reference: Volume,
    candidate: Volume,
    *,
    levels: bool = False,
    anchor: Anchor | None = None,
    iou: float | None = None,
    surface: str | None = None,
    convention: str | None = None,
) -> dict[str, Any]:
    """All figures of two masks, ready for JSON; see :func:`evaluation.compare`.

    Parameters
    ----------
    reference, candidate : label images (0 background, 1 bodies, 2 discs); the candidate may be stored another way.
    levels : find the levels of both, and compare level by level.
    anchor : a level and a point (3,) RAS mm in it. A mask that has nothing there is named without it, and `notes` say
        so.
    iou : from which IoU on an element counts as detected, .5 if None.
    surface : "elements" (if None) or "voxels".
    convention : "zhou2025" for the figures of the dataset's paper and nothing else.

    Returns
    -------
    What `compare` gives and `notes`, sentences; with `levels` also `labellings`, what the names of each side rest on.

    Raises
    ------
    InputError : an option is none, or two exclude each other. GeometryError : the masks lie on different voxels.
    """
    _check(levels, iou, surface, convention)
    placed = volume.conform(candidate, reference)
    notes = [*reference.warnings, *placed.warnings]
    found: dict[str, Any] = {}
    labellings = None
    if levels:
        labellings, about, more = _labelled(reference, placed, anchor)
        found["labellings"] = about
        notes += more
    if convention and reference.sagittal_axis != 2:
        notes.append(
            f"{reference.path or 'The reference'} is stored as {reference.orientation}: its last axis is not across "
            "sagittal slices, and these are not the figures of the paper, whose masks are stored as PSR."
        )
    compared = compare(
        reference,
        placed,
        labellings=labellings,
        iou=IOU if iou is None else iou,
        surface=surface or SURFACES[0],
        convention=convention,
    )
    return {**compared, **found, "notes": list(dict.fromkeys(notes))}


def kept_anchor(exam: Exam) -> Anchor | None:
    """The anchor that somebody gave for an exam's levels; None if nobody did."""
    known = level_files.read(level_files.of_exam(exam), force=True)
    anchor = known["anchor"] if known else None
    return None if anchor is None else (anchor["level"], anchor["point_mm"])


def _check(levels: bool, iou: float | None, surface: str | None, convention: str | None) -> None:
    """InputError if these ask for what cannot be, or for two things of which one would be passed over in silence."""
    if convention is not None and convention not in CONVENTIONS:
        raise InputError(f"There is no convention {convention!r}; the one besides our own is {CONVENTIONS[0]!r}.")
    if surface is not None and surface not in SURFACES:
        raise InputError(f"{surface!r} is no kind of surface; choose {' or '.join(SURFACES)}.")
    if iou is not None and not 0 < iou <= 1:
        raise InputError(f"An IoU to be detected at lies above 0 and up to 1, not at {iou:g}; .5 is usual.")
    if convention is not None and (levels or surface is not None):
        other = "levels" if levels else "surface"
        raise InputError(f"The convention {convention} has its own figures only; leave out {other}, or the convention.")
    if iou is not None and not levels:
        raise InputError("An IoU is what elements are detected at; ask for levels, too, or leave it out.")


def _labelled(
    reference: Volume, candidate: Volume, anchor: Anchor | None
) -> tuple[tuple[Labelling, Labelling], dict[str, Any], list[str]]:
    """Both labellings, what their names rest on, and what to tell."""
    found, about, notes = [], {}, []
    for side, mask in (("reference", reference), ("candidate", candidate)):
        used = anchor
        try:
            labelling = finding.label(mask, anchor=anchor)
        except InputError as error:
            if anchor is None:
                raise
            labelling, used = finding.label(mask), None
            notes.append(f"The levels of the {side} were named without the anchor of the exam: {error}")
        found.append(labelling)
        about[side] = {
            "absolute": labelling.absolute,
            "confidence": labelling.confidence,
            "reason": labelling.reason,
            "anchor": None if used is None else {"level": used[0], "point_mm": [float(value) for value in used[1]]},
        }
    return (found[0], found[1]), about, notes
