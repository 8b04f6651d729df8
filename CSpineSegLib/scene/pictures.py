"""Pictures of a case as it is in the scene: a sagittal slice with the mask on it, and the mask's surfaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer

from .. import anatomy, files, volume
from ..errors import InputError
from . import images, rendering
from .case import Case
from .context import Context, require_main_thread
from .reading import read_segmentation
from .segmentation import FILL_OPACITY, LABELMAP, segments

HEIGHT = 900
# Left to right is anterior to posterior and upwards is superior: how a sagittal slice is read.
SAGITTAL = "PSR"
SURFACE = "Closed surface"
SMOOTHING = "0.5"
SURFACE_ASPECT = 0.7
VIEW_FROM = (-0.85, 0.5, 0.2)
LETTERS = (("A", 0.01, 0.5, "lc"), ("P", 0.99, 0.5, "rc"), ("S", 0.5, 0.99, "ct"), ("I", 0.5, 0.01, "cb"))
LETTER = (1.0, 0.85, 0.3)


def slice_picture(
    context: Context, case: Case, path: Path | str, *, slice_index: int | None = None, height: int = HEIGHT
) -> Path:
    """Write a PNG of one sagittal slice with the mask's area and outline; superior is up, anterior left.

    Parameters
    ----------
    slice_index : along the image's left-right axis; None for the middle of the mask, or of the image without one.
    height : of the picture, pixels; the width follows from the slice's extent in mm.

    Raises
    ------
    CSpineSegError : nothing can be rendered here. InputError : no such slice, or the segmentation cannot be read.
    WriteError : the file cannot be written.
    """
    return _write(path, _slice_pixels(context, case, slice_index, height))


def surface_picture(context: Context, case: Case, path: Path | str, *, height: int = HEIGHT) -> Path:
    """Write a PNG of the smoothed surfaces, seen from the left and a little from the front; errors as above."""
    return _write(path, _surface_pixels(context, case, height))


def picture(context: Context, case: Case, path: Path | str, *, height: int = HEIGHT) -> Path:
    """Write one PNG with slice and surfaces side by side; errors as above."""
    parts = (_slice_pixels(context, case, None, height), _surface_pixels(context, case, height))
    return _write(path, np.hstack(parts))


def _write(path: Path | str, rgb: np.ndarray) -> Path:
    if Path(path).suffix.lower() != ".png":
        raise InputError(f"{path} is not named as a picture; use a name that ends in .png.")
    files.write_verified(path, rendering.png(rgb))
    return Path(path)


def _slice_pixels(context: Context, case: Case, slice_index: int | None, height: int) -> np.ndarray:
    from vtkmodules.vtkRenderingCore import vtkRenderer

    require_main_thread("a picture")
    shown = images.volume_of_node(case.volume_node)
    mask = read_segmentation(context, case.segmentation_node, case.image)
    index, total = _sagittal_index(mask, slice_index), mask.shape[mask.sagittal_axis]
    plane = np.take(shown.array, [index], axis=shown.sagittal_axis)
    grey = volume.reorient(volume.from_array(plane, shown.affine), SAGITTAL)
    labels = volume.reorient(
        volume.from_array(np.take(mask.array, [index], axis=mask.sagittal_axis), mask.affine), SAGITTAL
    )
    renderer = vtkRenderer()
    spacing, size = grey.spacing[:2], np.array(grey.shape[:2])
    display = case.volume_node.GetDisplayNode()
    renderer.AddViewProp(_grey_slice(grey.array[:, :, 0], spacing, display.GetWindow(), display.GetLevel()))
    for prop in _overlay(labels.array[:, :, 0], spacing):
        renderer.AddViewProp(prop)
    for letter, x, y, anchor in LETTERS:
        renderer.AddViewProp(rendering.label(letter, (x, y), height // 26, LETTER, anchor))
    caption = f"{case.name}\nslice {index + 1} of {total}"
    renderer.AddViewProp(rendering.label(caption, (0.01, 0.99), height // 50, (1.0, 1.0, 1.0), "lt"))
    for row, structure in enumerate(reversed(anatomy.STRUCTURES)):
        where = (0.01, 0.01 + 0.028 * row)
        renderer.AddViewProp(rendering.label(structure.name, where, height // 50, structure.color, "lb"))
    extent = size * spacing
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    middle = (extent - spacing) / 2
    camera.SetFocalPoint(*middle, 0.0)
    camera.SetPosition(*middle, 100.0)
    camera.SetViewUp(0.0, 1.0, 0.0)
    camera.SetParallelScale(float(extent[1]) / 2)
    camera.SetClippingRange(1.0, 200.0)
    width = max(round(height * float(extent[0] / extent[1])), 1)
    return _rendered(context, renderer, (width, height))


def _sagittal_index(mask: volume.Volume, asked: int | None) -> int:
    axis = mask.sagittal_axis
    total = mask.shape[axis]
    if asked is not None:
        if not 0 <= asked < total:
            raise InputError(f"There is no slice {asked}; the image has sagittal slices 0 to {total - 1}.")
        return asked
    where = np.nonzero(mask.array)[axis]
    return int(np.median(where)) if where.size else total // 2


def _grey_slice(array: np.ndarray, spacing: np.ndarray, window: float, level: float) -> Any:
    from vtkmodules.vtkRenderingCore import vtkImageSlice, vtkImageSliceMapper

    mapper = vtkImageSliceMapper()
    mapper.SetInputData(rendering.flat_image(array.astype(np.float32), spacing))
    result = vtkImageSlice()
    result.SetMapper(mapper)
    result.GetProperty().SetColorWindow(window)
    result.GetProperty().SetColorLevel(level)
    result.GetProperty().SetInterpolationTypeToLinear()
    return result


def _overlay(labels: np.ndarray, spacing: np.ndarray) -> list[Any]:
    """The mask's areas, half transparent, and its outlines."""
    from vtkmodules.vtkFiltersGeneral import vtkDiscreteFlyingEdges2D
    from vtkmodules.vtkRenderingCore import vtkActor, vtkImageSlice, vtkImageSliceMapper, vtkPolyDataMapper

    rgba = np.zeros((*labels.shape, 4), np.uint8)
    outlines = []
    # A rim of background, or a structure that touches the image's edge would have an open outline.
    padded = rendering.flat_image(np.pad(labels, 1), spacing)
    padded.SetOrigin(-spacing[0], -spacing[1], 0.0)
    for structure in anatomy.STRUCTURES:
        rgba[labels == structure.label] = [*(round(255 * part) for part in structure.color), round(255 * FILL_OPACITY)]
        edges = vtkDiscreteFlyingEdges2D()
        edges.SetInputData(padded)
        edges.SetValue(0, structure.label)
        lines = vtkPolyDataMapper()
        lines.SetInputConnection(edges.GetOutputPort())
        lines.ScalarVisibilityOff()
        actor = vtkActor()
        actor.SetMapper(lines)
        actor.SetPosition(0.0, 0.0, 2.0)
        actor.GetProperty().SetColor(*structure.color)
        actor.GetProperty().SetLineWidth(2.0)
        actor.GetProperty().LightingOff()
        outlines.append(actor)
    mapper = vtkImageSliceMapper()
    mapper.SetInputData(rendering.flat_image(rgba, spacing))
    area = vtkImageSlice()
    area.SetMapper(mapper)
    area.SetPosition(0.0, 0.0, 1.0)
    area.GetProperty().SetInterpolationTypeToNearest()
    return [area, *outlines]


