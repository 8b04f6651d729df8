"""From anatomy to a scan: partial volume, coil sensitivity, texture and Rician noise, with the truth beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..anatomy import level_name
from ..errors import InputError
from ..volume import Grid
from .atlas import Anatomy
from .tissue import COUNT, T2_SIGNAL, Tissue, label_table

# A rotated-grid pattern in units of a voxel: each offset differs along every axis, whatever the orientation.
_OFFSETS = np.array([[-0.33, 0.3, -0.3], [0.0, 0.0, 0.0], [0.3, -0.33, 0.33]])
_SLAB = 400_000
STYLES = ("t2", "stir")


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic exam.

    Parameters
    ----------
    image : (I, J, K) float32, whole numbers from 0 to about 1500, as a scanner would store them.
    mask : (I, J, K) uint8, 0 background, 1 vertebral bodies, 2 discs.
    levels : (I, J, K) uint8, the level of every mask voxel in TotalSpineSeg values; 0 elsewhere. In a fused block each
        vertebra keeps its own value up to the middle of the former disc.
    present : names of the levels that `levels` holds, from head to foot: "C2", "C2-C3", "C3", ...
    """

    image: np.ndarray
    mask: np.ndarray
    levels: np.ndarray
    present: list[str]


def grid_around(shape: Sequence[int], spacing: Sequence[float], orientation: str = "PSR", centre=(0, 4, -22)) -> Grid:
    """A grid whose middle lies at `centre` (RAS mm), by default where it shows C2 to the upper thoracic spine.

    `shape` and `spacing` (mm) belong to the array axes in the order of `orientation`, for instance (320, 320, 15),
    (0.7, 0.7, 4.0), "PSR".
    """
    axes = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
    if len(orientation) != 3 or {axes.get(letter, (None,))[0] for letter in orientation} != {0, 1, 2}:
        raise InputError(f"{orientation!r} is not an orientation; three letters such as 'PSR' are.")
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(orientation):
        row, sign = axes[letter]
        affine[row, axis] = sign * spacing[axis]
    affine[:3, 3] = np.asarray(centre, float) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(tuple(int(n) for n in shape), affine)


def _signal(style: str, rng: np.random.Generator) -> np.ndarray:
    signal = T2_SIGNAL * rng.lognormal(0, 0.08, COUNT)
    marrow = rng.uniform(180, 330)
    signal[[Tissue.MARROW, Tissue.DENS]] = marrow
    signal[Tissue.LESION] = marrow * rng.uniform(1.2, 1.6)
    if style == "stir":
        signal[[Tissue.SUBCUTANEOUS_FAT, Tissue.FAT, Tissue.EPIDURAL]] *= 0.15
        signal[[Tissue.MARROW, Tissue.DENS, Tissue.BONE, Tissue.LESION]] *= 0.4
    return signal.astype(np.float32)


def _points(grid: Grid, start: int, stop: int, offset) -> np.ndarray:
    """Patient coordinates (N, 3) of a range of voxels in C order, moved by `offset` voxels."""
    index = np.stack(np.unravel_index(np.arange(start, stop), grid.shape), axis=1) + np.asarray(offset)
    return (index @ grid.affine[:3, :3].T + grid.affine[:3, 3]).astype(np.float32)


def _disc_gain(anatomy: Anatomy, rng: np.random.Generator) -> np.ndarray:
    """Gain (256,) by level value: worn discs are dark, marrow differs a little from vertebra to vertebra."""
    gain = rng.lognormal(0, 0.05, 256)
    wear = anatomy.shape.wear
    for value, worn in zip([*range(63, 68), *range(71, 78)], wear, strict=True):
        gain[value] *= 1.15 - 0.65 * worn
    return gain.astype(np.float32)


