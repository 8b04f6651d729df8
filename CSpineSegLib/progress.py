"""Progress as events, and cancellation: one object that every long function takes and checks."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import Cancelled


@dataclass(frozen=True)
class Event:
    """A point in a job: the stage's name, the fraction of the whole job done (0 to 1), seconds left (None: unknown)."""

    stage: str
    fraction: float
    eta: float | None
    message: str = ""


class Progress:
    """Passes events on and raises :class:`Cancelled` as soon as the user wants to stop.

    Parameters
    ----------
    report : called with each :class:`Event`; None keeps silent.
    cancelled : asked at every update and check; None means never.
    """

    def __init__(
        self,
        report: Callable[[Event], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._report = report
        self._cancelled = cancelled
        self._range = (0.0, 1.0)
        self._began = time.monotonic()

    def check(self) -> None:
        """Raise :class:`Cancelled` if the user wants to stop; for callees that ask several times a second."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("Cancelled by the user; nothing was written.")

    def update(self, stage: str, fraction: float, message: str = "") -> None:
        """Report that `stage` has brought this part of the job to `fraction` (0 to 1)."""
        self.check()
        if self._report is None:
            return
        start, stop = self._range
        done = start + min(max(fraction, 0.0), 1.0) * (stop - start)
        elapsed = time.monotonic() - self._began
        # An estimate from the first percent or the first half second would only frighten.
        eta = elapsed * (1.0 - done) / done if done > 0.01 and elapsed > 0.5 else None
        self._report(Event(stage, done, eta, message))

    def part(self, start: float, stop: float) -> Progress:
        """A view for a callee whose own 0 to 1 is `start` to `stop` of this one."""
        inner = Progress(self._report, self._cancelled)
        low, high = self._range
        inner._range = (low + start * (high - low), low + stop * (high - low))
        inner._began = self._began
        return inner


def ensure(progress: Progress | None) -> Progress:
    """`progress` itself, or a silent one."""
    return progress if progress is not None else Progress()


def for_program() -> Progress:
    """Progress for the program that started this process: an event a line as JSON on the standard error stream.

    It is cancelled when the standard input is closed, so it also ends when that program dies, on every system.
    """
    return Progress(_print_event, _closed_input())


def _print_event(event: Event) -> None:
    line = {"stage": event.stage, "fraction": round(event.fraction, 4), "eta": event.eta, "message": event.message}
    print(json.dumps(line, ensure_ascii=False), file=sys.stderr, flush=True)


def _closed_input() -> Callable[[], bool]:
    """A function that is true once the standard input was closed by whoever started this process."""
    closed = threading.Event()

    def watch() -> None:
        # Not through sys.stdin: a thread that waits inside its buffer would stop the interpreter from ending.
        while os.read(0, 4096):
            pass
        closed.set()

    threading.Thread(target=watch, daemon=True, name="cspineseg-input").start()
    return closed.is_set
