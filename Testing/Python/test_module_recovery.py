"""What a crash left is offered in the correct panel, comes back or goes; and what could not be kept is said."""

# ruff: noqa: F811  (fixtures are parameters)

from __future__ import annotations

import json
import os

import numpy as np
import review_cases as cases
from correct_panel import CHANGED, OTHER, person, root, slicer_app  # noqa: F401  (fixtures)

from CSpineSegLib import volume
from CSpineSegLib.errors import WriteError


def crash(person):
    """Draw, keep, and end without any goodbye; the process that kept it is gone."""
    person.open()
    drawn = person.draw()
    person.panel.onKeep()
    (record,) = (person.root.parent / "Recovery").glob("*.json")
    content = json.loads(record.read_text(encoding="utf-8"))
    content["process"] = {**content["process"], "id": os.getpid() + 1, "began": "long ago"}
    record.write_text(json.dumps(content), encoding="utf-8")
    person.workplace.keeper.leave()
    person.workplace.leave_exam()
    person.shell.update()
    return drawn


def test_what_a_crash_left_is_offered_and_comes_back(person):
    assert not person.ui.recoveryFrame.visible
    drawn = crash(person)
    person.panel.enter()
    assert person.ui.recoveryFrame.visible
    assert cases.STEM in person.ui.recoveryLabel.text and "Anna" in person.ui.recoveryLabel.text
    person.click("recoverButton")
    assert np.array_equal(person.workplace.mask().array, drawn)
    assert CHANGED in person.state and not person.ui.recoveryFrame.visible
    assert "is back, and not saved yet" in person.shell.said
    person.click("acceptButton")
    assert np.array_equal(volume.read_mask(person.history()[0].mask).array, drawn)
    assert list((person.root.parent / "Recovery").glob("*")) == []


def test_recovering_waits_until_the_open_exam_is_settled(person):
    crash(person)
    person.panel.enter()
    person.open(OTHER)
    person.shell.stays = True
    person.click("recoverButton")
    assert person.workplace.session.exam.stem == OTHER and person.ui.recoveryFrame.visible


def test_what_a_crash_left_is_discarded_only_after_a_question(person):
    crash(person)
    person.panel.enter()
    person.app.answer = False
    person.click("recoveryDiscardButton")
    assert person.ui.recoveryFrame.visible and cases.STEM in person.app.questions[-1]
    person.app.answer = True
    person.click("recoveryDiscardButton")
    assert not person.ui.recoveryFrame.visible
    assert list((person.root.parent / "Recovery").glob("*")) == []


def test_a_copy_that_cannot_be_kept_is_said_once_and_stops_nobody(person, monkeypatch):
    person.open()
    person.draw()

    def refuse(*_arguments, **_given):
        raise WriteError("the disk is full; free space.")

    with monkeypatch.context() as patch:
        patch.setattr(volume, "write", refuse)
        person.panel.onKeep()
        assert "the disk is full" in person.shell.said and person.app.errors == []
        person.shell.say("")
        person.panel.onKeep()
        assert person.shell.said == ""
    person.panel.onKeep()
    assert len(list((person.root.parent / "Recovery").glob("*.json"))) == 1


def test_a_copy_is_kept_every_half_minute_while_an_exam_is_open(person):
    timer = person.panel.keepTimer
    assert not timer.wrapped.isActive()
    person.open()
    assert timer.wrapped.isActive() and timer.interval == 30000
    person.leave()
    assert timer.wrapped.isActive()
    person.workplace.leave_exam()
    person.shell.update()
    assert not timer.wrapped.isActive()
