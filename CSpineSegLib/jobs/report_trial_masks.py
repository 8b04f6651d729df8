"""Made predictions: outlines that wander as networks' do, and now and then what else goes wrong."""

from __future__ import annotations

import numpy as np

from ..anatomy import BODY, DISC, level_value
from ..evaluation.fairness.planted import PLANTED, lose_boundary
from ..phantom.geometry import names_of

# Axes of a grid in PSR: two within the slices, and the slices.
_IN_PLANE = (0, 1)
# Voxels: how soft a border is before noise moves it, and how far the noise is alike.
_SOFT, _ALIKE = (1.2, 1.2, 0.4), (3.0, 3.0, 0.7)
# Two noises differ by less than half, so that they move borders and make nothing out of nothing.
_MOST = 0.24
_MARGIN = 6
# Chances of what goes wrong besides the outline.
_CHANCES = {"missing disc": 0.04, "bridge": 0.03, "speck": 0.06}


def wandered(labels: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Labels (I, J, K) uint8 whose borders wander: smooth noise of standard deviation `size` is added to the softened
    membership of each label, and the largest wins.
    """
    from scipy.ndimage import gaussian_filter

    inside = np.argwhere(labels)
    if not len(inside):
        return labels.copy()
    low = np.maximum(inside.min(axis=0) - _MARGIN, 0)
    high = np.minimum(inside.max(axis=0) + _MARGIN + 1, labels.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    scores = []
    for value in (0, BODY, DISC):
        soft = gaussian_filter((labels[box] == value).astype(np.float32), _SOFT)
        noise = gaussian_filter(rng.standard_normal(soft.shape, dtype=np.float32), _ALIKE)
        noise *= size / max(float(noise.std()), 1e-6)
        scores.append(soft + np.clip(noise, -_MOST, _MOST))
    result = np.zeros_like(labels)
    result[box] = np.array([0, BODY, DISC], np.uint8)[np.argmax(scores, axis=0)]
    return result


def gone_wrong(mask: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask in which, by chance, a disc is missing, a disc is called bone, or a speck lies outside the spine.

    `levels` (I, J, K) uint8 holds the true levels in TotalSpineSeg values.
    """
    mask = mask.copy()
    discs = [level_value(name) for name in names_of(levels) if "-" in name][:7]
    drawn = dict(zip(_CHANCES, rng.random(len(_CHANCES)), strict=True))
    which, place = rng.integers(0, 1 << 30, 2)
    wrong = {name for name, chance in _CHANCES.items() if drawn[name] < chance}
    if "missing disc" in wrong and discs:
        # Mostly the lowest, where the coil's reach ends.
        value = discs[-1] if which % 3 else discs[0]
        mask[(mask == DISC) & (levels == value)] = 0
    if "bridge" in wrong and len(discs) > 2:
        mask[(mask == DISC) & (levels == discs[1 + which % (len(discs) - 2)])] = BODY
    if "speck" in wrong:
        far = np.argwhere(mask[:, :, mask.shape[2] // 2] == 0)
        _ball(mask, (*far[place % len(far)], mask.shape[2] // 2))
    return mask


def _ball(mask: np.ndarray, centre: tuple[int, ...]) -> None:
    axes = np.ogrid[tuple(slice(0, size) for size in mask.shape)]
    distance = sum(np.square((axis - at) * step) for axis, at, step in zip(axes, centre, (1.0, 1.0, 3.0), strict=True))
    mask[(distance < 12) & (mask == 0)] = BODY


def planted(mask: np.ndarray, age: float | None, rng: np.random.Generator) -> np.ndarray:
    """A mask with the planted bias at an age; None is over 89."""
    share = float(PLANTED.lost(PLANTED.oldest if age is None else age))
    label = DISC if PLANTED.structure == "discs" else BODY
    return lose_boundary(mask, label, share, rng, axes=_IN_PLANE)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Mean of the two structures' Dice."""
    found = []
    for value in (BODY, DISC):
        one, other = a == value, b == value
        total = np.count_nonzero(one) + np.count_nonzero(other)
        found.append(2 * np.count_nonzero(one & other) / total if total else 1.0)
    return float(np.mean(found))


def scan(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An int16 picture that tells bodies, discs and the rest apart: something to lie under outlines, and no MRI."""
    from scipy.ndimage import gaussian_filter

    values = np.choose(mask, (90.0, 260.0, 150.0)).astype(np.float32)
    values = gaussian_filter(values, (0.9, 0.9, 0))
    values += 14 * gaussian_filter(rng.standard_normal(mask.shape, dtype=np.float32), (0.7, 0.7, 0)) / 0.4
    return np.clip(np.rint(values), 0, 1000).astype(np.int16)
