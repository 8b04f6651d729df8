"""Measurements of bodies and discs from their fitted sides: values, uncertainties, and reasons where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import measuring_discs as discs
from .measuring_bodies import BACK, DENS, FRONT, LOWER, UPPER, Fit, propagate
from .measuring_definitions import DEFINITIONS, Definition, definition
from .measuring_outline import CORRELATION, Noise
from .measuring_sections import Solid

_BODY_HEIGHTS = ("anterior_height", "middle_height", "posterior_height")
_DISC_HEIGHTS = ("disc_anterior_height", "disc_middle_height", "disc_posterior_height")


@dataclass(frozen=True)
class Measurement:
    """A quantity of one structure.

    Parameters
    ----------
    key : of its definition.
    of : the structure: "C5", "C5-C6", "C5-C6 block", "C2-C7", or "body 4" while levels are relative.
    value : in the definition's unit; None if it was refused.
    sigma : its standard uncertainty (one standard deviation), None if it was refused.
    reason : why it was refused, a phrase; "" otherwise.
    category : of what has one ("lordotic"), else "".
    note : what to know about it, a phrase, or "".
    """

    key: str
    of: str
    value: float | None
    sigma: float | None
    reason: str = ""
    category: str = ""
    note: str = ""

    @property
    def definition(self) -> Definition:
        return definition(self.key)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Limits between which the true value lies with 95 % probability; None if it was refused."""
        if self.value is None or self.sigma is None:
            return None
        return self.value - 1.96 * self.sigma, self.value + 1.96 * self.sigma


def refused(key: str, of: str, reason: str) -> Measurement:
    return Measurement(key, of, None, None, reason)


def told(key: str, of: str, value: float, sigma: float, category: str = "", note: str = "") -> Measurement:
    """A measurement, or its refusal if it is too uncertain for its definition."""
    limit = definition(key).limit
    if not np.isfinite(value) or not np.isfinite(sigma):
        return refused(key, of, "it could not be computed")
    if limit is not None and sigma > limit:
        unit = definition(key).unit
        return refused(key, of, f"it would be uncertain by {1.96 * sigma:.2g} {unit} (95 %)".replace("  ", " "))
    return Measurement(key, of, value, sigma, "", category, note)


def keys(kind: str) -> list[str]:
    """Of a body, disc or spine, in the order of the definitions."""
    return [one.key for one in DEFINITIONS if one.kind == kind]


def of_body(solid: Solid, fit: Fit | str, noise: Noise) -> Iterator[Measurement]:
    """All measurements of a body or block."""
    for place, key in enumerate(_BODY_HEIGHTS):
        yield _sided(key, solid, fit, ("upper", "lower", "walls"), lambda v, k=place: v[UPPER][k] - v[LOWER][k])
    yield _depth(solid, fit)
    yield _sided("wedge_angle", solid, fit, ("upper", "lower"), wedge)
    yield volume_of("body_volume", solid, noise)


def _depth(solid: Solid, fit: Fit | str) -> Measurement:
    """Depth along the body: a section of a neck that is turned against the slices is longer."""
    found = _sided("depth", solid, fit, ("walls",), lambda v: v[FRONT][0] - v[BACK][0])
    if found.value is None or not solid.yaw:
        return found
    turn = abs(found.value * np.sin(solid.yaw)) * float(np.hypot(YAW_SIGMA, _YAW_PART * solid.yaw))
    note = f"the neck is turned by {abs(np.degrees(solid.yaw)):.0f} degrees against the slices" if turn > 0.2 else ""
    sigma = float(np.hypot(found.sigma * np.cos(solid.yaw), turn))
    return told("depth", solid.name, float(found.value * np.cos(solid.yaw)), sigma, note=note)


def wedge(values: np.ndarray) -> float:
    """Degrees between both endplates of a body."""
    return float(np.degrees(np.arctan(values[UPPER][4]) - np.arctan(values[LOWER][4])))


def _sided(key: str, solid: Solid, fit: Fit | str, sides: tuple[str, ...], function) -> Measurement:
    if isinstance(fit, str):
        return refused(key, solid.name, fit)
    for side in sides:
        if side in fit.missing:
            return refused(key, solid.name, fit.missing[side])
    return told(key, solid.name, *propagate(function, fit))


