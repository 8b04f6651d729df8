"""What the slice views show: an exam in its own sagittal slices, the middle one first.

Only MRML nodes are used, so that it is the same in Slicer, where views follow them, and without any view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer

from . import images
from .case import Case
from .context import Context, require_main_thread

# Slicer's view for sagittal slices.
VIEW = "Yellow"
_ALONE = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView
# Slicer describes its layouts itself; a layout node outside it knows none.
_DESCRIPTION = f'<layout><item><view class="vtkMRMLSliceNode" singletontag="{VIEW}"/></item></layout>'
# Where a view's right, its upper edge and its normal point, as in Slicer's own presets.
SAGITTAL, CORONAL, AXIAL = "PSL", "LSA", "LAS"
# Layout nodes that were arranged once carry this, so that a reviewer's own layout is kept from exam to exam.
_ARRANGED = "CSpineSeg.Arranged"
# Cosine of the angle up to which a view counts as sagittal.
_NEAR = 0.7
_PAIRS = ("LR", "PA", "IS")


def show(context: Context, case: Case, *, stay: bool = False) -> int:
    """Show an exam's image in the slice views, and its middle sagittal slice alone in the layout.

    Every view is turned into the image's own planes, so that an oblique exam is seen as it was taken, and shows all of
    it. The layout is changed if no sagittal view is in it, and the first time; a reviewer's own choice is then kept.

    Parameters
    ----------
    stay : another mask of the exam that is shown was opened: slice, zoom and layout stay as they are.

    Returns
    -------
    The slice that is shown, counted along the image's left-right axis from 0.
    """
    require_main_thread("showing an exam")
    if not stay:
        _arrange(context, case)
    for composite in context.nodes("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(case.volume_node.GetID())
    if stay:
        return shown(context, case)
    chosen = sagittal_view(context, case)
    for node in context.nodes("vtkMRMLSliceNode"):
        _fit(node, case, SAGITTAL if node is chosen else _plane(node, case))
    middle = case.image.shape[case.image.sagittal_axis] // 2
    _jump(chosen, _slice_centre(case, middle))
    return middle


def step(context: Context, case: Case, by: int) -> int:
    """Show another sagittal slice: `by` slices towards the patient's left (negative: right), at most the outermost.

    Returns the slice that is shown then, counted as :func:`show` does.
    """
    require_main_thread("stepping through slices")
    axis = case.image.sagittal_axis
    toward_left = 1 if case.image.orientation[axis] == "L" else -1
    index = int(np.clip(shown(context, case) + by * toward_left, 0, case.image.shape[axis] - 1))
    _jump(sagittal_view(context, case), _slice_centre(case, index))
    return index


def shown(context: Context, case: Case) -> int:
    """The sagittal slice that is shown, or the nearest one, counted as :func:`show` does."""
    axis = case.image.sagittal_axis
    matrix = images.array_of_matrix(sagittal_view(context, case).GetSliceToRAS())
    index = np.linalg.solve(_to_world(case), matrix[:, 3])[axis]
    return int(np.clip(round(float(index)), 0, case.image.shape[axis] - 1))


def look_at(context: Context, case: Case, place: Sequence[float]) -> int:
    """Show the sagittal slice nearest to a place of the image (RAS, mm), and the place in it if it is outside the view.

    The other views go to the place, too. Returns the slice, counted as :func:`show` does.
    """
    require_main_thread("looking at a place")
    axis = case.image.sagittal_axis
    index = np.linalg.solve(case.image.affine, np.array([*place, 1.0]))
    index[axis] = np.clip(round(float(index[axis])), 0, case.image.shape[axis] - 1)
    world = (_to_world(case) @ index)[:3]
    chosen = sagittal_view(context, case)
    for node in context.nodes("vtkMRMLSliceNode"):
        _jump(node, world)
    inside = np.linalg.solve(images.array_of_matrix(chosen.GetXYToRAS()), np.array([*world, 1.0]))[:2]
    if not ((inside >= 0) & (inside <= chosen.GetDimensions()[:2])).all():
        chosen.JumpSliceByCentering(*world)
    return int(index[axis])


def sagittal_view(context: Context, case: Case) -> Any:
    """The vtkMRMLSliceNode in which sagittal slices are seen: of those in the layout, Slicer's own for them if it can.

    Where there is no view at all, as outside Slicer, one is made that nobody sees.
    """
    _need_view(context)
    nodes = context.nodes("vtkMRMLSliceNode")
    sagittal = [node for node in nodes if _plane(node, case) == SAGITTAL]
    own = [node for node in nodes if node.GetLayoutName() == VIEW]
    ranked = sorted(sagittal, key=lambda node: (node.IsMappedInLayout(), node.GetLayoutName() == VIEW), reverse=True)
    return [*ranked, *own, *nodes][0]


def _arrange(context: Context, case: Case) -> None:
    layout = context.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    if layout is None:
        layout = context.scene.AddNewNodeByClass("vtkMRMLLayoutNode")
        layout.AddLayoutDescription(_ALONE, _DESCRIPTION)
    if layout.GetAttribute(_ARRANGED) and sagittal_view(context, case).IsMappedInLayout():
        return
    layout.SetViewArrangement(_ALONE)
    layout.SetAttribute(_ARRANGED, "yes")
    _need_view(context)
    own = next((node for node in context.nodes("vtkMRMLSliceNode") if node.GetLayoutName() == VIEW), None)
    if own is not None:
        _turn(own, case, SAGITTAL)


def _need_view(context: Context) -> None:
    if context.nodes("vtkMRMLSliceNode"):
        return
    for kind in ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode"):
        node = context.scene.CreateNodeByClass(kind)
        node.SetName(VIEW)
        node.SetLayoutName(VIEW)
        context.scene.AddNode(node)
        # The scene holds it now; what a factory returns is held once more.
        node.UnRegister(None)


def _plane(node: Any, case: Case) -> str:
    """Which of the image's planes a view is nearest to."""
    normal = images.array_of_matrix(node.GetSliceToRAS())[:3, 2]
    directions = _directions(case)
    for plane in (SAGITTAL, CORONAL, AXIAL):
        if abs(normal @ directions[_axis(case, plane[2])]) >= _NEAR:
            return plane
    return AXIAL


