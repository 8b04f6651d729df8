"""Read a segmentation back onto the grid of the image that it was drawn on, voxel by voxel."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from .. import anatomy, volume
from ..errors import GeometryError, InputError
from ..volume import Volume
from ..volume.checks import SILENT_MM
from ..volume.grid import apply
from . import images
from .context import Context, require_main_thread
from .segmentation import LABELMAP, segments, voxel_count


def read_segmentation(context: Context, node: Any, source: Volume, *, resample: bool = False) -> Volume:
    """The segmentation as uint8 labels 0, 1, 2 on the grid and header of `source`.

    The segment's id says what it is: "bodies" is 1, "discs" is 2, whatever their names, order, label values and
    layers. Voxels are copied and never interpolated: a labelmap that is cropped, grown, flipped or permuted against
    the source lies on the same lattice. Where both segments claim a voxel, it becomes disc. The warnings say what was
    tolerated: a missing segment (read as empty), an added one without voxels, overlap, another voxel order.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode.
    source : the image that the segmentation belongs to, as it was read from its file.
    resample : take the nearest voxel if the segmentation is on another lattice, for instance after its geometry was
        changed in the Segment Editor; a warning says by how much the volumes changed.

    Raises
    ------
    InputError : an added segment with voxels, a parent transform that moves the segmentation against its volume,
        or a segmentation that is not kept as binary labelmaps.
    GeometryError : labelled voxels lie outside the source, or on another lattice; nothing drawn is thrown away.
    CSpineSegError : called from another thread than the main one.
    """
    require_main_thread("reading a segmentation")
    _check_transform(node)
    found = segments(node)
    warnings = _check_segments(node, found)
    # In the order of VTK's own memory, as files have it too; any other costs a tenth of a second on a large exam.
    labels = np.zeros(source.shape, np.uint8, order="F")
    overlap = 0
    for structure in anatomy.STRUCTURES:
        segment = found.get(structure.key)
        drawn, notes = (None, ()) if segment is None else _on_source(segment, source, resample)
        warnings += [note for note in notes if note not in warnings]
        if drawn is None:
            continue
        overlap += int(np.count_nonzero(drawn & (labels != 0)))
        np.copyto(labels, structure.label, where=drawn)
    if overlap:
        warnings.append(f"{overlap} voxels belonged to both segments; they were read as discs.")
    return volume.like(source, labels).warn(*warnings)


def stamp(node: Any) -> tuple[Any, ...]:
    """Changes whenever :func:`read_segmentation` could read other voxels; cheap, for asking many times a second."""
    parts = [(key, _times(segment)) for key, segment in segments(node).items()]
    reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    transforms = [item.GetParentTransformNode() for item in (node, reference) if item is not None]
    moved = [transform and (transform.GetID(), transform.GetTransformToWorldMTime()) for transform in transforms]
    return (node.GetSegmentation().GetSourceRepresentationName(), tuple(parts), tuple(moved))


def _times(segment: Any) -> tuple[int, ...]:
    image = segment.GetRepresentation(LABELMAP)
    data = image.GetPointData() if image is not None else None
    scalars = data.GetScalars() if data is not None else None
    # No two objects of VTK ever have the same time of change, so another image has another one.
    return (segment.GetLabelValue(), *(item.GetMTime() for item in (image, scalars) if item is not None))


def _check_segments(node: Any, found: dict[str, Any]) -> list[str]:
    """Warnings about the list of segments; InputError if voxels of it would be lost."""
    known = {structure.key: structure for structure in anatomy.STRUCTURES}
    if found and node.GetSegmentation().GetSourceRepresentationName() != LABELMAP:
        raise InputError(
            f"The segmentation {node.GetName()!r} is kept as {node.GetSegmentation().GetSourceRepresentationName()!r} "
            f"and not as voxels; make {LABELMAP!r} its source representation in the Segmentations module."
        )
    warnings = []
    for identifier, segment in found.items():
        if identifier in known:
            continue
        count = voxel_count(segment)
        if count:
            raise InputError(
                f"The segment {segment.GetName()!r} was added and holds {count} voxels, but a mask holds only "
                f"{' and '.join(item.name.lower() for item in known.values())}; move its voxels to one of these "
                "(Logical operators, Add) or delete it."
            )
        warnings.append(f"The added segment {segment.GetName()!r} is empty and was left out.")
    for key, structure in known.items():
        if key not in found:
            warnings.append(f"The segment {structure.name!r} was deleted; label {structure.label} is empty.")
    return warnings


def _on_source(segment: Any, source: Volume, resample: bool) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Where a segment is, as a boolean array on the source's grid (None: nowhere), and warnings."""
    image = segment.GetRepresentation(LABELMAP)
    if images.is_empty(image):
        return None, ()
    layer = images.volume_of_image(image)
    drawn = volume.from_array((layer.array == segment.GetLabelValue()).view(np.uint8), layer.affine)
    count = int(np.count_nonzero(drawn.array))
    if not count:
        return None, ()
    match = volume.compare_grids(source.grid, drawn.grid)
    if match.index_map is None and resample:
        return _nearest(drawn, count, source, segment.GetName())
    try:
        placed = volume.conform(drawn, source).array.astype(bool)
    except GeometryError as error:
        raise GeometryError(f"The segment {segment.GetName()!r} cannot be read back: {error}") from None
    # A labelmap that is only cropped or grown is how Slicer stores any segment, and nothing to report.
    cropped = match.kind == "lattice" and np.array_equal(match.index_map[:, :3], np.eye(3, dtype=int))
    tolerated = match.message and (not cropped or match.millimetres > SILENT_MM)
    return placed, (match.message,) if tolerated else ()


def _nearest(drawn: Volume, count: int, source: Volume, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    centres = apply(drawn.affine, np.argwhere(drawn.array))
    indices = apply(np.linalg.inv(source.affine), centres)
    outside = int(((indices < -0.5) | (indices > np.array(source.shape) - 0.5)).any(axis=1).sum())
    placed = volume.resample(drawn, source.grid, order=0).array.astype(bool)
    before = count * drawn.grid.voxel_volume
    after = int(np.count_nonzero(placed)) * source.grid.voxel_volume
    if outside or not after:
        reason = f"{outside} of its voxels lie outside" if outside else "it falls between the voxels of"
        raise GeometryError(f"The segment {name!r} cannot be read back: {reason} the image.")
    note = f"The segment {name!r} was on another lattice and was resampled: {before:.0f} mm3 became {after:.0f} mm3."
    return placed, (note,)


def _check_transform(node: Any) -> None:
    """A transform is harmless if it moves the volume of reference along; else the mask would land elsewhere."""
    transform = node.GetParentTransformNode()
    reference = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    other = reference.GetParentTransformNode() if reference is not None else None
    if transform is other:
        return
    between = images.matrix(np.eye(4))
    linear = slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(transform, other, between)
    if linear and np.allclose(images.array_of_matrix(between), np.eye(4), rtol=0, atol=1e-6):
        return
    moved, by = (node, transform) if transform is not None else (reference, other)
    raise InputError(
        f"{moved.GetName()!r} is moved by the transform {by.GetName()!r}, so image and segmentation no longer lie on "
        "each other as in the file; take both out of the transform (Data module, Transform column) and save again."
    )
