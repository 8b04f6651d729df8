"""What a labelling leaves: a labelmap of levels, and plain values for a JSON file, from which it can be read again."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import volume
from ..anatomy import level_value
from ..errors import InputError
from ..volume import Volume
from ..volume.grid import apply
from . import sizes
from .labelling import Element, Instance, Labelling
from .measuring_sections import name_of

# mm between the points of the centreline that places along it are counted from.
_FINE = 0.5


def level_volume(labelling: Labelling, mask: Volume) -> Volume:
    """The levels of a labelling as uint8 TotalSpineSeg values on its mask's grid; 0 where no level is known.

    A block is parted among its levels across the centreline, by how tall these vertebrae are in most people. That is
    for counting and for looks: where one vertebra of a block ends and the next begins cannot be seen.

    Raises
    ------
    InputError : the labelling belongs to another grid.
    """
    if labelling.instances_volume.shape != mask.shape:
        raise InputError(
            f"The levels were found on a grid of {labelling.instances_volume.shape} voxels, not {mask.shape}; "
            "find them again in this mask."
        )
    table = np.zeros(int(labelling.instances_volume.max()) + 1, np.uint8)
    for element in labelling.elements:
        if len(element.levels) == 1:
            table[list(element.instances)] = level_value(element.levels[0])
    values = table[labelling.instances_volume]
    for element in labelling.elements:
        if len(element.levels) > 1:
            own = np.array([level_value(name) for name in element.levels], np.uint8)
            part = _parted(labelling, mask, element, _points(labelling, mask, element))
            values[labelling.mask_of(element)] = own[part]
    return volume.like(mask, values)


def _parted(labelling: Labelling, mask: Volume, element: Element, points: np.ndarray) -> np.ndarray:
    """(N,) which of its levels each point (N, 3) RAS mm of a block lies in, counted from its first."""
    along = _along(labelling.line_mm, points)
    low, high = np.quantile(along, (0.01, 0.99))
    first = sizes.NAMES.index(element.levels[0])
    own = slice(first, first + element.spans)
    # A vertebra with what is left of the disc below it.
    heights = sizes.HEIGHT[own] + sizes.LEFT_OF_DISC * sizes.DISC[own]
    heights[-1] = sizes.HEIGHT[own][-1]
    if first == 0:
        # C2 has the dens on top, of which masks hold more or less; the others are as tall as this person's are.
        scale = _scale(labelling, mask, (high - low) / heights.sum())
        heights[0] = max(heights[0], (high - low) / scale - heights[1:].sum())
    ends = low + np.cumsum(heights[:-1]) * (high - low) / heights.sum()
    return np.minimum(np.searchsorted(ends, along), len(element.levels) - 1)


def _scale(labelling: Labelling, mask: Volume, default: float) -> float:
    """How tall this person's bodies are against the expected: median over the single bodies below C2."""
    ratios = []
    for element in labelling.bodies:
        cut = any(labelling.instance(number).touches_border for number in element.instances)
        if element.kind == "body" and element.levels and element.levels[0] != "C2" and not cut:
            along = _along(labelling.line_mm, _points(labelling, mask, element))
            low, high = np.quantile(along, (0.01, 0.99))
            ratios.append((high - low) / sizes.HEIGHT[sizes.NAMES.index(element.levels[0])])
    return float(np.median(ratios)) if ratios else default


def _points(labelling: Labelling, mask: Volume, element: Element) -> np.ndarray:
    """(N, 3) RAS mm of an element's voxels, in the order of the array."""
    return apply(mask.affine, np.argwhere(labelling.mask_of(element)).astype(np.float64))


def _along(line: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) mm along a line (M, 3) from head to foot of the place nearest to each point; straight on beyond its ends."""
    from scipy.spatial import cKDTree

    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    fine = np.linspace(0.0, length[-1], max(2, int(length[-1] / _FINE) + 1))
    places = np.stack([np.interp(fine, length, line[:, axis]) for axis in range(3)], axis=1)
    tangents = np.gradient(places, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    nearest = cKDTree(places).query(points)[1]
    return fine[nearest] + ((points - places[nearest]) * tangents[nearest]).sum(axis=1)


def centre(labelling: Labelling, element: Element) -> tuple[float, float, float]:
    """RAS mm, the mean of an element's voxels."""
    instances = [labelling.instance(number) for number in element.instances]
    weights = [instance.voxels for instance in instances]
    mean = np.average([instance.centroid_mm for instance in instances], axis=0, weights=weights)
    return tuple(float(value) for value in mean)


