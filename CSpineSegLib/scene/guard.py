"""The two segments of an open exam stay what they are while anything in Slicer may edit them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import slicer
from vtkmodules.util.misc import calldata_type
from vtkmodules.util.vtkConstants import VTK_OBJECT

from .. import anatomy
from ..errors import CSpineSegError
from ..volume import Volume
from . import images, terminology
from .case import Case
from .context import Context, require_main_thread
from .reading import read_segmentation
from .segmentation import LABELMAP, dress, fitted, segments, voxel_count

EDITOR_TAG = "CSpineSeg"
_COLOR_TOLERANCE = 1e-3


class Guard:
    """Follows the segmentation of a case, and puts its two segments back to what they have to be.

    Ids, names, colours, terminology, order and label values are ours; voxels and visibility are the user's. While an
    effect edits, nothing may be changed underneath it: `changed` is called at once, :meth:`restore` is for after it.

    Parameters
    ----------
    changed : called, without arguments, after every change of the segmentation and of its segments.
    """

    def __init__(self, context: Context, case: Case, changed: Callable[[], None] = lambda: None) -> None:
        require_main_thread("watching a segmentation")
        self._context, self._case = context, case
        # Held, so that a segment that is deleted still has its voxels when it comes back.
        self._segments: dict[str, Any] = {}
        self._labelmaps: dict[str, tuple[Any, int]] = {}
        self._hold()
        self._told: set[str] = set()
        kinds = slicer.vtkSegmentation
        events = (
            kinds.SegmentAdded,
            kinds.SegmentRemoved,
            kinds.SegmentModified,
            kinds.SegmentsOrderModified,
            kinds.SourceRepresentationModified,
        )
        self._watch = Watch(changed)
        for event in events:
            self._watch.add(case.segmentation_node.GetSegmentation(), event)

    def close(self) -> None:
        """Follow the segmentation no more."""
        self._watch.close()
        self._segments, self._labelmaps = {}, {}

    def restore(self) -> list[str]:
        """Put back what is not as it has to be, and say in sentences what that was; cheap if all is well.

        An added segment is removed if it is empty. One with voxels stays, since these are somebody's work: the
        sentence says what to do, and is said once.
        """
        require_main_thread("restoring the segments")
        segmentation = self._case.segmentation_node.GetSegmentation()
        said = [self._as_voxels(segmentation)]
        said += [self._returned(segmentation, structure) for structure in anatomy.STRUCTURES]
        said += [_dressed(segmentation.GetSegment(structure.key), structure) for structure in anatomy.STRUCTURES]
        said += [self._added(segmentation, identifier) for identifier in segments(self._case.segmentation_node)]
        for index, structure in enumerate(anatomy.STRUCTURES):
            if segmentation.GetSegmentIndex(structure.key) != index:
                segmentation.SetSegmentIndex(structure.key, index)
        if not _is_shared(segments(self._case.segmentation_node)):
            self._merge()
        self._hold()
        return [sentence for sentence in said if sentence]

    def _hold(self) -> None:
        found = segments(self._case.segmentation_node)
        self._segments = {item.key: found[item.key] for item in anatomy.STRUCTURES if item.key in found}
        self._labelmaps = {
            key: (segment.GetRepresentation(LABELMAP), segment.GetLabelValue())
            for key, segment in self._segments.items()
        }

    def _as_voxels(self, segmentation: Any) -> str:
        """Surfaces in the place of voxels are an approximation, and cannot be saved; the voxels come back."""
        if segmentation.GetSourceRepresentationName() == LABELMAP:
            return ""
        segmentation.SetSourceRepresentationName(LABELMAP)
        for key, (labelmap, value) in self._labelmaps.items():
            segment = segmentation.GetSegment(key)
            if segment is not None and labelmap is not None:
                segment.SetLabelValue(value)
                segment.AddRepresentation(LABELMAP, labelmap)
        return "The mask was turned into surfaces, and was brought back to voxels: only these can be saved."

    def _returned(self, segmentation: Any, structure: anatomy.Structure) -> str:
        if segmentation.GetSegment(structure.key) is not None:
            return ""
        segment = self._segments.get(structure.key)
        if segment is None or segment.GetRepresentation(LABELMAP) is None:
            segment = slicer.vtkSegment()
            segment.AddRepresentation(LABELMAP, slicer.vtkOrientedImageData())
        dress(segment, structure)
        segmentation.AddSegment(segment, structure.key)
        return f"The segment {structure.name!r} was deleted, and was put back with its voxels: a mask always has both."

    def _added(self, segmentation: Any, identifier: str) -> str:
        if any(identifier == structure.key for structure in anatomy.STRUCTURES):
            return ""
        segment = segmentation.GetSegment(identifier)
        name = segment.GetName()
        if not voxel_count(segment):
            segmentation.RemoveSegment(identifier)
            return f"The segment {name!r} was removed again: a mask holds only bodies and discs."
        if identifier in self._told:
            return ""
        self._told.add(identifier)
        return (
            f"The segment {name!r} was added, but a mask holds only bodies and discs: take it back (Undo), or it "
            "keeps this mask from being saved."
        )

    def _merge(self) -> None:
        """Bring both segments onto one labelmap with our label values; where both are, it is disc."""
        try:
            mask = read_segmentation(self._context, self._case.segmentation_node, self._case.image)
        except CSpineSegError:
            # It can be neither read nor saved as it is, and saving says why; what was drawn is not touched.
            return
        replace_voxels(self._context, self._case, mask)


class Watch:
    """Calls a function, without arguments, whenever one of the given events happens; until it is closed."""

    def __init__(self, happened: Callable[[], None]) -> None:
        self._happened = happened
        self._observed: list[tuple[Any, int]] = []

    def add(self, source: Any, event: int | str, call: Callable[..., None] | None = None) -> None:
        """Follow an event of a VTK object too; `call` in the place of the function is given what VTK gives."""
        self._observed.append((source, source.AddObserver(event, call or self._call)))

    def close(self) -> None:
        """Follow nothing any more."""
        for source, observation in self._observed:
            source.RemoveObserver(observation)
        self._observed = []

    def _call(self, *_event: Any) -> None:
        self._happened()


def watch_views(context: Context, happened: Callable[[], None]) -> Watch:
    """Call `happened` whenever somebody scrolls, zooms or turns a view, or moves the mouse over a slice.

    Views that another layout adds later are followed too.
    """
    watch = Watch(happened)
    events = {
        "vtkMRMLSliceNode": "ModifiedEvent",
        "vtkMRMLCameraNode": "ModifiedEvent",
        "vtkMRMLCrosshairNode": slicer.vtkMRMLCrosshairNode.CursorPositionModifiedEvent,
    }

    @calldata_type(VTK_OBJECT)
    def added(_scene: Any, _event: str, node: Any) -> None:
        if node.GetClassName() in events:
            watch.add(node, events[node.GetClassName()])

    for kind, event in events.items():
        for node in context.nodes(kind):
            watch.add(node, event)
    watch.add(context.scene, context.scene.NodeAddedEvent, added)
    return watch


def editor_node(context: Context) -> Any:
    """The scene's vtkMRMLSegmentEditorNode of this module, apart from that of Slicer's Segment Editor.

    Painting takes voxels from the other segment, so that bodies and discs never overlap.
    """
    node = context.scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.vtkMRMLSegmentEditorNode()
        node.SetSingletonTag(EDITOR_TAG)
        node = context.scene.AddNode(node)
    node.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments)
    return node


def replace_voxels(context: Context, case: Case, mask: Volume) -> None:
    """Give the segments of a case the voxels of a mask, on one labelmap with our label values.

    The segments stay the same objects: what shows them goes on showing them.

    Raises
    ------
    InputError, GeometryError : the mask holds other labels or does not lie on the image; nothing is changed then.
    """
    require_main_thread("replacing the voxels of a segmentation")
    labels = fitted(mask, case.image).array
    segmentation = case.segmentation_node.GetSegmentation()
    labelmap = images.oriented_image(labels, case.image.affine)
    modifying = case.segmentation_node.StartModify()
    try:
        for structure in anatomy.STRUCTURES:
            segment = segmentation.GetSegment(structure.key)
            segment.SetLabelValue(structure.label)
            segment.AddRepresentation(LABELMAP, labelmap)
        segmentation.InvalidateNonSourceRepresentations()
        labelmap.Modified()
    finally:
        case.segmentation_node.EndModify(modifying)


def _dressed(segment: Any, structure: anatomy.Structure) -> str:
    """Give a segment its name, colour and terminology if it has others, and say so."""
    colored = np.allclose(segment.GetColor(), structure.color, rtol=0, atol=_COLOR_TOLERANCE)
    same = segment.GetName() == structure.name and segment.GetTerminology() == terminology.entry(structure)
    if colored and same:
        return ""
    found = segment.GetName()
    dress(segment, structure)
    what = "its name" if found != structure.name else "its colour and code"
    return f"The segment {structure.name!r} was given {what} back: masks are told apart by them."


def _is_shared(found: dict[str, Any]) -> bool:
    """Whether both segments lie on one labelmap with our label values."""
    ours = [found[structure.key] for structure in anatomy.STRUCTURES]
    values = [segment.GetLabelValue() for segment in ours]
    first, second = (segment.GetRepresentation(LABELMAP) for segment in ours)
    return first is second and values == [structure.label for structure in anatomy.STRUCTURES]
