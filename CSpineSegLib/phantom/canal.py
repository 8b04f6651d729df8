"""The column as curves over height, and what runs along it: ligaments, epidural fat, cerebrospinal fluid, cord."""

from __future__ import annotations

import numpy as np

from .field import Field, Structure, smoothstep
from .shape import COUNT, Shape
from .tissue import Tissue


class Column:
    """Walls of the spine as functions of z, sampled every half millimetre from foot to head.

    `lookup(name, z)` reads one of: x (middle line), front and back (y of the anterior and posterior wall), cosine (of
    the local tilt), width (half width of the bodies), bulge (how far discs enter the canal, mm).
    """

    STEP = 0.5

    def __init__(self, shape: Shape):
        rows = []
        for i in reversed(range(COUNT)):
            for side in (-0.45, 0, 0.45):
                height = side * shape.height[i]
                back = shape.world(i, [0, -shape.depth[i] / 2 * 1.0, height])
                front = shape.world(i, [0, shape.depth[i] / 2, height])
                bulge = 0.0
                if side < 0 and i < COUNT - 1:
                    bulge = max(shape.bulge[i, 1], 0)
                elif side > 0 and i > 0:
                    bulge = max(shape.bulge[i - 1, 1], 0)
                rows.append((back[2], back[0], front[1], back[1], np.cos(shape.tilt[i]), shape.half_width[i], bulge))
        self.dens_tip = shape.world(0, [0, -shape.depth[0] * 0.08, shape.height[0] / 2 + shape.dens_length])
        lean = np.sin(shape.tilt[0] * 0.5 + 0.12)
        top = rows[-1]
        for rise in (8, 24, 60):
            rows.append((top[0] + rise, top[1], top[2] + rise * lean, top[3] + rise * lean + 1, np.cos(lean), 9.0, 0.0))
        table = np.array(sorted(rows))
        self._low, high = table[0, 0] - 60, table[-1, 0]
        z = np.arange(self._low, high, self.STEP)
        slope = (table[3, 2:4] - table[0, 2:4]) / (table[3, 0] - table[0, 0])
        below = np.r_[table[0, 0] - 60, table[0, 1], table[0, 2:4] - 60 * slope, table[0, 4:]]
        table = np.vstack([below, table])
        names = ("x", "front", "back", "cosine", "width", "bulge")
        self._curves = {n: np.interp(z, table[:, 0], table[:, i + 1]).astype(np.float32) for i, n in enumerate(names)}
        # Dura and ligaments bridge the steps between vertebrae.
        kernel = np.exp(-np.square(np.arange(-12, 13) / 7.0)).astype(np.float32)
        for name in ("x", "front", "back", "cosine"):
            padded = np.pad(self._curves[name], 12, mode="edge")
            self._curves[name] = np.convolve(padded, kernel / kernel.sum(), mode="valid")
        self.foramen_magnum = float(self.dens_tip[2] + 4 * shape.scale)

    def index(self, z: np.ndarray) -> np.ndarray:
        """Position (N,) in the tables for heights z in mm; beyond the ends, the last value counts."""
        last = len(self._curves["x"]) - 1
        return np.clip((z - self._low) * (1 / self.STEP) + 0.5, 0, last).astype(np.int32)

    def at(self, name: str, index: np.ndarray) -> np.ndarray:
        """Values (N,) of a curve at positions from `index`."""
        return self._curves[name][index]

    def lookup(self, name: str, z) -> np.ndarray:
        """Values of a curve at heights z in mm."""
        return self.at(name, self.index(np.asarray(z, np.float32)))

    def corridor(self, front: float, back: float, side: float, low: float = -1e3, high: float = 1e3) -> np.ndarray:
        """A box (2, 3) that holds the column from `back` mm behind to `front` mm before it and `side` mm beside."""
        x, y0, y1 = self._curves["x"], self._curves["back"], self._curves["front"]
        top = self._low + len(x) * self.STEP
        first = [x.min() - side, y0.min() - back, max(low, self._low)]
        last = [x.max() + side, y1.max() + front, min(high, top)]
        return np.array([first, last], np.float32)


