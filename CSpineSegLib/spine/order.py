"""Vertebral bodies and discs in their order along the spine, and their sizes in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..anatomy import BODY, DISC
from . import curve
from .morphology import gaussian

_GAP = 0
# mm. What is shorter is noise of the borders and joins its neighbours, if these are alike.
_SHORTEST = {_GAP: 3.0, BODY: 4.0, DISC: 1.5}
# mm from the line: the core tells the order, the tube holds whole vertebrae, those of a large lumbar spine too.
_CORE_SIDE, _CORE_DEPTH, _TUBE_SIDE, _TUBE_DEPTH = 6.0, 5.0, 26.0, 22.0
_LEAST_FILLED = 0.25
# mm of the first run that lie above the upper end of the line.
BEFORE = 4.0


@dataclass(frozen=True, eq=False)
class Order:
    """What lies along the line through a mask.

    Parameters
    ----------
    runs : (label, length in mm) of each run from head to foot; label 0 is a gap.
    periods : mm from disc to disc, of discs between two bodies and with one body between them.
    depths : mm from front to back of each body.
    on_line : share of the mask that lies about the line.
    discs : discs between two bodies.
    line : the line; the runs begin :data:`BEFORE` above its start.
    """

    runs: tuple[tuple[int, float], ...]
    periods: np.ndarray
    depths: np.ndarray
    on_line: float
    discs: int
    line: curve.Curve


def along(labels: np.ndarray, spacing: Sequence[float]) -> Order | None:
    """The order in a mask (n, rows, columns), oriented "RIP" (see `curve`); None without a line."""
    spacing = np.asarray(spacing, np.float64)
    index = np.argwhere(labels)
    points = curve.positions(index, spacing)
    line = curve.through(points)
    if line is None:
        return None
    values = labels[tuple(index.T)]
    places = line.place(points)
    tube = (np.abs(places[:, 1]) <= _TUBE_SIDE) & (np.abs(places[:, 2]) <= _TUBE_DEPTH)
    tube &= (places[:, 0] >= line.start - 3.0) & (places[:, 0] <= line.stop + 3.0)
    side = max(_CORE_SIDE, 1.01 * spacing[0])
    core = tube & (np.abs(places[:, 1]) <= side)
    position = places[:, 0] - line.start + BEFORE
    length = int(np.ceil(line.stop - line.start)) + 8
    runs = _runs(position, values, core & (np.abs(places[:, 2]) <= _CORE_DEPTH), length, float(spacing[1]))
    between = [
        k for k in range(1, len(runs) - 1) if runs[k][0] == DISC and runs[k - 1][0] == BODY and runs[k + 1][0] == BODY
    ]
    periods = [(sum(runs[b][1:]) - sum(runs[a][1:])) / 2 for a, b in pairwise(between) if b == a + 2]
    depths = []
    for label, start, stop in runs:
        inside = core & (values == BODY) & (position >= start) & (position < stop)
        if label == BODY and stop - start >= 5.0 and np.count_nonzero(inside) >= 5:
            # The middle nine tenths, so that a few voxels of a spur do not make a body deeper.
            depths.append(float(np.ptp(np.quantile(places[inside, 2], (0.05, 0.95)))) / 0.9)
    return Order(
        tuple((label, float(stop - start)) for label, start, stop in runs),
        np.array(periods, float),
        np.array(depths, float),
        float(np.count_nonzero(tube) / len(points)),
        len(between),
        line,
    )


def _runs(position: np.ndarray, values: np.ndarray, core: np.ndarray, length: int, row: float) -> list[list[int]]:
    """[label, first mm, last mm] of stretches where bodies, discs or neither prevail in the core."""
    blur = max(0.7, 0.5 * row)
    cells = np.clip(position.astype(int), 0, length - 1)
    body, disc = (
        gaussian(np.bincount(cells[core & (values == label)], minlength=length), (blur,)) for label in (BODY, DISC)
    )
    total = body + disc
    if not total.any():
        return [[_GAP, 0, length]]
    usual = np.quantile(total[total > 0], 0.8)
    kind = np.where(total < _LEAST_FILLED * usual, _GAP, np.where(disc > body, DISC, BODY))
    cuts = [0, *(np.flatnonzero(np.diff(kind)) + 1).tolist(), length]
    runs = [[int(kind[a]), a, b] for a, b in pairwise(cuts)]
    k = 1
    while k < len(runs) - 1:
        label, start, stop = runs[k]
        if stop - start < _SHORTEST[label] and runs[k - 1][0] == runs[k + 1][0]:
            runs[k - 1 : k + 2] = [[runs[k - 1][0], runs[k - 1][1], runs[k + 1][2]]]
            k = 1
        else:
            k += 1
    return runs
