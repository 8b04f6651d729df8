"""nnU-Net's own executables as processes: found, started, followed, and ended with all that they started."""

from __future__ import annotations

import codecs
import contextlib
import os
import queue
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ...errors import Cancelled, ModelError
from ...progress import Progress, ensure

PACKAGE = "nnunetv2"
GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.2
_KEPT = 4000
_TOLD = 3
_ERROR = re.compile(r"[A-Za-z_.]*(Error|Exception): ")


@dataclass(frozen=True)
class Command:
    """One of nnU-Net's commands.

    Parameters
    ----------
    name : of the executable, for instance "nnUNetv2_train".
    arguments : as nnU-Net takes them.
    variables : environment variables for this process alone, nnU-Net's three folders among them.
    """

    name: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)

    def words(self, find: Callable[[str], str] | None = None) -> list[str]:
        """The executable, found by `find` (:func:`locate`), and its arguments."""
        return [(find or locate)(self.name), *self.arguments]

    def line(self, find: Callable[[str], str] | None = None, windows: bool | None = None) -> str:
        """The command as a line that can be pasted into a shell: PowerShell on Windows, else any POSIX shell."""
        words = self.words(find)
        if os.name == "nt" if windows is None else windows:
            quoted = ["'" + text.replace("'", "''") + "'" for text in words]
            settings = [f"$env:{name}='{value.replace(chr(39), chr(39) * 2)}';" for name, value in self._sorted()]
            return " ".join([*settings, "&", *quoted])
        return " ".join([*(f"{name}={shlex.quote(value)}" for name, value in self._sorted()), shlex.join(words)])

    def _sorted(self) -> list[tuple[str, str]]:
        return list(self.variables.items())


def locate(name: str) -> str:
    """Path of one of nnU-Net's executables: of this Python's nnU-Net, or else the first on the PATH.

    Raises
    ------
    ModelError : nnU-Net is not installed; the sentence says how to install it without losing the torch that is there.
    """
    file_names = (name, f"{name}.exe")
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.distribution(PACKAGE).files or ():
            path = Path(str(file.locate()))
            if path.name in file_names and path.is_file():
                return os.path.abspath(path)
    beside = Path(sys.executable).parent
    search = os.pathsep.join([str(beside), str(beside / "Scripts"), os.environ.get("PATH", "")])
    found = shutil.which(name, path=search)
    if found is None:
        raise ModelError(
            f"nnU-Net's {name} was not found; install it with '{sys.executable} -m pip install {_constrained()}', "
            "which leaves torch as it is."
        )
    return found


def version() -> tuple[int, ...] | None:
    """nnU-Net's version as numbers; None if it is not in this Python."""
    try:
        return tuple(int(part) for part in re.findall(r"[0-9]+", metadata.version(PACKAGE))[:3])
    except metadata.PackageNotFoundError:
        return None


def run(command: Command, progress: Progress | None = None, echo: Callable[[str], None] | None = None) -> float:
    """Run a command to its end and return its seconds.

    Parameters
    ----------
    progress : gets the last line of output as its message, and can cancel.
    echo : gets the output as it comes.

    Raises
    ------
    ModelError : it failed; the sentence ends with what nnU-Net said last.
    Cancelled, KeyboardInterrupt : after the process and all that it started have ended.
    """
    progress = ensure(progress)
    began = time.monotonic()
    words = command.words()
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **command.variables},
            **_own_group(),
        )
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"{words[0]} could not be started ({reason}); install nnU-Net again.") from None
    output = _Output(process)
    with _ended_on_sigterm():
        try:
            output.follow(command.name, progress, echo)
        except BaseException:
            output.end()
            raise
    code = process.wait()
    if code != 0:
        raise ModelError(_sentence(command.name, code, output.tail))
    return time.monotonic() - began


class _Output:
    """What a process says, read by a thread so that cancelling never waits for it."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process, self.tail = process, ""
        self._said: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def follow(self, name: str, progress: Progress, echo: Callable[[str], None] | None) -> None:
        """Pass on what is said until the process and all that hold its output have ended."""
        gone_since = None
        while True:
            progress.update(name, 0.0, self._last_line())
            try:
                text = self._said.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if self.process.poll() is None:
                    continue
                # Workers of a process that failed can outlive it, and would be waited for without end.
                gone_since = gone_since or time.monotonic()
                if time.monotonic() - gone_since > GRACE_SECONDS:
                    self.end()
                    return
                continue
            if text is None:
                return
            self.tail = (self.tail + text)[-_KEPT:]
            if echo is not None:
                echo(text)

    def end(self) -> None:
        """Ask the process and all that it started to end, and end them by force after a while.

        As long as the output is open somebody of the group lives, so that its number cannot be another's by then.
        """
        if not self._reader.is_alive():
            return
        if os.name == "nt":
            words = ["taskkill", "/T", "/F", "/PID", str(self.process.pid)]
            subprocess.run(words, capture_output=True, check=False)
        else:
            _signal_group(self.process, signal.SIGTERM)
            self._reader.join(GRACE_SECONDS / 2)
            if self._reader.is_alive():
                _signal_group(self.process, signal.SIGKILL)
        self._reader.join(GRACE_SECONDS / 2)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE_SECONDS / 2)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        descriptor = self.process.stdout.fileno()
        while data := os.read(descriptor, 65536):
            self._said.put(decoder.decode(data))
        self.process.stdout.close()
        self._said.put(None)

    def _last_line(self) -> str:
        lines = _lines(self.tail[-500:])
        return lines[-1] if lines else ""


def _sentence(name: str, code: int, tail: str) -> str:
    if code < 0:
        return (
            f"{name} was ended by the system (signal {-code}), which mostly means that memory ran out; "
            "use fewer processes with --processes, or a machine with more memory."
        )
    lines = _lines(tail)
    errors = [index for index, line in enumerate(lines) if _ERROR.match(line)]
    # Of a traceback the error alone; what stands above it in full.
    last = lines[errors[-1] :][:_TOLD] if errors else lines[-_TOLD:]
    said = " / ".join(last) or "nothing"
    return f"{name} failed with code {code}; it said last: {said}"


def _lines(text: str) -> list[str]:
    """The lines of a text without blank ones; of a line that was drawn over, what can be seen last."""
    seen = (line.rstrip("\r").rpartition("\r")[2].strip() for line in text.replace("\r\n", "\n").split("\n"))
    return [line for line in seen if line]


def _constrained() -> str:
    """What to install, with the torch that is there held fast: nnU-Net would replace it by another build."""
    wanted = [f'"{PACKAGE}>=2.8.1"']
    with contextlib.suppress(metadata.PackageNotFoundError):
        # Without the build's own suffix, which the package index does not know.
        wanted.append(f'"torch=={metadata.version("torch").partition("+")[0]}"')
    return " ".join(wanted)


def _own_group() -> dict[str, Any]:
    """Popen's arguments for a process that can be ended together with its children."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _signal_group(process: subprocess.Popen, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextlib.contextmanager
def _ended_on_sigterm() -> Iterator[None]:
    """SIGTERM, by which clusters end a job, cancels as Ctrl-C does; nnU-Net would be left behind otherwise."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def cancel(number: int, frame: Any) -> None:
        raise Cancelled("Ended from outside; what was finished before is kept.")

    before = signal.signal(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


