"""Testing/slicer_api.txt against the module: what the module uses is listed, and what is listed is used.

A name that PySide6 knows and Slicer's PythonQt does not cannot slip in this way: each line says where it was read.
"""

from __future__ import annotations

import re

import pytest
from slicer_standins import api, slicer_app, used  # noqa: F401  (fixture)

FORMS = sorted(used.FORMS.glob("*.ui"))
# What can be held under another name: modules, the scene, and what functions of the listed classes give.
GIVEN = {
    "mrmlScene",
    "packaging",
    "QByteArray",
    "QClipboard",
    "QHeaderView",
    "QItemSelectionModel",
    "QModelIndex",
    "QVBoxLayout",
}


@pytest.fixture
def classes(slicer_app):  # noqa: F811
    """The class of a widget by its name, as forms may use it."""
    from slicer_standins import forms

    customs = forms.custom_classes()
    return lambda name: forms._class(name, customs)


def unlisted(uses) -> list[str]:
    return [f"{use.where}: {use.name}" for use in uses if not api.listed(use.name)]


def module_uses() -> list[used.Use]:
    return [use for path in used.sources() for use in used.dotted(path)]


def room_uses() -> list[used.Use]:
    """What the library asks the application for; its MRML classes are those of slicer-core, which tests run."""
    uses = [use for path in used.room() for use in used.dotted(path)]
    return [use for use in uses if re.match(r"slicer\.(app|modules|mrmlScene|util)\b", use.name)]


def unused(names, uses, attributes, classes) -> list[str]:
    """Lines of the list that nothing needs.

    Parameters
    ----------
    uses : dotted names that are used. attributes : names after a dot, of objects whose class is not known, and of
        properties in forms. classes : those that such objects can have.
    """
    direct = {".".join(use.split(".")[:length]) for use in uses for length in range(1, use.count(".") + 2)}
    found = []
    for name in names:
        owner, *member = name.split(".")[1:]
        if name not in direct and not (owner in classes and member and member[-1] in attributes):
            found.append(name)
    return found


def with_bases(kinds) -> set[str]:
    """The names of Qt's classes and of those that they inherit."""
    from PySide6 import QtCore, QtGui, QtWidgets

    made = [getattr(part, kind) for kind in kinds for part in (QtCore, QtGui, QtWidgets) if hasattr(part, kind)]
    return {base.__name__ for kind in made for base in kind.__mro__}


def test_every_line_says_where_the_name_was_read():
    lines = api.PATH.read_text(encoding="utf-8").splitlines()
    wrong = [
        line for line in lines
        if not line.startswith("#") and not re.fullmatch(r"(qt|ctk|slicer|SampleData)(\.\w+)+\t\S.*", line)
    ]  # fmt: skip
    assert wrong == []
    names = [line.split("\t")[0] for line in lines if not line.startswith("#")]
    assert len(names) == len(set(names)) and names == sorted(names)


def test_every_name_of_slicer_and_its_qt_that_the_module_uses_is_listed():
    assert unlisted(module_uses()) == []


def test_every_name_of_the_application_that_the_library_uses_is_listed():
    assert unlisted(room_uses()) == []


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_slicer_understands_every_form_and_its_properties_are_listed(slicer_app, form):  # noqa: F811
    from slicer_standins import forms

    assert forms.check(form) == []


@pytest.mark.parametrize("path", used.sources(), ids=lambda path: path.stem)
def test_what_the_code_does_with_widgets_of_the_forms_they_can_do_and_it_is_listed(classes, path):
    from slicer_standins import strict

    wrong = []
    for kind, name, where in used.widget_names(path):
        if not kind:
            wrong.append(f"{where}: no such widget")
        elif not strict.knows(classes(kind), name):
            wrong.append(f"{where}: {kind} has no {name}")
        elif not strict.is_listed(classes(kind), name):
            wrong.append(f"{where}: {kind}.{name} is not in the list")
    assert wrong == []


