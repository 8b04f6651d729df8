"""A command of this library in a process of its own, so that Slicer stays responsive and never imports torch.

The child writes events as JSON lines on its standard error stream and its result as JSON on its standard output. It
cancels itself when its standard input is closed: so it also ends when the parent process dies, on every system.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import Cancelled, CSpineSegError
from ..progress import Event

GRACE_SECONDS = 10.0


class ChildJob:
    """One command, started at once.

    Parameters
    ----------
    arguments : as on the command line, for instance ["segment", stem, "--dataset", folder].
    python : the interpreter; in Slicer that of `PythonSlicer`, by default the running one.
    """

    def __init__(self, arguments: Sequence[str], python: str | None = None) -> None:
        library = str(Path(__file__).resolve().parents[2])
        search = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH", "")]))
        self._events: queue.Queue[Event] = queue.Queue()
        self._said: list[str] = []
        self._answer: list[str] = []
        self._cancelled = False
        self._process = subprocess.Popen(
            [python or sys.executable, "-m", "CSpineSegLib.cli", *arguments, "--json", "--events"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": search},
        )
        self._readers = [
            threading.Thread(target=self._read_events, daemon=True),
            threading.Thread(target=self._read_answer, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def poll(self) -> list[Event]:
        """The events since the last call; never waits."""
        found = []
        while True:
            try:
                found.append(self._events.get_nowait())
            except queue.Empty:
                return found

    def is_running(self) -> bool:
        return self._process.poll() is None

    def cancel(self) -> None:
        """Ask the child to stop; it is ended by force if it has not stopped after ten seconds."""
        self._cancelled = True
        self._process.stdin.close()
        threading.Thread(target=self._end, daemon=True).start()

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the command's JSON.

        Raises
        ------
        CSpineSegError : the sentence that the command ended with.
        Cancelled : after :meth:`cancel`.
        """
        code = self._process.wait(timeout)
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            stream.close()
        if self._cancelled:
            raise Cancelled("Cancelled by the user; what was finished before is kept.")
        text = "".join(self._answer)
        if code == 0 or (code == 1 and text.strip()):
            return json.loads(text)
        sentence = self._said[-1].removeprefix("cspineseg: ") if self._said else f"it ended with code {code}."
        raise CSpineSegError(sentence)

    def _end(self) -> None:
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _read_events(self) -> None:
        for line in self._process.stderr:
            try:
                self._events.put(Event(**json.loads(line)))
            except (ValueError, TypeError):
                if line.strip():
                    self._said.append(line.strip())

    def _read_answer(self) -> None:
        self._answer.extend(self._process.stdout)
