"""A body as four sides: two endplates and two walls in its middle sagittal plane, with their joint uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .measuring_outline import SPAN, WALL, Frame, Noise, Side, border, endplate, wall
from .measuring_sections import Section, Solid

# Places of the parameters of a fit. Of an endplate: heights in the front, middle and back band, of the line in its
# middle, and slope; of a wall: place in the middle of the height, and slope.
UPPER, LOWER, FRONT, BACK = slice(0, 5), slice(5, 10), slice(10, 12), slice(12, 14)
COUNT = 14
# Height over depth of a body whose upper or lower end is not an endplate (the dens; the edge of the image): the part of
# it that is looked at. C3 to C7 have .77 to .87 (Panjabi 1991).
_HEIGHT_SHARE = 0.8
DENS = "the dens stands on it instead of an upper endplate"
# mm within which a body's depth must be: a small child's and a large lumbar one's.
_DEPTHS = (6.0, 45.0)
# mm about a parabola, and radians between both: beyond, a border is not an endplate. Spurs, dents and the lip of the
# phantoms' endplates reach .9 mm and 25 degrees.
_ROUGHEST, _STEEPEST = 1.5, np.deg2rad(35)
# Radians by which endplates may be tilted against a line across the spine at their place.
_FARTHEST = np.deg2rad(35)
_PASSES = 4
# mm, or slope, by which parameters are moved to see what depends on them: small against any curvature of a formula.
_MOVE = 1e-5


@dataclass(frozen=True, eq=False)
class Fit:
    """Four sides of a body or block.

    Parameters
    ----------
    solid : what was fitted.
    frame : that the parameters are counted in; `up` is the mean of the normals of both endplates.
    values : (14,), nan where a side is missing; see UPPER, LOWER, FRONT and BACK.
    covariance : (14, 14), 0 there.
    middle_along, middle_up : mm in the frame, where the lines of endplates and walls are counted from.
    missing : why, by side: "upper", "lower" or "walls".
    """

    solid: Solid
    frame: Frame
    values: np.ndarray
    covariance: np.ndarray
    middle_along: float
    middle_up: float
    missing: dict[str, str]

    def has(self, *sides: str) -> bool:
        return not any(side in self.missing for side in sides)

    def angle(self, values: np.ndarray, side: slice) -> float:
        """Radians of an endplate in the plane of the section, from the front towards the head."""
        return self.frame.angle + float(np.arctan(values[side][4]))

    def corner(self, values: np.ndarray, end: slice, side: slice) -> np.ndarray:
        """(2,) mm in the plane of the section: where the lines of an endplate and of a wall meet."""
        _, _, _, height, slope = values[end]
        place, lean = values[side]
        # u = height + slope (a - middle_along); a = place + lean (u - middle_up)
        up = (height + slope * (place - lean * self.middle_up - self.middle_along)) / (1 - slope * lean)
        return self.frame.plane([place + lean * (up - self.middle_up), up])


def propagate(function: Callable[..., float], *fits: Fit) -> tuple[float, float]:
    """A value of one or more fits and its standard uncertainty; see :func:`propagate_all`."""
    values, covariance = propagate_all(function, *fits)
    return float(values[0]), float(np.sqrt(max(covariance[0, 0], 0.0)))


def propagate_all(function: Callable[..., np.ndarray | float], *fits: Fit) -> tuple[np.ndarray, np.ndarray]:
    """Values (n,) of one or more fits with their covariance (n, n), to first order.

    `function` gets the parameters of each fit. Fits are independent of each other.
    """
    values = [fit.values for fit in fits]
    found = np.atleast_1d(function(*values)).astype(float)
    covariance = np.zeros((len(found), len(found)))
    for number, fit in enumerate(fits):
        gradient = np.zeros((len(found), COUNT))
        for place in np.flatnonzero(np.diag(fit.covariance) > 0):
            moved = list(values)
            moved[number] = fit.values.copy()
            moved[number][place] += _MOVE
            gradient[:, place] = (np.atleast_1d(function(*moved)) - found) / _MOVE
        covariance += gradient @ fit.covariance @ gradient.T
    return found, covariance


def fit(solid: Solid, angle: float, noise: Noise, *, dens: bool = False) -> Fit | str:
    """Find the four sides of a body; or say in a phrase why not.

    Parameters
    ----------
    angle : radians, about how the body is tilted.
    dens : it goes on upwards without an endplate.
    """
    if solid.refused:
        return solid.refused
    if solid.cut & {"front", "back"}:
        return "the edge of the image cuts it in front or behind"
    missing = {side: "the edge of the image cuts it" for side, end in _ENDS if end in solid.cut}
    missing |= {"upper": DENS} if dens else {}
    if {"upper", "lower"} <= missing.keys():
        return "no endplate of it is in the image"
    box = _first_box(solid.sections, angle, missing)
    if isinstance(box, str):
        return box
    box = _narrowed(solid.sections, box)
    seen = _seen(solid.sections, box)
    for _ in range(_PASSES):
        box = _look(solid.sections, box, missing, seen)
        if isinstance(box, str):
            return box
        if abs(box.frame.angle - angle) > _FARTHEST:
            return "its endplates are far from square to the spine"
    return _combined(solid, box, missing, noise)


_ENDS = (("upper", "top"), ("lower", "bottom"))


@dataclass(frozen=True, eq=False)
class _Box:
    """A frame with the place of the four sides in it, mm: back and front along it, bottom and top up."""

    frame: Frame
    back: float
    front: float
    bottom: float
    top: float


def _first_box(sections: tuple[Section, ...], angle: float, missing: dict[str, str]) -> _Box | str:
    frame = Frame(np.zeros(2), angle)
    index = [np.argwhere(section.inside) * section.spacing + section.origin for section in sections]
    points = frame.own(np.concatenate(index))
    low, high = np.quantile(points[:, 1], (0.02, 0.98))
    if missing:
        # Only the part at the endplate: a first guess of the depth is the width of what lies there.
        end, sign = (low, 1) if "upper" in missing else (high, -1)
        near = (points[:, 1] - end) * sign <= 12.0
        points = points[near]
        depth = float(np.diff(np.quantile(points[:, 0], (0.05, 0.95)))[0]) / 0.9
        other = np.clip(end + sign * _HEIGHT_SHARE * depth, points[:, 1].min(), points[:, 1].max())
        low, high = sorted((end, other))
        points = points[(points[:, 1] >= low) & (points[:, 1] <= high)]
    if len(points) < 10 or high - low < 3:
        return "too little of it is seen"
    back, front = np.quantile(points[:, 0], (0.03, 0.97))
    return _centred(frame, back, front, low, high)


def _centred(frame: Frame, back: float, front: float, bottom: float, top: float, angle: float | None = None) -> _Box:
    """The box with its frame moved to its middle, and turned."""
    half = np.array([(front - back) / 2, (top - bottom) / 2])
    origin = frame.plane([(front + back) / 2, (top + bottom) / 2])
    turned = Frame(origin, frame.angle if angle is None else angle)
    return _Box(turned, -half[0], half[0], -half[1], half[1])


def _narrowed(sections: tuple[Section, ...], box: _Box) -> _Box:
    """The box between its walls, without the spurs that stand out of them."""
    height = box.top - box.bottom
    u = np.linspace(box.bottom + WALL[0] * height, box.bottom + WALL[1] * height, 25)
    middle = Frame(box.frame.plane([(box.front + box.back) / 2, 0.0]), box.frame.angle)
    ends = []
    for sign in (-1, 1):
        found = [border(section, middle, u, up=False, sign=sign, reach=40.0) for section in sections]
        if not np.isfinite(found).any():
            return box
        ends.append(float(np.nanmedian(found)))
    return _centred(middle, *ends, box.bottom, box.top)


def _seen(sections: tuple[Section, ...], box: _Box) -> float:
    """mm from the top to the bottom of what the image shows in the middle of the depth."""
    middle = np.array([(box.front + box.back) / 2])
    ends = []
    for section in sections:
        top, bottom = (border(section, box.frame, middle, up=True, sign=sign, reach=60.0)[0] for sign in (1, -1))
        if np.isfinite(top) and np.isfinite(bottom):
            ends.append(top - bottom)
    return max(ends, default=0.0)


def _look(sections: tuple[Section, ...], box: _Box, missing: dict[str, str], seen: float) -> _Box | str:
    """One more pass: the box about what is seen from it, turned to its endplates."""
    sides = [_sides(section, box, None) for section in sections]
    weights = np.array([section.weight for section in sections])
    means = []
    for number, name in enumerate(("upper", "lower", "front", "back")):
        found = [(w, one[number].values[-2:]) for w, one in zip(weights, sides, strict=True) if one[number] is not None]
        if not found and name not in missing:
            return f"its {name} border is not seen" if number < 2 else "its walls are not seen"
        means.append(sum(w * v for w, v in found) / sum(w for w, _ in found) if found else None)
    upper, lower, front, back = means
    depth = front[0] - back[0]
    if not _DEPTHS[0] <= depth <= _DEPTHS[1]:
        return f"it would be {depth:.0f} mm deep"
    ends = [None if name in missing else mean for name, mean in (("upper", upper), ("lower", lower))]
    slopes = [float(np.arctan(end[1])) for end in ends if end is not None]
    if len(slopes) == 2 and abs(slopes[0] - slopes[1]) > _STEEPEST:
        return "its borders above and below are too steep to each other to be endplates"
    usual = min(_HEIGHT_SHARE * depth, seen)
    top = lower[0] + usual if ends[0] is None else upper[0]
    bottom = upper[0] - usual if ends[1] is None else lower[0]
    if top - bottom < 2:
        return f"it would be {max(top - bottom, 0):.0f} mm high"
    return _centred(box.frame, back[0], front[0], bottom, top, box.frame.angle + float(np.mean(slopes)))


def _sides(section: Section, box: _Box, noise: Noise | None) -> tuple[Side | None, ...]:
    """Upper and lower endplate, front and back wall of a section; without covariances if there is no noise."""
    depth, height = box.front - box.back, box.top - box.bottom
    step = float(section.spacing.min()) / 2
    t = np.arange(box.front - SPAN[1] * depth, box.front - SPAN[0] * depth + step / 2, step)
    u = np.arange(box.bottom + WALL[0] * height, box.bottom + WALL[1] * height + step / 2, step)
    ends = [border(section, box.frame, t, up=True, sign=sign, reach=height / 2 + 8) for sign in (1, -1)]
    # What ends before three fifths of the way to an endplate is a spur in front or behind, and not part of it.
    ends = [np.where(sign * s > 0.3 * height, s, np.nan) for sign, s in zip((1, -1), ends, strict=True)]
    walls = [border(section, box.frame, u, up=False, sign=sign, reach=depth / 2 + 8) for sign in (1, -1)]
    middle = (box.top + box.bottom) / 2
    return (
        *(endplate(t, s, box.back, box.front, noise) for s in ends),
        *(wall(u, s, middle, noise) for s in walls),
    )


def _combined(solid: Solid, box: _Box, missing: dict[str, str], noise: Noise) -> Fit | str:
    """The parameters in the middle of the body: those of its sections, interpolated."""
    sections = [_sides(section, box, noise) for section in solid.sections]
    weights = np.array([section.weight for section in solid.sections])
    places = np.array([section.side for section in solid.sections])
    values, covariance = np.full(COUNT, np.nan), np.zeros((COUNT, COUNT))
    slant = np.zeros(COUNT)
    missing = dict(missing)
    for number, (name, part) in enumerate((("upper", UPPER), ("lower", LOWER), ("walls", FRONT), ("walls", BACK))):
        if name in missing:
            continue
        kept = [k for k, sides in enumerate(sections) if sides[number] is not None]
        if not kept or weights[kept].sum() < 0.45:
            missing[name] = "it is not seen in enough slices"
            continue
        found = np.array([sections[k][number].values for k in kept])
        share = weights[kept] / weights[kept].sum()
        roughness = float(share @ [sections[k][number].roughness for k in kept])
        if name != "walls" and roughness > _ROUGHEST:
            missing[name] = f"its border is too uneven for an endplate ({roughness:.1f} mm)"
            continue
        values[part] = share @ found
        for k, weight in zip(kept, share, strict=True):
            covariance[part, part] += weight**2 * sections[k][number].covariance
        slant[part] = _slant(places[kept], found, share)
    # Where the middle lies is not known exactly, and all sides slant from slice to slice.
    covariance += np.outer(slant, slant) * solid.middle_sigma**2
    if "walls" in missing:
        values[FRONT], values[BACK] = np.nan, np.nan
    if {"upper", "lower"} <= missing.keys():
        return missing["upper"]
    return Fit(solid, box.frame, values, covariance, (box.front + box.back) / 2, (box.top + box.bottom) / 2, missing)


def _slant(places: np.ndarray, found: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Change per mm to the right of parameters (n, p) at places (n,); 0 from a single slice."""
    away = places - share @ places
    spread = share @ np.square(away)
    return (share * away) @ found / spread if spread > 1e-6 else np.zeros(found.shape[1])
