"""A person on a grid: which tissues share each voxel, and the truth that an expert would draw from it.

Slow to draw and independent of contrast, so many images can be made of one geometry; see `image.render`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..anatomy import level_name, level_value
from ..errors import InputError
from ..volume import Grid
from .atlas import Anatomy
from .grids import Axes, axes_of
from .shape import VERTEBRAE
from .tissue import Tissue, label_table, spared_table

# Sub-samples of a voxel: across slices, and along the two other axes, in units of a voxel. Each differs along every
# axis. The first two lie farthest apart and tell whether the rest is needed; the third is the centre.
_THICK = np.array([[-0.4, -0.2, 0.4], [0.4, 0.2, -0.4], [0, 0, 0], [-0.2, 0.4, 0.2], [0.2, -0.4, -0.2]])
_THIN = np.array([[-0.33, 0.3, -0.3], [0.33, -0.3, 0.3], [0, 0, 0]])
_CENTRE = 2
_SLAB = 400_000


@dataclass(frozen=True, eq=False)
class Geometry:
    """A traced person: everything about a scan that does not depend on its contrast.

    Parameters
    ----------
    seed : of the person.
    grid : where the voxels lie.
    axes : which array axis runs where.
    code : (I, J, K) uint16, tissue * 256 + level that holds most of a voxel.
    mixed : (M,) flat indices, C order, of voxels that several tissues share.
    samples : (S, M) uint16, code of each sub-sample of those voxels.
    mask : (I, J, K) uint8, the label of most of each voxel.
    levels : (I, J, K) uint8, the level that goes with it, in TotalSpineSeg values; 0 where the mask is 0.
    spared : (I, J, K) bool, mostly tissue on which experts differ: neither trained on nor scored.
    present : names of the levels, head to foot, each disc after its upper vertebra.
    wear : level value of a disc -> how worn it is, 0 to 1.
    front : (3,) slope, offset (mm) and half depth (mm) of a line y = slope * z + offset along the middle of the bodies.
    """

    seed: int
    grid: Grid
    axes: Axes
    code: np.ndarray
    mixed: np.ndarray
    samples: np.ndarray
    mask: np.ndarray
    levels: np.ndarray
    spared: np.ndarray
    present: list[str]
    wear: dict[int, float]
    front: np.ndarray

    @property
    def tissue(self) -> np.ndarray:
        """(I, J, K) uint8, the `Tissue` that holds most of each voxel."""
        return (self.code >> 8).astype(np.uint8)

    def average(self, table: np.ndarray) -> np.ndarray:
        """Mean (I, J, K) float32 over each voxel of a `table` (tissues * 256,) by code: the partial volume effect."""
        table = np.asarray(table, np.float32)
        values = table[self.code]
        values.reshape(-1)[self.mixed] = table[self.samples].mean(axis=0)
        return values


def trace(
    seed: int,
    grid: Grid,
    *,
    fused: Sequence[tuple[str, str]] = (),
    beyond: bool = False,
    thickness: float | None = None,
) -> Geometry:
    """Find the tissues of a seed's person on a grid.

    Parameters
    ----------
    seed : any non-negative integer.
    grid : any orientation and spacing. C5 lies within a few millimetres of the origin; see `grid_around`.
    fused : pairs of neighbouring vertebrae grown together, for instance `(("C5", "C6"),)`.
    beyond : draw the person from outside the ranges of training.
    thickness : of a slice, mm, when slices have gaps; drawn from the seed (75 to 100 % of a spacing over 2 mm) if None.

    Voxels get three sub-samples, in and near spine and cord five where slices are thicker than 2 mm. Where the two
    outermost agree with each other and with the in-plane neighbours, no others are drawn, which saves half of the time.

    Raises
    ------
    InputError : a pair that is not two neighbours between C2 and T7, or a thickness beyond the spacing.
    """
    anatomy, axes = Anatomy(seed, fused, beyond=beyond), axes_of(grid)
    offsets = sub_samples(grid, axes, share_of(int(seed), float(grid.spacing[axes.slices]), thickness))
    everywhere = np.arange(int(np.prod(grid.shape)))
    ends = [_codes(anatomy, grid, everywhere, offset).reshape(grid.shape) for offset in offsets[:2]]
    mixed = np.flatnonzero(uneven_voxels(ends, axes.slices))
    samples = np.stack([*(end.reshape(-1)[mixed] for end in ends), _codes(anatomy, grid, mixed, offsets[_CENTRE])])
    samples = _refine(samples, anatomy, grid, mixed, offsets)
    code = ends[0]
    mask, levels, spared = (table[code >> 8] for table in (label_table(), label_table(), spared_table()))
    levels = np.where(mask > 0, code & 255, 0).astype(np.uint8)
    code.reshape(-1)[mixed] = _vote(samples)
    mask.reshape(-1)[mixed], levels.reshape(-1)[mixed] = vote_truth(samples)
    spared.reshape(-1)[mixed] = spared_table()[samples >> 8].mean(axis=0) > 0.5
    shape = anatomy.shape
    names = [f"{upper}-{lower}" for upper, lower in pairwise(VERTEBRAE)]
    return Geometry(
        seed=int(seed),
        grid=grid,
        axes=axes,
        code=code,
        mixed=mixed,
        samples=samples,
        mask=mask,
        levels=levels,
        spared=spared,
        present=names_of(levels),
        wear={level_value(name): float(worn) for name, worn in zip(names, shape.wear, strict=False)},
        front=np.append(np.polyfit(shape.centre[:, 2], shape.centre[:, 1], 1), shape.depth.mean() / 2),
    )


def share_of(seed: int, spacing: float, thickness: float | None) -> float:
    """Thickness of a slice as a share of the distance to the next."""
    if thickness is None:
        return float(np.random.default_rng([seed, 8]).uniform(0.75, 1.0)) if spacing > 2 else 1.0
    if not 0 < thickness <= spacing * 1.001:
        raise InputError(f"Slices of {thickness:g} mm do not fit a distance of {spacing:g} mm between them.")
    return thickness / spacing


def sub_samples(grid: Grid, axes: Axes, share: float) -> np.ndarray:
    """Sub-samples (S, 3) in voxels per array axis; the same points of the patient whatever the orientation."""
    pattern = _THICK if grid.spacing[axes.slices] > 2 else _THIN
    order = [axes.slices, *(a for a in (axes.side, axes.front, axes.height) if a != axes.slices)]
    offsets = np.empty_like(pattern)
    for column, axis in enumerate(order):
        offsets[:, axis] = pattern[:, column] * axes.signs[axis] * (share if column == 0 else 1)
    return offsets


def _codes(anatomy: Anatomy, grid: Grid, flat: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Tissue * 256 + level (N,) uint16 at voxels given by flat index (N,), moved by `offset` (3,) voxels."""
    found = np.empty(len(flat), np.uint16)
    for start in range(0, len(flat), _SLAB):
        part = slice(start, start + _SLAB)
        index = np.stack(np.unravel_index(flat[part], grid.shape), axis=1) + offset
        points = (index @ grid.affine[:3, :3].T + grid.affine[:3, 3]).astype(np.float32)
        tissue, level = anatomy.classify(points)
        found[part] = tissue.astype(np.uint16) << 8 | level
    return found


