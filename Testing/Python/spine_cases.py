"""Spines drawn from cylinders, whose levels are known to the voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from CSpineSegLib import phantom, volume
from CSpineSegLib.anatomy import BODY, DISC
from CSpineSegLib.spine import sizes
from CSpineSegLib.volume import Grid, Volume

ROOM = 30.0


@dataclass(eq=False)
class Drawn:
    """A mask and, at each voxel, the position in `names` of the level that is there, or -1."""

    mask: Volume
    where: np.ndarray
    names: list[str]

    def voxels(self, *names: str) -> np.ndarray:
        """(I, J, K) bool of one or more levels."""
        return np.isin(self.where, [self.names.index(name) for name in names])

    def centre(self, name: str) -> np.ndarray:
        """RAS mm."""
        index = np.argwhere(self.voxels(name)).mean(axis=0)
        return self.mask.affine[:3, :3] @ index + self.mask.affine[:3, 3]


def spine(
    first: str = "C2",
    last: str = "T3",
    *,
    fused: Sequence[tuple[str, str]] = (),
    dens: float = 10.0,
    scale: float = 1.0,
    above: float = ROOM,
    below: float = ROOM,
    bend: float = 0.0,
    lean: float = 0.0,
    grid: Grid | None = None,
) -> Drawn:
    """A spine from head to foot, C5 or the middle near the origin.

    Parameters
    ----------
    fused : pairs of neighbours without a disc between them.
    dens : mm of the dens, if the spine begins with C2.
    scale : size of the person against a mean adult's.
    above, below : mm of image beyond the spine; below zero it is cut.
    bend, lean : mm by which the middle stands to the front, and the foot to the right.
    grid : by default upright, 0.8 x 0.8 x 4 mm, "PSR".
    """
    names = sizes.NAMES[sizes.NAMES.index(first) : sizes.NAMES.index(last) + 1]
    pieces = _pieces(names, fused, dens if first == "C2" else 0.0, scale)
    length = sum(height for _, _, height, _ in pieces)
    if grid is None:
        rows = int((length + above + below) / 0.8)
        grid = phantom.grid_around((90, rows, 15), (0.8, 0.8, 4.0), "PSR", (0.0, 0.0, (above - below) / 2))
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    points = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    down = length / 2 - points[:, 2]
    share = np.clip(down / length, 0, 1)
    right = points[:, 0] - lean * share
    front = points[:, 1] - bend * np.sin(np.pi * share)
    mask, where = np.zeros(len(points), np.uint8), np.full(len(points), -1)
    told: list[str] = []
    start = 0.0
    for name, label, height, (wide, deep) in pieces:
        own = (down >= start) & (down < start + height) & (np.hypot(right / wide, front / deep) < 1)
        if name not in told:
            told.append(name)
        mask[own], where[own] = label, told.index(name)
        start += height
    array = mask.reshape(grid.shape)
    return Drawn(volume.from_array(array, grid.affine), where.reshape(grid.shape), told)


def _pieces(names, fused, dens: float, scale: float) -> list[tuple[str, int, float, tuple[float, float]]]:
    """Name, label, height and half axes (mm) of every cylinder from head to foot; a block has none for its discs."""
    pieces = [(names[0], BODY, dens * scale, (4.5 * scale, 4.5 * scale))] if dens else []
    for k, name in enumerate(names):
        at = sizes.NAMES.index(name)
        half = (sizes.DEPTH[at] * scale * 0.6, sizes.DEPTH[at] * scale / 2)
        height, disc = sizes.HEIGHT[at] * scale, sizes.DISC[at] * scale
        grown = k + 1 < len(names) and (name, names[k + 1]) in fused
        pieces.append((name, BODY, height + (0.5 * disc if grown else 0.0), half))
        if k + 1 < len(names) and not grown:
            pieces.append((f"{name}-{names[k + 1]}", DISC, disc, half))
    return pieces


def named(labelling) -> list[str]:
    """Names of all elements from head to foot, those of a block joined by "+"."""
    return ["+".join(element.levels) or f"{element.kind} {element.ordinal}" for element in labelling.elements]
