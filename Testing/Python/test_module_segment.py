"""The segment panel: what it offers, what it does with a finished segmentation, and that nothing drawn is ever lost."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from module_helpers import is_alive, quick_model, quick_models, wait_until  # noqa: F401  (fixtures)
from module_person import nodes, person, python_slicer, revisions  # noqa: F401  (fixtures)
from slicer_standins import slicer_app  # noqa: F401  (fixture)
from worker_cases import posix, stand_in

from CSpineSegLib import jobs, model, volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.review import masks

pytestmark = pytest.mark.usefixtures("quick_model")


@pytest.fixture
def other(sample_dataset):
    """A dataset with the same names in another folder."""
    root = sample_dataset.root.with_name("second lecteur")
    shutil.copytree(sample_dataset.root, root)
    return Dataset.open(root)


@pytest.fixture
def unfolded(person):  # noqa: F811
    """Somebody before the unfolded panel."""
    person.unfold("segmentPanel")
    return person


def segmented_before(exam):
    """The worker then has nothing to compute, and the test is quick."""
    jobs.segment(exam, model.load(jobs.DEFAULT_MODEL))


def is_over(person):  # noqa: F811
    return not person.logic.segmenting.is_busy and not person.widget.panels["segment"].timer.active


def slow(person, tmp_path, body="for step in range(100):\n    time.sleep(0.05)\n    progress.update('x', 0.1)"):  # noqa: F811
    """Makes the worker one whose segmentations take a while."""
    person.logic.segmenting._python = stand_in(tmp_path, f"{body}\nreturn real()")


# The open exam


def test_segmenting_shows_progress_and_opens_the_result(unfolded):
    session = unfolded.open()
    unfolded.click("applyButton")
    assert unfolded.read("applyButton") == "Cancel" and unfolded.sees("progressBar")
    seen = set()
    assert unfolded.wait(lambda: seen.add(unfolded.read("stageLabel")) or is_over(unfolded))
    assert unfolded.app.errors == []
    assert any(re.search(r", \d+ %", text) for text in seen)
    result = unfolded.logic.session
    assert result is not session and result.start.kind == "predicted"
    assert result.case.segmentation_node is not session.case.segmentation_node
    assert np.array_equal(result.mask().array, volume.read_mask(result.start.path).array)
    assert revisions(result) == []
    assert "is segmented." in unfolded.status and "with the mask of the model" in unfolded.status
    assert unfolded.read("applyButton") == "Segment" and not unfolded.sees("progressBar")
    assert "load model" in unfolded.read("logEdit")


def test_what_can_be_clicked_follows_what_there_is(unfolded):
    assert not unfolded.can("applyButton") and not unfolded.can("aheadButton") and unfolded.can("importButton")
    assert "Open an exam" in unfolded.read("stageLabel")
    unfolded.load()
    assert unfolded.can("aheadButton") and not unfolded.can("applyButton")
    unfolded.open()
    assert unfolded.can("applyButton") and unfolded.read("stageLabel") == ""
    unfolded.app.context.scene.Clear(0)
    assert not unfolded.can("applyButton") and unfolded.can("aheadButton")


@pytest.mark.parametrize("answer", [False, True])
def test_an_image_that_is_no_neck_is_segmented_only_if_the_user_wants_it(unfolded, answer):
    exam = unfolded.open().exam
    image = volume.read(exam.image)
    # Two values alone: a mask under an image's name.
    two = (image.array > np.median(image.array)).astype(image.array.dtype)
    volume.write(volume.like(image, two), exam.image)
    unfolded.app.answer = answer
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    question = unfolded.app.questions[-1]
    assert "not an MR image" in question and question.endswith("Segment it anyway?") and "--anyway" not in question
    assert unfolded.app.errors == []
    assert bool(exam.predicted(jobs.DEFAULT_MODEL).exists()) is answer


@posix
@pytest.mark.parametrize("answer", [False, True])
def test_a_graphics_card_without_memory_is_a_question_and_no_dead_end(unfolded, tmp_path, answer):
    body = "if how['device'] != 'cpu':\n    raise errors.GraphicsMemoryError('The device cuda is full.')"
    slow(unfolded, tmp_path, body)
    exam = unfolded.open().exam
    unfolded.app.answer = answer
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    assert unfolded.app.questions == ["The device cuda is full. Segment it on the processor instead?"]
    assert unfolded.app.errors == []
    assert exam.predicted(jobs.DEFAULT_MODEL).exists() is answer


@posix
def test_cancel_stops_the_segmentation_within_a_second_and_the_mask_stays(unfolded, tmp_path):
    slow(unfolded, tmp_path)
    session = unfolded.open()
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: unfolded.read("stageLabel").startswith("x, "), 60)
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: is_over(unfolded), 3)
    assert unfolded.logic.session is session and "Cancelled" in unfolded.status and unfolded.app.errors == []
    assert unfolded.read("applyButton") == "Segment" and unfolded.can("applyButton")


@posix
def test_a_failure_is_one_sentence_and_everything_can_go_on(unfolded, tmp_path):
    slow(unfolded, tmp_path, "os.abort()")
    session = unfolded.open()
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    (sentence,) = unfolded.app.errors
    assert "ended by the system" in sentence and sentence == unfolded.status
    assert unfolded.logic.session is session and unfolded.can("applyButton")


def test_a_result_waits_while_someone_draws_and_opening_it_keeps_what_was_drawn(unfolded):
    session = unfolded.open()
    segmented_before(session.exam)
    drawn = unfolded.paint()
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    assert unfolded.logic.session is session, "nothing may vanish under the brush"
    assert np.array_equal(session.mask().array, drawn) and revisions(session) == []
    assert "is segmented." in unfolded.status and "'Open result'" in unfolded.status
    assert unfolded.read("applyButton") == "Open result"
    unfolded.click("applyButton")
    result = unfolded.logic.session
    assert unfolded.app.errors == []
    assert result.start.kind == "predicted" and len(nodes(unfolded.app)) == 1
    (kept,) = revisions(result)
    assert kept.status == "in review"
    assert np.array_equal(volume.read_mask(kept.mask).array, drawn)
    assert "kept as revision 1" in unfolded.status
    assert unfolded.read("applyButton") == "Segment"
    opened = result.mask().array.copy()
    assert not unfolded.logic.is_changed()
    unfolded.part("segmentEditor").wrapped.undo()
    assert np.array_equal(result.mask().array, drawn), "Undo leads back to what was drawn"
    unfolded.part("segmentEditor").wrapped.redo()
    assert np.array_equal(result.mask().array, opened)


def test_a_result_waits_while_another_module_is_shown(unfolded):
    session = unfolded.open()
    segmented_before(session.exam)
    unfolded.click("applyButton")
    unfolded.leave()
    assert unfolded.wait(lambda: is_over(unfolded))
    assert unfolded.logic.session is session
    unfolded.come_back()
    assert unfolded.read("applyButton") == "Open result"
    unfolded.click("applyButton")
    assert unfolded.app.errors == [] and unfolded.logic.session.start.kind == "predicted"


def test_segmenting_stays_in_the_dataset_of_the_open_exam(unfolded, other):
    session = unfolded.open()
    segmented_before(session.exam)
    unfolded.find(root=other.root)
    rows = unfolded.rows()
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    assert not list(other.processed.rglob("*_SEG.nii.gz"))
    assert unfolded.logic.session.start.kind == "predicted"
    assert unfolded.logic.session.start.path.is_relative_to(unfolded.root)
    assert unfolded.rows() == rows, "the exam of that name in the table is another one"


def test_a_result_is_not_opened_over_an_exam_of_the_same_name_in_another_dataset(unfolded, other):
    exam = unfolded.open().exam
    segmented_before(exam)
    unfolded.click("applyButton")
    session = unfolded.open(root=other.root)
    assert session.exam.stem == exam.stem
    assert unfolded.wait(lambda: is_over(unfolded))
    assert unfolded.app.errors == [] and "is segmented." in unfolded.status
    assert unfolded.logic.session is session and session.start.kind == "dataset"
    assert unfolded.read("applyButton") == "Segment"


def test_a_result_that_cannot_be_opened_is_explained_and_can_be_made_again(unfolded):
    session = unfolded.open()
    segmented_before(session.exam)
    drawn = unfolded.paint()
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    session.exam.predicted(jobs.DEFAULT_MODEL).unlink()
    unfolded.click("applyButton")
    (sentence,) = unfolded.app.errors
    assert session.exam.stem in sentence
    assert unfolded.logic.session is session and np.array_equal(session.mask().array, drawn)
    assert [revision.status for revision in revisions(session)] == ["in review"]
    assert unfolded.read("applyButton") == "Segment"


def test_without_pythonslicer_segmenting_says_so_and_nothing_starts(unfolded, monkeypatch, tmp_path):
    unfolded.open()
    monkeypatch.setenv("PATH", str(tmp_path))
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: is_over(unfolded), 20)
    (sentence,) = unfolded.app.errors
    assert "PythonSlicer" in sentence and sentence.endswith("reinstall Slicer.")


# The scene and the module go


@posix
def test_the_scene_closes_in_mid_job_and_the_mask_is_there_when_the_exam_opens_again(unfolded, tmp_path):
    slow(unfolded, tmp_path, "time.sleep(1)")
    exam = unfolded.open("900002").exam
    unfolded.click("applyButton")
    unfolded.app.context.scene.Clear(0)
    assert unfolded.logic.session is None and unfolded.read("applyButton") == "Cancel"
    assert unfolded.wait(lambda: is_over(unfolded))
    assert unfolded.app.errors == [] and not unfolded.can("applyButton")
    assert masks.predicted_mask(exam) is not None
    unfolded.click_row("900002", twice=True)
    assert unfolded.logic.session.start.kind == ("dataset" if exam.source == "gold" else "predicted")


@posix
def test_unloading_the_module_in_mid_job_ends_the_worker(unfolded, tmp_path):
    slow(unfolded, tmp_path)
    unfolded.open()
    unfolded.click("applyButton")
    assert unfolded.wait(lambda: unfolded.read("stageLabel").startswith("x, "), 60)
    pid = unfolded.logic.segmenting.worker.pid
    unfolded.widget.cleanup()
    assert wait_until(lambda: not is_alive(pid), 3) and not unfolded.widget.panels["segment"].timer.active


# The next exams


def test_the_next_exams_get_their_masks_while_the_user_works_on(unfolded):
    unfolded.load()
    unfolded.part("aheadSpin").value = 2
    unfolded.click("aheadButton")
    assert unfolded.read("aheadButton") == "Stop" and "0 of 2 ready" in unfolded.read("aheadLabel")
    assert unfolded.wait(lambda: is_over(unfolded))
    assert unfolded.read("aheadButton") == "Start" and unfolded.read("aheadLabel") == "2 of 2 ready"
    ready = [exam for exam in unfolded.logic.exams() if exam.predicted(jobs.DEFAULT_MODEL).exists()]
    assert len(ready) == 2 and unfolded.app.errors == []
    shown = [row.exam.stem for row in unfolded.widget.panels["dataset"].rows if row.has_prediction]
    assert shown == [exam.stem for exam in ready], "the table knows of them at once"
    session = unfolded.open(ready[0].patient_id)
    assert session.exam.stem != ready[0].stem or session.start.kind == "predicted"
    unfolded.part("aheadSpin").value = 200
    unfolded.click("aheadButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    unfolded.click("aheadButton")
    assert "has a mask of this model" in unfolded.status and not unfolded.logic.segmenting.is_busy


@posix
def test_the_background_is_stopped_by_the_same_button_and_a_failure_is_counted(unfolded, tmp_path):
    slow(unfolded, tmp_path, "raise errors.InputError('no.') if not os.path.exists('/nowhere') else None")
    unfolded.load()
    unfolded.part("aheadSpin").value = 1
    unfolded.click("aheadButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    assert "1 failed: see the log" in unfolded.read("aheadLabel") and "no." in unfolded.read("logEdit")
    unfolded.part("aheadSpin").value = 3
    unfolded.click("aheadButton")
    unfolded.click("aheadButton")
    assert unfolded.read("aheadButton") == "Start" and "masks that are ready stay" in unfolded.status
    assert unfolded.wait(lambda: is_over(unfolded), 5)


# Model and device


def test_model_and_device_are_in_words_and_kept_in_the_scene(unfolded):
    assert unfolded.read("modelCombo").startswith(jobs.DEFAULT_MODEL) and "Your own model." in unfolded.read(
        "modelLabel"
    )
    assert unfolded.read("deviceCombo").startswith("Automatic: ")
    unfolded.part("deviceCombo").currentIndex = 1
    assert unfolded.widget.parameters.device == "cpu" and unfolded.logic.segmenting.device == "cpu"
    assert "Runs on the processor" in unfolded.read("deviceLabel")
    unfolded.leave()
    unfolded.come_back()
    assert unfolded.widget.parameters.device == "cpu" and "Processor" in unfolded.read("deviceCombo")
    unfolded.widget.parameters.model = "no such model"
    unfolded.widget.update()
    assert unfolded.logic.segmenting.model == jobs.DEFAULT_MODEL


def test_a_model_is_imported_by_one_click_and_chosen(unfolded, tmp_path, monkeypatch):
    zips = pytest.importorskip("nnunet_zips")
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path / "modèles"))
    about = zips.dataset(labels={"background": 0, "a": 1, "b": 2})
    members = zips.training("2d", plan=zips.plans(dataset_name="Dataset500_Neck"), about=about)
    unfolded.app.chosen_file = str(zips.write_zip(tmp_path / "a.zip", members))
    unfolded.app.answer, unfolded.app.typed = False, "RAS"
    unfolded.click("importButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    assert "three axes" in unfolded.app.questions[-1] and not list(tmp_path.glob("modèles/*"))
    unfolded.app.answer = True
    unfolded.click("importButton")
    assert unfolded.read("applyButton") == "Cancel" and not unfolded.can("importButton")
    assert unfolded.wait(lambda: is_over(unfolded))
    assert unfolded.app.errors == [] and "is imported and chosen" in unfolded.status
    (folder,) = [path for path in tmp_path.glob("modèles/*") if path.is_dir()]
    assert unfolded.read("modelCombo").startswith(folder.name) and "nnU-Net model" in unfolded.read("modelLabel")
    assert unfolded.logic.segmenting.model == folder.name
    unfolded.app.chosen_file = ""
    unfolded.click("importButton")
    assert is_over(unfolded)
