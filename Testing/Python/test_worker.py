"""Jobs given to a worker: the same results as here, whatever a job does to the process, and one after another."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from module_helpers import is_alive, quick_model, quick_models, wait_until  # noqa: F401  (fixtures)
from worker_cases import nothing_left, posix, stand_in, temporaries, tree  # noqa: F401  (fixture)

from CSpineSegLib import jobs, model
from CSpineSegLib.errors import Cancelled, CSpineSegError, InputError, ModelError, Refused
from CSpineSegLib.jobs import images
from CSpineSegLib.jobs.worker.shelf import Shelf
from CSpineSegLib.progress import Progress

pytestmark = pytest.mark.usefixtures("quick_model", "nothing_left")


@pytest.fixture
def bundle(quick_model) -> model.Bundle:  # noqa: F811
    return model.load(jobs.DEFAULT_MODEL)


def content(dataset) -> dict[str, bytes]:
    """All that was written, without times."""
    found = tree(dataset.processed)
    for name in [name for name in found if name.endswith("_SEG.json")]:
        found[name] = {**json.loads(found[name]), "seconds": None, "created": None}
    return found


def test_a_worker_writes_what_this_process_writes_and_keeps_its_model(sample_dataset, bundle, tmp_path):
    exams = sample_dataset.exams()[:3]
    with jobs.Worker() as worker:
        done = [worker.segment(exam, bundle, device="cpu") for exam in exams]
        results = [job.result(60) for job in done]
        pid = worker.pid
        again = worker.segment(exams[0], bundle, device="cpu").result(60)
        assert again.skipped and worker.pid == pid
        output = tmp_path / "é_SEG.nii.gz"
        single = worker.segment_file(exams[0].image, output, bundle, device="cpu", quality=True, clean=False).result(60)
        with pytest.raises(InputError, match="exists already"):
            worker.segment_file(exams[0].image, output, bundle).result(60)
    away = content(sample_dataset)
    assert all(job.memory["peak"] >= job.memory["resident"] > 0 for job in done if job.memory["resident"])
    shutil.rmtree(sample_dataset.processed / "predicted")
    here = [jobs.segment(exam, bundle, device="cpu") for exam in exams]
    assert away == content(sample_dataset)
    for found, expected in zip(results, here, strict=True):
        assert {**found.to_json(), "seconds": 0} == {**expected.to_json(), "seconds": 0}
    before = output.read_bytes()
    jobs.segment_file(exams[0].image, output, bundle, device="cpu", quality=True, clean=False, force=True)
    assert output.read_bytes() == before and single.quality == output.with_name("é_quality.json")


def test_events_rise_and_the_job_is_followed_without_waiting(sample_dataset, bundle):
    with jobs.Worker() as worker:
        job = worker.segment(sample_dataset.exams()[0], bundle)
        heard = []
        assert wait_until(lambda: bool(heard.extend(job.poll()) or not job.is_running()), 60)
        heard += job.poll()
        assert job.poll() == []
        assert [event.fraction for event in heard] == sorted(event.fraction for event in heard)
        assert heard[-1].fraction == 1.0 and len({event.stage for event in heard}) >= 3
        with pytest.raises(TimeoutError):
            worker.segment(sample_dataset.exams()[1], bundle).result(0.0)


def test_a_model_is_loaded_and_what_cannot_be_is_one_sentence(sample_dataset, bundle):
    with jobs.Worker() as worker:
        known = worker.load(bundle, "cpu").result(60)
        assert (known["sha256"], known["device"]) == (bundle.sha256, "cpu")
        for name, device in (("no such model", "auto"), (jobs.DEFAULT_MODEL, "tpu")):
            with pytest.raises(ModelError) as caught:
                worker.load(name, device).result(60)
            assert str(caught.value).endswith((".", "?"))
        run = model.nnunet.run.Run("fast") if hasattr(model, "nnunet") else None
        with pytest.raises(ModelError, match="imported models"):
            worker.segment(sample_dataset.exams()[0], bundle, run=run).result(60)


def test_a_changed_model_is_opened_again(sample_dataset, bundle, tmp_path):
    folder = shutil.copytree(bundle.folder, tmp_path / "own")
    with jobs.Worker() as worker:
        assert worker.load(folder).result(60)["name"] == bundle.name
        weights = folder / "models" / "model.pt"
        weights.write_bytes(weights.read_bytes()[:-1] + b"?")
        with pytest.raises(ModelError, match="changed"):
            worker.load(folder).result(60)


FAILING = """
print("a stray line")
os.write(1, b"another\\n")
subprocess.run([sys.executable, "-c", "print('and a child')"], check=True)
sys.stdin.read()
exams = {0: MemoryError, 1: KeyError, 2: SystemExit, 3: KeyboardInterrupt}
count = len(os.listdir(tempfile.gettempdir()))
open(os.path.join(tempfile.gettempdir(), str(count)), "x").close()
if count in exams:
    raise exams[count]("x")
