"""From anatomy to a scan: contrast, coil, flow, motion, sampling and noise, with the truth beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..volume import Grid
from . import artefacts
from .contrasts import SEQUENCES, STYLES, fat_share, is_soft, signals, texture_of
from .geometry import Geometry, trace
from .tissue import Tissue

_FLOWING = (Tissue.CSF, Tissue.VESSEL, Tissue.FLOW_VOID)


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic exam.

    Parameters
    ----------
    image : (I, J, K) float32, whole numbers from 0 to about 1500, as a scanner would store them.
    mask : (I, J, K) uint8, 0 background, 1 vertebral bodies, 2 discs: what fills most of each voxel.
    levels : (I, J, K) uint8, the level of every mask voxel in TotalSpineSeg values; 0 elsewhere. In a fused block each
        vertebra keeps its own value up to the middle of the former disc.
    present : names of the levels that `levels` holds, from head to foot: "C2", "C2-C3", "C3", ...
    spared : (I, J, K) bool, tissue on which experts differ (the tip of the dens, C1, metal, grafts): "do not care".
    """

    image: np.ndarray
    mask: np.ndarray
    levels: np.ndarray
    present: list[str]
    spared: np.ndarray


def make(
    seed: int,
    grid: Grid,
    *,
    fused: Sequence[tuple[str, str]] = (),
    style: str = "t2",
    beyond: bool = False,
    thickness: float | None = None,
) -> Phantom:
    """Scan the person of a seed on a grid: `trace`, then `render` with the same seed.

    Parameters
    ----------
    seed : any non-negative integer; the same seed and grid give the same voxels.
    grid : any orientation and spacing. C5 lies within a few millimetres of the origin; see `grid_around`.
    fused : pairs of neighbouring vertebrae grown together, for instance `(("C5", "C6"),)`.
    style : "t2", "t1", "stir", "pd" (turbo spin echoes in two dimensions) or "t2_3d".
    beyond : draw the person from outside the ranges of training.
    thickness : of a slice, mm, when slices have gaps; drawn from the seed if None.

    Raises
    ------
    InputError : an unknown style, a pair that is not two neighbours between C2 and T7, or a thickness that cannot be.
    """
    _check(style)
    return render(trace(seed, grid, fused=fused, beyond=beyond, thickness=thickness), seed, style)


def render(geometry: Geometry, image_seed: int, style: str = "t2") -> Phantom:
    """One scan of a traced person.

    Parameters
    ----------
    geometry : from `trace`; it is left as it is and its truth is shared by all its images.
    image_seed : draws protocol, coil, artefacts and noise. What belongs to the person does not change with it.
    style : one of `STYLES`; InputError if it is not.
    """
    _check(style)
    rng = np.random.default_rng([int(image_seed), 4])
    table = signals(style, geometry.wear, np.random.default_rng([geometry.seed, 9]), rng)
    flat = "3d" not in style
    # Phase encoding runs head-foot or front-back; frequency encoding is the other.
    phase, frequency = (geometry.axes.height, geometry.axes.front)[:: rng.choice([-1, 1])]
    image = _body(geometry, table, frequency, style, rng)
    gain = _sensitivity(geometry, flat, rng)
    image = image * gain
    if flat:
        image = _band(image, geometry, rng)
    image = _unrest(image, geometry, phase, SEQUENCES[style].flow, flat, rng)
    image = _sampled(image, geometry, phase, frequency, flat, rng)
    if rng.random() < 0.6:
        # Scanners offer to even out the coil; they do it after the noise, which grows where the coil is far.
        image = image / np.maximum(gain, 0.08) ** rng.uniform(0.3, 0.9)
    return Phantom(
        image=np.round(np.clip(image, 0, 4000)).astype(np.float32),
        mask=geometry.mask,
        levels=geometry.levels,
        present=list(geometry.present),
        spared=geometry.spared,
    )


def _check(style: str) -> None:
    if style not in STYLES:
        raise InputError(f"The phantom style {style!r} is not known; use one of {', '.join(STYLES)}.")


def _body(geometry: Geometry, table: np.ndarray, frequency: int, style: str, rng: np.random.Generator) -> np.ndarray:
    """Signal before coil and sampling: partial volume, chemical shift, texture, flow in the fluid, metal."""
    grid, axes, tissue = geometry.grid, geometry.axes, geometry.tissue
    spacing = grid.spacing
    share = np.repeat(fat_share(), 256)
    # 220 Hz at 1.5 T and 440 Hz at 3 T over bandwidths of 200 to 500 Hz a pixel move fat by up to about a pixel.
    shift = rng.uniform(0.1, 1.1) * 0.7 / spacing[frequency] * rng.choice([-1, 1])
    image = geometry.average(table * (1 - share))
    image += artefacts.shifted(geometry.average(table * share), shift, frequency)
    mingled = rng.uniform(0.3, 1.2)
    image = np.where(is_soft()[tissue], artefacts.blurred(image, _lengths(axes, 0, mingled, mingled) / spacing), image)
    lengths = _lengths(axes, 2.0, 1.2, 1.6), _lengths(axes, 3.5, 2.5, 5.0), _lengths(axes, 9, 7, 14)
    noise = [artefacts.smooth_noise(grid.shape, spacing, length, rng) for length in lengths]
    texture = 0.6 * noise[0] + 0.8 * noise[1] + 0.7 * noise[2]
    image *= np.exp(texture_of()[tissue] * texture * rng.uniform(0.6, 1.2))
    fluid = tissue == Tissue.CSF
    swirl = artefacts.smooth_noise(grid.shape, spacing, _lengths(axes, 8, 5, 22), rng)
    depth = rng.uniform(0, 0.7) * SEQUENCES[style].flow
    image -= image * fluid * depth * np.clip(swirl - 0.5, 0, 1)
    implant = np.zeros(len(table), np.float32)
    implant[Tissue.METAL * 256 : (Tissue.METAL + 1) * 256] = 1
    # Titanium blooms by 1 to 3 mm in a turbo spin echo.
    reach = rng.uniform(0.8, 2.5) / spacing
    return artefacts.metal(image, geometry.average(implant), reach, rng.uniform(0.2, 0.9), frequency)


