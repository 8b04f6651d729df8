"""A small dataset to review, and processes that save into it: `python review_cases.py MODE FOLDER ...`."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from CSpineSegLib import files, volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.review import revisions

ROOT = Path(__file__).resolve().parents[2]
STEM = "593973-000123_Study-MR-130_Series-4"
SHAPE = (14, 16, 5)
# PSR, as the dataset: the first index runs to posterior, the second to superior, the third to the right.
PSR = np.array([[0, 0, 4.0, -8], [-0.7, 0, 0, 5], [0, 0.7, 0, -6], [0, 0, 0, 1]])


def labels(seed: int = 0, shape=SHAPE) -> np.ndarray:
    """Two bodies and the disc between, with a pattern of voxels that tells one seed from another."""
    array = np.zeros(shape, np.uint8)
    array[3:10, 2:7, 1:4] = 1
    array[3:10, 7:9, 1:4] = 2
    array[3:10, 9:14, 1:4] = 1
    bits = np.array([int(bit) for bit in f"{seed:012b}"], np.uint8)
    array[1 : 1 + bits.size, 15, 2] = bits
    return array


def make_exam(root: Path, stem: str = STEM, mask: np.ndarray | None = None, affine: np.ndarray = PSR):
    """An exam of a dataset in the released layout, with its mask."""
    image = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
    extracted = root / "extracted"
    volume.write(volume.from_array(image, affine), extracted / "annotation" / f"{stem}.nii.gz")
    own = labels() if mask is None else mask
    volume.write(volume.from_array(own, affine), extracted / "segmentation" / f"{stem}_SEG.nii.gz")
    return open_exam(root, stem)


def open_exam(root: Path, stem: str = STEM):
    return Dataset.open(root).exam(stem)


def drawn(exam, seed: int = 1) -> volume.Volume:
    """A mask of the exam that somebody drew."""
    return volume.like(volume.read(exam.image), labels(seed))


def save(exam, seed: int = 1, status: str = "accepted", **given):
    ended = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    words = {"annotator": "Anna", "started": ended - timedelta(minutes=12), "ended": ended, "active_seconds": 340.5}
    return revisions.save(exam, drawn(exam, seed), status=status, **{**words, **given})


def predict(exam, model: str, seed: int) -> Path:
    """A model's mask with the record that says so."""
    digest = volume.write(drawn(exam, seed), exam.predicted(model))
    stated = {"mask": {"sha256": digest, "replaces": None}, "model": {"name": model, "sha256": "cd" * 32}}
    files.write_json(exam.predicted_record(model), stated)
    return exam.predicted(model)


def edit(path: Path, seed: int) -> str:
    """Change a mask file in place, as an editor outside does; returns the new SHA-256."""
    return volume.write(volume.like(volume.read(path), labels(seed)), path)


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with its SHA-256."""
    return {
        path.relative_to(folder).as_posix(): files.sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def start(*arguments: object) -> subprocess.Popen:
    """This file as a process that says "ready" once it has imported everything, and waits for a line."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment,
    )


def _wait() -> None:
    import nibabel  # noqa: F401  so that the kills hit the saving and not the importing
    import scipy.ndimage  # noqa: F401

    print("ready", flush=True)
    sys.stdin.readline()


def _loop(folder: str) -> None:
    """For each line with a number, a process that saves until it is killed; every second revision is accepted."""
    exam = open_exam(Path(folder))
    # The system then forgets children that were killed, and nobody needs to wait for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _wait()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            for seed in itertools.count(int(line)):
                save(exam, seed % 4096, "accepted" if seed % 2 else "in review")
        print(child, flush=True)


def _count(folder: str, first: str, count: str) -> None:
    """Save a number of times and say as JSON what came back."""
    exam = open_exam(Path(folder))
    _wait()
    for seed in range(int(first), int(first) + int(count)):
        revision = save(exam, seed, annotator=f"Reader {first}")
        answer = {"number": revision.number, "seed": seed, "warnings": revision.warnings, "raced": revision.raced}
        print(json.dumps(answer), flush=True)


def _limit(folder: str, size: str) -> None:
    """Save while the system lets no file grow over `size` bytes."""
    import resource

    exam = open_exam(Path(folder))
    mask = drawn(exam, 9)
    _wait()
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size), int(size)))
    try:
        revision = revisions.save(exam, mask, status="accepted", annotator="Anna")
        print(json.dumps({"number": revision.number, "warnings": revision.warnings}), flush=True)
    except CSpineSegError as error:
        print(json.dumps({"error": str(error), "kind": type(error).__name__}), flush=True)


def _crash(folder: str) -> None:
    """In copies `FOLDER/1`, `FOLDER/2`, ... of `FOLDER/0`: save, and die without clean-up at the 1st, 2nd, ... step."""
    _wait()
    for step in itertools.count(1):
        shutil.copytree(Path(folder) / "0", Path(folder) / str(step))
        exam = open_exam(Path(folder) / str(step))
        child = os.fork()
        if child == 0:
            _die_at(step)
            save(exam, 2)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"step": step, "code": code}), flush=True)
        if code != 9:
            return


def _die_at(step: int) -> None:
    """End this process just before and just after every call that changes the disk, and halfway through a write."""
    counter = itertools.count(1)

    def point() -> None:
        if next(counter) == step:
            os._exit(9)

    def watched(function):
        def call(*arguments, **given):
            point()
            result = function(*arguments, **given)
            point()
            return result

        return call

    def write_in_halves(path: Path, data: bytes) -> None:
        with open(path, "xb", buffering=0) as stream:
            point()
            stream.write(data[: len(data) // 2])
            point()
            stream.write(data[len(data) // 2 :])
            os.fsync(stream.fileno())
            point()

    def write_plainly_in_halves(path: Path, data: bytes) -> None:
        with open(path, "wb", buffering=0) as stream:
            stream.write(data[: len(data) // 2])
            point()
            stream.write(data[len(data) // 2 :])

    files._write_bytes = write_in_halves
    Path.write_bytes = write_plainly_in_halves
    os.open, os.replace, os.mkdir, os.unlink = map(watched, (os.open, os.replace, os.mkdir, os.unlink))


if __name__ == "__main__":
    {"loop": _loop, "count": _count, "limit": _limit, "crash": _crash}[sys.argv[1]](*sys.argv[2:])
