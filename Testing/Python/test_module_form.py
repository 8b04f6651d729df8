"""The module as a package: what it says about itself, its form, its texts, and the stand-ins that test it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from module_standins import MODULE_FOLDER, StrictObject, load_module, slicer_app  # noqa: F401  (fixture)


def test_the_module_describes_itself(slicer_app):  # noqa: F811
    from module_standins import Strict

    names = ("title", "categories", "dependencies", "contributors", "helpText", "acknowledgementText")
    parent = Strict(**dict.fromkeys(names))
    load_module().CSpineSeg(parent)
    assert (parent.title, parent.categories) == ("CSpineSeg", ["Segmentation"])
    assert "research software, not a medical device" in parent.helpText
    assert parent.acknowledgementText


def test_the_modules_own_test_passes(slicer_app):  # noqa: F811
    import unittest

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(load_module().CSpineSegTest)
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun == 1 and not result.skipped
    assert result.wasSuccessful(), result.failures + result.errors


def test_importing_the_module_loads_nothing_heavy():
    code = (
        "import sys\n"
        "sys.path.insert(0, 'Testing/Python')\n"
        "import pytest, module_standins\n"
        "import CSpineSegLib.scene\n"
        "patch = pytest.MonkeyPatch()\n"
        "app = module_standins.slicer_app.__wrapped__(patch)\n"
        "next(app)\n"
        "before = set(sys.modules)\n"
        "module_standins.load_module()\n"
        "print(*sorted(name for name in set(sys.modules) - before))\n"
    )
    root = MODULE_FOLDER.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "CSpineSegModule" in loaded
    assert not loaded & {"torch", "monai", "nibabel", "pandas", "scipy", "matplotlib", "vtk", "vtkmodules"}


def test_every_widget_that_the_code_names_is_in_the_form_and_every_slot_exists():
    source = (MODULE_FOLDER / "CSpineSeg.py").read_text(encoding="utf-8")
    form = (MODULE_FOLDER / "Resources" / "UI" / "CSpineSeg.ui").read_text(encoding="utf-8")
    used = set(re.findall(r"self\.ui\.(\w+)", source))
    named = dict(re.findall(r'<widget class="(\w+)" name="(\w+)"', form))
    assert used <= set(re.findall(r'<widget class="\w+" name="(\w+)"', form))
    assert all(kind.startswith("Q") for kind in named)
    unused = {name for name in re.findall(r'name="(\w+(?:Button|Edit|Combo|Bar|Check))"', form)} - used
    assert unused == set()


def test_texts_for_the_user_are_constants_that_can_be_translated():
    import ast

    for path in MODULE_FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}"
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "showStatus":
                assert not any(isinstance(word, ast.Constant | ast.JoinedStr) for word in node.args), node.lineno


def test_the_stand_ins_refuse_what_pythonqt_refuses(slicer_app):  # noqa: F811
    from PySide6 import QtWidgets

    button = StrictObject(QtWidgets.QPushButton())
    button.text = "x"
    assert button.text == "x" and button.wrapped.text() == "x"
    with pytest.raises(AttributeError):
        button.txt = "x"
    with pytest.raises(AttributeError):
        button.isEnabled  # noqa: B018
    with pytest.raises(AttributeError):
        button.setText  # noqa: B018
