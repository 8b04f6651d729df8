"""Figures per level of two masks whose anatomy is known, with fused blocks matched as what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import anatomy
from ...spine.labelling import Element, Labelling
from . import matching, structure, surfaces

MATCHES = (
    "matched",
    "fused in reference",
    "fused in candidate",
    "split in candidate",
    "regrouped",
    "missing",
    "extra",
)


def compare(
    reference: Labelling,
    candidate: Labelling,
    frame: structure.Frame,
    instances: np.ndarray | None = None,
    iou: float = 0.5,
) -> dict[str, Any]:
    """How the levels of two masks on the same voxels agree, ready for JSON.

    Parameters
    ----------
    frame : of the exam, see :func:`structure.frame`.
    instances : the candidate's instance volume on the reference's grid, if its own lies otherwise.
    iou : from which IoU on an element counts as detected.

    Returns
    -------
    dict with
        rows : from head to foot, what belongs together, each with `name` ("C5", "C5+C6", "C2-C3", or by place in the
            sequence while levels are relative), `kind`, `match` (one of `MATCHES`), `within_block`, `reference` and
            `candidate` (their level names), `shift`, and all figures of a structure.
        counts : rows by match, of bodies and of discs, and of the latter those within a block.
        elements : how many bodies, blocks and discs each mask has.
        level_shift_rate, level_shift_reason, named_dice : None with a reason unless both labellings are absolute.
        detection : for bodies and discs.
    """
    sides = reference, candidate
    volumes = reference.instances_volume, candidate.instances_volume if instances is None else instances
    box = surfaces.bounding_box(*volumes)
    indices = [_index(side, volume[box]) for side, volume in zip(sides, volumes, strict=True)]
    sizes = len(reference.elements), len(candidate.elements)
    table = matching.overlap(*indices, parts=sizes)
    places = [_places(index, size) for index, size in zip(indices, sizes, strict=True)]
    rows, detected = [], {}
    for key, discs in (("bodies", False), ("discs", True)):
        of_kind = [_of_kind(side, discs) for side in sides]
        part = table.cut(*of_kind)
        detected[key] = matching.detection(part, iou)
        for first, second in matching.groups(part):
            chosen = of_kind[0][first].tolist(), of_kind[1][second].tolist()
            box = _union([places[side][one] for side in (0, 1) for one in chosen[side]])
            masks = [np.isin(index[box], np.array(some) + 1) for index, some in zip(indices, chosen, strict=True)]
            row = _row(sides, chosen, table)
            rows.append((_height(sides, chosen), row | structure.of_pair(*masks, frame)))
    ordered = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
    return {
        "rows": ordered,
        "counts": {key: _counts(ordered, key == "discs") for key in ("bodies", "discs")},
        "elements": {name: _elements(side) for name, side in zip(("reference", "candidate"), sides, strict=True)},
        **_names(sides, ordered, table),
        "detection": detected,
    }


def _index(side: Labelling, volume: np.ndarray) -> np.ndarray:
    """The instance volume with each voxel's element, from 1; 0 for specks and background."""
    numbers = [number for element in side.elements for number in element.instances]
    values = np.zeros(max([int(volume.max(initial=0)), *numbers]) + 1, np.int32)
    for place, element in enumerate(side.elements, start=1):
        values[list(element.instances)] = place
    return values[volume]


def _places(index: np.ndarray, size: int) -> list[tuple[slice, ...] | None]:
    from scipy.ndimage import find_objects

    return find_objects(index, max_label=size) if size else []


def _union(boxes: Sequence[tuple[slice, ...] | None]) -> tuple[slice, ...]:
    there = [box for box in boxes if box is not None]
    if not there:
        return (slice(0, 0),) * 3
    ends = [(min(box[axis].start for box in there), max(box[axis].stop for box in there)) for axis in range(3)]
    return tuple(slice(*end) for end in ends)


def _of_kind(side: Labelling, discs: bool) -> np.ndarray:
    return np.array([place for place, one in enumerate(side.elements) if (one.kind == "disc") == discs], int)


def _row(
    sides: tuple[Labelling, Labelling], chosen: tuple[list[int], list[int]], table: matching.Overlap
) -> dict[str, Any]:
    ours, theirs = ([side.elements[one] for one in some] for side, some in zip(sides, chosen, strict=True))
    match = _match(ours, theirs)
    names = [_level_names(ours), _level_names(theirs)]
    return {
        "name": _name(ours or theirs),
        "kind": "block" if any(one.kind == "block" for one in ours + theirs) else (ours or theirs)[0].kind,
        "match": match,
        "within_block": match in ("missing", "extra") and _within_block(sides, chosen, table),
        "reference": names[0],
        "candidate": names[1],
        "shift": _position(names[1][0]) - _position(names[0][0]) if all(names) else None,
    }


