"""Figures about one mask, or about two masks of one exam.

Dice and HD95 follow Maier-Hein, Reinke et al., "Metrics reloaded" (Nature Methods 21, 195-212, 2024): Dice is
volumetric (not a mean over slices), and HD95 is the larger of the two directed 95th percentiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..anatomy import STRUCTURES
from ..volume import Volume, conform

DEFINITIONS = {
    "dice": "volumetric: 2 |A and B| / (|A| + |B|) over all voxels of the volume",
    "hd95_mm": (
        "the larger of the two directed 95th percentiles (linear interpolation) of the Euclidean distances, in mm with "
        "the voxel spacing, between the centres of surface voxels; a surface voxel has one of its 6 face neighbours "
        "outside the structure or outside the image"
    ),
    "volume_mm3": "number of voxels x volume of a voxel",
    "voxels_added": "voxels of the structure in the candidate and not in the reference",
    "voxels_removed": "voxels of the structure in the reference and not in the candidate",
    "empty_masks": (
        "both empty: Dice 1 (they agree), HD95 null; one empty: Dice 0, HD95 null; 'empty' says which, so that a "
        "summary can count such cases apart instead of dropping them"
    ),
}

_NO_SURFACE = {
    "both": "neither mask holds this structure",
    "reference": "the reference does not hold this structure",
    "candidate": "the candidate does not hold this structure",
}


def compare(reference: Volume, candidate: Volume) -> dict[str, Any]:
    """How a candidate mask differs from a reference mask of the same exam, ready for JSON (no NaN, no infinity).

    Parameters
    ----------
    reference, candidate : label images (0 background, 1 bodies, 2 discs). A candidate whose axes are reordered or
        cropped on the same lattice is put back first.

    Returns
    -------
    dict with `definitions`, `spacing_mm` (3 values, per array axis), and per structure (`bodies`, `discs`):
        dice : 0 to 1, volumetric.
        hd95_mm : mm, or None with `hd95_reason`.
        volume_mm3, voxels : each {"reference": ..., "candidate": ...}.
        voxels_added, voxels_removed : relative to the reference. A voxel that changed from body to disc counts as
            removed from the bodies and as added to the discs.
        empty : None, "reference", "candidate" or "both".
        Both empty: Dice 1, HD95 None. One empty: Dice 0, HD95 None.

    Raises
    ------
    GeometryError : the masks do not lie on the same voxels.
    """
    candidate = conform(candidate, reference)
    spacing = reference.spacing
    result: dict[str, Any] = {"definitions": dict(DEFINITIONS), "spacing_mm": [float(size) for size in spacing]}
    # Everything outside this box is background in both, and a large field of view is mostly that.
    box = _box(reference.array, candidate.array)
    arrays = [np.ascontiguousarray(mask.array[box]) for mask in (reference, candidate)]
    for structure in STRUCTURES:
        pair = [array == structure.label for array in arrays]
        result[structure.key] = _compare_structure(*pair, spacing, reference.grid.voxel_volume)
    return result


def measure(mask: Volume) -> dict[str, Any]:
    """Voxel count and volume (mm3) of each structure of one mask, ready for JSON."""
    result: dict[str, Any] = {"definitions": {"volume_mm3": DEFINITIONS["volume_mm3"]}}
    result["spacing_mm"] = [float(size) for size in mask.spacing]
    for structure in STRUCTURES:
        count = int(np.count_nonzero(mask.array == structure.label))
        result[structure.key] = {"voxels": count, "volume_mm3": count * mask.grid.voxel_volume}
    return result


def dice(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Volumetric Dice of two boolean arrays of the same shape; 1 if both are empty, 0 if one is."""
    total = int(np.count_nonzero(reference)) + int(np.count_nonzero(candidate))
    return 2 * int(np.count_nonzero(reference & candidate)) / total if total else 1.0


def hd95(reference: np.ndarray, candidate: np.ndarray, spacing: np.ndarray) -> float | None:
    """95th-percentile Hausdorff distance in mm of two boolean arrays; None if either is empty.

    Parameters
    ----------
    reference, candidate : (I, J, K) bool.
    spacing : (3,) mm between voxel centres along each array axis.
    """
    if not reference.any() or not candidate.any():
        return None
    if np.array_equal(reference, candidate):
        return 0.0
    there, back = surface_distances(reference, candidate, spacing)
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def surface_distances(
    reference: np.ndarray, candidate: np.ndarray, spacing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distances in mm from each surface voxel of one mask to the other's surface, both ways; neither may be empty.

    Returns (M,) from the reference's M surface voxels and (N,) from the candidate's N, in the order of the array.
    """
    box = _box(reference, candidate)
    first, second = surface(reference[box]), surface(candidate[box])
    return _distances(first, second, spacing), _distances(second, first, spacing)


def _distances(start: np.ndarray, goal: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Exact distance in mm from each voxel of `start` to the nearest of `goal`, both (I, J, K) bool."""
    from scipy.spatial import KDTree

    result = np.zeros(np.count_nonzero(start))
    # What both share is at distance zero, and after an edit that is nearly everything.
    apart = start & ~goal
    if apart.any():
        tree = KDTree(np.argwhere(goal) * spacing)
        result[apart[start]] = tree.query(np.argwhere(apart) * spacing)[0]
    return result


def surface(mask: np.ndarray) -> np.ndarray:
    """The voxels of a boolean array (I, J, K) with a face neighbour outside the mask or outside the array."""
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask)


def _box(*masks: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds every voxel that is not zero; empty slices if there is none."""
    ends = []
    for axis in range(masks[0].ndim):
        others = tuple(other for other in range(masks[0].ndim) if other != axis)
        used = np.flatnonzero(np.logical_or.reduce([mask.any(axis=others) for mask in masks]))
        ends.append(slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 0))
    return tuple(ends)


def _compare_structure(
    reference: np.ndarray, candidate: np.ndarray, spacing: np.ndarray, voxel_volume: float
) -> dict[str, Any]:
    counts = {
        "reference": int(np.count_nonzero(reference)),
        "candidate": int(np.count_nonzero(candidate)),
    }
    absent = [side for side, count in counts.items() if count == 0]
    empty = "both" if len(absent) == 2 else (absent[0] if absent else None)
    result: dict[str, Any] = {
        "dice": dice(reference, candidate),
        "hd95_mm": hd95(reference, candidate, spacing),
        "volume_mm3": {side: count * voxel_volume for side, count in counts.items()},
        "voxels": counts,
        "voxels_added": int(np.count_nonzero(candidate & ~reference)),
        "voxels_removed": int(np.count_nonzero(reference & ~candidate)),
        "empty": empty,
    }
    if empty:
        result["hd95_reason"] = _NO_SURFACE[empty]
    return result
