"""The keys of the correct panel: what they do, when, and that they take no letter from anybody."""

# ruff: noqa: F811  (fixtures are parameters)

from __future__ import annotations

from correct_panel import OTHER, person, root, slicer_app  # noqa: F401  (fixtures)

from CSpineSegLib.scene import views


def test_keys_step_through_the_slices_hide_the_mask_and_show_the_doubt(person):
    session = person.open()
    views.show(session.context, session.case)
    middle = views.shown(session.context, session.case)
    person.press("Ctrl+Right")
    right = views.shown(session.context, session.case)
    person.press("Ctrl+Left")
    person.press("Ctrl+Left")
    assert sorted([right, views.shown(session.context, session.case)]) == [middle - 1, middle + 1]

    display = session.case.segmentation_node.GetDisplayNode()
    person.press("H")
    assert not display.GetVisibility() and person.ui.hideMaskCheck.checked
    person.press("H")
    assert display.GetVisibility()

    box = person.shell.panels["check"].box
    person.press("D")
    assert box.isChecked()
    box.setEnabled(False)
    person.press("D")
    assert box.isChecked() and "No model" in person.shell.said


def test_the_mask_of_another_exam_is_never_hidden(person):
    person.open()
    person.press("H")
    session = person.open(OTHER)
    assert session.case.segmentation_node.GetDisplayNode().GetVisibility() and not person.ui.hideMaskCheck.checked


def test_letters_that_are_typed_into_a_field_stay_letters(person):
    person.open()
    person.field.setFocus()
    person.test.keyClicks(person.field, "hd HD")
    assert person.field.text() == "hd HD" and not person.ui.hideMaskCheck.checked


def test_a_key_that_is_held_down_accepts_one_exam_only(person):
    person.open()
    for shortcut in person.panel.keys.shortcuts:
        stepping = shortcut.key.wrapped.toString() in ("Ctrl+Left", "Ctrl+Right")
        assert shortcut.autoRepeat == stepping


def test_a_key_pressed_twice_does_not_accept_an_exam_that_nobody_has_seen(person):
    person.open()
    person.press("Ctrl+Return")
    assert person.workplace.session.exam.stem == OTHER
    person.press("Ctrl+Return", at_once=True)
    assert person.workplace.session.exam.stem == OTHER
    assert (person.status(), person.status(OTHER)) == ("accepted", "in review")
    person.press("Ctrl+Shift+Return")
    assert person.status(OTHER) == "accepted"


def test_keys_work_only_while_the_module_is_shown_and_an_exam_is_open(person):
    person.press("Ctrl+Return")
    assert person.app.errors == [] and person.history() == []
    person.open()
    person.leave()
    person.press("Ctrl+Return")
    assert person.history() == []
    person.shell.shown = True
    person.panel.enter()
    person.press("Ctrl+Return")
    assert person.status() == "accepted"


def test_slicers_own_keys_are_there_only_while_there_is_something_to_edit(person):
    def installed():
        names = [call[0] for call in person.editor.calls if "KeyboardShortcuts" in call[0]]
        return names[-1] == "installKeyboardShortcuts"

    assert not installed()
    person.open()
    assert installed()
    person.leave()
    assert not installed()


def test_a_module_that_is_left_lets_go_of_the_mouse(person):
    person.open()
    person.editor.setActiveEffectByName("Paint")
    assert person.editor.observes
    person.leave()
    assert not person.editor.observes and person.editor.active_effect_name() == ""


def test_the_keys_go_with_the_form(person):
    from PySide6 import QtGui

    person.open()
    assert person.app.window.findChildren(QtGui.QShortcut)
    person.panel.cleanup()
    person.test.qWait(10)
    assert person.app.window.findChildren(QtGui.QShortcut) == []
