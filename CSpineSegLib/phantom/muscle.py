"""Muscles as a continuum: bellies parted by fat planes, with streaks and patches of fat that grow with age."""

from __future__ import annotations

import numpy as np

from .field import Field
from .tissue import Tissue


class Muscles:
    """Texture of everything deep to the subcutaneous fat, before organs and bones are painted over it.

    Behind the spine lie five or six long layers; their planes wobble, converge and vanish in places. In front and
    beside, bellies are larger and more irregular. One person in four has strongly fatty muscles.
    """

    def __init__(self, rng: np.random.Generator):
        count = int(rng.integers(4, 7))
        self._edges = np.sort(rng.uniform(0.08, 0.97, count)).astype(np.float32)
        self._slants = rng.normal(0, 0.0022, count).astype(np.float32)
        self._asides = rng.uniform(-0.012, 0.004, count).astype(np.float32)
        self._widths = rng.uniform(0.25, 1.2, count).astype(np.float32)
        self._wobble = Field(rng, (40, 16, 38), 4), Field(rng, (25, 12, 22), 4)
        self._fine = Field(rng, (9, 4.0, 26), 5)
        self._patches = Field(rng, (22, 14, 30), 5)
        self._cells = Field(rng, (30, 22, 48), 4)
        fatty = rng.random() < 0.25
        self._streak = rng.uniform(1.0, 1.6) if fatty else rng.uniform(1.8, 3.0)
        self._patch = rng.uniform(1.0, 1.6) if fatty else rng.uniform(1.6, 2.6)
        self._planes = rng.uniform(0.8, 1.6) if fatty else rng.uniform(0.25, 0.9)
        self._front = rng.uniform(0.04, 0.13)
        self._soft = rng.uniform(0, 0.5)
        self._deep = rng.uniform(0.0, 0.8)
        self._near = (Tissue.FAT, Tissue.FATTY_MUSCLE)[rng.integers(2)]
        self._suture = rng.uniform(0.4, 1.1)

    def classify(self, points: np.ndarray, aside: np.ndarray, behind: np.ndarray, nape: np.ndarray) -> np.ndarray:
        """Tissue (N,) of points (N, 3); `aside` from the middle, `behind` from the skin of the nape and `nape`, mm."""
        tissue = np.full(len(points), Tissue.MUSCLE, np.uint8)
        fine, patches = self._fine(points), self._patches(points)
        u = behind / nape
        posterior = u < 1
        tissue[patches > self._patch] = Tissue.FATTY_MUSCLE
        # Deep muscles are the first to turn to fat.
        limit = self._streak - self._deep * u * posterior
        tissue[fine > limit] = Tissue.FATTY_MUSCLE
        tissue[fine > limit + self._soft] = Tissue.FAT
        rear = np.flatnonzero(posterior)
        plane = self._posterior_planes(points.T[:, rear].T, aside[rear], u[rear], nape[rear], fine[rear])
        tissue[rear[plane]] = Tissue.FAT
        fore = np.flatnonzero(~posterior)
        cells, texture = self._cells(points.T[:, fore].T), patches[fore]
        plane = np.abs(cells + 0.3 * texture)
        plane = np.minimum(plane, np.abs(plane - 1.1)) < self._front * (1 + 0.6 * fine[fore])
        tissue[fore[plane]] = self._near
        middle = posterior & (aside < 9 - 6 * u) & (aside < 4) & (fine > 0.3)
        tissue[middle] = self._near
        tissue[posterior & (aside < self._suture) & (fine < 0.6)] = Tissue.LIGAMENT
        return tissue

    def _posterior_planes(self, points, aside, u, nape, fine) -> np.ndarray:
        """Whether points behind the spine lie in a plane of fat between two layers."""
        broad, narrow = (field(points) for field in self._wobble)
        place = u + 0.05 * broad + 0.018 * narrow
        room = self._planes * (1 + 0.7 * fine)
        found = np.zeros(len(points), bool)
        for edge, slant, lean, width in zip(self._edges, self._slants, self._asides, self._widths, strict=True):
            found |= np.abs(place - edge - slant * points[:, 2] - lean * aside) * nape < room * width
        return found