def _surface_pixels(context: Context, case: Case, height: int) -> np.ndarray:
    from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer

    require_main_thread("a picture")
    renderer = vtkRenderer()
    renderer.SetBackground(0.08, 0.09, 0.11)
    surfaces = surfaces_of(case.segmentation_node)
    for structure in anatomy.STRUCTURES:
        surface = surfaces.get(structure.key)
        if surface is None:
            continue
        mapper = vtkPolyDataMapper()
        mapper.SetInputData(surface)
        mapper.ScalarVisibilityOff()
        actor = vtkActor()
        actor.SetMapper(mapper)
        actor.GetProperty().SetColor(*structure.color)
        actor.GetProperty().SetSpecular(0.2)
        renderer.AddViewProp(actor)
    size = (round(height * SURFACE_ASPECT), height)
    if surfaces:
        _look_from_the_left(renderer, _bounds(renderer), SURFACE_ASPECT)
        _add_box_and_letters(renderer, height)
        renderer.ResetCameraClippingRange()
    else:
        renderer.AddViewProp(rendering.label("The mask is empty", (0.5, 0.5), height // 30, LETTER, "cc"))
    return _rendered(context, renderer, size)


def surfaces_of(node: Any) -> dict[str, Any]:
    """The smoothed closed surface (vtkPolyData, RAS mm, normals outwards) of every segment that holds voxels, by id.

    Made on a copy, so that the user's segmentation does not get a representation that it did not have.
    """
    copy = slicer.vtkSegmentation()
    copy.DeepCopy(node.GetSegmentation())
    copy.SetSourceRepresentationName(LABELMAP)
    copy.SetConversionParameter("Smoothing factor", SMOOTHING)
    copy.CreateRepresentation(SURFACE, True)
    result = {}
    for identifier in segments(node):
        surface = copy.GetSegment(identifier).GetRepresentation(SURFACE)
        if surface is not None and surface.GetNumberOfPoints():
            labelmap = images.volume_of_image(copy.GetSegment(identifier).GetRepresentation(LABELMAP))
            result[identifier] = _turned_out(surface) if labelmap.is_left_handed else surface
    return result


def _turned_out(surface: Any) -> Any:
    """Slicer makes surfaces of left-handed labelmaps inside out: turn triangles and normals round."""
    from vtkmodules.vtkFiltersCore import vtkReverseSense

    turn = vtkReverseSense()
    turn.SetInputData(surface)
    turn.ReverseCellsOn()
    turn.ReverseNormalsOn()
    turn.Update()
    return turn.GetOutput()


def _add_box_and_letters(renderer: Any, height: int) -> None:
    from vtkmodules.vtkFiltersModeling import vtkOutlineFilter
    from vtkmodules.vtkFiltersSources import vtkCubeSource
    from vtkmodules.vtkRenderingCore import vtkActor, vtkBillboardTextActor3D, vtkPolyDataMapper

    bounds = _bounds(renderer)
    box = vtkCubeSource()
    box.SetBounds(*bounds.ravel())
    outline = vtkOutlineFilter()
    outline.SetInputConnection(box.GetOutputPort())
    mapper = vtkPolyDataMapper()
    mapper.SetInputConnection(outline.GetOutputPort())
    actor = vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(0.45, 0.45, 0.5)
    renderer.AddViewProp(actor)
    margin = 0.035 * float(np.ptp(bounds, axis=1).max())
    # Front, back and sides are written at the box's foot, where no structure is behind the letters.
    foot = np.array([*bounds[:2].mean(axis=1), bounds[2, 0]])
    for axis, pair in enumerate(("LR", "PA", "IS")):
        for letter, value in zip(pair, (bounds[axis, 0] - margin, bounds[axis, 1] + margin), strict=True):
            where = foot.copy()
            where[axis] = value if letter != "I" else value - margin
            text = vtkBillboardTextActor3D()
            text.SetInput(letter)
            text.SetPosition(*where)
            style = text.GetTextProperty()
            style.SetFontSize(height // 34)
            style.SetColor(*LETTER)
            style.SetBold(True)
            style.SetJustificationToCentered()
            style.SetVerticalJustificationToCentered()
            renderer.AddViewProp(text)


def _bounds(renderer: Any) -> np.ndarray:
    return np.array(renderer.ComputeVisiblePropBounds()).reshape(3, 2)


def _look_from_the_left(renderer: Any, bounds: np.ndarray, aspect: float) -> None:
    """A parallel view, so that lengths compare, that just holds `bounds` (3, 2) at `aspect` (width by height)."""
    toward = np.array(VIEW_FROM) / np.linalg.norm(VIEW_FROM)
    right = np.cross([0.0, 0.0, 1.0], toward)
    right /= np.linalg.norm(right)
    up = np.cross(toward, right)
    half = np.ptp(bounds, axis=1) / 2
    reach_up, reach_right = np.abs(up) @ half, np.abs(right) @ half
    middle = bounds.mean(axis=1)
    camera = renderer.GetActiveCamera()
    camera.ParallelProjectionOn()
    camera.SetFocalPoint(*middle)
    camera.SetPosition(*(middle + 500.0 * toward))
    camera.SetViewUp(*up)
    camera.SetParallelScale(1.14 * max(reach_up, reach_right / aspect))
    renderer.ResetCameraClippingRange()


def _rendered(context: Context, renderer: Any, size: tuple[int, int]) -> np.ndarray:
    window = rendering.window(size, context.in_slicer)
    window.AddRenderer(renderer)
    return rendering.pixels(window)
