"""Implicit shapes and smooth random fields that can be evaluated at any point of space.

All points are (N, 3) float32 in millimetres, best stored column by column (Fortran order); all distances are signed,
in millimetres, negative inside, and exact or slightly under, which is enough for shells of a millimetre or two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

PAINT = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | int, np.ndarray | int]]


@dataclass(frozen=True, eq=False)
class Structure:
    """Something that is painted over what lies behind it.

    `box` is (2, 3) RAS mm. `paint(points)` gets points within the box and returns (inside (N,) bool, tissue, level),
    the last two scalars or arrays over the points that are inside.
    """

    box: np.ndarray
    paint: PAINT


def box_around(corners: np.ndarray, margin: float) -> np.ndarray:
    """The axis-parallel box (2, 3) of points (N, 3), widened by `margin` mm."""
    corners = np.asarray(corners, np.float32)
    return np.stack([corners.min(0) - margin, corners.max(0) + margin])


class Field:
    """A smooth Gaussian-like field of zero mean and unit variance: a sum of waves of random direction."""

    def __init__(self, rng: np.random.Generator, wavelength, waves: int = 5):
        """`wavelength`: the typical length of a wave along x, y and z in mm; a scalar or three values."""
        scale = 2 * np.pi / np.broadcast_to(np.asarray(wavelength, float), (3,))
        direction = rng.normal(size=(waves, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        self._waves = (direction * scale * rng.uniform(0.7, 1.4, (waves, 1))).T.astype(np.float32)
        self._phases = rng.uniform(0, 2 * np.pi, waves).astype(np.float32)
        self._gain = np.full(waves, np.sqrt(2 / waves), np.float32)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        phase = points @ self._waves
        phase += self._phases
        return np.sin(phase, out=phase) @ self._gain


def local_axes(points: np.ndarray, centre, rotation: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """Coordinates x, y, z (N,) each of points (N, 3) from a centre, along the rows of a rotation (3, 3)."""
    if rotation is None:
        return tuple(points[:, axis] - np.float32(centre[axis]) for axis in range(3))
    turned = points @ np.asarray(rotation, np.float32).T - np.asarray(rotation @ centre, np.float32)
    return turned[:, 0], turned[:, 1], turned[:, 2]


def ellipsoid(points: np.ndarray, centre, radii, rotation: np.ndarray | None = None) -> np.ndarray:
    """Signed distance to an ellipsoid, first-order: (rho - 1) times the smallest radius."""
    total = np.float32(0)
    for values, radius in zip(local_axes(points, np.asarray(centre, float), rotation), radii, strict=True):
        values = values * np.float32(1 / radius)
        total = total + values * values
    return (np.sqrt(total) - np.float32(1)) * np.float32(min(radii))


def capsule(points: np.ndarray, start, stop, radius: float, squash=(1, 1, 1)) -> np.ndarray:
    """Signed distance to a rounded rod from `start` to `stop`; `squash` divides the axes first, to flatten it."""
    squash = np.asarray(squash, float)
    start = np.asarray(start, float) / squash
    axis = np.asarray(stop, float) / squash - start
    axes = [points[:, a] * np.float32(1 / squash[a]) - np.float32(start[a]) for a in range(3)]
    step = axis / np.dot(axis, axis)
    along = axes[0] * np.float32(step[0]) + axes[1] * np.float32(step[1]) + axes[2] * np.float32(step[2])
    np.clip(along, 0, 1, out=along)
    total = np.float32(0)
    for values, part in zip(axes, axis, strict=True):
        values -= along * np.float32(part)
        total = total + values * values
    return np.sqrt(total) - np.float32(radius)


def moved(point, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """A point (3,) moved by some millimetres along the axes."""
    return np.asarray(point, float) + np.array((x, y, z))


def smoothstep(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def rotation_about_x(angle: float) -> np.ndarray:
    """Rotation (3, 3) in the sagittal plane, in radians, from front to head."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, s], [0, -s, c]], np.float32)


def blob(centre, radii, tissue: int, rotation=None, shell: int | None = None, thickness: float = 1.0) -> Structure:
    """An ellipsoid of one tissue, with an optional shell of another inside its surface."""

    def paint(points):
        depth = ellipsoid(points, centre, radii, rotation)
        inside = depth < 0
        if shell is None:
            return inside, tissue, 0
        return inside, np.where(depth[inside] > -thickness, shell, tissue), 0

    return Structure(box_around([centre], float(np.max(radii))), paint)


def rod(start, stop, radius: float, tissue: int, shell: int | None = None, squash=(1, 1, 1)) -> Structure:
    """A rounded rod of one tissue, with an optional 1 mm shell of another."""

    def paint(points):
        depth = capsule(points, start, stop, radius, squash)
        inside = depth < 0
        if shell is None:
            return inside, tissue, 0
        return inside, np.where(depth[inside] > -1.0, shell, tissue), 0

    return Structure(box_around([start, stop], radius * max(squash)), paint)


def strand(heights, x, y, half_x, half_y, tissue: int, shell: int | None = None, thickness: float = 1.0) -> Structure:
    """A vertical cord with an elliptic cross-section that changes with height, in an optional shell of another tissue.

    `heights` are ascending z in mm; `x` and `y` give the middle line there, `half_x` and `half_y` the half widths.
    """
    nodes = np.asarray(heights, float)
    z = np.arange(nodes[0], nodes[-1] + 1)
    table = [np.interp(z, nodes, np.broadcast_to(v, nodes.shape)).astype(np.float32) for v in (x, y, half_x, half_y)]
    ends = [[table[0].min(), table[1].min(), z[0]], [table[0].max(), table[1].max(), z[-1]]]
    margin = float(max(table[2].max(), table[3].max()))
    box = box_around(ends, margin)
    box[:, 2] = z[0], z[-1]

    def paint(points):
        at = np.clip(points[:, 2] - np.float32(z[0]), 0, len(z) - 1).astype(np.int32)
        rho = np.square((points[:, 0] - table[0][at]) / table[2][at])
        rho += np.square((points[:, 1] - table[1][at]) / table[3][at])
        inside = rho < 1
        if shell is None:
            return inside, tissue, 0
        smallest = np.minimum(table[2][at[inside]], table[3][at[inside]])
        return inside, np.where(np.sqrt(rho[inside]) > 1 - thickness / smallest, shell, tissue), 0

    return Structure(box, paint)
