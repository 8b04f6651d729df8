"""Segmenting from the workplace: what the user waits for comes first, the next exams in between; nothing is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from module_helpers import is_alive, quick_model, quick_models, wait_until  # noqa: F401  (fixtures)
from worker_cases import nothing_left, posix, stand_in  # noqa: F401  (fixture)

from CSpineSegLib import files, jobs, model, volume
from CSpineSegLib.dataset import exam_from_file
from CSpineSegLib.errors import (
    Cancelled,
    CSpineSegError,
    GraphicsMemoryError,
    InputError,
    OrientationError,
    Refused,
)
from CSpineSegLib.jobs.graphics import Card
from CSpineSegLib.review import masks, records
from CSpineSegLib.workplace import Workplace, ahead, choices

pytestmark = pytest.mark.usefixtures("quick_model", "nothing_left")

# Keeps a list of what was begun and ended, and takes a second for images whose name holds a text.
NOTING = """
with open({note!r}, "a", encoding="utf-8") as stream:
    stream.write("begin " + name + "\\n")
for step in range(40 if {slow!r} in name and not os.path.exists({quick!r}) else 0):
    time.sleep(0.05)
    progress.update("segment", step / 50)
found = real()
with open({note!r}, "a", encoding="utf-8") as stream:
    stream.write("end " + name + "\\n")
return found
"""


@pytest.fixture
def workplace(sample_dataset):
    place = Workplace()
    place.open_dataset(sample_dataset.root)
    yield place
    place.close()


@pytest.fixture
def noted(sample_dataset, tmp_path):
    """A workplace whose worker is slow on images with a text in their name, and the lines it noted."""
    places = []

    def make(slow: str):
        note = tmp_path / "note"
        body = NOTING.format(note=str(note), slow=slow, quick=str(tmp_path / "quick"))
        place = Workplace(python=stand_in(tmp_path, body))
        place.open_dataset(sample_dataset.root)
        places.append(place)
        return place, lambda: note.read_text(encoding="utf-8").splitlines() if note.exists() else []

    yield make
    for place in places:
        place.close()


def settle(place: Workplace, seconds: float = 60) -> None:
    """Poll until the user's job has ended and nothing is left in the background."""

    def settled() -> bool:
        place.segmenting.poll()
        return not place.segmenting.is_running and not place.segmenting.ahead.is_running

    assert wait_until(settled, seconds)


def polled(place: Workplace, happened, seconds: float = 60) -> bool:
    return wait_until(lambda: (place.segmenting.poll() is None and happened()) or happened(), seconds)


