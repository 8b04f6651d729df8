"""The dataset panel alone, and a person at it: real table, real dataset, PySide6 for Slicer's Qt."""

from __future__ import annotations

import pytest
from module_person import python_slicer  # noqa: F401  (fixture)
from slicer_standins import MODULE_FOLDER, slicer_app  # noqa: F401  (fixture)

from CSpineSegLib.dataset import sample
from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.workplace import Workplace
from CSpineSegLib.workplace import dataset as table

STEMS = [plan.name.stem for plan in sample.PLANS]


class Shell:
    """What the panel needs of the form around it."""

    def __init__(self):
        self.workplace = Workplace()
        self.said, self.answer, self.declines = "", True, False
        self.panel = None

    def resourcePath(self, name):
        return str(MODULE_FOLDER / "Resources" / name)

    def say(self, *sentences):
        self.said = " ".join(filter(None, sentences))

    def ensure_installed(self, segmentation=False):
        if self.declines:
            raise CSpineSegError("Packages are missing.")

    def update(self):
        self.panel.update()

    def open(self, exam):
        if self.answer:
            self.panel.opened(self.workplace.open_exam(exam))
        return self.answer


class Person:
    """Hands and eyes at the panel."""

    def __init__(self, app, root):
        from CSpineSegModule.panels.dataset import PANEL
        from PySide6 import QtTest

        self.app, self.root, self.test = app, root, QtTest.QTest
        self.shell = Shell()
        self.panel = self.shell.panel = PANEL(self.shell)
        self.ui, self.workplace = self.panel.ui, self.shell.workplace
        self.panel.root.wrapped.resize(700, 600)
        self.panel.root.wrapped.show()
        self.panel.update()
        self.panel.enter()

    def click(self, name):
        from PySide6 import QtCore

        button = getattr(self.ui, name).wrapped
        assert button.isEnabled() and button.isVisible(), f"{name} cannot be clicked now"
        self.test.mouseClick(button, QtCore.Qt.MouseButton.LeftButton)

    def type(self, name, text, enter=False):
        from PySide6 import QtCore

        edit = getattr(self.ui, name).wrapped
        edit.clear()
        # QTest has keys for ASCII only; the rest comes from an input method, or is pasted.
        self.test.keyClicks(edit, text) if text.isascii() else edit.insert(text)
        if enter:
            self.test.keyClick(edit, QtCore.Qt.Key.Key_Return)

    def choose(self, name, text):
        combo = getattr(self.ui, f"{name}FilterCombo").wrapped
        number = combo.findText(text)
        assert number >= 0, [combo.itemText(index) for index in range(combo.count())]
        combo.setCurrentIndex(number)

    def open_folder(self, root=None):
        self.type("folderEdit", str(root or self.root), enter=True)
        assert self.app.errors == []

    @property
    def view(self):
        return self.ui.examTable.wrapped

    def column(self, name):
        return [column.name for column in table.COLUMNS].index(name)

    def shown(self, name="patient"):
        """The texts of a column as they are on the screen, from top to bottom."""
        model, column = self.view.model(), self.column(name)
        return [model.index(row, column).data() for row in range(model.rowCount())]

    def place(self, row, column=0):
        return self.view.visualRect(self.view.model().index(row, column)).center()

    def double_click(self, row):
        from PySide6 import QtCore

        left, place = QtCore.Qt.MouseButton.LeftButton, self.place(row)
        self.test.mouseClick(self.view.viewport(), left, pos=place)
        self.test.mouseDClick(self.view.viewport(), left, pos=place)

    def click_title(self, name):
        from PySide6 import QtCore

        header = self.view.horizontalHeader()
        middle = header.sectionViewportPosition(self.column(name)) + header.sectionSize(self.column(name)) // 2
        place = QtCore.QPoint(middle, header.height() // 2)
        self.test.mouseClick(header.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)

    def app_events(self):
        from PySide6 import QtWidgets

        QtWidgets.QApplication.processEvents()

    def wait(self, happened, seconds=60):
        for _ in range(seconds * 50):
            if happened():
                return True
            self.test.qWait(20)
        return False

    @property
    def count(self):
        return self.ui.countLabel.text

    @property
    def open_exam(self):
        return self.workplace.session.exam.stem if self.workplace.session is not None else None


@pytest.fixture
def person(slicer_app, sample_dataset, python_slicer):  # noqa: F811
    import CSpineSegModule  # noqa: F401  (as the module does first)

    someone = Person(slicer_app, sample_dataset.root)
    yield someone
    someone.panel.cleanup()
    someone.workplace.close()
    someone.panel.root.wrapped.close()
    assert slicer_app.uncaught == []


def again(person):
    """The panel after Slicer was closed and started again."""
    person.panel.cleanup()
    person.panel.root.wrapped.close()
    return Person(person.app, person.root)
