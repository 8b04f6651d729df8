"""Resampling as nnU-Net 2 does it: splines over whole pixels, axis by axis, and a coarse axis apart from the others.

nnU-Net calls skimage's resize, which is SciPy's zoom on the grid of pixel edges with clipping, and SciPy's
map_coordinates along a coarse axis. Both are tensor products of one-dimensional splines: here each axis is filtered
and interpolated on its own with the same coefficients, coordinates and borders, in float64. That differs from SciPy by
the order of the sums alone (some 1e-15 of the values), takes a fraction of its time, and can be stopped at every slice.
Linear interpolation, by which logits in half precision are resampled, also keeps the order of the sums: between such
coarse values lie many exact ties, which another order would round differently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .. import devices
from .splines import along, line, linear, plane_of

# From this ratio of spacings on, the coarse axis is resampled apart.
ANISOTROPIC = 3
# Values to work on at a time, at least a slice: some ten milliseconds.
_PORTION = 1 << 19

Tick = Callable[[float], None]


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

    def plane(index: int) -> None:
        """A plane of the result, by linear interpolation of the volume."""
        target[index] = np.clip(linear(plane_of(source, across, index), rows, columns), *limits)

    if order == 1 and limits is not None:
        _each(plane, len(target), tick)
        return out
    planes = target if across is None else np.empty((len(source), *target.shape[1:]))
    deep = max(1, _PORTION // max(source[0].size, target[0].size)) if order > 1 else 1
    high = max(1, _PORTION // (max(len(source), len(target)) * target.shape[2]))

    def slices(index: int) -> None:
        part = slice(index * deep, (index + 1) * deep)
        values = source[part].astype(np.float64)
        near = limits or (values.min(axis=(1, 2), keepdims=True), values.max(axis=(1, 2), keepdims=True))
        values = linear(values, rows, columns)[None] if order == 1 else along(along(values, rows, 1), columns, 2)
        planes[part] = values if limits and across else np.clip(values, *near)

    def block(index: int) -> None:
        part = slice(index * high, (index + 1) * high)
        values = along(planes[:, part], across, 0)
        target[:, part] = np.clip(values, *limits) if limits else values

    if across is None:
        _each(slices, -(-len(source) // deep), tick)
        return out
    _each(slices, -(-len(source) // deep), tick and (lambda fraction: tick(0.5 * fraction)))
    _each(block, -(-target.shape[1] // high), tick and (lambda fraction: tick(0.5 + 0.5 * fraction)))
    return out


def _each(work: Callable[[int], None], count: int, tick: Tick | None) -> None:
    """Work on 0, 1, ... in threads, as NumPy lets go of the interpreter; told and stopped by `tick`."""
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