def _fit(node: Any, case: Case, plane: str) -> None:
    """Turn a view into a plane of the image, centre the image in it and show all of it."""
    modified = node.StartModify()
    _turn(node, case, plane)
    extents = np.array(case.image.shape) * case.image.spacing
    across, up, through = (_axis(case, letter) for letter in plane)
    width, height, count = (max(size, 1) for size in node.GetDimensions())
    millimetres = max(extents[across] / width, extents[up] / height)
    thickness = float(case.image.spacing[through])
    node.SetFieldOfView(millimetres * width, millimetres * height, thickness * count)
    node.SetXYZOrigin(0.0, 0.0, 0.0)
    node.EndModify(modified)


def _turn(node: Any, case: Case, plane: str) -> None:
    matrix = np.eye(4)
    directions, orientation = _directions(case), case.image.orientation
    for column, letter in enumerate(plane):
        axis = _axis(case, letter)
        matrix[:3, column] = directions[axis] * (1 if orientation[axis] == letter else -1)
    middle = (np.array(case.image.shape) - 1) / 2
    matrix[:, 3] = _to_world(case) @ [*middle, 1.0]
    node.GetSliceToRAS().DeepCopy(images.matrix(matrix))
    node.UpdateMatrices()


def _axis(case: Case, letter: str) -> int:
    """The image's array axis that runs in the direction of a letter, or against it."""
    pair = next(pair for pair in _PAIRS if letter in pair)
    return next(axis for axis, found in enumerate(case.image.orientation) if found in pair)


def _directions(case: Case) -> np.ndarray:
    """(3, 3): row n is the unit vector in the world along the image's array axis n."""
    columns = _to_world(case)[:3, :3]
    return (columns / np.linalg.norm(columns, axis=0)).T


def _to_world(case: Case) -> np.ndarray:
    """(4, 4) from voxel indices to the world's RAS, mm: the image may be moved by a linear transform."""
    matrix = images.matrix(np.eye(4))
    parent = case.volume_node.GetParentTransformNode()
    if parent is None or not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(parent, None, matrix):
        return case.image.affine
    return images.array_of_matrix(matrix) @ case.image.affine


def _slice_centre(case: Case, index: int) -> np.ndarray:
    middle = (np.array(case.image.shape) - 1) / 2
    middle[case.image.sagittal_axis] = index
    return (_to_world(case) @ [*middle, 1.0])[:3]


def _jump(node: Any, world: np.ndarray) -> None:
    node.JumpSliceByOffsetting(*(float(value) for value in world))
