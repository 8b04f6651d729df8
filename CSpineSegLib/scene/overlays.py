"""What lies over the image in the slice views: what an edit changed, and where a model doubts its mask.

Each overlay is a label volume that belongs to nobody's data: it is hidden from Slicer's lists, not saved with the
scene, and goes with the exam. The names of its colours say in words what they mean, as Slicer shows under the mouse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import volume
from ..volume import Volume
from . import images
from .context import Context, require_main_thread
from .reading import read_segmentation

if TYPE_CHECKING:
    from .case import Case

_KIND, _OF, _FORMER = "CSpineSeg.Overlay", "CSpineSeg.OverlayOf", "CSpineSeg.Former."


@dataclass(frozen=True)
class Band:
    """A colour of an overlay: RGB in 0 to 1, and what it says."""

    color: tuple[float, float, float]
    meaning: str
    color_name: str


ADDED, REMOVED, CHANGED = 1, 2, 3
# Green and red as everywhere; the green is light and the red dark, so that they differ for those who see no red.
DIFFERENCE = {
    ADDED: Band((0.35, 1.0, 0.35), "added", "Green"),
    REMOVED: Band((0.90, 0.05, 0.10), "removed", "Red"),
    CHANGED: Band((1.0, 0.75, 0.05), "changed from body to disc or back", "Amber"),
}
# Percent from which a band begins. At the border of every structure, where a voxel holds half of each, 10 to 30 % is
# usual even in masks by experts; from a half on, the model would rather give another label. Ever darker, so that the
# order is seen without the colours.
DOUBT_FROM = (10, 30, 50)
DOUBT = {
    1: Band((1.0, 0.95, 0.55), "10 to 30 % likely to be wrong", "Light yellow"),
    2: Band((1.0, 0.55, 0.0), "30 to 50 % likely to be wrong", "Orange"),
    3: Band((0.70, 0.10, 0.75), "more likely wrong than right", "Purple"),
}


@dataclass(frozen=True)
class _Layer:
    """Where an overlay is shown: the name of a layer in vtkMRMLSliceCompositeNode, and its opacity."""

    name: str
    opacity: float
    bands: dict[int, Band]


_LAYERS = {"difference": _Layer("Label", 0.75, DIFFERENCE), "doubt": _Layer("Foreground", 0.6, DOUBT)}


def show_difference(
    context: Context, case: Case, before: Volume | np.ndarray | None, on: bool, now: np.ndarray | None = None
) -> None:
    """Show (or show no more) what the mask in the scene has that `before` had not, and the other way round.

    The mask's own area is not filled meanwhile, since its colours are alike; its outline stays.

    Parameters
    ----------
    before : a mask on the image's lattice, or labels (I, J, K) on its grid; None: an empty mask.
    now : labels (I, J, K) if they are known already; None: read from the scene.
    """
    require_main_thread("an overlay")
    if not on:
        _remove(context, case, "difference")
        return
    if now is None:
        now = read_segmentation(context, case.segmentation_node, case.image).array
    former = np.zeros_like(now) if before is None else _labels(case, before)
    _show(context, case, "difference", difference(former, now))
    _fill(case, False)


def difference(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """:data:`ADDED`, :data:`REMOVED` and :data:`CHANGED` voxels of two label arrays of one shape, uint8; else 0."""
    result = np.zeros(now.shape, np.uint8)
    apart = before != now
    result[apart] = np.where(before[apart] == 0, ADDED, np.where(now[apart] == 0, REMOVED, CHANGED))
    return result


def show_doubt(context: Context, case: Case, doubt: Volume | None, on: bool) -> None:
    """Show (or show no more) where a model doubts its mask, in the three steps of :data:`DOUBT`.

    Parameters
    ----------
    doubt : the probability in percent, 0 to 100, that a voxel's label is wrong, on the image's lattice; None: hide.
    """
    require_main_thread("an overlay")
    if not on or doubt is None:
        _remove(context, case, "doubt")
        return
    _show(context, case, "doubt", np.digitize(_labels(case, doubt), DOUBT_FROM).astype(np.uint8))


def is_shown(context: Context, case: Case, kind: str) -> bool:
    """Whether the overlay "difference" or "doubt" of an exam is in the scene."""
    return _find(context, case, kind) is not None


def clear(context: Context, case: Case) -> None:
    """Show no overlay of this exam any more, and leave nothing of them in the scene."""
    for kind in _LAYERS:
        _remove(context, case, kind)


def legend(kind: str) -> list[tuple[str, str, tuple[float, float, float]]]:
    """Name of the colour, what it says and the colour itself (RGB, 0 to 1), for each of "difference" or "doubt"."""
    return [(band.color_name, band.meaning, band.color) for band in _LAYERS[kind].bands.values()]


def _labels(case: Case, given: Volume | np.ndarray) -> np.ndarray:
    return given if isinstance(given, np.ndarray) else volume.conform(given, case.image).array


def _show(context: Context, case: Case, kind: str, labels: np.ndarray) -> None:
    node = _find(context, case, kind)
    if node is None:
        node = _add(context, case, kind, labels)
    else:
        image = node.GetImageData()
        images.view(image)[...] = labels
        image.GetPointData().GetScalars().Modified()
        image.Modified()
    node.SetAndObserveTransformNodeID(case.volume_node.GetTransformNodeID())
    layer = _LAYERS[kind]
    for composite in context.nodes("vtkMRMLSliceCompositeNode"):
        former = getattr(composite, f"Get{layer.name}VolumeID")()
        if former == node.GetID():
            continue
        opacity = getattr(composite, f"Get{layer.name}Opacity")()
        node.SetAttribute(_FORMER + composite.GetID(), f"{opacity} {former or ''}")
        getattr(composite, f"Set{layer.name}VolumeID")(node.GetID())
        getattr(composite, f"Set{layer.name}Opacity")(layer.opacity)


def _add(context: Context, case: Case, kind: str, labels: np.ndarray) -> Any:
    from vtkmodules.vtkCommonDataModel import vtkImageData

    node = context.scene.CreateNodeByClass("vtkMRMLLabelMapVolumeNode")
    node.SetName(f"{case.name} {kind}")
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetAttribute(_KIND, kind)
    node.SetAttribute(_OF, case.segmentation_node.GetID())
    context.scene.AddNode(node)
    node.UnRegister(None)
    node.SetIJKToRASMatrix(images.matrix(case.image.affine))
    node.SetAndObserveImageData(images.fill(vtkImageData(), labels))
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetAndObserveColorNodeID(_colors(context, kind).GetID())
    return node


def _colors(context: Context, kind: str) -> Any:
    name = f"CSpineSeg {kind}"
    node = context.scene.GetFirstNode(name, "vtkMRMLColorTableNode")
    if node is not None:
        return node
    bands = _LAYERS[kind].bands
    node = context.scene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.SetName(name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetTypeToUser()
    node.SetNumberOfColors(len(bands) + 1)
    node.SetColor(0, "nothing", 0.0, 0.0, 0.0, 0.0)
    for value, band in bands.items():
        node.SetColor(value, band.meaning, *band.color, 1.0)
    context.scene.AddNode(node)
    node.UnRegister(None)
    return node


def _find(context: Context, case: Case, kind: str) -> Any:
    of = case.segmentation_node.GetID()
    for node in context.nodes("vtkMRMLLabelMapVolumeNode"):
        if (node.GetAttribute(_KIND), node.GetAttribute(_OF)) == (kind, of):
            return node
    return None


def _remove(context: Context, case: Case, kind: str) -> None:
    node = _find(context, case, kind)
    if node is None:
        return
    layer = _LAYERS[kind]
    for composite in context.nodes("vtkMRMLSliceCompositeNode"):
        if getattr(composite, f"Get{layer.name}VolumeID")() != node.GetID():
            continue
        opacity, _, former = (node.GetAttribute(_FORMER + composite.GetID()) or "1.0 ").partition(" ")
        getattr(composite, f"Set{layer.name}VolumeID")(former if context.scene.GetNodeByID(former) else None)
        getattr(composite, f"Set{layer.name}Opacity")(float(opacity))
    context.remove(node)
    if kind == "difference":
        _fill(case, True)


def _fill(case: Case, on: bool) -> None:
    """Fill the mask's area in the slice views; a display node that was deleted shows nothing of it anyway."""
    display = case.segmentation_node.GetDisplayNode()
    if display is not None:
        display.SetVisibility2DFill(on)
