"""Make a segmentation that somebody else put into the scene one of ours."""

from __future__ import annotations

import re
from typing import Any

import slicer

from .. import anatomy
from ..errors import InputError
from . import terminology
from .context import Context, require_main_thread
from .segmentation import LABELMAP, dress, segments

# What Slicer calls the segments of a labelmap without names; the number is the label value in the file.
_NAMELESS = re.compile(r"(?:Segment|Label)_(\d+)")


def adopt_segmentation(context: Context, node: Any, volume_node: Any = None) -> None:
    """Give the segments of any segmentation node our ids, names, colours, terminology and order.

    For masks that were loaded through Slicer's own dialogs, where ids are "Segment_1" or random. A segment is told by
    its id, then its SNOMED CT code, then its name; for one without a name, the label value in the name that Slicer
    gave it. A structure that is missing is added empty. Voxels stay where they are, flipped or not:
    :func:`~CSpineSegLib.scene.read_segmentation` puts them onto the image.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode; changed in place.
    volume_node : the image it belongs to; gives the reference geometry. None leaves it as it is.

    Raises
    ------
    InputError : a segment is none of ours, or two are the same; nothing is changed then.
    """
    require_main_thread("adopting a segmentation")
    chosen: dict[str, Any] = {}
    for identifier, segment in segments(node).items():
        structure = _structure(identifier, segment)
        if structure is None or structure.key in chosen:
            reason = "is neither vertebral bodies nor discs" if structure is None else "is a second one of its kind"
            raise InputError(f"The segment {segment.GetName()!r} {reason}; remove or rename it.")
        chosen[structure.key] = segment
    segmentation = node.GetSegmentation()
    segmentation.RemoveAllSegments()
    for structure in anatomy.STRUCTURES:
        segment = chosen.get(structure.key)
        if segment is None:
            segment = slicer.vtkSegment()
            segment.AddRepresentation(LABELMAP, slicer.vtkOrientedImageData())
        dress(segment, structure)
        segmentation.AddSegment(segment, structure.key)
    node.CreateDefaultDisplayNodes()
    if volume_node is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    node.SetLabelmapConversionColorTableNodeID(context.color_table().GetID())


def _structure(identifier: str, segment: Any) -> anatomy.Structure | None:
    for structure in anatomy.STRUCTURES:
        if identifier == structure.key:
            return structure
    known = terminology.structure_of(segment)
    if known is not None:
        return known
    name = segment.GetName() or ""
    nameless = _NAMELESS.fullmatch(name)
    for structure in anatomy.STRUCTURES:
        if name in (structure.name, structure.key) or (nameless and int(nameless[1]) == structure.label):
            return structure
    return None
