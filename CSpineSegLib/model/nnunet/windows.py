"""Windows over an image as nnU-Net 2 runs them: where they lie, how they are weighted, and how their logits are added.

In every mode the sums are kept in half precision, as nnU-Net keeps them: they round as there, at half the memory. Each
product, sum and quotient is computed in single precision and rounded once to half, which is what torch does on a CPU.
So for the same logits of the network the result is nnU-Net's own, bit for bit.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import GraphicsMemoryError, ModelError
from ..devices import is_out_of_memory

if TYPE_CHECKING:
    from .runners import Runner

STEP = 0.5
CLASSES = 3
# Standard deviation of a window's weights, in sides, and the weight of its middle.
_SIGMA, _MIDDLE = 1 / 8, 10
# Standard deviations after which SciPy cuts a Gaussian off.
_TRUNCATE = 4.0

Tick = Callable[[float], None]
Check = Callable[[], None]
Window = tuple[int | slice, ...]


class OutOfMemory(ModelError):
    """There is no memory for a single window."""


class GraphicsOutOfMemory(OutOfMemory, GraphicsMemoryError):
    """There is none on a graphics card."""


@dataclass(frozen=True)
class Windows:
    """The windows over a volume.

    Parameters
    ----------
    shape : of the volume, (z, y, x).
    patch : of the windows: (y, x), over each plane, or (z, y, x).
    step : from one window to the next, at most, in windows.
    weighted : whether windows weigh most in their middle; where there is a single one, this only rounds.
    """

    shape: tuple[int, int, int]
    patch: tuple[int, ...]
    step: float = STEP
    weighted: bool = True

    @functools.cached_property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Voxels before and after the volume along each axis, so that a window fits."""
        sides = (1,) * (3 - len(self.patch)) + self.patch
        missing = [max(side - size, 0) for side, size in zip(sides, self.shape, strict=True)]
        return tuple((size // 2, size - size // 2) for size in missing)

    @property
    def padded(self) -> tuple[int, ...]:
        return tuple(size + sum(around) for size, around in zip(self.shape, self.padding, strict=True))

    @functools.cached_property
    def places(self) -> list[Window]:
        """Indices into the padded volume, in the order in which they are added up."""
        if len(self.patch) == 2:
            return [(plane, *place) for plane in range(self.shape[0]) for place in self._corners]
        return self._corners

    @functools.cached_property
    def _corners(self) -> list[tuple[slice, ...]]:
        firsts = steps(self.padded[-len(self.patch) :], self.patch, self.step)
        corners = itertools.product(*firsts)
        return [tuple(slice(at, at + side) for at, side in zip(one, self.patch, strict=True)) for one in corners]

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """Of the voxels of a window, float32 holding values of half precision."""
        whole = np.ones(self.patch, np.float32)
        return gaussian(self.patch).astype(np.float32) if self.weighted else whole

    def mass(self, check: Check | None = None) -> np.ndarray:
        """Sum of the weights in each voxel of the padded volume, or of its planes, as nnU-Net rounds it; float32."""
        total = np.zeros(self.padded[-len(self.patch) :], np.float16)
        weights = self.weights.astype(np.float16)
        for corner in self._corners:
            if check is not None:
                check()
            total[corner] += weights
        return total.astype(np.float32)

    def logits(
        self,
        runner: Runner,
        image: np.ndarray,
        axes: Sequence[int] = (),
        tick: Tick | None = None,
        check: Check | None = None,
        notes: list[str] | None = None,
    ) -> np.ndarray:
        """The network's logits of an image, (3, z, y, x) float16.

        Parameters
        ----------
        runner : for windows of `patch`.
        image : (z, y, x) float32; padded with zeros where it is smaller than a window.
        axes : of the windows, along which the network sees them mirrored too, in all combinations; the mean counts.
        tick : called with the fraction that is done at every batch.
        check : called by the runner several times a second; what either raises ends the work.
        notes : gets a sentence if the memory did not suffice for a batch, which is halved then.

        Raises
        ------
        OutOfMemory : there is no memory for a single window. ModelError : logits too large for half precision.
        """
        tick, notes = tick or (lambda fraction: None), notes if notes is not None else []
        image = np.pad(image, self.padding) if self.padded != self.shape else image
        views = flips(axes)
        items = [(place, view) for place in self.places for view in views]
        total = np.zeros((CLASSES, *self.padded), np.float16)
        one: np.ndarray | None = None
        start, batch = 0, runner.batch
        while start < len(items):
            tick(start / len(items))
            group = items[start : start + batch]
            inputs = np.stack([np.flip(image[place], view)[None] for place, view in group])
            found = _attempt(runner, inputs, check)
            if found is None:
                batch = _smaller(runner, min(batch, len(group)), self.patch, notes)
                continue
            for (place, view), seen in zip(group, found, strict=True):
                straight = np.flip(seen, [axis + 1 for axis in view])
                one = straight.astype(np.float32) if view == views[0] else np.add(one, straight, out=one)
                if view == views[-1]:
                    self._add(total[(slice(None), *place)], one, len(views))
            start += len(group)
        finite, mass = True, self.mass(check)
        for index, values in enumerate(total.reshape(-1, *self.padded[1:])):
            tick(1.0)
            with np.errstate(over="ignore"):
                values[:] = values.astype(np.float32) / (mass if mass.ndim == 2 else mass[index % len(mass)])
            finite = finite and bool(np.isfinite(values).all())
        if not finite:
            raise ModelError(
                "The network's outputs are too large for half precision, in which nnU-Net adds them up, or no numbers "
                "at all; the model may be damaged, or the image has other intensities than those it was trained on."
            )
        inside = [slice(before, before + size) for (before, _), size in zip(self.padding, self.shape, strict=True)]
        return total[(slice(None), *inside)]

    def _add(self, total: np.ndarray, one: np.ndarray, views: int) -> None:
        """Add the sum of a window's views to its place (3, ...) in the volume."""
        if views > 1:
            one /= views
        one *= self.weights
        with np.errstate(over="ignore"):
            if len(self._corners) == 1:
                total[:] = one
            else:
                np.add(total, one, out=total, casting="same_kind")


def steps(size: Sequence[int], patch: Sequence[int], step: float = STEP) -> list[list[int]]:
    """First voxels of the windows along each axis: evenly spread, at most `step` windows from each other."""
    found = []
    for whole, side in zip(size, patch, strict=True):
        count = math.ceil((whole - side) / (side * step)) + 1
        apart = (whole - side) / max(1, count - 1)
        found.append([round(apart * index) for index in range(count)])
    return found


@functools.lru_cache(maxsize=4)
def gaussian(patch: tuple[int, ...]) -> np.ndarray:
    """The weights of a window's voxels, float16: a Gaussian about its middle, nowhere zero."""
    values = np.ones(())
    for side in patch:
        sigma = side * _SIGMA
        reach = int(_TRUNCATE * sigma + 0.5)
        line = np.exp(-0.5 / sigma**2 * np.arange(-reach, reach + 1) ** 2)
        line /= line.sum()
        at = np.arange(side) - side // 2 + reach
        values = values[..., None] * np.where((at >= 0) & (at < len(line)), line[np.clip(at, 0, len(line) - 1)], 0)
    values /= values.max() / _MIDDLE
    # By way of single precision, as torch rounds to half.
    weights = values.astype(np.float32).astype(np.float16)
    weights[weights == 0] = weights[weights > 0].min()
    weights.flags.writeable = False
    return weights


def flips(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """The combinations of axes that a window is mirrored along, in the order in which nnU-Net adds them up."""
    return [one for count in range(len(axes) + 1) for one in itertools.combinations(axes, count)]


def _attempt(runner: Runner, inputs: np.ndarray, check: Check | None) -> np.ndarray | None:
    """Logits (b, 3, ...) of a batch, or None if the memory did not suffice."""
    try:
        return runner(inputs, check)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside the handler, where the exception no longer holds the failed attempt's tensors.
    runner.release()
    return None


def _smaller(runner: Runner, batch: int, patch: Sequence[int], notes: list[str]) -> int:
    """Half the batch, with a note; OutOfMemory where that is no longer possible."""
    if batch == 1:
        size = " x ".join(map(str, patch))
        advice = "close other programs" if runner.device == "cpu" else "close other programs on it, or use --device cpu"
        kind = OutOfMemory if runner.device == "cpu" else GraphicsOutOfMemory
        raise kind(f"The device {runner.device} has not enough memory for a window of {size} voxels; {advice}.")
    half = batch // 2
    notes.append(f"The memory of {runner.device} did not suffice for {batch} windows at once; went on with {half}.")
    return half
