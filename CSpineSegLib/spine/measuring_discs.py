"""A disc between two bodies: its heights, and how far it stands out beyond them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .measuring_bodies import BACK, FRONT, LOWER, UPPER, Fit, propagate
from .measuring_outline import BANDS, Frame, Noise, border
from .measuring_sections import Section, Solid

_STEP = 0.25
# mm over which the outline of a bulge is averaged, so that a single pixel is none.
_SMOOTH = 2.0


@dataclass(frozen=True, eq=False)
class Space:
    """The space between two bodies as a frame.

    `frame`: its angle is the mean of both endplates', its origin their middle. `back`, `front`: mm along it, means of
    the corners of both bodies. `upper`, `lower`: the fits.
    """

    frame: Frame
    back: float
    front: float
    upper: Fit
    lower: Fit


def space_between(upper: Fit, lower: Fit) -> Space | str:
    """The space between two bodies, or a phrase why it is not known."""
    for fit, side, name in ((upper, "lower", "above"), (lower, "upper", "below")):
        for needed in (side, "walls"):
            if not fit.has(needed):
                return f"the body {name} it gives no hold: {fit.missing[needed]}"
    angle = (upper.angle(upper.values, LOWER) + lower.angle(lower.values, UPPER)) / 2
    corners = np.array(
        [[upper.corner(upper.values, LOWER, side), lower.corner(lower.values, UPPER, side)] for side in (FRONT, BACK)]
    )
    frame = Frame(corners.reshape(-1, 2).mean(axis=0), angle)
    own = frame.own(corners)
    return Space(frame, float(own[1, :, 0].mean()), float(own[0, :, 0].mean()), upper, lower)


@dataclass(frozen=True, eq=False)
class Heights:
    """`values` (3,): mm in front, in the middle and behind; `covariance` (3, 3)."""

    values: np.ndarray
    covariance: np.ndarray


def heights(solid: Solid, space: Space, noise: Noise) -> Heights | str:
    """Distances from the lower to the upper border of the disc, averaged over the bands of its depth."""
    if solid.refused:
        return solid.refused
    found, covariances, places, weights = [], [], [], []
    for section in solid.sections:
        one = _section_heights(section, space, noise)
        if one is not None:
            found.append(one[0])
            covariances.append(one[1])
            places.append(section.side)
            weights.append(section.weight)
    if sum(weights) < 0.45:
        return "the disc does not reach from front to back in the middle"
    share = np.array(weights) / sum(weights)
    values = share @ np.array(found)
    covariance = sum(weight**2 * one for weight, one in zip(share, covariances, strict=True))
    away = np.array(places) - share @ np.array(places)
    spread = float(share @ np.square(away))
    if spread > 1e-6:
        slant = (share * away) @ np.array(found) / spread
        covariance = covariance + np.outer(slant, slant) * solid.middle_sigma**2
    return Heights(values, covariance)


def _section_heights(section: Section, space: Space, noise: Noise) -> tuple[np.ndarray, np.ndarray] | None:
    depth = space.front - space.back
    values, tracks = [], []
    for low, high in BANDS:
        t = np.arange(space.front - high * depth, space.front - low * depth + _STEP / 2, _STEP)
        # Part of a disc may lie above or below the middle line between the corners, in a deep endplate.
        top, bottom = (border(section, space.frame, t, up=True, sign=s, reach=12.0, before=4.0) for s in (1, -1))
        thickness = top - bottom
        seen = np.isfinite(thickness)
        if np.count_nonzero(seen) < 0.5 * len(t):
            return None
        values.append(float(thickness[seen].mean()))
        tracks.append(t[seen])
    t = np.concatenate(tracks)
    rows = np.zeros((3, len(t)))
    start = 0
    for number, track in enumerate(tracks):
        rows[number, start : start + len(track)] = 1 / len(track)
        start += len(track)
    # Both borders err, independently of each other.
    return np.array(values), 2 * rows @ noise.covariance(t) @ rows.T


def bulge(solid: Solid, space: Space, noise: Noise, *, front: bool) -> tuple[float, float] | str:
    """How far, mm, the disc stands out beyond the line between the corners of both bodies; with its uncertainty.

    Negative if it stays behind that line.
    """
    if solid.refused:
        return solid.refused
    side, sign = (FRONT, 1) if front else (BACK, -1)
    ends = space.frame.own(
        [space.upper.corner(space.upper.values, LOWER, side), space.lower.corner(space.lower.values, UPPER, side)]
    )
    top, bottom = ends[:, 1]
    if top - bottom < 1.0:
        return "the corners of the bodies beside it touch"
    heights = np.arange(bottom, top + _STEP / 2, _STEP)
    total, places, weights = 0.0, 0.0, 0.0
    for section in solid.sections:
        seen = border(section, space.frame, heights, up=False, sign=sign, reach=(space.front - space.back) / 2 + 12.0)
        line = np.interp(heights, ends[::-1, 1], ends[::-1, 0])
        out = _smoothed((seen - line) * sign)
        if np.isfinite(out).any():
            best = int(np.nanargmax(out))
            total += section.weight * float(out[best])
            places += section.weight * (heights[best] - bottom) / (top - bottom)
            weights += section.weight**2
    if not weights:
        return "the disc does not reach the edge of the bodies"

    # The line moves with both corners, in proportion to how near the largest bulge lies to each.
    def line_at(upper: np.ndarray, lower: np.ndarray) -> float:
        above = space.frame.own(space.upper.corner(upper, LOWER, side))[0]
        below = space.frame.own(space.lower.corner(lower, UPPER, side))[0]
        return float(places * above + (1 - places) * below)

    _, line_sigma = propagate(line_at, space.upper, space.lower)
    # Averaged over less than the length over which borders err alike, a border errs as a point of it does.
    point = np.hypot(noise.boundary, noise.pixel / np.sqrt(12 * max(1.0, _SMOOTH / max(noise.pixel, 1e-9))))
    return total, float(np.hypot(line_sigma, point * np.sqrt(weights)))


def _smoothed(values: np.ndarray) -> np.ndarray:
    """A running mean over :data:`_SMOOTH`, of what was seen."""
    count = max(1, round(_SMOOTH / _STEP))
    seen = np.isfinite(values)
    kernel = np.ones(min(count, len(values)))
    total = np.convolve(np.where(seen, values, 0), kernel, "same")
    number = np.convolve(seen.astype(float), kernel, "same")
    return np.where(number >= len(kernel) / 2, total / np.maximum(number, 1), np.nan)


def slip(space: Space) -> tuple[float, float]:
    """How far, mm, the back wall of the upper body stands before that of the lower, along the space between them."""

    def value(upper: np.ndarray, lower: np.ndarray) -> float:
        above = space.frame.own(space.upper.corner(upper, LOWER, BACK))
        below = space.frame.own(space.lower.corner(lower, UPPER, BACK))
        return float(above[0] - below[0])

    return propagate(value, space.upper, space.lower)


def opening(space: Space) -> tuple[float, float]:
    """Degrees by which the space opens to the front: between the endplates beside the disc."""

    def value(upper: np.ndarray, lower: np.ndarray) -> float:
        return float(np.degrees(space.upper.angle(upper, LOWER) - space.lower.angle(lower, UPPER)))

    return propagate(value, space.upper, space.lower)
