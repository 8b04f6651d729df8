"""True measurements of phantoms, from planes through the anatomy itself and not from any mask.

A plane of .2 mm pixels is laid through the middle of each vertebra, as the phantom's own shape places it, and the same
definitions are applied to it; so what is found is what an image without slices, pixels and noise would give. Angles
over several bodies are taken in planes that are parallel to the middle plane of the neck.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..anatomy import level_value
from ..phantom import VERTEBRAE, Anatomy
from ..phantom.tissue import label_table
from . import measuring_spine as spine
from .measuring_bodies import Fit, fit
from .measuring_discs import space_between
from .measuring_outline import Noise
from .measuring_rows import Measurement, of_body, of_disc
from .measuring_sections import Section, Solid

_PIXEL = 0.2
# mm to the front and back, up and down of the middle of a plane; blocks are taller.
_HALF, _HALF_OF_BLOCK = np.array([22.0, 32.0]), np.array([22.0, 60.0])
# mm between the points that volumes are counted with; each is moved at random within its cell.
_CELL = 1.0
# mm to either side, to the front and back, and up and down of the line of centres: all of every body, and the dens.
_ABOUT = np.array([22.0, 26.0, 38.0])
_EXACT = Noise(0.0, 0.0)
_STEPS = 25


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane in the patient: `centre` (3,) RAS mm; `right`, `front`, `up` (3,) unit vectors."""

    centre: np.ndarray
    right: np.ndarray
    front: np.ndarray
    up: np.ndarray

    @property
    def own(self) -> np.ndarray:
        """(3,) mm to the right, the front and the head, of the centre, from the patient's origin."""
        return np.stack([self.right, self.front, self.up]) @ self.centre


