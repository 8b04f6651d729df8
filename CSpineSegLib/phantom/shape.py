"""Draws the shape of one person: sizes, curvature, degeneration and position of every vertebra and disc.

Lengths are millimetres, angles radians. The world is RAS (x to the right, y to the front, z to the head), with the
centre of C5 within a few millimetres of the origin. Mean sizes follow published morphometry of cervical and upper
thoracic vertebrae (Panjabi 1991; Busscher 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError

VERTEBRAE = ("C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3", "T4", "T5", "T6", "T7")
COUNT = len(VERTEBRAE)
_C5, _C7, _T1 = 3, 5, 6

_HEIGHT = np.array([16.5, 13.4, 13.0, 12.7, 13.0, 14.4, 15.8, 17.0, 17.6, 18.0, 18.5, 19.0, 19.5])
_DEPTH = np.array([14.8, 15.4, 15.6, 15.9, 16.6, 16.8, 17.2, 18.2, 19.6, 21.0, 22.4, 23.8, 25.0])
_HALF_WIDTH = np.array([9.4, 9.5, 9.9, 10.3, 11.0, 12.0, 13.0, 12.8, 12.6, 12.6, 12.8, 13.2, 13.6])
_DISC_HEIGHT = np.array([5.2, 5.4, 5.5, 5.3, 5.4, 5.4, 4.8, 4.4, 4.3, 4.4, 4.6, 4.8])
_DISC_WEAR = np.array([0.5, 0.7, 0.9, 1.2, 1.2, 1.0, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4])
_SPINOUS = np.array([19, 15, 16, 18, 22, 31, 33, 32, 32, 33, 34, 34, 34], float)


@dataclass(frozen=True, eq=False)
class Shape:
    """One person's spine. Arrays over vertebrae have length 13 (C2 to T7), over discs length 12."""

    scale: float
    height: np.ndarray
    depth: np.ndarray
    half_width: np.ndarray
    disc_height: np.ndarray
    wear: np.ndarray
    fused: np.ndarray
    tilt: np.ndarray
    centre: np.ndarray
    frame: np.ndarray
    waist: np.ndarray
    concavity: np.ndarray
    wedge: np.ndarray
    osteophyte: np.ndarray
    lip: np.ndarray
    uncus: np.ndarray
    bulge: np.ndarray
    canal: float
    cord: float
    cord_position: float
    endplate: float
    cortex: float
    spinous_length: np.ndarray
    spinous_angle: np.ndarray
    spinous_height: np.ndarray
    dens_lean: float
    dens_length: float

    def local(self, index: int, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) RAS mm in the frame of vertebra `index`: right, anterior, superior of its centre, mm."""
        return (points - self.centre[index]) @ self.frame[index].T

    def world(self, index: int, local) -> np.ndarray:
        """The inverse of `local`: points (N, 3) or (3,) in a vertebra's frame to RAS mm."""
        return np.asarray(local, np.float32) @ self.frame[index] + self.centre[index]


def _fused_discs(fused: Sequence[tuple[str, str]]) -> np.ndarray:
    flags = np.zeros(COUNT - 1, bool)
    for upper, lower in fused:
        if upper not in VERTEBRAE[:-1] or lower != VERTEBRAE[VERTEBRAE.index(upper) + 1]:
            raise InputError(f"Fused levels must be neighbours between C2 and T7, upper first, not ({upper}, {lower}).")
        flags[VERTEBRAE.index(upper)] = True
    return flags


def _tilts(rng: np.random.Generator) -> np.ndarray:
    """Angle of each vertebra's axis from the vertical: cranially it follows the lordosis, caudally the kyphosis."""
    slope = np.deg2rad(np.clip(rng.normal(23, 8), 5, 42))
    lordosis = np.deg2rad(np.clip(rng.normal(18, 15), -18, 50))
    kyphosis = np.deg2rad(np.clip(rng.normal(3.2, 1.3), 0.3, 6))
    tilt = np.r_[np.linspace(slope - lordosis, slope, _T1 + 1), slope - kyphosis * np.arange(1, COUNT - _T1)]
    tilt[: _T1 + 1] += np.deg2rad(rng.normal(0, 5)) * np.sin(np.linspace(0, np.pi, _T1 + 1))
    return tilt + np.deg2rad(rng.normal(0, 1.3, COUNT)) + np.deg2rad(rng.normal(0, 4))