def _lengths(axes, side: float, front: float, height: float) -> np.ndarray:
    """Lengths (3,) per array axis from lengths along the patient's axes, mm."""
    lengths = np.empty(3)
    lengths[[axes.side, axes.front, axes.height]] = side, front, height
    return lengths


def _sensitivity(geometry: Geometry, flat: bool, rng: np.random.Generator) -> np.ndarray:
    """Coil, transmit field and the fall-off towards both ends of the field of view, (I, J, K)."""
    grid = geometry.grid
    # A neck array lies behind the neck; some scanners add a part in front of it.
    front = rng.uniform(0.15, 0.5) if rng.random() < 0.4 else 0.0
    gain = artefacts.coil(grid, rng.uniform(70, 190), rng.uniform(110, 210), rng.normal(-15, 15), front)
    gain = gain * np.exp(rng.uniform(0.04, 0.16) * artefacts.smooth_noise(grid.shape, grid.spacing, 110, rng))
    gain *= artefacts.fade_ends(grid.shape, geometry.axes.height, rng.uniform(0.7, 0.95), rng.uniform(0.2, 1.0))
    if flat:
        gain *= artefacts.interleave(grid.shape, geometry.axes.slices, rng.normal(0, 0.03), 0.02, rng)
    return gain.astype(np.float32)


def _band(image: np.ndarray, geometry: Geometry, rng: np.random.Generator) -> np.ndarray:
    """A saturation band over the throat, as most protocols have against swallowing."""
    if rng.random() > 0.7:
        return image
    slope, offset, half = geometry.front
    line = slope + rng.normal(0, 0.06), offset + half
    return image * artefacts.saturation(geometry.grid, line, rng.uniform(6, 26), rng.uniform(0.4, 0.95))


def _unrest(image, geometry: Geometry, phase: int, flow: float, flat: bool, rng: np.random.Generator) -> np.ndarray:
    """Pulsation ghosts, swallowing, and odd slices that were measured after a small movement."""
    axes, spacing, size = geometry.axes, geometry.grid.spacing, image.shape[phase]
    if rng.random() < 0.5:
        moving = image * np.isin(geometry.tissue, _FLOWING)
        image = artefacts.ghosts(image, moving, int(size / rng.uniform(2.5, 12)), rng.uniform(0.01, 0.10) * flow, phase)
    if rng.random() < 0.35:
        slope, offset, half = geometry.front
        grid = geometry.grid
        ahead = artefacts.coordinate(grid, 1) - slope * artefacts.coordinate(grid, 2) - offset - half
        throat = np.clip((ahead - 6) / 10, 0, 1)
        moves = (axes.height, axes.front)[rng.integers(2)]
        # Larynx and tongue rise by some millimetres; a swallow takes a second, so few of the echo trains see it.
        lines = rng.random(size) < rng.uniform(0.03, 0.15)
        shift = max(1, int(rng.uniform(2, 6) / spacing[moves]))
        image = artefacts.swallow(image, throat, shift, lines, phase, moves)
    if flat and rng.random() < 0.3:
        odd = (np.arange(image.shape[axes.slices]) % 2).astype(np.float32).reshape(artefacts.along(axes.slices))
        moved = artefacts.shifted(image, rng.normal(0, 0.3) / spacing[phase], phase)
        image = image + odd * (moved - image)
    return image


def _sampled(image, geometry: Geometry, phase: int, frequency: int, flat: bool, rng: np.random.Generator):
    """The measured matrix, its filter and the noise."""
    spacing = geometry.grid.spacing
    # Protocols of the cervical spine measure 0.55 to 0.9 mm by up to 1.3 mm and reconstruct to 0.34 to 0.7 mm.
    fine = rng.uniform(0.55, 0.9) if flat else rng.uniform(0.75, 1.05)
    coarse = fine * rng.uniform(1.0, 1.5)
    kept = {frequency: spacing[frequency] / fine, phase: spacing[phase] / coarse}
    if not flat:
        kept[geometry.axes.slices] = spacing[geometry.axes.slices] / (fine * rng.uniform(1, 1.2))
    kept = {axis: float(np.clip(share, 0.35, 1.0)) for axis, share in kept.items()}
    edge = 0.0 if rng.random() < 0.25 else rng.uniform(0.3, 1.0)
    sigma = float(np.exp(rng.uniform(np.log(4), np.log(20))))
    return artefacts.acquire(image, kept, edge, sigma, rng)
