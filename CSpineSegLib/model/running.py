"""Running an engine over the slices of an exam: neighbours, batches that fit the memory, windows for large slices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from .. import progress as progressing
from ..errors import GraphicsMemoryError, ModelError
from ..progress import Progress
from . import preprocess
from .bundle import Bundle
from .devices import Choice, is_out_of_memory

# Slices with a side over this many network pixels run as overlapping windows.
LARGEST_SIDE = 768
WINDOW = 512
OVERLAP = 0.5
# Standard deviation of a window's Gaussian weights, in sides, and the least weight.
_SIGMA, _LEAST = 0.125, 1e-3


class Engine(Protocol):
    """What runs a network: :class:`engine.TorchEngine` or :class:`openvino_engine.OpenVinoEngine`.

    Parameters
    ----------
    name : "torch" or "openvino". device : "cuda", "mps" or "cpu". batch : slices that it takes at a time.
    """

    name: str
    device: str
    batch: int

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Class probabilities (b, 3, H, W) float32 of (b, C, H, W) float32, H and W multiples of the stride."""

    def release(self) -> None:
        """Give back memory that is not needed at this moment."""


def open_engine(bundle: Bundle, choice: Choice) -> Engine:
    """The engine that was chosen, with the bundle's network; ModelError if the weights are damaged."""
    if choice.engine == "openvino":
        from .openvino_engine import OpenVinoEngine

        return OpenVinoEngine(bundle)
    from .engine import TorchEngine, network_of

    return TorchEngine(network_of(bundle, choice.device), choice.device)


def forward(engine: Engine, slices: np.ndarray, step: int, away: int = 0, window: int | None = None) -> np.ndarray:
    """Class probabilities (3, n, H, W) float32 of all slices at once; see :func:`segment`."""
    return np.concatenate([maps for _, maps in segment(engine, slices, step, away, window=window)], axis=1)


def segment(
    engine: Engine,
    slices: np.ndarray,
    step: int,
    away: int = 0,
    *,
    window: int | None = None,
    batch: int | None = None,
    progress: Progress | None = None,
    notes: list[str] | None = None,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Class probabilities of slices, a batch at a time.

    Parameters
    ----------
    slices : (n, H, W) float32, as :func:`preprocess.to_network` makes them.
    step : H and W are padded with zeros (the mean intensity) to multiples of this, at least two.
    away : how many slices away the neighbours are that the network sees too; 0 for a network of single slices.
    window : side in network pixels of overlapping, Gaussian-weighted windows; None runs whole slices.
    batch : slices (or windows) at a time; halved, with a note, whenever the memory does not suffice.

    Yields
    ------
    (range of slices, their probabilities (3, b, H, W) float32)

    Raises
    ------
    ModelError : there is no memory for a single slice. Cancelled : at any batch, and at any batch of windows.
    """
    progress, notes = progressing.ensure(progress), notes if notes is not None else []
    batch = batch or engine.batch
    count, start = len(slices), 0
    while start < count:
        stop = min(start + (1 if window else batch), count)
        tick = functools.partial(progress.update, "segment", start / count, f"slice {start + 1} of {count}")
        tick()
        inputs = preprocess.stack(slices, start, stop, away)
        probabilities = _attempt(engine, inputs, step, window, batch, tick)
        if probabilities is not None:
            yield slice(start, stop), probabilities
            start = stop
            continue
        if batch == 1:
            size = " x ".join(map(str, (window, window) if window else slices.shape[1:]))
            raise (ModelError if engine.device == "cpu" else GraphicsMemoryError)(
                f"The device {engine.device} has not enough memory for one slice of {size} pixels; "
                f"{_advice(engine.device, window)}."
            )
        batch //= 2
        notes.append(
            f"The memory of {engine.device} did not suffice for {2 * batch} slices at once; went on with {batch}."
        )


def _attempt(
    engine: Engine, inputs: np.ndarray, step: int, window: int | None, batch: int, tick: Callable[[], None]
) -> np.ndarray | None:
    """Probabilities (3, b, H, W) of one batch, or None if the memory did not suffice."""
    try:
        return _padded(engine, inputs, step, window, batch, tick)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside the handler, where the exception no longer holds the failed attempt's tensors.
    engine.release()
    return None


def _padded(
    engine: Engine, inputs: np.ndarray, step: int, window: int | None, batch: int, tick: Callable[[], None]
) -> np.ndarray:
    height, width = inputs.shape[2:]
    (top, bottom), (left, right) = _margins(height, step), _margins(width, step)
    padded = np.pad(inputs, ((0, 0), (0, 0), (top, bottom), (left, right)))
    outputs = engine(padded) if window is None else _windows(engine, padded, window, batch, tick)
    return np.moveaxis(outputs[:, :, top : top + height, left : left + width], 1, 0)


def _windows(engine: Engine, inputs: np.ndarray, window: int, batch: int, tick: Callable[[], None]) -> np.ndarray:
    """Probabilities averaged over overlapping windows, which weigh most in their middle."""
    height, width = (max(side, window) for side in inputs.shape[2:])
    inputs = np.pad(inputs, ((0, 0), (0, 0), (0, height - inputs.shape[2]), (0, width - inputs.shape[3])))
    corners = [(y, x) for y in _starts(height, window) for x in _starts(width, window)]
    line = np.exp(-0.5 * ((np.arange(window) - (window - 1) / 2) / (_SIGMA * window)) ** 2)
    weight = np.maximum(np.outer(line, line), _LEAST).astype(np.float32)
    outputs, mass = np.zeros((len(inputs), 3, height, width), np.float32), np.zeros((height, width), np.float32)
    places = [(index, y, x) for index in range(len(inputs)) for y, x in corners]
    for first in range(0, len(places), batch):
        tick()
        group = places[first : first + batch]
        found = engine(np.stack([inputs[index, :, y : y + window, x : x + window] for index, y, x in group]))
        for (index, y, x), tile in zip(group, found, strict=True):
            outputs[index, :, y : y + window, x : x + window] += tile * weight
    for y, x in corners:
        mass[y : y + window, x : x + window] += weight
    return outputs / mass


def _starts(size: int, window: int) -> list[int]:
    """First pixels of the windows along a side, evenly spread, overlapping by at least :data:`OVERLAP`."""
    count = 1 + -(-(size - window) // max(1, int(window * (1 - OVERLAP))))
    return [round(index * (size - window) / max(1, count - 1)) for index in range(count)]


def _margins(size: int, step: int) -> tuple[int, int]:
    """Pixels to add before and after; at least two steps, as instance normalisation needs more than one pixel."""
    extra = max(2 * step, -(-size // step) * step) - size
    return extra // 2, extra - extra // 2


def _advice(device: str, window: int | None = None) -> str:
    if device != "cpu":
        return "close other programs on it, or use --device cpu"
    return "close other programs" if window else "close other programs, or run it in windows (window=256)"
