"""Disc levels as the dataset's authors number them (Zhou 2025): components of one slice, counted from the top.

To compare with, and to repeat their figures; it knows neither fused vertebrae nor what it has missed.
"""

from __future__ import annotations

import numpy as np

from ..anatomy import DISC
from .morphology import label

# From head to foot; further components have no name.
DISCS = ("C2-C3", "C3-C4", "C4-C5", "C5-C6", "C6-C7", "C7-T1")


def zhou2025(mask: np.ndarray) -> dict[str, np.ndarray] | None:
    """The six discs of a mask by name, each a (I, J) bool of its component in the middle slice.

    Parameters
    ----------
    mask : (I, J, K) labels as the released files store them: K across sagittal slices, J growing towards the head
        ("PSR"). Nothing is reoriented; the slice is K // 2.

    Returns
    -------
    None if the slice has fewer than six components of the disc's label, 8-connected: such exams are left out. Else the
    six whose centroids lie furthest along J, from C2-C3 down.
    """
    mask = np.asarray(mask)
    parts, count = label(mask[:, :, mask.shape[2] // 2] == DISC, np.ones((3, 3), bool))
    if count < len(DISCS):
        return None
    _, columns = np.nonzero(parts)
    sizes = np.bincount(parts[parts > 0], minlength=count + 1)[1:]
    centres = np.bincount(parts[parts > 0], weights=columns, minlength=count + 1)[1:] / sizes
    # Stable, so that of two at one height the first in the array stays first.
    order = np.argsort(-centres, kind="stable")[: len(DISCS)]
    return {name: parts == number + 1 for name, number in zip(DISCS, order, strict=True)}
