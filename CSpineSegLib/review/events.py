"""Status changes without a mask, one small file each, so that nobody appends to a shared file.

    opened    someone began to look at an exam that nobody had looked at
    released  given back without a change
    rejected  the exam or its mask cannot be used
    reopened  an accepted or rejected exam is reviewed again

Acceptance is not an event: it is a revision with the status "accepted", because it always names a mask.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import files
from ..dataset.exam import Exam
from ..errors import InputError
from . import places
from .people import annotator_name
from .records import format_time, parse_time

KINDS = ("opened", "released", "rejected", "reopened")
FORMAT = "cspineseg-event"


@dataclass(frozen=True)
class Event:
    """A status change: what, when (UTC), by whom, and the revision that it was about, if any."""

    kind: str
    time: datetime
    annotator: str
    revision: int | None
    notes: str
    path: Path


def record(
    exam: Exam, kind: str, *, annotator: str | None = None, revision: int | None = None, notes: str = ""
) -> Event:
    """Write an event; its file is created exclusively, under a name that nobody else can choose.

    Parameters
    ----------
    kind : one of `KINDS`.
    annotator : see :func:`people.annotator_name`.
    revision : the number of the revision that it is about.

    Raises
    ------
    InputError : unknown kind.
    WriteError : it cannot be written, or would lie under raw/ or extracted/.
    """
    if kind not in KINDS:
        raise InputError(f"{kind!r} is not a kind of event; choose {', '.join(KINDS)}.")
    now = datetime.now(UTC)
    path = exam.event(f"{now:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(4)}")
    places.check_targets([path], [exam.image, exam.mask])
    content = {
        "format": FORMAT,
        "format_version": 1,
        "exam": exam.stem,
        "event": kind,
        "time": format_time(now),
        "annotator": annotator_name(annotator),
        "revision": revision,
        "notes": notes,
    }
    files.write_json(path, content, exclusive=True)
    return _event(path, content)


def history(exam: Exam) -> list[Event]:
    """All readable events of an exam, oldest first."""
    return read(places.scan_events(exam.events_folder).get(places.same_name(exam.stem), ()))[0]


def problems(exam: Exam) -> list[str]:
    """A sentence for each event file that cannot be read."""
    return read(places.scan_events(exam.events_folder).get(places.same_name(exam.stem), ()))[1]


def read(paths: Iterable[Path]) -> tuple[list[Event], list[str]]:
    """The events in these files, and a sentence for each file that holds none."""
    found, unreadable = [], []
    for path in paths:
        try:
            found.append(_event(path, files.read_json(path)))
        except InputError as error:
            unreadable.append(str(error))
        except (KeyError, TypeError, ValueError):
            unreadable.append(f"{path} does not describe an event and does not count.")
    return found, unreadable


def _event(path: Path, content: dict[str, Any]) -> Event:
    if content["format"] != FORMAT or content["event"] not in KINDS:
        raise ValueError(path)
    moment = parse_time(content["time"])
    return Event(content["event"], moment, content["annotator"], content["revision"], content["notes"], path)
