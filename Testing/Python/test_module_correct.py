"""The correct panel at work: the editor's limits, what is said of the mask, decisions, the clock, a scene that goes."""

# ruff: noqa: F811  (fixtures are parameters)

from __future__ import annotations

import numpy as np
import pytest
import review_cases as cases
from correct_panel import CHANGED, OTHER, SAVED, person, root, slicer_app  # noqa: F401  (fixtures)

pytest.importorskip("slicer", reason="the form needs slicer-core: pip install cspineseg[scene]")

import slicer

from CSpineSegLib import scene, volume
from CSpineSegLib.errors import WriteError
from CSpineSegLib.review import events
from CSpineSegLib.scene import views
from CSpineSegLib.workplace import correct

# The editor


def test_the_editor_offers_the_effects_that_serve_here_and_two_segments(person):
    assert person.editor.shown_effects() == list(correct.EFFECTS)
    for name in ("addRemoveSegmentButtons", "segmentationNodeSelector", "maskingSection", "specifyGeometryButton"):
        assert person.editor.values[f"{name}Visible"] is False
    assert person.editor.values["undoEnabled"] and person.editor.values["maximumNumberOfUndoStates"] == 20


def test_an_opened_exam_is_in_the_editor_with_a_node_of_its_own(person):
    session = person.open()
    assert person.editor.segmentationNode() is session.case.segmentation_node
    assert person.editor.sourceVolumeNode() is session.case.volume_node
    assert person.editor.mrmlSegmentEditorNode() is scene.editor_node(session.context)
    second = person.open(OTHER)
    assert person.editor.segmentationNode() is second.case.segmentation_node


def test_what_is_drawn_can_be_taken_back_in_the_editor(person):
    session = person.open()
    person.panel.save_undo_state()
    person.draw()
    person.editor.undo()
    assert np.array_equal(session.mask().array, cases.labels())


def test_a_renamed_segment_gets_its_name_back_when_the_hand_rests(person):
    session = person.open()
    segmentation = session.case.segmentation_node.GetSegmentation()
    segmentation.GetSegment("discs").SetName("Segment_2")
    assert segmentation.GetSegment("discs").GetName() == "Segment_2"
    person.rest()
    assert segmentation.GetSegment("discs").GetName() == "Intervertebral discs"
    assert "Intervertebral discs" in person.shell.said


def test_accepting_at_once_after_a_segment_was_deleted_loses_nothing(person):
    session = person.open()
    session.case.segmentation_node.GetSegmentation().RemoveSegment("bodies")
    person.click("acceptButton")
    (revision,) = person.history()
    assert np.array_equal(volume.read_mask(revision.mask).array, cases.labels())
    assert "deleted" in person.shell.said


# What is shown


def test_the_panel_says_what_is_not_saved_by_the_voxels_and_not_by_the_strokes(person):
    assert person.state == "No exam is open."
    person.open()
    assert SAVED in person.state and "in review" in person.state
    person.draw(5)
    person.rest()
    assert CHANGED in person.state
    person.draw(0)
    person.rest()
    assert SAVED in person.state


def test_a_mask_that_cannot_be_saved_as_it_is_says_why(person):
    session = person.open()
    segmentation = session.case.segmentation_node.GetSegmentation()
    segmentation.AddSegment(another_segment(session), "mine")
    person.rest()
    assert "cannot be saved as it is now" in person.state and "Mine" in person.state
    person.click("acceptButton")
    assert "Mine" in person.app.errors[-1] and person.history() == []
    segmentation.RemoveSegment("mine")
    person.rest()
    assert SAVED in person.state


def another_segment(session):
    from CSpineSegLib.scene import images

    segment = slicer.vtkSegment()
    segment.SetName("Mine")
    voxels = np.ones(session.image.shape, np.uint8)
    segment.AddRepresentation("Binary labelmap", images.oriented_image(voxels, session.image.affine))
    return segment


def test_buttons_can_be_clicked_when_there_is_something_to_do(person):
    names = ("acceptNext", "accept", "later", "reject", "reopen")
    assert person.can(*names) == [False] * 5
    person.open()
    assert person.can(*names) == [True, True, True, True, False]
    person.click("acceptButton")
    assert person.can(*names) == [True] * 5


def test_the_keys_are_listed_in_words(person):
    text = person.ui.keysLabel.text
    for key in correct.KEYS:
        assert key.sequences[0] in text
    assert "Accept, and open the next exam" in text


# Deciding


