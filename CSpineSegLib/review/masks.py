"""Which mask to start from, and which one counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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


def best_mask(exam: Exam, model: str | None = None, *, drafts: bool = False) -> Mask | None:
    """The mask that counts at present; None if the exam has none.

    The order: the latest accepted revision (its own file and not the copy in `corrected/`, which may lag behind for a
    moment); the dataset's own mask if experts drew it (gold) and no model was asked for; a prediction, of `model` or
    else the newest; the dataset's own mask. So a person's mask always comes before a network's.

    Parameters
    ----------
    drafts : begin with the latest revision that is not rejected, accepted or not: what one goes on editing. It is off
        for everything that leaves the review, such as an export, because nobody has vouched for a draft.
    """
    revisions = records.history(exam)
    if drafts:
        draft = next((revision for revision in reversed(revisions) if revision.status != "rejected"), None)
        if draft is not None:
            return Mask(draft.mask, "accepted" if draft.status == "accepted" else "draft", draft)
    accepted = records.newest_accepted(revisions)
    if accepted is not None:
        return Mask(accepted.mask, "accepted", accepted)
    own = own_mask(exam)
    if own is not None and exam.source == "gold" and model is None:
        return own
    return predicted_mask(exam, model) or own


def blind_start(exam: Exam, model: str | None = None) -> Mask | None:
    """Where a second reader starts without seeing the first one's work: never a revision of anybody.

    The dataset's own mask, or without one the prediction (of `model`, else the newest); with `model` given, that
    model's prediction. None: the reader starts from an empty mask.

    Raises
    ------
    InputError : `model` was given and has no prediction of this exam.
    """
    if model is not None:
        predicted = predicted_mask(exam, model)
        if predicted is None:
            raise InputError(f"There is no mask of {exam.stem} by the model {model!r}; segment the exam with it first.")
        return predicted
    return own_mask(exam) or predicted_mask(exam)


def own_mask(exam: Exam) -> Mask | None:
    """The mask that came with the exam, if it is on disk."""
    return Mask(exam.mask, "dataset") if exam.mask is not None and exam.mask.is_file() else None


def predicted_mask(exam: Exam, model: str | None = None) -> Mask | None:
    """A model's mask: of the model of this name, or the one written last."""
    names = [name for name in places.models_of(exam) if model in (None, name)]
    return Mask(exam.predicted(names[-1]), "predicted", model=names[-1]) if names else None
