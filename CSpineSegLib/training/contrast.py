"""Random contrasts: what each tissue looks like in an imaginary scan.

After SynthSeg (Billot 2023): a network that has seen every contrast learns shape. Most draws stay near T2 turbo spin
echo, because that is what will be shown; some are fat-suppressed, T1-like or arbitrary.
"""

from __future__ import annotations

import numpy as np

from ..phantom.tissue import COUNT, T2_SIGNAL, Tissue
from .artefacts import smooth_noise

_FAT = [Tissue.SUBCUTANEOUS_FAT, Tissue.FAT, Tissue.EPIDURAL]
_MARROW = [Tissue.MARROW, Tissue.DENS, Tissue.BONE]
_DARK = [Tissue.AIR, Tissue.AIRWAY, Tissue.LUNG]
_DISC = [Tissue.NUCLEUS, Tissue.ANNULUS]
_BONY = [Tissue.MARROW, Tissue.LESION, Tissue.HAEMANGIOMA, Tissue.OEDEMA, Tissue.DENS, Tissue.BONE, Tissue.ATLAS]
# What differs most from person to person and is least like the drawing: here new shapes appear out of texture.
_SOFT = [
    Tissue.SUBCUTANEOUS_FAT,
    Tissue.MUSCLE,
    Tissue.FAT,
    Tissue.TONGUE,
    Tissue.BRAIN,
    Tissue.CEREBELLUM,
    Tissue.MUCOSA,
    Tissue.GLAND,
    Tissue.PREVERTEBRAL,
    Tissue.FATTY_MUSCLE,
    Tissue.OESOPHAGUS,
    Tissue.LUNG,
]
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


def _rest(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What follows from the marrow: C1 like other bone, lesions relative to it, metal void, grafts of any signal."""
    marrow = signal[Tissue.MARROW]
    signal[Tissue.ATLAS] = signal[Tissue.BONE] * rng.lognormal(0, 0.1)
    signal[Tissue.ATLAS_CORTEX] = signal[Tissue.CORTEX]
    signal[Tissue.HAEMANGIOMA] = marrow * rng.lognormal(0.4, 0.3)
    signal[Tissue.OEDEMA] = marrow * rng.lognormal(0.0, 0.5)
    signal[Tissue.METAL] = rng.uniform(0, 30)
    signal[Tissue.GRAFT] = rng.choice([marrow, rng.uniform(10, 500)])
    return signal


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mean signal and texture amplitude of every tissue, both (COUNT,) float32, arbitrary units."""
    kind = rng.choice(4, p=[0.68, 0.12, 0.06, 0.14])
    signal = _rest((_t2, _suppressed, _t1, _arbitrary)[kind](rng), rng)
    texture = signal * rng.uniform(0.04, 0.15)
    texture[_COARSE] *= 2
    texture[Tissue.CSF] *= 0.7
    return signal.astype(np.float32), texture.astype(np.float32)


def paint(tissue: np.ndarray, rng: np.random.Generator, generator) -> np.ndarray:
    """Ideal slices (S, P, P) float32 of tissue samples (6, S, P, P), six to a voxel: contrast, partial volume, texture.

    Texture multiplies: a fine grain everywhere, slow changes from disc to disc and body to body, and in soft tissue
    coarse shapes that were never drawn.
    """
    import torch

    signal, texture = draw(rng)
    centre = tissue[2].astype(np.int64)
    _, height, width = centre.shape
    shape = (len(centre), height, width)
    ideal = torch.from_numpy(signal[tissue].mean(0))
    grain = 0.9 * smooth_noise(shape, 2, generator) + 0.7 * smooth_noise(shape, 6.5, generator)
    grain = grain + 0.5 * torch.randn(shape, generator=generator)
    share = torch.from_numpy(texture / np.maximum(signal, 1e-3))[torch.from_numpy(centre)]
    ideal = ideal * (1 + share * grain).clamp(min=0.05)
    slow = torch.zeros(shape)
    for members, low, high, cell in ((_BONY, 0, 0.2, 30), (_DISC, 0, 0.55, 24), (_SOFT, 0, 0.5, rng.uniform(4, 30))):
        amount = rng.uniform(low, high) * (1 if members is not _SOFT else rng.random())
        belongs = np.zeros(COUNT, np.float32)
        belongs[members] = amount
        # The same over all slices but for a part: structures run through neighbouring slices.
        field = 0.8 * smooth_noise((1, height, width), cell, generator) + 0.6 * smooth_noise(shape, cell, generator)
        slow = slow + torch.from_numpy(belongs[centre]) * field
    ideal = ideal * torch.exp(slow)
    if rng.random() < 0.4:
        ideal = _elsewhere(ideal, centre, rng, generator)
    return ideal.numpy()


def _elsewhere(ideal, centre: np.ndarray, rng: np.random.Generator, generator):
    """Slices in which parts of the soft tissue gave way to shapes that nobody drew: mouths, teeth, shoulders, scars.

    After the random shapes of SynthMorph (Hoffmann 2022): what is not spine may look like anything.
    """
    import torch

    shape = ideal.shape
    one = (1, *shape[1:])
    cell, kinds = rng.uniform(4, 22), int(rng.integers(3, 9))
    # Mostly the same shapes over neighbouring slices.
    fields = [smooth_noise(one, cell, generator) + 0.4 * smooth_noise(shape, cell, generator) for _ in range(kinds)]
    signal = torch.from_numpy(rng.uniform(5, 900, kinds).astype(np.float32) * rng.uniform(0.2, 1))
    drawn = signal[torch.stack(fields).argmax(0)]
    drawn = drawn * (1 + rng.uniform(0, 0.3) * torch.randn(shape, generator=generator)).clamp(min=0.05)
    where = smooth_noise(one, rng.uniform(25, 70), generator) > rng.uniform(-0.5, 0.8)
    loose = np.zeros(COUNT, bool)
    loose[_SOFT] = True
    if rng.random() < 0.3:
        loose[_DARK] = True
    return torch.where(where & torch.from_numpy(loose[centre]), drawn, ideal)
