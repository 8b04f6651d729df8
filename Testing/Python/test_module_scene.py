"""The scene is closed and the module unloaded while something is drawn: it is kept, or it is said why not."""

from __future__ import annotations

import numpy as np
import pytest
from module_person import nodes, person, python_slicer, revisions  # noqa: F401  (fixtures)
from slicer_standins import slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import volume
from CSpineSegLib.errors import WriteError
from CSpineSegLib.review import records


def test_closing_the_scene_keeps_what_was_drawn_and_says_so(person):  # noqa: F811
    person.type("annotatorEdit", "Zoë")
    session = person.open()
    drawn = person.paint()
    person.app.context.scene.Clear(0)
    (kept,) = revisions(session)
    assert (kept.status, kept.annotator) == ("in review", "Zoë")
    assert np.array_equal(volume.read_mask(kept.mask).array, drawn)
    assert f"kept as revision 1: {kept.mask.name}." in person.status
    assert person.logic.session is None and not person.can("acceptButton") and person.can("openButton")
    person.click("openButton")
    assert np.array_equal(person.logic.session.mask().array, drawn)


def test_a_deleted_node_keeps_what_was_drawn_and_the_other_node_stays(person):  # noqa: F811
    session = person.open()
    drawn = person.paint()
    person.app.context.scene.RemoveNode(session.case.segmentation_node)
    (kept,) = revisions(session)
    assert np.array_equal(volume.read_mask(kept.mask).array, drawn)
    assert person.logic.session is None and len(nodes(person.app, "vtkMRMLScalarVolumeNode")) == 1
    assert person.app.errors == []


def test_closing_the_scene_with_nothing_drawn_saves_nothing(person):  # noqa: F811
    session = person.open()
    person.app.context.scene.Clear(0)
    assert revisions(session) == [] and "kept" not in person.status


def test_a_scene_that_closes_and_a_disk_that_fails_are_reported(person):  # noqa: F811
    session = person.open()
    person.paint()
    session.exam.revisions_folder.parent.mkdir(parents=True, exist_ok=True)
    session.exam.revisions_folder.write_text("in the way", encoding="utf-8")
    person.app.context.scene.Clear(0)
    assert len(person.app.errors) == 1
    assert person.logic.session is None and not person.can("acceptButton") and person.can("openButton")


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


def test_showing_a_whole_dataset_reads_no_mask(person, monkeypatch):  # noqa: F811
    person.open()
    person.unfold("correctPanel")
    person.click("acceptButton")
    checked = []
    monkeypatch.setattr(records, "_hash", checked.append)
    person.click("reloadButton")
    person.type("searchEdit", "")
    assert len(person.rows()) == 8 and person.shows("accepted")
    assert checked == []


def test_a_blind_reader_stays_blind_when_the_scene_is_closed(person):  # noqa: F811
    person.open()
    person.click("blindCheck")
    person.app.context.scene.Clear(0)
    assert person.read("blindCheck") and person.open().blind
    person.leave()
    person.app.context.scene.Clear(0)
    person.come_back()
    assert person.read("blindCheck") and person.open().blind
    person.click("blindCheck")
    person.leave()
    person.come_back()
    assert not person.read("blindCheck"), "who ends it reads as everybody again"


def test_what_was_drawn_is_kept_at_the_end_even_if_the_bound_widgets_are_gone(person, monkeypatch):  # noqa: F811
    session = person.open()
    drawn = person.paint()

    def gone(_bound):
        raise ValueError("a destroyed QObject")

    with monkeypatch.context() as ended:
        ended.setattr(person.widget.parameters, "disconnectGui", gone)
        with pytest.raises(ValueError, match="destroyed"):
            person.widget.cleanup()
    (kept,) = revisions(session)
    assert np.array_equal(volume.read_mask(kept.mask).array, drawn)


def test_a_widget_of_slicers_editor_that_is_gone_is_not_asked_for_its_parameter(person, monkeypatch):  # noqa: F811
    class Gone:
        def property(self, name):
            raise ValueError("a destroyed QObject")

    person.leave()
    with monkeypatch.context() as ended:
        for found in (person.widget.ui, person.widget.panels["correct"].ui):
            ended.setitem(vars(found), "effectButton", Gone())
        person.come_back()
        person.click("blindCheck")
    assert person.widget.parameters.blind and person.app.errors == []


def test_a_script_that_opens_another_exam_keeps_what_was_drawn_on_the_former(person):  # noqa: F811
    session = person.open()
    drawn = person.paint()
    other = next(exam for exam in person.logic.exams() if exam.stem != session.exam.stem)
    person.widget.logic.openExam(other)
    (kept,) = revisions(session)
    assert kept.status == "in review" and np.array_equal(volume.read_mask(kept.mask).array, drawn)


def test_another_annotator_takes_over_and_what_was_drawn_stays_the_formers(person):  # noqa: F811
    person.type("annotatorEdit", "Anna")
    session = person.open()
    drawn = person.paint()
    person.type("annotatorEdit", "Ben")
    (kept,) = revisions(session)
    assert (kept.annotator, kept.status) == ("Anna", "in review")
    assert np.array_equal(volume.read_mask(kept.mask).array, drawn)
    person.unfold("correctPanel")
    person.click("acceptButton")
    assert [item.annotator for item in revisions(session)] == ["Anna", "Ben"]


def test_another_annotator_does_not_see_a_blind_reading(person):  # noqa: F811
    person.type("annotatorEdit", "Anna")
    person.click("blindCheck")
    session = person.open()
    person.paint()
    person.type("annotatorEdit", "Ben")
    assert person.logic.session is None and person.app.errors == []
    assert [(item.annotator, item.blind) for item in revisions(session)] == [("Anna", True)]


def test_a_name_that_cannot_be_changed_comes_back_into_its_field(person, monkeypatch):  # noqa: F811
    person.type("annotatorEdit", "Anna")
    person.open()
    person.paint()

    def full(*_arguments, **_more):
        raise WriteError("No space left on device.")

    with monkeypatch.context() as disk:
        disk.setattr(volume, "write", full)
        person.part("annotatorEdit").text = "Ben"
    assert person.read("annotatorEdit") == "Anna" == person.logic.annotator
    assert person.logic.is_changed() and len(person.app.errors) == 1


def test_a_deleted_display_node_stops_neither_the_keys_nor_the_checks(person):  # noqa: F811
    session = person.open()
    person.app.context.scene.RemoveNode(session.case.segmentation_node.GetDisplayNode())
    person.unfold("correctPanel", "checkPanel")
    person.click("hideMaskCheck")
    person.click("differenceCheck")
    drawn = person.paint()
    assert person.wait(lambda: person.rows("figuresView"), 20)
    person.click("acceptButton")
    assert person.app.errors == []
    assert np.array_equal(volume.read_mask(revisions(session)[0].mask).array, drawn)
