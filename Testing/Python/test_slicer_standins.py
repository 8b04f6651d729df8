"""The stand-ins for Slicer's Qt side refuse what Slicer refuses, and do what Slicer does."""

from __future__ import annotations

import subprocess
import sys

import pytest
from slicer_standins import ROOT, StrictObject, slicer_app  # noqa: F401  (fixture)


class Every:
    """Every class of Qt, as the module would see it if it were listed."""

    def __getattr__(self, name: str):
        from PySide6 import QtCore, QtGui, QtWidgets
        from slicer_standins.strict import StrictClass

        found = next(getattr(part, name) for part in (QtWidgets, QtGui, QtCore) if hasattr(part, name))
        return StrictClass(found, f"qt.{name}")


@pytest.fixture
def every(slicer_app):  # noqa: F811
    return Every()


@pytest.fixture
def qt(slicer_app):  # noqa: F811
    import qt

    return qt


# Names


@pytest.mark.parametrize(
    "wrong",
    [
        lambda qt: qt.Qt.NoSuchValue,
        lambda qt: qt.QPushButton().isEnabled,
        lambda qt: qt.QPushButton().setText,
        lambda qt: qt.QPushButton().txt,
        lambda qt: setattr(qt.QPushButton(), "txt", "x"),
        lambda qt: setattr(qt.QPushButton(), "clicked", "x"),
        lambda qt: qt.QCheckBox().checkStateChanged,
        lambda qt: qt.QComboBox().currentData,
        lambda qt: qt.QPlainTextEdit().toPlainText,
        lambda qt: qt.QKeySequence("H").setBogus,
        lambda qt: setattr(qt.QKeySequence("H"), "text", "x"),
    ],
)
def test_a_name_that_slicer_does_not_have_raises(every, wrong):
    with pytest.raises(AttributeError):
        wrong(every)


@pytest.mark.parametrize("name", ["QLCDNumber", "QTimerr", "qVersion"])
def test_a_class_that_is_not_listed_does_not_exist(qt, name):
    with pytest.raises(AttributeError, match=r"slicer_api\.txt"):
        getattr(qt, name)


def test_properties_are_attributes_and_no_functions(every):
    label = every.QLabel()
    label.text, label.wordWrap = "x", True
    assert label.text == "x" and label.wrapped.text() == "x" and label.wrapped.wordWrap()
    with pytest.raises(TypeError):
        label.text()


def test_a_property_refuses_what_it_cannot_hold(every):
    spin = every.QSpinBox()
    with pytest.raises((TypeError, ValueError)):
        spin.value = "many"


def test_functions_of_qt_take_no_keywords(every):
    with pytest.raises(TypeError):
        every.QPushButton(text="x")
    with pytest.raises(TypeError):
        every.QComboBox().addItem(text="x")


def test_a_slot_of_qt_gets_all_that_a_signal_tells_and_a_function_what_it_takes(every, monkeypatch):
    view, seen, refused = every.QTableView(), [], []
    view.setModel(every.QStandardItemModel(1, 2))
    view.horizontalHeader().sectionResized.connect(lambda column: seen.append(column))
    view.horizontalHeader().sectionResized.connect(view.resizeRowsToContents)
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: refused.append(kind))
    monkeypatch.setattr(sys, "unraisablehook", lambda given: refused.append(given.exc_type))
    view.horizontalHeader().wrapped.resizeSection(1, 77)
    assert seen == [1] and refused == [TypeError]


def test_what_qt_returns_is_strict_as_well(every):
    view, model = every.QTableView(), every.QStandardItemModel(1, 2)
    for column, text in enumerate("ab"):
        model.setData(model.index(0, column), text, every.Qt.DisplayRole)
    view.setModel(model)
    assert isinstance(view.model(), StrictObject) and view.model() == model
    assert view.model().index(0, 1).data() == "b"
    with pytest.raises(AttributeError):
        view.model().index(0, 1).bogus  # noqa: B018
    assert isinstance(view, every.QTableView) and not isinstance(view, every.QTimer)


