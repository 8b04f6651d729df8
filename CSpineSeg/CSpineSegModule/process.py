"""The worker as a QProcess: what it says arrives on Slicer's main thread, by Qt's event loop.

Python's threads rest in Slicer while its main thread waits for the user, so nothing here needs one.
"""

import shutil
import sys
import time

import qt
from slicer.i18n import tr as _

from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.jobs import child
from CSpineSegLib.jobs.worker import protocol, tree
from CSpineSegLib.jobs.worker.process import environment

from .interpreter import python_slicer

START_MS = 30_000
STEP_MS = 50
# Qt must not lose a process while it tells of it, whoever else has forgotten it.
_alive = set()


class QtProcess:
    """As :class:`CSpineSegLib.jobs.worker.process.Process`, with the same arguments; `hear` and the others are called
    by Qt's event loop, or inside :meth:`wait` and :meth:`join`.
    """

    def __init__(self, python, hear, gone, log=None, engine="auto"):
        self._hear, self._gone, self._log = hear, gone, log
        self._output, self._errors = _Lines(), _Lines()
        self._last, self._over, self._deadlines = None, False, []
        self.hello = {}
        program = python or python_slicer() or sys.executable
        variables = qt.QProcessEnvironment()
        for name, value in environment(engine).items():
            variables.insert(name, value)
        self._process = qt.QProcess()
        self._process.setProcessEnvironment(variables)
        self._timer = qt.QTimer()
        self._timer.interval = STEP_MS
        # The very functions that are connected, to disconnect them again.
        self._connected = (
            (self._process.readyReadStandardOutput, self._onOutput),
            (self._process.readyReadStandardError, self._onErrors),
            (self._process.finished, self._onFinished),
            (self._timer.timeout, self._onTimer),
        )
        for signal, slot in self._connected:
            signal.connect(slot)
        _alive.add(self)
        self._process.start(program, ["-m", "CSpineSegLib.worker", tree.OWN_GROUP])
        if not self._process.waitForStarted(START_MS):
            _alive.discard(self)
            reason = self._process.errorString()
            raise CSpineSegError(
                _("Python could not be started for the work ({reason}); reinstall Slicer.").format(reason=reason)
            )
        self.pid = int(self._process.processId())

    def send(self, message):
        """Send a message; silent if the process has ended, of which `gone` is told."""
        if not self._over:
            self._process.write(protocol.encode(message))

    def close(self):
        """Tell the process, by the end of its input, that nobody needs it any more."""
        if not self._over:
            self._process.closeWriteChannel()

    def kill(self):
        """End the process, and whatever it or its launcher started, by force."""
        if not self._over:
            tree.kill(self.pid, self.hello.get("pid"))

    def kill_unless(self, ended, seconds):
        """Kill it if something has not ended in so many seconds; never waits."""
        self._deadlines.append((time.monotonic() + seconds, ended))
        self._timer.start()

    def wait(self, ended, seconds):
        """Wait for what `hear` or `gone` will set; may return before it is set or the time is over."""
        if self._over:
            return
        step = STEP_MS if seconds is None else max(1, min(STEP_MS, int(1000 * seconds)))
        if not ended.is_set():
            self._process.waitForReadyRead(step)
            self._onTimer()

    def join(self, timeout):
        """Wait until `gone` has returned; False if it has not after so many seconds."""
        end = time.monotonic() + timeout
        while not self._over and time.monotonic() < end:
            self._process.waitForFinished(STEP_MS)
            self._onTimer()
        return self._over

    def _onOutput(self):
        for line in self._output.feed(self._process.readAllStandardOutput()):
            try:
                message = protocol.decode(line)
                if message.get("type") == "hello":
                    self.hello = message
                self._hear(self, message)
            except Exception as error:
                # Not a worker, or not one that this library knows: whoever waits for it must be told.
                self._last = f"it said what was not understood ({type(error).__name__}: {error})"
                self.kill()
                return

    def _onErrors(self):
        for line in self._errors.feed(self._process.readAllStandardError()):
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._last = text
                if self._log is not None:
                    self._log(text)

    def _onFinished(self, *_ignored):
        if self._over:
            return
        self._onOutput()
        self._onErrors()
        self._over = True
        self._timer.stop()
        if "pid" in self.hello:
            # Where a launcher has ended and what it launched has not, nobody else would end that.
            tree.kill_group(self.hello["pid"])
        if "scratch" in self.hello:
            shutil.rmtree(self.hello["scratch"], ignore_errors=True)
        code = int(self._process.exitCode())
        if self._process.exitStatus() == qt.QProcess.CrashExit and sys.platform != "win32":
            code = -max(1, code)
        self._gone(self, child.ended(code, self._last))
        # Not while Qt is telling of its end.
        qt.QTimer.singleShot(0, self._forget)

    def _forget(self):
        # Signals that still know this object would keep it, and Slicer's Python with it.
        for signal, slot in self._connected:
            signal.disconnect(slot)
        self._connected = ()
        _alive.discard(self)

    def _onTimer(self):
        now = time.monotonic()
        self._deadlines = [(end, ended) for end, ended in self._deadlines if not ended.is_set()]
        if not self._deadlines:
            self._timer.stop()
        elif any(end <= now for end, _ended in self._deadlines):
            self._deadlines = []
            self.kill()


class _Lines:
    """The lines of a stream that arrives in pieces."""

    def __init__(self):
        self._rest = b""

    def feed(self, data):
        """The lines that ended with this piece; a line that is longer than any message ends too."""
        *ended, self._rest = (self._rest + _bytes(data)).split(b"\n")
        if len(self._rest) > protocol.LINE_BYTES:
            ended.append(self._rest)
            self._rest = b""
        return ended


def _bytes(data):
    """What Qt read: a QByteArray, whose content PythonQt gives as bytes or as text."""
    content = data.data() if hasattr(data, "data") else data
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else bytes(content)
