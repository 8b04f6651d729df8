"""Resampling in patient space."""

from __future__ import annotations

import numpy as np

from .grid import Grid, Volume, from_array, scaling

# Voxels; far above the rounding of float64 affines, far below anything visible.
_ROUNDING = 1e-6


def resample(volume: Volume, grid: Grid, order: int = 1, fill: float = 0.0) -> Volume:
    """The image interpolated at the voxel centres of another grid.

    The image reaches to the outer faces of its voxels: within the outer half voxel the outermost value holds.

    Parameters
    ----------
    order : spline order; 0 (nearest neighbour) keeps labels and their type, others give float32.
    fill : value outside the image.
    """
    from scipy.ndimage import affine_transform

    matrix = np.linalg.inv(volume.affine) @ grid.affine
    plain = order == 0 and scaling(volume.header) == (1.0, 0.0)
    source = volume.array if plain else volume.intensities()
    # SciPy's own "constant" mode ends the image at the outermost voxel centres: a rounding error of 1e-16 would then
    # empty whole border slices, and a finer grid would lose half a voxel all around.
    array = affine_transform(source, matrix[:3, :3], matrix[:3, 3], grid.shape, order=order, mode="nearest")
    array[~_inside(matrix, grid.shape, volume.shape)] = fill
    return from_array(array, grid.affine)


def _inside(matrix: np.ndarray, shape: tuple[int, int, int], source: tuple[int, int, int]) -> np.ndarray:
    """(shape) bool: which voxel centres, mapped by `matrix` to voxel indices of `source`, lie in one of its voxels."""
    steps = np.ogrid[tuple(slice(size) for size in shape)]
    inside = np.ones(shape, bool)
    for row, size in zip(matrix[:3], source, strict=True):
        index = row[0] * steps[0] + row[1] * steps[1] + row[2] * steps[2] + row[3]
        inside &= (index >= -0.5 - _ROUNDING) & (index <= size - 0.5 + _ROUNDING)
    return inside
