"""slicer.app, slicer.modules and the parts of slicer.util that talk to the user: what they show is recorded."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from . import api
from .listed import Listed
from .state import Slicer
from .strict import StrictObject

OURS = "CSpineSeg"
SLICES = ("Red", "Yellow", "Green")


def app(state: Slicer) -> Listed:
    """The running application."""
    from PySide6 import QtWidgets

    return Listed(
        "slicer.app",
        # slicer.util and the library's scene room ask for these.
        ("applicationLogic", "restoreOverrideCursor", "setOverrideCursor", "testingEnabled"),
        applicationLogic=lambda: state.context.application,
        applicationVersion="5.13.0",
        connect=lambda signal, function: state.started.append((signal, function)),
        processEvents=QtWidgets.QApplication.processEvents,
        restoreOverrideCursor=lambda: None,
        setOverrideCursor=lambda cursor: None,
        testingEnabled=lambda: state.testing,
    )


def modules(state: Slicer) -> Listed:
    return Listed(
        "slicer.modules",
        (),
        segmentations=types.SimpleNamespace(logic=lambda: state.context.segmentations),
    )


def views(state: Slicer) -> None:
    """What stands in the scene where Slicer has a window: its layout and slice views, with their logics, undrawn."""
    import slicer
    import vtk

    scene, application = state.context.scene, state.context.application
    layout = slicer.vtkMRMLLayoutLogic()
    layout.SetMRMLApplicationLogic(application)
    layout.SetMRMLScene(scene)
    layout.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    logics = vtk.vtkCollection()
    for name in SLICES:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(scene)
        node = logic.AddSliceNode(name)
        node.SetFieldOfView(250.0, 250.0, 1.0)
        node.SetDimensions(256, 256, 1)
        logics.AddItem(logic)
    application.SetSliceLogics(logics)
    # They have to live as long as the application.
    state.views += [layout, logics]

    def mapped(*_event: Any) -> None:
        """Which views are in the layout is told by Slicer's layout manager, a widget."""
        shown = layout.GetViewNodes()
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
            node = scene.GetNthNodeByClass(index, "vtkMRMLSliceNode")
            node.SetMappedInLayout(bool(shown.IsItemPresent(node)))

    layout.GetLayoutNode().AddObserver("ModifiedEvent", mapped)
    mapped()


def util(state: Slicer) -> dict[str, Callable[..., Any]]:
    """Functions that take the place of those of slicer.util, with their signatures, as far as they are listed."""
    from . import forms

    def errorDisplay(text, windowTitle=None, parent=None, standardButtons=None, **names):  # type: ignore[no-untyped-def]
        state.errors.append(text)
        state.details.append(names.get("detailedText", ""))

    def infoDisplay(text, windowTitle=None, parent=None, standardButtons=None, **names):  # type: ignore[no-untyped-def]
        state.messages.append(text)

    def confirmOkCancelDisplay(text, windowTitle=None, parent=None, **names):  # type: ignore[no-untyped-def]
        return bool(state.ask(text))

    def selectModule(module):  # type: ignore[no-untyped-def]
        if state.window is None:
            raise RuntimeError("Could not find main window")
        name = module if isinstance(module, str) else module.name
        state.selected.append(name)
        if name != state.shown:
            before, state.shown = state.shown, name
            if before == OURS:
                state.leave()
            if name == OURS:
                state.enter()

    functions = {
        "childWidgetVariables": forms.child_widgets,
        "confirmOkCancelDisplay": confirmOkCancelDisplay,
        "errorDisplay": errorDisplay,
        "getModuleWidget": lambda module: state.widget,
        "infoDisplay": infoDisplay,
        "loadUI": forms.load,
        "mainWindow": lambda: None if state.window is None else StrictObject(state.window),
        "selectModule": selectModule,
        "warningDisplay": infoDisplay,
    }
    # tryWithErrorDisplay, which is Slicer's own, calls errorDisplay.
    return {name: function for name, function in functions.items() if api.listed(f"slicer.util.{name}")}


def sample_data(state: Slicer) -> types.ModuleType:
    """The module SampleData: what is registered there is kept."""

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(  # type: ignore[no-untyped-def]
            category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
            thumbnailFileName=None, loadFileType=None, loadFiles=None, loadFileProperties=None, checksums=None,
        ):  # fmt: skip
            state.samples.append(dict(locals()))

    module = types.ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    return module