class Truth:
    """Measures one person."""

    def __init__(self, anatomy: Anatomy):
        self.anatomy = anatomy
        self.shape = anatomy.shape
        self._centres = self._patient(self.shape.centre)

    def _patient(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) patient coordinates of points (N, 3) of the person lying straight and unwarped."""
        points = np.atleast_2d(np.asarray(points, float))
        found = points.copy()
        # Turns are under half a radian and the warp slants by a tenth, so that every step takes off over half.
        for _ in range(_STEPS):
            found += points - self.anatomy.own(found)
        return found

    @property
    def right(self) -> np.ndarray:
        """(3,) to the right of the neck: the mean over C2 to C7."""
        return np.sum([self.plane_of(index).right for index in range(6)], axis=0)

    def coronal(self, centres: dict[str, np.ndarray]) -> Measurement:
        """The coronal angle of bodies whose centres (3,) RAS mm are given by level, from head to foot."""
        plane = _plane(np.zeros(3), self.right, *np.eye(3)[1:], keep="right")
        axes = np.stack([plane.right, plane.front, plane.up])
        solids = [replace(_solid(name, (), axes @ centre), areas=np.ones(1)) for name, centre in centres.items()]
        return spine.coronal(solids)

    def plane_of(self, index: int) -> Plane:
        """The middle sagittal plane of a vertebra, along its own endplates."""
        steps = 4.0 * np.concatenate([np.eye(3), -np.eye(3)])
        ends = self._patient(self.shape.world(index, steps))
        right, front, up = (ends[:3] - ends[3:]) / 8.0
        return _plane(self._centres[index], right, front, up)

    def plane_between(self, first: int, last: int) -> Plane:
        """The middle plane of what lies between or about two vertebrae."""
        above, below = self.plane_of(first), self.plane_of(last)
        return _plane(
            (above.centre + below.centre) / 2, above.right + below.right, above.front + below.front, above.up + below.up
        )

    def groups(self, last: int) -> list[range]:
        """Vertebrae from C2 to before `last` as single ones and blocks."""
        found = [range(0, 1)]
        for index in range(1, last):
            if self.shape.fused[index - 1]:
                found[-1] = range(found[-1].start, index + 1)
            else:
                found.append(range(index, index + 1))
        return found

    @property
    def fused(self) -> list[tuple[str, str]]:
        """Neighbours that are grown together."""
        return [pair for pair, flag in zip(pairwise(VERTEBRAE), self.shape.fused, strict=True) if flag]

    def names(self, last: int) -> list[str]:
        """Bodies, blocks and discs from C2 to before vertebra `last`, head to foot."""
        groups = self.groups(last)
        found = [_name(groups[0])]
        for above, below in pairwise(groups):
            found += [_between(above, below), _name(below)]
        return found

    def solids(self, plane: Plane, groups: list[range]) -> list[Solid]:
        """Bodies or blocks as the plane shows them, and last the disc between two."""
        reach = _HALF if sum(map(len, groups)) <= 2 else _HALF_OF_BLOCK
        a, s = (np.arange(-half, half + _PIXEL / 2, _PIXEL) for half in reach)
        grid = np.stack(np.meshgrid(a, s, indexing="ij"), axis=-1)
        points = plane.centre + grid[..., :1] * plane.front + grid[..., 1:] * plane.up
        tissue, level = self.anatomy.spinal(points.reshape(-1, 3).astype(np.float32))
        level = np.where(label_table()[tissue] > 0, level, 0).reshape(grid.shape[:2])
        own = plane.own
        wanted = [(_name(group), [VERTEBRAE[i] for i in group]) for group in groups]
        if len(groups) == 2:
            wanted.append((_between(*groups), [_between(*groups)]))
        found = []
        for name, levels in wanted:
            inside = np.pad(np.isin(level, [level_value(one) for one in levels]), 2)
            section = Section(inside, own[1:] - reach - 2 * _PIXEL, np.full(2, _PIXEL), float(own[0]), 1.0)
            found.append(_solid(name, (section,), own))
        return found

    def fit(self, solid: Solid, angle: float = 0.0) -> Fit | str:
        return fit(solid, angle, _EXACT, dens=solid.name.startswith("C2"))

    def structures(self, last: int = 7) -> Iterator[Measurement]:
        """All of bodies, blocks and discs from C2 to before vertebra `last`, and of neighbours, but no volumes."""
        groups = self.groups(last)
        for group in groups:
            (solid,) = self.solids(self.plane_between(group[0], group[-1]), [group])
            yield from (row for row in of_body(solid, self.fit(solid), _EXACT) if "volume" not in row.key)
        for above, below in pairwise(groups):
            upper, lower, disc = self.solids(self.plane_between(above[-1], below[0]), [above, below])
            fits = self.fit(upper), self.fit(lower)
            if isinstance(fits[0], str) or isinstance(fits[1], str):
                continue
            space = space_between(*fits)
            yield from (row for row in of_disc(disc, space, _EXACT) if "volume" not in row.key)
            yield spine.segmental(disc.name, *fits)
            yield spine.listhesis(disc.name, space)

    def whole(self) -> Iterator[Measurement]:
        """Cobb angle and type of the curve; nothing where a block takes part in them."""
        if self.shape.fused[:6].any():
            return
        fits = {}
        for index in range(6):
            centre = self.plane_of(index).centre
            plane = _plane(centre, self.right, *np.eye(3)[1:], keep="right")
            (solid,) = self.solids(plane, [range(index, index + 1)])
            fits[solid.name] = self.fit(solid, -float(self.shape.tilt[index]))
        yield spine.cobb(fits["C2"], fits["C7"])
        yield spine.curve_type(fits)

    def volumes(self, last: int = 7) -> dict[str, tuple[float, np.ndarray]]:
        """mm3 and centre (3,) RAS mm of bodies, blocks and discs, by counting points that are scattered evenly."""
        centres = self._centres[: last + 1]
        heights = np.arange(centres[-1, 2] - _ABOUT[2], centres[0, 2] + _ABOUT[2], _CELL)
        across = np.meshgrid(*(np.arange(-half, half, _CELL) for half in _ABOUT[:2]), indexing="ij")
        line = [np.interp(heights, centres[::-1, 2], centres[::-1, axis]) for axis in (0, 1)]
        points = np.empty((len(heights), *across[0].shape, 3))
        for axis in (0, 1):
            points[..., axis] = line[axis][:, None, None] + across[axis]
        points[..., 2] = heights[:, None, None]
        points = points.reshape(-1, 3) + np.random.default_rng(0).uniform(-_CELL / 2, _CELL / 2, (points.size // 3, 3))
        tissue, level = self.anatomy.spinal(points.astype(np.float32))
        level = np.where(label_table()[tissue] > 0, level, 0)
        groups = self.groups(last)
        wanted = [(_name(group), [VERTEBRAE[i] for i in group]) for group in groups]
        for above, below in pairwise(groups):
            wanted.append((_between(above, below), [_between(above, below)]))
        found = {}
        for name, levels in wanted:
            inside = np.isin(level, [level_value(one) for one in levels])
            if inside.any():
                found[name] = float(np.count_nonzero(inside) * _CELL**3), points[inside].mean(axis=0)
        return found


def _name(group: range) -> str:
    first, last = VERTEBRAE[group[0]], VERTEBRAE[group[-1]]
    return first if first == last else f"{first}-{last} block"


def _between(above: range, below: range) -> str:
    return f"{VERTEBRAE[above[-1]]}-{VERTEBRAE[below[0]]}"


def _plane(centre, right, front, up, keep: str = "up") -> Plane:
    """A plane with orthogonal axes near the given ones; `keep` names the one that is not moved."""
    right, front, up = (np.asarray(axis, float) / np.linalg.norm(axis) for axis in (right, front, up))
    if keep == "up":
        right = right - (right @ up) * up
    else:
        up = up - (up @ right) * right
        up /= np.linalg.norm(up)
    right = right / np.linalg.norm(right)
    return Plane(np.asarray(centre, float), right, np.cross(up, right), up)


def _solid(name: str, sections: tuple[Section, ...], centre: np.ndarray) -> Solid:
    nothing = np.zeros(0)
    return Solid(name, None, sections, float(centre[0]), 0.0, frozenset(), nothing, nothing, 0.0, centre)
