"""Splines along one axis as scipy.ndimage has them, in NumPy alone: their filter, their weights, their borders.

Importing scipy.ndimage takes as long as resampling an exam. The recursive filter is Unser's (IEEE Signal Processing
Magazine 16, 1999), over all lines at once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

# SciPy pads lines by so many voxels before it filters them, each as the last one.
_PADDING = 12
# A line beyond its end counts in the filter until its weight is lost in rounding.
_LOST = 1e-18
# Poles of the filters of order 2 to 5.
_ROOT4, _ROOT5 = math.sqrt(438976), math.sqrt(4436.25)
_POLES = {
    2: (math.sqrt(8) - 3,),
    3: (math.sqrt(3) - 2,),
    4: (
        math.sqrt(664 - _ROOT4) + math.sqrt(304) - 19,
        math.sqrt(664 + _ROOT4) - math.sqrt(304) - 19,
    ),
    5: (
        math.sqrt(67.5 - _ROOT5) + math.sqrt(26.25) - 6.5,
        math.sqrt(67.5 + _ROOT5) - math.sqrt(26.25) - 6.5,
    ),
}


@dataclass(frozen=True, eq=False)
class Line:
    """How the values along an axis become others.

    Parameters
    ----------
    order : of the spline, 0 to 5.
    taps, weights : (order + 1, n) places in the old line (padded, if the spline needs a filter) and their weights.
    """

    order: int
    taps: np.ndarray
    weights: np.ndarray


@functools.lru_cache(maxsize=16)
def line(old: int, new: int, order: int) -> Line | None:
    """Of an axis of `old` voxels that gets `new` ones over the same length; None if nothing changes."""
    if old == new:
        return None
    at = (np.arange(new) + 0.5) * (old / new) - 0.5
    taps = np.floor(at if order % 2 else at + 0.5).astype(np.intp) - order // 2 + np.arange(order + 1)[:, None]
    weights = np.stack([_spline(at - tap, order) for tap in taps])
    # They sum to one but for rounding; SciPy leaves the rest to the last.
    weights[-1] = 1.0 - weights[:-1].sum(axis=0)
    # Beyond its ends the line goes on as it ends; where it is filtered before, it has to be padded for that.
    return Line(order, np.clip(taps, 0, old - 1) if order < 2 else taps + _PADDING, weights)


def along(values: np.ndarray, how: Line | None, axis: int) -> np.ndarray:
    """float64 values of lines at their new places along an axis; the sum goes over the taps."""
    if how is None:
        return values
    lines = np.moveaxis(values, axis, 0)
    if how.order > 1:
        # Into new memory, in which a step along the lines is a step from one row to the next.
        padded = np.empty((len(lines) + 2 * _PADDING, *lines.shape[1:]))
        padded[_PADDING:-_PADDING] = lines
        padded[:_PADDING], padded[-_PADDING:] = lines[0], lines[-1]
        lines = _filter(padded, how.order)
    return np.moveaxis(_sum(_taken(lines, how, 0)), 0, axis)


def linear(planes: Iterable[np.ndarray], rows: Line | None, columns: Line | None) -> np.ndarray:
    """The sum of weighted planes (rows, columns) at new rows and columns by linear interpolation, each product and the
    sum in the order of SciPy's zoom."""
    return _sum(term for plane in planes for part in _taken(plane, rows, 0) for term in _taken(part, columns, 1))


def plane_of(volume: np.ndarray, how: Line | None, index: int) -> Iterator[np.ndarray]:
    """The weighted planes of a volume (n, rows, columns) of which a plane at new places along n consists."""
    if how is None:
        yield volume[index].astype(np.float64)
        return
    for tap, weight in zip(how.taps[:, index], how.weights[:, index], strict=True):
        yield volume[tap].astype(np.float64) * weight


def _spline(distance: np.ndarray, order: int) -> np.ndarray:
    """The central B-spline at a distance in voxels that lies within its support."""
    if order == 0:
        return np.ones_like(distance)
    near = np.abs(distance)
    if order == 1:
        return 1.0 - near
    reach = (order + 1) / 2
    terms = ((-1) ** k * math.comb(order + 1, k) * np.maximum(reach - k - near, 0.0) ** order for k in range(order + 1))
    return sum(terms) / math.factorial(order)


def _filter(lines: np.ndarray, order: int) -> np.ndarray:
    """Coefficients of a spline through the values (n, ...), in place; beyond an end the line is mirrored at it."""
    gain = 1.0
    for pole in _POLES[order]:
        gain *= (1.0 - pole) * (1.0 - 1.0 / pole)
    lines *= gain
    count, step = len(lines), np.empty_like(lines[0])
    for pole in _POLES[order]:
        first, weight = lines[0].copy(), pole
        for index in range(count):
            if abs(weight) < _LOST:
                break
            first += weight * lines[index]
            weight *= pole
        lines[0] = first
        for index in range(1, count):
            np.multiply(lines[index - 1], pole, out=step)
            lines[index] += step
        lines[-1] *= pole / (pole - 1.0)
        for index in range(count - 2, -1, -1):
            np.subtract(lines[index + 1], lines[index], out=step)
            np.multiply(step, pole, out=lines[index])
    return lines


def _taken(values: np.ndarray, how: Line | None, axis: int) -> Iterator[np.ndarray]:
    """Values at each tap of the new places, times their weight; in the same memory each time."""
    if how is None:
        yield values
        return
    shape = [1] * values.ndim
    shape[axis] = how.taps.shape[1]
    part = np.empty((*values.shape[:axis], shape[axis], *values.shape[axis + 1 :]))
    for tap, weight in zip(how.taps, how.weights, strict=True):
        # No tap lies outside; without a mode, NumPy would make a copy first to be able to say so.
        np.take(values, tap, axis, out=part, mode="clip")
        if how.order:
            part *= weight.reshape(shape)
        yield part


def _sum(terms: Iterator[np.ndarray]) -> np.ndarray:
    total = next(terms).copy()
    for term in terms:
        total += term
    return total
