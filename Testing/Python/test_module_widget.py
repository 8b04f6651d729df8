"""The module's widget, driven as a person would: real MRML, real child process, PySide6 for Slicer's Qt."""

from __future__ import annotations

import getpass
import shutil
import sys

import numpy as np
import pytest
from module_helpers import quick_model, quick_models  # noqa: F401  (fixtures)
from module_person import PATIENT, nodes, person, revisions  # noqa: F401  (fixture)
from module_standins import slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import jobs, model, volume
from CSpineSegLib.review import events

segmenting = pytest.mark.usefixtures("quick_model")


def test_at_first_only_finding_is_possible(person):  # noqa: F811
    assert person.enabled() == set()
    assert person.part("segmentButton").text == "Segment"
    assert not person.part("progressBar").visible
    assert "not a medical device" in person.status


def test_the_chosen_folder_is_shown_and_escape_changes_nothing(person, slicer_app):  # noqa: F811
    slicer_app.chosen_folder = "/données/cspineseg"
    person.click("folderButton")
    assert person.part("folderEdit").text == "/données/cspineseg"
    slicer_app.chosen_folder = ""
    person.click("folderButton")
    assert person.part("folderEdit").text == "/données/cspineseg"


def test_a_patient_is_found_by_a_short_id_and_by_enter(person):  # noqa: F811
    from PySide6 import QtCore

    person.find(PATIENT)
    found = person.part("examCombo").count
    assert found >= 1 and person.status.startswith(f"{found} exams found.")
    assert "unreviewed" in person.part("examCombo").currentText
    assert person.enabled() == {"open"}
    person.type("patientEdit", "")
    person.test.keyClick(person.part("patientEdit").wrapped, QtCore.Qt.Key.Key_Return)
    assert person.part("examCombo").count == 8


@pytest.mark.parametrize(
    ("folder", "patient", "expected"),
    [
        ("", PATIENT, "No dataset folder is chosen"),
        ("/no/such/folder", PATIENT, "/no/such/folder"),
        (None, "593973-000001", "593973-900001"),
        (None, "12x4", "12x4"),
    ],
)
def test_bad_input_shows_one_sentence_and_nothing_can_be_opened(person, slicer_app, folder, patient, expected):  # noqa: F811
    person.find(PATIENT)
    person.type("patientEdit", patient)
    if folder is not None:
        person.part("folderEdit").text = folder
    person.click("findButton")
    (sentence,) = slicer_app.errors
    assert expected in sentence and "\n" not in sentence and sentence.endswith(".")
    assert person.status == sentence
    assert slicer_app.details == [""]
    assert person.part("examCombo").count == 0 and person.enabled() == set()


def test_an_exam_without_image_says_so_and_the_open_one_stays(person, slicer_app):  # noqa: F811
    person.open()
    before = person.logic.session
    other = next(exam for exam in person.logic.dataset.exams() if exam.stem != before.exam.stem)
    other.image.unlink()
    person.find(other.patient_id)
    index = [exam.stem for exam in person.widget.exams].index(other.stem)
    person.part("examCombo").currentIndex = index
    person.click("openButton")
    assert other.stem in slicer_app.errors[0]
    assert person.logic.session is before


def test_an_opened_exam_is_in_the_scene_and_in_the_views(person, slicer_app):  # noqa: F811
    session = person.open()
    assert person.enabled() == {"open", "segment", "editor", "accept", "later"}
    assert len(nodes(slicer_app)) == 1
    assert slicer_app.views[-1]["background"] is session.case.volume_node
    assert slicer_app.views[-1]["rotateToVolumePlane"] and slicer_app.views[-1]["fit"]
    assert np.array_equal(session.mask().array, volume.read_mask(session.start.path).array)
    assert person.status == f"{session.exam.stem} is open with the mask of the dataset."


def test_the_annotator_is_written_when_an_exam_is_opened(person):  # noqa: F811
    person.type("annotatorEdit", " Zoë ")
    session = person.open()
    assert [event.annotator for event in events.history(session.exam)] == ["Zoë"]
    person.type("annotatorEdit", "  ")
    person.click("openButton")
    assert person.app.errors == []
    assert [event.annotator for event in events.history(session.exam)] == ["Zoë", getpass.getuser()]


def test_a_second_reader_sees_nobodys_correction_and_is_recorded_as_blind(person):  # noqa: F811
    person.type("annotatorEdit", "first")
    session = person.open()
    person.paint()
    person.click("acceptButton")
    person.type("annotatorEdit", "second")
    person.part("blindCheck").checked = True
    blind = person.open()
    assert np.array_equal(blind.mask().array, volume.read_mask(session.exam.mask).array)
    assert person.status.endswith("You are a second reader: nobody's correction is shown.")
    drawn = person.paint()
    person.click("laterButton")
    known = [(revision.annotator, revision.blind) for revision in revisions(blind)]
    assert known == [("first", False), ("second", True)]
    assert np.array_equal(person.open().mask().array, drawn), "one's own blind reading goes on"
    person.part("blindCheck").checked = False
    assert not person.open().blind


@segmenting
def test_what_was_noticed_on_opening_is_shown(person):  # noqa: F811
    exam = person.open().exam
    jobs.segment(exam, model.load(jobs.DEFAULT_MODEL))
    predicted = exam.predicted(jobs.DEFAULT_MODEL)
    volume.write(volume.read_mask(exam.mask), predicted)
    person.click("openButton")
    warnings = person.logic.session.warnings
    assert any(jobs.DEFAULT_MODEL in sentence for sentence in warnings)
    assert all(sentence in person.status for sentence in warnings)