def to_json(labelling: Labelling) -> dict[str, Any]:
    """All of a labelling but its volume as plain values; coordinates are RAS mm.

    An instance bears the levels and the confidence of its element; a speck has none. Landmarks are the centres of the
    elements by name: "C5", "C5-C6", "C5-C6 block", or "body 4" while levels are relative.
    """
    elements = {number: element for element in labelling.elements for number in element.instances}
    return {
        "absolute": labelling.absolute,
        "reason": labelling.reason,
        "confidence": round(float(labelling.confidence), 4),
        "elements": [_element(element) for element in labelling.elements],
        "instances": [_instance(instance, elements[instance.number]) for instance in labelling.instances],
        "specks": [_instance(instance, None) for instance in labelling.specks],
        "landmarks": {
            name_of(element): {"centre": _rounded(centre(labelling, element))} for element in labelling.elements
        },
        # As exact as it is, since blocks are parted along it.
        "line_mm": labelling.line_mm.tolist(),
        "alternatives": [{"what": what, "score": round(float(score), 3)} for what, score in labelling.alternatives],
    }


def from_json(content: dict[str, Any], instances_volume: np.ndarray) -> Labelling:
    """The labelling that :func:`to_json` wrote, with the volume that belongs to it.

    Raises
    ------
    InputError : it is not such a content, or belongs to another volume.
    """
    try:
        elements = tuple(
            Element(
                one["kind"],
                tuple(one["levels"]),
                one["ordinal"],
                tuple(one["instances"]),
                one["confidence"],
                one["note"],
                one["spans"],
            )
            for one in content["elements"]
        )
        found = Labelling(
            instances_volume=instances_volume.astype(np.uint16),
            instances=tuple(_of_plain(one) for one in content["instances"]),
            elements=elements,
            specks=tuple(_of_plain(one) for one in content["specks"]),
            absolute=content["absolute"],
            reason=content["reason"],
            confidence=content["confidence"],
            line_mm=np.array(content["line_mm"], np.float64).reshape(-1, 3),
            alternatives=tuple((one["what"], one["score"]) for one in content["alternatives"]),
        )
        counts = np.bincount(found.instances_volume.reshape(-1))
        told = {instance.number: instance.voxels for instance in (*found.instances, *found.specks)}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The record of levels lacks or misstates {error}; find the levels again.") from None
    if {int(number): int(counts[number]) for number in np.flatnonzero(counts) if number} != told:
        raise InputError("The record of levels and its instances do not belong together; find the levels again.")
    return found


def _element(element: Element) -> dict[str, Any]:
    return {
        "name": name_of(element),
        "kind": element.kind,
        "levels": list(element.levels),
        "ordinal": element.ordinal,
        "spans": element.spans,
        "confidence": round(float(element.confidence), 4),
        "note": element.note,
        "instances": list(element.instances),
    }


def _instance(instance: Instance, element: Element | None) -> dict[str, Any]:
    return {
        "number": instance.number,
        "label": instance.label,
        "levels": list(element.levels) if element else [],
        "of": name_of(element) if element else None,
        "confidence": round(float(element.confidence), 4) if element else None,
        "voxels": instance.voxels,
        "volume_mm3": round(instance.volume_mm3, 3),
        "centroid_mm": _rounded(instance.centroid_mm),
        "box_mm": _rounded(instance.box_mm),
        "slices": list(instance.slices),
        "touches_border": instance.touches_border,
    }


def _of_plain(one: dict[str, Any]) -> Instance:
    return Instance(
        one["number"],
        one["label"],
        one["voxels"],
        one["volume_mm3"],
        np.array(one["centroid_mm"], np.float64),
        np.array(one["box_mm"], np.float64),
        tuple(one["slices"]),
        one["touches_border"],
    )


def _rounded(values: Any) -> Any:
    return np.round(np.asarray(values, np.float64), 3).tolist()
