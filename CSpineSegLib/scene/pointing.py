"""One click into a view, as a place of the exam's image: Slicer's own way to place a point, for one point only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from .case import Case
from .context import Context, require_main_thread
from .guard import Watch

_POINT = "vtkMRMLMarkupsFiducialNode"


class Pointing:
    """Waits until somebody clicks a place in a view, or gives up.

    Parameters
    ----------
    name : what is pointed at, shown beside the mouse.
    happened : called without arguments as soon as there is a place, or another mouse mode was chosen. Whoever calls it
        is in the midst of handling the click: ask for the place and close this a moment later.
    """

    def __init__(self, context: Context, case: Case, name: str, happened: Callable[[], None]) -> None:
        require_main_thread("pointing at a place")
        self._context = context
        self._selection = context.application.GetSelectionNode()
        self._interaction = context.application.GetInteractionNode()
        self._former = self._selection.GetActivePlaceNodeID()
        self._former_class = self._selection.GetActivePlaceNodeClassName()
        self._former_persistence = self._interaction.GetPlaceModePersistence()
        self._node = self._add(case, name)
        self._watch = Watch(happened)
        self._begin()

    def _add(self, case: Case, name: str) -> Any:
        node = self._context.scene.CreateNodeByClass(_POINT)
        node.SetName(f"{case.name} {name}")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.SetMaximumNumberOfControlPoints(1)
        node.SetControlPointLabelFormat(name)
        self._context.scene.AddNode(node)
        # The scene holds it now; what a factory returns is held once more.
        node.UnRegister(None)
        node.CreateDefaultDisplayNodes()
        # Places are told in the image's own coordinates, as those of the levels.
        node.SetAndObserveTransformNodeID(case.volume_node.GetTransformNodeID())
        return node

    def _begin(self) -> None:
        self._selection.SetReferenceActivePlaceNodeClassName(_POINT)
        self._selection.SetActivePlaceNodeID(self._node.GetID())
        self._interaction.SetPlaceModePersistence(0)
        self._interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)
        self._watch.add(self._node, slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent)
        self._watch.add(self._interaction, slicer.vtkMRMLInteractionNode.InteractionModeChangedEvent)

    @property
    def place(self) -> tuple[float, float, float] | None:
        """The place (RAS, mm) in the image's own coordinates; None if none was clicked."""
        defined = slicer.vtkMRMLMarkupsNode.PositionDefined
        for index in range(self._node.GetNumberOfControlPoints()):
            if self._node.GetNthControlPointPositionStatus(index) == defined:
                return tuple(float(value) for value in self._node.GetNthControlPointPosition(index))
        return None

    def close(self) -> None:
        """Wait no more; the mouse does what it did before, and nothing stays in the scene."""
        self._watch.close()
        placing = slicer.vtkMRMLInteractionNode.Place
        if self._interaction.GetCurrentInteractionMode() == placing and self._is_active():
            self._interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
        self._interaction.SetPlaceModePersistence(self._former_persistence)
        if self._is_active():
            self._selection.SetReferenceActivePlaceNodeClassName(self._former_class)
            self._selection.SetActivePlaceNodeID(self._former)
        if self._context.scene.IsNodePresent(self._node):
            self._context.remove(self._node)

    def _is_active(self) -> bool:
        return self._selection.GetActivePlaceNodeID() == self._node.GetID()