def _match(ours: list[Element], theirs: list[Element]) -> str:
    if not theirs:
        return "missing"
    if not ours:
        return "extra"
    if len(ours) > 1:
        return "fused in candidate" if len(theirs) == 1 else "regrouped"
    if len(theirs) == 1:
        return "matched"
    return "fused in reference" if ours[0].kind == "block" else "split in candidate"


def _within_block(
    sides: tuple[Labelling, Labelling], chosen: tuple[list[int], list[int]], table: matching.Overlap
) -> bool:
    """Whether a lonely disc lies in a block of the other mask, by its voxels or by its name."""
    own, other = (0, 1) if chosen[0] else (1, 0)
    (place,) = chosen[own]
    disc = sides[own].elements[place]
    if disc.kind != "disc":
        return False
    shared = table.shared[place] if own == 0 else table.shared[:, place]
    size = (table.reference, table.candidate)[own][place]
    for there, element in enumerate(sides[other].elements):
        around = disc.levels and set(disc.levels[0].split("-")) <= set(element.levels)
        if element.kind == "block" and (around or 2 * shared[there] >= size > 0):
            return True
    return False


def _level_names(elements: Sequence[Element]) -> list[str]:
    return sorted({name for one in elements for name in one.levels}, key=_position)


def _position(level: str) -> int:
    """Place of a vertebra or disc among its kind, counted from the head."""
    kind = next(one.kind for one in anatomy.levels() if one.name == level)
    return [one.name for one in anatomy.levels() if one.kind == kind].index(level)


def _name(elements: Sequence[Element]) -> str:
    names = _level_names(elements)
    if names:
        return "+".join(names)
    kind = "disc below vertebra" if elements[0].kind == "disc" else "vertebra"
    last = max(one.ordinal + max(one.spans, 1) - 1 for one in elements)
    first = min(one.ordinal for one in elements)
    return f"{kind} {first}" if first == last else f"{kind} {first} to {last}"


def _height(sides: tuple[Labelling, Labelling], chosen: tuple[list[int], list[int]]) -> float:
    """Where a row stands: mm towards the feet of its first element (of the reference, if it has one)."""
    side, some = (sides[0], chosen[0]) if chosen[0] else (sides[1], chosen[1])
    instances = {one.number: one for one in side.instances}
    numbers = [number for one in some for number in side.elements[one].instances if number in instances]
    return -max((float(instances[number].centroid_mm[2]) for number in numbers), default=-np.inf)


def _counts(rows: Sequence[dict[str, Any]], discs: bool) -> dict[str, int]:
    own = [row for row in rows if (row["kind"] == "disc") == discs]
    found = Counter(row["match"] for row in own)
    counts = {match.replace(" ", "_"): found[match] for match in MATCHES}
    for match in ("missing", "extra") if discs else ():
        counts[f"{match}_within_block"] = sum(row["within_block"] for row in own if row["match"] == match)
    return counts


def _elements(side: Labelling) -> dict[str, int]:
    return {kind: sum(one.kind == kind for one in side.elements) for kind in ("body", "block", "disc")}


def _names(
    sides: tuple[Labelling, Labelling], rows: Sequence[dict[str, Any]], table: matching.Overlap
) -> dict[str, Any]:
    result: dict[str, Any] = {"level_shift_rate": None, "level_shift_reason": None, "named_dice": None}
    relative = [name for name, side in zip(("reference", "candidate"), sides, strict=True) if not side.absolute]
    if relative:
        result["level_shift_reason"] = f"levels are only relative in the {' and in the '.join(relative)}"
        return result
    result["named_dice"] = _named_dice(sides, table)
    both = [row for row in rows if row["reference"] and row["candidate"]]
    if both:
        result["level_shift_rate"] = sum(row["reference"] != row["candidate"] for row in both) / len(both)
    else:
        result["level_shift_reason"] = "nothing with a name in both masks belongs together"
    return result


def _named_dice(sides: tuple[Labelling, Labelling], table: matching.Overlap) -> dict[str, float]:
    names = [[set(one.levels) for one in side.elements] for side in sides]
    joined = np.array([[bool(one & other) for other in names[1]] for one in names[0]], bool)
    result = {}
    for first, second in matching.linked(joined.reshape(len(names[0]), len(names[1]))):
        elements = [sides[0].elements[one] for one in first] + [sides[1].elements[one] for one in second]
        part = table.cut(np.array(first, int), np.array(second, int))
        total = int(part.reference.sum() + part.candidate.sum())
        if any(one.levels for one in elements) and total:
            result["+".join(_level_names(elements))] = 2 * int(part.shared.sum()) / total
    return result
