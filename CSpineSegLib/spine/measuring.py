"""Measurements of a mask whose levels are known: each with its uncertainty, or with the reason why there is none.

The middle sagittal plane of every structure is interpolated between the slices beside it. Uncertainty is propagated to
first order from three sources: where a border was drawn (`boundary`), its rounding to pixels, and where the middle
plane lies between slices that are about 4 mm apart. What a mask leaves out or adds as a whole is not among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..volume import Volume
from . import measuring_spine as spine
from .labelling import Labelling
from .measuring_bodies import BACK, FRONT, LOWER, UPPER, Fit, fit
from .measuring_definitions import DEFINITIONS, Definition, definition
from .measuring_discs import Space, space_between
from .measuring_outline import Noise
from .measuring_rows import Measurement, keys, of_body, of_disc, refused
from .measuring_sections import Cut, Solid, cut

__all__ = ["BOUNDARY", "DEFINITIONS", "Definition", "Measurement", "Measurements", "definition", "measure"]

# Of a pixel: standard deviation of where a border is drawn. Hands that draw the same border differ by about a pixel
# from each other, each by .7 of that from their mean; half a pixel is for a mask that a second look has corrected.
BOUNDARY = 0.5
# mm, of slices 4 mm apart. Endplates are hollow by up to a millimetre and rise to the sides; their height between two
# slices is off by about a tenth of that.
_HOLLOW = 0.12
# Height over depth beyond which the uppermost body of a mask without names is taken for C2 with its dens.
_TALL = 1.3


@dataclass(frozen=True, eq=False)
class Measurements:
    """All measurements of an exam.

    Parameters
    ----------
    rows : bodies and discs from head to foot, then the spine.
    landmarks : RAS mm of corners, by body and name: "upper front", "upper back", "lower front", "lower back".
    boundary, pixel, step : mm that the uncertainties rest on.
    """

    rows: tuple[Measurement, ...]
    landmarks: dict[str, dict[str, tuple[float, float, float]]]
    boundary: float
    pixel: float
    step: float

    def get(self, key: str, of: str) -> Measurement:
        """One measurement; KeyError if the exam has no such structure."""
        for row in self.rows:
            if (row.key, row.of) == (key, of):
                return row
        raise KeyError((key, of))

    def table(self) -> list[dict]:
        """One dictionary of plain values a row, for a table or a JSON file."""
        return [_plain(row) for row in self.rows]


def _plain(row: Measurement) -> dict:
    low, high = row.interval or (None, None)
    return {
        "of": row.of,
        "key": row.key,
        "title": row.definition.title,
        "unit": row.definition.unit,
        "value": row.value,
        "sigma": row.sigma,
        "low": low,
        "high": high,
        "category": row.category,
        "reason": row.reason,
        "note": row.note,
    }


def measure(labelling: Labelling, mask: Volume, *, boundary: float | None = None) -> Measurements:
    """All measurements of a mask.

    Parameters
    ----------
    labelling : of this mask.
    mask : any orientation.
    boundary : mm, standard deviation of where its borders were drawn; half a pixel if None.

    Raises
    ------
    InputError : the labelling belongs to another grid.
    """
    sections = cut(labelling, mask)
    shape = _HOLLOW * sections.step / 4.0
    noise = Noise(BOUNDARY * sections.pixel if boundary is None else boundary, sections.pixel, shape)
    bodies = [solid for solid in sections.solids if solid.element.kind != "disc"]
    fits = fit_all(bodies, noise, labelling.absolute)
    rows = [*_structures(sections.solids, fits, noise), *_whole(bodies, fits, labelling.absolute)]
    return Measurements(tuple(rows), _landmarks(sections, fits), noise.boundary, sections.pixel, sections.step)


def fit_all(bodies: list[Solid], noise: Noise, absolute: bool) -> dict[str, Fit | str]:
    """Fits of bodies and blocks by name."""
    fits = {}
    for number, solid in enumerate(bodies):
        angle = _tilt(bodies, number)
        first = solid.element.levels[:1] == ("C2",)
        found = fit(solid, angle, noise, dens=first)
        if number == 0 and not absolute and _may_be_dens(found):
            found = fit(solid, angle, noise, dens=True)
        fits[solid.name] = found
    return fits


def _may_be_dens(found: Fit | str) -> bool:
    if isinstance(found, str) or not found.has("walls"):
        return True
    if not found.has("upper", "lower"):
        # Of what the edge of the image cuts nobody knows what would stand on it.
        return "upper" in found.missing and "top" not in found.solid.cut
    height = found.values[UPPER][3] - found.values[LOWER][3]
    return bool(height > _TALL * (found.values[FRONT][0] - found.values[BACK][0]))


def _tilt(bodies: list[Solid], number: int) -> float:
    """Radians, about how a body is tilted: across the line of its neighbours' centres."""
    near = [solid.centre for solid in bodies[max(0, number - 1) : number + 2] if len(solid.areas)]
    if len(near) < 2:
        return 0.0
    up = near[0] - near[-1]
    return float(np.arctan2(-up[1], up[2]))


