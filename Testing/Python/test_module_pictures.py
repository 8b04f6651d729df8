"""Every panel is drawn as a user sees it: at 100 % and 200 %, in a dark palette, empty and with an exam.

The pictures go to the folder that CSPINESEG_PICTURES names, for the documents, or else to one of pytest's.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from module_person import person, python_slicer  # noqa: F401  (fixtures)
from module_pictures import colours, cut, larger_text, picture
from neck_cases import PATIENT, drawn_neck, make_neck
from slicer_standins import slicer_app  # noqa: F401  (fixture)

# Levels are drawn of an exam of their own: pixels of the sample are too coarse to measure on.
SAMPLE_PANELS = ("dataset", "segment", "correct", "check", "doctor")
PANELS = (*SAMPLE_PANELS, "levels")
WIDTH = 520
# Scale, and whether it is dark.
STYLES = {"": (1.0, False), "_200": (2.0, False), "_dark": (1.0, True)}
# Kilobytes: they are kept in the repository with all their former versions.
LARGEST = 100


@pytest.fixture
def folder(tmp_path) -> Path:
    """Where the pictures go."""
    return Path(os.environ.get("CSPINESEG_PICTURES") or tmp_path / "pictures")


def draw(person, folder, names, state="", styles=tuple(STYLES)):  # noqa: F811
    """Panels as they are, in some styles; returns the pictures."""
    return [
        picture(person.part(f"{name}Panel"), folder / f"{name}{state}{style}.png", *STYLES[style], WIDTH)
        for name in names
        for style in styles
    ]


def check(pictures):
    for path in pictures:
        assert colours(path) > 5, f"{path.name} shows nothing"
        assert path.stat().st_size < 1000 * LARGEST, path.name


def unfold(person):  # noqa: F811
    person.unfold(*(f"{name}Panel" for name in PANELS))


def test_empty_panels_say_what_to_do_and_nothing_is_cut(person, folder):  # noqa: F811
    unfold(person)
    check(draw(person, folder, PANELS, "_empty", ("",)))
    assert cut(person.parent) == []
    assert person.parent.minimumSizeHint().width() <= WIDTH, "Slicer's module panel is no wider at first"
    with larger_text(1.5):
        assert cut(person.parent) == []


def test_panels_with_an_exam_are_whole_in_every_size(person, folder, slicer_app):  # noqa: F811
    unfold(person)
    person.type("annotatorEdit", "reader one")
    session = person.open()
    person.paint()
    person.type("searchEdit", "")
    assert person.wait(lambda: person.rows("figuresView") != [], 20)
    person.click("differenceCheck")
    assert person.wait(lambda: person.can("checkButton"), 120), "the doctor has looked"
    # The pictures are of nobody's computer.
    doctor = person.widget.panels["doctor"]
    doctor.report["system"] = "Linux 6.8 x86_64"
    doctor.show()
    person.part("folderEdit").text = str(Path("CSpineSeg") / "sample")
    check(draw(person, folder, SAMPLE_PANELS))
    check([picture(person.parent, folder / "form.png", 1.0, False, WIDTH)])
    assert cut(person.parent) == []
    with larger_text(1.5):
        assert cut(person.parent) == []
    assert slicer_app.errors == [] and person.logic.session is session


def test_levels_and_measurements_are_whole_in_every_size(person, folder, tmp_path, slicer_app):  # noqa: F811
    neck = drawn_neck("C2", "C7", fused=[("C5", "C6")], bend=6.0)
    make_neck(tmp_path / "neck", neck)
    person.open(PATIENT, tmp_path / "neck")
    person.unfold("levelsPanel")
    person.click("findLevelsButton")
    person.click_row("C4-C5 disc", "levelsTable")
    check(draw(person, folder, ("levels",)))
    person.choose("measuresCombo", "Whole spine")
    check([picture(person.part("levelsPanel"), folder / "levels_spine.png", 1.0, False, WIDTH)])
    assert cut(person.parent) == []
    with larger_text(1.5):
        assert cut(person.parent) == []
    assert slicer_app.errors == []


def test_a_text_that_does_not_fit_is_found(person):  # noqa: F811
    from PySide6 import QtWidgets

    button = person.part("openButton").wrapped
    assert cut(person.parent) == []
    button.setMaximumWidth(12)
    QtWidgets.QApplication.processEvents()
    assert [line.split(":")[0] for line in cut(person.parent)] == ["openButton"]
