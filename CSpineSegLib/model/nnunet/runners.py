"""What runs a network of an imported model over batches of windows: torch on any device, OpenVINO on the CPU."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol

import numpy as np

from ...errors import ModelError
from ..devices import Choice
from . import unets
from .store import Fold, Imported

Check = Callable[[], None]
# Between two questions whether the work goes on, in seconds.
INTERVAL = 0.05


class Runner(Protocol):
    """A network on a device.

    What it gives lies in main memory, in NumPy, also if the network runs on a GPU: a GPU then holds one batch of
    windows and no more, whatever the size of the image.

    Parameters
    ----------
    name : "torch" or "openvino". device : "cuda", "mps" or "cpu".
    precision : in which the convolutions compute, "float32", "bfloat16" or "float16".
    batch : windows that it takes at a time with profit; fewer or more are accepted.
    notes : sentences for the user, for instance that a conversion could not be kept.
    """

    name: str
    device: str
    precision: str
    batch: int
    notes: tuple[str, ...]

    def __call__(self, inputs: np.ndarray, check: Check | None = None) -> np.ndarray:
        """Logits (b, 3, *size) float32 of windows (b, 1, *size) float32.

        `check` is called about twenty times a second, in the caller's thread; if it raises, this call ends at once,
        whatever layer is being computed, and the next call waits until that layer is done.

        Raises
        ------
        ModelError : a size that the network does not take.
        RuntimeError, MemoryError : as :func:`devices.is_out_of_memory` knows them; a smaller batch may do.
        """

    def release(self) -> None:
        """Give back memory that is not needed at this moment."""


def open_runner(
    model: Imported,
    configuration: str,
    fold: Fold,
    choice: Choice,
    *,
    exact: bool,
    size: tuple[int, ...] | None = None,
) -> Runner:
    """The network of one configuration and fold on what was chosen; the last ones are kept for the next exam.

    Parameters
    ----------
    choice : of :func:`devices.choose`.
    exact : compute in float32 throughout; otherwise in half precision where the device is faster by it.
    size : of the windows; None: the patch of the configuration.

    Raises
    ------
    ModelError : no such fold, damaged weights, a size that the network does not take, or no memory for its weights.
    """
    known = model.plans.configurations[configuration]
    size = tuple(size or known.patch_size)
    check_size(known.network, size)
    if choice.engine == "openvino":
        from .openvino_runner import open_openvino

        return open_openvino(model, configuration, fold, exact, size)
    from .torch_runner import open_torch

    return open_torch(model, configuration, fold, choice.device, exact, size)


class Kept:
    """The last few networks of each configuration; the oldest goes before another one is made.

    Parameters
    ----------
    most : of each configuration.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._things: dict[str, OrderedDict[Hashable, Any]] = {}

    def get(self, configuration: str, key: Hashable, make: Callable[[], Any]) -> Any:
        """What is kept under this key, or else is made."""
        things = self._things.setdefault(configuration, OrderedDict())
        if key not in things:
            while len(things) >= self._most:
                things.popitem(last=False)
            things[key] = make()
        things.move_to_end(key)
        return things[key]

    def clear(self) -> None:
        """Keep nothing any more."""
        self._things.clear()


def check_size(definition: dict, size: tuple[int, ...]) -> None:
    """ModelError unless a network takes windows of this size."""
    steps = unets.divisors(definition)
    fits = len(size) == len(steps) and not any(side % step for side, step in zip(size, steps, strict=True))
    # Normalisation needs more than one voxel where the network is coarsest.
    if not fits or not all(size) or all(side == step for side, step in zip(size, steps, strict=True)):
        raise ModelError(
            f"The network takes no windows of {' x '.join(map(str, size))} voxels; their sides must be multiples of "
            f"{', '.join(map(str, steps))}, and one of them twice that."
        )


def poll(done: Callable[[float], bool], check: Check | None) -> None:
    """Wait until `done(seconds)`, which waits so long at most, is true; ask `check` meanwhile."""
    asked = time.monotonic()
    while not done(INTERVAL):
        if check is not None and time.monotonic() - asked >= INTERVAL:
            check()
            asked = time.monotonic()
