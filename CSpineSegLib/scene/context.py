"""The scene and its logics, the same way inside Slicer and on slicer-core."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import slicer

from .. import anatomy, resources
from ..errors import CSpineSegError, InputError

COLOR_TABLE = "CSpineSeg labels"


@dataclass(frozen=True, eq=False)
class Context:
    """A MRML scene with the logics that the scene room needs.

    Parameters
    ----------
    scene : vtkMRMLScene.
    application : vtkMRMLApplicationLogic of that scene.
    segmentations : vtkSlicerSegmentationsModuleLogic of that scene.
    in_slicer : True inside the Slicer application.
    """

    scene: Any
    application: Any
    segmentations: Any
    in_slicer: bool

    @classmethod
    def create(cls) -> Context:
        """Slicer's own scene where the application runs, else a new scene with the logics wired to it."""
        require_main_thread("making a scene")
        scene = getattr(slicer, "mrmlScene", None)
        if scene is not None:
            return cls(scene, slicer.app.applicationLogic(), slicer.modules.segmentations.logic(), True)
        return cls._standalone()

    @classmethod
    def _standalone(cls) -> Context:
        scene = slicer.vtkMRMLScene()
        application = slicer.vtkSlicerApplicationLogic()
        application.SetMRMLScene(scene)
        colors = application.GetColorLogic()
        colors.SetMRMLScene(scene)
        colors.AddDefaultColorNodes()
        application.SetModuleLogic("Colors", colors)
        segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
        segmentations.SetMRMLScene(scene)
        segmentations.SetMRMLApplicationLogic(application)
        application.SetModuleLogic("Segmentations", segmentations)
        # What Slicer's Markups module does: without, points are left out of a saved scene.
        scene.RegisterNodeClass(slicer.vtkMRMLMarkupsJsonStorageNode())
        return cls(scene, application, segmentations, False)

    @property
    def subject_hierarchy(self) -> Any:
        """The scene's vtkMRMLSubjectHierarchyNode."""
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)

    def nodes(self, kind: str) -> list[Any]:
        """All nodes of the scene of a class, for instance "vtkMRMLSegmentationNode"."""
        found = self.scene.GetNodesByClass(kind)
        return [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]

    def remove(self, node: Any) -> None:
        """Remove a displayable node with its display and storage nodes and its item in the subject hierarchy."""
        helpers = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
        helpers += [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
        # Slicer's plugins would remove the item with the node; on slicer-core nobody does.
        item = self.subject_hierarchy.GetItemByDataNode(node)
        if item != self.subject_hierarchy.GetInvalidItemID():
            self.subject_hierarchy.RemoveItem(item, False)
        for unwanted in (node, *helpers):
            if unwanted is not None:
                self.scene.RemoveNode(unwanted)

    def color_table(self) -> Any:
        """The table of our two labels, read once per scene from `Resources/ColorTables`.

        Slicer's export gives segments the values of the table's entries with the same terminology or name; without it
        values follow the order of the list.
        """
        node = self.scene.GetFirstNode(COLOR_TABLE, "vtkMRMLColorTableNode")
        if node is not None:
            return node
        path = resources.path("ColorTables", "CSpineSeg.csv")
        node = self.scene.AddNewNodeByClass("vtkMRMLColorTableNode", COLOR_TABLE)
        storage = slicer.vtkMRMLColorTableStorageNode()
        storage.SetFileName(str(path))
        if not storage.ReadData(node):
            self.scene.RemoveNode(node)
            raise InputError(f"The colour table {path} cannot be read; reinstall the package.")
        node.SetName(COLOR_TABLE)
        # It belongs to the package, so that saving a scene must not ask for a file of it.
        node.SetSaveWithScene(False)
        _check_table(node, path)
        return node


def _check_table(node: Any, path: Any) -> None:
    for structure in anatomy.STRUCTURES:
        if node.GetColorName(structure.label) != structure.name:
            raise InputError(f"The colour table {path} does not name label {structure.label} {structure.name!r}.")


def require_main_thread(what: str) -> None:
    """MRML is not thread-safe: a crash later and elsewhere is what a second thread would earn.

    Raises
    ------
    CSpineSegError : called from any thread but the main one.
    """
    if threading.current_thread() is not threading.main_thread():
        raise CSpineSegError(
            f"The scene may only be used from the main thread, but {what} was asked for in thread "
            f"{threading.current_thread().name!r}; read and compute there, and hand the volumes to the main thread."
        )
