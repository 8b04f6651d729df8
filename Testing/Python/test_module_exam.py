"""Exams opened one after another through the whole form: by whom, from which mask, and what becomes of changes."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
from module_helpers import quick_model, quick_models  # noqa: F401  (fixtures)
from module_person import nodes, person, python_slicer, revisions  # noqa: F401  (fixtures)
from slicer_standins import slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import jobs, model, volume
from CSpineSegLib.dataset import sample

STEMS = [plan.name.stem for plan in sample.PLANS]


def test_an_opened_exam_is_in_the_scene_and_it_is_said_with_which_mask(person):  # noqa: F811
    session = person.open()
    assert len(nodes(person.app)) == 1
    assert np.array_equal(session.mask().array, volume.read_mask(session.start.path).array)
    assert person.status == f"{session.exam.stem} is open with the mask of the dataset."
    assert person.shows("in review") and person.can("acceptButton")


def test_another_exam_takes_the_place_of_the_first_without_a_question(person):  # noqa: F811
    first = person.open()
    person.open("900002")
    assert person.logic.session.exam.stem != first.exam.stem
    assert person.app.questions == []
    assert len(nodes(person.app)) == 1 and len(nodes(person.app, "vtkMRMLScalarVolumeNode")) == 1


@pytest.mark.parametrize("answer", ["Stay", "Discard", "Keep"])
def test_leaving_a_changed_exam_asks_once_and_does_as_answered(person, answer):  # noqa: F811
    session = person.open()
    drawn = person.paint()
    person.app.answers = [answer]
    person.find("900002")
    person.click_row("900002", twice=True)
    assert len(person.app.questions) == 1 and STEMS[0] in person.app.questions[0]
    kept = [volume.read_mask(revision.mask).array for revision in revisions(session)]
    if answer == "Stay":
        assert person.logic.session is session and person.logic.is_changed() and kept == []
        return
    assert person.logic.session.exam.stem == STEMS[1]
    assert len(kept) == (answer == "Keep") and all(np.array_equal(mask, drawn) for mask in kept)
    again = person.open()
    assert np.array_equal(again.mask().array, drawn) == (answer == "Keep")
    assert len(person.app.questions) == 1


def test_a_second_reader_sees_nobodys_correction_and_is_recorded_as_blind(person):  # noqa: F811
    person.type("annotatorEdit", "first")
    session = person.open()
    person.paint()
    person.click("acceptButton")
    person.type("annotatorEdit", "second")
    person.click("blindCheck")
    blind = person.open()
    assert np.array_equal(blind.mask().array, volume.read_mask(session.exam.mask).array)
    assert person.status.endswith("You are a second reader: nobody's correction is shown.")
    drawn = person.paint()
    person.click("laterButton")
    known = [(revision.annotator, revision.blind) for revision in revisions(blind)]
    assert known == [("first", False), ("second", True)]
    assert np.array_equal(person.open().mask().array, drawn), "one's own blind reading goes on"
    person.click("blindCheck")
    assert not person.open().blind


def test_what_was_noticed_on_opening_is_shown(person, quick_model):  # noqa: F811
    exam = person.open().exam
    jobs.segment(exam, model.load(jobs.DEFAULT_MODEL))
    volume.write(volume.read_mask(exam.mask), exam.predicted(jobs.DEFAULT_MODEL))
    person.open()
    warnings = person.logic.session.warnings
    assert any(jobs.DEFAULT_MODEL in sentence for sentence in warnings)
    assert all(sentence in person.status for sentence in warnings)


def test_what_was_noticed_on_saving_is_shown(person):  # noqa: F811
    exam = person.open().exam
    jobs.correct(exam, shutil.copy(exam.mask, person.root.parent / "edited.nii.gz"), annotator="somebody else")
    person.paint()
    person.click("acceptButton")
    assert "somebody else" in person.status


def test_an_unexpected_error_is_shown_with_its_details(person, monkeypatch):  # noqa: F811
    person.open()
    monkeypatch.setattr(person.logic, "save", lambda *words: 1 / 0)
    person.click("acceptButton")
    (text,) = person.app.errors
    assert "division by zero" in text and "Traceback" in person.app.details[0]
    assert [type(error) for error in person.app.uncaught] == [ZeroDivisionError]
    person.app.uncaught.clear()


def test_reloading_the_module_starts_afresh(person):  # noqa: F811
    person.open()
    kept = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "CSpineSegLib"}
    try:
        person.widget.onReload()
        assert person.app.reloaded == ["CSpineSeg"]
        assert not [name for name in sys.modules if name.split(".")[0] in ("CSpineSegLib", "CSpineSegModule")]
    finally:
        sys.modules.update(kept)


def test_a_form_that_is_not_shown_is_parted_from_what_the_scene_keeps(person):  # noqa: F811
    parameters = person.widget.parameters
    person.leave()
    person.part("aheadSpin").value = 9
    assert parameters.ahead == 5
    person.come_back()
    assert person.part("aheadSpin").value == 5
    person.part("aheadSpin").value = 7
    assert person.widget.parameters.ahead == 7
