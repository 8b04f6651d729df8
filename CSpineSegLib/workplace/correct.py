"""What a reviewer can do with the open exam, and by which keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..review.events import Event
    from .desk import Workplace

# Slicer's effects that serve to correct bodies and discs, by the names that its Segment Editor knows.
EFFECTS = ("Paint", "Draw", "Erase", "Level tracing", "Fill between slices", "Smoothing", "Scissors", "Islands")
UNDO_STEPS = 20


@dataclass(frozen=True)
class Key:
    """What a key does.

    Parameters
    ----------
    action : name of the action.
    sequences : the keys as Qt writes them; on a Mac "Ctrl" is Command.
    repeats : whether it goes on while it is held down; a decision never does, or exams would pass by unseen.
    """

    action: str
    sequences: tuple[str, ...]
    repeats: bool = False


# None of these is a key of Slicer itself, of its slice and 3D views, or of its Segment Editor (1 to 0 for the effects,
# Space, Esc, Q and W for the segments, Z and Y to undo and redo, I for the range): those work as ever.
KEYS = (
    Key("acceptNext", ("Ctrl+Return", "Ctrl+Enter")),
    Key("accept", ("Ctrl+Shift+Return", "Ctrl+Shift+Enter")),
    Key("later", ("Ctrl+Shift+S",)),
    Key("reject", ("Ctrl+Shift+R",)),
    Key("reopen", ("Ctrl+Shift+O",)),
    Key("previousSlice", ("Ctrl+Left",), repeats=True),
    Key("nextSlice", ("Ctrl+Right",), repeats=True),
    Key("hideMask", ("H",)),
    Key("doubtMap", ("D",)),
)


@dataclass(frozen=True)
class Possible:
    """What can be done now: with an open exam of this review status, or with none."""

    save: bool = False
    reject: bool = False
    reopen: bool = False


def possible(status: str | None) -> Possible:
    """What can be done with an open exam of a status; None: no exam is open."""
    if status is None:
        return Possible()
    return Possible(save=True, reject=status != "rejected", reopen=status in ("accepted", "rejected"))


def status(workplace: Workplace) -> str | None:
    """The review status of the open exam, from the files on disk; None if none is open."""
    from ..review import status as statuses

    session = workplace.session
    return None if session is None else statuses.of(session.exam).status


def reject(workplace: Workplace, reason: str = "") -> Event:
    """Say that the open exam, or any mask of it, cannot be used; what was drawn is kept as a draft before.

    `reason` : why, in the reviewer's own words; may be empty.

    Raises
    ------
    InputError : no exam is open. WriteError : nothing can be written to the dataset.
    """
    return _record(workplace, "rejected", reason)


def reopen(workplace: Workplace) -> Event:
    """Review the open exam again, which was accepted or rejected; its masks stay as they are."""
    return _record(workplace, "reopened")


def _record(workplace: Workplace, kind: str, notes: str = "") -> Event:
    from ..review import events, records

    exam = workplace.need_session().exam
    if kind == "rejected":
        workplace.save_changes()
    latest = records.latest(exam)
    return events.record(
        exam,
        kind,
        annotator=workplace.annotator_name,
        revision=latest.number if latest is not None else None,
        notes=notes.strip(),
    )
