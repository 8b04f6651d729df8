"""Reordering the axes of an image, without interpolation, and back."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .grid import Volume, like, scaling


def reorient(volume: Volume, codes: str) -> Volume:
    """The same image with its array axes pointing as `codes` says, for instance "RIP".

    Only permutes and flips, also on oblique grids, where each axis counts as the anatomical one that it is nearest to.
    :func:`restore` is the exact inverse. The result has no file header; its affine places every voxel where it was.

    >>> import numpy as np
    >>> from CSpineSegLib.volume import from_array
    >>> reorient(from_array(np.zeros((2, 3, 4), np.uint8), np.eye(4)), "PSR").shape
    (3, 4, 2)
    """
    from nibabel.orientations import apply_orientation, inv_ornt_aff

    transform = _transform(volume.orientation, codes)
    # The header does not come along, so its intensity scale has to be applied here.
    stored = volume.array if scaling(volume.header) == (1.0, 0.0) else volume.intensities()
    array = apply_orientation(stored, transform)
    affine = volume.affine @ inv_ornt_aff(transform, volume.shape)
    return Volume(array, affine, None, volume.path, b"", volume.warnings)


def restore(array: np.ndarray, codes: str, original: Volume) -> Volume:
    """An array whose axes point as `codes`, brought back onto the grid and header of `original`.

    `array` must be on the grid of ``reorient(original, codes)``.
    """
    from nibabel.orientations import apply_orientation

    return like(original, np.ascontiguousarray(apply_orientation(array, _transform(codes, original.orientation))))


def _transform(start: str, end: str) -> np.ndarray:
    from nibabel.orientations import axcodes2ornt, ornt_transform

    pairs = ("LR", "PA", "IS")
    if len(end) != 3 or any(sum(letter in pair for letter in end) != 1 for pair in pairs):
        raise InputError(f"{end!r} is not an orientation; write three letters such as 'RAS' or 'PSR'.")
    return ornt_transform(axcodes2ornt(tuple(start)), axcodes2ornt(tuple(end)))
