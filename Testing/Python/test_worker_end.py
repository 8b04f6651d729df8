"""The end of a worker's job or of the worker: cancelled, closed, orphaned; within a second, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from module_helpers import is_alive, quick_model, quick_models, wait_until  # noqa: F401  (fixtures)
from worker_cases import A_SECOND, gone, nothing_left, posix, scratches, stand_in, temporaries  # noqa: F401

from CSpineSegLib import jobs, model
from CSpineSegLib.errors import Cancelled, CSpineSegError
from CSpineSegLib.jobs.worker import protocol

pytestmark = [posix, pytest.mark.usefixtures("quick_model", "nothing_left")]

# Leaves a file half written, one of a library, and is then as stubborn as `how`.
STUBBORN = """
if name.startswith({only!r}):
    target = os.path.join({folder!r}, "processed", "predicted", bundle.name)
    os.makedirs(target, exist_ok=True)
    open(os.path.join(target, ".cspineseg." + files.owner() + "ffff.cspineseg-tmp"), "wb").write(b"half")
    open(os.path.join(tempfile.gettempdir(), "of a library"), "x").close()
    progress.update("stuck", 0.5)
    {how}
return real()
"""
ASLEEP = "time.sleep(30)"
# Nothing else in the process can run meanwhile, its watchdog included.
HOLDING = "ctypes.PyDLL(None).sleep(30)"


@pytest.fixture
def bundle(quick_model) -> model.Bundle:  # noqa: F811
    return model.load(jobs.DEFAULT_MODEL)


def stubborn(folder: Path, dataset, how: str, only: str = "") -> str:
    return stand_in(folder, STUBBORN.format(folder=str(dataset.root), how=how, only=only))


def reaches(job: jobs.worker.Job, stage: str, seconds: float = 60) -> bool:
    return wait_until(lambda: any(event.stage == stage for event in job.poll()) or not job.is_running(), seconds)


def cancelled_after(job: jobs.worker.Job) -> float:
    """Seconds from the request to the end."""
    began = time.monotonic()
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(20)
    return time.monotonic() - began


@pytest.mark.parametrize("stage", ["Reading", "load model", "segment", "Writing"])
def test_a_job_is_cancelled_within_a_second_at_any_stage_and_the_process_stays(
    sample_dataset, bundle, tmp_path, stage
):
    pause = "progress.update('segment', 0.3)\nfor _ in range(600):\n    time.sleep(0.05)\n    progress.check()"
    body = pause if stage == "segment" else "return real()"
    exams = sample_dataset.exams()
    with jobs.Worker(stand_in(tmp_path, body)) as worker:
        job = worker.segment(exams[0], bundle)
        assert reaches(job, stage)
        if stage != "segment":
            job.cancel()
            # So late in a short job it may have been done.
            wait_until(lambda: not job.is_running(), A_SECOND)
            assert not job.is_running()
            return
        assert cancelled_after(job) < A_SECOND
        pid = worker.pid
        assert pid and is_alive(pid)
        again = worker.segment(exams[1], bundle)
        assert reaches(again, stage) and worker.pid == pid
        assert cancelled_after(again) < A_SECOND


@pytest.mark.parametrize("how", [ASLEEP, HOLDING], ids=["asleep", "holding the interpreter"])
def test_a_job_that_does_not_stop_takes_its_process_along_and_the_next_has_another(
    sample_dataset, bundle, tmp_path, how
):
    exams = sample_dataset.exams()
    foreign = exams[0].predicted(bundle.name).parent / ".cspineseg.0123456789ab.cspineseg-tmp"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"of another process")
    python = stubborn(tmp_path, sample_dataset, how, only=exams[0].stem)
    with jobs.Worker(python) as worker:
        job = worker.segment(exams[0], bundle)
        assert reaches(job, "stuck")
        pid = worker.pid
        assert temporaries(sample_dataset.root) != [foreign]
        assert cancelled_after(job) < A_SECOND
        assert worker.segment(exams[1], bundle).result(60).stem == exams[1].stem
        assert worker.pid != pid and gone(pid, 5)
        assert wait_until(lambda: len(scratches()) >= 1, 1)
    assert wait_until(lambda: [path for path in temporaries(sample_dataset.root) if path != foreign] == [], 5)
    assert foreign.read_bytes() == b"of another process"
    foreign.unlink()


def test_closing_a_worker_in_the_middle_of_a_job_is_over_in_two_seconds(sample_dataset, bundle, tmp_path):
    for how in (ASLEEP, HOLDING):
        worker = jobs.Worker(stubborn(tmp_path, sample_dataset, how))
        job, waiting = (worker.segment(exam, bundle) for exam in sample_dataset.exams()[:2])
        assert reaches(job, "stuck")
        pid, began = worker.pid, time.monotonic()
        worker.close()
        assert time.monotonic() - began < 2.5
        assert not is_alive(pid)
        for ended in (job, waiting):
            with pytest.raises(Cancelled):
                ended.result(1)
        worker.close()


PARENT = """
import sys, time
from CSpineSegLib import jobs
from CSpineSegLib.dataset import Dataset
exams = Dataset.open({root!r}).exams()
worker = jobs.Worker({python!r})
job = worker.segment(exams[0], {model!r})
more = [worker.segment(exam, {model!r}) for exam in exams[1:]]
while not any(event.stage == "stuck" for event in job.poll()):
    time.sleep(0.01)
print(worker.pid, flush=True)
time.sleep(60)
"""


def test_a_worker_whose_parent_is_killed_ends_within_a_second_in_the_middle_of_c_code(
    sample_dataset, bundle, tmp_path
):
    python = stubborn(tmp_path, sample_dataset, "ctypes.CDLL(None).sleep(30)")
    code = PARENT.format(root=str(sample_dataset.root), python=python, model=bundle.name)
    root = Path(jobs.__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    assert is_alive(pid) and temporaries(sample_dataset.root)
    parent.kill()
    began = time.monotonic()
    assert gone(pid, 5)
    assert time.monotonic() - began < A_SECOND
    parent.wait()
    parent.stdout.close()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_worker_that_is_told_to_end_by_the_system_cleans_up_first(sample_dataset, bundle, tmp_path, name):
    with jobs.Worker(stubborn(tmp_path, sample_dataset, ASLEEP)) as worker:
        job = worker.segment(sample_dataset.exams()[0], bundle)
        assert reaches(job, "stuck")
        os.kill(worker.pid, getattr(signal, name))
        with pytest.raises((Cancelled, CSpineSegError)):
            job.result(5)


def test_a_process_that_was_stopped_by_force_says_so_by_its_exit_code(sample_dataset, bundle, tmp_path):
    python = stubborn(tmp_path, sample_dataset, ASLEEP)
    exam = jobs.worker.work.exam_to(sample_dataset.exams()[0])
    worker = subprocess.Popen([python, "-m", "CSpineSegLib.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with worker:
        def say(**message: object) -> None:
            worker.stdin.write(protocol.encode(message))
            worker.stdin.flush()

        say(id=1, command="segment", model=bundle.name, exam=exam)
        while json.loads(worker.stdout.readline()).get("stage") != "stuck":
            continue
        began = time.monotonic()
        say(id=2, command="cancel", job=1)
        heard = [json.loads(text) for text in worker.stdout]
        assert worker.wait(5) == protocol.FORCED and time.monotonic() - began < A_SECOND
    assert [message["type"] for message in heard] == ["result", "cancelled"]
    assert heard[1]["id"] == 1 and heard[1]["exit"] == protocol.FORCED
