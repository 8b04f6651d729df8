"""Exams that are unlike the rest, each by a stated rule and with the reason: to be looked at, not to be left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import anatomy
from ..sections import Table
from .gathering import SPECK_MM3

if TYPE_CHECKING:
    import pandas

MOST_COMPONENTS = 15
ROBUST_Z, FEWEST = 3.5, 10
THIN_MM, MANY_SLICES = 2.0, 40
DISTANCE_OFF, TABLE_DISTANCE_OFF, TABLE_PIXEL_OFF, SQUARE_OFF = 0.2, 0.05, 0.02, 0.01
COMMON = 0.75

Found = Iterator[tuple[int, str, Any, Any, str]]


@dataclass(frozen=True)
class Rule:
    """A rule: what it says in words, the columns that it needs, and a function that finds (row, what, value, usual,
    reason)."""

    name: str
    words: str
    needs: tuple[str, ...]
    find: Callable[[pandas.DataFrame], Found]


def outliers(frame: pandas.DataFrame) -> tuple[Table, Table]:
    """The exams that a rule finds, and the rules with how many exams they judged and found."""
    import pandas

    rows, told = [], []
    for rule in RULES:
        judged = frame[frame[list(rule.needs)].notna().any(axis=1)]
        found = [
            {
                "exam": frame["stem"][at],
                "source": frame["source"][at],
                "rule": rule.name,
                "of": what,
                "value": _written(value),
                "usual": _written(usual),
                "reason": reason,
            }
            for at, what, value, usual, reason in rule.find(judged)
        ]
        exams = len({row["exam"] for row in found})
        told.append({"rule": rule.name, "definition": rule.words, "judged": len(judged), "found": exams})
        rows += found
    columns = ["exam", "source", "rule", "of", "value", "usual", "reason"]
    listed = pandas.DataFrame(rows, columns=columns).sort_values(["exam"], kind="stable", ignore_index=True)
    note = "To be looked at; an outlier is not an error by itself, and nothing is left out of other tables for it."
    return (
        Table("cohort-outliers", "Exams unlike the rest", listed, note, long=True),
        Table("cohort-rules", "Rules for outliers", pandas.DataFrame(told), "Judged: exams of which enough is known."),
    )


def _written(value: Any) -> str:
    """A number to four digits, without an exponent for volumes.

    >>> _written(48123.4), _written(0.34567), _written("square")
    ('48120', '0.3457', 'square')
    """
    return value if isinstance(value, str) else f"{float(f'{value:.4g}'):.12g}"


def robust_z(values: np.ndarray) -> np.ndarray:
    """(x - median) / (1.4826 MAD) of values (n,) (Iglewicz & Hoaglin 1993); NaN for all if under 10 are known or the
    MAD is 0.

    >>> robust_z(np.arange(11.0))[[0, 5]].round(2).tolist()
    [-1.12, 0.0]
    """
    known = values[np.isfinite(values)]
    if len(known) < FEWEST:
        return np.full(len(values), np.nan)
    middle = np.median(known)
    mad = np.median(np.abs(known - middle))
    return (values - middle) / (1.4826 * mad) if mad > 0 else np.full(len(values), np.nan)


def _components(frame: pandas.DataFrame) -> Found:
    for structure in anatomy.STRUCTURES:
        counts, specks = frame[f"{structure.key}_components"], frame[f"{structure.key}_specks"]
        usual = counts.median()
        for at in frame.index[counts > MOST_COMPONENTS]:
            if counts[at] - specks[at] > MOST_COMPONENTS:
                reason = "a wide field of view, which shows more of the spine; not an error by itself"
            else:
                reason = f"{specks[at]:.0f} of {counts[at]:.0f} components are specks under {SPECK_MM3:g} mm3"
            yield at, f"{structure.key}, components", counts[at], usual, reason


def _volumes(frame: pandas.DataFrame) -> Found:
    for structure in anatomy.STRUCTURES:
        values = frame[f"{structure.key}_mm3"].to_numpy(float)
        with np.errstate(divide="ignore"):
            z = robust_z(np.log(np.where(values > 0, values, np.nan)))
        for place in np.flatnonzero(np.abs(z) > ROBUST_Z):
            much = "more" if z[place] > 0 else "less"
            reason = f"much {much} {structure.key} than in the others (robust z {z[place]:+.1f}, of the logarithm)"
            yield frame.index[place], f"{structure.key}, mm3", values[place], np.nanmedian(values), reason


def _empty(frame: pandas.DataFrame) -> Found:
    for structure in anatomy.STRUCTURES:
        column = frame[f"{structure.key}_voxels"]
        for at in frame.index[column == 0]:
            yield at, f"{structure.key}, voxels", 0.0, column.median(), f"the mask holds no {structure.key}"


def _grid(frame: pandas.DataFrame) -> Found:
    for at in frame.index[(frame["slice_distance_mm"] < THIN_MM) | (frame["slices"] > MANY_SLICES)]:
        value = f"{frame['slices'][at]:.0f} slices every {frame['slice_distance_mm'][at]:.3g} mm"
        usual = f"{frame['slices'].median():.0f} every {frame['slice_distance_mm'].median():.3g} mm"
        yield at, "grid", value, usual, "a localizer or a 3D series, and not a stack of thick sagittal slices"


def _spacing(frame: pandas.DataFrame) -> Found:
    usual = frame["slice_distance_mm"].median()
    for at in frame.index[(frame["slice_distance_mm"] - usual).abs() > DISTANCE_OFF * usual]:
        yield at, "slice distance, mm", frame["slice_distance_mm"][at], usual, "slices lie otherwise than in the rest"
    usual = frame["in_plane_mm"].median()
    for at in frame.index[(frame["in_plane_mm"] < usual / 2) | (frame["in_plane_mm"] > 2 * usual)]:
        yield at, "in-plane spacing, mm", frame["in_plane_mm"][at], usual, "under half or over twice the usual"
    first, second = frame["in_plane_mm"], frame["in_plane_second_mm"]
    for at in frame.index[(first - second).abs() > SQUARE_OFF * first]:
        value = f"{first[at]:.4g} x {second[at]:.4g}"
        yield at, "in-plane spacing, mm", value, "square", "voxels are not square in plane"


def _orientation(frame: pandas.DataFrame) -> Found:
    shares = frame["orientation"].value_counts(normalize=True)
    if len(shares) and shares.iloc[0] >= COMMON:
        usual = shares.index[0]
        for at in frame.index[frame["orientation"].notna() & (frame["orientation"] != usual)]:
            reason = f"the array runs otherwise than in {shares.iloc[0]:.0%} of the exams; take axes from the affine"
            yield at, "orientation", frame["orientation"][at], usual, reason


def _tables(frame: pandas.DataFrame) -> Found:
    pairs = (
        ("slice distance, mm", "slice_distance_mm", "spacing_between_slices", TABLE_DISTANCE_OFF),
        ("in-plane spacing, mm", "in_plane_mm", "pixel_spacing", TABLE_PIXEL_OFF),
        ("slices", "slices", "number_of_instances", 0.0),
    )
    for what, column, other, tolerated in pairs:
        off = (frame[column] - frame[other]).abs() > tolerated * frame[other]
        for at in frame.index[off]:
            yield at, what, frame[column][at], frame[other][at], f"mr_series says otherwise ({other})"


def _mask_grid(frame: pandas.DataFrame) -> Found:
    words = {"lattice": "the image's voxels in another order or part", "different": "other voxels than the image's"}
    for at in frame.index[frame["mask_grid"].isin(list(words))]:
        yield at, "mask", frame["mask_grid"][at], "same", f"the mask lies on {words[frame['mask_grid'][at]]}"


def _unreadable(frame: pandas.DataFrame) -> Found:
    for kind in ("image", "mask"):
        column = frame[f"{kind}_problem"]
        for at in frame.index[column.notna()]:
            yield at, kind, "unreadable", "readable", column[at]


_BOTH = tuple(structure.key for structure in anatomy.STRUCTURES)
_FILES = ("matrix", "bodies_mm3", "image_problem", "mask_problem")
RULES = (
    Rule("unreadable", "The file cannot be used.", _FILES, _unreadable),
    Rule(
        "components",
        f"More than {MOST_COMPONENTS} connected components of a label (faces, edges and corners connect); a wide field "
        f"of view if more than {MOST_COMPONENTS} are of {SPECK_MM3:g} mm3 or more.",
        tuple(f"{key}_components" for key in _BOTH),
        _components,
    ),
    Rule(
        "volume",
        f"Robust z of the logarithm of a label's volume beyond {ROBUST_Z}, with median and 1.4826 MAD of all exams; "
        f"from {FEWEST} exams on.",
        tuple(f"{key}_mm3" for key in _BOTH),
        _volumes,
    ),
    Rule("empty", "A label has no voxel.", tuple(f"{key}_voxels" for key in _BOTH), _empty),
    Rule("grid", f"Slices every {THIN_MM:g} mm or less, or more than {MANY_SLICES} of them.", ("slices",), _grid),
    Rule(
        "spacing",
        f"Slice distance over {DISTANCE_OFF:.0%} off the median; in-plane spacing under half or over twice the median; "
        f"in-plane axes that differ by over {SQUARE_OFF:.0%}.",
        ("in_plane_mm",),
        _spacing,
    ),
    Rule("orientation", f"Another one than in at least {COMMON:.0%} of the exams.", ("orientation",), _orientation),
    Rule(
        "table",
        f"Header and table mr_series differ: slice distance by over {TABLE_DISTANCE_OFF:.0%}, in-plane spacing by over "
        f"{TABLE_PIXEL_OFF:.0%}, or the number of slices.",
        ("slices",),
        _tables,
    ),
    Rule("mask grid", "The mask does not lie on the image's own grid.", ("mask_grid",), _mask_grid),
)
