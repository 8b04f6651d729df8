"""The spine as a line: where it runs through a mask, and where a point lies relative to it.

Arrays are oriented "RIP" (:func:`volume.reorient`): axis 0 from left to right, rows from superior to inferior,
columns from anterior to posterior. Points are millimetres along these three axes. The line is a function of the row:
at every height there is one position, which holds for any neck that is less than about 60 degrees from upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .morphology import gaussian

# Edge of the cells, mm, in which the way is looked for.
CELL = 2.0
# A neck that leans more than this many cells to the front or side in a cell of height is not followed.
_STEEPEST = 2
# Lines of a mask further apart than this belong to different stretches: a vertebra that was missed, with its discs.
LONGEST_GAP = 30.0
_REACH = 16.0
_SMOOTH = 8.0


@dataclass(frozen=True, eq=False)
class Curve:
    """A line through the vertebral bodies.

    Parameters
    ----------
    height : (M,) mm along the rows, increasing by :data:`CELL`.
    side, depth : (M,) mm along axis 0 and along the columns.
    along : (M,) arc length, mm, from the upper end.
    start, stop : arc lengths between which the mask lies.
    """

    height: np.ndarray
    side: np.ndarray
    depth: np.ndarray
    along: np.ndarray
    start: float
    stop: float

    def at(self, along: float) -> np.ndarray:
        """(3,) mm along the axes of the array: the point of the line that is `along` mm from its upper end."""
        return np.array([np.interp(along, self.along, line) for line in (self.side, self.height, self.depth)])

    def place(self, points: np.ndarray) -> np.ndarray:
        """Where points lie relative to the line.

        Parameters
        ----------
        points : (N, 3) mm along the axes of the array.

        Returns
        -------
        (N, 3): mm along the line from its upper end (beyond its ends too), mm to the right of it, mm behind it.
        """
        slopes = [np.gradient(line, self.height) for line in (self.side, self.depth)]
        side, depth, along, side_slope, depth_slope = (
            np.interp(points[:, 1], self.height, line) for line in (self.side, self.depth, self.along, *slopes)
        )
        # Where the line ends, it goes on straight.
        beyond = points[:, 1] - np.clip(points[:, 1], self.height[0], self.height[-1])
        side, depth = side + beyond * side_slope, depth + beyond * depth_slope
        length = np.sqrt(1 + np.square(side_slope) + np.square(depth_slope))
        along = along + beyond * length
        right, behind = points[:, 0] - side, points[:, 2] - depth
        return np.stack(
            [
                along + (right * side_slope + behind * depth_slope) / length,
                right / np.hypot(1, side_slope),
                behind / np.hypot(1, depth_slope),
            ],
            axis=1,
        )


def positions(index: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """(N, 3) millimetres of voxel indices (N, 3)."""
    return np.asarray(index, np.float64) * np.asarray(spacing, np.float64)


def through(points: np.ndarray, volumes: np.ndarray | float = 1.0) -> Curve | None:
    """The line that has most of a mask's voxels close to it, or None if there are too few.

    Parameters
    ----------
    points : (N, 3) mm along the axes of the array, the voxels of bodies and discs.
    volumes : (N,) or one number: what each counts for.
    """
    if len(points) < 3:
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    shape = ((high - low) / CELL).astype(int) + 1
    cells = ((points - low) / CELL).astype(int)
    weights = np.broadcast_to(np.asarray(volumes, np.float64), len(points))
    depth = _way(_plane(cells[:, 1], cells[:, 2], weights, shape[1], shape[2]))
    near = np.abs(cells[:, 2] - depth[cells[:, 1]]) * CELL <= _REACH
    if np.count_nonzero(near) < 3:
        return None
    side = _way(_plane(cells[near, 1], cells[near, 0], weights[near], shape[1], shape[0]))
    near &= np.abs(cells[:, 0] - side[cells[:, 1]]) * CELL <= _REACH
    if np.count_nonzero(near) < 3:
        return None
    return _refined(points[near], weights[near], cells[near, 1], low[1], shape[1])


def _plane(rows: np.ndarray, columns: np.ndarray, weights: np.ndarray, height: int, width: int) -> np.ndarray:
    """(height, width) how much mask lies about each cell of a projection; a thick blob counts little more than a
    thin part of the spine."""
    flat = np.bincount(rows * width + columns, weights, height * width).reshape(height, width)
    return np.sqrt(gaussian(flat, (2.0 / CELL, 5.0 / CELL), "constant"))


def _way(plane: np.ndarray) -> np.ndarray:
    """The column of each row on the way from top to bottom that collects most; slanting costs a little."""
    height, width = plane.shape
    moves = np.arange(-_STEEPEST, _STEEPEST + 1)
    cost = 0.02 * np.square(moves) * plane.max(initial=0.0)
    best = plane[0].copy()
    came = np.zeros((height, width), np.int64)
    for row in range(1, height):
        padded = np.pad(best, _STEEPEST, constant_values=-np.inf)
        options = np.stack([padded[_STEEPEST + move : _STEEPEST + move + width] for move in moves]) - cost[:, None]
        choice = options.argmax(axis=0)
        came[row] = np.arange(width) + moves[choice]
        best = options[choice, np.arange(width)] + plane[row]
    way = np.empty(height, np.int64)
    way[-1] = best.argmax()
    for row in range(height - 1, 0, -1):
        way[row - 1] = came[row, way[row]]
    return way


def _refined(points: np.ndarray, weights: np.ndarray, rows: np.ndarray, top: float, count: int) -> Curve | None:
    """The smoothed line of the centres of the rows, over the stretch of the mask with most voxels."""
    total = np.bincount(rows, weights, count)
    first, last = _stretch(total)
    kept = slice(first, last + 1)
    if last - first < 2:
        return None
    smoothed = gaussian(total[kept], (_SMOOTH / CELL,), "nearest")
    lines = []
    for axis in (0, 2):
        sums = np.bincount(rows, weights * points[:, axis], count)[kept]
        lines.append(gaussian(sums, (_SMOOTH / CELL,), "nearest") / np.maximum(smoothed, 1e-9))
    height = top + (np.arange(first, last + 1) + 0.5) * CELL
    steps = np.sqrt(np.square(np.diff(height)) + sum(np.square(np.diff(line)) for line in lines))
    along = np.concatenate([[0.0], np.cumsum(steps)])
    return Curve(height, lines[0], lines[1], along, float(along[0] - CELL / 2), float(along[-1] + CELL / 2))


def _stretch(total: np.ndarray) -> tuple[int, int]:
    """First and last row of the heaviest stretch of rows without a gap of :data:`LONGEST_GAP` or more."""
    filled = np.flatnonzero(total > 0)
    breaks = np.flatnonzero(np.diff(filled) * CELL > LONGEST_GAP)
    parts = np.split(filled, breaks + 1)
    heaviest = max(parts, key=lambda part: total[part].sum())
    return int(heaviest[0]), int(heaviest[-1])
