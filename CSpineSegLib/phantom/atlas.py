"""The whole person as one function of space: which tissue and which level lies at a point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import canal, neck, posterior, spine
from .field import Field, Structure
from .outline import Outline
from .shape import COUNT, Shape, draw
from .tissue import Tissue

_CELL = 10.0


class _Cells:
    """Points sorted into cubes of 10 mm, so that a structure looks only at points near it."""

    def __init__(self, points: np.ndarray):
        keys = np.floor(points / _CELL).astype(np.int64)
        keys -= keys.min(0)
        span = keys.max(0) + 1
        flat = (keys[:, 0] * span[1] + keys[:, 1]) * span[2] + keys[:, 2]
        self.order = np.argsort(flat, kind="stable")
        self.points = points[self.order]
        self._columns = np.ascontiguousarray(self.points.T)
        starts = np.flatnonzero(np.diff(flat[self.order], prepend=-1))
        self._stops = np.append(starts[1:], len(points))
        self._starts = starts
        self._low = np.minimum.reduceat(self.points, starts)
        self._high = np.maximum.reduceat(self.points, starts)

    def within(self, box: np.ndarray) -> np.ndarray:
        """Positions (M,) in the sorted points that lie in a box (2, 3)."""
        near = np.flatnonzero(((self._low <= box[1]) & (self._high >= box[0])).all(axis=1))
        if not len(near):
            return near
        found = np.concatenate([np.arange(self._starts[c], self._stops[c]) for c in near])
        inside = np.ones(len(found), bool)
        for axis in range(3):
            values = self._columns[axis][found]
            inside &= (values >= box[0, axis]) & (values <= box[1, axis])
        return found[inside]


class Anatomy:
    """A person drawn from a seed, evaluated wherever one asks.

    Parameters
    ----------
    seed : any non-negative integer; the same seed is always the same person.
    fused : pairs of neighbouring vertebrae grown together, for instance `(("C5", "C6"),)`.

    Raises
    ------
    InputError : a pair that is not two neighbours between C2 and T7.
    """

    def __init__(self, seed: int, fused: Sequence[tuple[str, str]] = ()):
        self.seed = int(seed)
        self.shape: Shape = draw(self.seed, fused)
        rng = np.random.default_rng([self.seed, 2])
        self.column = canal.Column(self.shape)
        self._outline = Outline(self.shape, self.column, rng)
        self._structures = self._build(rng)
        self._warp = Field(rng, (55, 45, 45), 4), Field(rng, (55, 45, 45), 4)
        self._warp_size = np.float32(rng.uniform(0.3, 1.0))

    def _build(self, rng: np.random.Generator) -> list[Structure]:
        """Everything inside the skin, in painting order: what comes later covers what came before."""
        shape, column = self.shape, self.column
        return [
            *neck.throat(shape, column, self._outline, rng),
            *neck.head(shape, column, rng),
            canal.ligaments(shape, column, rng),
            *posterior.structures(shape, rng),
            *neck.arteries(shape, column, rng),
            canal.contents(shape, column, rng),
            *spine.dens(shape),
            *[spine.disc(shape, index, rng) for index in range(COUNT - 1)],
            *[spine.body(shape, index, rng) for index in range(COUNT)],
        ]

    def classify(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tissue and level at points.

        Parameters
        ----------
        points : (N, 3) patient coordinates, RAS, mm.

        Returns
        -------
        tissue : (N,) uint8, a `Tissue`.
        level : (N,) uint8, the TotalSpineSeg value of the vertebral body or disc, else 0.
        """
        points = np.asarray(points, np.float32)
        if not len(points):
            return np.zeros(0, np.uint8), np.zeros(0, np.uint8)
        bend = np.stack([np.zeros(len(points), np.float32), *(field(points) for field in self._warp)], axis=1)
        points = points + bend * self._warp_size
        tissue, level = self._outline.classify(points), np.zeros(len(points), np.uint8)
        # What lies in the skin or outside is never painted over, and is most of a large field of view.
        beneath = np.flatnonzero(tissue > Tissue.SKIN)
        if len(beneath):
            tissue[beneath], level[beneath] = self._paint(points[beneath], tissue[beneath])
        return tissue, level

    def _paint(self, points: np.ndarray, tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tissue and level (N,) of points beneath the skin, all structures painted over the muscle they were."""
        cells = _Cells(points)
        sorted_tissue, sorted_level = tissue[cells.order], np.zeros(len(points), np.uint8)
        for structure in self._structures:
            near = cells.within(structure.box)
            if len(near):
                inside, kind, value = structure.paint(cells.points[near])
                hit = near[inside]
                sorted_tissue[hit] = kind
                sorted_level[hit] = value
        tissue, level = np.empty_like(sorted_tissue), np.empty_like(sorted_level)
        tissue[cells.order], level[cells.order] = sorted_tissue, sorted_level
        return tissue, level
