"""The Slicer module's own figures: its import, its table of a whole dataset, an exam that opens with its mask ready.

The form is the module's own on PySide6 and slicer-core, with the stand-ins of the tests for the rest of Slicer.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "Testing" / "Python"
EXAMS = 1255
SEARCHES = ("5", "59", "593973-", "593973-0001", "593973-000123", "", "1", "12", "123", "study", "nobody", "")
SHAPE, SPACING = (512, 512, 15), (0.43, 0.43, 4.0)

# Run in a process of its own: what Slicer has loaded at its start is loaded, then the module is.
IMPORT = """
import sys, time
sys.path[:0] = [{tests!r}]
import pathlib, pytest, slicer, slicer.util
from slicer_standins import fixture
patch = pytest.MonkeyPatch()
made = fixture.stand_in(patch, pathlib.Path({folder!r}))
next(made)
began = time.perf_counter()
fixture.load_module()
print(time.perf_counter() - began)
"""


def measure(folder: Path, entry: Callable[..., dict[str, Any]], runs: int) -> dict[str, Any]:
    """Figures by name, see :func:`bench.entry`; `folder` is for files."""
    folder.mkdir(exist_ok=True)
    return {
        "module: import": entry(_import(folder, runs), None, None),
        **_form(folder, entry, runs),
    }


def _import(folder: Path, runs: int) -> list[float]:
    found = []
    for number in range(runs):
        settings = folder / f"settings {number}"
        settings.mkdir()
        code = IMPORT.format(tests=str(TESTS), folder=str(settings))
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        found.append(float(done.stdout.split()[-1]))
    return found


def _form(folder: Path, entry: Callable[..., dict[str, Any]], runs: int) -> dict[str, Any]:
    import pytest

    sys.path.insert(0, str(TESTS))
    try:
        from module_person import Person
        from slicer_standins import fixture
    finally:
        sys.path.remove(str(TESTS))
    settings = folder / "settings"
    settings.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder / "user"))
        made = fixture.stand_in(patch, settings)
        app = next(made)
        try:
            person = Person(fixture.load_module(), app)
            keys = [time for _ in range(max(1, runs // 3)) for time in _filter(person, folder)]
            ready, peer = _open(person, folder, runs)
            found = _find(runs)
            person.close()
        finally:
            made.close()
    return {
        "module: one key in the search of 1,255 exams": entry(keys, None, None),
        "module: the slowest of these keys": entry([max(keys)], None, None),
        "module: open an exam of 512 x 512 x 15 whose mask is ready": entry(ready, "nibabel, image and mask", peer),
        "module: figures and remarks on a mask of 512 x 512 x 15": entry(found, None, None),
    }


def _filter(person: Any, folder: Path) -> list[float]:
    """Seconds for each text, from the key to the table as it is shown."""
    images = folder / "many" / "extracted" / "annotation"
    if not images.exists():
        images.mkdir(parents=True)
        for number in range(1, EXAMS + 1):
            (images / f"593973-{number % 1232 + 1:06d}_Study-MR-{number}_Series-1.nii.gz").touch()
    person.load(folder / "many")
    assert len(person.rows()) == EXAMS
    found = []
    for text in SEARCHES:
        began = time.perf_counter()
        person.part("searchEdit").text = text
        person.test.qWait(0)
        found.append(time.perf_counter() - began)
    return found


def _open(person: Any, folder: Path, runs: int) -> tuple[list[float], list[float]]:
    """Seconds from the key to the picture in the slice view; and what nibabel takes to read the same two files."""
    import nibabel

    from CSpineSegLib import jobs, volume
    from CSpineSegLib import model as models
    from CSpineSegLib.dataset import Dataset

    images = folder / "ready" / "extracted" / "annotation"
    images.mkdir(parents=True)
    path = images / "593973-900098_Study-MR-9098_Series-3.nii.gz"
    x, y, z = SPACING
    affine = np.array([[0, 0, -z, 28], [-x, 0, 0, 110], [0, y, 0, -110], [0, 0, 0, 1.0]])
    noise = np.random.default_rng(0).normal(300, 80, SHAPE).clip(0, 4000)
    volume.write(volume.from_array(noise.astype(np.int16), affine), path)
    exam = Dataset.open(folder / "ready").exams()[0]
    # Noise is no neck; what is measured is how an exam opens, whatever its mask holds.
    jobs.segment(exam, models.load(jobs.DEFAULT_MODEL), anyway=True, device="cpu")
    person.load(folder / "ready")
    ours, theirs = [], []
    for _ in range(runs + 1):
        began = time.perf_counter()
        person.click("nextButton")
        person.test.qWait(0)
        ours.append(time.perf_counter() - began)
        assert person.logic.session.start.kind == "predicted", person.status
        began = time.perf_counter()
        for file in (path, person.logic.session.start.path):
            np.asanyarray(nibabel.load(file).dataobj)
        theirs.append(time.perf_counter() - began)
        person.logic.leave_exam()
        person.widget.update()
    return ours[1:], [statistics.median(theirs[1:])]


def _find(runs: int) -> list[float]:
    """Seconds for what the check panel says after a stroke: a neck of boxes, all of it new to the parent."""
    from CSpineSegLib import volume
    from CSpineSegLib.workplace import check

    x, y, z = SPACING
    labels = np.zeros(SHAPE, np.uint8)
    for level in range(8):
        top = 60 + 48 * level
        labels[230:270, top : top + 34, 5:10] = 1
        labels[232:268, top + 36 : top + 46, 5:10] = 2
    affine = np.array([[0, 0, -z, 28], [-x, 0, 0, 110], [0, -y, 0, 110], [0, 0, 0, 1.0]])
    mask = volume.from_array(labels, affine)
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        check.findings(mask, np.zeros_like(labels))
        found.append(time.perf_counter() - began)
    return found
