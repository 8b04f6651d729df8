"""The whole person as one function of space: which tissue and which level lies at a point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import block, canal, head, lateral, neck, posterior, spine
from .field import Field, Structure
from .outline import Outline
from .shape import COUNT, Shape, draw
from .tissue import Tissue

_CELL = 10.0


class _Cells:
    """Points sorted into cubes of 10 mm, so that a structure looks only at points near it."""

    def __init__(self, points: np.ndarray):
        flat = np.zeros(len(points), np.int32)
        for axis in range(3):
            keys = np.floor(points[:, axis] * (1 / _CELL)).astype(np.int32)
            keys -= keys.min()
            flat = flat * (keys.max() + 1) + keys
        if flat.max() < 2**16:
            flat = flat.astype(np.uint16)  # NumPy sorts these by radix, ten times as fast.
        self.order = np.argsort(flat, kind="stable")
        self._columns = np.ascontiguousarray(points.T[:, self.order])
        flat = flat[self.order]
        self._starts = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
        self._stops = np.append(self._starts[1:], len(points))
        self._low = np.minimum.reduceat(self._columns, self._starts, axis=1).T
        self._high = np.maximum.reduceat(self._columns, self._starts, axis=1).T

    def points(self, near: np.ndarray) -> np.ndarray:
        """The sorted points (M, 3) at some positions, column by column."""
        return self._columns[:, near].T

    def within(self, box: np.ndarray) -> np.ndarray:
        """Positions (M,) in the sorted points that lie in a box (2, 3)."""
        near = np.flatnonzero(((self._low <= box[1]) & (self._high >= box[0])).all(axis=1))
        if not len(near):
            return near
        starts, sizes = self._starts[near], self._stops[near] - self._starts[near]
        found = np.arange(sizes.sum()) + np.repeat(starts - np.append(0, np.cumsum(sizes[:-1])), sizes)
        for axis in range(3):
            # A cell that the box holds whole needs no look at its points; along a thin slice, none does.
            if self._low[near, axis].min() < box[0, axis] or self._high[near, axis].max() > box[1, axis]:
                values = self._columns[axis][found]
                found = found[(values >= box[0, axis]) & (values <= box[1, axis])]
        return found


class Anatomy:
    """A person drawn from a seed, evaluated wherever one asks.

    Parameters
    ----------
    seed : any non-negative integer; the same seed is always the same person.
    fused : pairs of neighbouring vertebrae grown together, for instance `(("C5", "C6"),)`. Without any, 5 % of people
        have a congenital block of two or three and 7 % a surgical one, of bone grafts and mostly plates.
    beyond : draw two to four of size, curvature, disc height, proportions of bodies, width of the canal and scoliosis
        outside the ranges of training, for a held-out test; `ranges.Ranges` says by how much.

    Raises
    ------
    InputError : a pair that is not two neighbours between C2 and T7.
    """

    def __init__(self, seed: int, fused: Sequence[tuple[str, str]] = (), *, beyond: bool = False):
        self.seed = int(seed)
        self.shape: Shape = draw(self.seed, fused, beyond)
        rng = np.random.default_rng([self.seed, 8 if beyond else 2])
        self.column = canal.Column(self.shape)
        self._outline = Outline(self.shape, self.column, rng)
        around, self.spine = self._build(rng)
        self._structures = [*around, *self.spine]
        self._warp = Field(rng, (55, 45, 45), 4), Field(rng, (55, 45, 45), 4)
        self._warp_size = np.float32(rng.uniform(0.3, 1.0))

    def _build(self, rng: np.random.Generator) -> tuple[list[Structure], list[Structure]]:
        """Everything inside the skin, in painting order: what comes later covers what came before.

        Apart, the last of them: the vertebral bodies and discs with what covers these.
        """
        shape, column = self.shape, self.column
        around = [
            *neck.throat(shape, column, self._outline, rng),
            *head.head(shape, column, rng),
            *canal.ligaments(shape, column, rng),
            *lateral.structures(shape, column, rng),
            *posterior.structures(shape, rng),
            *neck.arteries(shape, column, rng),
            *canal.contents(shape, column, rng),
        ]
        return around, [
            *spine.dens(shape),
            *[spine.disc(shape, index, rng) for index in range(COUNT - 1)],
            *[spine.body(shape, index, rng) for index in range(COUNT)],
            *block.hardware(shape, rng),
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
        points = self.own(points)
        tissue, level = self._outline.classify(points), np.zeros(len(points), np.uint8)
        # What lies in the skin or outside is never painted over, and is most of a large field of view.
        beneath = np.flatnonzero(tissue > Tissue.SKIN)
        if len(beneath):
            tissue[beneath], level[beneath] = self._paint(points.T[:, beneath].T, tissue[beneath], self._structures)
        return tissue, level

    def spinal(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `classify`, of points in and near the spine, in a tenth of the time: all but the spine is air."""
        points = np.asarray(points, np.float32)
        if not len(points):
            return np.zeros(0, np.uint8), np.zeros(0, np.uint8)
        return self._paint(self.own(points), np.zeros(len(points), np.uint8), self.spine)

    def own(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) float32 RAS mm in the person's own axes, in which the shape is given."""
        points = self.shape.turn.apply(points, back=True)
        shifts = [field(points) * self._warp_size for field in self._warp]
        for axis, shift in enumerate(shifts, start=1):
            points[:, axis] += shift
        return points

    def _paint(
        self, points: np.ndarray, tissue: np.ndarray, structures: list[Structure]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tissue and level (N,) of points beneath the skin, all structures painted over the muscle they were."""
        cells = _Cells(points)
        sorted_tissue, sorted_level = tissue[cells.order], np.zeros(len(points), np.uint8)
        for structure in structures:
            near = cells.within(structure.box)
            if len(near):
                inside, kind, value = structure.paint(cells.points(near))
                hit = near[inside]
                sorted_tissue[hit] = kind
                sorted_level[hit] = value
        tissue, level = np.empty_like(sorted_tissue), np.empty_like(sorted_level)
        tissue[cells.order], level[cells.order] = sorted_tissue, sorted_level
        return tissue, level
