"""The same work on many exams, in one process or several, with a word on how far it is."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any


def spread(work: Callable[..., Any], items: Sequence[tuple], jobs: int = 1, what: str = "exams") -> Iterator[Any]:
    """Results of `work(*item)`, in no certain order, as they come; each is counted on the screen.

    Parameters
    ----------
    work : a function of a module, since it is sent to other processes.
    jobs : processes of one thread each; 1 works in this process with the threads that it has.
    """
    began = time.monotonic()
    for done, result in enumerate(_results(work, items, jobs), 1):
        spent = time.monotonic() - began
        left = spent / done * (len(items) - done)
        print(f"{done} of {len(items)} {what}, {spent:.0f} s, about {left:.0f} s left", flush=True)
        yield result


def _results(work: Callable[..., Any], items: Sequence[tuple], jobs: int) -> Iterator[Any]:
    if jobs <= 1:
        yield from (work(*item) for item in items)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_one_thread) as pool:
        waiting = [pool.submit(work, *item) for item in items]
        try:
            for future in as_completed(waiting):
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def _one_thread() -> None:
    # Read by torch, OpenVINO's and NumPy's libraries when they start, which is after this.
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