return real()
"""


@posix
def test_whatever_a_job_raises_or_prints_the_next_one_is_done_by_the_same_process(sample_dataset, bundle, tmp_path):
    printed = []
    exam = sample_dataset.exams()[0]
    with jobs.Worker(stand_in(tmp_path, FAILING), log=printed.append) as worker:
        said, processes = [], set()
        for _ in range(4):
            with pytest.raises(CSpineSegError) as caught:
                worker.segment(exam, bundle).result(60)
            said.append(str(caught.value))
            processes.add(worker.pid)
        assert not exam.predicted(bundle.name).exists()
        assert not worker.segment(exam, bundle).result(60).skipped
        assert {worker.pid} == processes
    assert "not enough main memory" in said[0]
    assert all("unexpected error" in text and "\n" not in text for text in said[1:])
    assert {"a stray line", "another", "and a child"} <= set(printed)


@posix
def test_an_image_that_is_no_neck_is_refused_here_as_there(sample_dataset, bundle, tmp_path):
    body = "raise errors.InputError('a: this does not look like a neck; --anyway segments it even so.')"
    with jobs.Worker(stand_in(tmp_path, body)) as worker:
        with pytest.raises(Refused, match=r"neck\.$"):
            worker.segment(sample_dataset.exams()[0], bundle).result(60)
        batch = jobs.segment_many(sample_dataset.exams()[:1], bundle, worker=worker)
    assert list(batch.failures.values()) == ["a: this does not look like a neck; --anyway segments it even so."]


def test_a_job_that_waits_is_cancelled_at_once_and_the_others_are_done(sample_dataset, bundle):
    with jobs.Worker() as worker:
        first, second, third = [worker.segment(exam, bundle) for exam in sample_dataset.exams()[:3]]
        second.cancel()
        assert not second.is_running()
        with pytest.raises(Cancelled):
            second.result(0.0)
        assert [first.result(60).stem, third.result(60).stem] == [sample_dataset.exams()[n].stem for n in (0, 2)]
        second.cancel()
        first.cancel()
        assert first.result(0.0)
    with pytest.raises(CSpineSegError, match="closed"):
        worker.segment(sample_dataset.exams()[0], bundle)


def test_following_a_job_passes_its_events_on_and_its_cancellation_back(sample_dataset, bundle):
    heard = []
    with jobs.Worker() as worker:
        worker.segment(sample_dataset.exams()[0], bundle).follow(Progress(heard.append))
        assert heard[-1].fraction == 1.0
        job = worker.segment(sample_dataset.exams()[1], bundle)
        with pytest.raises(Cancelled):
            job.follow(Progress(cancelled=lambda: True))
        assert wait_until(lambda: not job.is_running(), 3)


@pytest.mark.parametrize("python", ["missing", "silent", "talkative"])
@posix
def test_what_is_no_worker_is_one_sentence_each_time(sample_dataset, bundle, tmp_path, python):
    path = tmp_path / python
    if python != "missing":
        path.write_text(f"#!/bin/sh\necho {'broken' if python == 'talkative' else ''}\nexit 5\n", encoding="utf-8")
        path.chmod(0o755)
    with jobs.Worker(str(path)) as worker:
        for _ in range(2):
            with pytest.raises(CSpineSegError) as caught:
                worker.segment(sample_dataset.exams()[0], bundle).result(20)
            assert "\n" not in str(caught.value)


# Images read ahead


@pytest.fixture
def shelf_of():
    def fetched(shelf: Shelf, *paths: Path) -> dict:
        answers = []
        shelf.request([str(path) for path in paths], answers.append)
        assert wait_until(lambda: bool(answers), 20)
        return answers[0]

    return fetched


def test_an_image_is_read_ahead_once_and_taken_as_if_it_had_been_read(sample_dataset, shelf_of, monkeypatch):
    shelf, path = Shelf(), sample_dataset.exams()[0].image
    assert shelf_of(shelf, path) == {"kept": [str(path)], "left_out": {}}
    expected = images.read(path)
    monkeypatch.setattr(images, "read", None)
    assert shelf_of(shelf, path)["kept"] == [str(path)]
    assert shelf.state()["bytes"] == expected.volume().array.nbytes
    found = shelf.take(path)
    assert (found.path, found.sha256) == (path, expected.sha256)
    assert (found.volume().array == expected.volume().array).all()
    assert shelf.state() == {"images": 0, "bytes": 0, "limit": shelf.limit}


def test_an_image_that_was_changed_meanwhile_is_read_again(sample_dataset, shelf_of):
    shelf, (first, second) = Shelf(), [exam.image for exam in sample_dataset.exams()[:2]]
    shelf_of(shelf, first)
    first.write_bytes(second.read_bytes())
    assert shelf.take(first).sha256 == images.read(second).sha256


def test_images_read_ahead_stay_within_the_limit_and_what_is_wrong_is_left_to_the_job(sample_dataset, shelf_of):
    paths = [exam.image for exam in sample_dataset.exams()]
    sizes = {path: images.read(path).volume().array.nbytes for path in paths}
    small = min(paths, key=sizes.get)
    shelf = Shelf(limit=2 * sizes[small])
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:300])
    answer = shelf_of(shelf, *paths, small)
    assert set(answer["kept"]) | set(answer["left_out"]) == {str(path) for path in paths}
    assert all(sentence.endswith(".") for sentence in answer["left_out"].values())
    assert {str(paths[0]), str(paths[1])} <= set(answer["left_out"])
    assert 0 < shelf.state()["bytes"] <= shelf.limit
    with pytest.raises(InputError, match="cannot be read"):
        shelf.take(paths[0])
    shelf.clear()
    assert shelf.state()["images"] == 0


@posix
def test_the_next_image_is_read_while_the_present_job_runs(sample_dataset, bundle, tmp_path):
    note = tmp_path / "note"
    body = f"""
import gc
from CSpineSegLib.jobs import images
open({str(note)!r}, "a").write(name + "\\n")
(shelf,) = [one for one in gc.get_objects() if type(one).__name__ == "Shelf"]
end = time.monotonic() + 30
while images.read and not shelf.state()["images"] and time.monotonic() < end:
    time.sleep(0.01)
images.read = None
return real()
"""
    with jobs.Worker(stand_in(tmp_path, body)) as worker:
        batch = jobs.segment_many(sample_dataset.exams()[:2], bundle, worker=worker)
    assert batch.failures == {} and len(batch.results) == 2
    assert len(note.read_text(encoding="utf-8").splitlines()) == 2


def test_a_worker_answers_while_it_works(sample_dataset, bundle):
    began = time.monotonic()
    with jobs.Worker() as worker:
        job = worker.segment(sample_dataset.exams()[0], bundle)
        assert time.monotonic() - began < 1.0, "giving a job away waits for nothing"
        assert is_alive(worker.pid)
        job.result(60)
    assert temporaries(sample_dataset.root) == []
