"""Pictures of the worst exams of an evaluation, beside its tables."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files, volume
from ..errors import CSpineSegError
from ..evaluation import overlay, worst
from ..evaluation.results import PICTURES, Results
from ..progress import Progress
from .evaluate_pairs import Pair


def draw(results: Results, pairs: Mapping[str, Pair], count: int, progress: Progress) -> list[Path]:
    """Draw the `count` worst exams into the results' folder and remove those of former runs; none without matplotlib.

    The scan is drawn behind the masks where the dataset has it and it lies on the same voxels.
    """
    folder = results.folder / PICTURES
    table = worst.table(results).head(count)
    for exam in results.exams.index.difference(table["exam"]):
        (folder / f"{exam}.png").unlink(missing_ok=True)
    drawn = []
    for done, row in enumerate(table.to_dict("records")):
        progress.update("Pictures", 0.96 + 0.04 * done / len(table), row["exam"])
        pair = pairs[row["exam"]]
        try:
            data = _png(pair, _caption(row))
        except ImportError:
            return drawn
        drawn.append(folder / f"{pair.stem}.png")
        files.write_verified(drawn[-1], data)
    return drawn


def _caption(row: dict[str, Any]) -> str:
    return f"{row['exam']}\nDice of bodies {row['dice_bodies']:.3f}, of discs {row['dice_discs']:.3f}"


def _png(pair: Pair, caption: str) -> bytes:
    reference, candidate = volume.read_mask(pair.reference), volume.read_mask(pair.candidate)
    if pair.exam is not None and pair.exam.image is not None:
        # Without the scan, or with one that does not fit, the outlines still say what is wrong.
        with contextlib.suppress(CSpineSegError):
            return overlay.png(reference, candidate, volume.read(pair.exam.image), caption)
    return overlay.png(reference, candidate, None, caption)