def test_no_line_is_unused(slicer_app):  # noqa: F811
    attributes = {name for path in (*used.sources(), *used.room()) for name in used.attributes(path)}
    attributes |= {name for form in FORMS for _, name in used.properties(form)}
    uses = [use.name for use in (*module_uses(), *room_uses())]
    kinds = {use.split(".")[1] for use in uses if use.startswith("qt.")}
    kinds |= {kind for form in FORMS for kind in used.widgets(form).values()} | GIVEN
    assert unused(api.names(), uses, attributes, with_bases(kinds) | kinds) == []


# The checks themselves find what they are for.


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import qt\nqt.QTimer.singleShot(0, f)", ["qt.QTimer.singleShot"]),
        ("import qt as q\nx = q.Qt.UserRole + 1", ["qt.Qt.UserRole"]),
        ("import slicer.util\nslicer.util.loadUI(p).show()", ["slicer.util.loadUI"]),
        ("from slicer.i18n import tr as _\n_('x')", ["slicer.i18n.tr"]),
        ("def f():\n    from slicer import packaging\n    packaging.pip_check(x)", [
            "slicer.packaging", "slicer.packaging.pip_check"]),
        ("import slicer\nslicer.app.layoutManager().setLayout(3)", ["slicer.app.layoutManager"]),
        ("import qt\ngetattr(qt, 'QTimer')", ["qt.QTimer"]),
        ("import qt\ngetattr(qt.Qt, f'Key_{x}')", ["qt.Qt.whatever is computed", "qt.Qt"]),
        ('module = sys.modules.get("slicer")\nmodule.app.name', ["slicer.app.name"]),
        ("from CSpineSegLib import slicer_free\nslicer_free.qt", []),
    ],
)  # fmt: skip
def test_names_are_found_however_they_are_written(source, expected):
    assert [use.name for use in used.names_of(source, "x.py")] == expected


def test_a_name_that_is_not_listed_is_found():
    source = "import qt\nqt.QLCDNumber()\nqt.QTimer.singleShotPrecisely(0, f)"
    assert unlisted(used.names_of(source, "x.py")) == ["x.py:2: qt.QLCDNumber", "x.py:3: qt.QTimer.singleShotPrecisely"]


def test_a_line_that_nothing_needs_is_found():
    names = ["qt.QTimer", "qt.QTimer.singleShot", "qt.QLabel.text", "qt.QLabel.indent", "qt.QDial", "qt.QDial.text"]
    found = unused(names, ["qt.QTimer.singleShot"], {"text"}, {"QTimer", "QLabel"})
    assert found == ["qt.QLabel.indent", "qt.QDial", "qt.QDial.text"]


@pytest.mark.parametrize(
    ("widget", "expected"),
    [
        ('<widget class="QLabel" name="a"><property name="txt"><string/></property></widget>', "no property 'txt'"),
        ('<widget class="QPushButton"/>', "has no name"),
        ('<widget class="QMagicButton" name="a"/>', "no such class"),
        ('<widget class="ctkCollapsibleButton" name="a"/>', "customwidgets"),
        ("<tabstops><tabstop>x</tabstop></tabstops>", "tab stop"),
        ('<widget class="QLabel" name="a"><property name="buddy"><cstring>b</cstring></property></widget>', "'b'"),
        ('<widget class="QTableView" name="a"><property name="selectionMode"><enum>'
         "QAbstractItemView::SelectionMode::SingleSelection</enum></property></widget>", "leave the middle word out"),
    ],
)  # fmt: skip
def test_what_slicer_does_not_understand_in_a_form_is_found(slicer_app, tmp_path, widget, expected):  # noqa: F811
    from slicer_standins import forms

    path = tmp_path / "form.ui"
    path.write_text(f'<ui version="4.0"><widget class="QWidget" name="x">{widget}</widget></ui>', encoding="utf-8")
    (problem,) = forms.check(path)
    assert expected in problem
    import slicer.util

    with pytest.raises(RuntimeError, match=r"form\.ui"):
        slicer.util.loadUI(str(path))
