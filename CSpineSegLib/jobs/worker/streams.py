"""The worker's ends of its pipes, taken away from the libraries: what they print goes to the standard error stream."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from . import protocol


def take_over() -> tuple[int, int]:
    """File descriptors of the requests and of the answers; nobody else in this process has them from now on.

    Whatever else reads the standard input finds its end, and whatever else writes to the standard output, C libraries
    and child processes included, writes to the standard error stream.
    """
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        os.fstat(2)
    except OSError:
        os.dup2(nothing, 2)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    if nothing > 2:
        os.close(nothing)
    sys.stdout = sys.stderr
    return requests, answers


def pieces(descriptor: int, size: int = 1 << 16) -> Callable[[], bytes]:
    """Reads what is there, up to `size` bytes; nothing once the other side has gone, however it went."""

    def read() -> bytes:
        try:
            return os.read(descriptor, size)
        except OSError:
            return b""

    return read


class Sink:
    """Messages as lines, one at a time whatever thread they come from; silent once the reader has gone.

    `broken` is called then, in a thread of its own.
    """

    def __init__(self, descriptor: int) -> None:
        self.broken: Callable[[], None] = lambda: None
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._open = True

    def send(self, message: dict[str, Any]) -> None:
        data = memoryview(protocol.encode(message))
        with self._lock:
            while data and self._open:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except OSError:
                    self._open = False
                    # What follows may want to say something, and this thread keeps everyone from that.
                    threading.Thread(target=self.broken, daemon=True).start()

    def close(self, close: Callable[[], None]) -> None:
        """Send nothing more, and close the descriptor by `close` while nobody writes to it."""
        with self._lock:
            self._open = False
            with contextlib.suppress(OSError):
                close()
