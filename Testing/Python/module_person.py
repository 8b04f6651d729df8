"""A person at the module's form, for its tests: types, clicks, presses keys and reads; MRML and processes are real."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_standins import load_module, slicer_app  # noqa: F401  (fixture)

from CSpineSegLib.review import records

PATIENT = "900001"


class Person:
    """Hands and eyes of a user, who sees the module in Slicer's main window.

    Parameters
    ----------
    module : CSpineSeg.py as Slicer loads it. app : the stand-in of Slicer. root : a dataset's folder.
    """

    def __init__(self, module: Any, app: Any, root: Path | None = None) -> None:
        from PySide6 import QtTest, QtWidgets

        self.module, self.app, self.root = module, app, root
        self.test = QtTest.QTest
        self.parent = QtWidgets.QWidget()
        QtWidgets.QVBoxLayout(self.parent)
        self.widget = module.CSpineSegWidget(self.parent)
        app.widget = self.widget
        self.widget.setup()
        window = app.window if app.window is not None else self.parent
        if app.window is not None:
            area = QtWidgets.QScrollArea()
            area.setWidgetResizable(True)
            area.setWidget(self.parent)
            app.window.setCentralWidget(area)
        window.resize(520, 1400)
        window.show()
        window.activateWindow()
        self.widget.enter()
        app.shown, app.leave, app.enter = "CSpineSeg", self.widget.exit, self.widget.enter
        self.logic = self.widget.logic.workplace

    # Eyes

    def part(self, name: str) -> Any:
        """A widget of the form by its name, as the module sees it."""
        return getattr(self.widget.ui, name)

    def read(self, name: str) -> Any:
        """What a widget says or holds: its text, whether it is checked, its value."""
        part = self.part(name)
        kind = part.wrapped.metaObject().className()
        known = {"QCheckBox": "checked", "QSpinBox": "value", "QProgressBar": "value", "QComboBox": "currentText"}
        known |= {"QPlainTextEdit": "plainText", "QTextBrowser": "plainText", "QTextEdit": "plainText"}
        return getattr(part, known.get(kind, "text"))

    @property
    def status(self) -> str:
        """The sentences at the bottom of the form."""
        return self.read("statusLabel")

    def sees(self, name: str) -> bool:
        return self.part(name).wrapped.isVisible()

    def can(self, name: str) -> bool:
        """True if a button can be seen and clicked."""
        return self.sees(name) and self.part(name).wrapped.isEnabled()

    def enabled(self) -> set[str]:
        """The buttons of the form that can be clicked, without the "Button" in their names."""
        from PySide6 import QtWidgets

        found = self.parent.findChildren(QtWidgets.QPushButton)
        return {
            button.objectName().removesuffix("Button")
            for button in found
            if button.objectName() and button.isEnabled() and button.isVisible()
        }

    def rows(self, name: str = "examTable") -> list[list[str]]:
        """The cells of a table as they are seen: rows that the filter left, columns that are shown."""
        view = self.part(name).wrapped
        model = view.model()
        columns = [column for column in range(model.columnCount()) if not view.isColumnHidden(column)]
        return [[str(model.index(row, column).data() or "") for column in columns] for row in range(model.rowCount())]

    def shows(self, text: str, name: str = "examTable") -> bool:
        """True if some cell of a table holds a text."""
        return any(text in cell for row in self.rows(name) for cell in row)

    # Hands

    def click(self, name: str) -> None:
        from PySide6 import QtCore

        button = self.part(name).wrapped
        assert button.isVisible(), f"{name} cannot be seen now"
        assert button.isEnabled(), f"{name} cannot be clicked now"
        self.test.mouseClick(button, QtCore.Qt.MouseButton.LeftButton, pos=_spot(button))

    def unfold(self, *names: str) -> None:
        """Open headings that are folded."""
        for name in names:
            if self.part(name).collapsed:
                self.click(name)
                assert not self.part(name).collapsed

    def type(self, name: str, text: str) -> None:
        """Replace the text of a field, key by key."""
        edit = self.part(name).wrapped
        assert edit.isVisible() and edit.isEnabled(), f"nothing can be typed into {name} now"
        edit.setFocus()
        edit.clear()
        # QTest has keys for ASCII only; the rest comes from an input method, or is pasted.
        self.test.keyClicks(edit, text) if text.isascii() else edit.insert(text)

    def press(self, keys: str, name: str | None = None) -> None:
        """Press keys such as "Ctrl+Return", on a widget or where the focus is."""
        from PySide6 import QtGui, QtWidgets

        if name is not None:
            self.part(name).wrapped.setFocus()
        target = QtWidgets.QApplication.focusWidget() or self.parent.window()
        if name is not None:
            target = self.part(name).wrapped
        self.test.keySequence(target, QtGui.QKeySequence(keys))
        QtWidgets.QApplication.processEvents()

    def choose(self, name: str, text: str) -> None:
        """Choose an entry of a combo box by what it says."""
        combo = self.part(name).wrapped
        assert combo.isEnabled(), f"nothing can be chosen in {name} now"
        found = [index for index in range(combo.count()) if text in combo.itemText(index)]
        assert len(found) == 1, [combo.itemText(index) for index in range(combo.count())]
        combo.setCurrentIndex(found[0])
        combo.activated.emit(found[0])

    def row_of(self, text: str, name: str = "examTable") -> int:
        """The first row of a table that shows a text."""
        found = [index for index, row in enumerate(self.rows(name)) if any(text in cell for cell in row)]
        assert found, f"no row of {name} shows {text!r}"
        return found[0]

    def click_row(self, text: str, name: str = "examTable", twice: bool = False) -> None:
        """Click a row of a table that shows a text, or double-click it."""
        from PySide6 import QtCore

        view = self.part(name).wrapped
        index = view.model().index(self.row_of(text, name), _first_column(view))
        view.scrollTo(index)
        spot, left = view.visualRect(index).center(), QtCore.Qt.MouseButton.LeftButton
        self.test.mouseClick(view.viewport(), left, pos=spot)
        if twice:
            self.test.mouseDClick(view.viewport(), left, pos=spot)

    def wait(self, happened: Any, seconds: float = 300) -> bool:
        """Wait for something while Qt goes on; False if it has not happened after so many seconds."""
        for _ in range(int(seconds * 20)):
            if happened():
                return True
            self.test.qWait(50)
        return bool(happened())

    def leave(self, module: str = "SegmentEditor") -> None:
        """Show another module."""
        import slicer.util

        slicer.util.selectModule(module)

    def come_back(self) -> None:
        self.leave("CSpineSeg")

    def close(self) -> None:
        """The module is unloaded, as at the end of Slicer."""
        from PySide6 import QtWidgets

        self.widget.cleanup()
        self.parent.hide()
        QtWidgets.QApplication.processEvents()

    # What a reviewer does

    def load(self, root: Path | None = None) -> None:
        """Open a dataset by its folder."""
        self.unfold("datasetPanel")
        self.type("folderEdit", str(root or self.root))
        self.press("Return", "folderEdit")

    def find(self, patient: str = PATIENT, root: Path | None = None) -> None:
        """Open the dataset if it is not, and search for a patient."""
        if self.logic.dataset is None or self.logic.dataset.root != Path(root or self.root):
            self.load(root)
        self.type("searchEdit", patient)

    def open(self, patient: str = PATIENT, root: Path | None = None) -> Any:
        """Open a patient's first exam by a double click; returns the session."""
        self.find(patient, root)
        self.click_row(patient, twice=True)
        assert self.app.errors == []
        return self.logic.session

    def segment(self, seconds: float = 300) -> None:
        """Press Segment and wait until it is done."""
        self.unfold("segmentPanel")
        self.click("applyButton")
        assert self.wait(lambda: not self.logic.segmenting.is_running, seconds)
        assert self.app.errors == []

    def paint(self, segment: str = "bodies", radius: float = 6.0) -> np.ndarray:
        """Add a block of voxels to a segment in the scene and return the mask as it should now be."""
        from CSpineSegLib import scene

        session = self.logic.session
        expected = session.mask().array.copy()
        centre = session.image.affine @ [*(np.array(session.image.shape) // 2), 1]
        scene.Editor(session.context, session.case).paint_sphere(segment, centre[:3], radius)
        now = session.mask().array
        assert not np.array_equal(now, expected)
        return now.copy()


def _spot(widget: Any) -> Any:
    """Where to click: the heading of what folds, the middle of everything else."""
    from PySide6 import QtCore

    if widget.metaObject().className() == "ctkCollapsibleButton":
        return QtCore.QPoint(20, 8)
    return QtCore.QPoint() if not hasattr(widget, "hitButton") else _inside(widget)


def _inside(button: Any) -> Any:
    """A place of a button that takes the click: a check box takes none beside its text."""
    from PySide6 import QtCore

    middle = button.rect().center()
    return middle if button.hitButton(middle) else QtCore.QPoint(8, middle.y())


def _first_column(view: Any) -> int:
    return next(column for column in range(view.model().columnCount()) if not view.isColumnHidden(column))


@pytest.fixture
def python_slicer(tmp_path, monkeypatch) -> Path:
    """Slicer's PythonSlicer on the search path: this Python."""
    folder = tmp_path / "Slicer" / "bin"
    folder.mkdir(parents=True)
    windows = os.name == "nt"
    script = folder / ("PythonSlicer.bat" if windows else "PythonSlicer")
    script.write_text(f'@"{sys.executable}" %*\n' if windows else f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return script


@pytest.fixture
def person(slicer_app, sample_dataset, python_slicer):  # noqa: F811
    """A user before the sample dataset's folder, which is not opened yet."""
    someone = Person(load_module(), slicer_app, sample_dataset.root)
    yield someone
    someone.close()
    assert slicer_app.uncaught == []


def nodes(app: Any, name: str = "vtkMRMLSegmentationNode") -> list[Any]:
    scene = app.context.scene
    return [scene.GetNthNodeByClass(index, name) for index in range(scene.GetNumberOfNodesByClass(name))]


def revisions(session: Any) -> list[Any]:
    return records.history(session.exam)