def ligaments(shape: Shape, column: Column, rng: np.random.Generator) -> list[Structure]:
    """Longitudinal ligaments, prevertebral tissue before them, and the long muscles of the neck."""
    thickness = rng.uniform(2.0, 5)
    wave = Field(rng, (14, 14, 25), 4)
    long_x, long_size = rng.uniform(7.5, 9.5) * shape.scale, rng.uniform([4.5, 2.2], [7.5, 4.8]) * shape.scale
    top = float(column.dens_tip[2])
    end = float(shape.centre[8, 2])

    def before(points):
        at = column.index(points[:, 2])
        x = np.abs(points[:, 0] - column.at("x", at))
        cosine = column.at("cosine", at)
        ahead = (points[:, 1] - column.at("front", at)) * cosine
        within = (x < 1.15 * column.at("width", at)) & (points[:, 1] > column.at("back", at) - 1.2)
        inside = within & (ahead < thickness + 0.5 * wave(points))
        return inside, np.where(ahead[inside] < 1.3, Tissue.LIGAMENT, Tissue.PREVERTEBRAL), 0

    def long_muscle(points):
        at = column.index(points[:, 2])
        x = np.abs(points[:, 0] - column.at("x", at)) - long_x
        ahead = (points[:, 1] - column.at("front", at)) * column.at("cosine", at) - 0.7 * long_size[1]
        taper = np.clip((points[:, 2] - end) / 30, 0.2, 1) * (1 + 0.12 * wave(points))
        rho = np.square(x / long_size[0]) + np.square((ahead + 0.09 * x * np.abs(x)) / (long_size[1] * taper))
        inside = rho < 1.25
        return inside, np.where(rho[inside] < 1, Tissue.MUSCLE, Tissue.FAT), 0

    return [
        Structure(column.corridor(9, 2, 18, high=top), before),
        Structure(column.corridor(11, 0, 22, end, top), long_muscle),
    ]


def contents(shape: Shape, column: Column, rng: np.random.Generator) -> list[Structure]:
    """The canal: ligaments before and behind, epidural fat, dura, cerebrospinal fluid with roots, and the cord."""
    scale = shape.scale
    widest, narrowest = rng.uniform(10.8, 12.6) * scale, rng.uniform(8.0, 9.5) * scale
    c6, t2 = float(shape.centre[4, 2]), float(shape.centre[7, 2])
    epidural = [Tissue.EPIDURAL, Tissue.FAT, Tissue.LIGAMENT][rng.integers(3)]
    ripple, fat, roots = Field(rng, (20, 20, 18)), Field(rng, (20, 20, 16)), Field(rng, (3, 3, 30))
    position, cord_width = shape.cord_position, rng.uniform(5.6, 7.2) * scale
    gap = rng.uniform(0.4, 1.2)
    flow = Field(rng, (8, 6, 25))
    flow_limit = rng.uniform(1.4, 3.0)
    flavum = rng.uniform(0.6, 2.2) * scale
    wall = rng.uniform(0.6, 1.8)
    bone_top, bone_bottom = sorted(shape.centre[rng.choice(5, 2, replace=False), 2], reverse=True)
    side_fat = (Tissue.LIGAMENT, Tissue.EPIDURAL, Tissue.FAT)[rng.integers(3)]

    def paint(points):
        z = points[:, 2]
        at = column.index(z)
        x = points[:, 0] - column.at("x", at)
        behind = (column.at("back", at) - points[:, 1]) * column.at("cosine", at)
        size = shape.canal * (1 + 0.04 * ripple(points))
        half_width = widest + (narrowest - widest) * smoothstep(-z, -c6, -t2)
        thick = gap
        if shape.ossified:
            thick = gap + shape.ossified * smoothstep(z, bone_bottom - 8, bone_bottom) * (
                1 - smoothstep(z, bone_top, bone_top + 8)
            )
        start = thick + 0.85 * column.at("bulge", at) * (np.abs(x) < 7)
        room = np.maximum(size - start, 2)
        middle = start + room / 2
        ring = np.square((behind - size / 2) / (size / 2 + flavum)) + np.square(x / (half_width + wall))
        inside = (ring < 1) & (behind > -0.6)
        x, behind, middle, room, size = x[inside], behind[inside], middle[inside], room[inside], size[inside]
        points, half_width = points.T[:, inside].T, half_width[inside]
        sac = np.square((behind - middle) / (room / 2)) + np.square(x / half_width)
        cord_at = np.clip(position * room, np.minimum(shape.cord / 2 + 0.8, room / 2), None) + start[inside]
        radius = np.minimum(shape.cord / 2, 0.47 * room)
        cord = np.square((behind - cord_at) / radius) + np.square(x / np.minimum(cord_width, 0.85 * half_width))
        back_fat = (behind > size - 1) & (fat(points) > -0.3)
        tissue = np.where(back_fat, epidural, Tissue.LIGAMENT)
        tissue[(np.abs(x) > 0.8 * half_width) & (sac >= 1) & (behind > 1)] = side_fat
        tissue[sac < 1] = Tissue.CSF
        tissue[(sac < 1) & (np.abs(x) > 3) & (roots(points) > 1.3)] = Tissue.NERVE
        tissue[(sac < 1) & (flow(points) > flow_limit)] = Tissue.CORD
        tissue[cord < 1] = Tissue.CORD
        return inside, tissue, 0

    return [Structure(column.corridor(2, shape.canal + 6, widest + 4, high=column.foramen_magnum + 8), paint)]
