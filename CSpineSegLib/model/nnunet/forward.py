"""The logits of an exam: every fold of a configuration over all windows, averaged, on the exam's own voxels."""

from __future__ import annotations

import functools
import math

import numpy as np

from ...progress import Progress
from .. import devices
from . import preprocess
from .preprocess import Exam
from .run import Part
from .runners import open_runner
from .store import Imported
from .windows import STEP, OutOfMemory, Windows

# From window to window where fast mode cannot take the whole image at once.
LARGER_STEP = 0.75
# Copies of the first stage's features that a forward pass holds at a time, about, and the share of the free memory
# that they may take.
_COPIES, _SHARE = 6, 0.5


def logits_of(
    model: Imported, exam: Exam, part: Part, choice: devices.Choice, exact: bool, progress: Progress, notes: list[str]
) -> np.ndarray:
    """(3, *exam.shape) float16, the mean of the folds; in half precision throughout, as nnU-Net has them.

    Raises
    ------
    ModelError : not enough memory, or weights that are damaged. Cancelled : at any batch of windows, slice or layer.
    """
    configuration = part.configuration
    name, tell = configuration.name, functools.partial(progress.update, "prepare", message=configuration.name)
    image = preprocess.prepare(exam, model.plans, configuration, lambda fraction: tell(0.05 * fraction))
    windows = _windows(image.shape, part, choice, notes)
    total: np.ndarray | None = None
    for index, fold in enumerate(part.folds):
        begin, end = (0.05 + 0.89 * (index + at) / len(part.folds) for at in (0, 1))
        told = f"{name}, fold {fold}" if len(part.folds) > 1 else name
        inner = progress.part(begin, end)
        inner.update("segment", 0.0, told)
        try:
            found = _fold(model, image, windows, part, fold, choice, exact, inner, notes, told)
        except OutOfMemory:
            if not part.fast or windows.patch == configuration.patch_size:
                raise
            notes.append("The memory did not suffice for the whole image at once; it was run in windows.")
            windows = Windows(image.shape, configuration.patch_size, LARGER_STEP)
            found = _fold(model, image, windows, part, fold, choice, exact, inner, notes, told)
        total = found if total is None else np.add(total, found, out=total)
    if len(part.folds) > 1:
        total /= len(part.folds)
    return preprocess.unprepare(
        exam, total, configuration, lambda fraction: progress.update("resample", 0.94 + 0.06 * fraction, name)
    )


def cost(exam: Exam, part: Part) -> float:
    """How much work a part is, in voxels through a network."""
    configuration = part.configuration
    shape = preprocess.shape_of(exam, configuration)
    windows = Windows(shape, configuration.patch_size)
    return len(windows.places) * math.prod(configuration.patch_size) * 2 ** len(part.axes) * len(part.folds)


def _fold(
    model: Imported,
    image: np.ndarray,
    windows: Windows,
    part: Part,
    fold: int | str,
    choice: devices.Choice,
    exact: bool,
    progress: Progress,
    notes: list[str],
    told: str,
) -> np.ndarray:
    size = None if windows.patch == part.configuration.patch_size else windows.patch
    runner = open_runner(model, part.configuration.name, fold, choice, exact=exact, size=size)
    said = (f"{part.configuration.name}: the network ran in {runner.precision}.", *runner.notes)
    notes += [sentence for sentence in said if sentence not in notes]
    return windows.logits(
        runner, image, part.axes, lambda fraction: progress.update("segment", fraction, told), progress.check, notes
    )


def _windows(shape: tuple[int, ...], part: Part, choice: devices.Choice, notes: list[str]) -> Windows:
    """nnU-Net's own windows; in fast mode one for the whole image, or fewer."""
    patch = part.configuration.patch_size
    if not part.fast:
        return Windows(shape, patch, STEP)
    network = part.configuration.network
    strides = [math.prod(stride[axis] for stride in network["strides"]) for axis in range(len(patch))]
    sides = zip(shape[-len(patch) :], patch, strides, strict=True)
    whole = tuple(-(-max(size, side) // step) * step for size, side, step in sides)
    if whole == patch:
        return Windows(shape, patch, STEP)
    if choice.device == "cpu":
        free = devices.memory()[0]
        needed = 4 * _COPIES * network["features_per_stage"][0] * math.prod(whole)
        if free is not None and needed > _SHARE * free:
            notes.append(f"The whole image at once would take about {needed / 1e9:.1f} GB; it was run in windows.")
            return Windows(shape, patch, LARGER_STEP)
    return Windows(shape, whole, weighted=False)
