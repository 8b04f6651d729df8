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
from . import posture
from .ranges import Ranges

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
    """One person's spine. Arrays over vertebrae have length 13 (C2 to T7), over discs length 12.

    Fused discs are flagged, the surgical ones among them too. `pit` (13, 2, 4) holds a dent of the upper and the lower
    endplate: depth, x, a and radius, mm. `ripple`
    (13, 2, 3) roughens them: amplitude in mm, two phases. `modic` is the height of altered marrow beside each disc, mm,
    negative where it is fatty, and `marrow`
    the radius of a round haemangioma in each body, 0 for none. `ossified` is the thickness, mm, by which the posterior
    ligament narrows the canal.
    """

    scale: float
    height: np.ndarray
    depth: np.ndarray
    half_width: np.ndarray
    disc_height: np.ndarray
    wear: np.ndarray
    fused: np.ndarray
    surgical: np.ndarray
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
    pit: np.ndarray
    ripple: np.ndarray
    modic: np.ndarray
    marrow: np.ndarray
    facet_wear: float
    laminectomy: np.ndarray
    ossified: float
    turn: posture.Turn
    ranges: Ranges

    def local(self, index: int, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) RAS mm in the frame of vertebra `index`: right, anterior, superior of its centre, mm."""
        return (self.frame[index] @ points.T - (self.frame[index] @ self.centre[index])[:, None]).T

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


def _fusion(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Fused discs by chance: 5 % of people have a congenital block of two or three, 7 % a surgical one."""
    fused, surgical = np.zeros(COUNT - 1, bool), np.zeros(COUNT - 1, bool)
    kind, long = rng.random(), rng.random() < 0.35
    if kind < 0.05:
        start = rng.choice(7, p=(0.32, 0.14, 0.1, 0.16, 0.16, 0.07, 0.05))
    elif kind < 0.12:
        start = rng.choice(7, p=(0.02, 0.13, 0.22, 0.33, 0.25, 0.05, 0))
    else:
        return fused, surgical
    fused[start : start + 1 + long] = True
    if kind >= 0.05:
        surgical |= fused
    return fused, surgical


def _pits(rng: np.random.Generator, age: float, scale: float) -> np.ndarray:
    """Schmorl-like dents (13, 2, 4) of the endplates: depth, x, a, radius in mm; most have none."""
    depth = rng.uniform(0.8, 2.8, (COUNT, 2)) * (rng.random((COUNT, 2)) < 0.03 + 0.06 * age)
    place = rng.uniform(-4, 4, (COUNT, 2)), rng.uniform(-4, 3, (COUNT, 2))
    return np.stack([depth, *place, rng.uniform(1.8, 3.5, (COUNT, 2))], axis=-1) * scale


