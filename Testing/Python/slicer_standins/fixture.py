"""The fixture that puts the stand-ins where Slicer's Python finds its own, and takes them away again."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from .scripted import MODULE_FOLDER
from .state import Slicer

OURS = ("CSpineSeg", "CSpineSegModule")


@pytest.fixture
def slicer_app(monkeypatch, tmp_path_factory) -> Iterator[Slicer]:
    """Slicer's application as the module sees it: real MRML and slicer.util, the rest stands in."""
    yield from stand_in(monkeypatch, tmp_path_factory.mktemp("settings"))


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Any) -> Iterator[Slicer]:
    """The stand-ins, until the generator is closed; settings are kept in `folder`."""
    pytest.importorskip("PySide6", reason="widgets are tested with PySide6-Essentials")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import slicer
    import slicer.util
    from PySide6 import QtWidgets

    from CSpineSegLib import scene

    from . import application as parts
    from . import editor, packaging, parameters, qt_names, scripted
    from .strict import StrictClass

    running = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    running.setStyle("Fusion")
    running.setOrganizationName("CSpineSeg tests")
    state = Slicer(context=scene.Context.create(), settings=folder / "Slicer.ini")
    state.window = QtWidgets.QMainWindow()
    state.window.setObjectName("qSlicerMainWindow")
    for name, value in {
        "app": parts.app(state),
        "modules": parts.modules(state),
        "mrmlScene": state.context.scene,
        "qMRMLSegmentEditorWidget": StrictClass(editor.qMRMLSegmentEditorWidget, "slicer.qMRMLSegmentEditorWidget"),
    }.items():
        monkeypatch.setattr(slicer, name, value, raising=False)
    for name, module in {
        "ScriptedLoadableModule": scripted.scripted_module(state),
        "i18n": scripted.i18n(),
        "packaging": packaging.packaging(state),
        "parameterNodeWrapper": parameters.module(),
    }.items():
        monkeypatch.setattr(slicer, name, module, raising=False)
        monkeypatch.setitem(sys.modules, f"slicer.{name}", module)
    for module in (qt_names.qt(state), qt_names.ctk(), parts.sample_data(state)):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, function in parts.util(state).items():
        monkeypatch.setattr(slicer.util, name, function)
    parts.views(state)
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: state.uncaught.append(error))
    monkeypatch.syspath_prepend(str(MODULE_FOLDER))
    yield state
    running.processEvents()
    if state.window is not None:
        state.window.close()
        state.window.deleteLater()
    running.processEvents()
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]


def load_module() -> types.ModuleType:
    """Import CSpineSeg.py from its file, as Slicer does."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("CSpineSeg", MODULE_FOLDER / "CSpineSeg.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["CSpineSeg"] = module
    spec.loader.exec_module(module)
    return module
