"""Random contrasts: what each tissue looks like in an imaginary scan.

After SynthSeg (Billot 2023): a network that has seen every contrast learns shape. Most draws stay near T2 turbo spin
echo, because that is what will be shown; some are fat-suppressed, T1-like or arbitrary.
"""

from __future__ import annotations

import numpy as np

from ..phantom.tissue import COUNT, T2_SIGNAL, Tissue

_FAT = [Tissue.SUBCUTANEOUS_FAT, Tissue.FAT, Tissue.EPIDURAL]
_MARROW = [Tissue.MARROW, Tissue.DENS, Tissue.BONE]
_DARK = [Tissue.AIR, Tissue.AIRWAY, Tissue.LUNG]
_COARSE = [Tissue.MUSCLE, Tissue.FATTY_MUSCLE, Tissue.FAT, Tissue.TONGUE, Tissue.EPIDURAL, Tissue.BONE]


def _t2(rng: np.random.Generator) -> np.ndarray:
    signal = T2_SIGNAL * rng.lognormal(0, 0.25, COUNT)
    marrow = rng.uniform(110, 470)
    signal[_MARROW] = marrow * rng.lognormal(0, [0.03, 0.1, 0.2])
    signal[Tissue.LESION] = marrow * rng.lognormal(0.1, 0.45)
    annulus = rng.uniform(30, 150)
    signal[Tissue.ANNULUS] = annulus
    signal[Tissue.NUCLEUS] = annulus + rng.uniform(0, 420) * rng.uniform(0, 1)
    signal[[Tissue.BODY_CORTEX, Tissue.DENS_CORTEX]] = rng.uniform(15, 90)
    signal[Tissue.ENDPLATE] = rng.uniform(15, 90)
    return signal


def _suppressed(rng: np.random.Generator) -> np.ndarray:
    signal = _t2(rng)
    signal[_FAT] *= rng.uniform(0.1, 0.4)
    signal[_MARROW] *= rng.uniform(0.3, 0.7)
    return signal


def _t1(rng: np.random.Generator) -> np.ndarray:
    signal = _t2(rng)
    signal[Tissue.CSF] = rng.uniform(60, 200)
    signal[Tissue.CORD] = rng.uniform(200, 380)
    signal[_MARROW] = rng.uniform(280, 600) * rng.lognormal(0, 0.08, 3)
    signal[[Tissue.NUCLEUS, Tissue.ANNULUS]] = rng.uniform(120, 260) * rng.lognormal(0, 0.1, 2)
    return signal


def _arbitrary(rng: np.random.Generator) -> np.ndarray:
    signal = rng.uniform(5, 950, COUNT)
    signal[_DARK] = rng.uniform(0, 60)
    marrow = rng.uniform(60, 900)
    signal[_MARROW] = marrow * rng.lognormal(0, [0.03, 0.06, 0.2])
    gap = rng.uniform(70, 450) * rng.choice([-1, 1])
    disc = marrow + gap if 10 < marrow + gap < 950 else marrow - gap
    disc = float(np.clip(disc, 10, 950))
    signal[[Tissue.NUCLEUS, Tissue.ANNULUS]] = disc * rng.lognormal(0, 0.12, 2)
    signal[Tissue.ENDPLATE] = min(disc, marrow) * rng.uniform(0.2, 0.9)
    signal[Tissue.LESION] = marrow * rng.lognormal(0, 0.35)
    return signal


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean signal and texture amplitude of every tissue, both (COUNT,) float32, arbitrary units."""
    kind = rng.choice(4, p=[0.62, 0.14, 0.06, 0.18])
    signal = (_t2, _suppressed, _t1, _arbitrary)[kind](rng)
    texture = signal * rng.uniform(0.04, 0.15)
    texture[_COARSE] *= 2
    texture[Tissue.CSF] *= 0.7
    return signal.astype(np.float32), texture.astype(np.float32)
