"""From a mask to levels: the one function that the rest of the house calls, and when it keeps quiet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..anatomy import LABELS
from ..errors import InputError
from ..volume import Volume
from . import frame as frames
from . import fusion, gaps, instances, naming, sheets, stretches
from .fusion import Evidence
from .labelling import Element, Labelling

# mm from a body or disc within which a click means it.
_CLICK = 6.0
_NO_PART = "The mask holds no vertebral body and no disc along the line of a spine; check it."


def label(mask: Volume, *, anchor: tuple[str, Sequence[float]] | None = None) -> Labelling:
    """The bodies and discs of a mask in their order, with their levels if something supports them.

    Parameters
    ----------
    mask : 0 background, 1 vertebral bodies, 2 discs.
    anchor : a level and a point (3,) RAS mm in or beside it, for instance ("C2", (1.5, 20.0, 43.0)); names then count
        from there, whatever the mask suggests.

    Raises
    ------
    InputError : other labels than these; an anchor that meets nothing or cannot be.
    """
    _check(mask)
    frame = frames.build(mask)
    if frame.line is None:
        return _nothing(mask, frame, "The mask holds too little of a spine to find its line; segment again.")
    found = sheets.find(frame)
    found = sorted([*found, *gaps.find(frame, found)], key=lambda sheet: sheet.place)
    measured = stretches.measure(frame, found)
    if not found and not len(measured.bodies):
        return _nothing(mask, frame, _NO_PART)
    reading = fusion.read(_evidence(mask, frame, found, measured))
    bodies, owner = instances.split(frame, reading, found)
    numbers = np.zeros(len(frame.labels), np.int64)
    elements = naming.elements(reading, bodies, owner, numbers)
    if not elements:
        return _nothing(mask, frame, _NO_PART)
    described = tuple(
        instances.describe(mask, frame, np.flatnonzero(numbers == number), 1 + (element.kind == "disc"), number)
        for element in elements
        for number in element.instances
    )
    specks = instances.specks(mask, frame, numbers)
    first, reason, confidence = naming.first_level(reading)
    if anchor is not None:
        first, reason = _anchored(frame, numbers, elements, anchor)
        confidence = 1.0
    return Labelling(
        instances_volume=instances.whole(mask, frame, numbers),
        instances=described,
        elements=naming.named(elements, first, confidence, reading),
        specks=specks,
        absolute=first is not None,
        reason=reason,
        confidence=confidence,
        line_mm=frame.line_points(),
        alternatives=naming.alternatives(reading, first, anchor is not None),
    )


def _check(mask: Volume) -> None:
    if mask.array.ndim != 3:
        raise InputError(f"A mask has three axes, not {mask.array.ndim}.")
    known = mask.array == 0
    for value in LABELS:
        known |= mask.array == value
    if not known.all():
        values = np.unique(mask.array[~known])
        strange = ", ".join(f"{value:g}" for value in values[:5])
        raise InputError(f"The mask holds {strange}; levels are found in masks of 1 (vertebral bodies) and 2 (discs).")


def _nothing(mask: Volume, frame: frames.Frame, reason: str) -> Labelling:
    """No element: all that there is are specks."""
    numbers = np.zeros(len(frame.labels), np.int64)
    specks = instances.specks(mask, frame, numbers)
    volume = instances.whole(mask, frame, numbers)
    return Labelling(volume, (), (), specks, False, reason, 0.0, frame.line_points())


def _evidence(mask: Volume, frame: frames.Frame, found: list[sheets.Sheet], measured: stretches.Stretches) -> Evidence:
    count = len(found)
    reach = min(count, fusion.PASSED + 1)
    upper, lower = [], []
    for k in range(max(reach, 1)):
        above = measured.bodies[measured.cell <= k] if count else measured.bodies
        below = measured.bodies[measured.cell >= count - k] if count else measured.bodies
        # What is no disc is bone that was called one, as the dens is at times.
        above = np.concatenate([above, *(sheet.members for sheet in found[:k])])
        below = np.concatenate([below, *(sheet.members for sheet in found[count - k :])])
        upper.append(stretches.end(frame, mask, above, found[k] if count else None, True))
        lower.append(stretches.end(frame, mask, below, found[count - 1 - k] if count else None, False))
    return Evidence(found, measured.volume, measured.depth, upper, lower)


def _anchored(
    frame: frames.Frame, numbers: np.ndarray, elements: Sequence[Element], anchor: tuple[str, Sequence[float]]
) -> tuple[int, str]:
    """Index of the first vertebra's level, and the sentence, for an anchor."""
    name, point = anchor
    point = np.asarray(point, np.float64).reshape(-1)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise InputError(f"The anchor of {name} needs three coordinates in mm (right, anterior, superior).")
    where = f"({point[0]:.1f}, {point[1]:.1f}, {point[2]:.1f})"
    of = {number: element for element in elements for number in element.instances}
    known = np.where(np.isin(numbers, list(of)), numbers, 0)
    number, away = instances.nearest(frame, known, point)
    if away > max(_CLICK, frame.slices):
        raise InputError(
            f"Nothing of the mask lies at the anchor {name} = {where}; the nearest body or disc is {away:.0f} mm away. "
            "Coordinates are RAS in mm, as Slicer shows them."
        )
    element = of[number]
    members = np.flatnonzero(numbers == number)
    place = frame.place(point[None])[0, 0]
    first = naming.first_from(element, name, _part(element, frame.along[members], place))
    return first, f"Levels count from {name}, which was given at {where}."


def _part(element: Element, along: np.ndarray, place: float) -> int:
    """Which vertebra of a block a place along the line lies in, from 0."""
    if element.spans < 2:
        return 0
    low, high = np.quantile(along, (0.01, 0.99))
    share = (place - low) / max(high - low, 1e-6)
    return int(np.clip(share * element.spans, 0, element.spans - 1))
