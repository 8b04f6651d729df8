"""What the modes of an imported model cost and give on one image: time, and agreement with the exact mode."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ... import progress as progressing
from ...progress import Progress
from ...volume import Volume
from .prediction import predict
from .run import MODES, Run
from .store import Imported


@dataclass(frozen=True)
class Comparison:
    """One mode on one image.

    Parameters
    ----------
    mode : of :data:`run.MODES`.
    seconds : wall time of the prediction, the first of a mode with the loading of its networks.
    dice : {label: Dice of the mask with that of the exact mode}; 1 where both are empty.
    notes : of the prediction.
    """

    mode: str
    seconds: float
    dice: dict[int, float]
    notes: list[str]


def compare_modes(
    model: Imported,
    vol: Volume,
    device: str = "auto",
    progress: Progress | None = None,
    *,
    engine: str = "auto",
    anyway: bool = False,
    run: Run | None = None,
    modes: Sequence[str] = MODES,
) -> list[Comparison]:
    """Segment an image in each mode, the exact one first; for the rest as :func:`prediction.predict`.

    Parameters
    ----------
    run : configuration, folds and mirroring; its mode is not used.
    modes : of :data:`run.MODES`.
    """
    progress, found, reference = progressing.ensure(progress), [], None
    wanted = [mode for mode in MODES if mode in modes or mode == MODES[0]]
    for index, mode in enumerate(wanted):
        part = progress.part(index / len(wanted), (index + 1) / len(wanted))
        began = time.perf_counter()
        asked = replace(run or Run(), mode=mode)
        told = predict(model, vol, device, part, engine=engine, anyway=anyway, run=asked)
        seconds, labels = time.perf_counter() - began, told.mask.array
        reference = labels if reference is None else reference
        dice = {label: _dice(reference == label, labels == label) for label in sorted(model.labels) if label}
        found.append(Comparison(mode, seconds, dice, told.notes))
    return found


def _dice(first: np.ndarray, second: np.ndarray) -> float:
    both = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2 * int(np.count_nonzero(first & second)) / both if both else 1.0
