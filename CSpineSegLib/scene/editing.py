"""Edits through Slicer's own segment editor logic, for scripts, the demo and tests: paint, erase, undo, redo."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import slicer

from .. import volume
from ..errors import CSpineSegError, InputError
from ..volume import Volume
from . import images
from .case import Case, structure_key
from .context import Context, require_main_thread
from .segmentation import segments

UNDO_STEPS = 20


class Editor:
    """Edits the segmentation of one case as the Segment Editor does.

    Painting takes voxels from the other segment (overwrite mode "all segments"), so bodies and discs never overlap.

    Raises
    ------
    CSpineSegError : made or used in another thread than the main one, or Slicer's logic refused an edit.
    """

    def __init__(self, context: Context, case: Case) -> None:
        require_main_thread("editing")
        self._case = case
        self._node = slicer.vtkMRMLSegmentEditorNode()
        self._scene = context.scene
        self._scene.AddNode(self._node)
        self._node.SetAndObserveSegmentationNode(case.segmentation_node)
        self._node.SetAndObserveSourceVolumeNode(case.volume_node)
        self._node.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments)
        self._node.SetMaskMode(slicer.vtkMRMLSegmentationNode.EditAllowedEverywhere)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._logic.SetMRMLScene(context.scene)
        self._logic.SetSegmentEditorNode(self._node)
        # One more than steps: undoing the first time keeps the present state too, to come back to.
        self._logic.SetMaximumNumberOfUndoStates(UNDO_STEPS + 1)

    def paint_sphere(
        self, segment: int | str, centre_ras: Sequence[float], radius_mm: float, erase: bool = False
    ) -> int:
        """Add (or erase) the voxels whose centres lie within a sphere, and return how many lie in it.

        Parameters
        ----------
        segment : label value or key, 1 or "bodies", 2 or "discs".
        centre_ras : (3,) RAS mm; radius_mm : mm.
        erase : only voxels of this segment are erased.
        """
        return self._edit(segment, lambda lattice: sphere(lattice.affine, lattice.shape, centre_ras, radius_mm), erase)

    def paint_voxels(self, segment: int | str, voxels: np.ndarray, erase: bool = False) -> int:
        """Add (or erase) the True voxels of a boolean array on the image's grid, and return how many they are."""
        image = self._case.image
        if voxels.shape != image.shape:
            raise InputError(
                f"Voxels of shape {voxels.shape} do not lie on {self._case.name}, which has {image.shape}."
            )
        drawn = volume.from_array(voxels.astype(np.uint8), image.affine)
        return self._edit(segment, lambda lattice: volume.conform(drawn, lattice).array != 0, erase)

    @property
    def can_undo(self) -> bool:
        """Is there an edit to undo?"""
        return bool(self._logic.CanUndo())

    @property
    def can_redo(self) -> bool:
        """Is there an undone edit to redo?"""
        return bool(self._logic.CanRedo())

    def undo(self) -> None:
        """Take back the last edit; nothing happens if there is none."""
        require_main_thread("undo")
        self._logic.Undo()

    def redo(self) -> None:
        """Repeat the last edit that was taken back; nothing happens if there is none."""
        require_main_thread("redo")
        self._logic.Redo()

    def close(self) -> None:
        """Forget the undo states and leave the scene as if there had been no editor."""
        self._logic.ClearUndoState()
        self._logic.SetSegmentEditorNode(None)
        self._scene.RemoveNode(self._node)

    def _edit(self, segment: int | str, where: Callable[[Volume], np.ndarray], erase: bool) -> int:
        """One undoable edit; `where` says which voxels of the logic's own lattice it concerns."""
        require_main_thread("editing")
        key = structure_key(segment)
        node, logic = self._case.segmentation_node, self._logic
        if key not in segments(node):
            raise InputError(f"The segment {key!r} was deleted from the segmentation of {self._case.name}.")
        self._node.SetSelectedSegmentID(key)
        if not logic.ResetModifierLabelmapToDefault():
            raise CSpineSegError(f"The segmentation of {self._case.name} has no reference geometry; load it again.")
        modifier = logic.GetModifierLabelmap()
        lattice = images.volume_of_image(modifier)
        voxels = where(lattice)
        count = int(np.count_nonzero(voxels))
        if count == 0:
            return 0
        # The modifier is 0 or 1; the logic turns it into the segment's own value on a shared labelmap.
        lattice.array[voxels] = 1
        modifier.Modified()
        if not logic.SaveStateForUndo():
            raise CSpineSegError(f"The state of {self._case.name} could not be kept for undo; nothing was edited.")
        mode = logic.ModificationModeRemove if erase else logic.ModificationModeAdd
        logic.ModifySegmentByLabelmap(node, key, modifier, mode, False, False)
        return count


def sphere(
    affine: np.ndarray, shape: tuple[int, int, int], centre_ras: Sequence[float], radius_mm: float
) -> np.ndarray:
    """Boolean (I, J, K): voxels whose centres lie at most `radius_mm` from `centre_ras` (RAS mm)."""
    axes = np.ogrid[tuple(slice(size) for size in shape)]
    squared = np.zeros(shape)
    for row, centre in zip(affine[:3], centre_ras, strict=True):
        squared += (row[0] * axes[0] + row[1] * axes[1] + row[2] * axes[2] + (row[3] - centre)) ** 2
    return squared <= radius_mm**2
