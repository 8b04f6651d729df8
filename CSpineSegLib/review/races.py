"""Other people's revisions that a new one does not contain, and how to tell its author."""

from __future__ import annotations

import time
from datetime import datetime

from .. import files
from ..dataset.exam import Exam
from . import places, records
from .origins import Origin
from .records import Revision


def overlapping(exam: Exam, origin: Origin, revision: Revision, started: datetime) -> dict[int, str]:
    """Revisions of others, complete or under way, that came in while this one was worked on: number -> sentence.

    `started` : when the work began from `origin`. Revisions after `revision` count it among theirs instead.
    """
    since = records.parse_time(records.format_time(started))
    recent = max(time.time() - files.STALE_SECONDS, since.timestamp())
    found = {}
    for number, on_disk in _between(exam, origin, revision).items():
        other = records.load(on_disk, verify=False)
        if isinstance(other, Revision):
            raced = other.annotator != revision.annotator and other.saved >= since
            who = f" by {other.annotator}"
        else:
            raced, who = on_disk.modified >= recent, ""
        if raced:
            found[number] = (
                f"Revision {number}{who} was saved while this work went on from {_began(origin)}; yours is revision "
                f"{revision.number}, neither contains the other's changes, so compare them."
            )
    return found


def left_out(exam: Exam, origin: Origin, revision: Revision, started: datetime) -> list[str]:
    """A sentence on the newest work of somebody else that was there before this work began, and is not in it.

    Rejected work is left out on purpose, and a blind reading stands beside the others.
    """
    since = records.parse_time(records.format_time(started))
    loaded = (records.load(on_disk, verify=False) for on_disk in _between(exam, origin, revision).values())
    older = [
        other
        for other in loaded
        if isinstance(other, Revision)
        and other.annotator != revision.annotator
        and other.saved < since
        and other.status != "rejected"
        and not other.blind
    ]
    return [
        f"This work began from {_began(origin)}, so revision {revision.number} does not contain the changes of "
        f"revision {other.number} by {other.annotator}, which was there before; compare them."
        for other in older[-1:]
    ]


def _between(exam: Exam, origin: Origin, revision: Revision) -> dict[int, places.Found]:
    """What lies on disk under the numbers between the origin's and the revision's."""
    found = places.revisions_of(exam)
    return {number: on_disk for number, on_disk in found.items() if origin.number < number < revision.number}


def _began(origin: Origin) -> str:
    if origin.path is None:
        return "an empty mask"
    return f"revision {origin.number}" if origin.number else "the source mask"
