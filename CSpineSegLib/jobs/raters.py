"""Gathers the masks that people left, for the arithmetic of agreement and of editing."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any, TypeVar

from .. import volume
from ..dataset import Exam
from ..errors import Cancelled, InputError
from ..evaluation import editing as arithmetic
from ..evaluation import raters as agreement
from ..evaluation.sections import Section
from ..progress import Progress, ensure
from ..review import masks, records
from ..review.records import Revision
from ..volume import Volume
from . import images
from .batch import sentence
from .metrics import kept_anchor, mask_metrics

Found = TypeVar("Found")
Pair = tuple[Exam, list[Revision]]


def raters(
    exams: Iterable[Exam], annotators: tuple[str, str] | None = None, *, progress: Progress | None = None
) -> Section:
    """How two annotators agree on the exams that both corrected.

    Of each annotator the newest accepted revision counts, without one the newest that is not rejected. An exam that
    cannot be compared is listed and does not stop the rest.

    Parameters
    ----------
    annotators : their names as in the revisions; None: the two who share most exams.

    Raises
    ------
    InputError : no two people corrected the same exam, one of the names is unknown, or both are the same.
    """
    progress = ensure(progress)
    progress.update("Looking for revisions", 0.0)
    histories = [(exam, records.history(exam)) for exam in exams]
    names = _annotators(histories, annotators)
    shared = [(exam, known) for exam, known in histories if all(kept(known, name) for name in names)]
    readings, failures = _each(shared, lambda pair: _reading(*pair, names), progress)
    return agreement.raters(readings, names, failures)


def editing(exams: Iterable[Exam], *, progress: Progress | None = None) -> Section:
    """What people changed in the masks that they started from (the exam's own, else a model's).

    Of each exam the accepted revision counts that counts everywhere. An exam whose first mask is gone or was changed
    since is listed and does not stop the rest.

    Raises
    ------
    InputError : no exam has an accepted revision that can be compared.
    """
    progress = ensure(progress)
    progress.update("Looking for revisions", 0.0)
    histories = [(exam, records.history(exam)) for exam in exams]
    accepted = [pair for pair in histories if records.newest_accepted(pair[1]) is not None]
    edits, failures = _each(accepted, lambda pair: _edit(*pair), progress)
    return arithmetic.editing(edits, failures)


def kept(revisions: Sequence[Revision], annotator: str) -> Revision | None:
    """What an annotator left: the newest accepted revision, else the newest that is not rejected; None if neither."""
    own = [revision for revision in revisions if revision.annotator == annotator and revision.status != "rejected"]
    accepted = [revision for revision in own if revision.status == "accepted"]
    return next(reversed(accepted or own), None)


def lineage(revisions: Sequence[Revision], last: Revision) -> list[Revision]:
    """A revision and those that it was made from, newest first, as far as they are complete."""
    by_number = {revision.number: revision for revision in revisions}
    found = [last]
    while True:
        parent = (found[-1].content.get("parent") or {}).get("revision")
        # A parent is always older; a damaged record must not send this in circles.
        if parent not in by_number or parent >= found[-1].number:
            return found
        found.append(by_number[parent])


def _annotators(histories: Sequence[Pair], given: tuple[str, str] | None) -> tuple[str, str]:
    people = Counter(name for _, known in histories for name in _people(known))
    listed = ", ".join(f"{name} ({count})" for name, count in people.most_common()) or "nobody"
    if given is not None:
        first, second = (name.strip() for name in given)
        if first == second:
            raise InputError(f"The annotators are both {first!r}; name two people.")
        for name in (first, second):
            if name not in people:
                raise InputError(f"There is no revision by {name!r} among these exams; there are those of {listed}.")
        return first, second
    shared = Counter(pair for _, known in histories for pair in combinations(sorted(_people(known)), 2))
    if not shared:
        raise InputError(f"No exam was corrected by two people; there are revisions of {listed}.")
    return min(shared, key=lambda pair: (-shared[pair], pair))


def _people(revisions: Sequence[Revision]) -> set[str]:
    return {revision.annotator for revision in revisions if revision.status != "rejected"}


def _each(
    pairs: Sequence[Pair], work: Callable[[Pair], Found], progress: Progress
) -> tuple[list[Found], dict[str, str]]:
    """The result of each exam, and a sentence for each that failed."""
    found, failures = [], {}
    for number, pair in enumerate(pairs):
        progress.update("Comparing", number / len(pairs), pair[0].stem)
        try:
            found.append(work(pair))
        except Cancelled:
            raise
        except Exception as error:
            failures[pair[0].stem] = sentence(error)
    progress.update("Done", 1.0)
    return found, failures


def _reading(exam: Exam, known: Sequence[Revision], names: tuple[str, str]) -> agreement.Reading:
    chosen = [kept(known, name) for name in names]
    first, second = (volume.read_mask(revision.mask) for revision in chosen)
    # Each person's chain of revisions must hold no work of the other.
    makers = [{revision.annotator for revision in lineage(known, one)} for one in chosen]
    start = _common_source(exam, chosen)
    about: dict[str, Any] = {}
    for side, revision in zip(("first", "second"), chosen, strict=True):
        about |= {f"revision_{side}": revision.number, f"status_{side}": revision.status}
    return agreement.Reading(
        exam.stem,
        exam.patient_id,
        mask_metrics(first, second, levels=True, anchor=kept_anchor(exam)),
        independent=names[1] not in makers[0] and names[0] not in makers[1],
        touched={} if start is None else agreement.touched(start, first, second),
        about=about,
    )


def _common_source(exam: Exam, chosen: Sequence[Revision]) -> Volume | None:
    """The mask that both started from; None if they started from different ones, or it is not there any more."""
    if len({_stated(revision).get("sha256") for revision in chosen}) > 1:
        return None
    found = _source(exam, chosen[0])
    return None if found is None else volume.as_mask(found.volume())


def _stated(revision: Revision) -> dict[str, Any]:
    """What a revision says about the exam's mask before anybody corrected it."""
    return revision.content.get("source_mask") or {}


def _source(exam: Exam, revision: Revision) -> images.Image | None:
    """That mask, if it is still the same file; another model may have come since, so its own name goes first."""
    stated, start = _stated(revision), masks.blind_start(exam)
    paths = [exam.processed.parent / stated["file"]] if stated.get("file") else []
    paths += [start.path] if start is not None else []
    for path in paths:
        with contextlib.suppress(InputError):
            image = images.read(path)
            if image.sha256 == stated.get("sha256"):
                return image
    return None


def _edit(exam: Exam, known: Sequence[Revision]) -> arithmetic.Edit:
    last = records.newest_accepted(known)
    if not _stated(last):
        raise InputError(f"Revision {last.number} of {exam.stem} was drawn from nothing; there is nothing to compare.")
    image = _source(exam, last)
    if image is None:
        raise InputError(
            f"The mask that revision {last.number} of {exam.stem} was made from is gone or was changed; restore it."
        )
    source, corrected = volume.as_mask(image.volume()), volume.read_mask(last.mask)
    sessions = lineage(known, last)
    seconds = [revision.content.get("active_seconds") for revision in sessions]
    return arithmetic.Edit(
        exam.stem,
        exam.patient_id,
        "predicted" if exam.processed in image.path.parents else last.content.get("source", exam.source),
        last.annotator,
        sum(seconds) if all(value is not None for value in seconds) else None,
        len(sessions),
        mask_metrics(source, corrected, levels=True, anchor=kept_anchor(exam)),
        arithmetic.changes(source, corrected),
    )