def draw(place: Workplace) -> np.ndarray:
    """Paint into the open exam, and return the mask as it should now be."""
    from CSpineSegLib import scene

    session = place.session
    centre = session.image.affine @ [*(np.array(session.image.shape) // 2), 1]
    scene.Editor(session.context, session.case).paint_sphere("bodies", centre[:3], 6.0)
    return session.mask().array.copy()


# What the user waits for


def test_the_open_exam_is_segmented_and_its_mask_opens_as_a_new_version(workplace):
    before = workplace.open_exam(workplace.exams()[0])
    segmenting = workplace.segmenting
    segmenting.start()
    assert segmenting.is_running and segmenting.is_busy
    heard = []
    assert wait_until(lambda: heard.append(segmenting.poll()) or segmenting.has_ended, 60)
    assert workplace.session is before and not segmenting.has_result(), "nothing happens until the end is fetched"
    result = segmenting.finish()
    assert result.stem == before.exam.stem and segmenting.has_result() and not segmenting.is_busy
    assert workplace.session is before
    session, drawn = segmenting.open_result()
    assert workplace.session is session is not before and drawn is None
    assert session.start.kind == "predicted" and not segmenting.has_result()
    assert np.array_equal(session.mask().array, volume.read_mask(result.mask).array)
    assert records.history(before.exam) == []
    assert [event for event in heard if event is not None][-1].fraction == 1.0
    with pytest.raises(CSpineSegError, match="no new segmentation"):
        segmenting.open_result()


def test_what_was_drawn_is_kept_when_a_result_opens_and_opening_the_exam_again_comes_back_to_it(workplace):
    exam = workplace.open_exam(workplace.exams()[0]).exam
    workplace.segmenting.start()
    expected = draw(workplace)
    workplace.segmenting.finish()
    session, kept = workplace.segmenting.open_result()
    assert kept.status == "in review" and np.array_equal(volume.read_mask(kept.mask).array, expected)
    assert not np.array_equal(session.mask().array, expected)
    assert np.array_equal(workplace.open_exam(exam).mask().array, expected)


def test_undo_leads_from_a_result_back_to_what_was_there_before(workplace):
    from CSpineSegLib import scene

    workplace.open_exam(workplace.exams()[0])
    workplace.segmenting.start()
    drawn = draw(workplace)
    workplace.segmenting.finish()
    session, _ = workplace.segmenting.open_result()
    found, seen = session.mask().array.copy(), []
    editor = scene.Editor(session.context, session.case)
    workplace.segmenting.save_undo_state(
        lambda: seen.append(session.mask().array.copy()) or editor._logic.SaveStateForUndo()
    )
    assert np.array_equal(seen[0], drawn) and np.array_equal(session.mask().array, found)
    assert not workplace.is_changed()
    editor.undo()
    assert np.array_equal(session.mask().array, drawn) and workplace.is_changed()
    editor.redo()
    assert np.array_equal(session.mask().array, found) and not workplace.is_changed()
    workplace.segmenting.save_undo_state(lambda: seen.append(None))
    assert len(seen) == 1, "there is nothing to go back to any more"
    editor.close()


def test_a_result_is_offered_for_its_own_exam_and_dataset_only_and_not_twice(workplace, tmp_path):
    first, second = workplace.exams()[:2]
    workplace.open_exam(first)
    workplace.segmenting.start()
    workplace.segmenting.finish()
    workplace.open_exam(second)
    assert not workplace.segmenting.has_result()
    root = workplace.dataset.root
    shutil.copytree(root / "extracted", tmp_path / "autre" / "extracted")
    other = workplace.open_dataset(tmp_path / "autre").exam(first.stem)
    workplace.open_exam(other)
    assert not workplace.segmenting.has_result(), "it has the same name in another dataset"
    workplace.open_exam(first, model=jobs.DEFAULT_MODEL)
    assert not workplace.segmenting.has_result(), "it is shown already"


def test_only_one_job_of_the_user_runs_and_only_on_exams_of_a_dataset(workplace, tmp_path):
    exam, segmenting = workplace.exams()[0], workplace.segmenting
    with pytest.raises(InputError, match="No exam is open"):
        segmenting.start()
    with pytest.raises(CSpineSegError, match="Nothing is being segmented"):
        segmenting.finish()
    single = tmp_path / "x.nii.gz"
    shutil.copy(exam.image, single)
    with pytest.raises(InputError, match="Only exams of a dataset"):
        segmenting.start(exam_from_file(single))
    assert not segmenting.is_busy
    segmenting.start(exam)
    with pytest.raises(CSpineSegError, match="already; wait for it, or cancel it"):
        segmenting.start(workplace.exams()[1])
    with pytest.raises(CSpineSegError, match="already"):
        segmenting.start_import(tmp_path / "x.zip")
    segmenting.finish()


@posix
def test_a_cancelled_segmentation_leaves_nothing_and_the_next_one_is_done(noted):
    place, _ = noted("")
    exam = place.exams()[0]
    place.segmenting.start(exam)
    assert polled(place, lambda: any("segment" in line for line in place.segmenting.log))
    place.segmenting.cancel()
    assert wait_until(lambda: place.segmenting.has_ended, 3)
    with pytest.raises(Cancelled):
        place.segmenting.finish()
    assert not exam.predicted(jobs.DEFAULT_MODEL).exists() and not place.segmenting.is_busy
    place.segmenting.start(place.exams()[1])
    assert place.segmenting.finish().stem == place.exams()[1].stem


@posix
@pytest.mark.parametrize(
    ("raised", "kind", "again"),
    [
        ("errors.InputError('a: no neck; --anyway segments it even so.')", Refused, {"anyway": True}),
        ("errors.GraphicsMemoryError('The device cuda is full.')", GraphicsMemoryError, {"device": "cpu"}),
    ],
)
def test_what_can_be_done_in_another_way_is_told_from_other_failures(sample_dataset, tmp_path, raised, kind, again):
    body = f"if how['device'] == 'auto' and not how['anyway']:\n    raise {raised}\nreturn real()"
    place = Workplace(python=stand_in(tmp_path, body))
    place.open_dataset(sample_dataset.root)
    exam = place.exams()[0]
    place.segmenting.start(exam)
    with pytest.raises(kind) as caught:
        place.segmenting.finish()
    assert "--" not in str(caught.value) and type(caught.value) is kind
    place.segmenting.start(exam, **again)
    assert place.segmenting.finish().mask.is_file()
    place.close()


def test_the_log_tells_of_every_stage_and_keeps_the_last_lines(workplace, monkeypatch):
    segmenting = workplace.segmenting
    segmenting.start(workplace.exams()[0])
    settle(workplace)
    segmenting.finish()
    text = "\n".join(segmenting.log)
    assert workplace.exams()[0].stem in text and "load model" in text and "Runs on the CPU" in text
    assert segmenting.logged == len(segmenting.log)
    for number in range(3000):
        segmenting.tell(str(number))
    assert len(segmenting.log) == 2000 and segmenting.logged > 3000 and segmenting.log[-1].endswith("2999")


# What comes next


def test_the_next_exams_are_segmented_in_the_background_and_open_with_their_masks(workplace):
    exams = workplace.exams()[2:5]
    assert workplace.segmenting.start_ahead(exams) == 3
    assert workplace.segmenting.start_ahead(exams[:2]) == 0, "they are in it already"
    assert workplace.segmenting.ahead.total == 3 and workplace.segmenting.is_busy
    settle(workplace)
    state = workplace.segmenting.ahead
    assert [exam.stem for exam in state.done] == [exam.stem for exam in exams]
    assert state.failed == {} and state.left == 0 and not workplace.segmenting.is_busy
    silver = next(exam for exam in exams if exam.source == "silver")
    assert masks.best_mask(silver).kind == "predicted"
    assert workplace.open_exam(silver).start.model == jobs.DEFAULT_MODEL
    assert not workplace.segmenting.has_result()


@posix
def test_the_user_does_not_wait_for_the_background_which_goes_on_afterwards(noted):
    place, lines = noted("900")
    first, second, wanted = place.exams()[:3]
    place.segmenting.start_ahead([first, second])
    assert polled(place, lambda: f"begin {first.image.name}" in lines())
    (place.dataset.root.parent / "quick").touch()
    place.segmenting.start(wanted)
    assert place.segmenting.ahead.current is None and place.segmenting.ahead.left == 2
    assert place.segmenting.finish().stem == wanted.stem
    settle(place)
    ended = [line for line in lines() if line.startswith("end")]
    assert ended == [f"end {exam.image.name}" for exam in (wanted, first, second)]
    assert [exam.stem for exam in place.segmenting.ahead.done] == [first.stem, second.stem]


@posix
def test_asking_for_the_exam_that_is_under_way_does_not_begin_it_again(noted):
    place, lines = noted("900")
    first, second = place.exams()[:2]
    place.segmenting.start_ahead([first, second])
    assert polled(place, lambda: f"begin {first.image.name}" in lines())
    place.segmenting.start(first)
    assert place.segmenting.ahead.left == 1
    assert place.segmenting.finish().stem == first.stem
    settle(place)
    assert lines().count(f"begin {first.image.name}") == 1
    assert [exam.stem for exam in place.segmenting.ahead.done] == [second.stem]


@posix
def test_asking_for_it_in_another_way_begins_it_again(noted):
    place, lines = noted("900")
    exam = place.exams()[0]
    place.segmenting.start_ahead([exam])
    assert polled(place, lambda: f"begin {exam.image.name}" in lines())
    place.segmenting.device = "cpu"
    place.segmenting.start(exam)
    place.segmenting.finish()
    assert lines().count(f"begin {exam.image.name}") == 2
    assert not place.segmenting.ahead.is_running, "it is not segmented a third time"


def test_an_exam_that_fails_does_not_keep_the_others_from_their_turn(workplace):
    broken, whole = workplace.exams()[:2]
    broken.image.write_bytes(b"no image")
    workplace.segmenting.start_ahead([broken, whole])
    settle(workplace)
    state = workplace.segmenting.ahead
    assert set(state.failed) == {broken.stem} and [exam.stem for exam in state.done] == [whole.stem]
    assert state.failed[broken.stem].endswith(".") and state.failed[broken.stem] in "\n".join(workplace.segmenting.log)


@posix
def test_the_background_stops_when_it_is_told_to(noted):
    place, lines = noted("900")
    place.segmenting.start_ahead(place.exams())
    assert polled(place, lambda: bool(lines()))
    place.segmenting.ahead.stop()
    assert not place.segmenting.is_busy and place.segmenting.ahead.total == 0
    place.segmenting.poll()
    assert not place.segmenting.is_busy


def test_what_comes_next_is_neither_reviewed_nor_segmented_nor_gold_nor_open(workplace):
    exams = workplace.exams()
    silver = [exam for exam in exams if exam.source != "gold" and exam.image is not None]
    everything = ahead.upcoming(workplace, 100)
    assert [exam.stem for exam in everything] == [exam.stem for exam in silver] and len(silver) >= 4
    jobs.segment(silver[1], model.load(jobs.DEFAULT_MODEL))
    workplace.open_exam(silver[0])
    found = [exam.stem for exam in ahead.upcoming(workplace, 100)]
    assert found == [exam.stem for exam in silver[2:]]
    assert [exam.stem for exam in ahead.upcoming(workplace, 1)] == found[:1]


@posix
def test_closing_the_workplace_ends_what_runs(noted):
    place, lines = noted("900")
    place.segmenting.start_ahead(place.exams()[:3])
    assert polled(place, lambda: bool(lines()))
    pid = place.segmenting.worker.pid
    assert is_alive(pid)
    place.close()
    assert wait_until(lambda: not is_alive(pid), 3)
    assert not place.segmenting.is_busy


# Models and devices


def test_a_model_is_imported_by_the_worker_once_its_orientation_is_known(workplace, tmp_path, monkeypatch):
    zips = pytest.importorskip("nnunet_zips")
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path / "modèles"))
    about = zips.dataset(labels={"background": 0, "a": 1, "b": 2})
    members = zips.training("2d", plan=zips.plans(dataset_name="Dataset500_Neck"), about=about)
    source = zips.write_zip(tmp_path / "a b.zip", members)
    segmenting = workplace.segmenting
    segmenting.start_import(source)
    assert segmenting.is_importing and segmenting.is_running
    with pytest.raises(OrientationError):
        segmenting.finish()
    assert not segmenting.is_importing
    segmenting.start_import(source, "RAS")
    made = segmenting.finish()
    assert made["notes"] and model.load(made["name"]).orientation == "RAS"
    found, problems = choices.models()
    words = {choice.name: choice.words for choice in found}
    assert "a b.zip" in words[made["name"]] and "2d with 1 fold" in words[made["name"]] and problems == []


