"""Which exams go into a training, and with which mask."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...dataset import Dataset, Exam
from ...errors import InputError
from ...review import masks, records, status, worklist
from ...review.masks import Mask
from . import parts
from .parts import TEST, Part, Parts

# What a choice of masks takes, in the order of preference.
CHOICES = {
    "best": ("accepted", "gold", "released"),
    "human": ("accepted", "gold"),
    "released": ("released",),
    "any": ("accepted", "gold", "released", "predicted"),
}


@dataclass(frozen=True)
class Chosen:
    """An exam, where it belongs and its mask; None only for a test exam."""

    exam: Exam
    part: Part
    mask: Mask | None

    @property
    def kind(self) -> str | None:
        """As `Case.mask`: "accepted", "predicted", or the source of a released mask."""
        if self.mask is None:
            return None
        return self.exam.source if self.mask.kind == "dataset" else self.mask.kind

    @property
    def stratum(self) -> str:
        """What folds are balanced by: whose mask it is, and the scanner."""
        fields = self.exam.fields
        parts_of = (self.kind, fields.get("manufacturer"), fields.get("field_strength"))
        return " ".join(str(part).lower() for part in parts_of if part is not None)


@dataclass(frozen=True)
class Choice:
    """The exams of an export; the others with a sentence each; what the split says."""

    chosen: list[Chosen]
    split: Parts
    left_out: list[str] = field(default_factory=list)


def choose(dataset: Dataset, query: str | None = None, which: str = "best", table: Path | None = None) -> Choice:
    """The exams for which `query` is true and which have an image and, for training, a mask of the kind wanted.

    Exams that a reviewer rejected are left out. Among the kinds of :data:`CHOICES`, "best" takes the accepted revision
    that counts, else the mask as released, be it Gold or Silver; "human" only masks that a person drew or accepted;
    "released" the masks as released, whatever was corrected since; "any" also a model's prediction where there is
    nothing else. That order differs from the one in which masks are shown and exported: a network that learns from its
    own predictions learns nothing.

    Parameters
    ----------
    table : the split; None looks into the dataset's `splits/`, see :func:`parts.read`.

    Raises
    ------
    InputError : nothing fits, or the split cannot be used.
    """
    if which not in CHOICES:
        raise InputError(f"{which!r} is not a choice of masks; take one of {', '.join(CHOICES)}.")
    exams = worklist.exams(dataset, query)
    if not exams:
        raise InputError("No exam fits the query; 'cspineseg list' shows what is there.")
    split = parts.read(exams, dataset.root / "splits", table)
    chosen, left_out = [], list(split.left_out)
    for exam in exams:
        part = split.by_stem.get(exam.stem)
        if part is None:
            continue
        mask = mask_of(exam, which)
        if exam.image is None:
            left_out.append(f"{exam.stem} has no image on disk and is left out.")
        elif status.of(exam).status == "rejected":
            left_out.append(f"{exam.stem} was rejected by its reviewer and is left out.")
        elif mask is None and part.part != TEST:
            left_out.append(f"{exam.stem} has no mask of the kind {which!r} and is left out.")
        else:
            chosen.append(Chosen(exam, part, mask))
    if not any(one.part.part != TEST for one in chosen):
        raise InputError(
            f"None of the {len(exams)} exams can be trained on with masks of the kind {which!r}: "
            f"{left_out[0] if left_out else 'all of them are for testing.'}"
        )
    return Choice(chosen, split, left_out)


def mask_of(exam: Exam, which: str) -> Mask | None:
    """The mask that a choice of :data:`CHOICES` gives for an exam; None if there is none of these kinds."""
    own = masks.own_mask(exam)
    for kind in CHOICES[which]:
        if kind == "accepted":
            revision = records.newest_accepted(records.history(exam))
            found = Mask(revision.mask, "accepted", revision) if revision else None
        elif kind == "predicted":
            found = masks.predicted_mask(exam)
        else:
            found = own if kind == "released" or exam.source == "gold" else None
        if found is not None:
            return found
    return None