def _smooth(shape: Sequence[int], spacing: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Noise (I, J, K) of unit variance on nodes `length` mm apart, linear between them."""
    nodes = [max(2, int(np.ceil(n * mm / length)) + 1) for n, mm in zip(shape, spacing, strict=True)]
    values = rng.normal(size=nodes).astype(np.float32)
    for axis, size in enumerate(shape):
        position = np.linspace(0, nodes[axis] - 1, size) if size > 1 else np.zeros(1)
        low = np.minimum(position.astype(int), nodes[axis] - 2)
        part = (position - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        values = np.take(values, low, axis) * (1 - part) + np.take(values, low + 1, axis) * part
    return values


def _sharpness(image: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The point spread of a scanner: a gentle low-pass along the two finest axes, periodic as k-space is."""
    for axis in np.argsort(spacing)[:2]:
        frequency = np.fft.rfftfreq(image.shape[axis])
        window = np.exp(-(np.square(frequency / 0.42) ** 2)).reshape([-1 if a == axis else 1 for a in range(3)])
        image = np.fft.irfft(np.fft.rfft(image, axis=axis) * window, n=image.shape[axis], axis=axis)
    return np.maximum(image, 0).astype(np.float32)


def _coil(anatomy: Anatomy, grid: Grid, rng: np.random.Generator) -> np.ndarray:
    """Sensitivity (I, J, K) of a neck coil: higher towards the nape, lower towards head and chest."""
    reach = rng.uniform(110, 200)
    axes = [np.arange(n, dtype=np.float32) for n in grid.shape]
    i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
    y, z = (m[0] * i + m[1] * j + m[2] * k + m[3] for m in grid.affine[1:3].astype(np.float32))
    return np.exp(-y / reach - np.square((z + 10) / 170)).astype(np.float32)


def make(seed: int, grid: Grid, *, fused: Sequence[tuple[str, str]] = (), style: str = "t2") -> Phantom:
    """Scan the person of a seed on a grid.

    Parameters
    ----------
    seed : any non-negative integer; the same seed and grid give the same voxels.
    grid : any orientation and spacing. C5 lies within a few millimetres of the origin; see `grid_around`.
    fused : pairs of neighbouring vertebrae grown together, for instance `(("C5", "C6"),)`.
    style : "t2" or "stir" (fat-suppressed).

    The truth is that of voxel centres. One core needs about 5 s for 320 x 320 x 15 voxels, 12 s for 512 x 512 x 15.

    Raises
    ------
    InputError : an unknown style, or a pair that is not two neighbours between C2 and T7.
    """
    if style not in STYLES:
        raise InputError(f"The phantom style {style!r} is not known; use one of {', '.join(STYLES)}.")
    anatomy = Anatomy(seed, fused)
    rng = np.random.default_rng([int(seed), 4])
    signal, gain = _signal(style, rng), _disc_gain(anatomy, rng)
    count = int(np.prod(grid.shape))
    image, levels, mask = np.zeros(count, np.float32), np.zeros(count, np.uint8), np.zeros(count, np.uint8)
    table = label_table()
    for start in range(0, count, _SLAB):
        stop = min(start + _SLAB, count)
        for offset in _OFFSETS:
            tissue, level = anatomy.classify(_points(grid, start, stop, offset))
            image[start:stop] += signal[tissue] * gain[level] / len(_OFFSETS)
            if not offset.any():
                mask[start:stop], levels[start:stop] = table[tissue], level
    image, spacing = image.reshape(grid.shape), np.asarray(grid.spacing)
    texture = 0.05 * _smooth(grid.shape, spacing, 2.5, rng) + 0.06 * _smooth(grid.shape, spacing, 9, rng)
    image = _sharpness(image * np.exp(texture), spacing) * _coil(anatomy, grid, rng)
    image *= np.exp(0.12 * _smooth(grid.shape, spacing, 120, rng))
    sigma = rng.uniform(6, 12)
    noise = rng.normal(0, sigma, (2, *grid.shape)).astype(np.float32)
    image = np.sqrt(np.square(image + noise[0]) + np.square(noise[1]))
    levels = levels.reshape(grid.shape)
    return Phantom(
        image=np.round(image).astype(np.float32),
        mask=mask.reshape(grid.shape),
        levels=levels,
        present=_names(levels),
    )


def _names(levels: np.ndarray) -> list[str]:
    """Names of the values in a level volume, head to foot, each disc after its upper vertebra."""
    values = np.unique(levels)
    names = [level_name(int(value)) for value in values if value]
    order = {"C": 0, "T": 100}
    return sorted(names, key=lambda n: (order[n[0]] + int(n.split("-")[0][1:]), "-" in n))