def test_models_are_offered_with_what_they_are_the_usual_one_first(quick_models):  # noqa: F811
    files.write_json(quick_models / "broken" / "configs" / "metadata.json", {})
    try:
        found, problems = choices.models()
    finally:
        shutil.rmtree(quick_models / "broken")
    assert found[0].name == jobs.DEFAULT_MODEL and len({choice.name for choice in found}) == len(found)
    assert found[0].text.startswith(f"{jobs.DEFAULT_MODEL} ") and found[0].words.startswith("Your own model.")
    assert len(problems) == 1 and "broken" in problems[0]


def test_devices_are_offered_in_words_and_nothing_that_is_not_there(monkeypatch):
    card = Card("NVIDIA RTX A2000", "550.54", 8 * 1024**3, "cuda")
    monkeypatch.setattr(choices, "find_spec", lambda name: object())
    monkeypatch.setattr("CSpineSegLib.model.devices.may_see_gpu", lambda: True)
    automatic, gpu, cpu = choices.devices([card, card])
    assert (automatic.name, gpu.name, cpu.name) == ("auto", "cuda", "cpu")
    assert gpu.text == "NVIDIA RTX A2000, 8 GB" and automatic.text == "Automatic: NVIDIA RTX A2000, 8 GB"
    assert "Processor" in cpu.text and "OpenVINO" in cpu.text and "core" in cpu.text
    monkeypatch.setattr("CSpineSegLib.model.devices.may_see_gpu", lambda: False)
    monkeypatch.setattr(choices, "find_spec", lambda name: None)
    automatic, gpu, cpu = choices.devices([card])
    assert "Processor" in automatic.text and "PyTorch, which is not installed" in gpu.words
    assert "nothing installed" in cpu.text
    assert [choice.name for choice in choices.devices([])] == ["auto", "cpu"]


def test_the_workplace_is_imported_without_anything_heavy():
    heavy = {"torch", "openvino", "pandas", "nibabel", "scipy", "slicer", "vtk", "vtkmodules", "monai"}
    code = "import sys, CSpineSegLib.workplace; print(*sorted(name for name in sys.modules if '.' not in name))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert not heavy & set(done.stdout.split())
