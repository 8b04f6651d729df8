"""The figures of the dataset's paper by its own definitions, to repeat its numbers; not for anything else.

A slice where both masks are empty counts 1, so the figure depends on how much empty space the scan has beside the
spine, and a single stray voxel costs a whole slice. Levels are counted on one slice, so a fused vertebra or a missed
disc renames all that follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...anatomy import STRUCTURES
from ...spine import components
from ...volume import Volume

DEFINITIONS = {
    "convention": "zhou2025",
    "dice": "mean over all slices of the last array axis of the slice's Dice; a slice where both masks are empty is 1",
    "macro": "mean of the two structures",
    "disc_levels": (
        "Dice, in the middle slice of the last array axis (number // 2), of the components of the discs' label "
        "(8-connected), the first six by their centroid along the second array axis from high to low; null if either "
        "mask has fewer than six"
    ),
}


def compare(reference: Volume, candidate: Volume) -> dict[str, Any]:
    """Of two masks on the same voxels, stored as the released files are ("PSR"); nothing is reoriented.

    Returns
    -------
    dict with `definitions`, per structure (`bodies`, `discs`) {"dice": ...}, `macro`, and `disc_levels`: Dice by level
    name, or None with `disc_levels_reason`.
    """
    result: dict[str, Any] = {"definitions": dict(DEFINITIONS)}
    for part in STRUCTURES:
        result[part.key] = {"dice": dice(reference.array == part.label, candidate.array == part.label)}
    result["macro"] = float(np.mean([result[part.key]["dice"] for part in STRUCTURES]))
    found = [components.zhou2025(mask.array) for mask in (reference, candidate)]
    few = [side for side, parts in zip(("reference", "candidate"), found, strict=True) if parts is None]
    result["disc_levels"], result["disc_levels_reason"] = None, None
    if few:
        result["disc_levels_reason"] = f"fewer than six discs in the middle slice of the {' and of the '.join(few)}"
    else:
        pairs = {name: (found[0][name], found[1][name]) for name in components.DISCS}
        result["disc_levels"] = {name: dice(*(part[..., None] for part in pair)) for name, pair in pairs.items()}
    return result


def dice(reference: np.ndarray, candidate: np.ndarray) -> float:
    """Mean over the slices of the last axis of two boolean arrays (I, J, K); 1 for a slice that is empty in both."""
    shared = np.count_nonzero(reference & candidate, axis=(0, 1))
    total = np.count_nonzero(reference, axis=(0, 1)) + np.count_nonzero(candidate, axis=(0, 1))
    return float(np.where(total, 2 * shared / np.maximum(total, 1), 1.0).mean())


def summarise(exams: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The paper's table of many exams, each as :func:`compare` returns it.

    Returns
    -------
    Per structure `mean`, `sd` (over exams) and `median`; `macro` with `mean` and `sd` **of the two structures' means**;
    per level `disc_levels` the mean, `levels_exams` the exams that it rests on; standard deviations divide by n.
    """
    result: dict[str, Any] = {"exams": len(exams)}
    if not exams:
        return result
    for part in STRUCTURES:
        values = np.array([exam[part.key]["dice"] for exam in exams])
        result[part.key] = {"mean": float(values.mean()), "sd": float(values.std()), "median": float(np.median(values))}
    means = np.array([result[part.key]["mean"] for part in STRUCTURES])
    result["macro"] = {"mean": float(means.mean()), "sd": float(means.std())}
    named = [exam["disc_levels"] for exam in exams if exam["disc_levels"]]
    result["levels_exams"] = len(named)
    result["disc_levels"] = {name: float(np.mean([one[name] for one in named])) for name in components.DISCS if named}
    return result
