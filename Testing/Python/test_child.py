"""A command in a process of its own: events, result, one sentence on failure, and an end whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from module_helpers import is_alive, quick_model, quick_models, wait_until  # noqa: F401  (fixtures)

from CSpineSegLib.errors import Cancelled, CSpineSegError
from CSpineSegLib.jobs import child
from CSpineSegLib.jobs.child import ChildJob

posix = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
segmenting = pytest.mark.usefixtures("quick_model")


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name.endswith("cspineseg-tmp")]


def written(folder: Path) -> list[Path]:
    return sorted((folder / "processed" / "predicted").rglob("*_SEG.nii.gz"))


def first_event(job: ChildJob) -> bool:
    return wait_until(lambda: bool(job.poll()) or not job.is_running(), 60)


@segmenting
def test_events_rise_to_the_end_and_the_result_names_the_mask(sample_dataset):
    exam = sample_dataset.exams()[0]
    job = ChildJob(["segment", exam.stem, "--dataset", str(sample_dataset.root)])
    answer = job.result(timeout=120)
    events = job.poll()
    assert not job.is_running()
    assert [event.fraction for event in events] == sorted(event.fraction for event in events)
    assert events[-1].fraction == 1.0
    assert len({event.stage for event in events}) >= 3
    assert answer["failures"] == {}
    (result,) = answer["results"]
    assert "é" in result["mask"]
    assert Path(result["mask"]) in written(sample_dataset.root)


@segmenting
def test_a_failed_exam_of_many_is_in_the_result(sample_dataset):
    good, bad = sample_dataset.exams()[:2]
    bad.image.write_bytes(b"no image")
    job = ChildJob(["segment", good.stem, bad.stem, "--dataset", str(sample_dataset.root)])
    answer = job.result(timeout=120)
    assert [result["stem"] for result in answer["results"]] == [good.stem]
    assert bad.image.name in answer["failures"][bad.stem]


def test_a_failing_command_raises_its_one_sentence(sample_dataset):
    job = ChildJob(["segment", "593973-000001", "--dataset", str(sample_dataset.root)])
    with pytest.raises(CSpineSegError) as caught:
        job.result(timeout=60)
    assert "593973-000001" in str(caught.value)
    assert "\n" not in str(caught.value) and not str(caught.value).startswith("cspineseg")


@segmenting
def test_cancel_ends_the_child_at_once_and_leaves_no_half_result(sample_dataset):
    job = ChildJob(["segment", "--all", "--dataset", str(sample_dataset.root)])
    assert first_event(job) and job.is_running()
    began = time.monotonic()
    job.cancel()
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(timeout=60)
    assert time.monotonic() - began < 8
    assert len(written(sample_dataset.root)) < len(sample_dataset)
    assert leftovers(sample_dataset.root) == []
    for mask in written(sample_dataset.root):
        assert mask.with_name(mask.name.replace(".nii.gz", ".json")).is_file()


@posix
@segmenting
def test_the_child_ends_when_its_parent_is_killed(sample_dataset):
    code = (
        "import sys, time\n"
        "from CSpineSegLib.jobs.child import ChildJob\n"
        f"job = ChildJob(['segment', '--all', '--dataset', {str(sample_dataset.root)!r}])\n"
        "while not job.poll(): time.sleep(0.01)\n"
        "print(job._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    root = Path(child.__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: not is_alive(pid), 20)
    assert len(written(sample_dataset.root)) < len(sample_dataset)
    assert leftovers(sample_dataset.root) == []


@posix
def test_a_launcher_that_does_not_listen_is_ended_with_what_it_launched(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "GRACE_SECONDS", 0.5)
    launcher = tmp_path / "PythonSlicer"
    launcher.write_text(
        f"#!{sys.executable}\n"
        "import subprocess, sys, time\n"
        "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        'print(\'{"stage": "\' + str(inner.pid) + \'", "fraction": 0.5, "eta": null}\', file=sys.stderr, flush=True)\n'
        "time.sleep(60)\n",
        encoding="utf-8",
    )
    launcher.chmod(0o755)
    job = ChildJob(["segment"], python=str(launcher))
    events = []
    assert wait_until(lambda: bool(events.extend(job.poll()) or events), 20)
    inner = int(events[0].stage)
    assert is_alive(inner)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(timeout=20)
    assert wait_until(lambda: not is_alive(inner), 5)


@posix
def test_what_a_dead_launcher_left_behind_ends_with_the_job(tmp_path):
    import threading

    launcher = tmp_path / "PythonSlicer"
    launcher.write_text(
        f"#!{sys.executable}\n"
        "import subprocess, sys\n"
        # Reads its standard input to the end, as a child that cancels itself does, for a minute at most.
        "code = 'import select, sys; select.select([sys.stdin], [], [], 60)'\n"
        "inner = subprocess.Popen([sys.executable, '-c', code])\n"
        "print(inner.pid, flush=True)\n",
        encoding="utf-8",
    )
    launcher.chmod(0o755)
    answers = []
    job = ChildJob(["segment"], python=str(launcher))
    waiting = threading.Thread(target=lambda: answers.append(job.result(timeout=20)), daemon=True)
    waiting.start()
    waiting.join(30)
    assert answers, "the result is waited for as long as the orphan lives"
    assert wait_until(lambda: not is_alive(answers[0]), 5)


@posix
@segmenting
def test_a_child_that_the_system_ends_is_explained(sample_dataset):
    job = ChildJob(["segment", "--all", "--dataset", str(sample_dataset.root)])
    assert first_event(job)
    os.kill(job._process.pid, signal.SIGKILL)
    with pytest.raises(CSpineSegError, match="memory"):
        job.result(timeout=20)


def test_the_sentence_is_found_among_the_lines_of_other_libraries():
    job = ChildJob(["segment"])
    with pytest.raises(CSpineSegError):
        job.result(timeout=60)
    job._said[:] = ["cspineseg: This is why.", "Note: something else"]
    assert job._sentence(2) == "This is why."
    job._said[:] = ["Segmentation fault"]
    assert job._sentence(3) == "The work ended unexpectedly with code 3: Segmentation fault"


def test_a_missing_interpreter_is_one_sentence(tmp_path):
    with pytest.raises(CSpineSegError, match="could not be started"):
        ChildJob(["segment"], python=str(tmp_path / "no such python"))
