"""Slicer's base classes, as far as they do anything here; from its Base/Python/slicer/ScriptedLoadableModule.py."""

from __future__ import annotations

import types
import unittest
from pathlib import Path
from typing import Any

from .state import Slicer
from .strict import StrictObject, unwrap

ROOT = Path(__file__).resolve().parents[3]
MODULE_FOLDER = ROOT / "CSpineSeg"


def scripted_module(state: Slicer) -> types.ModuleType:
    class ScriptedLoadableModule:
        def __init__(self, parent: Any) -> None:
            self.parent = parent
            self.moduleName = type(self).__name__
            parent.title, parent.categories, parent.dependencies, parent.contributors = "", [], [], []
            parent.helpText = parent.acknowledgementText = ""

        def resourcePath(self, name: str) -> str:
            return str(MODULE_FOLDER / "Resources" / name)

        def getDefaultModuleDocumentationLink(self) -> str:
            return ""

    class ScriptedLoadableModuleWidget:
        def __init__(self, parent: Any = None) -> None:
            from PySide6 import QtWidgets

            self.moduleName = type(self).__name__.removesuffix("Widget")
            self.developerMode = False
            parent = unwrap(parent)
            if parent is None:
                parent = QtWidgets.QWidget()
                QtWidgets.QVBoxLayout(parent)
            self.parent, self.layout = StrictObject(parent), StrictObject(parent.layout())

        def resourcePath(self, name: str) -> str:
            return str(MODULE_FOLDER / "Resources" / name)

        def setup(self) -> None: ...

        def cleanup(self) -> None: ...

        def onReload(self) -> None:
            state.reloaded.append(self.moduleName)

    class ScriptedLoadableModuleLogic:
        def __init__(self, parent: Any = None) -> None:
            self.moduleName = type(self).__name__.removesuffix("Logic")
            self.isSingletonParameterNode = True

        def getParameterNode(self) -> Any:
            """The scene's node of this module's parameters, made if there is none; closing the scene leaves it."""
            import slicer

            found = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if found is None:
                node = slicer.vtkMRMLScriptedModuleNode()
                node.SetSingletonTag(self.moduleName)
                node.SetModuleName(self.moduleName)
                node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
                found = slicer.mrmlScene.AddNode(node)
            found.SetAttribute("ModuleName", self.moduleName)
            return found

    class ScriptedLoadableModuleTest(unittest.TestCase):
        def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
            state.messages.append(message)

    module = types.ModuleType("slicer.ScriptedLoadableModule")
    kinds = (
        ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest,
    )  # fmt: skip
    for kind in kinds:
        kind.__qualname__ = kind.__name__
        setattr(module, kind.__name__, kind)
    return module


def i18n() -> types.ModuleType:
    module = types.ModuleType("slicer.i18n")
    module.tr = lambda text: text
    module.translate = lambda context, text: text
    return module
