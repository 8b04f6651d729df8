"""Faults such as masks have, drawn by models and by people: each changes a mask and its true levels in place.

A fault gets the mask and the levels (I, J, K) uint8, the grid and a random generator, and returns in a phrase what it
did.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..anatomy import BODY, DISC, level_value
from ..phantom.geometry import names_of
from ..volume import Grid

Fault = Callable[[np.ndarray, np.ndarray, Grid, np.random.Generator], str]


def _ball(shape: tuple[int, ...], grid: Grid, centre: np.ndarray, radius: float):
    """Box and mask of the voxels within `radius` mm of a voxel; its own at the least."""
    reach = np.ceil(radius / grid.spacing).astype(int)
    low, high = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    index = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), axis=-1)
    return box, np.linalg.norm((index - centre) * grid.spacing, axis=-1) <= max(radius, 1e-6)


def specks(mask, levels, grid, rng) -> str:
    """Four to twelve small spots, half of them near the spine and half anywhere, each of either label."""
    inside = np.argwhere(mask)
    count = int(rng.integers(4, 13))
    for number in range(count):
        centre = rng.integers(0, mask.shape)
        if number % 2:
            centre = inside[rng.integers(len(inside))] + np.rint(rng.normal(0, 22, 3) / grid.spacing).astype(int)
            centre = np.clip(centre, 0, np.array(mask.shape) - 1)
        box, ball = _ball(mask.shape, grid, centre, rng.uniform(0.3, 2.2))
        free = ball & (mask[box] == 0)
        mask[box][free] = rng.choice((BODY, DISC))
    return f"{count} specks"


def holes(mask, levels, grid, rng) -> str:
    """Three to ten holes, 1.5 to 4.5 mm in radius."""
    inside = np.argwhere(mask)
    count = int(rng.integers(3, 11))
    for _ in range(count):
        box, ball = _ball(mask.shape, grid, inside[rng.integers(len(inside))], rng.uniform(1.5, 4.5))
        mask[box][ball], levels[box][ball] = 0, 0
    return f"{count} holes"


def missing_slice(mask, levels, grid, rng) -> str:
    """A sagittal slice in the middle half of the spine without any label."""
    axis = grid.sagittal_axis
    seen = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
    index = int(rng.choice(seen[len(seen) // 4 : max(len(seen) // 4 + 1, len(seen) - len(seen) // 4)]))
    part = [slice(None)] * 3
    part[axis] = index
    mask[tuple(part)], levels[tuple(part)] = 0, 0
    return f"slice {index} empty"


def merged(mask, levels, grid, rng) -> str:
    """A third of a disc or two, from the front or the back, is called body, so that its neighbours touch."""
    told = []
    for name in _some(levels, rng, "-", 2):
        index = np.argwhere(levels == level_value(name))
        depth = (index @ grid.affine[:3, :3].T)[:, 1] * rng.choice((-1, 1))
        part = tuple(index[depth > np.quantile(depth, rng.uniform(0.6, 0.75))].T)
        mask[part], levels[part] = BODY, level_value(name.split("-")[rng.integers(2)])
        told.append(name)
    return f"bodies joined at {' and '.join(told)}"


def split_disc(mask, levels, grid, rng) -> str:
    """A gap of 2 to 4 mm from top to bottom through one or two discs."""
    told = []
    for name in _some(levels, rng, "-", 2):
        index = np.argwhere(levels == level_value(name))
        depth = (index @ grid.affine[:3, :3].T)[:, 1]
        middle = rng.uniform(*np.quantile(depth, (0.3, 0.7)))
        gap = tuple(index[np.abs(depth - middle) < rng.uniform(1, 2)].T)
        mask[gap], levels[gap] = 0, 0
        told.append(name)
    return f"{' and '.join(told)} in two parts"


def missing_disc(mask, levels, grid, rng) -> str:
    """A disc without label."""
    (name,) = _some(levels, rng, "-", 1)
    gone = levels == level_value(name)
    mask[gone], levels[gone] = 0, 0
    return f"{name} missing"


def dens_disc(mask, levels, grid, rng) -> str:
    """The upper part of the dens, or of C2's body, is called disc, at times with some voxels of body above it.

    As models do where the dens has the signal of a disc.
    """
    index = np.argwhere(levels == level_value("C2"))
    height = (index @ grid.affine[:3, :3].T)[:, 2]
    lower, upper = np.max(height) - np.array((rng.uniform(3, 7), rng.choice((0.0, rng.uniform(0, 1.5)))))
    part = tuple(index[(height >= lower) & (height <= upper)].T)
    mask[part], levels[part] = DISC, 0
    levels[tuple(index[height > upper].T)] = 0
    return f"{np.max(height) - lower:.0f} mm of C2 called disc"


def rough(mask, levels, grid, rng) -> str:
    """Outlines that wander by half a millimetre to one, as a network's do, in waves of 8 to 24 mm."""
    box = tuple(slice(max(0, int(at.min()) - 3), int(at.max()) + 4) for at in np.nonzero(mask))
    part = mask[box]
    index = np.stack(np.meshgrid(*map(np.arange, part.shape), indexing="ij"), axis=-1)
    position = (index * grid.spacing).astype(np.float32)
    result, size = index.copy(), rng.uniform(0.4, 0.8)
    for axis in set(range(3)) - {grid.sagittal_axis}:
        shift = np.zeros(part.shape, np.float32)
        for _ in range(3):
            wave = rng.normal(size=3)
            wave *= 2 * np.pi / rng.uniform(8, 24) / np.linalg.norm(wave)
            shift += np.sin(position @ wave.astype(np.float32) + rng.uniform(0, 2 * np.pi))
        moved = index[..., axis] + np.rint(shift * size / grid.spacing[axis]).astype(int)
        result[..., axis] = np.clip(moved, 0, part.shape[axis] - 1)
    source = tuple(np.moveaxis(result, -1, 0))
    mask[box], levels[box] = mask[box][source], levels[box][source]
    return f"outlines off by {size:.1f} mm"


def _some(levels: np.ndarray, rng: np.random.Generator, sign: str, most: int) -> list[str]:
    """One level or more in sight, neither the first nor the last, whose names hold `sign`."""
    names = [name for name in names_of(levels)[1:-1] if sign in name]
    count = int(rng.integers(1, most + 1))
    chosen = sorted(rng.choice(len(names), min(count, len(names)), replace=False).tolist())
    return [names[at] for at in chosen]


FAULTS: dict[str, Fault] = {
    "specks": specks,
    "holes": holes,
    "missing slice": missing_slice,
    "merged neighbours": merged,
    "split disc": split_disc,
    "missing disc": missing_disc,
    "rough outlines": rough,
    "disc on the dens": dens_disc,
}
