"""How a person holds the neck: curvature, scoliosis, listhesis, and how they lie turned in the scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ranges import Ranges


@dataclass(frozen=True, eq=False)
class Turn:
    """Rotation about the long axis of the body: `body` radians below `low` mm, `head` above `high` mm."""

    body: float
    head: float
    low: float = -35.0
    high: float = 60.0

    def angle(self, z: np.ndarray) -> np.ndarray:
        """Rotation (N,) in radians at heights z (N,) mm."""
        t = np.clip((z - self.low) / (self.high - self.low), 0, 1).astype(np.float32)
        return self.body + (self.head - self.body) * t * t * (3 - 2 * t)

    def apply(self, points: np.ndarray, back: bool = False) -> np.ndarray:
        """Points (N, 3) turned from the person's own axes into the scanner's, or `back`; stored by columns."""
        angle = self.angle(points[:, 2]) * (-1 if back else 1)
        sine, cosine = np.sin(angle), np.cos(angle)
        result = np.empty((3, len(points)), np.float32)
        result[0] = points[:, 0] * cosine - points[:, 1] * sine
        result[1] = points[:, 0] * sine + points[:, 1] * cosine
        result[2] = points[:, 2]
        return result.T


def turn(rng: np.random.Generator, ranges: Ranges) -> Turn:
    """How the patient lies: most nearly straight, one in six clearly turned, heads more than shoulders."""
    wide = rng.random() < 0.16
    body = np.deg2rad(rng.normal(0, 7 if wide else 2.5))
    head = body + np.deg2rad(np.clip(rng.normal(0, 9 if wide else 3), -20, 20))
    return Turn(body, head) if not ranges.beyond else Turn(body * 1.5, head + np.deg2rad(rng.choice([-1, 1]) * 8))


def tilts(rng: np.random.Generator, ranges: Ranges, count: int, t1: int) -> np.ndarray:
    """Angle (count,) of each vertebra's axis from the vertical: cranially lordosis, caudally kyphosis, radians."""
    # People look straight ahead: a lordotic neck stands on a steep first rib, a kyphotic one on a flat one.
    lordosis = ranges.lordosis(rng)
    slope = np.deg2rad(np.clip(12.5 + 0.55 * lordosis + rng.normal(0, 6.5), -12, 48))
    lordosis = np.deg2rad(lordosis)
    kyphosis = np.deg2rad(np.clip(rng.normal(3.0, 1.4), 0, 6.5))
    tilt = np.r_[np.linspace(slope - lordosis, slope, t1 + 1), slope - kyphosis * np.arange(1, count - t1)]
    # Part of the curve lies in one arc, part in an S or a kink at one segment.
    part = np.sin(np.linspace(0, np.pi * rng.choice([1, 1, 2]), t1 + 1))
    tilt[: t1 + 1] += np.deg2rad(rng.normal(0, 6)) * part
    if rng.random() < 0.12:
        tilt[: rng.integers(2, t1 + 1)] -= np.deg2rad(rng.uniform(-9, 9))
    return tilt + np.deg2rad(rng.normal(0, 1.4, count)) + np.deg2rad(rng.normal(0, 4.5))


def listhesis(rng: np.random.Generator, count: int) -> np.ndarray:
    """How far (count,) each vertebra stands before the next, mm: mostly under one, now and then up to four."""
    slip = rng.normal(0, 0.4, count)
    return np.where(rng.random(count) < 0.04, rng.uniform(1.5, 4.0, count) * rng.choice([-1, 1], count), slip)


def chain(rng, ranges: Ranges, tilt, height, disc_height, scale, origin: int) -> np.ndarray:
    """Vertebral centres (count, 3) by walking down the column, with a scoliosis; vertebra `origin` near (0, 0, 0)."""
    middle = (tilt[:-1] + tilt[1:]) / 2
    step = height[:-1] / 2 + disc_height + height[1:] / 2
    y = np.r_[0, np.cumsum(-step * np.sin(middle) + listhesis(rng, len(step)) * scale)]
    z = np.r_[0, np.cumsum(-step * np.cos(middle))]
    lean, wave = ranges.scoliosis(rng)
    bend = wave * np.sin(z / (rng.uniform(22, 45) * max(scale, 0.7)) + rng.uniform(0, 6.28))
    x = lean * (z - z[origin]) + bend
    centre = np.stack([x, y, z], axis=1)
    return centre - centre[origin] + rng.normal(0, [1.0, 3.0, 3.0]) * scale


def frames(tilt: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Rotation (count, 3, 3) per vertebra; rows are its right, anterior and superior directions in RAS."""
    lateral = np.arctan2(np.gradient(centre[:, 0]), np.gradient(centre[:, 2]) * -1)
    result = []
    for sagittal, coronal in zip(tilt, lateral, strict=True):
        superior = np.array([-np.tan(coronal), np.sin(sagittal), np.cos(sagittal)])
        superior /= np.linalg.norm(superior)
        right = np.cross([0, np.cos(sagittal), -np.sin(sagittal)], superior)
        right /= np.linalg.norm(right)
        result.append([right, np.cross(superior, right), superior])
    return np.array(result, np.float32)
