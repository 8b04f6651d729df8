"""From an image to a mask on the image's own grid: the one function that every front end ends in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import progress as progressing
from .. import volume
from ..errors import ModelError
from ..progress import Progress
from ..volume import Volume
from . import devices, engine, networks, preprocess
from .bundle import Bundle


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model said about an image.

    Parameters
    ----------
    mask : uint8 (0 background, 1 bodies, 2 discs) on the image's own grid and header geometry.
    probabilities : (3, I, J, K) float16 in the image's own axes, or None if they were not asked for.
    device : "cuda", "mps" or "cpu".
    seconds : wall time, loading of the network included.
    notes : sentences on the device, the precision, the resampling and anything unusual, for the record.
    """

    mask: Volume
    probabilities: np.ndarray | None
    device: str
    seconds: float
    notes: list[str] = field(default_factory=list)


def predict(
    bundle: Bundle,
    vol: Volume,
    device: str = "auto",
    progress: Progress | None = None,
    probabilities: bool = False,
    window: int | None = None,
) -> Prediction:
    """Segment an image. The same machine and number of threads give the same voxels; nothing is written anywhere.

    Parameters
    ----------
    bundle : from :func:`bundle.load`.
    vol : any orientation and voxel size; every orientation of the same image gives the same mask.
    device : "auto", "cuda", "mps" or "cpu"; see :func:`devices.select`.
    progress : told, and asked for cancellation, at every batch of slices.
    probabilities : also return class probabilities.
    window : run overlapping windows of this many network pixels a side (a multiple of the network's stride) instead
        of whole slices. None: whole slices, and windows of 512 for slices over 768 pixels.

    Raises
    ------
    ModelError : the device is missing or has not enough memory, the weights are damaged, the window does not fit.
    Cancelled : the user cancelled.
    """
    began = time.perf_counter()
    progress = progressing.ensure(progress)
    progress.update("load model", 0.0)
    where, sentence = devices.select(device)
    step = networks.stride(bundle.definition)
    if window is not None and (window < 2 * step or window % step):
        raise ModelError(f"A window of {window} does not suit the model; choose a multiple of {step} from {2 * step}.")
    notes = [sentence]
    network = engine.network_of(bundle, where)
    progress.update("prepare", 0.03)
    try:
        mask, maps = _run(bundle, vol, network, where, window, progress.part(0.05, 1.0), notes, probabilities)
    except MemoryError as error:
        raise ModelError(
            f"There is not enough main memory for an image of {' x '.join(map(str, vol.shape))} voxels; "
            "close other programs or crop the image."
        ) from error
    progress.update("segment", 1.0)
    return Prediction(mask, maps, where.type, time.perf_counter() - began, notes)


def _run(
    bundle: Bundle,
    vol: Volume,
    network: Any,
    where: Any,
    window: int | None,
    progress: Progress,
    notes: list[str],
    probabilities: bool,
) -> tuple[Volume, np.ndarray | None]:
    slices, way = preprocess.to_network(vol, bundle.spacing)
    window = _mode(slices.shape[1:], way, window, notes)
    shape = (len(slices), *way.shape)
    labels = np.empty(shape, np.uint8)
    maps = np.empty((3, *shape), np.float16) if probabilities else None
    step = networks.stride(bundle.definition)
    for part, values in engine.segment(network, slices, step, where, window=window, progress=progress, notes=notes):
        on_image = preprocess.from_network(values, way)
        labels[part] = on_image.argmax(axis=0)
        if maps is not None:
            maps[:, part] = on_image
    mask = volume.restore(labels, preprocess.ORIENTATION, vol)
    if maps is None:
        return mask, None
    # Through float32, as NIfTI headers know no half precision.
    turned = [volume.restore(one.astype(np.float32), preprocess.ORIENTATION, vol).array for one in maps]
    return mask, np.stack([one.astype(np.float16) for one in turned])


def _mode(shape: tuple[int, ...], way: preprocess.Way, window: int | None, notes: list[str]) -> int | None:
    """Side of the windows, or None for whole slices; the choice is noted."""
    if window is None and max(shape) > engine.LARGEST_SIDE:
        window = engine.WINDOW
    if way.shape == way.network_shape:
        grid = "at their own pixel size"
    else:
        grid = f"resampled in plane to {way.network_spacing[0]:.3g} x {way.network_spacing[1]:.3g} mm"
    run = f"in windows of {window} x {window} pixels" if window else "whole"
    notes.append(f"Slices {grid}, run {run}, in float32.")
    return window
