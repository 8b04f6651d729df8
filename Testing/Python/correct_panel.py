"""The correct panel alone in Slicer's window, and a person at it: real exams, real MRML, PySide6 for Slicer's Qt."""

from __future__ import annotations

import pytest
import review_cases as cases
from slicer_standins import MODULE_FOLDER, slicer_app  # noqa: F401  (fixture)

pytest.importorskip("slicer", reason="the form needs slicer-core: pip install cspineseg[scene]")

from CSpineSegLib import scene
from CSpineSegLib.review import records, status
from CSpineSegLib.workplace import Workplace, recovery

OTHER = "593973-000124_Study-MR-131_Series-2"
SAVED, CHANGED = "Nothing to save.", "Changed, not saved."


class Dataset:
    """Of the dataset panel: the next exam, and opening a folder."""

    def __init__(self, shell):
        self.shell, self.waiting = shell, [OTHER]

    def openNext(self):
        if not self.waiting:
            return False
        workplace = self.shell.workplace
        self.shell.present(workplace.open_exam(workplace.dataset.exam(self.waiting.pop())))
        return True

    def load(self, folder):
        self.shell.workplace.open_dataset(folder)


class Check:
    """Of the check panel: whether there is doubt to show."""

    def __init__(self, window):
        from PySide6 import QtWidgets
        from slicer_standins import StrictObject

        self.box = QtWidgets.QCheckBox(window)
        self.ui = type("Ui", (), {"doubtCheck": StrictObject(self.box)})


class Shell:
    """What the panel needs of the form around it."""

    def __init__(self, app, root):
        self.workplace, self.said, self.shown, self.stays = Workplace(), "", True, False
        self.workplace.annotator = "Anna"
        self.workplace.keeper = recovery.Keeper(self.workplace, root.parent / "Recovery")
        self.workplace.open_dataset(root)
        self.panels = {"dataset": Dataset(self), "check": Check(app.window)}

    def resourcePath(self, name):
        return str(MODULE_FOLDER / "Resources" / name)

    def ensure_installed(self, segmentation=False): ...

    def say(self, *sentences):
        self.said = " ".join(filter(None, sentences))

    def update(self):
        if self.panels["correct"].editing and self.workplace.session is None:
            self.panels["correct"].closed()
        self.panels["correct"].update()

    def leave(self):
        return not self.stays

    def present(self, session, *sentences):
        self.panels["correct"].opened(session)
        self.say(*sentences, *session.warnings)

    def saved(self, revision, *sentences):
        self.panels["correct"].saved(revision)
        self.say(*sentences)


class Person:
    """Hands and eyes at the panel, in Slicer's window."""

    def __init__(self, app, root):
        from CSpineSegModule.panels.correct import PANEL
        from PySide6 import QtTest, QtWidgets

        self.app, self.root, self.test = app, root, QtTest.QTest
        self.shell = Shell(app, root)
        self.panel = PANEL(self.shell)
        self.shell.panels["correct"] = self.panel
        self.ui, self.workplace = self.panel.ui, self.shell.workplace
        self.editor = self.ui.segmentEditor.wrapped
        self.field = QtWidgets.QLineEdit()
        middle = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(middle)
        column.addWidget(self.panel.root.wrapped)
        column.addWidget(self.field)
        app.window.setCentralWidget(middle)
        app.window.resize(460, 800)
        app.window.show()
        app.window.activateWindow()
        assert self.wait(app.window.isActiveWindow)
        self.panel.enter()
        self.panel.update()

    def open(self, stem=cases.STEM, **how):
        session = self.workplace.open_exam(self.workplace.dataset.exam(stem), **how)
        self.shell.present(session)
        self.shell.update()
        return session

    def draw(self, seed=5):
        """Another mask in place of the open one."""
        session = self.workplace.session
        scene.replace_voxels(session.context, session.case, cases.drawn(session.exam, seed))
        return cases.labels(seed)

    def rest(self):
        """The hand rests until what follows from drawing is done."""
        assert self.wait(lambda: not self.panel.changedTimer.wrapped.isActive())

    def wait(self, happened):
        for _ in range(500):
            if happened():
                return True
            self.test.qWait(10)
        return False

    def click(self, name):
        from PySide6 import QtCore

        button = getattr(self.ui, name).wrapped
        assert button.isVisible() and button.isEnabled(), f"{name} cannot be clicked now"
        self.test.mouseClick(button, QtCore.Qt.MouseButton.LeftButton, pos=QtCore.QPoint(8, button.height() // 2))

    def press(self, keys, at_once=False):
        """Press keys, after a look at the exam."""
        from PySide6 import QtGui, QtWidgets

        while not (at_once or self.panel.isSeen()):
            self.test.qWait(20)
        target = QtWidgets.QApplication.focusWidget() or self.app.window
        self.test.keySequence(target, QtGui.QKeySequence(keys))

    def can(self, *names):
        return [getattr(self.ui, f"{name}Button").enabled for name in names]

    @property
    def state(self):
        return self.ui.stateLabel.text

    def status(self, stem=cases.STEM):
        return status.of(self.workplace.dataset.exam(stem)).status

    def history(self, stem=cases.STEM):
        return records.history(self.workplace.dataset.exam(stem))

    def leave(self):
        self.shell.shown = False
        self.panel.exit()

    def end(self):
        self.panel.cleanup()
        self.workplace.close()


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "jeu de données"
    cases.make_exam(folder)
    cases.make_exam(folder, OTHER)
    return folder


@pytest.fixture
def person(slicer_app, root):  # noqa: F811
    import CSpineSegModule  # noqa: F401  (as the module does first)

    someone = Person(slicer_app, root)
    yield someone
    someone.end()
    assert slicer_app.uncaught == []
