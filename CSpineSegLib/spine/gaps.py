"""Discs that a mask lacks: gaps between bodies where one must have been.

A gap is a candidate as a disc with a label is (:class:`sheets.Sheet`), without voxels of its own. Where a vertebra's
label is missing too, there is one candidate at either end of the gap.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from . import stretches
from .frame import Frame
from .morphology import distinct
from .sheets import STIFF, Sheet, connected, near

# mm between two bodies, and between a body and a disc, from which a vertebra can be missing: a child's, with discs.
_BETWEEN_BODIES, _BESIDE_DISC = 12.0, 9.0
# A gap is as wide as where it is narrowest, but for so many columns: a dens stands far out over the rest of C2.
_NEAREST = 0.1
# mm from a body's end plate to the middle of the disc beside it.
_HALF_DISC = 2.5


def find(frame: Frame, sheets: list[Sheet]) -> list[Sheet]:
    """Gaps between bodies, and between a body and the next disc with a label, from head to foot."""
    measured = stretches.measure(frame, sheets)
    found: list[Sheet] = []
    for cell in range(len(sheets) + 1):
        bodies = _bodies(frame, measured.bodies[measured.cell == cell])
        if not bodies:
            continue
        if cell:
            found += _beside(frame, sheets[cell - 1], bodies[0], upper=True)
        for upper, lower in pairwise(bodies):
            found += _between(frame, upper, lower)
        if cell < len(sheets):
            found += _beside(frame, sheets[cell], bodies[-1], upper=False)
    return found


def _bodies(frame: Frame, members: np.ndarray) -> list[np.ndarray]:
    """The bodies of a stretch that lie one below the other about the line, without small parts."""
    side = max(stretches.CORE_SIDE, 1.01 * frame.slices)
    core = (np.abs(frame.right) <= side) & (np.abs(frame.behind) <= stretches.CORE_DEPTH)
    parts = [part for part in connected(frame, members) if core[part].any()]
    largest = max((len(part) for part in parts), default=0)
    return stretches.stacked(frame, [part for part in parts if len(part) >= stretches.BODY_SHARE * largest])


def _between(frame: Frame, upper: np.ndarray, lower: np.ndarray) -> list[Sheet]:
    """The discs between two bodies: one, or two where a vertebra is missing with its discs."""
    above, below = _surface(frame, upper, 1.0), _surface(frame, lower, -1.0)
    shared = [key for key in above if key in below]
    if len(shared) < 3:
        return []
    ends = np.array([(above[key], below[key]) for key in shared])
    places = np.array(shared) * _column(frame)
    gap = float(np.quantile(ends[:, 1] - ends[:, 0], _NEAREST)) - frame.row
    if gap < _BETWEEN_BODIES:
        return [_fitted(places, ends.mean(axis=1), max(gap, 0.0))]
    return [
        _fitted(places, ends[:, 0] + frame.row / 2 + _HALF_DISC, gap),
        _fitted(places, ends[:, 1] - frame.row / 2 - _HALF_DISC, gap),
    ]


def _beside(frame: Frame, sheet: Sheet, body: np.ndarray, upper: bool) -> list[Sheet]:
    """The disc of a body that ends far from the next disc with a label, which lies above (`upper`) or below it."""
    sign = -1.0 if upper else 1.0
    surface = _surface(frame, body, sign)
    places = np.array(list(surface)) * _column(frame)
    ends = np.array(list(surface.values()))
    gap = float(np.quantile(sign * (sheet.along(*places.T) - ends), _NEAREST)) - (sheet.thickness + frame.row) / 2
    if gap < _BESIDE_DISC:
        return []
    return [_fitted(places, ends + sign * (frame.row / 2 + _HALF_DISC), gap)]


def _column(frame: Frame) -> np.ndarray:
    """(2,) mm, width and depth of the columns in which surfaces are taken."""
    return np.array([frame.slices, max(1.0, frame.row)])


def _surface(frame: Frame, members: np.ndarray, sign: float) -> dict[tuple[int, int], float]:
    """mm along the line of the lowest (`sign` 1) or highest (-1) voxel of each column of a body."""
    beside = np.stack([frame.right[members], frame.behind[members]], axis=1)
    keys, which = distinct(np.rint(beside / _column(frame)).astype(np.int64))
    ends = np.full(len(keys), -np.inf)
    np.maximum.at(ends, which, sign * frame.along[members])
    return {tuple(key): float(sign * end) for key, end in zip(keys.tolist(), ends, strict=True)}


def _fitted(places: np.ndarray, along: np.ndarray, gap: float) -> Sheet:
    """The plane through points, held as level as that of a disc with a label."""
    beside = near(*places.T)
    design = np.column_stack([np.ones(len(beside)), beside])
    held = len(design) * np.diag([1e-12, STIFF * 100, STIFF * 100])
    _, *slopes = np.linalg.solve(design.T @ design + held, design.T @ along)
    slopes = np.clip(slopes, -0.7, 0.7)
    place, thickness = float(np.median(along - beside @ slopes)), min(gap, 2 * _HALF_DISC)
    return Sheet(np.zeros(0, np.int64), place, slopes, thickness, 0.0, False, 0, gap)
