"""What the tests of the worker share: workers whose prediction does what a test wants, and what they left behind."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from module_helpers import is_alive, wait_until

from CSpineSegLib import jobs

# The specification's second, and what a busy machine adds to it.
A_SECOND = 1.5


def stand_in(folder: Path, body: str) -> str:
    """An interpreter that runs the worker, in which `body` replaces what a prediction does.

    `body` is the inside of `predict(bundle, vol, progress)`, which may call `real()` for the real one; `name` is the
    image's file name.
    """
    path = folder / "python stand-in"
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    path.write_text(
        f"#!{sys.executable}\n"
        "import ctypes, importlib, os, runpy, subprocess, sys, tempfile, time\n"
        f"sys.path.insert(0, {str(Path(jobs.__file__).parents[2])!r})\n"
        "segment = importlib.import_module('CSpineSegLib.jobs.segment')\n"
        "from CSpineSegLib import errors, files, volume\n"
        "genuine = segment.predict\n"
        "def predict(bundle, vol, progress=None, **how):\n"
        "    name, real = vol.path.name, lambda: genuine(bundle, vol, progress=progress, **how)\n"
        f"{lines}\n"
        "segment.predict = predict\n"
        "sys.argv = ['worker', *sys.argv[3:]]\n"
        "runpy.run_module('CSpineSegLib.worker', run_name='__main__')\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return str(path)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def temporaries(folder: Path) -> list[Path]:
    return sorted(folder.rglob(".cspineseg.*"))


def scratches() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("cspineseg-worker-*"))


def children() -> set[int]:
    """Processes that this one started and that were not collected, where the system tells."""
    found = set()
    for path in Path("/proc/self/task").glob("*/children"):
        found |= {int(word) for word in path.read_text(encoding="ascii").split()}
    return found


@pytest.fixture
def nothing_left(sample_dataset):
    """Afterwards there is no process, no temporary file and no scratch folder that was not there before."""
    before, running = scratches(), children()
    yield
    assert wait_until(lambda: children() <= running, 5)
    assert wait_until(lambda: scratches() <= before, 5)
    assert temporaries(sample_dataset.root) == []


def gone(pid: int, seconds: float = 20) -> bool:
    return wait_until(lambda: not is_alive(pid), seconds)


posix = pytest.mark.skipif(os.name == "nt", reason="stand-ins are scripts that POSIX systems start")
