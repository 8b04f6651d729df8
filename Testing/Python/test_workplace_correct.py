"""What a reviewer decides about an open exam, by which keys, and how the time of the work is counted."""

from __future__ import annotations

import pytest
import review_cases as cases

pytest.importorskip("slicer", reason="the workplace needs slicer-core: pip install cspineseg[scene]")

from CSpineSegLib import scene
from CSpineSegLib.errors import InputError
from CSpineSegLib.review import events, records
from CSpineSegLib.workplace import Workplace, correct
from CSpineSegLib.workplace.clock import EditingClock


@pytest.fixture
def workplace(tmp_path):
    """Anna's, with an exam open."""
    cases.make_exam(tmp_path / "data")
    made = Workplace()
    made.annotator = "Anna"
    made.open_dataset(tmp_path / "data")
    made.open_exam(made.dataset.exam(cases.STEM))
    return made


def draw(workplace, seed=5):
    session = workplace.session
    scene.replace_voxels(session.context, session.case, cases.drawn(session.exam, seed))


# Deciding


def test_a_rejected_exam_says_by_whom_and_why_and_nothing_else_is_written(workplace):
    event = correct.reject(workplace, "  motion, and the wrong region ")
    assert (event.kind, event.annotator, event.revision) == ("rejected", "Anna", None)
    assert event.notes == "motion, and the wrong region"
    assert correct.status(workplace) == "rejected"
    assert records.history(workplace.session.exam) == []


def test_what_was_drawn_on_a_rejected_exam_is_kept_as_a_draft(workplace):
    draw(workplace)
    event = correct.reject(workplace)
    (draft,) = records.history(workplace.session.exam)
    assert draft.status == "in review" and event.revision == draft.number
    assert correct.status(workplace) == "rejected" and not workplace.is_changed()
    exam = workplace.session.exam
    assert workplace.open_exam(exam).start.revision.number == draft.number


@pytest.mark.parametrize("decided", ["accepted", "rejected"])
def test_a_decided_exam_that_is_reopened_is_in_review_with_its_mask(workplace, decided):
    draw(workplace)
    if decided == "accepted":
        workplace.save("accepted")
    else:
        correct.reject(workplace)
    number = records.latest(workplace.session.exam).number
    event = correct.reopen(workplace)
    assert event.kind == "reopened" and event.revision == number
    assert correct.status(workplace) == "in review"
    assert [revision.number for revision in records.history(workplace.session.exam)] == [number]


def test_reopening_saves_nothing_that_was_drawn_since(workplace):
    workplace.save("accepted")
    draw(workplace)
    correct.reopen(workplace)
    assert workplace.is_changed() and len(records.history(workplace.session.exam)) == 1


def test_without_an_open_exam_nothing_can_be_decided():
    workplace = Workplace()
    assert correct.status(workplace) is None
    assert correct.possible(None) == correct.Possible()
    for decide in (correct.reject, correct.reopen):
        with pytest.raises(InputError, match="open"):
            decide(workplace)


def test_what_can_be_done_follows_from_the_status(workplace):
    assert correct.status(workplace) == "in review"
    assert correct.possible("in review") == correct.Possible(save=True, reject=True, reopen=False)
    assert correct.possible("unreviewed") == correct.possible("in review")
    assert correct.possible("accepted") == correct.Possible(save=True, reject=True, reopen=True)
    assert correct.possible("rejected") == correct.Possible(save=True, reject=False, reopen=True)


def test_a_mask_saved_after_a_rejection_takes_it_back(workplace):
    correct.reject(workplace, "by mistake")
    workplace.save("accepted")
    assert correct.status(workplace) == "accepted"
    assert [event.kind for event in events.history(workplace.session.exam)] == ["opened", "rejected"]


# Keys

# Slicer's own: application, slice views, 3D views (Docs/user_guide/user_interface.md of Slicer) and Segment Editor
# (Docs/user_guide/modules/segmenteditor.md and qMRMLSegmentEditorWidget::installKeyboardShortcuts).
SLICERS = """
    Ctrl+F Ctrl+O Ctrl+S Ctrl+W Ctrl+0 Ctrl+1 Ctrl+2 Ctrl+3 Ctrl+` Ctrl+4 Ctrl+5 Ctrl+H Ctrl+G Ctrl+V Ctrl+Z Ctrl+Y
    Ctrl+C Ctrl+X Ctrl+A Ctrl+Q Ctrl+B Ctrl+Shift+Z Left Right Up Down B F V R G T [ ] { } End Home PgUp PgDown Ins + -
    Shift+Left Shift+Right Shift+Up Shift+Down 1 2 3 4 5 6 7 8 9 0 Esc Space Q W Z Y I / * , . < > X A Enter Return
"""


def test_no_key_is_taken_twice_or_from_slicer():
    taken = [sequence for key in correct.KEYS for sequence in key.sequences]
    assert len(set(taken)) == len(taken)
    assert not set(taken) & set(SLICERS.split())
    assert len({key.action for key in correct.KEYS}) == len(correct.KEYS)


def test_a_key_that_is_held_down_steps_through_slices_but_decides_once():
    assert {key.action for key in correct.KEYS if key.repeats} == {"previousSlice", "nextSlice"}


# The clock


def test_time_between_signs_of_life_counts():
    clock = EditingClock(idle=30.0)
    clock.restart(100.0)
    for now in (105.0, 120.0, 149.0):
        clock.touch(now)
    assert clock.at(149.0) == 49.0
    assert clock.at(155.0) == 55.0


def test_of_a_pause_only_the_first_half_minute_counts():
    clock = EditingClock()
    clock.restart(0.0)
    clock.touch(10.0)
    assert clock.at(3600.0) == 40.0
    clock.touch(3600.0)
    clock.touch(3605.0)
    assert clock.at(3605.0) == 45.0


def test_an_exam_that_nobody_touches_counts_for_half_a_minute_at_most():
    clock = EditingClock()
    clock.restart(0.0)
    assert clock.at(7200.0) == 30.0
    assert not clock.is_idle(29.0) and clock.is_idle(30.0)


def test_the_clock_begins_again_with_what_was_counted_before_a_crash():
    clock = EditingClock()
    clock.restart(0.0)
    clock.touch(20.0)
    clock.restart(1000.0)
    assert clock.at(1000.0) == 0.0
    clock.restart(2000.0, seconds=75.0)
    assert clock.at(2005.0) == 80.0


def test_a_clock_that_is_set_back_takes_no_time_away():
    clock = EditingClock()
    clock.restart(100.0)
    clock.touch(110.0)
    clock.touch(50.0)
    assert clock.at(50.0) == 10.0
    assert clock.at(115.0) == 15.0


def test_a_revision_says_how_long_it_was_worked_on_and_the_next_begins_at_zero(workplace):
    workplace.clock.restart(seconds=75.0)
    draw(workplace)
    first = workplace.save("in review")
    assert 75.0 <= first.content["active_seconds"] < 90.0
    assert workplace.save("accepted").content["active_seconds"] < 15.0
