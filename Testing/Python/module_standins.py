"""Slicer's Qt side for tests: strict stand-ins around PySide6, a real MRML scene behind them.

Slicer's `qt` is PythonQt: properties are attributes, and a name that a class does not have raises. PySide6 would take
any attribute, so that a slip of the pen would pass; here it raises as in Slicer. What is not listed does not exist.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import types
import unittest
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE_FOLDER = ROOT / "CSpineSeg"
# Public C++ methods that are no slots; PythonQt has them too.
METHODS = {"QComboBox": {"addItem", "setItemText"}, "QVBoxLayout": {"addWidget"}}


class Strict:
    """Only the given names exist; others cannot be read or set."""

    def __init__(self, /, **names: Any) -> None:
        self.__dict__.update(names)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__:
            raise AttributeError(f"there is no {name!r} here")
        self.__dict__[name] = value


class StrictObject:
    """A QObject as PythonQt shows it: properties, signals and slots of its class, and nothing else."""

    def __init__(self, wrapped: Any) -> None:
        object.__setattr__(self, "wrapped", wrapped)

    def __getattr__(self, name: str) -> Any:
        wrapped, meta = self.wrapped, self.wrapped.metaObject()
        if meta.indexOfProperty(name) >= 0:
            return wrapped.property(name)
        known = {meta.method(index).name().data().decode() for index in range(meta.methodCount())}
        if name in known | METHODS.get(meta.className(), set()):
            return getattr(wrapped, name)
        raise AttributeError(f"{meta.className()} has no {name!r} in PythonQt")

    def __setattr__(self, name: str, value: Any) -> None:
        meta = self.wrapped.metaObject()
        index = meta.indexOfProperty(name)
        if index < 0 or not meta.property(index).isWritable() or not self.wrapped.setProperty(name, value):
            raise AttributeError(f"{meta.className()} has no property {name!r} that takes {value!r}")


@dataclass
class Slicer:
    """What the user of the module sees and answers, and what the module asked Slicer for."""

    context: Any = None
    chosen_folder: str = ""
    answer: bool = True
    errors: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    uncaught: list[BaseException] = field(default_factory=list)
    views: list[dict[str, Any]] = field(default_factory=list)
    selected: list[str] = field(default_factory=list)
    reloaded: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    installed: list[SimpleNamespace] = field(default_factory=list)
    declines: bool = False
    editor: Any = None
    leave: Callable[[], None] = lambda: None


def _scripted_module(slicer: Slicer) -> types.ModuleType:
    """Slicer's base classes, as far as they do anything here; from its Base/Python/slicer/ScriptedLoadableModule.py."""

    class ScriptedLoadableModule:
        def __init__(self, parent: Any) -> None:
            self.parent = parent
            self.moduleName = type(self).__name__
            parent.title, parent.categories, parent.dependencies, parent.contributors = "", [], [], []
            parent.helpText = parent.acknowledgementText = ""

    class ScriptedLoadableModuleWidget:
        def __init__(self, parent: Any = None) -> None:
            self.moduleName = type(self).__name__.removesuffix("Widget")
            self.parent, self.layout = parent, StrictObject(parent.layout())

        def resourcePath(self, name: str) -> str:
            return str(MODULE_FOLDER / "Resources" / name)

        def setup(self) -> None: ...

        def cleanup(self) -> None: ...

        def onReload(self) -> None:
            slicer.reloaded.append(self.moduleName)

    class ScriptedLoadableModuleLogic:
        def __init__(self, parent: Any = None) -> None:
            self.moduleName = type(self).__name__.removesuffix("Logic")

    module = types.ModuleType("slicer.ScriptedLoadableModule")
    module.ScriptedLoadableModule = ScriptedLoadableModule
    module.ScriptedLoadableModuleWidget = ScriptedLoadableModuleWidget
    module.ScriptedLoadableModuleLogic = ScriptedLoadableModuleLogic
    module.ScriptedLoadableModuleTest = type("ScriptedLoadableModuleTest", (unittest.TestCase,), {})
    return module


def _i18n() -> types.ModuleType:
    module = types.ModuleType("slicer.i18n")
    module.tr = lambda text: text
    module.translate = lambda context, text: text
    return module


def _packaging(slicer: Slicer) -> types.ModuleType:
    """Slicer 5.12's packaging with its own signatures; `slicer.missing` names what is not installed."""

    def load_requirements(path: Any) -> list[SimpleNamespace]:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
        names = [line for line in lines if line and not line.startswith(("#", "-"))]
        return [_Requirement(name=re.split("[><=]", line)[0], line=line) for line in names]

    def pip_check(req: Any, _seen: Any = None) -> bool:
        return not {item.name for item in (req if isinstance(req, list) else [req])} & slicer.missing

    def pip_ensure(
        requirements: Any,
        constraints: Any = None,
        skip_packages: Any = None,
        prompt_install: bool = True,
        prompt_restart: bool = True,
        requester: str | None = None,
        skip_in_testing: bool = True,
        show_progress: bool = True,
    ) -> None:
        names = [item.name for item in requirements if item.name in slicer.missing]
        text = Path(constraints).read_text(encoding="utf-8")
        slicer.installed.append(
            SimpleNamespace(names=names, constraints=text, asked=prompt_install, path=Path(constraints))
        )
        if slicer.declines:
            raise RuntimeError("User declined package installation")
        slicer.missing -= set(names)

    module = types.ModuleType("slicer.packaging")
    module.load_requirements, module.pip_check, module.pip_ensure = load_requirements, pip_check, pip_ensure
    return module


