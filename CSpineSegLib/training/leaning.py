"""How far a trained network should lean towards bodies and discs: folded into the bias of its output layer.

    python -m CSpineSegLib.training.leaning build/training --exams-folder build/exams --jobs 2

Cross-entropy makes a network say what is likely voxel by voxel. Where an outline is uncertain, as in the outermost
slices of a vertebra, the mask with the largest expected Dice is larger than that: Dice weighs what is missed more than
what is too much. The shift of the logits that gives held-out phantoms the most Dice is found here and added to the
weights themselves, so that every engine, and MONAI's own runner, makes the same mask.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from .. import files, model, volume
from ..errors import InputError
from ..model import preprocess
from . import exams, looking, spoiling, trainer
from .__main__ import export
from .calibrate import KINDS
from .ending import exit_code
from .spread import spread

# Shifts that are tried, in logits; more would fill the neck with bodies.
STEPS = tuple(0.2 * i for i in range(11))
# Voxels less likely than this to be a body or a disc cannot become one by any of the shifts.
_LEAST = 0.05
_BIAS = "output_block.conv.conv.bias"


def counts(maps: np.ndarray, truth: np.ndarray, counted: np.ndarray, steps: Sequence[float] = STEPS) -> np.ndarray:
    """Voxels in common and the sum of both sizes, for every pair of shifts.

    Parameters
    ----------
    maps : (3, ...) probabilities. truth : (...) labels 0, 1, 2. counted : (...) bool, the voxels that count.

    Returns
    -------
    (shifts of bodies, shifts of discs, 2 structures, 2): in both, and sum of both sizes.
    """
    there = counted & (maps[1:].max(axis=0) > _LEAST)
    logs = np.log(np.maximum(maps[:, there].astype(np.float32), 1e-7))
    own = truth[there]
    sizes = [np.count_nonzero((truth == value) & counted) for value in (1, 2)]
    found = np.empty((len(steps), len(steps), 2, 2), np.int64)
    for (i, body), (j, disc) in product(enumerate(steps), enumerate(steps)):
        labels = np.stack([logs[0], logs[1] + body, logs[2] + disc]).argmax(axis=0)
        for value in (1, 2):
            one = labels == value
            found[i, j, value - 1] = np.count_nonzero(one & (own == value)), one.sum() + sizes[value - 1]
    return found


def best(tables: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Indices of the shifts of bodies and of discs with the largest mean Dice, and all mean Dice (bodies, discs, 2).

    tables : (exams, bodies, discs, 2, 2) of :func:`counts`.
    """
    dice = (2 * tables[..., 0] / np.maximum(tables[..., 1], 1)).mean(axis=0)
    i, j = np.unravel_index(dice.mean(axis=-1).argmax(), dice.shape[:2])
    return int(i), int(j), dice


def look(bundle: str, path: str, variant: int) -> np.ndarray:
    """:func:`counts` of a kept exam, as it is (variant 0) or spoilt."""
    exam = exams.load(Path(path))
    if variant:
        exam = spoiling.spoil(exam, int(exam.about["seed"]) * 16 + variant)
    opened = model.load(bundle)
    slices, way = preprocess.to_network(exam.image, opened.spacing)
    maps = preprocess.from_network(looking.forward_of(opened, way.across)(slices), way)
    truth, spared = (volume.reorient(part, preprocess.ORIENTATION).array for part in (exam.mask, exam.spared))
    return counts(maps, truth, spared == 0)


def fold(folder: Path, name: str, paths: Sequence[Path], jobs: int = 1) -> dict[str, Any]:
    """Find the shift for the bundle `name` of a training run, put it into the run's weights and export it again.

    Parameters
    ----------
    folder : of the run, with `model.pt` and `training.json`; the latter then tells of the shift.
    paths : kept exams, see :mod:`exams`; those that the model is calibrated on will do, those of validation must not.

    Returns
    -------
    {"bodies", "discs": logits added, "exams", "dice_before", "dice_after": mean (bodies, discs)}

    Raises
    ------
    InputError : no finished run lies in the folder, or no exams. ModelError : its bundle is damaged.
    """
    import torch

    weights, summary = folder / trainer.WEIGHTS, folder / trainer.SUMMARY
    if not (weights.is_file() and summary.is_file()):
        raise InputError(f"{folder} holds no finished training run; train first, or name another folder.")
    if not paths:
        raise InputError("No exams were given to find the shift on.")
    items = [(str(folder / name), str(path), variant) for path in paths for variant in (0, 1)]
    tables = np.stack(list(spread(look, items, jobs)))
    i, j, dice = best(tables)
    told = {
        "bodies": round(STEPS[i], 2),
        "discs": round(STEPS[j], 2),
        "exams": len(items),
        "dice_before": [round(float(x), 4) for x in dice[0, 0]],
        "dice_after": [round(float(x), 4) for x in dice[i, j]],
    }
    state = torch.load(weights, map_location="cpu", weights_only=True)
    shift = torch.tensor([0.0, STEPS[i], STEPS[j]])
    state = {key: value + shift if key == _BIAS else value for key, value in state.items()}
    about = files.read_json(summary)
    about["leaning"] = [*about.get("leaning", []), told]
    stream = io.BytesIO()
    torch.save(state, stream)
    files.write_verified(weights, stream.getvalue())
    files.write_json(summary, about)
    export(folder, name, about)
    return told


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m CSpineSegLib.training.leaning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, help="folder of a finished training run")
    add("--name", default="cspine-phantom", help="name of its bundle (default: %(default)s)")
    add("--exams-folder", type=Path, default=Path("build/exams"), help="kept exams (default: %(default)s)")
    add("--exams", type=int, default=24, help="persons, drawn if they are not kept (default: %(default)s)")
    add("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    arguments = parser.parse_args(argv)

    def work() -> None:
        exams.build(arguments.exams_folder, dict.fromkeys(KINDS, arguments.exams), arguments.jobs)
        paths = [path for kind in KINDS for path in exams.kept(arguments.exams_folder, kind, arguments.exams)]
        print(fold(arguments.folder, arguments.name, paths, arguments.jobs))

    return exit_code(work, "Stopped; nothing was written.")


if __name__ == "__main__":
    sys.exit(main())
