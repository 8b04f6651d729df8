"""Exact distances from the points of one surface to the nearest point of another, on a grid of any spacing."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

# So many of the nearest places around a point are looked at one by one before a tree is built for what is left. Masks
# of the same anatomy mostly lie a few voxels apart.
_PLACES = 240
_WIDEST = 12  # voxels along an axis
_AT_ONCE = 8000  # points and places
# Places looked at for each voxel of the array, after which a distance transform is sooner done: where a mask floods the
# image, most points are far from everything. And voxels of it that a point costs in a tree, at worst thousands.
_LOOKS, _TREE_COST = 4, 200


class Places(NamedTuple):
    """Steps on the grid to the places around a point, the nearest first.

    steps : (P, 3) int; distances : (P,) mm; margin : the longest step along each axis.
    """

    steps: np.ndarray
    distances: np.ndarray
    margin: tuple[int, int, int]


@cache
def places(spacing: tuple[float, float, float]) -> Places:
    """The places around a point of a grid with this spacing (mm): no place left out is nearer than one of them."""
    reach = np.arange(-_WIDEST, _WIDEST + 1)
    steps = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    distances = lengths(steps, spacing)
    order = np.argsort(distances, kind="stable")[:_PLACES]
    complete = distances[order] < (_WIDEST + 1) * min(spacing)
    steps, distances = steps[order][complete], distances[order][complete]
    return Places(steps, distances, tuple(int(size) for size in np.abs(steps).max(axis=0)))


def lengths(steps: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """(N,) mm of (N, 3) steps on the grid."""
    return np.sqrt(((steps * np.array(spacing)) ** 2).sum(axis=-1))


def distances(start: np.ndarray, goal: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """(N,) mm from each of N points to the nearest point of the goal.

    Parameters
    ----------
    start : (N,) flat indices (C order) into the goal's array, nowhere nearer to an end than `places(spacing).margin`.
    goal : (I, J, K) bool, C order, with the same margin; if it is True nowhere, all distances are infinite.
    spacing : mm along each axis.
    """
    near = places(spacing)
    flat = goal.ravel()
    if not flat.any():
        return np.full(start.size, np.inf)
    shifts = near.steps @ np.array([goal.shape[1] * goal.shape[2], goal.shape[2], 1])
    result = np.empty(start.size)
    left, at, place, looks = np.arange(start.size), start, 0, 0
    while left.size and place < len(shifts) and looks < _LOOKS * goal.size:
        # Of many points one place at a time, of few many places, as each turn costs the same whatever it looks at.
        several = shifts[place : place + max(1, _AT_ONCE // left.size)]
        seen = flat[at[:, None] + several]
        first = seen.argmax(axis=1) if len(several) > 1 else np.zeros(left.size, np.int64)
        found = seen[np.arange(left.size), first]
        result[left[found]] = near.distances[place + first[found]]
        place, looks = place + len(several), looks + seen.size
        left, at = left[~found], at[~found]
    if left.size:
        few = place == len(shifts) and left.size * _TREE_COST < goal.size
        result[left] = (_by_tree if few else _by_transform)(at, goal, spacing)
    return result


def _by_tree(start: np.ndarray, goal: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    from scipy.spatial import KDTree

    there = np.argwhere(goal)
    here = np.stack(np.unravel_index(start, goal.shape), axis=-1)
    tree = KDTree(there * np.array(spacing), balanced_tree=False, compact_nodes=False)
    _, which = tree.query(here * np.array(spacing))
    # From the steps and not from the tree: the same both ways and wherever the masks lie.
    return lengths(there[which] - here, spacing)


def _by_transform(start: np.ndarray, goal: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    which = distance_transform_edt(~goal, sampling=spacing, return_distances=False, return_indices=True)
    there = which.reshape(3, -1)[:, start].T
    here = np.stack(np.unravel_index(start, goal.shape), axis=-1)
    return lengths(there - here, spacing)
