"""Resampling as nnU-Net 2 does it: splines over whole pixels, axis by axis, and a coarse axis apart from the others.

nnU-Net calls skimage's resize, which is SciPy's zoom on the grid of pixel edges with clipping, and SciPy's
map_coordinates along a coarse axis. Both are tensor products of one-dimensional splines: here each axis is filtered
and interpolated on its own with the same coefficients, coordinates and borders, in float64. That differs from SciPy by
the order of the sums alone (some 1e-15 of the values), takes a fraction of its time, and can be stopped at every slice.
Linear interpolation, by which logits in half precision are resampled, also keeps the order of the sums: between such
coarse values lie many exact ties, which another order would round differently.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from .. import devices

# From this ratio of spacings on, the coarse axis is resampled apart.
ANISOTROPIC = 3
# SciPy's edge padding before a spline filter, in voxels.
_PADDING = 12
# Values to work on at a time where there are no slices to go by: some milliseconds.
_PORTION = 1 << 18

Tick = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Line:
    """How the values along one axis become others.

    Parameters
    ----------
    order : of the spline.
    taps, weights : (order + 1, n) places in the old line (padded, if the spline needs a filter) and their weights.
    """

    order: int
    taps: np.ndarray
    weights: np.ndarray


def new_shape(shape: Sequence[int], spacing: Sequence[float], wanted: Sequence[float]) -> tuple[int, ...]:
    """Voxels along each axis at the `wanted` spacing; halves go to the even number."""
    return tuple(round(float(now) / float(then) * size) for size, now, then in zip(shape, spacing, wanted, strict=True))


def separate_axis(force: bool | None, spacing: Sequence[float], wanted: Sequence[float]) -> int | None:
    """The axis that is resampled apart from the two others, or None.

    Parameters
    ----------
    force : of the plans; None: apart if the old or else the new spacing is anisotropic.
    spacing, wanted : the old and the new spacing, three numbers each.
    """
    if force is False:
        return None
    if force or max(spacing) / min(spacing) > ANISOTROPIC:
        judged = spacing
    elif max(wanted) / min(wanted) > ANISOTROPIC:
        judged = wanted
    else:
        return None
    coarse = [axis for axis, size in enumerate(judged) if size == max(judged)]
    return coarse[0] if len(coarse) == 1 else None


def resample(
    array: np.ndarray,
    shape: Sequence[int],
    axis: int | None,
    order: int,
    order_z: int = 0,
    tick: Tick | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """A volume on another number of voxels, of the same type; the array itself if the shape is the same.

    Parameters
    ----------
    array : (x, y, z).
    shape : three sizes.
    axis : resampled apart, with `order_z` and without clipping; see :func:`separate_axis`.
    order, order_z : of the splines, 0 to 5. Results are clipped to the range of the old values, those of each slice
        across `axis` if there is one.
    tick : called with the fraction that is done, every few milliseconds; what it raises ends the work.
    out : where to put the result.
    """
    shape = tuple(shape)
    if shape == array.shape:
        if out is None:
            return array
        out[:] = array
        return out
    out = np.empty(shape, array.dtype) if out is None else out
    source, target = np.moveaxis(array, axis or 0, 0), np.moveaxis(out, axis or 0, 0)
    rows, columns = (line(*sizes, order) for sizes in zip(source.shape[1:], target.shape[1:], strict=True))
    across = line(source.shape[0], target.shape[0], order if axis is None else order_z)
    limits = (array.min(), array.max()) if axis is None else None

    def whole(index: int) -> None:
        """A plane of the result by linear interpolation of the volume."""
        target[index] = np.clip(_linear(_parts(source, across, index), rows, columns), *limits)

    if order == 1 and limits is not None:
        _each(whole, len(target), tick)
        return out
    planes = target if across is None else np.empty((len(source), *target.shape[1:]))

    def plane(index: int) -> None:
        values = source[index].astype(np.float64)
        near = limits or (values.min(), values.max())
        values = _linear([values], rows, columns) if order == 1 else _along(_along(values, rows, 0), columns, 1)
        planes[index] = values if limits and across else np.clip(values, *near)

    def block(index: int) -> None:
        part = slice(index * height, (index + 1) * height)
        values = _along(planes[:, part], across, 0)
        target[:, part] = np.clip(values, *limits) if limits else values

    if across is None:
        _each(plane, len(source), tick)
        return out
    height = max(1, _PORTION // (target.shape[0] * target.shape[2]))
    _each(plane, len(source), tick and (lambda fraction: tick(0.5 * fraction)))
    _each(block, -(-target.shape[1] // height), tick and (lambda fraction: tick(0.5 + 0.5 * fraction)))
    return out


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


def _spline(distance: np.ndarray, order: int) -> np.ndarray:
    """The central B-spline at a distance in voxels that lies within its support."""
    if order == 0:
        return np.ones_like(distance)
    if order == 1:
        return 1.0 - np.abs(distance)
    reach = (order + 1) / 2
    near = np.abs(distance)
    terms = ((-1) ** k * math.comb(order + 1, k) * np.maximum(reach - k - near, 0.0) ** order for k in range(order + 1))
    return sum(terms) / math.factorial(order)


def _along(values: np.ndarray, how: Line | None, axis: int) -> np.ndarray:
    """float64 values of a line at its new places, along an axis."""
    if how is not None and how.order > 1:
        from scipy import ndimage

        around = [(0, 0)] * values.ndim
        around[axis] = (_PADDING, _PADDING)
        padded = np.pad(values, around, mode="edge")
        values = ndimage.spline_filter1d(padded, how.order, axis, output=np.float64, mode="nearest")
    return values if how is None else _sum(_taken(values, how, axis))


def _linear(planes: Iterable[np.ndarray], rows: Line | None, columns: Line | None) -> np.ndarray:
    """The sum of weighted planes at new rows and columns, each product and the sum in the order of SciPy's zoom."""
    return _sum(term for plane in planes for part in _taken(plane, rows, 0) for term in _taken(part, columns, 1))


def _sum(terms: Iterator[np.ndarray]) -> np.ndarray:
    total = next(terms).copy()
    for term in terms:
        total += term
    return total


def _parts(volume: np.ndarray, how: Line | None, index: int) -> Iterator[np.ndarray]:
    """The weighted planes of which a plane of the result consists."""
    if how is None:
        yield volume[index].astype(np.float64)
        return
    for tap, weight in zip(how.taps[:, index], how.weights[:, index], strict=True):
        yield volume[tap].astype(np.float64) * weight


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


def _each(work: Callable[[int], None], count: int, tick: Tick | None) -> None:
    """Work on 0, 1, ... in threads, as NumPy and SciPy let go of the interpreter; told and stopped by `tick`."""
    tick = tick or (lambda fraction: None)
    threads = min(devices.threads(), count)
    if threads == 1:
        for index in range(count):
            tick(index / count)
            work(index)
        return
    pool = ThreadPoolExecutor(threads)
    try:
        for index, done in enumerate([pool.submit(work, index) for index in range(count)]):
            tick(index / count)
            done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
