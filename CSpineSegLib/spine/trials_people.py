"""The people of the trials: who they are, where they are scanned, and how much of the dens an annotator took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import numpy as np

from .. import phantom, volume
from ..anatomy import level_value
from ..phantom.grids import axes_of, turned
from ..phantom.shape import VERTEBRAE, Shape, draw
from ..volume import Grid, Volume

# A larger matrix is drawn at this one, which no method of masks notices and which saves half of the time.
LARGEST = 320
# mm. C2 to T3 lean further to the side than this and bend by a third of it.
_BENT = 8.0
# mm of image above the dens; the fields that bend a person's axes move it by less.
_ABOVE = 4.0


class Drawn(NamedTuple):
    """A person's mask, the true level of each voxel, runs of vertebrae that are grown together, and who it is."""

    mask: Volume
    levels: np.ndarray
    blocks: tuple[tuple[str, ...], ...]
    note: str


def unfused(shape: Shape) -> bool:
    """Nothing is grown together."""
    return not shape.fused.any()


def bent(shape: Shape) -> bool:
    """A scoliosis, unfused."""
    side = shape.centre[:9, 0]
    straight = np.polyval(np.polyfit(shape.centre[:9, 2], side, 1), shape.centre[:9, 2])
    return unfused(shape) and np.ptp(side) > _BENT and np.ptp(side - straight) > _BENT / 3


def stranger(shape: Shape) -> bool:
    """Nothing is grown together in a person beyond the ranges of training (see `phantom.ranges`)."""
    return unfused(shape) and bool(shape.ranges.beyond)


def operated(shape: Shape) -> bool:
    """A surgeon has joined two or three vertebrae from C2 to T2."""
    return bool(shape.surgical[:7].any())


@lru_cache(maxsize=64)
def _seeds(fits: Callable[[Shape], bool], start: int, count: int) -> tuple[int, ...]:
    """The first `count` seeds from `start` on whose persons fit."""

    def found() -> Iterator[int]:
        seed = start
        while True:
            if fits(draw(seed, beyond=fits is stranger)):
                yield seed
            seed += 1

    return tuple(islice(found(), count))


def seed_of(fits: Callable[[Shape], bool], start: int, number: int) -> int:
    """The seed of person `number` from 0 among those from `start` on that fit."""
    return _seeds(fits, start, 50 * (number // 50 + 1))[number]


def ordinary(rng: np.random.Generator) -> Grid:
    """A geometry of the dataset's exams."""
    return phantom.random_grid(rng, largest=LARGEST)


def wide(rng: np.random.Generator) -> Grid:
    """As for scoliosis or a survey: C2 to T7, 25 bodies and discs."""
    pixel, distance = rng.uniform(1.0, 1.15), rng.choice((3.3, 4.0))
    centre = np.array((0.0, 0.0, -58.0)) + rng.normal(0, (2, 6, 6))
    grid = phantom.grid_around((LARGEST, LARGEST, int(60 / distance)), (pixel, pixel, distance), "PSR", centre)
    return turned(grid, np.deg2rad(rng.normal(0, 3, 3)))


def oblique(rng: np.random.Generator) -> Grid:
    """Turned further about one or more axes, by ten to eighteen degrees in all."""
    turns = rng.normal(size=3)
    return turned(ordinary(rng), np.deg2rad(rng.uniform(10, 18)) * turns / np.linalg.norm(turns))


def drawn(
    seed: int,
    grid: Grid,
    fused: Sequence[tuple[str, str]] = (),
    dens: tuple[float, float] = (1 / 3, 1),
    beyond: bool = False,
) -> Drawn:
    """The person of a seed; half of the masks hold all of the dens, the others a share between two limits.

    The lower third of the dens counts as body wherever phantoms are drawn; on the rest annotators differ.
    """
    shape = draw(seed, fused, beyond)
    grid = in_view(grid, shape)
    mask, levels = phantom.truth(seed, grid, fused=fused, beyond=beyond)
    rng = np.random.default_rng([seed, 61, 1])
    share = 1.0 if rng.random() < 0.5 and dens[1] == 1 else rng.uniform(*dens)
    _shorten_dens(mask, levels, grid, shape, share)
    note = f"seed {seed}, {max(0.0, share):.0%} of the dens"
    return Drawn(volume.from_array(mask, grid.affine), levels, _runs(shape.fused), note)


def _runs(fused: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """Names of the vertebrae of each run of fused discs."""
    edges = np.flatnonzero(np.diff(np.r_[0, fused.astype(int), 0]))
    return tuple(VERTEBRAE[first : last + 1] for first, last in zip(edges[::2], edges[1::2], strict=True))


def in_view(grid: Grid, shape: Shape) -> Grid:
    """The grid moved so that all of C2 is in it and C2 to T1 lie about the middle slices, as exams are planned."""
    tip = shape.world(0, [0, 0, shape.height[0] / 2 + shape.dens_length])
    points = shape.turn.apply(np.vstack([shape.centre[:7], tip]).astype(np.float32)).astype(float)
    axes, inverse = axes_of(grid), np.linalg.inv(grid.affine)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    move = np.zeros(3)
    side = index[:7, axes.side]
    middle = (grid.shape[axes.side] - 1) / 2
    if np.abs(side - middle).max() > 0.25 * middle:
        move[axes.side] = np.rint((side.min() + side.max()) / 2 - middle)
    last = grid.shape[axes.height] - 1 if axes.signs[axes.height] > 0 else 0
    beyond = (index[7, axes.height] - last) * axes.signs[axes.height] + _ABOVE / grid.spacing[axes.height]
    move[axes.height] = max(0.0, np.ceil(beyond)) * axes.signs[axes.height]
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ move
    return Grid(grid.shape, affine)


def _shorten_dens(mask: np.ndarray, levels: np.ndarray, grid: Grid, shape: Shape, share: float) -> None:
    """Leave out what lies above a share of the dens, as annotators do."""
    index = np.argwhere(levels == level_value("C2"))
    points = (index @ grid.affine[:3, :3].T + grid.affine[:3, 3]).astype(np.float32)
    if share >= 1 or not len(points):
        return
    rise = shape.local(0, shape.turn.apply(points, back=True))[:, 2] - shape.height[0] / 2
    above = tuple(index[rise > share * shape.dens_length].T)
    mask[above], levels[above] = 0, 0
