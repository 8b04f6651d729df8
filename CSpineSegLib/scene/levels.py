"""Levels in the scene: a segment for each, a point with its name in each body and disc, and the line of the spine.

They lie beside the two-segment mask, which nobody but its editor changes, and go with the exam.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from .. import anatomy, volume
from ..errors import InputError
from ..volume import Volume
from . import images, terminology
from .context import Context, require_main_thread
from .segmentation import FILL_OPACITY, LABELMAP

if TYPE_CHECKING:
    from .case import Case

_KIND, _OF, _WANTED = "CSpineSeg.Levels", "CSpineSeg.LevelsOf", "CSpineSeg.LevelsWanted"
_CLASSES = ("vtkMRMLSegmentationNode", "vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsCurveNode")
# From here on, values of bodies and discs without a level; above all values of levels.
_NAMELESS = 128
_HUES = (0.0, 0.58, 0.13, 0.80, 0.33, 0.50)


@dataclass(frozen=True)
class Levels:
    """The nodes of :func:`show_levels`, of the classes in `_CLASSES`."""

    segmentation: Any
    points: Any
    line: Any


@dataclass(frozen=True)
class _Part:
    """A segment: its label value, id, name, place among the vertebrae, and terminology."""

    value: int
    key: str
    name: str
    order: int
    disc: bool
    entry: str


def show_levels(context: Context, case: Case, labelling: Any, mask: Volume | None = None) -> Levels:
    """Show the levels of an exam; those that were shown before are replaced.

    While levels are relative, segments and points are called by their place from the top: "body 3", "disc 3".

    Parameters
    ----------
    labelling : a `spine.Labelling`.
    mask : what it was found in, if that lies on another voxel order than the exam's image.

    Raises
    ------
    InputError, GeometryError : the labelling or its mask does not lie on the image; nothing is changed then.
    """
    require_main_thread("showing levels")
    grid = case.image if mask is None else mask
    if labelling.instances_volume.shape != grid.shape:
        raise InputError(
            f"The levels were found on {labelling.instances_volume.shape} voxels, and {case.name} has {grid.shape}; "
            "find them again in its mask."
        )
    values, parts = _values(labelling, grid)
    labels = volume.conform(volume.like(grid, values), case.image).array
    clear(context, case)
    shown = Levels(
        _segmentation(context, case, labels, parts),
        _points(context, case, labelling),
        _line(context, case, labelling.line_mm),
    )
    for node in (shown.segmentation, shown.points, shown.line):
        node.SetAndObserveTransformNodeID(case.volume_node.GetTransformNodeID())
    return shown


def find_levels(context: Context, case: Case) -> Levels | None:
    """The nodes of the levels that are shown; None without."""
    found = [_find(context, case, kind) for kind in _CLASSES]
    return None if None in found else Levels(*found)


def clear(context: Context, case: Case) -> None:
    """Show the levels no more, and leave nothing of them in the scene."""
    for kind in _CLASSES:
        node = _find(context, case, kind)
        if node is not None:
            context.remove(node)


def choose(context: Context, case: Case, *, levels: bool, names: bool, hidden: bool = False) -> None:
    """Choose what the views show of an exam: its levels in the place of its mask, their names, or the mask.

    Parameters
    ----------
    levels : the levels, if there are any, and not the mask. names : their names, too.
    hidden : for now nothing of all this, see :func:`hide`.
    """
    require_main_thread("showing levels")
    shown = find_levels(context, case)
    if shown is not None:
        wanted = {shown.segmentation: levels, shown.line: levels, shown.points: levels and names}
        for node, on in wanted.items():
            node.SetAttribute(_WANTED, "yes" if on else "no")
    hide(context, case, hidden)


def hide(context: Context, case: Case, hidden: bool) -> None:
    """Show the image alone, or again what was chosen: the mask, unless the levels are shown in its place."""
    require_main_thread("hiding a mask")
    shown = find_levels(context, case)
    instead = shown is not None and shown.segmentation.GetAttribute(_WANTED) == "yes"
    _set_visible(case.segmentation_node, not hidden and not instead)
    for node in (shown.segmentation, shown.line, shown.points) if shown is not None else ():
        _set_visible(node, not hidden and node.GetAttribute(_WANTED) == "yes")


def _set_visible(node: Any, on: bool) -> None:
    """A display node that was deleted shows nothing anyway."""
    display = node.GetDisplayNode()
    if display is not None:
        display.SetVisibility(on)


def color(order: int, disc: bool) -> tuple[float, float, float]:
    """RGB in 0 to 1 of the vertebra at a place from C2 (or from the top) on, or of the disc below it.

    Vertebrae change their hue from one to the next; discs are pale, in the hue of the vertebra above.
    """
    hue = _HUES[order % len(_HUES)]
    return colorsys.hsv_to_rgb(hue, 0.3, 1.0) if disc else colorsys.hsv_to_rgb(hue, 0.85, 0.85)


def _values(labelling: Any, grid: Volume) -> tuple[np.ndarray, list[_Part]]:
    """(I, J, K) uint8 of the labelling, and the segments from head to foot."""
    values = labelling.level_volume(grid).array.copy()
    parts = []
    for element in labelling.elements:
        if element.levels:
            parts += [_named(name) for name in element.levels]
            continue
        part = _nameless(element, _NAMELESS + len(parts))
        values[np.isin(labelling.instances_volume, element.instances)] = part.value
        parts.append(part)
    return values, parts


def _named(name: str) -> _Part:
    """The segment of a level: its id is the level, its name that of labels.tsv."""
    known = {level.name: level for level in anatomy.levels()}
    level, disc = known[name], "-" in name
    first = [one for one in known if "-" not in one].index(name.split("-")[0]) - 1
    return _Part(level.value, name, f"{name} disc" if disc else name, first, disc, terminology.level_entry(level))


def _nameless(element: Any, value: int) -> _Part:
    name, disc = _name(element), element.kind == "disc"
    structure = anatomy.structure(anatomy.DISC if disc else anatomy.BODY)
    return _Part(value, name.replace(" ", "-"), name, element.ordinal - 1, disc, terminology.entry(structure))


def _name(element: Any) -> str:
    """What a person calls an element: "C5", "C5-C6 disc", "C5-C6 block", or "body 4" while levels are relative."""
    if not element.levels:
        return f"{element.kind} {element.ordinal}"
    if element.kind == "block":
        return f"{element.levels[0]}-{element.levels[-1]} block"
    return element.levels[0] if element.kind == "body" else f"{element.levels[0]} disc"


def _segmentation(context: Context, case: Case, labels: np.ndarray, parts: Sequence[_Part]) -> Any:
    node = _add(context, case, _CLASSES[0], "levels")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(case.volume_node)
    segmentation = node.GetSegmentation()
    segmentation.SetSourceRepresentationName(LABELMAP)
    # One labelmap for all, as of the mask: no voxel has two levels.
    labelmap = images.oriented_image(labels, case.image.affine)
    for part in parts:
        segment = slicer.vtkSegment()
        segment.SetName(part.name)
        segment.SetNameAutoGenerated(False)
        segment.SetColor(*color(part.order, part.disc))
        segment.SetColorAutoGenerated(False)
        segment.SetTerminology(part.entry)
        segment.SetLabelValue(part.value)
        segment.AddRepresentation(LABELMAP, labelmap)
        segmentation.AddSegment(segment, part.key)
    node.GetDisplayNode().SetOpacity2DFill(FILL_OPACITY)
    return node


def _points(context: Context, case: Case, labelling: Any) -> Any:
    node = _add(context, case, _CLASSES[1], "level names")
    for element, place in _centres(labelling):
        index = node.AddControlPoint(place, _name(element))
        node.SetNthControlPointDescription(index, element.note)
        node.SetNthControlPointLocked(index, True)
    node.SetLocked(True)
    return node


def _centres(labelling: Any) -> Iterator[tuple[Any, list[float]]]:
    for element in labelling.elements:
        instances = [labelling.instance(number) for number in element.instances]
        weights = [instance.voxels for instance in instances]
        yield element, np.average([one.centroid_mm for one in instances], axis=0, weights=weights).tolist()


def _line(context: Context, case: Case, points: np.ndarray) -> Any:
    node = _add(context, case, _CLASSES[2], "centreline")
    for point in points:
        node.AddControlPoint([float(value) for value in point])
    # The points are a few mm apart; a name and a ball at each would cover the image.
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetPropertiesLabelVisibility(False)
    display.SetPointLabelsVisibility(False)
    display.SetGlyphScale(0.5)
    node.SetLocked(True)
    return node


def _add(context: Context, case: Case, kind: str, title: str) -> Any:
    # Not at the top: an exam that is closed takes its levels along.
    from .case import PATIENT_ATTRIBUTE, file_under

    node = context.scene.AddNewNodeByClass(kind, f"{case.name} {title}")
    node.CreateDefaultDisplayNodes()
    node.SetAttribute(_KIND, title)
    node.SetAttribute(_OF, case.segmentation_node.GetID())
    node.SetAttribute(PATIENT_ATTRIBUTE, case.patient_id)
    file_under(context.subject_hierarchy, case.folder, node)
    return node


def _find(context: Context, case: Case, kind: str) -> Any:
    of = case.segmentation_node.GetID()
    for node in context.nodes(kind):
        if node.GetAttribute(_KIND) and node.GetAttribute(_OF) == of:
            return node
    return None
