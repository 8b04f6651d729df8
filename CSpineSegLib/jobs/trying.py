"""What is installed, tried out in a process of its own: torch never enters the process that asks, nor ends it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import CSpineSegError
from . import child, doctor

# Importing torch for the first time after its installation takes a minute on a slow disk.
PATIENCE = 300.0
_RUN = "import sys; from CSpineSegLib.jobs import doctor; doctor.main(sys.argv[1:])"


class Check:
    """The report of a process of its own, which imports every package; follow it with :meth:`poll`.

    Parameters
    ----------
    python : the interpreter; None for the running one.
    names : of packages to import; without any, all, and the whole report is made.

    Raises
    ------
    CSpineSegError : the interpreter cannot be started.
    """

    def __init__(self, python: str | None = None, names: Sequence[str] = ()) -> None:
        # Files and not pipes: nobody reads along, and a full pipe would stop the process.
        self._said, self._noted = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        words = [python or sys.executable, "-c", _RUN, *names]
        self._process = child.start(
            words,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._noted,
            env=child.environment(),
            **child.own_group(),
        )
        self._until = time.monotonic() + PATIENCE

    def is_running(self) -> bool:
        return self._process.poll() is None and time.monotonic() < self._until

    def poll(self) -> dict[str, Any] | None:
        """The report; None while it is made. Never waits.

        Raises
        ------
        CSpineSegError : the process ended without one, or took too long; the sentence names the package if it was one.
        """
        if self.is_running():
            return None
        if self._process.poll() is None:
            self.close()
            raise CSpineSegError(f"{self._trying()} takes longer than {PATIENCE:.0f} s; restart the computer.")
        said = _content(self._said).splitlines()
        # Libraries may have written lines of their own before it.
        with contextlib.suppress(IndexError, ValueError):
            return json.loads(said[-1])
        last = ([line for line in _content(self._noted).splitlines() if line.strip()] or [None])[-1]
        if last is not None and last.startswith(doctor.TRYING):
            name = last.removeprefix(doctor.TRYING)
            raise CSpineSegError(f"Python ends when it imports {name}; remove {name} and install it again.")
        raise CSpineSegError(child.ended(self._process.returncode, last))

    def wait(self, between: Callable[[float], None] = time.sleep) -> dict[str, Any]:
        """The report, waited for; `between` is called meanwhile with seconds to pass. Raises as :meth:`poll`."""
        while True:
            found = self.poll()
            if found is not None:
                return found
            between(0.05)

    def close(self) -> None:
        """End the process if it still runs."""
        if self._process.poll() is None:
            child.kill_tree(self._process)
            self._process.wait()

    def _trying(self) -> str:
        tried = [line for line in _content(self._noted).splitlines() if line.startswith(doctor.TRYING)]
        return f"Importing {tried[-1].removeprefix(doctor.TRYING)}" if tried else "Looking at the installation"


def _content(stream: Any) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")