def _structures(solids: tuple[Solid, ...], fits: dict[str, Fit | str], noise: Noise) -> Iterator[Measurement]:
    for number, solid in enumerate(solids):
        if solid.element.kind == "disc":
            yield from of_disc(solid, _beside(solids, number, fits), noise)
            continue
        yield from of_body(solid, fits[solid.name], noise)
        if solid.element.kind == "block":
            for level in solid.element.levels:
                reason = f"{level} is grown together with its neighbour in the {solid.name}"
                yield from (refused(key, level, reason) for key in keys("body"))


def _beside(solids: tuple[Solid, ...], number: int, fits: dict[str, Fit | str]) -> Space | str:
    """The space that a disc fills."""
    found = []
    for place, name in ((number - 1, "above"), (number + 1, "below")):
        if not 0 <= place < len(solids) or solids[place].element.kind == "disc":
            return f"there is no body {name} it"
        fitted = fits[solids[place].name]
        if isinstance(fitted, str):
            return f"the body {name} it gives no hold: {fitted}"
        found.append(fitted)
    return space_between(*found)


def _whole(bodies: list[Solid], fits: dict[str, Fit | str], absolute: bool) -> Iterator[Measurement]:
    for name, upper, lower in spine.pairs(bodies):
        yield spine.segmental(name, fits[upper.name], fits[lower.name])
        first, second = fits[upper.name], fits[lower.name]
        apart = next((one for one in (first, second) if isinstance(one, str)), None)
        yield spine.listhesis(name, apart or space_between(first, second))
    if absolute:
        by_level = _by_level(bodies, fits)
        absent = "{} is not in the mask"
        yield spine.cobb(*(by_level.get(level, absent.format(level)) for level in ("C2", "C7")))
        yield spine.curve_type(_alone(bodies, by_level))
    else:
        reason = "levels are relative, and nobody knows which bodies are C2 and C7"
        yield refused("cobb_c2_c7", "C2-C7", reason)
        yield refused("lordosis_type", "C2-C7", reason)
    yield spine.coronal(bodies)


def _by_level(bodies: list[Solid], fits: dict[str, Fit | str]) -> dict[str, Fit | str]:
    """The fit whose lower endplate is that of a level: of a block's last vertebra, the block's."""
    found: dict[str, Fit | str] = {}
    for solid in bodies:
        for level in solid.element.levels[:-1]:
            found[level] = f"{level} is grown together with the next and has no lower endplate"
        if solid.element.levels:
            found[solid.element.levels[-1]] = fits[solid.name]
    return found


def _alone(bodies: list[Solid], by_level: dict[str, Fit | str]) -> dict[str, Fit | str]:
    """The same without blocks: centres and upper endplates are no block's."""
    together = {level for solid in bodies if solid.element.kind == "block" for level in solid.element.levels}
    return {level: f"{level} is part of a block" if level in together else one for level, one in by_level.items()}


_CORNERS = {
    "upper front": ("upper", UPPER, FRONT),
    "upper back": ("upper", UPPER, BACK),
    "lower front": ("lower", LOWER, FRONT),
    "lower back": ("lower", LOWER, BACK),
}


def _landmarks(sections: Cut, fits: dict[str, Fit | str]) -> dict[str, dict[str, tuple[float, float, float]]]:
    found = {}
    for name, one in fits.items():
        if isinstance(one, str) or not one.has("walls"):
            continue
        corners = {
            corner: tuple(map(float, sections.patient(one.solid.middle, one.corner(one.values, end, side))))
            for corner, (needed, end, side) in _CORNERS.items()
            if one.has(needed)
        }
        found[name] = corners
    return found
