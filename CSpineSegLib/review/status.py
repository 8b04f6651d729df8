"""The status of an exam, derived from its revisions and events alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ..dataset.exam import Exam
from . import events as events_module
from . import records
from .events import Event
from .records import Revision


@dataclass(frozen=True)
class Status:
    """Where an exam stands.

    Parameters
    ----------
    status : "unreviewed", "in review", "accepted" or "rejected".
    annotator : who made the last change; None if nobody did.
    last_change : when (UTC); None if there was none.
    """

    status: str
    annotator: str | None = None
    last_change: datetime | None = None


def of(exam: Exam) -> Status:
    """Status of one exam."""
    return derive(records.history(exam), events_module.history(exam))


def derive(revisions: Iterable[Revision], events: Iterable[Event]) -> Status:
    """Status after these changes, taken in the order of their times.

    A revision sets its own status. Events: "opened" puts an unreviewed exam in review (looking at an accepted one
    changes nothing), "reopened" any exam; "rejected" rejects; "released" goes back to the last revision's status.
    An event "opened" that changes no status is no change, so neither its annotator nor its time counts.
    Revisions keep the order of their numbers, even if the clocks of two computers disagree.
    """
    changes: list[tuple[datetime, int, Revision | Event]] = []
    previous = None
    for revision in sorted(revisions, key=lambda revision: revision.number):
        previous = max(previous, revision.saved) if previous else revision.saved
        changes.append((previous, 0, revision))
    changes += [(event.time, 1, event) for event in events]
    state, of_revision = "unreviewed", "unreviewed"
    who, when = None, None
    for moment, _, change in sorted(changes, key=lambda item: item[:2]):
        if isinstance(change, Revision):
            state = of_revision = change.status
        elif change.kind == "opened" and state != "unreviewed":
            continue
        else:
            state = _after(of_revision, change.kind)
        who, when = change.annotator, moment
    return Status(state, who, when)


def _after(of_revision: str, kind: str) -> str:
    """The status that an event leads to."""
    return {"opened": "in review", "reopened": "in review", "rejected": "rejected", "released": of_revision}[kind]
