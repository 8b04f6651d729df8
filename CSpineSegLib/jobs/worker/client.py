"""A worker from the outside: jobs are given to it in order, and it is started, and started again, when one needs it."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ... import files
from ...dataset import Exam
from ...errors import CSpineSegError
from ...model import Bundle
from ...progress import Event, Progress
from ..options import Options
from ..segment import SegmentResult
from . import protocol, work
from .process import Process

# After this, a process that has not answered a cancellation is ended from outside.
_INSIST_SECONDS = 0.95
_CLOSE_SECONDS = 1.2
_STEP_SECONDS = 0.05


class Job:
    """One job of a worker, from when it was asked for until it has ended: with a result, an error, or cancelled."""

    def __init__(self, worker: Worker, id: int, fields: dict[str, Any], model: Path | None) -> None:
        self.id = id
        self.fields = fields
        self.process: Process | None = None
        self.began = self.cancelled = self.again = False
        self.folders = work.folders(fields, model)
        self._worker = worker
        self._events: deque[Event] = deque()
        self._ended = threading.Event()
        self._answer: dict[str, Any] = {}
        self._error: Exception | None = None

    @property
    def image(self) -> str | None:
        """The file that it reads."""
        return self.fields["exam"]["image"] if "exam" in self.fields else self.fields.get("image")

    @property
    def memory(self) -> dict[str, int | None]:
        """Bytes that the worker took when the job had ended, `resident` and at most `peak`; empty until then."""
        return self._answer.get("memory", {})

    def poll(self) -> list[Event]:
        """The events since the last call; never waits."""
        return [self._events.popleft() for _ in range(len(self._events))]

    def is_running(self) -> bool:
        """True until it has ended, also while it waits for its turn."""
        return not self._ended.is_set()

    def cancel(self) -> None:
        """Stop it, within a second; never waits. Nothing happens if it has ended."""
        self._worker.cancel(self)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the :class:`SegmentResult`, or for a model that was loaded what it is.

        Raises
        ------
        CSpineSegError : the sentence of the job's error, or on the end of the process; Refused if `anyway` would help.
        Cancelled : after :meth:`cancel`. TimeoutError : it has not ended after `timeout` seconds.
        """
        if not self._worker.wait(self._ended, timeout):
            raise TimeoutError(f"The job has not ended after {timeout:g} seconds.")
        if self._error is not None:
            raise self._error
        if "result" in self._answer:
            return SegmentResult.from_json(self._answer["result"])
        return self._answer["model"]

    def follow(self, progress: Progress) -> Any:
        """As :meth:`result`, telling `progress` meanwhile; its cancellation, and Ctrl-C, cancel the job."""
        try:
            ended = False
            while not ended:
                ended = self._worker.wait(self._ended, _STEP_SECONDS)
                progress.check()
                for event in self.poll():
                    progress.update(event.stage, event.fraction, event.message)
        except BaseException:
            self.cancel()
            raise
        return self.result()

    def hear(self, event: Event) -> None:
        self._events.append(event)

    def end(self, answer: dict[str, Any], error: Exception | None = None) -> None:
        if not self._ended.is_set():
            self._answer, self._error = answer, error
            self._ended.set()