def test_pyside_agrees_on_what_is_a_property():
    code = (
        "import json, sys\n"
        "sys.path.insert(0, 'Testing/Python')\n"
        "from PySide6 import QtWidgets, QtCore, QtGui\n"
        "from slicer_standins import api, strict\n"
        "from PySide6.support import feature\n"
        "feature.set_selection(2, '__main__')\n"
        "wrong, seen = [], 0\n"
        "for name in api.names():\n"
        "    module, owner, *member = name.split('.')\n"
        "    if name == 'qt.QTimer.singleShot':\n"
        "        continue  # a property of an object, and a function of the class\n"
        "    kind = next((getattr(part, owner) for part in (QtWidgets, QtCore, QtGui) if hasattr(part, owner)), None)\n"
        "    if module != 'qt' or not member or not hasattr(kind, 'staticMetaObject'):\n"
        "        continue\n"
        "    is_property = kind.staticMetaObject.indexOfProperty(member[0]) >= 0\n"
        "    seen += is_property\n"
        "    if is_property != isinstance(getattr(kind, member[0], None), property):\n"
        "        wrong.append(name)\n"
        "print(json.dumps([seen, wrong]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    import json

    seen, wrong = json.loads(done.stdout)
    assert seen > 20 and wrong == []


# Signals


def test_a_slot_gets_as_many_arguments_as_it_takes(every):
    got = []
    button = every.QPushButton()
    button.checkable = True
    button.clicked.connect(lambda: got.append("none"))
    button.clicked.connect(lambda checked: got.append(checked))
    button.clicked.connect(lambda *all: got.append(all))
    button.click()
    assert got == ["none", True, (True,)]


def test_a_slot_that_was_taken_away_is_not_called(every):
    got = []
    button = every.QPushButton()

    def slot() -> None:
        got.append(1)

    button.clicked.connect(slot)
    button.clicked.disconnect(slot)
    button.click()
    assert got == []
    with pytest.raises(ValueError):
        button.clicked.disconnect(slot)


def test_an_error_in_a_slot_is_noticed(every, slicer_app):  # noqa: F811
    button = every.QPushButton()
    button.clicked.connect(lambda: 1 / 0)
    button.click()
    assert [type(error) for error in slicer_app.uncaught] == [ZeroDivisionError]


# Dialogs and settings


@pytest.mark.parametrize(
    ("answer", "expected"), [("Discard", "Discard"), ("Keep", "Keep"), (False, "Stay"), (True, "Keep")]
)
def test_a_question_is_answered_by_the_button_that_the_user_presses(qt, slicer_app, answer, expected):  # noqa: F811
    slicer_app.answer = answer
    box = qt.QMessageBox()
    box.text = "What now?"
    buttons = {
        text: box.addButton(text, role)
        for text, role in (
            ("Keep", qt.QMessageBox.AcceptRole),
            ("Discard", qt.QMessageBox.DestructiveRole),
            ("Stay", qt.QMessageBox.RejectRole),
        )
    }
    box.exec_()
    assert slicer_app.questions == ["What now?"]
    assert [text for text, button in buttons.items() if box.clickedButton() == button] == [expected]


def test_an_answer_that_no_button_offers_fails_the_test(qt, slicer_app):  # noqa: F811
    slicer_app.answer = "Burn"
    box = qt.QMessageBox()
    box.addButton("Keep", qt.QMessageBox.AcceptRole)
    with pytest.raises(AssertionError, match="Burn"):
        box.exec_()


def test_settings_are_remembered_in_a_file_of_the_test(qt, slicer_app):  # noqa: F811
    qt.QSettings().setValue("CSpineSeg/x", "é")
    assert qt.QSettings().value("CSpineSeg/x") == "é"
    qt.QSettings().wrapped.sync()
    assert slicer_app.settings.exists()


# The application


def test_the_slice_views_are_real_nodes_that_follow_the_layout(slicer_app):  # noqa: F811
    import slicer

    scene = slicer.mrmlScene
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")
    nodes = {
        node.GetLayoutName(): node for node in (scene.GetNthNodeByClass(n, "vtkMRMLSliceNode") for n in range(count))
    }
    assert set(nodes) == {"Red", "Yellow", "Green"} and nodes["Red"].IsMappedInLayout()
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutOneUpYellowSliceView)
    assert nodes["Yellow"].IsMappedInLayout() and not nodes["Red"].IsMappedInLayout()


def test_without_a_window_no_module_can_be_shown(slicer_app):  # noqa: F811
    import slicer

    assert isinstance(slicer.util.mainWindow(), StrictObject)
    slicer_app.window.deleteLater()
    slicer_app.window = None
    assert slicer.util.mainWindow() is None
    with pytest.raises(RuntimeError):
        slicer.util.selectModule("SegmentEditor")


def test_the_application_has_only_what_is_listed(slicer_app):  # noqa: F811
    import slicer

    assert slicer.app.testingEnabled() is False
    with pytest.raises(AttributeError, match=r"slicer_api\.txt"):
        slicer.app.bogus  # noqa: B018
    with pytest.raises(AttributeError):
        slicer.app.testingEnabled = None
    with pytest.raises(AttributeError):
        slicer.modules.bogus  # noqa: B018
