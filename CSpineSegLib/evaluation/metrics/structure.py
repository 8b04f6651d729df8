"""All figures of one structure in two masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...volume import Grid
from . import overlap, surfaces


@dataclass(frozen=True)
class Frame:
    """What the arrays of one exam have in common.

    Parameters
    ----------
    spacing : mm between voxel centres along each array axis.
    voxel_volume : mm3.
    image : number of voxels of the whole image.
    in_plane : mm, the larger of the two spacings in the sagittal plane.
    surfaces : see :func:`surfaces.between`.
    """

    spacing: tuple[float, float, float]
    voxel_volume: float
    image: int
    in_plane: float
    surfaces: surfaces.Surfaces = "elements"


def frame(grid: Grid, kind: surfaces.Surfaces = "elements") -> Frame:
    spacing = tuple(float(size) for size in grid.spacing)
    in_plane = max(size for axis, size in enumerate(spacing) if axis != grid.sagittal_axis)
    return Frame(spacing, grid.voxel_volume, int(np.prod(grid.shape)), in_plane, kind)


def pair(reference: np.ndarray, candidate: np.ndarray, frame: Frame) -> tuple[overlap.Counts, surfaces.Distances]:
    """Counts and distances of two boolean arrays (I, J, K), which may be cut out of the image."""
    return (
        overlap.count(reference, candidate, frame.image),
        surfaces.between(reference, candidate, frame.spacing, frame.surfaces),
    )


def figures(
    counts: overlap.Counts, distances: surfaces.Distances, frame: Frame, prevalence: float | None
) -> dict[str, Any]:
    """All figures, ready for JSON: no NaN, no infinity.

    Parameters
    ----------
    prevalence : the structure's usual share of an image's voxels; without it there is no nDSC.
    """
    found = overlap.figures(counts, frame.voxel_volume, prevalence)
    near = {"nsd_1mm": distances.share_within(1.0), "nsd_voxel": distances.share_within(frame.in_plane)}
    far: dict[str, float | None] = {"hd_mm": None, "hd95_mm": None, "assd_mm": None}
    if distances.measurable:
        far = {"hd_mm": distances.largest(), "hd95_mm": distances.percentile(95), "assd_mm": distances.mean()}
    shares = ("dice", "iou", "precision", "recall", "ndsc")
    first = {key: found[key] for key in shares if key in found}
    return first | near | far | {key: value for key, value in found.items() if key not in first}


def of_pair(
    reference: np.ndarray, candidate: np.ndarray, frame: Frame, prevalence: float | None = None
) -> dict[str, Any]:
    """All figures of two boolean arrays (I, J, K), which may be cut out of the image."""
    return figures(*pair(reference, candidate, frame), frame, prevalence)
