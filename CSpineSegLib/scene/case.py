"""An exam in the scene: volume, segmentation, and the patient's folder in the subject hierarchy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import anatomy
from ..volume import Volume
from ..volume.grid import scaling
from . import images, levels, overlays
from .context import Context, require_main_thread
from .segmentation import add_segmentation_node, fitted

PATIENT_ATTRIBUTE = "CSpineSeg.PatientID"
# In T2, fat and fluid are the brightest few percent of a neck; a window that ends within them shows bodies and discs,
# which are dark, and still tells the cord from the fluid around it.
WINDOW_PERCENTILES = (1.0, 98.0)
_ENOUGH = 500_000


@dataclass(frozen=True, eq=False)
class Case:
    """An exam that is in the scene.

    Parameters
    ----------
    name : the exam's stem or file name; patient_id : what the folder is called.
    image : what was loaded; edits are read back onto its grid.
    volume_node, segmentation_node : in the scene. folder : the patient's item in the subject hierarchy.
    warnings : sentences about what was tolerated on loading.
    """

    name: str
    patient_id: str
    image: Volume
    volume_node: Any
    segmentation_node: Any
    folder: int
    warnings: tuple[str, ...] = ()


def load_case(context: Context, image: Volume, mask: Volume | None = None, *, name: str, patient_id: str) -> Case:
    """Put an exam and its mask into the scene; without a mask, two empty segments that can be painted.

    The volume node gets the image's own voxel order and affine, also a left-handed one, since no file is read again.

    Raises
    ------
    InputError, GeometryError : the mask holds other labels than 0, 1, 2, or does not lie on the image;
        nothing is added then.
    CSpineSegError : called from another thread than the main one.
    """
    require_main_thread("loading an exam")
    if mask is not None:
        mask = fitted(mask, image)
    volume_node = _add_volume_node(context, image, name)
    segmentation_node = add_segmentation_node(context, mask, image, volume_node, f"{name}_SEG")
    folder = _patient_folder(context, patient_id)
    for node in (volume_node, segmentation_node):
        file_under(context.subject_hierarchy, folder, node)
        node.SetAttribute(PATIENT_ATTRIBUTE, patient_id)
    warnings = image.warnings + (mask.warnings if mask is not None else ())
    return Case(name, patient_id, image, volume_node, segmentation_node, folder, warnings)


def close_case(context: Context, case: Case) -> None:
    """Remove an exam's nodes, overlays and levels, and the patient's folder if nothing else is in it."""
    require_main_thread("closing an exam")
    overlays.clear(context, case)
    levels.clear(context, case)
    for node in (case.segmentation_node, case.volume_node):
        context.remove(node)
    if context.subject_hierarchy.GetNumberOfItemChildren(case.folder) == 0:
        context.subject_hierarchy.RemoveItem(case.folder)


def structure_key(label_or_key: int | str) -> str:
    """The segment id of a label value (1 or 2) or key ("bodies" or "discs"); InputError for anything else."""
    for structure in anatomy.STRUCTURES:
        if label_or_key in (structure.label, structure.key):
            return structure.key
    return anatomy.structure(label_or_key).key


def window(intensities: np.ndarray) -> tuple[float, float]:
    """Lower and upper end of a display window: percentiles of the voxels, at least 1 apart.

    Of millions of voxels, half a million evenly spread ones tell the same in a tenth of the time.
    """
    voxels = intensities.ravel(order="K")
    low, high = np.percentile(voxels[:: max(1, voxels.size // _ENOUGH)], WINDOW_PERCENTILES)
    return float(low), float(max(high, low + 1.0))


def _add_volume_node(context: Context, image: Volume, name: str) -> Any:
    from vtkmodules.vtkCommonDataModel import vtkImageData

    # Stored integers stay integers; only a header with an intensity scale needs other values than the stored ones.
    array = image.array if scaling(image.header) == (1.0, 0.0) else image.intensities()
    node = context.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(images.matrix(image.affine))
    # Before there are voxels, as a display node that sees some looks for a window of its own in all of them.
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(*window(array))
    node.SetAndObserveImageData(images.fill(vtkImageData(), array))
    # Slicer flips left-handed grids when it reads a file; a saved scene then still opens with this voxel order.
    node.AddDefaultStorageNode()
    node.GetStorageNode().SetForceRightHandedIJKCoordinateSystem(False)
    return node


def file_under(hierarchy: Any, folder: int, node: Any) -> None:
    """Put a node into a folder of the subject hierarchy, once."""
    # Slicer's plugins have made an item for the node by now; on slicer-core nobody does.
    item = hierarchy.GetItemByDataNode(node)
    if item == hierarchy.GetInvalidItemID():
        hierarchy.CreateItem(folder, node)
    else:
        hierarchy.SetItemParent(item, folder)


def _patient_folder(context: Context, patient_id: str) -> int:
    """The patient's folder in the subject hierarchy, made if it is not there; found by id even if it was renamed."""
    from vtkmodules.vtkCommonCore import vtkIdList

    hierarchy = context.subject_hierarchy
    identifiers = vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), identifiers, True)
    for index in range(identifiers.GetNumberOfIds()):
        item = identifiers.GetId(index)
        is_folder = hierarchy.GetItemDataNode(item) is None
        if is_folder and hierarchy.GetItemAttribute(item, PATIENT_ATTRIBUTE) == patient_id:
            return item
    item = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), patient_id)
    hierarchy.SetItemAttribute(item, PATIENT_ATTRIBUTE, patient_id)
    return item
