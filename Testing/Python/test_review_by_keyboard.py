"""A whole review by keyboard alone: the test of the real application, here with Qt's own test library for hands."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from module_person import Person, python_slicer  # noqa: F401  (fixture)
from slicer_standins import load_module, slicer_app  # noqa: F401  (fixture)

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "CSpineSeg" / "Testing" / "Python" / "test_module_review.py"


class QtHands:
    """Presses keys as a keyboard does, so that Qt decides who gets them."""

    def __init__(self, person: Person) -> None:
        self.person = person

    def type(self, edit: Any, text: str) -> None:
        self.person.type(edit.objectName, text)

    def press(self, widget: Any, name: str) -> None:
        self.person.press(name, widget.objectName)

    def shortcut(self, keys: str) -> None:
        self.person.press(keys)


def _load(monkeypatch: pytest.MonkeyPatch) -> type:
    spec = importlib.util.spec_from_file_location("test_module_review", FILE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module.ReviewTest


@pytest.fixture
def review(slicer_app, python_slicer, monkeypatch):  # noqa: F811
    """Runs one test of that file, with the bundled model, and shows the form to whoever asks."""
    person = Person(load_module(), slicer_app)
    case = _load(monkeypatch)
    case.hands_of = staticmethod(lambda form: QtHands(person))
    # The sample's tiny images are no necks to the model: the reviewer wants them segmented all the same.
    slicer_app.answer = True

    def run(name: str) -> None:
        test = case(name)
        test.setUp()
        try:
            getattr(test, name)()
        finally:
            test.doCleanups()

    run.names = sorted(name for name in dir(case) if name.startswith("test_"))
    yield run
    person.close()
    assert slicer_app.uncaught == []
    assert slicer_app.errors == []


def test_the_review_has_these_parts(review):
    assert review.names == [
        "test_everyExamIsReviewedByKeyboardAlone",
        "test_nomainwindow_anExamIsAcceptedThroughTheLogic",
        "test_whatWasDrawnSurvivesAKilledProcessAndAClosedScene",
    ]


def test_every_exam_is_reviewed_by_keyboard_alone(review):
    review("test_everyExamIsReviewedByKeyboardAlone")


def test_an_exam_is_accepted_through_the_logic(review):
    review("test_nomainwindow_anExamIsAcceptedThroughTheLogic")


def test_what_was_drawn_survives_a_killed_process_and_a_closed_scene(review, slicer_app):  # noqa: F811
    review("test_whatWasDrawnSurvivesAKilledProcessAndAClosedScene")
    # The one error is the sentence on the process that was killed.
    assert len(slicer_app.errors) == 1
    slicer_app.errors.clear()
