"""How many exams of 512 x 512 x 15 an evaluation compares in a second, and whether its memory stays flat.

    python Testing/Benchmarks/evaluate_bench.py --count 1255 --jobs 2

The references are phantoms' truths, the predictions the same with outlines that wander by half a millimetre. A few
different pairs are drawn and stand under as many names as are asked for: nothing is kept between exams, so that each
costs what it would. Everything counts: reading, hashes, two labellings, all figures, the paper's, one file an exam, and
at the end the tables; pictures are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np

from CSpineSegLib import jobs, phantom, volume
from CSpineSegLib.cli.evaluate import default_jobs
from CSpineSegLib.dataset.sample import with_smooth_errors
from CSpineSegLib.progress import Event, Progress

SHAPE, SPACING = (512, 512, 15), (0.43, 0.43, 4.0)
SEEDS, ERRORS = (7, 8), (1, 2, 3)
COUNT = 12


class Memory:
    """Resident memory of this process and of those that work for it, sampled at every event."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float, float]] = []

    def __call__(self, event: Event) -> None:
        if event.stage == "Comparing":
            workers = [resident(child.pid) for child in active_children()]
            self.samples.append((time.perf_counter(), resident(os.getpid()), max(workers, default=0.0)))

    def ends(self, column: int) -> tuple[float, float]:
        """Median of the second and of the last fifth of the run, MiB; the first fifth is start-up."""
        values, part = [sample[column] for sample in self.samples], max(len(self.samples) // 5, 1)
        return statistics.median(values[part : 2 * part] or values), statistics.median(values[-part:])


def resident(pid: int) -> float:
    """MiB; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as stream:
            fields = dict(line.split(":", 1) for line in stream if ":" in line)
        return int(fields["VmRSS"].split()[0]) / 1024
    except (OSError, KeyError, ValueError):
        return 0.0


def processor_seconds() -> float:
    """Of this process and of its children that have ended, user and system; other load on the machine is not in it."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def make(folder: Path, count: int) -> tuple[Path, Path]:
    """Folders of `count` references and predictions, left-handed PSR as the dataset's."""
    x, y, z = SPACING
    affine = np.array([[0, 0, -z, 28], [-x, 0, 0, 110], [0, y, 0, -110], [0, 0, 0, 1.0]])
    grid = volume.Grid(SHAPE, affine)
    sides = folder / "references", folder / "predictions"
    drawn: list[tuple[Path, Path]] = []
    for seed in SEEDS:
        truth = phantom.trace(seed, grid).mask
        for error in ERRORS:
            masks = truth, with_smooth_errors(truth, grid, error)
            paths = tuple(folder / "drawn" / f"{side.name}-{seed}-{error}_SEG.nii.gz" for side in sides)
            for array, path in zip(masks, paths, strict=True):
                volume.write(volume.from_array(array.astype(np.uint8), affine), path)
            drawn.append(paths)
    for side in sides:
        side.mkdir()
    for number in range(1, count + 1):
        name = f"593973-{900000 + number:06d}_Study-MR-{number}_Series-3_SEG.nii.gz"
        for path, side in zip(drawn[number % len(drawn)], sides, strict=True):
            try:
                os.link(path, side / name)
            except OSError:
                shutil.copyfile(path, side / name)
    return sides


def run(folder: Path, count: int, processes: int) -> dict[str, Any]:
    """Seconds and memory of one evaluation of `count` pairs."""
    references, predictions = make(folder, count)
    memory = Memory()
    began, spent = time.perf_counter(), processor_seconds()
    output = folder / "results"
    found = jobs.evaluate(predictions, references, output=output, jobs=processes, pictures=0, progress=Progress(memory))
    ended, spent = time.perf_counter(), processor_seconds() - spent
    again = time.perf_counter()
    jobs.evaluate(predictions, references, output=output, jobs=processes, pictures=0)
    resumed = time.perf_counter() - again
    if found.record["counts"]["compared"] != count:
        raise RuntimeError(f"{count - found.record['counts']['compared']} of {count} exams were not compared")
    first, last = memory.samples[0][0], memory.samples[-1][0]
    worker, parent = memory.ends(2), memory.ends(1)
    return {
        "exams": count,
        "processes": processes,
        "seconds": round(ended - began, 2),
        "processor_seconds_an_exam": round(spent / count, 3),
        "exams_a_second": round(count / (ended - began), 3),
        "exams_a_second_without_start_and_tables": round((count - 1) / max(last - first, 1e-9), 3),
        "seconds_for_tables": round(ended - last, 2),
        "seconds_when_nothing_changed": round(resumed, 2),
        "worker_mib": {"second fifth": round(worker[0]), "last fifth": round(worker[1]), "peak": peak(memory, 2)},
        "parent_mib": {"second fifth": round(parent[0]), "last fifth": round(parent[1]), "peak": peak(memory, 1)},
        "rows": len(found.table),
    }


def peak(memory: Memory, column: int) -> int:
    return round(max(sample[column] for sample in memory.samples))


def measure(folder: Path, entry: Callable[..., dict[str, Any]], count: int = COUNT) -> dict[str, Any]:
    """Figures by name, see :func:`bench.entry`."""
    found = run(folder, count, default_jobs())
    figures = {
        f"evaluate, an exam of {count}, {found['processes']} processes": entry([found["seconds"] / count], None, None)
    }
    if found["worker_mib"]["peak"]:
        figures["evaluate, peak memory of a process"] = entry([found["worker_mib"]["peak"] / 1024], None, None, "GiB")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="pairs of masks (default 60; the dataset has 1,255)")
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="processes (default: all processors)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cspineseg-bench-") as folder:
        found = run(Path(folder), options.count, options.jobs)
    print(f"{platform.processor() or platform.machine()}, {' x '.join(map(str, SHAPE))} voxels")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