def draw(seed: int, fused: Sequence[tuple[str, str]] = (), beyond: bool = False) -> Shape:
    """The shape that belongs to a seed.

    `fused` names neighbouring vertebrae without a disc between them, e.g. `(("C5", "C6"),)`; without it, chance fuses
    some (see `_fusion`). `beyond` draws key parameters outside the ranges of training (see `Ranges`).
    Raises InputError for a pair that is not adjacent or not between C2 and T7.
    """
    flags, surgical = _fused_discs(fused), np.zeros(COUNT - 1, bool)
    rng = np.random.default_rng([seed, 7 if beyond else 1])
    ranges = Ranges.drawn(rng, beyond)
    by_chance = _fusion(rng)
    if not len(fused):
        flags, surgical = by_chance
    scale = ranges.scale(rng)
    # Children: wide low bodies wedged in front, tall discs; the younger the more.
    young = float(np.clip((0.84 - scale) / 0.26, 0, 1))
    aspect = ranges.aspect(rng) * (1 - 0.16 * young)
    height = _HEIGHT * scale * np.sqrt(aspect) * rng.normal(1, 0.03) * rng.normal(1, 0.035, COUNT)
    depth = _DEPTH * scale / np.sqrt(aspect) * rng.normal(1, 0.03) * rng.normal(1, 0.025, COUNT)
    age = 0.0 if young > 0 else rng.uniform(0, 1) ** 1.4
    wear = np.clip(age * _DISC_WEAR * rng.uniform(0.2, 1.3, COUNT - 1), 0, 1)
    disc_height = _DISC_HEIGHT * scale * ranges.disc(rng) * rng.normal(1, 0.08, COUNT - 1) * (1 - 0.5 * wear)
    disc_height *= 1 + 0.15 * young
    collapsed = rng.random(COUNT - 1) < 0.25 * np.maximum(wear - 0.3, 0)
    disc_height = np.where(collapsed, disc_height * rng.uniform(0.4, 0.7, COUNT - 1), disc_height)
    least = np.where(collapsed, 1.7, 2.4)
    disc_height = np.maximum(disc_height, least)
    disc_height = np.where(flags, np.where(surgical, rng.uniform(0.6, 1.1), rng.uniform(0.25, 0.5)), 1) * disc_height
    wedge = rng.normal(0.02, 0.03, COUNT) + 0.1 * young * np.r_[0.3, np.ones(COUNT - 1)]
    compressed = rng.random(COUNT) < 0.012 + 0.02 * age
    wedge += np.where(compressed, rng.uniform(0.05, 0.16, COUNT), 0)
    height *= np.where(compressed, rng.uniform(0.72, 0.92, COUNT), 1)
    tilt = posture.tilts(rng, ranges, COUNT, _T1)
    centre = posture.chain(rng, ranges, tilt, height, disc_height, scale, _C5)
    canal = ranges.canal(rng) * scale ** (1 - 0.4 * young)
    spur = np.where(rng.random((COUNT, 4)) < 0.1 + 0.6 * age, rng.uniform(0.4, 3.5, (COUNT, 4)), 0.0)
    spur[0, :2] = 0
    for index in np.flatnonzero(rng.random(COUNT - 1) < 0.14 * age):
        spur[index, 2], spur[index + 1, 0] = rng.uniform(2.5, 5.0, 2)
    protrusion = rng.uniform(0.5, 3.5, (COUNT - 1, 2)) * (rng.random((COUNT - 1, 2)) < 0.6 * wear[:, None])
    herniated = rng.random(COUNT - 1) < 0.05 * (young == 0)
    protrusion[:, 1] += herniated * rng.uniform(1.5, 4.0, COUNT - 1)
    lip = rng.uniform(0, 1.8, COUNT) * np.r_[1.4, np.ones(COUNT - 1)] * scale
    uncus = np.zeros(COUNT)
    uncus[1 : _C7 + 1] = rng.uniform(0.35, 0.85, _C7) * disc_height[:_C7]
    laminectomy = np.zeros(COUNT, bool)
    if rng.random() < 0.03:
        start = rng.integers(1, 4)
        laminectomy[start : start + rng.integers(2, 4)] = True
    modic = rng.uniform(1.5, 6, COUNT - 1) * (rng.random(COUNT - 1) < 0.03 + 0.3 * wear)
    return Shape(
        scale=scale,
        height=height,
        depth=depth,
        half_width=_HALF_WIDTH * scale * rng.normal(1, 0.05) * rng.normal(1, 0.025, COUNT),
        disc_height=disc_height,
        wear=wear,
        fused=flags,
        surgical=surgical,
        tilt=tilt,
        centre=centre.astype(np.float32),
        frame=posture.frames(tilt, centre),
        waist=rng.uniform(0.02, 0.12, COUNT),
        concavity=rng.uniform(0.2, 1.3, (COUNT, 2)) * scale,
        wedge=wedge,
        osteophyte=spur * scale,
        lip=np.minimum(lip, np.r_[np.maximum(0.5 * disc_height - 0.9, 0), 2]),
        uncus=uncus,
        bulge=(rng.uniform(-0.6, 0.8, (COUNT - 1, 2)) + protrusion) * scale,
        canal=canal,
        cord=min(rng.uniform(6.2, 8.4) * scale ** (1 - 0.4 * young), max(canal - 3, 0.7 * canal)),
        cord_position=rng.uniform(0.36, 0.6),
        endplate=rng.uniform(0.45, 1.0) * max(scale, 0.75),
        cortex=rng.uniform(0.45, 1.1) * max(scale, 0.75),
        spinous_length=_SPINOUS * scale * rng.normal(1, 0.1, COUNT),
        spinous_angle=np.deg2rad(np.linspace(14, 46, COUNT) + rng.normal(0, 5) + rng.normal(0, 5, COUNT)),
        spinous_height=rng.uniform(6.0, 9.0, COUNT) * np.r_[1.5, np.full(4, 1.0), np.full(8, 1.25)] * scale,
        dens_lean=rng.uniform(-0.12, 0.16),
        dens_length=rng.uniform(14, 17.5) * scale,
        pit=_pits(rng, age, scale),
        ripple=rng.uniform([0.05, 0, 0], [0.2 + 0.25 * age, 6.28, 6.28], (COUNT, 2, 3)),
        modic=modic * scale * rng.choice([-1, 1], COUNT - 1),
        marrow=rng.uniform(2, 5.5, COUNT) * scale * (rng.random(COUNT) < 0.035),
        facet_wear=age,
        laminectomy=laminectomy,
        ossified=rng.uniform(1.5, 4.0) * scale if rng.random() < 0.03 + 0.05 * age else 0.0,
        turn=posture.turn(rng, ranges),
        ranges=ranges,
    )
