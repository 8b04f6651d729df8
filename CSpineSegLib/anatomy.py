"""The vocabulary: structures of the masks, levels of the spine, their values, names, colours and codes.

Values and codes are read from `Resources/Terminologies/labels.tsv`. Labels are values, levels are names: 1 and 2 are
the dataset's; level labelmaps use the TotalSpineSeg values, where vertebrae and discs never collide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from . import resources
from .errors import InputError

BACKGROUND, BODY, DISC = 0, 1, 2
LABELS = (BACKGROUND, BODY, DISC)


@dataclass(frozen=True)
class Structure:
    """A label of a CSpineSeg mask.

    `color` is RGB in 0 to 1; `code` is a SNOMED CT code with its `meaning`.
    """

    label: int
    key: str
    name: str
    color: tuple[float, float, float]
    code: str
    meaning: str


@dataclass(frozen=True)
class Level:
    """A vertebra or disc by name ("C2", "C2-C3"), with its TotalSpineSeg value and SNOMED CT code."""

    name: str
    kind: str
    value: int
    code: str


STRUCTURES = (
    Structure(BODY, "bodies", "Vertebral bodies", (0.85, 0.25, 0.20), "3572006", "Vertebral body"),
    Structure(DISC, "discs", "Intervertebral discs", (0.20, 0.70, 0.35), "360499006", "Intervertebral disc"),
)


def structure(label: int) -> Structure:
    """The structure of a label value; InputError for any other value than 1 and 2."""
    for candidate in STRUCTURES:
        if candidate.label == label:
            return candidate
    raise InputError(f"Label {label} is not part of a CSpineSeg mask; it holds 1 (vertebral bodies) and 2 (discs).")


@cache
def levels() -> tuple[Level, ...]:
    """All vertebrae from C1 and all discs that have a TotalSpineSeg value, each list head to foot."""
    lines = resources.path("Terminologies", "labels.tsv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    found = []
    for line in lines[1:]:
        row = dict(zip(header, line.split("\t"), strict=True))
        kind = {"vertebra": "vertebra", "intervertebral disc": "disc"}.get(row["sct_kind"])
        if kind and row["totalspineseg"] != "-":
            name = row["structure"].removesuffix(" disc")
            found.append(Level(name, kind, int(row["totalspineseg"]), row["sct_code"]))
    return tuple(found)


def level_value(name: str) -> int:
    """TotalSpineSeg value of a level name, for instance 12 for "C2" and 63 for "C2-C3"."""
    for level in levels():
        if level.name == name:
            return level.value
    raise InputError(f"{name!r} is not a level of the spine; write it as 'C2' or 'C2-C3'.")


def level_name(value: int) -> str:
    """Level name of a TotalSpineSeg value, the inverse of :func:`level_value`."""
    for level in levels():
        if level.value == value:
            return level.name
    raise InputError(f"{value} is not the TotalSpineSeg value of a vertebra or disc.")