def test_accept_saves_the_mask_as_it_stands_with_the_time_of_the_work(person):
    person.open()
    person.workplace.clock.restart(seconds=75.0)
    drawn = person.draw()
    person.click("acceptButton")
    (revision,) = person.history()
    assert revision.status == "accepted" and revision.annotator == "Anna"
    assert 75 <= revision.content["active_seconds"] < 90
    assert np.array_equal(volume.read_mask(revision.mask).array, drawn)
    assert "accepted as revision 1" in person.shell.said and "It is accepted." in person.state


def test_accept_and_next_opens_the_next_exam_and_says_both(person):
    person.open()
    person.press("Ctrl+Return")
    assert person.status() == "accepted"
    assert person.workplace.session.exam.stem == OTHER
    assert f"{cases.STEM} is accepted" in person.shell.said and f"{OTHER} is open" in person.shell.said
    person.press("Ctrl+Return")
    assert person.status(OTHER) == "accepted" and "No other exam" in person.shell.said


def test_save_for_later_saves_a_draft(person):
    person.open()
    person.draw()
    person.press("Ctrl+Shift+S")
    (revision,) = person.history()
    assert revision.status == "in review" and "saved for later" in person.shell.said
    assert SAVED in person.state


def test_what_cannot_be_saved_is_said_and_stays_changed(person, monkeypatch):
    person.open()
    person.draw()

    def refuse(*_arguments, **_given):
        raise WriteError("the folder could not be written; free space.")

    with monkeypatch.context() as patch:
        patch.setattr("CSpineSegLib.review.revisions.save", refuse)
        person.click("acceptNextButton")
    assert person.app.errors == ["the folder could not be written; free space."]
    assert person.workplace.session.exam.stem == cases.STEM and CHANGED in person.state


def test_a_rejection_asks_for_the_reason_first(person):
    person.open()
    person.press("Ctrl+Shift+R")
    assert person.ui.rejectFrame.visible and person.status() == "in review"
    person.test.keyClicks(person.ui.reasonEdit.wrapped, "motion H and D")
    person.press("Return")
    assert person.status() == "rejected" and not person.ui.rejectFrame.visible
    event = events.history(person.workplace.session.exam)[-1]
    assert (event.kind, event.notes, event.annotator) == ("rejected", "motion H and D", "Anna")
    assert person.can("reject", "reopen") == [False, True]


def test_who_is_about_to_reject_cannot_accept_by_a_slip_of_the_keys(person):
    person.open()
    person.click("rejectButton")
    assert person.can("acceptNext", "accept", "later") == [False] * 3
    person.press("Ctrl+Return")
    assert person.history() == [] and person.workplace.session.exam.stem == cases.STEM
    person.click("cancelRejectButton")
    assert not person.ui.rejectFrame.visible and person.status() == "in review"
    assert person.can("acceptNext", "accept", "later") == [True] * 3


def test_another_exam_is_not_asked_for_the_reason_of_the_former(person):
    person.open()
    person.click("rejectButton")
    person.open(OTHER)
    assert not person.ui.rejectFrame.visible and person.can("accept") == [True]


def test_an_accepted_exam_can_be_reopened(person):
    person.open()
    person.click("acceptButton")
    person.press("Ctrl+Shift+O")
    assert person.status() == "in review" and person.can("reopen") == [False]
    assert "in review again" in person.shell.said


# The clock


def test_scrolling_and_drawing_are_signs_of_life(person):
    session = person.open()
    views.show(session.context, session.case)
    clock = person.workplace.clock
    for happens in (lambda: person.press("Ctrl+Right"), person.draw):
        clock._last -= 100
        assert clock.is_idle()
        happens()
        assert not clock.is_idle()
    person.panel.showState()
    assert "Editing time: 1 min 0 s." in person.state or "Editing time: 1 min 1 s." in person.state


# The scene


def test_nodes_that_are_deleted_leave_an_empty_panel(person):
    session = person.open()
    session.context.scene.RemoveNode(session.case.segmentation_node)
    person.shell.update()
    assert person.state == "No exam is open." and person.can("accept", "reject") == [False, False]
    assert person.editor.segmentationNode() is None
    person.press("Ctrl+Return")
    assert person.app.errors == []


def test_after_the_scene_was_closed_another_exam_can_be_edited(person):
    person.open()
    person.app.context.scene.Clear()
    person.shell.update()
    session = person.open(OTHER)
    assert person.editor.segmentationNode() is session.case.segmentation_node
    assert scene.editor_node(session.context).GetSegmentationNode() is session.case.segmentation_node
    person.draw()
    person.click("acceptButton")
    assert person.status(OTHER) == "accepted"