class _Requirement(SimpleNamespace):
    def __str__(self) -> str:
        return self.line


def _qt(slicer: Slicer) -> types.ModuleType:
    from PySide6 import QtCore, QtUiTools

    module = types.ModuleType("qt")
    module.QTimer = lambda: StrictObject(QtCore.QTimer())
    module.QFile, module.QUiLoader = QtCore.QFile, QtUiTools.QUiLoader
    module.QFileDialog = Strict(getExistingDirectory=lambda parent, caption, folder: slicer.chosen_folder)
    return module


def _child_widgets(widget: Any) -> Strict:
    """As slicer.util.childWidgetVariables: the named widgets of a form."""
    from PySide6 import QtWidgets

    named = {child.objectName(): child for child in widget.findChildren(QtWidgets.QWidget)}
    return Strict(**{name: StrictObject(child) for name, child in named.items() if name and not name.startswith("qt_")})


@pytest.fixture
def slicer_app(monkeypatch) -> Iterator[Slicer]:
    """Slicer's application as the module sees it: real MRML and slicer.util, the rest stands in."""
    pytest.importorskip("PySide6", reason="widgets are tested with PySide6-Essentials")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import slicer
    import slicer.util
    from PySide6 import QtWidgets
    from PySide6.support import feature

    from CSpineSegLib import scene

    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    with monkeypatch.context() as patch:
        # PySide6 looks at the source of every module that is loaded, which some of torch's objects do not survive.
        for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
            patch.delitem(sys.modules, name)
        feature.set_selection(2, "CSpineSeg")  # true_property: attributes in place of getters and setters
    state = Slicer(context=scene.Context.create())
    state.editor = Strict(nodes={}, setSegmentationNode=None, setSourceVolumeNode=None)
    state.editor.setSegmentationNode = lambda node: state.editor.nodes.update(segmentation=node)
    state.editor.setSourceVolumeNode = lambda node: state.editor.nodes.update(volume=node)
    editor_module = Strict(widgetRepresentation=lambda: Strict(self=lambda: Strict(editor=state.editor)))
    app = Strict(
        testingEnabled=lambda: False,
        applicationLogic=lambda: state.context.application,
        applicationVersion="5.13.0",
        layoutManager=lambda: Strict(),
    )
    modules = Strict(segmentations=Strict(logic=lambda: state.context.segmentations), segmenteditor=editor_module)
    for name, value in {"app": app, "modules": modules, "mrmlScene": state.context.scene}.items():
        monkeypatch.setattr(slicer, name, value, raising=False)
    parts = {"ScriptedLoadableModule": _scripted_module(state), "i18n": _i18n(), "packaging": _packaging(state)}
    for name, module in parts.items():
        monkeypatch.setattr(slicer, name, module, raising=False)
        monkeypatch.setitem(sys.modules, f"slicer.{name}", module)
    monkeypatch.setitem(sys.modules, "qt", _qt(state))
    layers = inspect.signature(slicer.util.setSliceViewerLayers)

    def error(
        text: str, windowTitle: Any = None, parent: Any = None, standardButtons: Any = None, detailedText: str = ""
    ) -> None:
        state.errors.append(text)
        state.details.append(detailedText)

    def confirm(text: str, windowTitle: Any = None, parent: Any = None) -> bool:
        state.questions.append(text)
        return state.answer

    def select(module: str) -> None:
        state.leave()
        state.selected.append(module)

    for name, value in {
        "childWidgetVariables": _child_widgets,
        "errorDisplay": error,
        "confirmOkCancelDisplay": confirm,
        "selectModule": select,
        "setSliceViewerLayers": lambda *words, **names: state.views.append(layers.bind(*words, **names).arguments),
    }.items():
        monkeypatch.setattr(slicer.util, name, value)
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: state.uncaught.append(error))
    monkeypatch.syspath_prepend(str(MODULE_FOLDER))
    yield state
    application.processEvents()
    for name in [name for name in sys.modules if name.split(".")[0] in ("CSpineSeg", "CSpineSegModule")]:
        del sys.modules[name]


def load_module() -> types.ModuleType:
    """Import CSpineSeg.py from its file, as Slicer does."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("CSpineSeg", MODULE_FOLDER / "CSpineSeg.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["CSpineSeg"] = module
    spec.loader.exec_module(module)
    return module
