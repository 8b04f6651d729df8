"""Which mask to start from, and which one counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files
from ..dataset.exam import Exam
from ..errors import InputError
from . import places, records
from .records import Revision


@dataclass(frozen=True)
class Mask:
    """A mask of an exam.

    Parameters
    ----------
    path : the file.
    kind : "accepted" or "draft" (a revision), "predicted" (by a model) or "dataset" (as released).
    revision : the revision that it is, for "accepted" and "draft".
    model : the model's name, for "predicted".
    """

    path: Path
    kind: str
    revision: Revision | None = None
    model: str | None = None


def best_mask(
    exam: Exam, model: str | None = None, *, drafts: bool = False, annotator: str | None = None
) -> Mask | None:
    """The mask that counts at present; None if the exam has none.

    The order: the accepted revision that counts, see :func:`records.newest_accepted` (its own file and not the copy in
    `corrected/`, which may lag behind for a moment); the dataset's own mask if experts drew it (gold) and no model was
    asked for; a prediction, of `model` or else the newest; the dataset's own mask. So a person's mask always comes
    before a network's. An exam that was rejected keeps its mask: :func:`status.of` says whether it may be used.

    Parameters
    ----------
    drafts : begin with the latest revision that is not rejected, accepted or not: what one goes on editing. It is off
        for everything that leaves the review, such as an export, because nobody has vouched for a draft.
    annotator : who goes on editing. A blind reading is never among the drafts of anybody but its own reader; None: of
        nobody.
    """
    revisions = records.history(exam)
    if drafts:
        shown = [revision for revision in revisions if not revision.blind or revision.annotator == annotator]
        draft = _latest_kept(shown)
        if draft is not None:
            return draft
    accepted = records.newest_accepted(revisions)
    if accepted is not None:
        return Mask(accepted.mask, "accepted", accepted)
    own = own_mask(exam)
    if own is not None and exam.source == "gold" and model is None:
        return own
    return predicted_mask(exam, model) or own


def blind_start(exam: Exam, model: str | None = None, *, annotator: str | None = None) -> Mask | None:
    """Where a second reader starts without seeing anybody else's work.

    With `model`, that model's prediction. Else the latest blind revision by `annotator` that is not rejected, so that
    a reader can go on; else the dataset's own mask, or without one the newest prediction. None: an empty mask. Without
    `annotator` it is never a revision.

    Raises
    ------
    InputError : `model` was given and has no prediction of this exam, or somebody edited it in place.
    """
    if model is not None:
        predicted = predicted_mask(exam, model)
        if predicted is None and model in edited_predictions(exam):
            raise InputError(edited_sentence(exam, model))
        if predicted is None:
            raise InputError(f"There is no mask of {exam.stem} by the model {model!r}; segment the exam with it first.")
        return predicted
    if annotator is not None:
        own = [revision for revision in records.history(exam) if revision.blind and revision.annotator == annotator]
        if _latest_kept(own) is not None:
            return _latest_kept(own)
    return own_mask(exam) or predicted_mask(exam)


def own_mask(exam: Exam) -> Mask | None:
    """The mask that came with the exam, if it is on disk."""
    return Mask(exam.mask, "dataset") if exam.mask is not None and exam.mask.is_file() else None


def predicted_mask(exam: Exam, model: str | None = None) -> Mask | None:
    """A model's mask: of the model of this name, or the one written last.

    Only a file that is what its record says (by SHA-256) is a model's. One that was edited in place, or whose record
    is gone, is nobody knows whose: it is never offered, exported or attributed to the model.
    """
    names = [name for name in places.models_of(exam) if model in (None, name)]
    intact = (name for name in reversed(names) if model_of(exam, name) is not None)
    return next((Mask(exam.predicted(name), "predicted", model=name) for name in intact), None)


def model_of(exam: Exam, name: str, *, edited: bool = False) -> tuple[str, str] | None:
    """Name and SHA-256 of the model that made `predicted/<name>/` of this exam, as the record beside it says.

    None if the record cannot be understood or, unless `edited`, describes another file than the one that is there.
    """
    known = _record(exam, name)
    if known is None or not (edited or known["mask"]["sha256"] == _hash(exam.predicted(name))):
        return None
    return known["model"]["name"], known["model"]["sha256"]


def edited_predictions(exam: Exam) -> list[str]:
    """Names of the models whose mask of this exam was changed after the model wrote it."""
    return [name for name in places.models_of(exam) if _is_edited(exam, name)]


def edited_sentence(exam: Exam, name: str) -> str:
    """What to do about one of :func:`edited_predictions`."""
    return (
        f"{exam.predicted(name)} was changed after the model wrote it; "
        "keep that work with 'cspineseg correct', or segment the exam again with --force."
    )


def _latest_kept(revisions: list[Revision]) -> Mask | None:
    """The last of these revisions that is not rejected."""
    for revision in reversed(revisions):
        if revision.status != "rejected":
            return Mask(revision.mask, "accepted" if revision.status == "accepted" else "draft", revision)
    return None


def _is_edited(exam: Exam, name: str) -> bool:
    known, digest = _record(exam, name), _hash(exam.predicted(name))
    # The record is written before the mask, so a kill between the two leaves the mask that the record replaces.
    return known is not None and digest not in (None, known["mask"]["sha256"], known["mask"].get("replaces"))


def _record(exam: Exam, name: str) -> dict[str, Any] | None:
    """The record of a prediction; None if it is missing or lacks what identifies mask and model."""
    try:
        known = files.read_json(exam.predicted_record(name))
        stated = (known["mask"]["sha256"], known["model"]["name"], known["model"]["sha256"])
    except (InputError, KeyError, TypeError):
        return None
    return known if all(isinstance(value, str) for value in stated) else None


def _hash(path: Path) -> str | None:
    try:
        return files.sha256(path)
    except OSError:
        return None