class Worker:
    """A process that segments one exam after another, and is there as long as it is needed.

    It is started by the first job. If it dies, the job that it had fails with one sentence, and the next job starts
    another. None of the methods wait, but for :meth:`close`.

    Parameters
    ----------
    python : the interpreter; in Slicer that of `PythonSlicer`, by default the running one.
    log : told every line that libraries write to the worker's standard error stream.
    start : makes the process, and follows it as :class:`.process.Process` does, which is used by default. Slicer has
        its own: its threads rest while its main thread waits for the user.
    """

    def __init__(
        self,
        python: str | None = None,
        log: Callable[[str], None] | None = None,
        start: Callable[..., Process] | None = None,
    ) -> None:
        self._python, self._log, self._start = python, log, start or Process
        self._lock = threading.RLock()
        self._process: Process | None = None
        self._queue: deque[Job] = deque()
        self._current: Job | None = None
        self._ids = itertools.count(1)
        self._closed = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process that there is now, or None."""
        with self._lock:
            return self._process.pid if self._process is not None else None

    def segment(self, exam: Exam, model: Bundle | str | Path, **options: Any) -> Job:
        """Segment an exam; options and result are those of :func:`jobs.segment`."""
        return self._add("segment", {"exam": work.exam_to(exam), **Options(**options).to_json()}, model)

    def segment_file(
        self, image: Path, output: Path, model: Bundle | str | Path, *, quality: bool = False, **options: Any
    ) -> Job:
        """Segment a file to a file; options and result are those of :func:`jobs.segment_file`."""
        # The worker's own folder may be another.
        places = {"image": str(Path(image).absolute()), "output": str(Path(output).absolute())}
        more = {"quality": True} if quality else {}
        return self._add("segment", {**places, **more, **Options(**options).to_json()}, model)

    def load(self, model: Bundle | str | Path, device: str = "auto", engine: str = "auto") -> Job:
        """Make a model ready; its result tells name, version, engine and device. ModelError if it cannot run so."""
        return self._add("load", {"device": device, "engine": engine}, model)

    def import_model(self, source: Path | str, *, orientation: str | None = None) -> Job:
        """Make a model of what nnU-Net exported; its result tells name, version, folder and notes.

        OrientationError: `orientation` has to be given. Other errors are those of :func:`importing.import_model`.
        """
        fields = {"source": str(Path(source).absolute()), "orientation": orientation}
        return self._add("import", fields, None)

    def wait(self, ended: threading.Event, timeout: float | None) -> bool:
        """Wait for the end of a job; False if it has not come after `timeout` seconds."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not ended.is_set():
            left = end - time.monotonic()
            if left <= 0:
                return False
            with self._lock:
                process = self._process
            if process is not None:
                process.wait(ended, None if timeout is None else left)
            else:
                ended.wait(min(left, _STEP_SECONDS))
        return True

    def cancel(self, job: Job) -> None:
        """See :meth:`Job.cancel`."""
        with self._lock:
            if job in self._queue:
                self._queue.remove(job)
                job.end({}, protocol.error_of({"type": "cancelled"}))
            if not job.is_running() or job.cancelled:
                return
            job.cancelled = True
            process = job.process
            process.send({"id": next(self._ids), "command": "cancel", "job": job.id})
            process.kill_unless(job._ended, _INSIST_SECONDS)

    def close(self) -> None:
        """Cancel what there is and end the process; nothing of it is left when this returns, within two seconds."""
        with self._lock:
            self._closed = True
            while self._queue:
                self._queue.pop().end({}, protocol.error_of({"type": "cancelled"}))
            if self._current is not None:
                self._current.cancelled = True
            process, self._process = self._process, None
        if process is not None:
            process.close()
            if not process.join(_CLOSE_SECONDS):
                process.kill()
                process.join(_CLOSE_SECONDS)

    def _add(self, command: str, fields: dict[str, Any], model: Bundle | str | Path | None) -> Job:
        folder = Path(model.folder) if hasattr(model, "folder") else None
        named = {} if model is None else {"model": str(folder.absolute() if folder is not None else model)}
        job = Job(self, next(self._ids), {"command": command, **named, **fields}, folder)
        with self._lock:
            if self._closed:
                raise CSpineSegError("The worker was closed; start another.")
            self._queue.append(job)
            self._next()
        return job

    def _next(self) -> None:
        """Give the process the next job, if it has none, and have it read the image of the one after that."""
        while self._current is None and self._queue:
            job = self._queue.popleft()
            try:
                if self._process is None:
                    engine = job.fields.get("engine", "auto")
                    self._process = self._start(self._python, self._hear, self._gone, self._log, engine)
            except CSpineSegError as error:
                job.end({}, error)
                continue
            self._current, job.process = job, self._process
            job.process.send({"id": job.id, **job.fields})
        ahead = self._queue[0] if self._current is not None and self._queue else None
        if ahead is not None and ahead.image is not None and ahead.process is not self._current.process:
            ahead.process = self._current.process
            ahead.process.send({"id": next(self._ids), "command": "prefetch", "images": [ahead.image]})

    def _hear(self, process: Process, message: dict[str, Any]) -> None:
        with self._lock:
            job = self._current
            if message.get("type") == "hello" and message.get("protocol") != protocol.VERSION:
                process.kill()
            if job is None or job.process is not process or message.get("id") != job.id:
                return
            job.began = True
            if message["type"] == "event":
                job.hear(Event(**{name: message[name] for name in ("stage", "fraction", "eta", "message")}))
                return
            if "exit" in message and self._process is process:
                self._process = None
            job.end(message, None if message["type"] == "result" else protocol.error_of(message))
            self._current = None
            self._next()

    def _gone(self, process: Process, sentence: str) -> None:
        with self._lock:
            if self._process is process:
                self._process = None
            job = self._current
            if job is None or job.process is not process:
                return
            for folder, deep in job.folders:
                files.sweep(folder, -math.inf, owned_by=process.hello.get("owner", "none"), deep=deep)
            self._current = None
            if job.cancelled:
                job.end({}, protocol.error_of({"type": "cancelled"}))
            elif process.hello and not job.began and not job.again and not self._closed:
                # It ended before it was told of this job, which nothing is wrong with.
                job.again = True
                self._queue.appendleft(job)
            else:
                job.end({}, CSpineSegError(sentence))
            self._next()
