"""The worker as a QProcess: the same behaviour as with threads, heard by Qt's event loop, and its whole tree ended."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from module_helpers import is_alive, quick_model, quick_models, wait_until  # noqa: F401  (fixtures)
from slicer_standins import slicer_app  # noqa: F401  (fixture)
from worker_cases import A_SECOND, children, gone, nothing_left, posix, scratches, stand_in  # noqa: F401

from CSpineSegLib import jobs, model
from CSpineSegLib.errors import Cancelled, CSpineSegError
from CSpineSegLib.jobs.worker import tree

pytestmark = pytest.mark.usefixtures("quick_model", "nothing_left")

STUBBORN = """
open({note!r}, "w").write(str(os.getpid()))
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({note!r}, "w").write(str(os.getpid()) + " " + str(child.pid))
progress.update("stuck", 0.5)
ctypes.PyDLL(None).sleep(30)
"""


@pytest.fixture
def process(slicer_app):  # noqa: F811
    """The module's own file."""
    return importlib.import_module("CSpineSegModule.process")


@pytest.fixture
def worker(process):
    """Makes workers of QProcesses, and closes them."""
    made = []

    def make(python: str | None = None, **options) -> jobs.Worker:
        made.append(jobs.Worker(python or sys.executable, start=process.QtProcess, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
    processed()
    assert process._alive == set()


@pytest.fixture
def bundle(quick_model) -> model.Bundle:  # noqa: F811
    return model.load(jobs.DEFAULT_MODEL)


def processed(happened=lambda: False, seconds: float = 0.2) -> bool:
    """Let Qt's event loop run until something has happened."""
    from PySide6 import QtTest

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        QtTest.QTest.qWait(10)
    return False


def launcher(folder: Path, python: str) -> str:
    """As Slicer's own: it starts the interpreter, waits for it, and passes nothing on when it is ended."""
    path = folder / "PythonSlicer"
    # A shell gives what it starts in the background no input of its own; the launcher does.
    path.write_text(f'#!/bin/sh\nexec 3<&0\n"{python}" "$@" <&3 &\nexec 3<&-\nwait $!\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def noted(path: Path, count: int = 2) -> list[int]:
    return [int(word) for word in path.read_text(encoding="utf-8").split()] if path.exists() else []


def test_results_and_events_arrive_by_the_event_loop_alone_and_in_this_thread(worker, sample_dataset, bundle):
    heard, threads = [], threading.active_count()
    one = worker(log=lambda line: heard.append(threading.current_thread()))
    job = one.segment(sample_dataset.exams()[0], bundle)
    time.sleep(0.5)
    assert job.poll() == [], "nothing is heard while nobody runs the event loop"
    events = []
    assert processed(lambda: bool(events.extend(job.poll())) or not job.is_running(), 60)
    events += job.poll()
    assert job.result(0.0).stem == sample_dataset.exams()[0].stem
    assert events[-1].fraction == 1.0 and len({event.stage for event in events}) >= 3
    assert set(heard) <= {threading.main_thread()} and threading.active_count() == threads
    pid = one.pid
    again = one.segment(sample_dataset.exams()[0], bundle)
    assert processed(lambda: not again.is_running(), 60)
    assert again.result(0.0).skipped and one.pid == pid


def test_a_script_waits_without_an_event_loop(worker, sample_dataset, bundle):
    one = worker()
    first, second = [one.segment(exam, bundle) for exam in sample_dataset.exams()[:2]]
    with pytest.raises(TimeoutError):
        second.result(0.0)
    assert second.result(60).stem == sample_dataset.exams()[1].stem and not first.is_running()
    batch = jobs.segment_many(sample_dataset.exams()[:3], bundle, worker=one)
    assert batch.failures == {} and [result.skipped for result in batch.results] == [True, True, False]


def test_closing_ends_the_process_at_once_and_no_scratch_folder_is_left(worker, sample_dataset, bundle):
    before = scratches()
    one = worker()
    job = one.segment(sample_dataset.exams()[0], bundle)
    assert processed(lambda: bool(job.poll()), 60)
    pid, began = one.pid, time.monotonic()
    one.close()
    assert time.monotonic() - began < 3 and not is_alive(pid)
    assert scratches() <= before
    with pytest.raises(Cancelled):
        job.result(0.0)


@posix
@pytest.mark.parametrize("launched", [False, True])
@pytest.mark.parametrize("blocking", [False, True])
def test_cancelling_what_does_not_answer_ends_the_whole_tree_within_a_second(
    worker, sample_dataset, bundle, tmp_path, launched, blocking
):
    note = tmp_path / "note"
    python = stand_in(tmp_path, STUBBORN.format(note=str(note)))
    one = worker(launcher(tmp_path, python) if launched else python)
    job = one.segment(sample_dataset.exams()[0], bundle)
    assert processed(lambda: len(noted(note)) == 2, 60)
    pids = noted(note)
    assert (one.pid not in pids) is launched and all(map(is_alive, pids))
    began = time.monotonic()
    job.cancel()
    if not blocking:
        assert processed(lambda: not job.is_running(), 5)
    with pytest.raises(Cancelled):
        job.result(5)
    assert time.monotonic() - began < A_SECOND
    assert all(gone(pid, 2) for pid in pids)


@posix
def test_a_launcher_closed_before_its_python_said_anything_leaves_nobody(worker, sample_dataset, bundle, tmp_path):
    note = tmp_path / "note"
    silent = tmp_path / "silent"
    silent.write_text(
        f"#!{sys.executable}\nimport os, time\nopen({str(note)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n",
        encoding="utf-8",
    )
    silent.chmod(0o755)
    one = worker(launcher(tmp_path, str(silent)))
    one.segment(sample_dataset.exams()[0], bundle)
    assert processed(lambda: bool(noted(note)), 20)
    (pid,) = noted(note)
    one.close()
    assert gone(pid, 2)


@posix
def test_a_launcher_that_is_killed_takes_its_python_along(worker, sample_dataset, bundle, tmp_path):
    note = tmp_path / "note"
    python = stand_in(tmp_path, STUBBORN.format(note=str(note)))
    one = worker(launcher(tmp_path, python))
    job = one.segment(sample_dataset.exams()[0], bundle)
    assert processed(lambda: len(noted(note)) == 2, 60)
    os.kill(one.pid, signal.SIGKILL)
    with pytest.raises(CSpineSegError, match="ended by the system"):
        job.result(20)
    assert all(gone(pid, 2) for pid in noted(note))


@posix
def test_a_process_that_dies_is_one_sentence_and_the_next_job_has_another(worker, sample_dataset, bundle, tmp_path):
    body = f"if not os.path.exists({str(tmp_path / 'once')!r}):\n"
    body += f"    open({str(tmp_path / 'once')!r}, 'x').close()\n    os.abort()\nreturn real()"
    one = worker(stand_in(tmp_path, body))
    first, second = [one.segment(exam, bundle) for exam in sample_dataset.exams()[:2]]
    with pytest.raises(CSpineSegError, match=r"ended by the system .signal 6.") as caught:
        first.result(60)
    assert "\n" not in str(caught.value)
    assert second.result(60).stem == sample_dataset.exams()[1].stem


@posix
@pytest.mark.parametrize("what", ["missing", "silent", "talkative"])
def test_what_is_no_worker_is_one_sentence_each_time(worker, sample_dataset, bundle, tmp_path, what):
    path = tmp_path / what
    if what != "missing":
        path.write_text(f"#!/bin/sh\necho {'broken' if what == 'talkative' else ''}\nexit 5\n", encoding="utf-8")
        path.chmod(0o755)
    one = worker(str(path))
    for _ in range(2):
        with pytest.raises(CSpineSegError) as caught:
            one.segment(sample_dataset.exams()[0], bundle).result(20)
        assert "\n" not in str(caught.value)
    assert processed(lambda: not children() & {one.pid}, 2)


@posix
def test_what_libraries_write_comes_line_by_line_however_it_was_cut(worker, sample_dataset, bundle, tmp_path):
    body = "os.write(2, 'Zo'.encode()); os.write(2, b'\\xc3'); time.sleep(0.1); os.write(2, b'\\xab a\\nb\\n')\n"
    printed = []
    worker(stand_in(tmp_path, f"{body}return real()"), log=printed.append).segment(
        sample_dataset.exams()[0], bundle
    ).result(60)
    assert printed[:2] == ["Zoë a", "b"]


def test_the_lines_of_a_stream_that_never_ends_one_are_cut(process, monkeypatch):
    monkeypatch.setattr(process.protocol, "LINE_BYTES", 10)
    lines = process._Lines()
    assert lines.feed(b"a\nb") == [b"a"] and lines.feed("c\n") == [b"bc"]
    assert lines.feed(b"x" * 11) == [b"x" * 11] and lines.feed(b"\n") == [b""]


@posix
def test_a_tree_is_everything_that_was_started_and_nothing_else(tmp_path):
    import subprocess

    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    parent = subprocess.Popen([sys.executable, "-c", code])
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        assert wait_until(lambda: len(tree.descendants(parent.pid)) == 1, 20)
        (child,) = tree.descendants(parent.pid)
        assert {parent.pid, child, other.pid} <= set(tree.descendants(os.getpid()))
        tree.kill(parent.pid)
        parent.wait(5)
        assert gone(child, 5) and other.poll() is None
    finally:
        other.kill()
        other.wait()
