"""Images read ahead of the jobs that need them, up to a limit of memory, while another job computes."""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...errors import CSpineSegError
from .. import images
from ..images import Image

LIMIT_BYTES = 512 << 20
# Between two steps, so that a job that waits for the interpreter gets it.
_PAUSE_SECONDS = 0.005


@dataclass(frozen=True)
class _Held:
    image: Image
    stamp: tuple[int, int, int]
    size: int


class Shelf:
    """Images that were read and checked, each until it is taken or pushed out by later ones.

    Parameters
    ----------
    limit : bytes of voxels that are held at most. An image that is larger is left to its own job.
    """

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self.limit = limit
        self._held: dict[Path, _Held] = {}
        self._reading: Path | None = None
        self._lock = threading.Lock()
        self._wanted: queue.SimpleQueue[tuple[list[str], Callable[[dict], None]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def request(self, paths: list[str], done: Callable[[dict], None]) -> None:
        """Read these in the background, in this order; then `done` is told which are held, and why others are not."""
        self._wanted.put((paths, done))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="cspineseg-prefetch")
            self._thread.start()

    def take(self, path: Path) -> Image:
        """The image of a path, from the shelf if the file was not changed since, else read now; as `images.read`."""
        with self._lock:
            held = self._held.pop(path, None)
            if self._reading == path:
                # Its job was faster, and nobody would take it any more.
                self._reading = None
        if held is not None and held.stamp == _stamp(path):
            return held.image
        return images.read(path)

    def state(self) -> dict[str, int]:
        """How many images are held, their bytes, and the limit."""
        with self._lock:
            return {"images": len(self._held), "bytes": self._bytes(), "limit": self.limit}

    def clear(self) -> None:
        """Let go of all images."""
        with self._lock:
            self._held.clear()

    def _work(self) -> None:
        _step_back()
        while True:
            paths, done = self._wanted.get()
            kept, left_out = [], {}
            for path in paths:
                with self._lock:
                    self._reading = Path(path)
                reason = self._fetch(Path(path))
                if reason is None:
                    kept.append(path)
                else:
                    left_out[path] = reason
            done({"kept": kept, "left_out": left_out})

    def _fetch(self, path: Path) -> str | None:
        """Hold an image; returns why not. Whatever is wrong with it, its own job will say again."""
        try:
            stamp = _stamp(path)
            if stamp is not None and self._has(path, stamp):
                return None
            if stamp is not None and _expected(path) > self.limit:
                return f"{path} has more voxels than are read ahead."
            image = images.read(path)
            time.sleep(_PAUSE_SECONDS)
            size = image.volume().array.nbytes
        except CSpineSegError as error:
            return str(error)
        except (OSError, MemoryError) as error:
            return f"{path} could not be read ahead ({type(error).__name__})."
        if size > self.limit:
            return f"{path} has more voxels than are read ahead."
        with self._lock:
            if self._reading != path:
                return f"{path} was read by its own job meanwhile."
            self._held.pop(path, None)
            # The oldest go first: their jobs were cancelled, or will read them once more.
            while self._held and self._bytes() + size > self.limit:
                self._held.pop(next(iter(self._held)))
            self._held[path] = _Held(image, stamp, size)
        return None

    def _has(self, path: Path, stamp: tuple[int, int, int]) -> bool:
        with self._lock:
            return path in self._held and self._held[path].stamp == stamp

    def _bytes(self) -> int:
        return sum(held.size for held in self._held.values())


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _expected(path: Path) -> int:
    """Bytes of a file once decompressed, as a compressed one says at its end."""
    with open(path, "rb") as stream:
        start = stream.read(2)
        if start != b"\x1f\x8b":
            return os.fstat(stream.fileno()).st_size
        stream.seek(-4, os.SEEK_END)
        return int.from_bytes(stream.read(4), "little")


def _step_back() -> None:
    """Let this thread run when the job's leave a core free; where the system knows no such thing, pauses must do."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
