"""How far two surfaces lie apart: HD, HD95, ASSD and NSD, by pieces of surface with their area or by voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from . import elements, nearest

Surfaces = Literal["elements", "voxels"]
# Distances that are equal on paper differ in the last digits, and so do sums of areas.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Distances:
    """Between the surfaces of two masks.

    Parameters
    ----------
    there, back : (M,) and (N,) mm, from the reference's M points to the candidate's surface, and the other way;
        infinite if the other mask is empty.
    there_weights, back_weights : the share of the surface that each point stands for: mm2, or 1 for voxels.
    surfaces : what the points are, see :func:`between`.
    """

    there: np.ndarray
    back: np.ndarray
    there_weights: np.ndarray
    back_weights: np.ndarray
    surfaces: Surfaces = "elements"

    @property
    def measurable(self) -> bool:
        """Both surfaces are there, and every point of them has a distance; else only `share_within` has an answer."""
        sizes = self.there.size and self.back.size
        return bool(sizes and np.isfinite(self.there).all() and np.isfinite(self.back).all())

    def largest(self) -> float:
        """HD: the largest distance of a point to the other surface, mm."""
        return float(max(self.there.max(), self.back.max()))

    def percentile(self, percent: float) -> float:
        """The larger of the two directed percentiles, mm.

        Of one direction it is the smallest distance within which `percent` of the surface lies; of voxels, which all
        weigh the same, the usual one that interpolates between two distances.
        """
        if self.surfaces == "voxels":
            return float(max(np.percentile(distances, percent) for distances in (self.there, self.back)))
        pairs = (self.there, self.there_weights), (self.back, self.back_weights)
        return max(_percentile(distances, weights, percent) for distances, weights in pairs)

    def mean(self) -> float:
        """ASSD: the mean over both surfaces together, mm."""
        total = self.there @ self.there_weights + self.back @ self.back_weights
        return float(total / (self.there_weights.sum() + self.back_weights.sum()))

    def share_within(self, tolerance: float) -> float:
        """NSD: the share of both surfaces together that lies within `tolerance` mm of the other one; 1 of none."""
        limit = tolerance * (1 + _ROUNDING)
        pairs = (self.there, self.there_weights), (self.back, self.back_weights)
        within = sum(weights[distances <= limit].sum() for distances, weights in pairs)
        whole = self.there_weights.sum() + self.back_weights.sum()
        return float(within / whole) if whole else 1.0


def between(
    reference: np.ndarray, candidate: np.ndarray, spacing: Sequence[float], surfaces: Surfaces = "elements"
) -> Distances:
    """The distances between the surfaces of two masks.

    Parameters
    ----------
    reference, candidate : (I, J, K) bool, of the same shape.
    spacing : mm between voxel centres along each axis.
    surfaces : "elements", pieces of surface between voxel centres, weighted by their area; or "voxels", the centres of
        voxels with a face neighbour outside, all of the same weight.
    """
    spacing = tuple(float(size) for size in spacing)
    box = bounding_box(reference, candidate)
    reference, candidate = reference[box], candidate[box]
    near = nearest.places(spacing)
    if surfaces == "elements":
        # One more than the longest step, because a corner point lies before and after every voxel.
        margin = tuple(size + 1 for size in near.margin)
        coded = [elements.codes(mask, margin) for mask in (reference, candidate)]
        edges = [elements.is_surface(code) for code in coded]
        points = [np.flatnonzero(edge) for edge in edges]
        area = elements.areas(spacing)
        weights = [area[code.ravel()[point]] for code, point in zip(coded, points, strict=True)]
    elif surfaces == "voxels":
        around = [(size, size) for size in near.margin]
        edges = [np.pad(elements.surface(mask), around) for mask in (reference, candidate)]
        points = [np.flatnonzero(edge) for edge in edges]
        weights = [np.ones(point.size) for point in points]
    else:
        raise ValueError(f"surfaces are 'elements' or 'voxels', not {surfaces!r}")
    there = nearest.distances(points[0], edges[1], spacing)
    back = nearest.distances(points[1], edges[0], spacing)
    return Distances(there, back, *weights, surfaces)


def pooled(parts: Sequence[Distances]) -> Distances:
    """The distances of several structures, one or more, as those of one."""
    fields = ("there", "back", "there_weights", "back_weights")
    return Distances(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields), parts[0].surfaces)


def bounding_box(first: np.ndarray, second: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds every voxel (I, J, K) that is not zero in one or both; empty slices if none is."""
    used = (first != 0) | (second != 0)
    if used.flags.f_contiguous and not used.flags.c_contiguous:
        return _box(used.T)[::-1]
    return _box(used)


def _box(used: np.ndarray) -> tuple[slice, ...]:
    # One axis at a time over memory as it lies: over two axes at once it takes a hundred times as long.
    rows = _ends(used.reshape(len(used), used[:1].size).any(axis=1))
    plane = used[rows].any(axis=0)
    return rows, _ends(plane.any(axis=1)), _ends(plane.any(axis=0))


def _ends(used: np.ndarray) -> slice:
    places = np.flatnonzero(used)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 0)


def _percentile(distances: np.ndarray, weights: np.ndarray, percent: float) -> float:
    order = np.argsort(distances)
    reached = np.cumsum(weights[order])
    place = np.searchsorted(reached, reached[-1] * (percent / 100 - _ROUNDING))
    return float(distances[order[min(place, order.size - 1)]])
