"""From a reading to elements with names, the reason for them or against, and what else it might be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..anatomy import levels
from ..errors import InputError
from . import sizes
from .fusion import MOST, Reading, Step
from .labelling import Element

# Names are given from this probability of the first level on.
SURE = 0.95
# No count is believed that is less probable than this.
_COUNTED = 0.8
_C7 = sizes.NAMES.index("C7")
# What another count of cervical vertebrae changes: one at the junction is transitional.
_NECKS = {
    6: "a transitional vertebra ends a neck of six, and what is named C7 is T1",
    8: "a transitional vertebra ends a neck of eight, and what is named T1 belongs to it",
}
# Readings are told as alternatives while they are less than this many log odds behind.
_TOLD = 12.0
_MOST_TOLD = 6


def elements(
    reading: Reading, bodies: dict[Step, list[np.ndarray]], owner: np.ndarray, numbers: np.ndarray
) -> list[Element]:
    """The elements from head to foot, without names; `numbers` (N,) receives the number of each voxel's instance."""
    found: list[Element] = []

    def add(kind: str, members: np.ndarray, ordinal: int, sure: float, note: str, spans: int) -> None:
        number = int(numbers.max()) + 1
        numbers[members] = number
        found.append(Element(kind, (), ordinal, (number,), sure, note, spans))

    gap = False
    for step, sure in zip(reading.steps, reading.sure, strict=True):
        parts = bodies[step]
        ordinal = step.above + 1
        missing = max(step.spans - len(parts), 0) if len(parts) > 1 or not parts else 0
        for part, spans in zip(parts, _shares(parts, step.spans), strict=True):
            note = _note(gap or part is not parts[0], spans)
            add("block" if spans > 1 else "body", part, ordinal, sure, note, spans)
            ordinal += spans
        if not parts and step.spans and step is not reading.steps[-1] and found:
            found[-1] = replace(found[-1], note=_joined(found[-1].note, f"{missing or step.spans} missing below"))
        if step is not reading.steps[-1]:
            members = np.flatnonzero(owner == step.lower)
            gap = not len(members)
            if not gap:
                add("disc", members, step.above + step.spans, sure, "", 0)
    return found


def _shares(parts: Sequence[np.ndarray], spans: int) -> list[int]:
    """How many of `spans` vertebrae each part holds: by size, at least one each."""
    shares = [1] * len(parts)
    for _ in range(spans - len(parts) if parts else 0):
        largest = max(range(len(parts)), key=lambda k: len(parts[k]) / shares[k])
        shares[largest] += 1
    return shares


def _note(below_another: bool, spans: int) -> str:
    note = "no disc labelled above" if below_another else ""
    return _joined(note, f"{spans} vertebrae in one" if spans > 1 else "")


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def first_level(reading: Reading) -> tuple[int | None, str, float]:
    """Index of the first vertebra's level or None, why, and the probability."""
    best = int(reading.firsts.argmax())
    name, probability = sizes.NAMES[best], float(reading.firsts[best])
    sure = min(reading.counted, default=1.0)
    counts = zip(reading.steps, [*reading.counted, 1.0], strict=True)
    unsure = next((step for step, counted in counts if step.spans == MOST or counted < _COUNTED), None)
    if unsure is not None:
        why = f"how many vertebrae there are from the top to number {unsure.above + unsure.spans} is not clear"
        return (
            None,
            f"Levels are relative, not absolute: {why}; give one level as an anchor.",
            probability * min(sure, 0.5),
        )
    percent = f"{100 * min(probability, 0.999):.0f} %"
    if probability >= SURE:
        why = f"Heights from the top down fit a spine that begins with {name} only"
        why = "The topmost body has the shape of C2 with its dens" if best == 0 else why
        return best, f"{why} ({percent} sure).", min(probability, sure)
    if reading.firsts[0] >= 0.2:
        why = "the topmost body may be C2, but its dens is not seen well enough to tell"
    else:
        why = "C2 is not seen in it, and nothing else tells the levels apart"
    return None, f"Levels are relative, not absolute: {why}; give one level as an anchor.", probability


