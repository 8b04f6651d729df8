"""The worker's own side: a thread that listens, the main thread that works, and a third that ends what does not end."""

from __future__ import annotations

import contextlib
import gc
import math
import os
import shutil
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ... import __version__, files
from ...errors import Cancelled
from ...progress import Event, Progress
from .. import results
from . import memory, protocol, work
from .protocol import Request, RequestError
from .shelf import Shelf
from .streams import Sink

_EVENT_SECONDS = 0.05


@dataclass(eq=False)
class Task:
    """A request that takes time. It ends once: with a result, an error, or cancelled."""

    request: Request
    cancelled: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)


class Server:
    """Takes requests, one line each, and works on them in order.

    Parameters
    ----------
    sink : where the answers go.
    scratch : this process's own folder for temporary files of libraries; it goes when the process does.
    """

    def __init__(self, sink: Sink, scratch: Path) -> None:
        self._sink = sink
        self._scratch = scratch
        self._began = time.monotonic()
        self._wake = threading.Condition()
        self._queue: deque[Task] = deque()
        self._running: Task | None = None
        self._taking = True
        self._code = protocol.DONE
        self._done = 0
        self._shelf = Shelf()
        self._models = work.Models()

    # What the listening thread does

    def listen(self, lines: Iterable[bytes | None]) -> None:
        """Answer lines until there are no more: then whoever sent them is gone, and the process ends."""
        try:
            for line in lines:
                self.answer(line)
        finally:
            self.abandon()

    def answer(self, line: bytes | None) -> None:
        """Answer one line, at once or, for what takes time, later; None stands for a line that was too long."""
        if line is not None and not line.strip():
            return
        try:
            if line is None:
                raise RequestError(f"The line is longer than {protocol.LINE_BYTES} bytes and was not read.")
            request = protocol.parse(line)
            getattr(self, f"_on_{request.command}")(request)
        except RequestError as error:
            self._sink.send({"type": "error", "id": error.id, **protocol.failure(error)})

    def _on_hello(self, request: Request) -> None:
        self.greet(request.id)

    def greet(self, id: str | int | None = None) -> None:
        """Say who this is; unasked at the start."""
        content = {
            "protocol": protocol.VERSION,
            "version": __version__,
            "pid": os.getpid(),
            "commands": list(protocol.COMMANDS),
            "limits": {"line": protocol.LINE_BYTES, "prefetch": self._shelf.limit},
            "owner": files.owner(),
            "scratch": str(self._scratch),
        }
        self._sink.send({"type": "hello", **content} if id is None else self._ending(id, content))

    def _on_status(self, request: Request) -> None:
        with self._wake:
            content = {
                "job": self._running.request.id if self._running else None,
                "queued": [task.request.id for task in self._queue],
                "done": self._done,
                "seconds": round(time.monotonic() - self._began, 3),
            }
        content |= {"models": self._models.names(), "prefetched": self._shelf.state(), "memory": memory.usage()}
        self._sink.send(self._ending(request.id, content))

    def _on_prefetch(self, request: Request) -> None:
        self._shelf.request(request.fields["images"], lambda found: self._sink.send(self._ending(request.id, found)))

    def _on_load(self, request: Request) -> None:
        self._enqueue(request)

    def _on_segment(self, request: Request) -> None:
        self._enqueue(request)

    def _on_import(self, request: Request) -> None:
        self._enqueue(request)

    def _enqueue(self, request: Request) -> None:
        with self._wake:
            if not self._taking:
                raise RequestError("The worker is ending and takes no more jobs; start another.", request.id)
            known = [task.request.id for task in (*self._queue, self._running) if task]
            if request.id in known:
                raise RequestError(f"There is a job {request.id!r} already; choose another id.", request.id)
            self._queue.append(Task(request))
            self._wake.notify_all()

    def _on_cancel(self, request: Request) -> None:
        id = request.fields["job"]
        with self._wake:
            task = next((task for task in (*self._queue, self._running) if task and task.request.id == id), None)
        self._sink.send(self._ending(request.id, {"found": task is not None}))
        if task is not None:
            self._cancel(task, protocol.FORCED)

    def _on_shutdown(self, request: Request) -> None:
        with self._wake:
            self._taking = False
            self._wake.notify_all()
        self._sink.send(self._ending(request.id, {}))

    def abandon(self) -> None:
        """Nobody is there to work for any more: cancel everything and end, by force if need be."""
        with self._wake:
            if self._code == protocol.ORPHANED:
                return
            self._taking, self._code = False, protocol.ORPHANED
            tasks = [*self._queue, *([self._running] if self._running else [])]
            self._wake.notify_all()
        for task in tasks:
            self._cancel(task, protocol.ORPHANED)
        if not tasks:
            # The main thread ends by itself, unless it still imports or hangs.
            threading.Thread(target=self._end, args=(None, protocol.ORPHANED), daemon=True).start()

    def _cancel(self, task: Task, code: int) -> None:
        task.cancelled.set()
        with self._wake:
            waiting = task in self._queue
            if waiting:
                self._queue.remove(task)
        if waiting:
            self._finish(task, {"type": "cancelled"})
        else:
            threading.Thread(target=self._end, args=(task, code), daemon=True, name="cspineseg-watchdog").start()

    def _end(self, task: Task | None, code: int) -> None:
        """Give a task its time to stop; if it does not, end the process in its stead and leave nothing behind."""
        if task is None:
            time.sleep(protocol.COOPERATIVE_SECONDS)
            self.leave(code)
        if task.ended.wait(protocol.COOPERATIVE_SECONDS):
            return
        fields = task.request.fields
        # Not given back, so that no writing can begin any more.
        held = results.WRITING.acquire(timeout=protocol.WRITING_SECONDS)
        if not self._claim(task):
            if held:
                results.WRITING.release()
            return
        try:
            for folder, deep in work.folders(fields, self._models.folder(fields.get("model"))):
                with contextlib.suppress(OSError):
                    files.sweep(folder, -math.inf, owned_by=files.owner(), deep=deep)
            # A reader that does not read must not keep the process alive.
            last = threading.Thread(target=self._tell, args=(task, {"type": "cancelled", "exit": code}), daemon=True)
            last.start()
            last.join(protocol.WRITING_SECONDS)
        finally:
            self.leave(code)

    def leave(self, code: int) -> None:
        """End the process at once, past the destructors of large libraries, which take their time or crash."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        os._exit(code)

    # What the main thread does

    def work(self) -> int:
        """Work until there is nothing more to come; returns the exit code."""
        while (task := self._next()) is not None:
            self._finish(task, self._outcome(task))
            with self._wake:
                self._running, self._done = None, self._done + 1
        return self._code

    def _next(self) -> Task | None:
        with self._wake:
            while not self._queue and self._taking:
                self._wake.wait()
            self._running = self._queue.popleft() if self._queue else None
            return self._running

    def _outcome(self, task: Task) -> dict[str, Any]:
        began = time.monotonic()
        progress = Progress(_Reporter(self._sink, task.request.id), task.cancelled.is_set)
        try:
            content = work.COMMANDS[task.request.command](task.request.fields, self._models, self._shelf, progress)
        except Cancelled:
            return {"type": "cancelled"}
        except BaseException as error:
            # Whatever a job does, the next one gets its turn.
            answer = {"type": "error", **protocol.failure(error)}
            if answer["kind"] == "unexpected":
                traceback.print_exc()
            if answer["kind"] == "memory":
                self._shelf.clear()
            del error
            gc.collect()
            return answer
        return {"type": "result", **content, "seconds": round(time.monotonic() - began, 3)}

    def _finish(self, task: Task, answer: dict[str, Any]) -> None:
        if self._claim(task):
            self._tell(task, answer)

    def _claim(self, task: Task) -> bool:
        """True for the first who ends a task; nobody else may say how it ended."""
        with self._wake:
            first = not task.ended.is_set()
            task.ended.set()
            return first

    def _tell(self, task: Task, answer: dict[str, Any]) -> None:
        kind = answer.pop("type")
        self._sink.send({"type": kind, "id": task.request.id, **answer, "memory": memory.usage()})

    def _ending(self, id: str | int, content: dict[str, Any]) -> dict[str, Any]:
        return {"type": "result", "id": id, **content}


class _Reporter:
    """Sends events, but not more of one stage than anybody can see."""

    def __init__(self, sink: Sink, id: str | int) -> None:
        self._sink, self._id = sink, id
        self._last, self._stage = -math.inf, ""

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if event.stage == self._stage and event.fraction < 1.0 and now - self._last < _EVENT_SECONDS:
            return
        self._last, self._stage = now, event.stage
        said = {
            "stage": event.stage,
            "fraction": round(event.fraction, 4),
            "eta": None if event.eta is None else round(event.eta, 2),
            "message": event.message,
        }
        self._sink.send({"type": "event", "id": self._id, **said})
