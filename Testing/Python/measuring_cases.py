"""Spines of straight-edged bodies and discs whose measurements are known by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from CSpineSegLib.phantom import grid_around
from CSpineSegLib.spine import Element, Labelling, measuring_trials
from CSpineSegLib.volume import Grid, Volume

# Half of the width to either side, mm.
HALF_WIDTH = 9.0


@dataclass(frozen=True)
class Body:
    """A trapezoid: its centre to the front and to the head, mm; depth; heights in front and behind; tilt in degrees,
    the front towards the head. `dens`: mm of a post on top. `side`: mm to the right."""

    centre: tuple[float, float]
    depth: float = 15.0
    front: float = 12.0
    back: float = 12.0
    tilt: float = 0.0
    dens: float = 0.0
    side: float = 0.0

    def own(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) as (along, up) in its frame."""
        angle = np.deg2rad(self.tilt)
        a, s = points[..., 1] - self.centre[0], points[..., 2] - self.centre[1]
        return np.stack([a * np.cos(angle) + s * np.sin(angle), s * np.cos(angle) - a * np.sin(angle)], axis=-1)

    def half_height(self, along: np.ndarray) -> np.ndarray:
        return (self.back + (self.front - self.back) * (along / self.depth + 0.5)) / 2

    def inside(self, points: np.ndarray) -> np.ndarray:
        along, up = np.moveaxis(self.own(points), -1, 0)
        wide = np.abs(points[..., 0] - self.side) < HALF_WIDTH
        body = (np.abs(along) < self.depth / 2) & (np.abs(up) < self.half_height(along))
        post = (np.abs(along) < 3) & (up > 0) & (up < self.half_height(along) + self.dens) & (self.dens > 0)
        return wide & (body | post)


def between(upper: Body, lower: Body, front: float = 0.0, back: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """The disc between two bodies, standing out by some millimetres beyond both."""

    def inside(points: np.ndarray) -> np.ndarray:
        above, below = upper.own(points), lower.own(points)
        along = (above[..., 0] + below[..., 0]) / 2
        depth = (upper.depth + lower.depth) / 4
        gap = above[..., 1] < -upper.half_height(above[..., 0])
        gap &= below[..., 1] > lower.half_height(below[..., 0])
        wide = np.abs(points[..., 0] - (upper.side + lower.side) / 2) < HALF_WIDTH
        return wide & gap & (along < depth + front) & (along > -depth - back)

    return inside


def stack(count: int = 3, gap: float = 5.0, **body: float) -> list[Body]:
    """Equal upright bodies below each other, `gap` mm apart, about the origin."""
    height = max(body.get("front", 12.0), body.get("back", 12.0))
    top = (count - 1) / 2 * (height + gap)
    return [Body((0.0, top - k * (height + gap)), **body) for k in range(count)]


def grown(bodies: list[Body], upper: int, gap: float = 5.0) -> list[Body]:
    """The same with two upright neighbours grown towards each other until they meet."""
    result = list(bodies)
    for k, sign in ((upper, -1), (upper + 1, 1)):
        body = bodies[k]
        centre = (body.centre[0], body.centre[1] + sign * gap / 4)
        result[k] = replace(body, centre=centre, front=body.front + gap / 2, back=body.back + gap / 2)
    return result


LEVELS = ("C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3")


def draw(
    bodies: Sequence[Body],
    first: str = "C3",
    *,
    spacing=(0.5, 0.5, 4.0),
    orientation: str = "PSR",
    bulges: dict[int, tuple[float, float]] | None = None,
    without: Sequence[int] = (),
    shift=(0.0, 0.0, 0.0),
    size=(60.0, None, 48.0),
    grid: Grid | None = None,
) -> tuple[Labelling, Volume]:
    """Labelling and mask of bodies from head to foot with discs between them.

    Parameters
    ----------
    first : level of the first.
    bulges : by number of the disc, mm in front and behind. `without`: numbers of discs that are left out.
    shift : RAS mm by which the grid's middle lies off the origin; size : mm of the grid in the order of "PSR".
    """
    if grid is None:
        height = bodies[0].centre[1] - bodies[-1].centre[1] + 2 * bodies[0].dens + 40
        extent = dict(zip("PSR", (size[0], size[1] or height, size[2]), strict=True))
        extent |= {"A": extent["P"], "I": extent["S"], "L": extent["R"]}
        along = dict(zip("PSR", spacing, strict=True))
        along |= {"A": along["P"], "I": along["S"], "L": along["R"]}
        shape = [int(extent[letter] / along[letter]) for letter in orientation]
        middle = (bodies[0].centre[1] + bodies[-1].centre[1]) / 2
        grid = grid_around(
            shape, [along[letter] for letter in orientation], orientation, np.array([0, 0, middle]) + shift
        )
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    points = index @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    instances = np.zeros(grid.shape, np.uint16)
    elements: list[Element] = []
    start = LEVELS.index(first)
    for k, body in enumerate(bodies):
        name = LEVELS[start + k]
        if k and k - 1 not in without:
            number = len(elements) + 1
            inside = between(bodies[k - 1], body, *(bulges or {}).get(k - 1, (0.0, 0.0)))(points)
            instances[inside & (instances == 0)] = number
            elements.append(Element("disc", (f"{LEVELS[start + k - 1]}-{name}",), k, (number,), 1.0, spans=0))
        number = len(elements) + 1
        instances[body.inside(points)] = number
        elements.append(Element("body", (name,), k + 1, (number,), 1.0))
    return measuring_trials.labelling_from(instances, elements, grid)


def relative(labelling: Labelling) -> Labelling:
    """The same with an order but without names."""
    elements = tuple(replace(element, levels=()) for element in labelling.elements)
    return replace(labelling, elements=elements, absolute=False)


def fused(labelling: Labelling, upper: str, lower: str) -> Labelling:
    """The same with two neighbours called a block; there must be no disc between them."""
    elements, numbers = list(labelling.elements), {element.levels[0]: k for k, element in enumerate(labelling.elements)}
    first, second = numbers[upper], numbers[lower]
    joined = elements[first].instances + elements[second].instances
    block = replace(elements[first], kind="block", levels=(upper, lower), instances=joined, spans=2)
    elements[first : second + 1] = [block]
    return replace(labelling, elements=tuple(elements))
