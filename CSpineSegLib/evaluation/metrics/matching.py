"""Which parts of one mask are which of another, by the voxels that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Overlap:
    """Voxels of R parts of a reference and C of a candidate.

    Parameters
    ----------
    shared : (R, C) int.
    reference, candidate : (R,) and (C,) int, the sizes of the parts.
    """

    shared: np.ndarray
    reference: np.ndarray
    candidate: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """(R, C) intersection over union; 0 between two parts without voxels."""
        union = self.reference[:, None] + self.candidate[None] - self.shared
        return self.shared / np.maximum(union, 1)

    def cut(self, reference: np.ndarray, candidate: np.ndarray) -> Overlap:
        """Of some parts alone, given by their places."""
        return Overlap(self.shared[np.ix_(reference, candidate)], self.reference[reference], self.candidate[candidate])


def overlap(reference: np.ndarray, candidate: np.ndarray, parts: tuple[int, int] | None = None) -> Overlap:
    """Of two integer arrays of the same shape, where 0 is background and every other value a part.

    With `parts`, the numbers of parts, part n has the value n + 1 and is one even without voxels; otherwise the values
    that occur are the parts, in rising order.
    """
    rows, columns = parts or (int(reference.max(initial=0)), int(candidate.max(initial=0)))
    codes = reference.astype(np.int64) * (columns + 1) + candidate
    table = np.bincount(codes.ravel(), minlength=(rows + 1) * (columns + 1)).reshape(rows + 1, columns + 1)
    found = Overlap(table[1:, 1:], table[1:].sum(axis=1), table[:, 1:].sum(axis=0))
    return found if parts else found.cut(np.flatnonzero(found.reference), np.flatnonzero(found.candidate))


def groups(found: Overlap) -> list[tuple[list[int], list[int]]]:
    """What belongs together: lists of parts of the reference and of the candidate, one of them possibly empty.

    Two parts belong together if they share at least half of the smaller one (a block and each of its bodies do), or if
    each shares more with the other than with anything else (two that lie badly on each other).
    """
    smaller = np.minimum(found.reference[:, None], found.candidate[None])
    joined = (found.shared > 0) & (2 * found.shared >= smaller)
    if found.shared.size:
        best = found.shared.argmax(axis=1)
        rows = np.arange(best.size)
        mutual = (found.shared.argmax(axis=0)[best] == rows) & (found.shared[rows, best] > 0)
        joined[rows[mutual], best[mutual]] = True
    return linked(joined)


def linked(joined: np.ndarray) -> list[tuple[list[int], list[int]]]:
    """The connected parts of a table (R, C) of who is joined with whom, in the order of their first row or column."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = joined.shape
    if not rows + columns:
        return []
    first, second = np.nonzero(joined)
    graph = coo_array((np.ones(first.size), (first, second + rows)), shape=(rows + columns,) * 2)
    count, owner = connected_components(graph, directed=False)
    members = [np.flatnonzero(owner == number) for number in range(count)]
    return [
        ([int(one) for one in some if one < rows], [int(one) - rows for one in some if one >= rows]) for some in members
    ]


def detection(found: Overlap, iou: float = 0.5) -> dict[str, Any]:
    """F1 and panoptic quality of parts, one to one.

    Parameters
    ----------
    iou : above 0, from which IoU on a part counts as found. Pairs are chosen so that their summed IoU is largest;
        above one half there is no choice.

    Returns
    -------
    dict with `iou_threshold`, `true_positives`, `false_positives`, `false_negatives`, `f1` (recognition quality),
    `segmentation_quality` (mean IoU of the pairs, None without any) and `panoptic_quality`. No parts on both sides:
    F1 and panoptic quality 1; on one side: 0.
    """
    from scipy.optimize import linear_sum_assignment

    if not 0 < iou <= 1:
        raise ValueError(f"an IoU threshold lies above 0 and up to 1, not at {iou}")
    enough = np.where(found.iou >= iou, found.iou, 0.0)
    rows, columns = linear_sum_assignment(enough, maximize=True)
    pairs = enough[rows, columns]
    pairs = pairs[pairs > 0]
    number = found.reference.size + found.candidate.size
    f1 = 2 * pairs.size / number if number else 1.0
    quality = float(pairs.mean()) if pairs.size else None
    return {
        "iou_threshold": iou,
        "true_positives": int(pairs.size),
        "false_positives": int(found.candidate.size - pairs.size),
        "false_negatives": int(found.reference.size - pairs.size),
        "f1": f1,
        "segmentation_quality": quality,
        "panoptic_quality": f1 * quality if quality is not None else (0.0 if number else 1.0),
    }