def test_what_was_noticed_on_saving_is_shown(person):  # noqa: F811
    exam = person.open().exam
    jobs.correct(exam, shutil.copy(exam.mask, person.root.parent / "edited.nii.gz"), annotator="somebody else")
    person.paint()
    person.click("acceptButton")
    assert "somebody else" in person.status


def test_opening_another_exam_replaces_the_first(person, slicer_app):  # noqa: F811
    first = person.open()
    person.find("")
    person.part("examCombo").currentIndex = 5
    person.click("openButton")
    assert slicer_app.questions == []
    assert len(nodes(slicer_app)) == 1 and len(nodes(slicer_app, "vtkMRMLScalarVolumeNode")) == 1
    assert person.logic.session.exam.stem != first.exam.stem


def test_accept_saves_what_was_drawn_and_says_where(person):  # noqa: F811
    session = person.open()
    drawn = person.paint()
    person.type("annotatorEdit", "Zoë")
    person.click("acceptButton")
    (revision,) = revisions(session)
    assert (revision.status, revision.annotator) == ("accepted", "Zoë")
    assert np.array_equal(volume.read_mask(session.exam.corrected_mask).array, drawn)
    assert person.status.startswith(f"Accepted as revision 1: {revision.mask.name}.")
    assert "accepted" in person.part("examCombo").currentText
    assert not person.logic.is_changed()


def test_save_for_later_is_a_revision_in_review_that_opens_again(person):  # noqa: F811
    session = person.open()
    drawn = person.paint()
    person.click("laterButton")
    assert [revision.status for revision in revisions(session)] == ["in review"]
    assert not session.exam.corrected_mask.exists()
    again = person.open()
    assert again is not session
    assert np.array_equal(again.mask().array, drawn)
    assert person.status.endswith("is open with the mask that was saved for later.")


def test_leaving_a_changed_mask_asks_once_and_no_keeps_it(person, slicer_app):  # noqa: F811
    session = person.open()
    person.paint()
    slicer_app.answer = False
    person.click("openButton")
    assert len(slicer_app.questions) == 1
    assert person.logic.session is session and person.logic.is_changed()
    slicer_app.answer = True
    person.click("openButton")
    assert person.logic.session is not session and not person.logic.is_changed()


def test_the_segment_editor_gets_the_nodes_of_the_open_exam(person, slicer_app):  # noqa: F811
    session = person.open()
    person.click("editorButton")
    assert slicer_app.selected == ["SegmentEditor"]
    assert slicer_app.editor.nodes == {
        "segmentation": session.case.segmentation_node,
        "volume": session.case.volume_node,
    }


@segmenting
def test_cancel_ends_the_segmentation_and_changes_nothing(person, slicer_app):  # noqa: F811
    session = person.open()
    person.click("segmentButton")
    assert person.wait(lambda: person.status != "Starting ...")
    person.click("segmentButton")
    assert person.wait(lambda: not person.logic.is_segmenting(), 20)
    assert person.status.startswith("Cancelled") and slicer_app.errors == []
    assert person.logic.session is session and revisions(session) == []
    assert not list(person.root.rglob("*cspineseg-tmp"))
    assert person.part("segmentButton").text == "Segment"


@segmenting
def test_a_failed_segmentation_shows_its_sentence(person, slicer_app, monkeypatch, tmp_path):  # noqa: F811
    person.open()
    person.logic.session.exam.image.write_bytes(b"damaged meanwhile")
    person.click("segmentButton")
    assert person.wait(lambda: not person.logic.is_segmenting())
    (sentence,) = slicer_app.errors
    assert person.logic.session.exam.image.name in sentence and slicer_app.details == [""]
    assert person.enabled() >= {"segment", "accept"}


@segmenting
def test_closing_the_scene_while_segmenting_keeps_the_result_on_disk(person, slicer_app):  # noqa: F811
    exam = person.open().exam
    # Done before, so that the child has nothing to compute and the test is quick.
    jobs.segment(exam, model.load(jobs.DEFAULT_MODEL))
    person.click("segmentButton")
    slicer_app.context.scene.Clear(0)
    assert person.logic.session is None and person.enabled() == {"open", "segment"}
    assert person.wait(lambda: not person.logic.is_segmenting())
    assert slicer_app.errors == [] and f"{exam.stem} is segmented." in person.status
    person.click("openButton")
    assert slicer_app.errors == [] and person.logic.session.exam.stem == exam.stem


def test_deleting_the_nodes_by_hand_is_noticed(person, slicer_app):  # noqa: F811
    session = person.open()
    slicer_app.context.scene.RemoveNode(session.case.segmentation_node)
    person.widget.enter()
    assert person.enabled() == {"open"}
    person.click("openButton")
    assert slicer_app.errors == [] and person.logic.session is not None


def test_an_unexpected_error_is_shown_with_its_details(person, slicer_app, monkeypatch):  # noqa: F811
    person.open()
    monkeypatch.setattr(person.logic, "save", lambda *words: 1 / 0)
    person.click("acceptButton")
    (text,) = slicer_app.errors
    assert "division by zero" in text and "Traceback" in slicer_app.details[0]
    assert [type(error) for error in slicer_app.uncaught] == [ZeroDivisionError]
    slicer_app.uncaught.clear()


@segmenting
def test_unloading_the_module_ends_its_child_and_reloading_starts_afresh(person, slicer_app):  # noqa: F811
    person.open()
    person.click("segmentButton")
    job = person.logic._job
    person.widget.cleanup()
    assert not person.widget.timer.active
    assert person.wait(lambda: not job.is_running(), 20)
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "CSpineSegLib"}
    try:
        person.widget.onReload()
        assert slicer_app.reloaded == ["CSpineSeg"]
        assert not [name for name in sys.modules if name.split(".")[0] in ("CSpineSegLib", "CSpineSegModule")]
    finally:
        sys.modules.update(kept)