def volume_of(key: str, solid: Solid, noise: Noise) -> Measurement:
    """Volume with its variance between slices and at its border."""
    if not len(solid.areas):
        return refused(key, solid.name, solid.refused)
    if solid.cut:
        return refused(key, solid.name, "the edge of the image cuts it")
    value = float(solid.areas.sum() * solid.step)
    return told(key, solid.name, value, float(np.sqrt(_between_slices(solid) + _at_border(solid, noise))))


# Radians to which a line through the slants of all bodies tells how the neck is turned, and the part of a strong turn
# that it misses, as slices at the sides hold corners: 3.3 degrees and up to half on phantoms.
YAW_SIGMA, _YAW_PART = np.deg2rad(3.5), 0.4
# Factor of Cavalieri's variance by the smoothness of the areas from slice to slice: 1/12 where a solid begins and ends
# abruptly, 1/240 where it tapers smoothly (Gundersen and Jensen 1987). Sides of bodies lie between; this is the factor
# of smoothness 1/4 (Garcia-Finana and Cruz-Orive 2004). Phantoms would need 1/29.
_SMOOTHNESS = 1 / 23


def _between_slices(solid: Solid) -> float:
    """mm6: variance of Cavalieri's estimate from its own areas."""
    size = len(solid.areas)
    areas = np.concatenate([solid.areas, np.zeros(2)])
    products = [float(areas[:size] @ areas[lag : lag + size]) for lag in range(3)]
    return max(0.0, _SMOOTHNESS * solid.step**2 * (3 * products[0] - 4 * products[1] + products[2]))


def _at_border(solid: Solid, noise: Noise) -> float:
    """mm6: variance of where the border was drawn, in each slice for itself."""
    # The integral of the covariance exp(-|d| / correlation) over a long outline.
    return float(solid.step**2 * noise.boundary**2 * 2 * CORRELATION * solid.outlines.sum())


def body_mean_height(fit: Fit | str) -> tuple[float, float] | None:
    """Mean of the three heights with its uncertainty; None if it has none."""
    if isinstance(fit, str) or not fit.has("upper", "lower", "walls"):
        return None
    return propagate(lambda v: float(np.mean(v[UPPER][:3] - v[LOWER][:3])), fit)


def of_disc(solid: Solid, space: discs.Space | str, noise: Noise) -> Iterator[Measurement]:
    """All measurements of a disc between two bodies."""
    name = solid.name
    found = space if isinstance(space, str) else discs.heights(solid, space, noise)
    for place, key in enumerate(_DISC_HEIGHTS):
        if isinstance(found, str):
            yield refused(key, name, found)
        else:
            yield told(key, name, float(found.values[place]), float(np.sqrt(found.covariance[place, place])))
    yield _index(name, found, space)
    yield volume_of("disc_volume", solid, noise)
    for key, front in (("anterior_bulge", True), ("posterior_bulge", False)):
        out = space if isinstance(space, str) else discs.bulge(solid, space, noise, front=front)
        yield refused(key, name, out) if isinstance(out, str) else told(key, name, *out)
    if isinstance(space, str):
        yield refused("disc_angle", name, space)
    else:
        yield told("disc_angle", name, *discs.opening(space))


def _index(name: str, found: discs.Heights | str, space: discs.Space | str) -> Measurement:
    key = "disc_height_index"
    if isinstance(found, str) or isinstance(space, str):
        return refused(key, name, str(found))
    bodies = [height for height in map(body_mean_height, (space.upper, space.lower)) if height is not None]
    if body_mean_height(space.lower) is None:
        return refused(key, name, "the height of the body below is not known")
    if len(bodies) < 2 and space.upper.missing.get("upper") != DENS:
        return refused(key, name, "the height of the body above is not known")
    if space.upper.solid.is_block or space.lower.solid.is_block:
        return refused(key, name, "beside it is a block of vertebrae, which has no height of one")
    disc, disc_sigma = float(found.values.mean()), float(np.sqrt(found.covariance.sum()) / 3)
    body = float(np.mean([height for height, _ in bodies]))
    body_sigma = float(np.sqrt(sum(sigma**2 for _, sigma in bodies)) / len(bodies))
    value = disc / body
    note = "" if len(bodies) == 2 else "over the body below alone"
    return told(key, name, value, abs(value) * float(np.hypot(disc_sigma / disc, body_sigma / body)), note=note)
