"""The module's widget, driven as a person would: real MRML, real child process, PySide6 for Slicer's Qt."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
from module_helpers import quick_model, quick_models  # noqa: F401  (fixtures)
from module_standins import MODULE_FOLDER, StrictObject, load_module, slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import jobs, model, volume
from CSpineSegLib.review import records

PATIENT = "900001"


class Person:
    """Hands and eyes of a user: types, clicks, reads."""

    def __init__(self, module, app, root):
        from PySide6 import QtTest, QtWidgets

        self.module, self.app, self.root = module, app, root
        self.test = QtTest.QTest
        self.parent = QtWidgets.QWidget()
        QtWidgets.QVBoxLayout(self.parent)
        self.widget = module.CSpineSegWidget(self.parent)
        self.widget.setup()
        self.parent.show()
        self.logic = self.widget.logic.workplace

    def part(self, name):
        return getattr(self.widget.ui, name)

    def click(self, name):
        from PySide6 import QtCore

        button = self.part(name).wrapped
        assert button.isEnabled(), f"{name} cannot be clicked now"
        self.test.mouseClick(button, QtCore.Qt.MouseButton.LeftButton)

    def type(self, name, text):
        edit = self.part(name).wrapped
        edit.clear()
        # QTest has keys for ASCII only; the rest comes from an input method, or is pasted.
        self.test.keyClicks(edit, text) if text.isascii() else edit.insert(text)

    def wait(self, happened, seconds=300):
        for _ in range(seconds * 20):
            if happened():
                return True
            self.test.qWait(50)
        return False

    @property
    def status(self):
        return self.part("statusLabel").text

    def enabled(self):
        names = ("openButton", "segmentButton", "editorButton", "acceptButton", "laterButton")
        return {name.removesuffix("Button") for name in names if self.part(name).enabled}

    def find(self, patient=PATIENT):
        self.type("folderEdit", str(self.root))
        self.type("patientEdit", patient)
        self.click("findButton")

    def open(self, patient=PATIENT):
        self.find(patient)
        self.click("openButton")
        assert self.app.errors == []
        return self.logic.session

    def paint(self):
        """Add a block of voxels to the bodies in the scene and return the mask as it should now be."""
        from CSpineSegLib import scene

        session = self.logic.session
        expected = session.mask().array.copy()
        centre = session.image.affine @ [*(np.array(session.image.shape) // 2), 1]
        scene.Editor(session.context, session.case).paint_sphere("bodies", centre[:3], 6.0)
        now = session.mask().array
        assert not np.array_equal(now, expected)
        return now.copy()


@pytest.fixture
def person(slicer_app, sample_dataset):  # noqa: F811
    someone = Person(load_module(), slicer_app, sample_dataset.root)
    yield someone
    someone.widget.cleanup()
    someone.parent.close()
    assert slicer_app.uncaught == []


segmenting = pytest.mark.usefixtures("quick_model")


def nodes(app, name="vtkMRMLSegmentationNode"):
    scene = app.context.scene
    return [scene.GetNthNodeByClass(index, name) for index in range(scene.GetNumberOfNodesByClass(name))]


def revisions(session):
    return records.history(session.exam)


def test_at_first_only_finding_is_possible(person):
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


def test_a_patient_is_found_by_a_short_id_and_by_enter(person):
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


def test_opening_another_exam_replaces_the_first(person, slicer_app):  # noqa: F811
    first = person.open()
    person.find("")
    person.part("examCombo").currentIndex = 5
    person.click("openButton")
    assert slicer_app.questions == []
    assert len(nodes(slicer_app)) == 1 and len(nodes(slicer_app, "vtkMRMLScalarVolumeNode")) == 1
    assert person.logic.session.exam.stem != first.exam.stem


def test_accept_saves_what_was_drawn_and_says_where(person):
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


def test_save_for_later_is_a_revision_in_review_that_opens_again(person):
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
def test_segmenting_shows_progress_and_opens_the_result_without_losing_what_was_drawn(person, slicer_app):  # noqa: F811
    session = person.open()
    drawn = person.paint()
    person.click("segmentButton")
    assert person.part("segmentButton").text == "Cancel" and person.part("progressBar").visible
    seen = set()
    assert person.wait(lambda: seen.add(person.status) or not person.logic.is_segmenting())
    assert slicer_app.errors == []
    assert any(re.search(r", \d+ %", text) for text in seen)
    result = person.logic.session
    assert result is not session and result.start.kind == "predicted"
    assert result.case.segmentation_node is not session.case.segmentation_node
    assert np.array_equal(result.mask().array, volume.read_mask(result.start.path).array)
    (kept,) = revisions(result)
    assert kept.status == "in review"
    assert np.array_equal(volume.read_mask(kept.mask).array, drawn)
    assert "is segmented." in person.status and "kept as revision 1" in person.status
    assert person.part("segmentButton").text == "Segment" and not person.part("progressBar").visible
    assert not person.widget.timer.active


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
