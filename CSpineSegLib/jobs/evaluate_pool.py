"""The same work on many things in several processes, so that one that takes its process along fails alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from ..progress import Progress
from .worker.protocol import NO_MEMORY

Item = TypeVar("Item")

# Sums over many numbers depend in the last digit on how many threads share them, and so would files.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_POLL_SECONDS = 0.3
# What Windows can wait for at once.
_MOST = 61


def each(
    work: Callable[[Item], Any], items: Sequence[Item], jobs: int, progress: Progress
) -> Iterator[tuple[Item, Any]]:
    """Every item with the result of `work(item)`, in no certain order; a result is a sentence (str) if it died.

    Parameters
    ----------
    work : a function of a module, since it is sent to other processes.
    jobs : processes of one thread each; 0 does the work in this process.
    progress : asked several times a second whether to stop.

    Raises
    ------
    Cancelled : no new work is begun, and what is under way is waited for.
    Exception : what `work` raised.
    """
    if jobs < 1:
        for item in items:
            progress.check()
            yield item, work(item)
        return
    left = list(reversed(items))
    with _one_thread():
        while left:
            under_way: list[Item] = []
            try:
                yield from _pooled(work, left, under_way, min(jobs, len(left), _MOST), progress)
            except BrokenProcessPool:
                # One of these did it; each gets a process of its own, so that only that one is lost.
                for item in list(under_way):
                    yield item, _alone(work, item, progress)


def _pooled(
    work: Callable[[Item], Any], left: list[Item], under_way: list[Item], jobs: int, progress: Progress
) -> Iterator[tuple[Item, Any]]:
    """Takes items off the end of `left`; `under_way` holds those whose result was not yielded."""
    waiting: dict[Future, Item] = {}
    pool = _pool(jobs)
    try:
        while left or waiting:
            # No more than are worked on, so that a cancelled job ends soon and few are lost with a process.
            while left and len(waiting) < jobs:
                item = left.pop()
                under_way.append(item)
                with _without_main(work):
                    waiting[pool.submit(work, item)] = item
            progress.check()
            done, _ = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                item = waiting[future]
                result = future.result()
                del waiting[future]
                under_way.remove(item)
                yield item, result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _alone(work: Callable[[Item], Any], item: Item, progress: Progress) -> Any:
    try:
        ((_, result),) = _pooled(work, [item], [], 1, progress)
    except BrokenProcessPool:
        return NO_MEMORY
    return result


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)


@contextlib.contextmanager
def _without_main(work: Callable[[Item], Any]) -> Iterator[None]:
    """New processes do not run the caller's script again, which would fail where nothing guards its main part."""
    main = sys.modules.get("__main__")
    if main is None or getattr(work, "__module__", None) == "__main__":
        yield
        return
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _begin() -> None:
    """In a new process: Ctrl-C is the parent's to answer, and nobody works on for a parent that is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    if parent is not None:
        threading.Thread(target=watch, daemon=True, name="cspineseg-parent").start()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """What new processes inherit; libraries read it when they are loaded, which is before any of our code runs."""
    former = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
