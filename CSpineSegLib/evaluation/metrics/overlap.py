"""Figures from counts of voxels alone, with the policy for empty masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

EMPTY = {
    "both": "neither mask holds this structure",
    "reference": "the reference does not hold this structure",
    "candidate": "the candidate does not hold this structure",
}


@dataclass(frozen=True)
class Counts:
    """Voxels in both masks, in the candidate alone, in the reference alone, and in the image.

    Counts of several structures add up to those of all of them together.
    """

    shared: int
    added: int
    removed: int
    image: int

    @property
    def reference(self) -> int:
        return self.shared + self.removed

    @property
    def candidate(self) -> int:
        return self.shared + self.added

    @property
    def empty(self) -> str | None:
        """Which mask is empty: None, "reference", "candidate" or "both"."""
        absent = [side for side in ("reference", "candidate") if getattr(self, side) == 0]
        return "both" if len(absent) == 2 else (absent[0] if absent else None)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.shared + other.shared, self.added + other.added, self.removed + other.removed, self.image + other.image
        )


def count(reference: np.ndarray, candidate: np.ndarray, image: int | None = None) -> Counts:
    """Of two boolean arrays of the same shape; `image` is the number of voxels of the whole image if they are cut."""
    shared = int(np.count_nonzero(reference & candidate))
    return Counts(
        shared,
        int(np.count_nonzero(candidate)) - shared,
        int(np.count_nonzero(reference)) - shared,
        reference.size if image is None else image,
    )


def figures(counts: Counts, voxel_volume: float, prevalence: float | None = None) -> dict[str, Any]:
    """Dice, IoU, precision, recall, nDSC and volumes, ready for JSON.

    Parameters
    ----------
    voxel_volume : mm3.
    prevalence : the structure's usual share of an image's voxels, for nDSC; without it there is none.
    """
    volumes = {"reference": counts.reference * voxel_volume, "candidate": counts.candidate * voxel_volume}
    difference = (counts.candidate - counts.reference) * voxel_volume
    result: dict[str, Any] = {
        "dice": dice(counts),
        "iou": _share(counts.shared, counts.shared + counts.added + counts.removed, 1.0),
        "precision": _share(counts.shared, counts.candidate, 1.0 if counts.empty == "both" else None),
        "recall": _share(counts.shared, counts.reference, 1.0 if counts.empty == "both" else None),
        "volume_mm3": volumes,
        "volume_difference_mm3": difference,
        "volume_difference_relative": _share(difference, volumes["reference"], 0.0 if counts.empty == "both" else None),
        "voxels": {"reference": counts.reference, "candidate": counts.candidate},
        "voxels_added": counts.added,
        "voxels_removed": counts.removed,
        "empty": counts.empty,
        "empty_reason": EMPTY.get(counts.empty),
    }
    if prevalence is not None:
        result["ndsc"] = normalised_dice(counts, prevalence)
    return result


def dice(counts: Counts) -> float:
    """Volumetric Dice; 1 if both masks are empty, 0 if one is."""
    return _share(2 * counts.shared, counts.reference + counts.candidate, 1.0)


def normalised_dice(counts: Counts, prevalence: float) -> float:
    """nDSC (Raina et al. 2023): Dice with false positives scaled to a structure of the usual prevalence.

    Without a reference there is nothing to scale by, and false positives count as they are: nDSC is 0, of two empty
    masks 1.
    """
    others = counts.image - counts.reference
    scale = 1.0
    if counts.reference and others:
        scale = counts.reference / others * (1 - prevalence) / prevalence
    return _share(2 * counts.shared, 2 * counts.shared + scale * counts.added + counts.removed, 1.0)


def _share(part: float, whole: float, empty: float | None) -> float | None:
    return part / whole if whole else empty