def _refine(samples: np.ndarray, anatomy: Anatomy, grid: Grid, mixed: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Samples (S, M) from the first three (3, M): the others are drawn where those meet spine or cord."""
    more = len(offsets) - len(samples)
    if not more:
        return samples
    # Elsewhere only the look of an edge is at stake, and the outermost samples count twice.
    extra = samples[:more].copy()
    worth = label_table() > 0
    worth[[Tissue.CSF, Tissue.CORD]] = True
    near = np.flatnonzero(worth[samples >> 8].any(axis=0))
    extra[:, near] = [_codes(anatomy, grid, mixed[near], offset) for offset in offsets[len(samples) :]]
    return np.concatenate([samples, extra])


def uneven_voxels(ends: Sequence[np.ndarray], slices: int) -> np.ndarray:
    """Voxels (I, J, K) bool whose two sub-samples differ from each other or from those of an in-plane neighbour."""
    uneven = ends[0] != ends[1]
    for end in ends:
        for axis in {0, 1, 2} - {slices}:
            low = [slice(None)] * 3
            high = [slice(None)] * 3
            low[axis], high[axis] = slice(None, -1), slice(1, None)
            edge = end[tuple(low)] != end[tuple(high)]
            uneven[tuple(low)] |= edge
            uneven[tuple(high)] |= edge
    return uneven


def _vote(samples: np.ndarray) -> np.ndarray:
    """The most frequent value (M,) of samples (S, M); the centre decides a draw between it and others."""
    votes = np.stack([(samples == sample).sum(axis=0) for sample in samples]).astype(np.float32)
    votes[_CENTRE] += 0.5
    return np.take_along_axis(samples, votes.argmax(axis=0)[None], axis=0)[0]


def vote_truth(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label and level (M,) uint8 of most of each voxel: first the label, then the level among those samples."""
    labels = label_table()[samples >> 8]
    label = _vote(labels)
    own = labels == label
    levels = np.where(own, samples & 255, 0).astype(np.uint8)
    votes = np.stack([((levels == level) & own).sum(axis=0) for level in levels]) * own
    level = np.take_along_axis(levels, votes.argmax(axis=0)[None], axis=0)[0]
    return label, np.where(label > 0, level, 0).astype(np.uint8)


def names_of(levels: np.ndarray) -> list[str]:
    """Names of the values in a level volume, head to foot, each disc after its upper vertebra."""
    found = np.flatnonzero(np.bincount(levels.reshape(-1), minlength=256))
    names = [level_name(int(value)) for value in found if value]
    order = {"C": 0, "T": 100}
    return sorted(names, key=lambda n: (order[n[0]] + int(n.split("-")[0][1:]), "-" in n))