def _chain(rng, tilt, height, disc_height, scale):
    """Vertebral centres (13, 3) by walking down the column, with a gentle scoliosis; C5 near the origin."""
    middle = (tilt[:-1] + tilt[1:]) / 2
    step = height[:-1] / 2 + disc_height + height[1:] / 2
    listhesis = rng.uniform(-0.8, 0.8, COUNT - 1)
    y = np.r_[0, np.cumsum(-step * np.sin(middle) + listhesis)]
    z = np.r_[0, np.cumsum(-step * np.cos(middle))]
    strong = rng.random() < 0.25
    lean = rng.normal(0, 0.11 if strong else 0.035)
    wave = rng.normal(0, 4.0 if strong else 1.0)
    x = lean * (z - z[_C5]) + wave * np.sin(z / rng.uniform(25, 45) + rng.uniform(0, 6.28))
    centre = np.stack([x - x[_C5], y - y[_C5], z - z[_C5]], axis=1)
    return centre + rng.normal(0, [1.0, 3.0, 3.0]) * scale


def _frames(tilt: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Rotation (13, 3, 3) per vertebra; rows are its right, anterior and superior directions in RAS."""
    lateral = np.arctan2(np.gradient(centre[:, 0]), np.gradient(centre[:, 2]) * -1)
    frames = []
    for sagittal, coronal in zip(tilt, lateral, strict=True):
        superior = np.array([-np.tan(coronal), np.sin(sagittal), np.cos(sagittal)])
        superior /= np.linalg.norm(superior)
        right = np.cross([0, np.cos(sagittal), -np.sin(sagittal)], superior)
        right /= np.linalg.norm(right)
        frames.append([right, np.cross(superior, right), superior])
    return np.array(frames, np.float32)


def draw(seed: int, fused: Sequence[tuple[str, str]] = ()) -> Shape:
    """The shape that belongs to a seed.

    `fused` names neighbouring vertebrae without a disc between them, e.g. `(("C5", "C6"),)`.
    Raises InputError for a pair that is not adjacent or not between C2 and T7.
    """
    flags = _fused_discs(fused)
    rng = np.random.default_rng([seed, 1])
    scale = rng.uniform(0.86, 1.14)
    height = _HEIGHT * scale * rng.normal(1, 0.05) * rng.normal(1, 0.035, COUNT)
    depth = _DEPTH * scale * rng.normal(1, 0.06) * rng.normal(1, 0.025, COUNT)
    age = rng.uniform(0, 1) ** 1.4
    wear = np.clip(age * _DISC_WEAR * rng.uniform(0.2, 1.3, COUNT - 1), 0, 1)
    disc_height = _DISC_HEIGHT * scale * rng.normal(1, 0.08, COUNT - 1) * (1 - 0.5 * wear)
    disc_height = np.where(flags, 0.45 * disc_height, np.maximum(disc_height, 2.6))
    tilt = _tilts(rng)
    centre = _chain(rng, tilt, height, disc_height, scale)
    canal = rng.uniform(11.5, 16) * scale
    spur = np.where(rng.random((COUNT, 4)) < 0.1 + 0.6 * age, rng.uniform(0.4, 3.5, (COUNT, 4)), 0.0)
    spur[0, :2] = 0
    protrusion = rng.uniform(0.5, 3.5, (COUNT - 1, 2)) * (rng.random((COUNT - 1, 2)) < 0.6 * wear[:, None])
    uncus = np.zeros(COUNT)
    uncus[1 : _C7 + 1] = rng.uniform(0.35, 0.7, _C7) * disc_height[:_C7]
    return Shape(
        scale=scale,
        height=height,
        depth=depth,
        half_width=_HALF_WIDTH * scale * rng.normal(1, 0.05) * rng.normal(1, 0.025, COUNT),
        disc_height=disc_height,
        wear=wear,
        fused=flags,
        tilt=tilt,
        centre=centre.astype(np.float32),
        frame=_frames(tilt, centre),
        waist=rng.uniform(0.02, 0.11, COUNT),
        concavity=rng.uniform(0.2, 1.3, (COUNT, 2)) * scale,
        wedge=rng.normal(0.02, 0.03, COUNT),
        osteophyte=spur,
        lip=rng.uniform(0, 1.8, COUNT) * np.r_[1.4, np.ones(COUNT - 1)],
        uncus=uncus,
        bulge=rng.uniform(-0.6, 0.8, (COUNT - 1, 2)) + protrusion,
        canal=canal,
        cord=min(rng.uniform(6.2, 8.4) * scale, canal - 3),
        cord_position=rng.uniform(0.38, 0.58),
        endplate=rng.uniform(0.5, 1.0),
        cortex=rng.uniform(0.5, 1.1),
        spinous_length=_SPINOUS * scale * rng.normal(1, 0.1, COUNT),
        spinous_angle=np.deg2rad(np.linspace(18, 42, COUNT) + rng.normal(0, 7, COUNT)),
        spinous_height=rng.uniform(6.5, 9.0, COUNT) * np.r_[np.full(5, 1.0), np.full(8, 1.3)] * scale,
        dens_lean=rng.uniform(-0.12, 0.16),
        dens_length=rng.uniform(14, 17.5) * scale,
    )
