"""slicer.app, slicer.modules and the parts of slicer.util that talk to the user: what they show is recorded."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

from .state import Slicer
from .strict import Attribute, Listed, StrictObject, wrap

OURS = "CSpineSeg"
SLICES = ("Red", "Yellow", "Green")


def app(state: Slicer) -> Listed:
    """The running application."""
    from PySide6 import QtWidgets

    def settings() -> Any:
        import qt

        return qt.QSettings()

    return Listed(
        "slicer.app",
        ("testingEnabled", "layoutManager", "applicationLogic", "setOverrideCursor", "restoreOverrideCursor"),
        applicationLogic=lambda: state.context.application,
        applicationName="Slicer",
        applicationVersion="5.13.0",
        clipboard=lambda: wrap(QtWidgets.QApplication.clipboard()),
        connect=lambda signal, function: state.started.append((signal, function)),
        layoutManager=lambda: layout_manager(state),
        mrmlScene=lambda: state.context.scene,
        palette=lambda: wrap(QtWidgets.QApplication.palette()),
        processEvents=QtWidgets.QApplication.processEvents,
        restoreOverrideCursor=lambda: None,
        setOverrideCursor=lambda cursor: None,
        settings=settings,
        testingEnabled=lambda: state.testing,
        userSettings=settings,
    )


def modules(state: Slicer) -> Listed:
    def segment_editor() -> Any:
        from .editor import qMRMLSegmentEditorWidget

        if state.editor is None:
            state.editor = qMRMLSegmentEditorWidget()
        return types.SimpleNamespace(self=lambda: types.SimpleNamespace(editor=StrictObject(state.editor)))

    return Listed(
        "slicer.modules",
        ("segmentations",),
        segmentations=types.SimpleNamespace(logic=lambda: state.context.segmentations),
        segmenteditor=types.SimpleNamespace(widgetRepresentation=segment_editor),
    )


def layout_manager(state: Slicer) -> Listed | None:
    """The slice views with their real nodes and logics, and no picture; None without a main window."""
    if state.window is None:
        return None
    if state.layouts is None:
        state.layouts = _layouts(state)
    return state.layouts


def _layouts(state: Slicer) -> Listed:
    import slicer
    import vtk

    scene, application = state.context.scene, state.context.application
    arrangement = scene.AddNewNodeByClass("vtkMRMLLayoutNode")
    arrangement.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    logics, widgets = vtk.vtkCollection(), {}
    for name in SLICES:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLScene(scene)
        node = logic.AddSliceNode(name)
        node.SetFieldOfView(250.0, 250.0, 1.0)
        node.SetDimensions(256, 256, 1)
        logics.AddItem(logic)
        widgets[name] = _slice_widget(logic, node)
    application.SetSliceLogics(logics)
    return Listed(
        "slicer.qMRMLLayoutManager",
        ("sliceViewNames", "sliceWidget", "mrmlSliceLogics"),
        layout=Attribute(arrangement.GetViewArrangement, arrangement.SetViewArrangement),
        mrmlSliceLogics=lambda: logics,
        resetSliceViews=lambda: [logics.GetItemAsObject(index).FitSliceToBackground() for index in range(3)],
        setLayout=arrangement.SetViewArrangement,
        sliceViewNames=lambda: SLICES,
        sliceWidget=lambda name: widgets.get(name),
        threeDViewCount=Attribute(lambda: 0),
        threeDWidget=lambda index: None,
    )


def _slice_widget(logic: Any, node: Any) -> Listed:
    view = Listed("slicer.qMRMLSliceView", scheduleRender=lambda: None, forceRender=lambda: None)
    return Listed(
        "slicer.qMRMLSliceWidget",
        ("mrmlSliceNode",),
        fitSliceToBackground=logic.FitSliceToBackground,
        mrmlSliceCompositeNode=logic.GetSliceCompositeNode,
        mrmlSliceNode=lambda: node,
        sliceLogic=lambda: logic,
        sliceView=lambda: view,
    )


def util(state: Slicer) -> dict[str, Callable[..., Any]]:
    """Functions that take the place of those of slicer.util, with their signatures."""
    import slicer.util

    from . import forms

    show_layers = slicer.util.setSliceViewerLayers

    def errorDisplay(text, windowTitle=None, parent=None, standardButtons=None, **names):  # type: ignore[no-untyped-def]
        state.errors.append(text)
        state.details.append(names.get("detailedText", ""))

    def infoDisplay(text, windowTitle=None, parent=None, standardButtons=None, **names):  # type: ignore[no-untyped-def]
        state.messages.append(text)

    def confirmOkCancelDisplay(text, windowTitle=None, parent=None, **names):  # type: ignore[no-untyped-def]
        return bool(state.ask(text))

    def setSliceViewerLayers(*words, **names):  # type: ignore[no-untyped-def]
        state.views.append(inspect.signature(show_layers).bind(*words, **names).arguments)
        show_layers(*words, **names)

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

    def settingsValue(key, default, converter=lambda value: value, settings=None):  # type: ignore[no-untyped-def]
        import qt

        stored = (settings or qt.QSettings()).wrapped
        return converter(stored.value(key)) if stored.contains(key) else default

    return {
        "childWidgetVariables": forms.child_widgets,
        "confirmOkCancelDisplay": confirmOkCancelDisplay,
        "confirmYesNoDisplay": confirmOkCancelDisplay,
        "delayDisplay": infoDisplay,
        "errorDisplay": errorDisplay,
        "getModuleWidget": lambda module: state.widget,
        "infoDisplay": infoDisplay,
        "loadUI": forms.load,
        "mainWindow": lambda: None if state.window is None else StrictObject(state.window),
        "messageBox": infoDisplay,
        "selectModule": selectModule,
        "setSliceViewerLayers": setSliceViewerLayers,
        "settingsValue": settingsValue,
        "showStatusMessage": lambda message, duration=0: state.messages.append(message),
        "warningDisplay": infoDisplay,
    }


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
