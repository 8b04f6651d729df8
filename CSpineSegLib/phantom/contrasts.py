"""Signal from physics: proton density and relaxation times of every tissue, put through the spin-echo equation.

Relaxation times are those measured in people at 1.5 and 3 T: cervical cord (Smith 2008), vertebral marrow, muscle and
fat (de Bazelaire 2004), muscle, cartilage, fat and joint fluid (Gold 2004, Jordan 2013), blood, nerve and muscle
(Stanisz 2005), cervical discs by degree of wear (Chen 2014). Trains of echoes lengthen what looks like T2, in fat most
(Pai 2008), so values from the upper half of what is published are used. Densities are relative to water and hold what
the equation leaves out, for instance the volume that trabeculae take up in marrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .tissue import COUNT, Tissue


class Sequence(NamedTuple):
    """Ranges from which a protocol is drawn, ms. `inversion`: a pulse that nulls fat. `flow`: how much flow darkens.

    The echo time of a three-dimensional scan with varying flip angles is the one that gives the same contrast.
    """

    repetition: tuple[float, float]
    echo: tuple[float, float]
    inversion: bool = False
    flow: float = 1.0


SEQUENCES: dict[str, Sequence] = {
    "t2": Sequence((2800, 4800), (82, 118)),
    "t1": Sequence((450, 750), (8, 15), flow=0.3),
    "stir": Sequence((3500, 5500), (38, 75), inversion=True),
    "pd": Sequence((2200, 3800), (15, 38), flow=0.6),
    "t2_3d": Sequence((1300, 2200), (75, 120), flow=0.35),
}
STYLES = tuple(SEQUENCES)

# Density, T1 at 1.5 T, T1 at 3 T, T2 (ms; the two fields differ by less than people do).
_FAT, _WATER_MARROW = (0.90, 288, 371, 150), (0.64, 950, 1150, 49)
_CORTEX = (0.12, 400, 400, 5)
_RELAXATION = {
    Tissue.AIR: (0, 1000, 1000, 10),
    Tissue.SKIN: (0.60, 700, 900, 40),
    Tissue.SUBCUTANEOUS_FAT: _FAT,
    Tissue.MUSCLE: (0.79, 950, 1250, 42),
    Tissue.FAT: (0.85, 300, 385, 135),
    Tissue.LIGAMENT: (0.50, 700, 800, 16),
    Tissue.CORTEX: _CORTEX,
    Tissue.AIRWAY: (0, 1000, 1000, 10),
    Tissue.TONGUE: (0.80, 850, 1100, 48),
    Tissue.BRAIN: (0.76, 830, 1100, 82),
    Tissue.CEREBELLUM: (0.78, 850, 1120, 84),
    Tissue.MUCOSA: (0.85, 1100, 1400, 110),
    Tissue.FLOW_VOID: (0.02, 1400, 1900, 40),
    Tissue.VESSEL: (0.85, 1440, 1930, 210),
    Tissue.LUNG: (0.04, 1200, 1300, 30),
    Tissue.GLAND: (0.82, 900, 1150, 78),
    Tissue.PREVERTEBRAL: (0.75, 900, 1150, 55),
    Tissue.CSF: (1.00, 4300, 4300, 1500),
    Tissue.CORD: (0.75, 780, 930, 78),
    Tissue.EPIDURAL: (0.75, 400, 480, 105),
    Tissue.FATTY_MUSCLE: (0.80, 600, 750, 60),
    Tissue.CARTILAGE: (0.70, 1040, 1200, 36),
    Tissue.NERVE: (0.75, 815, 1080, 78),
    Tissue.OESOPHAGUS: (0.78, 900, 1150, 48),
    Tissue.BODY_CORTEX: _CORTEX,
    Tissue.DENS_CORTEX: _CORTEX,
    Tissue.ATLAS_CORTEX: _CORTEX,
    Tissue.ENDPLATE: (0.25, 600, 700, 12),
    Tissue.NUCLEUS: (0.80, 1000, 1250, 60),
    Tissue.ANNULUS: (0.60, 850, 1000, 38),
    Tissue.METAL: (0, 1000, 1000, 10),
    Tissue.HAEMANGIOMA: (0.85, 550, 650, 140),
    Tissue.OEDEMA: (0.85, 1150, 1400, 95),
}
# Fat as a share of marrow: more in the arch than in the body, and more with age.
_MARROW = {Tissue.MARROW: 0.0, Tissue.DENS: 0.03, Tissue.BONE: 0.12, Tissue.ATLAS: 0.12, Tissue.GRAFT: 0.05}
_WALLS = (
    (0.5, (Tissue.CORTEX, Tissue.ATLAS_CORTEX), Tissue.BONE),
    (0.35, (Tissue.BODY_CORTEX, Tissue.DENS_CORTEX), Tissue.MARROW),
    (0.25, (Tissue.ENDPLATE,), Tissue.MARROW),
)
_DISC = (Tissue.NUCLEUS, Tissue.ANNULUS)
_T2_OF_NUCLEUS = 66.0, 36.0


class _Scanner(NamedTuple):
    """One protocol: TR, TE, TI (0: none), ms; whether at 3 T; `restored`: a pulse that restores fluid early; T2 of fat.

    Echoes that follow each other fast keep the coupled protons of fat in phase, so its apparent T2 is the protocol's.
    """

    repetition: float
    echo: float
    inversion: float
    high_field: bool
    restored: float
    fat: float

    def signal(self, density, t1_low, t1_high, t2):
        """Magnitude of a spin echo, arrays or numbers."""
        t1 = np.asarray(t1_high if self.high_field else t1_low, float)
        # A restoring pulse shortens the recovery of what has a long T2 as if its T1 were shorter.
        t1 = np.where(np.asarray(t2) > 400, t1 * self.restored, t1)
        recovery = 1 - np.exp(-self.repetition / t1)
        if self.inversion:
            recovery = np.abs(1 - 2 * np.exp(-self.inversion / t1) + np.exp(-self.repetition / t1))
        return np.asarray(density) * recovery * np.exp(-self.echo / np.asarray(t2, float))


def _protocol(style: str, rng: np.random.Generator) -> _Scanner:
    sequence = SEQUENCES[style]
    high = bool(rng.random() < 0.45)
    repetition = rng.uniform(*sequence.repetition)
    fat = _FAT[2] if high else _FAT[1]
    null = -fat * np.log((1 + np.exp(-repetition / fat)) / 2) * rng.uniform(0.93, 1.07)
    restored = {"t2": rng.uniform(0.45, 1.0), "t2_3d": rng.uniform(0.25, 0.45)}.get(style, 1.0)
    inversion = null if sequence.inversion else 0.0
    return _Scanner(repetition, rng.uniform(*sequence.echo), inversion, high, restored, rng.uniform(75, 165))


def _marrow(scanner: _Scanner, share):
    """Signal of marrow by its share of fat: the two parts add up, whatever the contrast."""
    # Trabeculae dephase fat in marrow faster than fat under the skin.
    fat = scanner.signal(0.70, _FAT[1], _FAT[2], 0.72 * scanner.fat)
    return share * fat + (1 - share) * scanner.signal(*_WATER_MARROW)


def signals(style: str, wear: Mapping[int, float], person: np.random.Generator, scan: np.random.Generator):
    """What every tissue sends in one scan of one person.

    Parameters
    ----------
    style : one of `STYLES`.
    wear : level value of a disc -> how worn it is, 0 to 1; a worn nucleus has a short T2.
    person : draws what stays the same in every scan of the person: fat in marrow, kind of Modic change.
    scan : draws the protocol and what varies from scan to scan.

    Returns
    -------
    (COUNT * 256,) float32 by tissue * 256 + level value; the brightest common tissue is near 900.
    """
    scanner = _protocol(style, scan)
    table = np.array([_RELAXATION.get(tissue, (0, 1000, 1000, 10)) for tissue in Tissue])
    table[[Tissue.SUBCUTANEOUS_FAT, Tissue.FAT], 3] = scanner.fat, 0.92 * scanner.fat
    spread = person.lognormal(0, [0.06, 0.08, 0.0, 0.10], (COUNT, 4))
    spread[:, 2] = spread[:, 1]
    spread[Tissue.CSF] = 1
    signal = scanner.signal(*(table * spread).T)
    share = float(np.clip(person.normal(0.38, 0.13), 0.08, 0.72))
    for tissue, more in _MARROW.items():
        signal[tissue] = _marrow(scanner, np.clip(share + more + person.normal(0, 0.03), 0, 0.9))
    signal[Tissue.LESION] = _modic(scanner, share, person)
    # Bone is thinner and more porous in some people than it is drawn; then its wall is grey rather than black.
    for most, walls, within in _WALLS:
        signal[list(walls)] += person.uniform(0, most) * signal[within]
    by_level = np.repeat(signal[:, None], 256, axis=1)
    by_level[list(_MARROW)] *= person.lognormal(0, 0.05, 256)
    _wear_discs(by_level, scanner, wear, person)
    by_level *= scan.lognormal(0, 0.05, (COUNT, 1))
    bright = max(by_level[Tissue.CSF, 0], by_level[Tissue.SUBCUTANEOUS_FAT, 0])
    return (by_level * (900 * scan.lognormal(0, 0.2) / bright)).astype(np.float32).reshape(-1)


def _modic(scanner: _Scanner, share: float, person: np.random.Generator) -> float:
    """Marrow beside a worn disc: oedema (type 1), fat (type 2), sclerosis (type 3)."""
    kind = person.choice(3, p=[0.1, 0.75, 0.15])
    if kind == 0:
        return float(scanner.signal(*_RELAXATION[Tissue.OEDEMA]))
    if kind == 1:
        return float(_marrow(scanner, min(share + 0.4, 0.95)))
    return 0.45 * float(_marrow(scanner, share))


def _wear_discs(by_level: np.ndarray, scanner: _Scanner, wear: Mapping[int, float], person) -> None:
    """Set the signal of nuclei and annuli by level."""
    fresh, worn = _T2_OF_NUCLEUS
    density, low, high, _ = _RELAXATION[Tissue.NUCLEUS]
    for value, amount in wear.items():
        t2 = (fresh + (worn - fresh) * amount) * person.lognormal(0, 0.10)
        by_level[Tissue.NUCLEUS, value] = scanner.signal(density * (1 - 0.25 * amount), low, high, t2)
        by_level[Tissue.ANNULUS, value] *= person.lognormal(0, 0.12)


def texture_of() -> np.ndarray:
    """How much each tissue varies within itself, (COUNT,) float32, as the standard deviation of its log signal."""
    texture = np.full(COUNT, 0.07, np.float32)
    texture[[Tissue.CSF, Tissue.CORD]] = 0.02
    texture[[Tissue.BRAIN, Tissue.CEREBELLUM, Tissue.NERVE]] = 0.05
    texture[[Tissue.MUSCLE, Tissue.FATTY_MUSCLE, Tissue.TONGUE, Tissue.FAT, Tissue.EPIDURAL, Tissue.OESOPHAGUS]] = 0.20
    texture[[Tissue.MARROW, Tissue.DENS, Tissue.ATLAS, Tissue.GRAFT]] = 0.12
    texture[[Tissue.BONE, Tissue.PREVERTEBRAL, Tissue.GLAND, Tissue.HAEMANGIOMA, Tissue.ANNULUS]] = 0.14
    return texture


def is_soft() -> np.ndarray:
    """Tissues (COUNT,) bool that mingle with their neighbours instead of ending at a wall."""
    soft = np.zeros(COUNT, bool)
    soft[[Tissue.MUSCLE, Tissue.FATTY_MUSCLE, Tissue.FAT, Tissue.SUBCUTANEOUS_FAT, Tissue.SKIN, Tissue.LIGAMENT]] = True
    soft[[Tissue.TONGUE, Tissue.GLAND, Tissue.MUCOSA, Tissue.PREVERTEBRAL, Tissue.OESOPHAGUS, Tissue.CARTILAGE]] = True
    soft[list(_DISC)] = True
    return soft


def fat_share() -> np.ndarray:
    """Share of each tissue's signal that comes from fat, (COUNT,) float32: what chemical shift displaces."""
    share = np.zeros(COUNT, np.float32)
    share[[Tissue.SUBCUTANEOUS_FAT, Tissue.FAT]] = 0.95
    share[[Tissue.MARROW, Tissue.DENS, Tissue.GRAFT, Tissue.FATTY_MUSCLE]] = 0.45
    share[[Tissue.BONE, Tissue.ATLAS, Tissue.EPIDURAL, Tissue.HAEMANGIOMA]] = 0.6
    return share