def first_from(element: Element, name: str, part: int) -> int:
    """Index of the first vertebra's level if an element (its vertebra `part`) is of a level.

    Raises
    ------
    InputError : an unknown level, a disc's for a body or the other way round, or one that would put C1 into the mask.
    """
    known = {level.name: level.kind for level in levels()}
    if name not in known or name == "C1":
        raise InputError(f"{name!r} is not a level that an anchor can have; write it as 'C2' or 'C2-C3'.")
    disc = known[name] == "disc"
    if disc != (element.kind == "disc"):
        there = "a disc" if element.kind == "disc" else "a vertebral body"
        raise InputError(f"At the anchor lies {there}, which cannot be {name}.")
    index = sizes.NAMES.index(name.split("-")[0])
    first = index - (element.ordinal - 1 + part)
    if first < 0:
        raise InputError(
            f"{name} cannot be there: {element.ordinal - 1 + part} vertebrae of the mask lie above it, and only "
            f"{index} from C2 on could."
        )
    return first


def named(found: Sequence[Element], first: int | None, confidence: float, reading: Reading) -> tuple[Element, ...]:
    """The elements with the names that follow from the first vertebra's level.

    From C7 down they bear the chance that the neck has six or eight vertebrae.
    """
    if first is None:
        return tuple(found)
    seven = 1 / (1 + sum(np.exp(odds) for odds in reading.necks.values()))
    result = []
    for element in found:
        lowest = first + element.ordinal - 1 + (1 if element.kind == "disc" else element.spans - 1)
        sure = min(element.confidence, confidence) * (seven if lowest >= _C7 else 1.0)
        result.append(replace(element, levels=names_of(element, first), confidence=float(sure)))
    return tuple(result)


def names_of(element: Element, first: int) -> tuple[str, ...]:
    """Level names of an element; none below T12, for which there are no values."""
    index = first + element.ordinal - 1
    if element.kind == "disc":
        if index < 0 or index + 1 > sizes.LAST_NAMED:
            return ()
        return (f"{sizes.NAMES[index]}-{sizes.NAMES[index + 1]}",)
    return tuple(sizes.NAMES[k] for k in range(index, min(index + element.spans, sizes.LAST_NAMED + 1)))


def alternatives(reading: Reading, first: int | None, anchored: bool) -> tuple[tuple[str, float], ...]:
    """What else the mask might be, and by how many log odds less likely it is (negative); what an anchor says is not
    in question."""
    told = []
    best = int(reading.firsts.argmax())
    with np.errstate(divide="ignore"):
        behind = np.log(reading.firsts) - np.log(reading.firsts[best])
    for k, odds in enumerate(behind if not anchored else ()):
        if k != best or first is None:
            told.append((f"the first vertebra is {sizes.NAMES[k]}", float(odds)))
    for (step, spans), behind_best in reading.others.items():
        if abs(spans - step.spans) == 1 and spans and step.spans:
            told.append((_other(step, spans, first), -behind_best))
    if first == reading.first:
        told += [(_NECKS[count], odds) for count, odds in reading.necks.items()]
    told = sorted((entry for entry in told if entry[1] > -_TOLD), key=lambda entry: -entry[1])
    return tuple((text, round(odds, 2)) for text, odds in told[:_MOST_TOLD])


def _other(step: Step, spans: int, first: int | None) -> str:
    def name(above: int) -> str:
        index = above + (first or 0)
        return sizes.NAMES[index] if first is not None and index < sizes.COUNT else f"vertebra {above + 1}"

    count = "one vertebra" if spans == 1 else f"{spans} vertebrae"
    last = step.above + step.spans - 1
    what = name(step.above) if step.spans == 1 else f"{name(step.above)} to {name(last)}"
    return f"what is read as {what} is {count}"
