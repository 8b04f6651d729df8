"""Elements of a spine as the cross-sections that sagittal slices make of them.

Coordinates of a section are millimetres along the grid: to the right across slices, to the front and to the head within
them, whatever the orientation of the file. Angles are counted from the front towards the head.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .. import volume
from ..errors import InputError
from ..volume import Volume
from .labelling import Element, Labelling

# mm. Slices nearer than this to the middle of a structure are averaged, so that thin slices do not measure one of them
# alone; slices of 4 mm are interpolated between the two beside the middle. A cervical body is 16 to 24 mm wide
# (Panjabi 1991), its uncinate processes stand on the outer third.
REACH = 4.0
# mm. With larger pixels an endplate of 15 mm is fewer than ten of them; with slices further apart, fewer than three go
# through a body of 18 mm, and its middle is not known.
LARGEST_PIXEL, LARGEST_STEP = 1.6, 6.0
# Of a section's weight around the middle, what has to be there: one slice of two that lie equally near.
_LEAST_WEIGHT = 0.45

_TAPER = 0.7


@dataclass(frozen=True, eq=False)
class Section:
    """What one slice shows of an element.

    Parameters
    ----------
    inside : (A, S) bool, with an empty margin.
    origin : (2,) mm to the front and to the head of the first pixel's centre.
    spacing : (2,) mm.
    side : mm to the right.
    weight : what it counts for, 1 in all.
    """

    inside: np.ndarray
    origin: np.ndarray
    spacing: np.ndarray
    side: float
    weight: float


@dataclass(frozen=True, eq=False)
class Solid:
    """An element, cut.

    Parameters
    ----------
    name : "C5", "C5-C6", "C5-C6 block", or "body 4", "disc 4", "block 4" while levels are relative.
    element : from the labelling; None of a solid that was not found in a mask.
    sections : those about its middle.
    middle : mm to the right, of its centre; `middle_sigma` its standard uncertainty.
    cut : of "top", "bottom", "front", "back" and "side", where the image ends on it.
    areas : (n,) mm2 in all slices from left to right, and `outlines` (n,) their perimeters in mm.
    step : mm between slices; 0 of a plane that was not cut from slices.
    centre : (3,) mm to the right, the front and the head.
    refused : why it cannot be measured in the sagittal plane, or "".
    slant : mm to the front per mm to the right, of the middles of its areas; nan of too few slices.
    yaw : radians, by how much the neck is turned against the slices at its height.
    """

    name: str
    element: Element | None
    sections: tuple[Section, ...]
    middle: float
    middle_sigma: float
    cut: frozenset[str]
    areas: np.ndarray
    outlines: np.ndarray
    step: float
    centre: np.ndarray
    refused: str = ""
    slant: float = np.nan
    yaw: float = 0.0

    @property
    def is_block(self) -> bool:
        """Whether it is several vertebrae that are grown together."""
        return "block" in self.name


@dataclass(frozen=True, eq=False)
class Cut:
    """A mask in sagittal sections.

    Parameters
    ----------
    solids : one for each element, in their order.
    affine : (4, 4) from millimetres to the right, the front and the head of the grid to RAS mm.
    pixel : mm, of a slice; the larger side.
    step : mm between slices.
    """

    solids: tuple[Solid, ...]
    affine: np.ndarray
    pixel: float
    step: float

    def patient(self, side: float, point: np.ndarray) -> np.ndarray:
        """(3,) RAS mm of a point (2,) of a section."""
        return self.affine[:3, :3] @ np.array([side, *point]) + self.affine[:3, 3]


def name_of(element: Element) -> str:
    """What a person calls an element."""
    if not element.levels:
        return f"{element.kind} {element.ordinal}"
    if element.kind == "block":
        return f"{element.levels[0]}-{element.levels[-1]} block"
    return element.levels[0]


def cut(labelling: Labelling, mask: Volume) -> Cut:
    """Sections of all elements of a labelling through the middle of each.

    Raises
    ------
    InputError : the labelling belongs to another grid.
    """
    if labelling.instances_volume.shape != mask.shape:
        raise InputError(
            f"The labelling has {labelling.instances_volume.shape} voxels and the mask {mask.shape}: "
            "label the mask that is to be measured."
        )
    turned = volume.reorient(volume.like(mask, labelling.instances_volume), "RAS")
    spacing = turned.spacing
    affine = turned.affine.copy()
    affine[:3, :3] /= spacing
    step, pixel = float(spacing[0]), float(spacing[1:].max())
    refused = ""
    if pixel > LARGEST_PIXEL:
        refused = f"pixels of {pixel:.1f} mm in the sagittal plane are too coarse (at most {LARGEST_PIXEL:g} mm)"
    elif step > LARGEST_STEP:
        refused = f"slices {step:.1f} mm apart do not show where the middle is (at most {LARGEST_STEP:g} mm)"
    boxes = _boxes(turned.array)
    solids = [_solid(element, turned.array, boxes, spacing, refused) for element in labelling.elements]
    return Cut(_with_yaw(solids), affine, pixel, step)


def _with_yaw(solids: list[Solid]) -> tuple[Solid, ...]:
    """The same, each with the yaw of the neck at its height: a line through what bodies show, as heads turn more."""
    shown = [s for s in solids if s.element.kind != "disc" and np.isfinite(s.slant) and not s.cut & {"front", "back"}]
    if not shown:
        return tuple(solids)
    heights = np.array([solid.centre[2] for solid in shown])
    line = np.polyfit(heights, np.arctan([solid.slant for solid in shown]), 1 if len(shown) > 3 else 0)
    ends = heights.min(), heights.max()
    return tuple(replace(one, yaw=float(np.polyval(line, np.clip(one.centre[2], *ends)))) for one in solids)


def _slant(inside: np.ndarray, areas: np.ndarray, spacing: np.ndarray) -> float:
    """mm to the front per mm to the right, of the slices that hold much of a solid."""
    kept = np.flatnonzero(areas > 0.5 * areas.max())
    if len(kept) < 3:
        return np.nan
    columns = np.arange(inside.shape[1]) * spacing[1]
    middles = [inside[k].sum(axis=1) @ columns / inside[k].sum() for k in kept]
    return float(np.polyfit(kept * spacing[0], middles, 1, w=np.sqrt(areas[kept]))[0])


def _boxes(instances: np.ndarray) -> list[tuple[slice, ...] | None]:
    from scipy.ndimage import find_objects

    return find_objects(instances.astype(np.int32))


def _solid(element: Element, instances: np.ndarray, boxes: list, spacing: np.ndarray, refused: str) -> Solid:
    found = [boxes[number - 1] for number in element.instances if number <= len(boxes) and boxes[number - 1]]
    empty = np.zeros(0)
    if not found:
        nowhere = Solid(name_of(element), element, (), 0.0, 0.0, frozenset(), empty, empty, spacing[0], np.zeros(3))
        return replace(nowhere, refused="it is not in the mask")
    low = np.min([[part.start for part in box] for box in found], axis=0)
    high = np.max([[part.stop for part in box] for box in found], axis=0)
    inside = np.isin(instances[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], element.instances)
    ends = {"back": low[1] == 0, "front": high[1] == instances.shape[1]}
    ends |= {"bottom": low[2] == 0, "top": high[2] == instances.shape[2]}
    ends["side"] = low[0] == 0 or high[0] == instances.shape[0]
    pixels = inside.sum(axis=(1, 2))
    areas = pixels * spacing[1] * spacing[2]
    places = (low[0] + np.arange(len(pixels))) * spacing[0]
    middle = float(np.average(places, weights=pixels))
    centre = (np.argwhere(inside).mean(axis=0) + low) * spacing
    padded = np.pad(inside, ((0, 0), (2, 2), (2, 2)))
    weights = np.clip(1 - np.abs(places - middle) / max(REACH, spacing[0]), 0, None)
    expected = _whole_weight(middle, spacing[0])
    kept = np.flatnonzero((weights > 0) & (areas > 0.25 * areas.max()))
    weights = weights[kept]
    if not refused and weights.sum() < _LEAST_WEIGHT * expected:
        refused = "the slices through its middle hold too little of it"
    sections = tuple(
        Section(padded[k], (low[1:] - 2) * spacing[1:], spacing[1:], float(places[k]), float(weight))
        for k, weight in zip(kept, weights / max(weights.sum(), 1e-9), strict=True)
    )
    return Solid(
        name_of(element),
        element,
        sections,
        middle,
        middle_sigma(areas, float(spacing[0])),
        frozenset(name for name, reached in ends.items() if reached),
        areas,
        _perimeters(padded, spacing),
        float(spacing[0]),
        centre,
        refused,
        _slant(inside, areas, spacing),
    )


def _whole_weight(middle: float, step: float) -> float:
    """The sum of weights of all slices about a middle if none were missing."""
    reach = max(REACH, step)
    places = np.arange(np.floor((middle - reach) / step), np.ceil((middle + reach) / step) + 1) * step
    return float(np.clip(1 - np.abs(places - middle) / reach, 0, None).sum())


def middle_sigma(areas: np.ndarray, step: float) -> float:
    """Standard uncertainty, mm, of the middle across slices.

    Each of the two outermost slices may be in or out: were the sides flat, the middle would be known to 1 / sqrt(24) of
    a step, averaged over all widths. Sides that taper weigh less: phantoms with steps of 3 to 5.5 mm err by .11 of a
    step in bodies and .08 in discs, C2 and turned necks by more.
    """
    return float(_TAPER * step / np.sqrt(24)) if len(areas) else 0.0


def _perimeters(inside: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """(n,) mm, by Cauchy's formula from the borders between pixels: staircases count as the slopes that they are."""
    along = [np.count_nonzero(np.diff(inside, axis=axis), axis=(1, 2)) for axis in (1, 2)]
    return np.pi / 4 * (along[0] * spacing[2] + along[1] * spacing[1])
