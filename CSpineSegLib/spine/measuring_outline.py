"""The outline of a section as seen from a frame: where its four sides lie, and how well that is known.

A frame stands at a point of a section and looks along an angle: `along` runs to the front and `up` to the head of the
structure. A side is a list of points (t, s): t along the side, s across it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .measuring_sections import Section

# Parts of the depth, from front to back, over which heights are averaged, and over which an endplate is a line: the
# rounded or spurred tenth at either end is left out.
BANDS = ((0.10, 0.25), (0.425, 0.575), (0.75, 0.90))
SPAN = (0.10, 0.90)
# Part of the height over which a wall is a line: between the rims with their spurs.
WALL = (0.2, 0.8)
# mm: a wall is never followed more closely than this, which is less than a pixel.
_EVEN = 0.4
# mm along an outline, over which a hand or a network errs to the same side: that of a voxel's neighbours in a slice of
# about .7 mm, three of them to each side.
CORRELATION = 2.0
# Pixels between samples; between them the section is interpolated, and so is where it ends.
_FINE = 0.4


@dataclass(frozen=True, eq=False)
class Frame:
    """Where one looks from: `origin` (2,) mm in the plane of the section, `angle` in radians."""

    origin: np.ndarray
    angle: float

    @property
    def axes(self) -> np.ndarray:
        """(2, 2): the directions along and up, in the plane of the section."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cosine, sine], [-sine, cosine]])

    def plane(self, points) -> np.ndarray:
        """Points (..., 2) of the frame (along, up) in the plane of the section."""
        return np.asarray(points, float) @ self.axes + self.origin

    def own(self, points) -> np.ndarray:
        """The inverse of `plane`."""
        return (np.asarray(points, float) - self.origin) @ self.axes.T


@dataclass(frozen=True)
class Noise:
    """How far an outline may be from the truth.

    `boundary`: standard deviation in mm of where a hand or a network draws a border, alike over :data:`CORRELATION`.
    `pixel`: mm, its rounding to whole pixels is uniform over one; stairs of a border that runs nearly along the pixels
    are millimetres long, so that this is alike over as much.
    `shape`: mm, by which a border between two slices is not the mean of theirs, as endplates are hollow: all of it.
    """

    boundary: float
    pixel: float
    shape: float = 0.0

    def covariance(self, t: np.ndarray) -> np.ndarray:
        """(N, N) mm2 of points at t (N,) mm along a side."""
        apart = np.abs(t[:, None] - t[None, :])
        variance = self.boundary**2 + self.pixel**2 / 12
        return variance * np.exp(-apart / CORRELATION) + self.shape**2


def border(
    section: Section, frame: Frame, t: np.ndarray, *, up: bool, sign: int, reach: float, before: float = 0.0
) -> np.ndarray:
    """Where a section ends, seen from the middle line of a frame, or from `before` mm on its other side.

    Parameters
    ----------
    t : (N,) mm along the side.
    up : look up and down from places along the frame; otherwise to the front and back from heights.
    sign : +1 for the side at the head or the front, -1 for the other.
    reach : mm up to which one looks.

    Returns
    -------
    (N,) mm across the side, nan where nothing is seen; in a hole of the section one sees through.
    """
    from scipy.ndimage import map_coordinates

    step = _FINE * float(section.spacing.min())
    s = np.arange(-before, reach + step, step) * sign
    along, across = np.meshgrid(t, s, indexing="ij")
    points = frame.plane(np.stack([along, across] if up else [across, along], axis=-1))
    index = (points - section.origin) / section.spacing
    values = map_coordinates(section.inside.astype(np.float32), np.moveaxis(index, -1, 0), order=1, prefilter=False)
    hit = values >= 0.5
    last = hit.shape[1] - 1 - hit[:, ::-1].argmax(axis=1)
    beyond = np.minimum(last + 1, hit.shape[1] - 1)
    rows = np.arange(len(t))
    first, second = values[rows, last], values[rows, beyond]
    part = np.where(beyond > last, (first - 0.5) / np.maximum(first - second, 1e-6), 0.0)
    return np.where(hit.any(axis=1), s[last] + sign * step * np.clip(part, 0, 1), np.nan)


@dataclass(frozen=True, eq=False)
class Side:
    """Linear functions of a side's points with their covariance: see :func:`endplate` and :func:`wall`.

    `roughness`: mm, standard deviation about a parabola; large where the side is no endplate or wall.
    """

    values: np.ndarray
    covariance: np.ndarray
    roughness: float


def endplate(t: np.ndarray, s: np.ndarray, back: float, front: float, noise: Noise | None) -> Side | None:
    """Heights of an endplate over the three bands, and its line: height in the middle and slope.

    None if under four fifths of it were seen.
    """
    depth = front - back
    middle = (front + back) / 2
    shares = (front - t) / depth
    in_span = (shares >= SPAN[0]) & (shares <= SPAN[1])
    seen = np.isfinite(s) & in_span
    if np.count_nonzero(seen) < max(5, 0.8 * np.count_nonzero(in_span)):
        return None
    t, s, shares = t[seen], s[seen], shares[seen]
    rows = []
    for low, high in BANDS:
        within = (shares >= low) & (shares <= high)
        if not within.any():
            return None
        rows.append(within / np.count_nonzero(within))
    return _side(np.array(rows), t - middle, s, noise)


def wall(t: np.ndarray, s: np.ndarray, middle: float, noise: Noise | None) -> Side | None:
    """The line of a wall: place at the height `middle` and slope; None if under four fifths of it were seen."""
    seen = np.isfinite(s)
    if np.count_nonzero(seen) < max(4, 0.8 * len(s)):
        return None
    t, s = t[seen] - middle, s[seen]
    return _side(np.zeros((0, len(t))), t, s, noise, _without_spurs(t, s))


def _without_spurs(t: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Weights (N,) of points for a line that follows most of them: Tukey's, of three deviations."""
    weights = np.ones_like(s)
    lines = np.stack([np.ones_like(t), t], axis=1)
    for turn in range(6):
        if turn == 0:
            slope, place = 0.0, float(np.median(s))
        else:
            place, slope = np.linalg.lstsq(lines * weights[:, None], s * weights, rcond=None)[0]
        rest = s - place - slope * t
        scale = max(_EVEN, 1.4826 * float(np.median(np.abs(rest))))
        weights = np.clip(1 - np.square(rest / (3 * scale)), 0.0, None)
    return weights


def _side(rows: np.ndarray, t: np.ndarray, s: np.ndarray, noise: Noise | None, trust: np.ndarray | None = None) -> Side:
    trust = np.ones_like(t) if trust is None else trust
    line = np.linalg.pinv(np.stack([np.ones_like(t), t], axis=1) * trust[:, None]) * trust
    weights = np.concatenate([rows, line])
    if noise is None:
        return Side(weights @ s, np.zeros((len(weights), len(weights))), 0.0)
    powers = np.stack([np.ones_like(t), t, np.square(t)], axis=1)
    rest = s - powers @ np.linalg.lstsq(powers, s, rcond=None)[0]
    return Side(weights @ s, weights @ noise.covariance(t) @ weights.T, float(np.sqrt(np.mean(np.square(rest)))))
