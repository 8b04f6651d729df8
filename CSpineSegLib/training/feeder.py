"""Makes batches in a process of its own, so that the network never waits for anatomy to be drawn."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import traceback
from pathlib import Path

from . import bank, synthesis

# Training seeds start here; what is held out starts at HELD_OUT, far beyond what a run can reach.
FIRST, HELD_OUT = 1_000_000, 9_000_000


def people_at(step: int, start: int, every: int) -> range:
    """Seeds that are in the bank at a step: it begins with `start` persons and gains one every `every` steps."""
    return range(FIRST, FIRST + start + step // every)


def _work(out, stop, folder: str, seed: int, step: int, start: int, every: int, patches) -> None:
    # Ctrl-C reaches the whole process group; the parent decides when the work ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    torch.set_num_threads(1)
    try:
        people = bank.Bank(Path(folder))
        while not stop.is_set():
            item = step, synthesis.batch(people, people_at(step, start, every), seed, step, patches)
            while not stop.is_set():
                try:
                    out.put(item, timeout=0.5)
                    break
                except queue.Full:
                    continue
            step += 1
        # What is still in the pipe is of no use to a parent that asked to stop, and must not hold this process.
        out.cancel_join_thread()
    except Exception:  # the parent raises it with the worker's own account
        out.put(("error", traceback.format_exc()))


class Feeder:
    """Iterates over the batches of steps `step`, `step` + 1, ... until closed.

    A batch depends on its step and the arguments alone, never on timing: a resumed run continues with the same data.
    """

    def __init__(self, folder: Path, seed: int, step: int, start: int, every: int, patches=synthesis.PATCHES):
        context = multiprocessing.get_context("spawn")
        self._queue = context.Queue(maxsize=6)
        self._stop = context.Event()
        arguments = (self._queue, self._stop, str(folder), seed, step, start, every, patches)
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()

    def next(self) -> tuple[int, synthesis.Batch]:
        """The next (step, batch). Raises RuntimeError with the worker's traceback if it failed."""
        while True:
            try:
                item = self._queue.get(timeout=1.0)
            except queue.Empty:
                if self._process.is_alive() or not self._queue.empty():
                    continue
                code = self._process.exitcode
                raise RuntimeError(f"The process that makes batches ended with code {code}.") from None
            if item[0] == "error":
                raise RuntimeError(f"The process that makes batches failed:\n{item[1]}")
            return item

    def close(self) -> None:
        """Stop the process and wait for its end."""
        self._stop.set()
        self._process.join(timeout=15)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join()
        self._queue.close()
