"""Workers that the system kills: one sentence for the job that they had, another process for the next, no trace."""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import time

import pytest
from module_helpers import quick_model, quick_models, wait_until  # noqa: F401  (fixtures)
from worker_cases import gone, nothing_left, posix, stand_in, temporaries, tree  # noqa: F401

from CSpineSegLib import jobs, model
from CSpineSegLib.cli import main
from CSpineSegLib.errors import CSpineSegError

pytestmark = [posix, pytest.mark.usefixtures("quick_model", "nothing_left")]


@pytest.fixture
def bundle(quick_model) -> model.Bundle:  # noqa: F811
    return model.load(jobs.DEFAULT_MODEL)


def test_a_worker_killed_in_the_middle_of_a_job_twenty_times(sample_dataset, bundle, tmp_path):
    """One sentence each time, another process each time, and in the end everything is as if nothing had been."""
    exams, processes = sample_dataset.exams(), set()
    draw = random.Random(4)
    with jobs.Worker() as worker:
        for round in range(20):
            job = worker.segment(exams[round % len(exams)], bundle, force=True)
            assert wait_until(lambda job=job: bool(job.poll()), 60)
            pid = worker.pid
            time.sleep(draw.uniform(0, 0.1))
            os.kill(pid, signal.SIGKILL)
            try:
                job.result(20)
            except CSpineSegError as error:
                assert "memory ran out" in str(error) and "\n" not in str(error)
                processes.add(pid)
            assert not job.is_running()
        assert len(processes) >= 15
        assert all(gone(pid, 5) for pid in processes)
        assert temporaries(sample_dataset.root) == []
        batch = jobs.segment_many(exams, bundle, worker=worker)
    assert batch.failures == {} and len(batch.results) == len(exams)
    for exam in exams:
        record = json.loads(exam.predicted_record(bundle.name).read_text(encoding="utf-8"))
        assert record["quality"] is None or exam.quality(bundle.name).exists()
    whole = tree(sample_dataset.processed)
    assert all(result.skipped for result in jobs.segment_many(exams, bundle).results)
    assert tree(sample_dataset.processed) == whole


def test_a_worker_that_died_while_it_had_nothing_to_do_is_replaced_without_a_word(sample_dataset, bundle):
    exams = sample_dataset.exams()
    with jobs.Worker() as worker:
        worker.segment(exams[0], bundle).result(60)
        for exam in exams[1:3]:
            os.kill(worker.pid, signal.SIGKILL)
            assert worker.segment(exam, bundle).result(60).stem == exam.stem


def test_of_a_batch_only_the_exam_fails_that_takes_the_process_along(
    sample_dataset, bundle, tmp_path, monkeypatch, capsys
):
    exams = sample_dataset.exams()[:4]
    body = f"if name.startswith({exams[2].stem!r}):\n    os.kill(os.getpid(), 9)\nreturn real()"
    monkeypatch.setattr(jobs, "Worker", functools.partial(jobs.Worker, stand_in(tmp_path, body)))
    code = main(["segment", *(exam.stem for exam in exams), "--dataset", str(sample_dataset.root), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert code == 1 and list(answer["failures"]) == [exams[2].stem]
    assert "memory ran out" in answer["failures"][exams[2].stem]
    assert [result["stem"] for result in answer["results"]] == [exam.stem for exam in exams if exam is not exams[2]]
