"""The few operations on masks that segmentation needs, after scipy.ndimage and in NumPy alone.

Importing scipy.ndimage takes as long as a third of the network's work on an exam; these take milliseconds on the
sparse masks of a spine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

# Standard deviations after which a Gaussian is cut off.
_TRUNCATE = 4.0


def label(mask: np.ndarray, structure: np.ndarray | None = None) -> tuple[np.ndarray, int]:
    """Connected parts of a mask of any number of axes.

    Parameters
    ----------
    mask : bool.
    structure : bool, three along each axis, symmetric: which neighbours are connected; faces alone by default.

    Returns
    -------
    int32 of the mask's shape, 0 outside and 1, 2, ... in the order of each part's first voxel; and their number.
    """
    mask = np.asarray(mask, bool)
    labels = np.zeros(mask.shape, np.int32)
    if not mask.any():
        return labels, 0
    box = _box(mask)
    inside = np.pad(mask[box], 1)
    places = np.flatnonzero(inside)
    number = np.full(inside.size, -1, np.int64)
    number[places] = np.arange(len(places))
    steps = np.cumprod((1, *inside.shape[:0:-1]))[::-1]
    pairs = []
    for offset in product((-1, 0, 1), repeat=mask.ndim):
        connected = sum(map(abs, offset)) == 1 if structure is None else structure[tuple(np.add(offset, 1))]
        # Half of the directions are enough, as a neighbour's neighbour is oneself.
        if connected and offset < (0,) * mask.ndim:
            other = number[places + int(np.dot(steps, offset))]
            first = np.flatnonzero(other >= 0)
            pairs.append(np.stack([first, other[first]]))
    root = _joined(len(places), np.concatenate(pairs, axis=1))
    # Every part is called by its first voxel, so that counting these numbers the parts.
    numbers = np.cumsum(root == np.arange(len(root)), dtype=np.int32)
    parts = np.zeros(inside.size, np.int32)
    parts[places] = numbers[root]
    labels[box] = parts.reshape(inside.shape)[(slice(1, -1),) * mask.ndim]
    return labels, int(numbers[-1])


def _joined(count: int, pairs: np.ndarray) -> np.ndarray:
    """The lowest member of the group of each of `count` things, where `pairs` (2, P) belong together."""
    root = np.arange(count)
    while pairs.size:
        first, second = root[pairs]
        apart = first != second
        pairs, first, second = pairs[:, apart], first[apart], second[apart]
        # Always towards lower numbers, so that there are no circles; of several, one wins and the rest have their turn.
        root[np.maximum(first, second)] = np.minimum(first, second)
        while True:
            further = root[root]
            if np.array_equal(further, root):
                break
            root = further
    return root


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """The smallest box around a mask that is not empty."""
    axes = range(mask.ndim)
    lines = (np.flatnonzero(mask.any(axis=tuple(a for a in axes if a != axis))) for axis in axes)
    return tuple(slice(int(line[0]), int(line[-1]) + 1) for line in lines)


def distinct(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different ones of places on a grid, as `np.unique` along the first axis, without sorting.

    Parameters
    ----------
    places : (N, 2) int64, not far from each other: memory is that of the smallest rectangle around them.

    Returns
    -------
    (C, 2) in rising order, and (N,) which of them each place is.
    """
    if not len(places):
        return places, np.zeros(0, np.int64)
    low = places.min(axis=0)
    width = int(places[:, 1].max() - low[1]) + 1
    flat = (places[:, 0] - low[0]) * width + (places[:, 1] - low[1])
    there = np.bincount(flat) > 0
    found = np.flatnonzero(there)
    return np.stack([found // width, found % width], axis=1) + low, (np.cumsum(there) - 1)[flat]


def fill_holes(mask: np.ndarray) -> np.ndarray:
    """The mask with everything that its background does not reach from the border by faces, bool."""
    mask = np.asarray(mask, bool)
    if not mask.any():
        return mask.copy()
    box = _box(mask)
    outside = np.pad(~mask[box], 1, constant_values=True)
    parts, _ = label(outside)
    filled = mask.copy()
    filled[box] = (parts != parts.flat[0])[(slice(1, -1),) * mask.ndim]
    return filled


def gaussian(values: np.ndarray, sigmas: Sequence[float], mode: str = "reflect") -> np.ndarray:
    """Values smoothed along each axis by a Gaussian of that many samples, float64.

    Parameters
    ----------
    mode : beyond the ends, "reflect" (the last sample repeated first), "nearest" or "constant" (zeros).
    """
    smooth = np.asarray(values, np.float64)
    for axis, sigma in enumerate(sigmas):
        if sigma > 0:
            smooth = np.apply_along_axis(_smoothed, axis, smooth, sigma, mode)
    return smooth


def _smoothed(line: np.ndarray, sigma: float, mode: str) -> np.ndarray:
    reach = int(_TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    padded = np.pad(line, reach, mode={"reflect": "symmetric", "nearest": "edge", "constant": "constant"}[mode])
    return np.convolve(padded, weights / weights.sum(), mode="valid")
