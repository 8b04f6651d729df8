"""A person at the module's form, for its tests: types, clicks and reads, with real MRML and real child processes."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from module_standins import load_module, slicer_app  # noqa: F401  (fixture)

from CSpineSegLib.review import records

PATIENT = "900001"


class Person:
    """Hands and eyes of a user: types, clicks, reads."""

    def __init__(self, module, app, root):
        from PySide6 import QtTest, QtWidgets

        self.module, self.app, self.root = module, app, root
        self.test = QtTest.QTest
        self.parent = QtWidgets.QWidget()
        QtWidgets.QVBoxLayout(self.parent)
        self.widget = module.CSpineSegWidget(self.parent)
        self.widget.setup()
        self.parent.show()
        self.widget.enter()
        app.leave = self.widget.exit
        self.logic = self.widget.logic.workplace

    def part(self, name):
        return getattr(self.widget.ui, name)

    def click(self, name):
        from PySide6 import QtCore

        button = self.part(name).wrapped
        assert button.isEnabled(), f"{name} cannot be clicked now"
        self.test.mouseClick(button, QtCore.Qt.MouseButton.LeftButton)

    def type(self, name, text):
        edit = self.part(name).wrapped
        edit.clear()
        # QTest has keys for ASCII only; the rest comes from an input method, or is pasted.
        self.test.keyClicks(edit, text) if text.isascii() else edit.insert(text)

    def wait(self, happened, seconds=300):
        for _ in range(seconds * 20):
            if happened():
                return True
            self.test.qWait(50)
        return False

    @property
    def status(self):
        return self.part("statusLabel").text

    def enabled(self):
        names = ("openButton", "segmentButton", "editorButton", "acceptButton", "laterButton")
        return {name.removesuffix("Button") for name in names if self.part(name).enabled}

    def find(self, patient=PATIENT, root=None):
        self.type("folderEdit", str(root or self.root))
        self.type("patientEdit", patient)
        self.click("findButton")

    def open(self, patient=PATIENT, root=None):
        self.find(patient, root)
        self.click("openButton")
        assert self.app.errors == []
        return self.logic.session

    def segment(self, seconds=300):
        self.click("segmentButton")
        assert self.wait(lambda: not self.logic.is_segmenting(), seconds)
        assert self.app.errors == []

    def paint(self):
        """Add a block of voxels to the bodies in the scene and return the mask as it should now be."""
        from CSpineSegLib import scene

        session = self.logic.session
        expected = session.mask().array.copy()
        centre = session.image.affine @ [*(np.array(session.image.shape) // 2), 1]
        scene.Editor(session.context, session.case).paint_sphere("bodies", centre[:3], 6.0)
        now = session.mask().array
        assert not np.array_equal(now, expected)
        return now.copy()


@pytest.fixture
def person(slicer_app, sample_dataset, tmp_path, monkeypatch):  # noqa: F811
    folder = tmp_path / "Slicer" / "bin"
    folder.mkdir(parents=True)
    windows = os.name == "nt"
    script = folder / ("PythonSlicer.bat" if windows else "PythonSlicer")
    script.write_text(f'@"{sys.executable}" %*\n' if windows else f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    someone = Person(load_module(), slicer_app, sample_dataset.root)
    yield someone
    someone.widget.cleanup()
    someone.parent.close()
    assert slicer_app.uncaught == []


def nodes(app, name="vtkMRMLSegmentationNode"):
    scene = app.context.scene
    return [scene.GetNthNodeByClass(index, name) for index in range(scene.GetNumberOfNodesByClass(name))]


def revisions(session):
    return records.history(session.exam)
