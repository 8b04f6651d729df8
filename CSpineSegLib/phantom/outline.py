"""The outer shape of neck, shoulders and head, with skin, fat and muscle beneath it."""

from __future__ import annotations

import numpy as np

from .canal import Column
from .field import Field, smoothstep
from .muscle import Muscles
from .shape import Shape
from .tissue import Tissue


class Outline:
    """Classifies every point as air, skin, subcutaneous fat or layered muscle; all else is painted over it."""

    _STEP = 0.25

    def __init__(self, shape: Shape, column: Column, rng: np.random.Generator):
        scale = shape.scale
        z = np.arange(-260, 220, self._STEP)
        self._z0 = float(z[0])
        centre = (column.lookup("front", z) + column.lookup("back", z)) / 2
        c2, c4, t1 = (shape.centre[i, 2] for i in (0, 2, 6))
        nape = rng.uniform(50, 68) * scale + rng.uniform(12, 34) * smoothstep(-z, -t1 - 15, -t1 + 90)
        nape += rng.uniform(14, 26) * smoothstep(z, c2 + 8, c2 + 50)
        nape += 2 * np.sin(z / rng.uniform(14, 24) + 6 * rng.random())
        throat = rng.uniform(34, 50) * scale + rng.uniform(25, 60) * smoothstep(-z, -t1 - 15, -t1 + 75)
        chin = c4 + rng.uniform(-6, 16)
        face = smoothstep(z, chin - rng.uniform(4, 14), chin + rng.uniform(6, 16))
        throat = throat * (1 - face) + rng.uniform(78, 100) * scale * face
        self.chin, self._side = chin, rng.uniform(56, 68) * scale
        wide = smoothstep(-z, -c4, -t1 + 25) * 110 + smoothstep(z, c2, c2 + 40) * 14
        fat = rng.uniform(4, 20) * (0.6 + 0.4 * np.sin(z / 37 + 6 * rng.random()))
        fat *= 1 - 0.5 * smoothstep(z, c2, c2 + 30)
        self._tables = {
            "middle": column.lookup("x", z),
            "centre": centre,
            "posterior": centre - nape,
            "anterior": centre + throat,
            "side": self._side + wide,
            "fat_behind": fat,
            "fat_before": rng.uniform(2, 9) * (1 + 1.2 * face),
            "nape": nape,
        }
        self._tables = {k: v.astype(np.float32) for k, v in self._tables.items()}
        self._skin = rng.uniform(1.2, 2.4)
        self._septa = Field(rng, (14, 4, 8), 4)
        self._muscles = Muscles(rng)

    def at(self, name: str, z: np.ndarray) -> np.ndarray:
        """A curve over height z, mm.

        `name`: middle (x), centre, posterior, anterior (y), side (half width), fat_behind, fat_before, nape.
        """
        table = self._tables[name]
        return table[np.clip((z - self._z0) * (1 / self._STEP) + 0.5, 0, len(table) - 1).astype(np.int32)]

    def classify(self, points: np.ndarray) -> np.ndarray:
        """Tissue (N,) uint8 of points (N, 3)."""
        x, y, z = points.T
        drop = np.square(x / self.at("side", z)) * self.at("nape", z)
        behind = y - self.at("posterior", z) - drop
        before = self.at("anterior", z) - y - 0.5 * drop
        depth = np.minimum(behind, before)
        tissue = np.full(len(points), Tissue.AIR, np.uint8)
        tissue[depth > 0] = Tissue.SKIN
        fat = depth > self._skin
        tissue[fat] = Tissue.SUBCUTANEOUS_FAT
        deep = (behind > self._skin + self.at("fat_behind", z)) & (before > self._skin + self.at("fat_before", z))
        shallow = np.flatnonzero(fat & ~deep)
        tissue[shallow[self._septa(points[shallow]) > 1.75]] = Tissue.FATTY_MUSCLE
        deep = np.flatnonzero(deep)
        own, nape = points.T[:, deep].T, self.at("nape", z[deep])
        aside = np.abs(x[deep] - self.at("middle", z[deep]))
        tissue[deep] = self._muscles.classify(own, aside, behind[deep], nape)
        return tissue
