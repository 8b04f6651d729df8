"""How long a person actually worked on an exam: the time with edits or looks in it, not the time it lay open."""

from __future__ import annotations

import time

# Somebody who looks at a slice without touching anything still works; after this long, s, the chair is empty.
IDLE_SECONDS = 30.0


class EditingClock:
    """Counts the seconds after each sign of a person at work, up to `idle` seconds for each.

    Parameters
    ----------
    idle : s; a pause counts up to this long, what is over it does not.

    >>> clock = EditingClock(idle=30.0)
    >>> clock.restart(0.0)
    >>> clock.touch(10.0)
    >>> clock.touch(100.0)
    >>> clock.at(105.0)
    45.0
    """

    def __init__(self, idle: float = IDLE_SECONDS) -> None:
        self._idle = idle
        self.restart()

    def restart(self, now: float | None = None, *, seconds: float = 0.0) -> None:
        """Begin again: an exam was opened, or what was done on it is saved. That is a sign of life itself.

        seconds : counted already, s; for work that was begun before a crash.
        """
        self._counted = seconds
        self._last = time.monotonic() if now is None else now

    def touch(self, now: float | None = None) -> None:
        """A sign of life: an edit, another slice, a key. `now` is in seconds of any clock that does not jump."""
        now = time.monotonic() if now is None else now
        self._counted += self._since(now)
        self._last = max(self._last, now)

    @property
    def seconds(self) -> float:
        """Active seconds up to now."""
        return self.at(time.monotonic())

    def at(self, now: float) -> float:
        """Active seconds up to a moment, s."""
        return self._counted + self._since(now)

    def is_idle(self, now: float | None = None) -> bool:
        """True if nobody gave a sign of life for so long that the clock stands still."""
        return (time.monotonic() if now is None else now) - self._last >= self._idle

    def _since(self, now: float) -> float:
        return min(max(now - self._last, 0.0), self._idle)
