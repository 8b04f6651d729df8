"""Take a mask that was edited elsewhere as the next revision of an exam."""

from __future__ import annotations

from pathlib import Path

from .. import files, volume
from ..dataset import Exam
from ..errors import InputError
from ..review import masks, revisions
from ..review.masks import Mask
from ..review.revisions import Revision
from .provenance import software


def correct(
    exam: Exam,
    edited: Path,
    *,
    status: str = "accepted",
    annotator: str | None = None,
    active_seconds: float = 0.0,
    blind: bool = False,
) -> Revision:
    """Save an edited mask file (uint8, int16 or integral floats; reordered or cropped too) as a revision.

    Its parent is the mask that counted until now, or with `blind` the source mask.

    Raises
    ------
    InputError : the file is the exam's own mask or cannot be used. GeometryError : it lies on other voxels.
    WriteError : it could not be written.
    """
    parent = masks.blind_start(exam) if blind else masks.best_mask(exam, drafts=True)
    mask = volume.read_mask(edited)
    return revisions.save(
        exam,
        mask,
        status=status,
        parent=parent.path if parent else None,
        annotator=annotator,
        active_seconds=active_seconds,
        model=model_behind(exam, parent),
        blind=blind,
        notes="Edited outside and taken from a file.",
        software=software(),
    )


def model_behind(exam: Exam, mask: Mask | None) -> tuple[str, str] | None:
    """Name and SHA-256 of the model that predicted this mask; None if it is no prediction or of unknown origin."""
    if mask is None or mask.kind != "predicted":
        return None
    try:
        known = files.read_json(exam.predicted_record(mask.model))["model"]
        return known["name"], known["sha256"]
    except (InputError, KeyError, TypeError):
        # The record of a prediction may have been deleted; the edit on top of it is worth saving all the same.
        return None
