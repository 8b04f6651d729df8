"""The scene is closed and the module unloaded while something is drawn: it is kept, or it is said why not."""

from __future__ import annotations

import numpy as np
from module_person import nodes, person, python_slicer, revisions  # noqa: F401  (fixtures)
from slicer_standins import slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import volume
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
