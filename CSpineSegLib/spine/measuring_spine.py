"""Measurements of the spine as a whole: angles from body to body, listhesis, the type of the curve, scoliosis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np

from . import measuring_discs as discs
from .measuring_bodies import BACK, FRONT, LOWER, UPPER, Fit, propagate, propagate_all
from .measuring_rows import YAW_SIGMA, Measurement, refused, told
from .measuring_sections import Solid

CERVICAL = ("C2", "C3", "C4", "C5", "C6", "C7")
# mm from the line of the ends, from which a body counts as before or behind it.
_AWAY = 2.0
SCOLIOSIS = 10.0
# Bodies that a cubic needs to say more than its own shape.
_FEWEST = 6
_DRAWS = 4000


def segmental(name: str, upper: Fit | str, lower: Fit | str) -> Measurement:
    """Angle between the lower endplates of two neighbours; the lower one may be no block, whose is that of another."""
    if not isinstance(lower, str) and lower.solid.is_block:
        return refused(
            "segmental_angle", name, f"the lower of them has no lower endplate within the {lower.solid.name}"
        )
    return _angle("segmental_angle", name, upper, lower)


def cobb(upper: Fit | str, lower: Fit | str) -> Measurement:
    """Angle between the lower endplates of C2 and C7."""
    return _angle("cobb_c2_c7", "C2-C7", upper, lower)


def _angle(key: str, name: str, upper: Fit | str, lower: Fit | str) -> Measurement:
    for fit in (upper, lower):
        if isinstance(fit, str):
            return refused(key, name, fit)
        if not fit.has("lower"):
            return refused(key, name, f"{fit.solid.name} has no lower endplate: {fit.missing['lower']}")
    value = propagate(lambda u, v: float(np.degrees(upper.angle(u, LOWER) - lower.angle(v, LOWER))), upper, lower)
    return told(key, name, *value)


def listhesis(name: str, space: discs.Space | str) -> Measurement:
    """How far the upper of two neighbours stands before the lower one."""
    if isinstance(space, str):
        return refused("listhesis", name, space)
    return told("listhesis", name, *discs.slip(space))


def centre_of(fit: Fit, values: np.ndarray) -> np.ndarray:
    """(2,) mm in the plane of the section: between the middles of both endplates."""
    return (middle_of(fit, values, UPPER) + middle_of(fit, values, LOWER)) / 2


def middle_of(fit: Fit, values: np.ndarray, side: slice) -> np.ndarray:
    """(2,) mm in the plane of the section: the middle of an endplate, between its corners."""
    return (fit.corner(values, side, FRONT) + fit.corner(values, side, BACK)) / 2


def curve_type(fits: Mapping[str, Fit | str]) -> Measurement:
    """Lordotic, straight, sigmoid or kyphotic; `fits` of C2 to C7 by level."""
    key, name = "lordosis_type", "C2-C7"
    for level in CERVICAL:
        fit = fits.get(level, f"{level} is not in the mask")
        if isinstance(fit, str):
            return refused(key, name, fit if level in fit else f"{level}: {fit}")
        needed = ("lower",) if level == "C2" else ("upper",) if level == "C7" else ("upper", "lower")
        for side in (*needed, "walls"):
            if not fit.has(side):
                return refused(key, name, f"{level}: {fit.missing[side]}")
    top, bottom = fits["C2"], fits["C7"]
    between = [fits[level] for level in CERVICAL[1:-1]]

    def distances(first: np.ndarray, last: np.ndarray, *others: np.ndarray) -> np.ndarray:
        start, stop = middle_of(top, first, LOWER), middle_of(bottom, last, UPPER)
        along = (start - stop) / np.linalg.norm(start - stop)
        before = np.array([along[1], -along[0]])
        return np.array([(centre_of(fit, v) - stop) @ before for fit, v in zip(between, others, strict=True)])

    found, covariance = propagate_all(distances, top, bottom, *between)
    kind = kind_of(found)
    drawn = np.random.default_rng(0).multivariate_normal(found, covariance, _DRAWS, method="eigh")
    share = float(np.mean([kind_of(one) == kind for one in drawn]))
    sigmas = np.sqrt(np.diag(covariance))
    largest = int(np.argmax(np.abs(found)))
    note = f"this type with {100 * share:.0f} % probability"
    return told(key, name, float(found[largest]), float(sigmas[largest]), kind, note)


def kind_of(distances: np.ndarray) -> str:
    """Type of a curve whose bodies lie that many mm before the line between its ends."""
    before, behind = np.max(distances) > _AWAY, np.min(distances) < -_AWAY
    return {(True, False): "lordotic", (False, True): "kyphotic", (True, True): "sigmoid"}.get(
        (bool(before), bool(behind)), "straight"
    )


def coronal(solids: Sequence[Solid]) -> Measurement:
    """Largest angle between tangents of the curve through the centres of bodies, in the coronal plane."""
    key = "coronal_angle"
    usable = [solid for solid in solids if len(solid.areas) and not solid.cut]
    name = f"{usable[0].name} to {usable[-1].name}" if usable else "spine"
    if len(usable) < _FEWEST:
        return refused(key, name, f"{len(usable)} whole bodies do not make a curve (at least {_FEWEST})")
    yaw = float(np.mean([solid.yaw for solid in usable]))
    value, gains = _bend(usable, yaw)
    sides = float(np.degrees(np.linalg.norm(gains * [solid.middle_sigma for solid in usable])))
    # A neck that is curved to the front seems curved to the side if it is turned.
    turned = abs(_bend(usable, yaw + YAW_SIGMA)[0] - _bend(usable, yaw - YAW_SIGMA)[0]) / 2
    sigma = float(np.hypot(sides, turned if usable[0].step else 0.0))
    return told(key, name, value, sigma, _verdict(value, sigma))


def _bend(solids: Sequence[Solid], yaw: float) -> tuple[float, np.ndarray]:
    """Degrees between the steepest tangents of the curve to the side, of a neck that is turned by `yaw`.

    And (n,) radians that they change by per mm to the right of each centre.
    """
    centres = np.array([solid.centre for solid in solids])
    right = centres[:, 0] * np.cos(yaw) + centres[:, 1] * np.sin(yaw)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(centres[:, 1:], axis=0), axis=1))])
    powers = np.vander(along / along[-1], 4, increasing=True)
    fine = np.linspace(0, 1, 101)
    slopes = np.stack([np.zeros_like(fine), np.ones_like(fine), 2 * fine, 3 * fine**2], axis=1)
    slopes = slopes @ np.linalg.pinv(powers) / along[-1]
    tilts = slopes @ right
    low, high = int(np.argmin(tilts)), int(np.argmax(tilts))
    gains = slopes[high] / (1 + tilts[high] ** 2) - slopes[low] / (1 + tilts[low] ** 2)
    return float(np.degrees(np.arctan(tilts[high]) - np.arctan(tilts[low]))), gains


def _verdict(value: float, sigma: float) -> str:
    if value - 1.96 * sigma > SCOLIOSIS:
        return "likely"
    return "possible" if value + 1.96 * sigma > SCOLIOSIS else "none"


def pairs(bodies: Sequence[Solid]) -> Iterator[tuple[str, Solid, Solid]]:
    """Neighbours from head to foot, with the name of what lies between them; not across a vertebra that is missing."""
    for upper, lower in pairwise(bodies):
        if lower.element.ordinal == upper.element.ordinal + max(upper.element.spans, 1):
            names = [
                solid.element.levels[end] if solid.element.levels else solid.name
                for solid, end in ((upper, -1), (lower, 0))
            ]
            yield "-".join(names), upper, lower
