"""A bundle's network on a device: weights loaded as data, slices run in batches that fit the memory."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import progress as progressing
from ..errors import ModelError
from ..progress import Progress
from . import networks
from .bundle import Bundle
from .devices import import_torch, is_out_of_memory
from .exporting import WEIGHTS

# Slices at a time. On a CPU more are no faster and take memory; a GPU wants enough to fill it.
BATCH = {"cpu": 1, "cuda": 16, "mps": 8}

# Slices with a side over this many network pixels run as overlapping windows.
LARGEST_SIDE = 768
WINDOW = 512
OVERLAP = 0.5


def network_of(bundle: Bundle, device: Any) -> Any:
    """The bundle's network with its weights, float32, ready on `device`; the last one is kept for the next exam.

    Raises
    ------
    ModelError : the weights changed since the bundle was opened, hold anything but tensors, or do not fit.
    """
    return _network(str(bundle.folder / WEIGHTS), bundle.sha256, json.dumps(bundle.definition), str(device))


@functools.lru_cache(maxsize=1)
def _network(path: str, sha256: str, definition: str, device: str) -> Any:
    network = networks.build(json.loads(definition))
    weights = read_weights(path, sha256)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"The weights in {path} do not fit the network that the model describes: {first}") from error
    network.eval().requires_grad_(False)
    try:
        return network.to(device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"The device {device} has no memory left for the network; {_advice(import_torch().device(device))}."
        ) from error


def read_weights(path: str, sha256: str) -> dict[str, Any]:
    """{name: tensor} of a weights file whose SHA-256 is known; nothing in the file is executed."""
    torch = import_torch()
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}).") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(f"{path} was changed after the model was opened; install the model again.")
    try:
        weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError):
        raise ModelError(f"{path} is damaged or holds more than weights, and is refused unread.") from None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ModelError(f"{path} holds something else than a table of weights, and is refused.")
    return weights


def segment(
    network: Any,
    slices: np.ndarray,
    step: int,
    device: Any,
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
    window : side in network pixels of overlapping, Gaussian-weighted windows; None runs whole slices.
    batch : slices (or windows) at a time; halved, with a note, whenever the memory does not suffice.

    Yields
    ------
    (range of slices, their probabilities (3, b, H, W) float32)

    Raises
    ------
    ModelError : there is no memory for a single slice. Cancelled : at any batch, and at any batch of windows.
    """
    torch = import_torch()
    device = torch.device(device)
    progress, notes = progressing.ensure(progress), notes if notes is not None else []
    batch = batch or BATCH[device.type]
    count, start = len(slices), 0
    while start < count:
        stop = min(start + batch, count)
        tick = functools.partial(progress.update, "segment", start / count, f"slice {start + 1} of {count}")
        tick()
        probabilities = _attempt(torch, network, slices[start:stop], step, device, window, batch, tick)
        if probabilities is not None:
            yield slice(start, stop), probabilities
            start = stop
            continue
        if batch == 1:
            size = " x ".join(map(str, (window, window) if window else slices.shape[1:]))
            raise ModelError(
                f"The device {device} has not enough memory for one slice of {size} pixels; {_advice(device, window)}."
            )
        batch //= 2
        notes.append(f"The memory of {device} did not suffice for {2 * batch} slices at once; went on with {batch}.")


def _attempt(
    torch: Any,
    network: Any,
    slices: np.ndarray,
    step: int,
    device: Any,
    window: int | None,
    batch: int,
    tick: Callable[[], None],
) -> np.ndarray | None:
    """Probabilities (3, b, H, W) of one batch, or None if the memory did not suffice."""
    try:
        return _forward(torch, network, slices, step, device, window, batch, tick)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside the handler, where the exception no longer holds the failed attempt's tensors.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _forward(
    torch: Any,
    network: Any,
    slices: np.ndarray,
    step: int,
    device: Any,
    window: int | None,
    batch: int,
    tick: Callable[[], None],
) -> np.ndarray:
    height, width = slices.shape[1:]
    (top, bottom), (left, right) = _margins(height, step), _margins(width, step)
    padded = np.pad(slices, ((0, 0), (top, bottom), (left, right)))
    # TF32 and autotuned kernels would make results depend on the card and on the run.
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), exact:
        inputs = torch.from_numpy(padded)[:, None].to(device)
        if window is None:
            outputs = network(inputs).float().softmax(1)
        else:
            outputs = _windows(network, inputs, window, batch, tick)
        outputs = outputs[:, :, top : top + height, left : left + width]
        return np.ascontiguousarray(outputs.movedim(1, 0).cpu().numpy())


def _windows(network: Any, inputs: Any, window: int, batch: int, tick: Callable[[], None]) -> Any:
    """Probabilities averaged over overlapping windows with Gaussian weights, by MONAI."""
    from monai.inferers import sliding_window_inference

    def predictor(tiles: Any) -> Any:
        tick()
        return network(tiles).float().softmax(1)

    return sliding_window_inference(inputs, (window, window), batch, predictor, overlap=OVERLAP, mode="gaussian")


def _margins(size: int, step: int) -> tuple[int, int]:
    """Pixels to add before and after; at least two steps, as instance normalisation needs more than one pixel."""
    extra = max(2 * step, -(-size // step) * step) - size
    return extra // 2, extra - extra // 2


def _advice(device: Any, window: int | None = None) -> str:
    if device.type != "cpu":
        return "close other programs on it, or use --device cpu"
    return "close other programs" if window else "close other programs, or run it in windows (window=256)"
