"""A command of this library in a process of its own, so that Slicer stays responsive and never imports torch.

The child writes events as JSON lines on its standard error stream and its result as JSON on its standard output. It
cancels itself when its standard input is closed: so it also ends when the parent process dies, on every system.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import Cancelled, CSpineSegError, Refused
from ..model.checks import ANYWAY
from ..progress import Event

GRACE_SECONDS = 10.0
PREFIX = "cspineseg: "
COMMAND_LINE = "CSpineSegLib.cli"


def command(arguments: Sequence[str], python: str | None = None, program: str = COMMAND_LINE) -> list[str]:
    """The command line as a list of words for a new process; `python` is the running interpreter by default."""
    return [python or sys.executable, "-m", program, *arguments]


def environment() -> dict[str, str]:
    """This process's environment, in which a new Python finds this library and reads and writes UTF-8."""
    library = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": search}


def relay(arguments: Sequence[str], python: str | None = None) -> int:
    """Run a command to its end, print line by line what it says, and return its exit code.

    For programs whose own streams are no files that a process could inherit and that only their main thread may use,
    as Slicer's. Ctrl-C reaches the child as well; it has ten seconds to end.
    """
    said: queue.Queue[tuple[Any, str | None]] = queue.Queue()

    def read(source: Any, target: Any) -> None:
        for line in source:
            said.put((target, line))
        said.put((target, None))

    process = _start(command(arguments, python), creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0))
    try:
        sources = {process.stdout: sys.stdout, process.stderr: sys.stderr}
        for streams in sources.items():
            threading.Thread(target=read, args=streams, daemon=True).start()
        still_open = len(sources)
        while still_open:
            target, line = said.get()
            if line is None:
                still_open -= 1
            else:
                target.write(line)
                target.flush()
        return process.wait()
    finally:
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


class ChildJob:
    """One command, started at once.

    Parameters
    ----------
    arguments : as on the command line, for instance ["segment", stem, "--dataset", folder].
    python : the interpreter; in Slicer that of `PythonSlicer`, by default the running one.
    program : another module to run, which knows `--json` and `--events` too.

    Raises
    ------
    CSpineSegError : the interpreter cannot be started.
    """

    def __init__(self, arguments: Sequence[str], python: str | None = None, program: str = COMMAND_LINE) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._said: list[str] = []
        self._answer: list[str] = []
        self._cancelled = False
        words = [*command(arguments, python, program), "--json", "--events"]
        self._process = _start(words, stdin=subprocess.PIPE, **own_group())
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
        """Ask the child to stop; with all that it started, it is ended by force if it has not after ten seconds."""
        if self._cancelled:
            return
        self._cancelled = True
        self._process.stdin.close()
        threading.Thread(target=self._end, daemon=True).start()

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the command's JSON.

        Raises
        ------
        CSpineSegError : the sentence that the command ended with; Refused if `--anyway` would change it.
        Cancelled : after :meth:`cancel`.
        subprocess.TimeoutExpired : it still runs after `timeout` seconds.
        """
        code = self._process.wait(timeout)
        # First, so that what a launcher left behind ends and lets go of the streams that the readers wait on.
        self._process.stdin.close()
        for reader in self._readers:
            reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            stream.close()
        if self._cancelled:
            raise Cancelled("Cancelled by the user; what was finished before is kept.")
        text = "".join(self._answer)
        if code == 0 or (code == 1 and text.strip()):
            return json.loads(text)
        sentence = self._sentence(code)
        if sentence.endswith(f"; {ANYWAY}."):
            raise Refused(sentence.removesuffix(f"; {ANYWAY}.") + ".")
        raise CSpineSegError(sentence)

    def _sentence(self, code: int) -> str:
        """Why it failed. Libraries may write lines of their own after ours, so ours is looked for."""
        for line in reversed(self._said):
            if line.startswith(PREFIX):
                return line.removeprefix(PREFIX)
        return ended(code, self._said[-1] if self._said else None)

    def _end(self) -> None:
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            kill_tree(self._process)

    def _read_events(self) -> None:
        for line in self._process.stderr:
            try:
                self._events.put(Event(**json.loads(line)))
            except (ValueError, TypeError):
                if line.strip():
                    self._said.append(line.strip())

    def _read_answer(self) -> None:
        self._answer.extend(self._process.stdout)


def ended(code: int, last: str | None) -> str:
    """A sentence on a process that ended without saying why; `last` is the last line that it wrote."""
    if code < 0:
        return (
            f"The work was ended by the system (signal {-code}), which mostly means that memory ran out; "
            "close other programs and try again."
        )
    return f"The work ended unexpectedly with code {code}{f': {last}' if last else '.'}"


def _start(words: list[str], **options: Any) -> subprocess.Popen:
    """A process whose output is read as UTF-8."""
    return start(words, encoding="utf-8", errors="replace", env=environment(), **options)


def start(words: list[str], **options: Any) -> subprocess.Popen:
    """A process with pipes for its output, if nothing else is said; CSpineSegError if it cannot be started."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        return subprocess.Popen(words, **{**pipes, **options})
    except OSError as error:
        raise CSpineSegError(f"Python could not be started for the work ({error}); reinstall Slicer.") from error


def own_group() -> dict[str, Any]:
    """Popen's arguments for a process that can be ended with all its children, and on Windows shows no console."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def kill_tree(process: subprocess.Popen) -> None:
    """End a process and its children by force: `PythonSlicer` is a launcher, and ending it alone changes nothing."""
    if os.name == "nt":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
