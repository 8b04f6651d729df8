"""The geometry gate: does this mask lie on that image, and if it is only reordered or cropped, put it back exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import GeometryError
from .checks import SILENT_MM, TOLERATED_VOXELS, deviation
from .grid import Grid, Volume, like, scaling


@dataclass(frozen=True, eq=False)
class Match:
    """How a mask's grid relates to an image's.

    Parameters
    ----------
    kind : "same" (to 0.01 mm), "near" (up to 0.1 voxel), "lattice" (the same voxels, reordered, cropped or padded),
        or "different".
    millimetres, voxels : the largest distance at a corner of the mask, after reordering.
    index_map : (3, 4) int, mask voxel index to image voxel index; None if different.
    message : one sentence about it; empty for "same".
    """

    kind: str
    millimetres: float
    voxels: float
    index_map: np.ndarray | None
    message: str = ""


def compare_grids(image: Grid, mask: Grid) -> Match:
    """Compare two grids at the mask's corners: silent up to 0.01 mm, a warning up to 0.1 voxel, else different."""
    relative = np.linalg.inv(image.affine) @ mask.affine
    index_map = np.rint(relative[:3]).astype(int)
    if not _is_signed_permutation(index_map[:, :3]):
        return Match("different", *deviation(image.affine, mask.affine, mask.shape), None, _explain(image, mask))
    ideal = image.affine @ np.vstack([index_map, [0, 0, 0, 1]])
    millimetres, voxels = deviation(ideal, mask.affine, mask.shape)
    if voxels > TOLERATED_VOXELS:
        return Match("different", millimetres, voxels, None, _explain(image, mask))
    apart = f" and lies {millimetres:.3f} mm off at a corner, which was tolerated" if millimetres > SILENT_MM else ""
    if image.shape == mask.shape and np.array_equal(index_map, np.eye(3, 4, dtype=int)):
        if not apart:
            return Match("same", millimetres, voxels, index_map)
        return Match("near", millimetres, voxels, index_map, f"The mask has the image's shape{apart}.")
    return Match("lattice", millimetres, voxels, index_map, f"The mask {_describe(index_map, image, mask)}{apart}.")


def conform(mask: Volume, image: Volume) -> Volume:
    """The mask on exactly the image's grid and header, with what had to be done added to its warnings.

    Raises
    ------
    GeometryError : the mask lies on other voxels, or labels lie outside the image and would be lost.
    """
    match = compare_grids(image.grid, mask.grid)
    name = mask.path or "The mask"
    if match.index_map is None:
        raise GeometryError(f"{name} does not lie on {image.path or 'the image'}: {match.message}")
    # The mask's header does not come along, so its scale has to be applied here, or labels would change their values.
    array = mask.array if scaling(mask.header) == (1.0, 0.0) else mask.intensities()
    if match.kind == "lattice":
        array, lost = _reorder(array, match.index_map, image.shape)
        if lost:
            raise GeometryError(
                f"{name} has {lost} labelled voxels outside {image.path or 'the image'}; "
                "nothing drawn is thrown away, so check that both belong to the same exam."
            )
    result = like(image, array)
    notes = mask.warnings + ((match.message,) if match.message else ())
    return Volume(result.array, result.affine, result.header, mask.path, b"", notes)


def _reorder(array: np.ndarray, index_map: np.ndarray, shape: tuple[int, int, int]) -> tuple[np.ndarray, int]:
    """Place the mask's voxels in an image-shaped array; also how many non-zero voxels fell outside."""
    rotation, offset = index_map[:, :3], index_map[:, 3]
    source_axes = np.abs(rotation).argmax(axis=1)
    moved = array.transpose(source_axes)
    target, source = [], []
    for axis, along in enumerate(source_axes):
        sign, size = rotation[axis, along], moved.shape[axis]
        if sign < 0:
            moved = np.flip(moved, axis)
        first = offset[axis] if sign > 0 else offset[axis] - (size - 1)
        low, high = max(first, 0), min(first + size, shape[axis])
        target.append(slice(low, max(high, low)))
        source.append(slice(low - first, max(high, low) - first))
    # In the order of files and of VTK's memory: whoever mixes it with another order is ten times slower.
    result = np.zeros(shape, array.dtype, order="F")
    kept = moved[tuple(source)]
    result[tuple(target)] = kept
    return result, int(np.count_nonzero(array) - np.count_nonzero(kept))


def _is_signed_permutation(matrix: np.ndarray) -> bool:
    size = np.abs(matrix)
    return bool(size.max() <= 1 and (size.sum(axis=0) == 1).all() and (size.sum(axis=1) == 1).all())


def _describe(index_map: np.ndarray, image: Grid, mask: Grid) -> str:
    rotation = index_map[:, :3]
    words = []
    if not np.array_equal(np.abs(rotation), np.eye(3, dtype=int)):
        words.append("has its axes in another order")
    if rotation.min() < 0:
        words.append("is flipped")
    if tuple(np.abs(rotation) @ np.array(mask.shape)) != tuple(image.shape):
        words.append(f"covers {' x '.join(map(str, mask.shape))} voxels instead of {' x '.join(map(str, image.shape))}")
    elif not words:
        words.append("is shifted by whole voxels")
    return f"{' and '.join(words)} ({mask.orientation} against {image.orientation}); it was put back voxel by voxel"


def _explain(image: Grid, mask: Grid) -> str:
    """Why two grids differ, in mm."""

    def text(values: np.ndarray) -> str:
        return " x ".join(f"{value:.5g}" for value in values)

    if not np.allclose(np.sort(image.spacing), np.sort(mask.spacing), rtol=1e-3):
        return (
            f"its voxels measure {text(mask.spacing)} mm and the image's {text(image.spacing)} mm; "
            "resample it to the image or segment the image itself."
        )
    shift = np.linalg.norm(mask.corners().mean(axis=0) - image.corners().mean(axis=0))
    nearest = max(np.linalg.norm(image.corners() - corner, axis=1).min() for corner in mask.corners())
    return (
        f"its centre is {shift:.2f} mm from the image's and its corners are up to {nearest:.2f} mm from the image's; "
        "choose the mask that was drawn on this image."
    )
