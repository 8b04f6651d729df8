"""Take a mask that was edited elsewhere as the next revision of an exam."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from .. import files, volume
from ..dataset import Exam
from ..errors import InputError
from ..review import derived, masks, origins, people, records, revisions
from ..review.origins import Origin
from ..review.revisions import Revision


def correct(
    exam: Exam,
    edited: Path,
    *,
    status: str = "accepted",
    annotator: str | None = None,
    active_seconds: float | None = None,
    blind: bool = False,
    parent: Path | str | None = None,
) -> Revision:
    """Save an edited mask file (uint8, int16 or integral floats; reordered or cropped too) as a revision.

    A file that was edited where it lies is taken too, and names what it was before: a prediction the model's own mask
    (by its SHA-256; its voxels are gone, so added and removed are unknown), `corrected/<stem>_SEG.nii.gz` the accepted
    revision that it was a copy of; that copy is then renewed. A mask that nobody changed is its own parent, accepted
    as it is.

    Parameters
    ----------
    edited : the file; it is only read.
    active_seconds : time spent editing, s; None: unknown.
    blind : made by a second reader from the source mask, or from that reader's own blind revision.
    parent : what the edit was made from: a file, or a revision as "r3"; None: the latest work on the exam, else the
        mask that counts, with a warning if that is somebody else's revision.

    Raises
    ------
    InputError : the file or the parent cannot be used. GeometryError : it lies on other voxels.
    WriteError : it could not be written.
    """
    edited = Path(edited)
    began = datetime.now(UTC)
    who = people.annotator_name(annotator)
    digest = None
    # Hashed before it is read, so that what is drawn into the file afterwards never counts as taken over. A file that
    # cannot be hashed cannot be read either, which the next line puts into a sentence.
    with contextlib.suppress(OSError):
        digest = files.sha256(edited)
    mask = volume.read_mask(edited)
    origin, warnings = _origin(exam, edited, parent, blind, annotator, who)
    revision = revisions.save(
        exam,
        mask,
        status=status,
        parent=origin,
        annotator=who,
        started=began,
        active_seconds=active_seconds,
        blind=blind,
        notes="Edited outside and taken from a file.",
        taken_from=digest,
    )
    return replace(revision, warnings=(*revision.warnings, *warnings))


def _origin(
    exam: Exam, edited: Path, parent: Path | str | None, blind: bool, annotator: str | None, who: str
) -> tuple[Origin, list[str]]:
    """What the edit was made from, and a warning where that is a guess.

    Only a name that was given, and not a login name, shows a reader's own blind revisions; see `session.open_exam`.
    """
    if parent is not None:
        origin = origins.named(exam, parent)
        if origin.path.resolve() == edited.resolve():
            raise InputError(f"{edited} cannot be made from itself; name the mask that the editing began from.")
        return origin, []
    overwritten = origins.of_overwritten(exam, edited)
    if overwritten is not None:
        return overwritten, []
    named = who if annotator is not None else None
    if blind:
        return origins.of_mask(exam, masks.blind_start(exam, annotator=named)), []
    accepted = records.latest_accepted(exam)
    in_place = edited.resolve() == exam.corrected_mask.resolve()
    if in_place and accepted is not None and derived.is_changed_outside(exam):
        return origins.of_file(exam, accepted.mask), []
    start = masks.best_mask(exam, drafts=True, annotator=named)
    guess = start.revision if start is not None else None
    warnings = []
    if guess is not None and guess.annotator != who:
        warnings.append(
            f"The mask was taken as made from revision {guess.number} by {guess.annotator}; "
            "say --from if it was made from another mask."
        )
    return origins.of_mask(exam, start), warnings
