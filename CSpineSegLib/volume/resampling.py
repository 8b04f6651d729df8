"""Resampling in patient space."""

from __future__ import annotations

import numpy as np

from .grid import Grid, Volume, from_array


def resample(volume: Volume, grid: Grid, order: int = 1, fill: float = 0.0) -> Volume:
    """The image interpolated at the voxel centres of another grid.

    Parameters
    ----------
    order : spline order; 0 (nearest neighbour) keeps labels and their type, others give float32.
    fill : value outside the image.
    """
    from scipy.ndimage import affine_transform

    matrix = np.linalg.inv(volume.affine) @ grid.affine
    source = volume.array if order == 0 else volume.intensities()
    array = affine_transform(source, matrix[:3, :3], matrix[:3, 3], grid.shape, order=order, mode="constant", cval=fill)
    return from_array(array, grid.affine)
