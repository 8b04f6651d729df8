"""The module as a package: what it says about itself, what importing it costs, its forms and its texts."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest
from slicer_standins import MODULE_FOLDER, Strict, load_module, slicer_app, used  # noqa: F401  (fixture)

SHELL = MODULE_FOLDER / "CSpineSeg.py"
FORMS = sorted(used.FORMS.glob("*.ui"))
PANELS = [form for form in FORMS if form.stem != "CSpineSeg"]
# What a user types into, clicks or walks through with the keyboard.
ACTIVE = {
    "QPushButton", "QCheckBox", "QLineEdit", "QComboBox", "QSpinBox", "QTableView", "QTableWidget", "QListWidget",
    "QPlainTextEdit", "QTextBrowser", "ctkCollapsibleButton",
}  # fmt: skip
SAYS_ITSELF = {"QPushButton", "QCheckBox", "ctkCollapsibleButton"}
# Everything of Slicer, as an empty shell: what is imported beside it is the module's own.
EMPTY_SLICER = """
import json, sys, time, types

class Anything:
    def __init__(self, *words, **names): pass
    def __call__(self, thing=None, *words, **names): return thing
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return Anything()

class Empty(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        made = type(name, (Anything,), {})
        setattr(self, name, made)
        return made

names = ("ScriptedLoadableModule", "i18n", "util", "packaging", "parameterNodeWrapper")
vtk = ("vtkmodules", "vtkmodules.util", "vtkmodules.util.misc", "vtkmodules.util.vtkConstants")
for name in ("qt", "ctk", "slicer", *("slicer." + part for part in names), *vtk):
    sys.modules[name] = Empty(name)
for name in names:
    setattr(sys.modules["slicer"], name, sys.modules["slicer." + name])
sys.modules["slicer.parameterNodeWrapper"].parameterNodeWrapper = lambda kind: kind
sys.path.insert(0, "CSpineSeg")
before = set(sys.modules)
import CSpineSeg
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def text(path) -> str:
    return path.read_text(encoding="utf-8")


def active(form):
    """The widgets of a form that a user works with, as (class, name, element)."""
    for element in ElementTree.parse(form).getroot().iter("widget"):
        if element.get("class") in ACTIVE:
            yield element.get("class"), element.get("name"), element


def stated(element, name):
    """The text of a property of a widget; empty if it is not stated."""
    for field in element.findall("property"):
        if field.get("name") == name:
            return "".join(field.itertext()).strip()
    return ""


# The module


def test_the_module_describes_itself(slicer_app):  # noqa: F811
    names = ("title", "categories", "dependencies", "contributors", "helpText", "acknowledgementText", "icon")
    parent = Strict(**dict.fromkeys(names))
    load_module().CSpineSeg(parent)
    assert (parent.title, parent.categories) == ("CSpineSeg", ["Segmentation"])
    assert "research software, not a medical device" in parent.helpText
    assert "Duke University" in parent.acknowledgementText


def test_the_sample_is_offered_in_slicers_sample_data_once_it_has_started(slicer_app):  # noqa: F811
    names = ("title", "categories", "dependencies", "contributors", "helpText", "acknowledgementText", "icon")
    load_module().CSpineSeg(Strict(**dict.fromkeys(names)))
    assert slicer_app.samples == []
    ((signal, register),) = slicer_app.started
    assert signal == "startupCompleted()"
    register()
    (sample,) = slicer_app.samples
    assert sample["category"] == "CSpineSeg" and sample["sampleName"] and sample["uris"] is None


def test_the_modules_own_test_passes(slicer_app):  # noqa: F811
    import unittest

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(load_module().CSpineSegTest)
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun == 1 and not result.skipped
    assert result.wasSuccessful(), result.failures + result.errors


def test_importing_the_module_loads_nothing_heavy():
    command = [sys.executable, "-c", EMPTY_SLICER]
    done = subprocess.run(command, cwd=MODULE_FOLDER.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert {"CSpineSeg", "CSpineSegModule", "CSpineSegLib"} <= loaded
    heavy = {"torch", "monai", "openvino", "nibabel", "pandas", "scipy", "numpy", "matplotlib", "vtk", "SimpleITK"}
    assert not loaded & heavy


def test_the_shell_is_short():
    assert len(text(SHELL).splitlines()) < 250


def test_the_module_does_not_know_its_stand_ins():
    for path in used.sources():
        assert not re.search(r"\.wrapped\b|PySide|slicer_standins", text(path)), path.name


# The forms


def test_each_panel_is_one_form_one_file_and_one_file_of_the_library_of_the_same_name():
    names = {form.stem.removeprefix("CSpineSeg").lower() for form in PANELS}
    assert names == {"dataset", "segment", "correct", "check", "levels", "doctor"}
    for name in names:
        assert (MODULE_FOLDER / "CSpineSegModule" / "panels" / f"{name}.py").is_file()
        assert (MODULE_FOLDER.parent / "CSpineSegLib" / "workplace" / f"{name}.py").is_file()


@pytest.mark.parametrize("form", PANELS, ids=lambda path: path.stem)
def test_the_root_of_a_panels_form_is_a_heading_that_folds(form):
    root = ElementTree.parse(form).getroot().find("widget")
    name = form.stem.removeprefix("CSpineSeg").lower()
    assert (root.get("class"), root.get("name")) == ("ctkCollapsibleButton", f"{name}Panel")
    assert stated(root, "text")


def test_no_two_widgets_share_a_name():
    names = [name for form in FORMS for name in used.widgets(form)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_every_widget_that_a_user_works_with_is_used_by_the_code(form):
    code = "\n".join(text(path) for path in used.sources())
    idle = [
        name
        for kind, name, element in active(form)
        if kind != "ctkCollapsibleButton"
        and not stated(element, "SlicerParameterName")
        and not re.search(rf"\.{name}\b", code)
    ]
    assert idle == []


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_every_widget_explains_itself_to_who_points_at_it_and_to_who_cannot_see_it(form):
    buddies = {stated(element, "buddy") for element in ElementTree.parse(form).getroot().iter("widget")}
    silent = []
    for kind, name, element in active(form):
        if not stated(element, "toolTip") and kind != "ctkCollapsibleButton":
            silent.append(f"{name} has no tool tip")
        named = stated(element, "accessibleName") or name in buddies
        if not named and not (kind in SAYS_ITSELF and stated(element, "text")):
            silent.append(f"{name} has no accessible name and no label of its own")
    assert silent == []


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_no_two_widgets_of_a_form_take_the_same_key(form):
    keys = [
        match.lower()
        for element in ElementTree.parse(form).getroot().iter("widget")
        for match in re.findall(r"(?<!&)&(\w)", stated(element, "text"))
    ]
    assert sorted(keys) == sorted(set(keys))


# The texts


@pytest.mark.parametrize("path", used.sources(), ids=lambda path: path.stem)
def test_texts_for_the_user_can_be_translated(path):
    wrong = []
    for node in ast.walk(ast.parse(text(path))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            literal = [word for word in node.args if isinstance(word, ast.Constant | ast.JoinedStr)]
            if name == "_" and not isinstance(node.args[0], ast.Constant):
                wrong.append(f"{node.lineno}: only constants can be translated")
            if name in ("say", "confirm", "errorDisplay") and any(getattr(word, "value", "x") for word in literal):
                wrong.append(f"{node.lineno}: {name}() of a text that is not translated")
        if isinstance(node, ast.Assign) and any(_is_seen(target) for target in node.targets):
            value = node.value
            if isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and value.value):
                wrong.append(f"{node.lineno}: a text that is not translated")
    assert wrong == []


def _is_seen(target: ast.expr) -> bool:
    names = {"text", "toolTip", "title", "windowTitle", "placeholderText", "plainText", "format"}
    return isinstance(target, ast.Attribute) and target.attr in names


def test_what_is_translated_has_named_fields_and_no_empty_phrases():
    for path in used.sources():
        for node in ast.walk(ast.parse(text(path))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_":
                phrase = str(node.args[0].value)
                assert "{}" not in phrase and "%s" not in phrase and "%d" not in phrase, f"{path.name}:{node.lineno}"
                assert "omething went wrong" not in phrase and "an error occurred" not in phrase.lower()
