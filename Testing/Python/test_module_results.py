"""What the module does with a finished segmentation, and that nothing drawn is ever lost: real MRML, real child."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from module_helpers import quick_model, quick_models  # noqa: F401  (fixtures)
from module_person import nodes, person, revisions  # noqa: F401  (fixture)
from module_standins import slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import jobs, model, volume
from CSpineSegLib.dataset import Dataset

segmenting = pytest.mark.usefixtures("quick_model")


@pytest.fixture
def other(sample_dataset):
    """A dataset with the same names in another folder."""
    root = sample_dataset.root.with_name("second lecteur")
    shutil.copytree(sample_dataset.root, root)
    return Dataset.open(root)


def segmented_before(exam):
    """The child then has nothing to compute, and the test is quick."""
    jobs.segment(exam, model.load(jobs.DEFAULT_MODEL))


@segmenting
def test_segmenting_shows_progress_and_opens_the_result(person):  # noqa: F811
    session = person.open()
    person.click("segmentButton")
    assert person.part("segmentButton").text == "Cancel" and person.part("progressBar").visible
    seen = set()
    assert person.wait(lambda: seen.add(person.status) or not person.logic.is_segmenting())
    assert person.app.errors == []
    assert any(re.search(r", \d+ %", text) for text in seen)
    result = person.logic.session
    assert result is not session and result.start.kind == "predicted"
    assert result.case.segmentation_node is not session.case.segmentation_node
    assert np.array_equal(result.mask().array, volume.read_mask(result.start.path).array)
    assert revisions(result) == []
    assert "is segmented." in person.status and "with the mask of the model" in person.status
    assert person.part("segmentButton").text == "Segment" and not person.part("progressBar").visible
    assert not person.widget.timer.active


@segmenting
@pytest.mark.parametrize("answer", [False, True])
def test_an_image_that_is_no_neck_is_segmented_only_if_the_user_wants_it(person, answer):  # noqa: F811
    exam = person.open().exam
    image = volume.read(exam.image)
    # Two values alone: a mask under an image's name.
    two = (image.array > np.median(image.array)).astype(image.array.dtype)
    volume.write(volume.like(image, two), exam.image)
    person.app.answer = answer
    person.click("segmentButton")
    assert person.wait(lambda: not person.logic.is_segmenting() and not person.widget.timer.active)
    question = person.app.questions[-1]
    assert "not an MR image" in question and question.endswith("Segment it anyway?") and "--anyway" not in question
    assert person.app.errors == []
    assert bool(exam.predicted(jobs.DEFAULT_MODEL).exists()) is answer


@segmenting
def test_a_result_waits_while_someone_draws_and_opening_it_keeps_what_was_drawn(person):  # noqa: F811
    session = person.open()
    segmented_before(session.exam)
    drawn = person.paint()
    person.segment()
    assert person.logic.session is session, "nothing may vanish under the brush"
    assert np.array_equal(session.mask().array, drawn) and revisions(session) == []
    assert "is segmented." in person.status and "'Open result'" in person.status
    assert person.part("segmentButton").text == "Open result"
    person.click("segmentButton")
    result = person.logic.session
    assert person.app.errors == []
    assert result.start.kind == "predicted" and len(nodes(person.app)) == 1
    (kept,) = revisions(result)
    assert kept.status == "in review"
    assert np.array_equal(volume.read_mask(kept.mask).array, drawn)
    assert "kept as revision 1" in person.status
    assert person.part("segmentButton").text == "Segment"


@segmenting
def test_a_result_waits_while_another_module_is_shown(person):  # noqa: F811
    session = person.open()
    segmented_before(session.exam)
    person.click("segmentButton")
    person.click("editorButton")
    assert person.wait(lambda: not person.logic.is_segmenting())
    assert person.logic.session is session
    person.widget.enter()
    assert person.part("segmentButton").text == "Open result"
    person.click("segmentButton")
    assert person.app.errors == [] and person.logic.session.start.kind == "predicted"


@segmenting
def test_segmenting_stays_in_the_dataset_of_the_open_exam(person, other):  # noqa: F811
    session = person.open()
    segmented_before(session.exam)
    person.find(root=other.root)
    person.segment()
    assert not list(other.processed.rglob("*_SEG.nii.gz"))
    assert person.logic.session.start.kind == "predicted"
    assert person.logic.session.start.path.is_relative_to(person.root)
    before = person.part("examCombo").currentText
    person.click("acceptButton")
    assert person.part("examCombo").currentText == before, "the exam of that name in the list is another one"


@segmenting
def test_a_result_is_not_opened_over_an_exam_of_the_same_name_in_another_dataset(person, other):  # noqa: F811
    exam = person.open().exam
    segmented_before(exam)
    person.click("segmentButton")
    session = person.open(root=other.root)
    assert session.exam.stem == exam.stem
    assert person.wait(lambda: not person.logic.is_segmenting())
    assert person.app.errors == [] and "is segmented." in person.status
    assert person.logic.session is session and session.start.kind == "dataset"
    assert person.part("segmentButton").text == "Segment"


def test_without_pythonslicer_segmenting_says_so_and_nothing_starts(person, monkeypatch, tmp_path):  # noqa: F811
    person.open()
    monkeypatch.setenv("PATH", str(tmp_path))
    person.click("segmentButton")
    (sentence,) = person.app.errors
    assert "PythonSlicer" in sentence and sentence.endswith("reinstall Slicer.")
    assert not person.logic.is_segmenting() and not person.widget.timer.active


def test_closing_the_scene_keeps_what_was_drawn_and_says_so(person):  # noqa: F811
    session = person.open()
    drawn = person.paint()
    person.type("annotatorEdit", "Zoë")
    person.app.context.scene.Clear(0)
    (kept,) = revisions(session)
    assert (kept.status, kept.annotator) == ("in review", "Zoë")
    assert np.array_equal(volume.read_mask(kept.mask).array, drawn)
    assert f"kept as revision 1: {kept.mask.name}." in person.status
    assert person.logic.session is None and person.enabled() == {"open"}
    person.click("openButton")
    assert np.array_equal(person.logic.session.mask().array, drawn)


def test_closing_the_scene_with_nothing_drawn_saves_nothing(person):  # noqa: F811
    session = person.open()
    said = person.status
    person.app.context.scene.Clear(0)
    assert revisions(session) == [] and person.status == said


def test_a_scene_that_closes_and_a_disk_that_fails_are_reported(person):  # noqa: F811
    session = person.open()
    person.paint()
    session.exam.revisions_folder.parent.mkdir(parents=True, exist_ok=True)
    session.exam.revisions_folder.write_text("in the way", encoding="utf-8")
    person.app.context.scene.Clear(0)
    assert len(person.app.errors) == 1
    assert person.logic.session is None and person.enabled() == {"open"}


def test_unloading_the_module_keeps_what_was_drawn_even_if_its_form_is_gone(person, monkeypatch):  # noqa: F811
    person.type("annotatorEdit", "Zoë")
    session = person.open()
    drawn = person.paint()
    with monkeypatch.context() as gone:
        gone.setattr(person.widget, "ui", None)
        person.widget.cleanup()
    assert person.app.errors == []
    (kept,) = revisions(session)
    assert (kept.status, kept.annotator) == ("in review", "Zoë")
    assert np.array_equal(volume.read_mask(kept.mask).array, drawn)


def test_finding_a_whole_dataset_reads_no_mask(person, monkeypatch):  # noqa: F811
    from CSpineSegLib.review import records

    person.open()
    person.click("acceptButton")
    checked = []
    monkeypatch.setattr(records, "_hash", checked.append)
    person.find("")
    assert person.part("examCombo").count == 8 and "accepted" in person.part("examCombo").currentText
    assert checked == []


@segmenting
def test_a_result_that_cannot_be_opened_is_explained_and_can_be_made_again(person):  # noqa: F811
    session = person.open()
    segmented_before(session.exam)
    drawn = person.paint()
    person.segment()
    session.exam.predicted(jobs.DEFAULT_MODEL).unlink()
    person.click("segmentButton")
    (sentence,) = person.app.errors
    assert session.exam.stem in sentence
    assert person.logic.session is session and np.array_equal(session.mask().array, drawn)
    assert [revision.status for revision in revisions(session)] == ["in review"]
    assert person.part("segmentButton").text == "Segment"
