"""The surface of a mask as small pieces with an area, and as voxels at its edge."""

from __future__ import annotations

from functools import cache
from itertools import permutations, product

import numpy as np

# A piece of surface lies between the centres of 2 x 2 x 2 neighbouring voxels. Marching cubes (Lorensen and Cline,
# 1987) puts it through the middles of the edges between a voxel inside and one outside. Of each case that no rotation,
# reflection or exchange of inside and outside turns into another one: the corners inside, and of each flat part of the
# piece the area that one sees along the three axes, in eighths of a cell's face.
_CASES: tuple[tuple[str, tuple[tuple[int, int, int], ...]], ...] = (
    ("111", ((1, 1, 1),)),
    ("110 111", ((2, 2, 0), (2, 2, 0))),
    ("101 110", ((1, 1, 1), (1, 1, 1))),
    ("011 100", ((1, 1, 1), (1, 1, 1))),
    ("101 110 111", ((4, 0, 0), (2, 2, 2), (1, 1, 1))),
    ("011 100 111", ((0, 2, 2), (0, 2, 2), (1, 1, 1))),
    ("011 101 110", ((1, 1, 1), (1, 1, 1), (1, 1, 1))),
    ("100 101 110 111", ((4, 0, 0), (4, 0, 0))),
    ("011 101 110 111", ((1, 1, 1), (2, 2, 2), (2, 2, 2), (1, 1, 1))),
    ("011 100 110 111", ((1, 1, 1), (3, 3, 3), (0, 2, 2), (2, 0, 2))),
    ("011 100 101 110", ((4, 0, 0), (2, 2, 2), (1, 1, 1), (1, 1, 1))),
    ("010 011 100 101", ((2, 2, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0))),
    ("001 010 100 111", ((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1))),
)
_INSIDE = 255  # all eight voxels


def surface(mask: np.ndarray) -> np.ndarray:
    """The voxels of a boolean array (I, J, K) with a face neighbour outside the mask or outside the array."""
    inside = np.pad(mask, 1)
    inner = inside[:-2, 1:-1, 1:-1] & inside[2:, 1:-1, 1:-1]
    inner &= inside[1:-1, :-2, 1:-1] & inside[1:-1, 2:, 1:-1]
    inner &= inside[1:-1, 1:-1, :-2] & inside[1:-1, 1:-1, 2:]
    return mask & ~inner


def codes(mask: np.ndarray, margin: tuple[int, int, int]) -> np.ndarray:
    """Which of the eight voxels around each corner point lie in a boolean array; outside the array none does.

    Parameters
    ----------
    mask : (I, J, K) bool.
    margin : at least 1 along each axis: how many empty voxels are added at both ends.

    Returns
    -------
    (I, J, K) + 2 * margin - 1, uint8: bit 4 i + 2 j + k is set if the neighbour (i, j, k), each 0 or 1, is inside.
    """
    inside = np.zeros([size + 2 * more for size, more in zip(mask.shape, margin, strict=True)], np.uint8)
    inside[tuple(slice(more, -more) for more in margin)] = mask
    found = inside[:, :, :-1] | inside[:, :, 1:] << 1
    found = found[:, :-1] | found[:, 1:] << 2
    return found[:-1] | found[1:] << 4


def is_surface(codes: np.ndarray) -> np.ndarray:
    """Where some of the eight voxels lie inside and some outside."""
    # 0 and 255 become the two largest values of a byte.
    return codes - np.uint8(1) < _INSIDE - 1


@cache
def areas(spacing: tuple[float, float, float]) -> np.ndarray:
    """(256,) area in mm2 of the piece of surface of each code.

    Parameters
    ----------
    spacing : mm between voxel centres along each axis.

    Examples
    --------
    >>> float(areas((0.5, 0.5, 4.0))[0b11110000])  # a flat piece across the first axis
    2.0
    """
    faces = np.prod(spacing) / np.array(spacing) / 8
    result = np.zeros(256)
    for corners, parts in _CASES:
        points = np.array([[int(digit) for digit in corner] for corner in corners.split()])
        seen = np.array(parts, float)
        for axes in permutations(range(3)):
            area = float(np.linalg.norm(seen[:, axes] * faces, axis=1).sum())
            for flips in product((0, 1), repeat=3):
                code = int(sum(1 << (4 * i + 2 * j + k) for i, j, k in points[:, axes] ^ np.array(flips)))
                result[[code, _INSIDE ^ code]] = area
    result.flags.writeable = False
    return result
