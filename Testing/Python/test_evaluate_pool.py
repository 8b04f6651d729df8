"""Work in several processes: what takes its process along is lost alone, and cancelling does not wait for the rest."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from CSpineSegLib.errors import Cancelled, WriteError
from CSpineSegLib.jobs import evaluate_pool
from CSpineSegLib.progress import Progress


def twice(number: int) -> int:
    return 2 * number


def deadly(number: int) -> int:
    if number == 3:
        os._exit(9)
    return 2 * number


def full(number: int) -> int:
    raise WriteError("The disk is full.")


def marked(item: tuple[str, int]) -> int:
    folder, number = item
    Path(folder, str(number)).touch()
    time.sleep(0.1)
    return number


def threads(_: int) -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


@pytest.mark.parametrize("jobs", [0, 2])
def test_every_item_comes_with_its_result(jobs):
    assert dict(evaluate_pool.each(twice, range(7), jobs, Progress())) == {number: 2 * number for number in range(7)}


def test_what_takes_its_process_along_is_lost_alone():
    found = dict(evaluate_pool.each(deadly, range(6), 2, Progress()))
    assert "memory" in found.pop(3)
    assert found == {number: 2 * number for number in (0, 1, 2, 4, 5)}


@pytest.mark.parametrize("jobs", [0, 1])
def test_what_would_stop_every_item_stops_all(jobs):
    with pytest.raises(WriteError, match="disk is full"):
        list(evaluate_pool.each(full, range(3), jobs, Progress()))


def test_after_cancelling_only_what_was_under_way_is_finished(tmp_path):
    done: list[object] = []
    progress = Progress(cancelled=lambda: len(done) >= 2)
    with pytest.raises(Cancelled):
        for item in evaluate_pool.each(marked, [(str(tmp_path), number) for number in range(40)], 1, progress):
            done.append(item)
    assert 2 <= len(list(tmp_path.iterdir())) <= 6


def test_each_process_has_one_thread_and_this_one_keeps_its_own(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert dict(evaluate_pool.each(threads, [0], 1, Progress())) == {0: "1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_script_whose_main_part_nothing_guards_can_use_processes(tmp_path):
    script = tmp_path / "script é.py"
    lines = ("from CSpineSegLib.jobs import evaluate_pool", "from CSpineSegLib.progress import Progress")
    work = "print('begun', sorted(result for _, result in evaluate_pool.each(abs, [-1, -2], 2, Progress())))"
    script.write_text("\n".join((*lines, work)), encoding="utf-8")
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=os.environ | paths)
    assert found.stdout == "begun [1, 2]\n", found.stderr
