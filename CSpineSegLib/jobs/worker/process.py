"""One worker process as whoever started it sees it: lines to it, messages from it, and its end, however it came."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from .. import child
from . import protocol
from .streams import Sink, pieces

# How long a process that has closed its output, or whose launcher has ended, may take to end itself.
_END_SECONDS = 1.0
_KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": "8589934592",
    "MALLOC_TRIM_THRESHOLD_": "34359738368",
    "MALLOC_TOP_PAD_": "268435456",
}


def environment(engine: str = "auto") -> dict[str, str]:
    """The worker's environment: this process's own, UTF-8, this library found, and for torch memory that is kept.

    Torch takes and gives back hundreds of megabytes at every layer. If glibc asks the system for each of them, page
    faults are a third of the time of a 3D network on the CPU; kept, they cost a third more memory. OpenVINO keeps its
    own.
    """
    found = child.environment()
    if sys.platform == "linux" and (engine == "torch" or find_spec("openvino") is None):
        for name, value in _KEEPING.items():
            found.setdefault(name, value)
    return found


class Process:
    """A process that was started; the threads that follow it end when it does.

    Parameters
    ----------
    python : the interpreter; None for the running one.
    engine : that the first job asks for.
    hear : told every message, with this process; in a thread of its own.
    gone : told once, with this process, that it has ended and was collected, and why in a sentence.
    log : told every line that libraries write.

    Raises
    ------
    CSpineSegError : the interpreter cannot be started.
    """

    def __init__(
        self,
        python: str | None,
        hear: Callable[[Process, dict[str, Any]], None],
        gone: Callable[[Process, str], None],
        log: Callable[[str], None] | None = None,
        engine: str = "auto",
    ) -> None:
        self._hear, self._gone, self._log = hear, gone, log
        self._last: deque[str] = deque(maxlen=1)
        self.hello: dict[str, Any] = {}
        words = [python or sys.executable, "-m", "CSpineSegLib.worker"]
        options = {"stdin": subprocess.PIPE, "bufsize": 0, "env": environment(engine), **child.own_group()}
        self._process = child.start(words, **options)
        self._sink = Sink(self._process.stdin.fileno())
        self._errors = self._thread(self._read_errors)
        self._reader = self._thread(self._read)
        self._thread(self._wait)

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; silent if the process has ended, of which `gone` is told."""
        self._sink.send(message)

    def close(self) -> None:
        """Tell the process, by the end of its input, that nobody needs it any more."""
        self._sink.close(self._process.stdin.close)

    def kill(self) -> None:
        """End the process, and whatever it or its launcher started, by force."""
        child.kill_tree(self._process)

    def kill_unless(self, ended: threading.Event, seconds: float) -> None:
        """Kill it if something has not ended in so many seconds; never waits."""

        def insist() -> None:
            if not ended.wait(seconds):
                self.kill()

        self._thread(insist)

    def wait(self, ended: threading.Event, seconds: float | None) -> None:
        """Wait for what `hear` or `gone` will set; may return before it is set or the time is over."""
        ended.wait(seconds)

    def join(self, timeout: float) -> bool:
        """Wait until `gone` has returned; False if it has not after so many seconds."""
        self._reader.join(timeout)
        return not self._reader.is_alive()

    def _thread(self, target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, daemon=True, name=f"cspineseg-worker-{target.__name__.strip('_')}")
        thread.start()
        return thread

    def _read(self) -> None:
        try:
            for line in protocol.lines(pieces(self._process.stdout.fileno())):
                message = protocol.decode(line or b"")
                if message.get("type") == "hello":
                    self.hello = message
                self._hear(self, message)
        except Exception as error:
            # Not a worker, or not one that this library knows: whoever waits for it must be told.
            self._last.append(f"it said what was not understood ({type(error).__name__}: {error})")
            self.kill()
        self.close()
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self._process.wait()
        self._errors.join(_END_SECONDS)
        for stream in (self._process.stdout, self._process.stderr):
            # A stray grandchild may still hold the other end, and a thread may wait here for it.
            if stream is self._process.stdout or not self._errors.is_alive():
                stream.close()
        if "scratch" in self.hello:
            shutil.rmtree(self.hello["scratch"], ignore_errors=True)
        self._gone(self, child.ended(code, self._last[-1] if self._last else None))

    def _read_errors(self) -> None:
        for line in protocol.lines(pieces(self._process.stderr.fileno())):
            text = (line or b"").decode("utf-8", "replace").rstrip()
            if text:
                self._last.append(text)
                if self._log is not None:
                    self._log(text)

    def _wait(self) -> None:
        """Where a launcher has ended and what it launched has not, end that too: nobody else would."""
        self._process.wait()
        self.close()
        if not self.join(_END_SECONDS):
            with contextlib.suppress(OSError):
                self.kill()
