"""Which properties of a cohort go together: cross-tables and tests with effect sizes, adjusted over their family."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dataset.tables import is_blank
from .. import statistics
from ..sections import Table
from .describing import DEMOGRAPHICS, NUMBERS, SCANNER, UNKNOWN, VOLUMES, ordered, texts

if TYPE_CHECKING:
    import pandas

# Smaller groups are described, not tested.
SMALLEST = 30
ALPHA = 0.05
_TITLES = {**DEMOGRAPHICS, **SCANNER, **NUMBERS, **VOLUMES, "age_group": "Age group", "source": "Source"}

# Pairs of groupings, then numbers with the groupings that they are compared by.
CROSSED = (
    *(("source", other) for other in ("sex", "age_group", "race", "ethnicity", "manufacturer", "field_strength")),
    ("sex", "age_group"),
    ("race", "sex"),
    ("race", "age_group"),
    ("race", "ethnicity"),
    ("manufacturer", "field_strength"),
    ("manufacturer", "sex"),
    ("manufacturer", "race"),
)
_ALL = ("source", "sex", "age_group", "race", "manufacturer", "field_strength")
COMPARED = {
    "age": ("source", "sex", "race", "ethnicity", "manufacturer"),
    "bodies_mm3": _ALL,
    "discs_mm3": _ALL,
    "bodies_voxels": ("manufacturer", "field_strength"),
    "discs_voxels": ("manufacturer", "field_strength"),
    "bodies_components": _ALL,
    "discs_components": _ALL,
    "in_plane_mm": ("source", "manufacturer"),
    "slice_distance_mm": ("source", "manufacturer"),
}


def first_exams(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Each patient's first exam, so that the rows of a test are independent."""
    return frame.drop_duplicates("patient_id")


def _is_told(labels: pandas.Series) -> pandas.Series:
    """Whether each label is a group; "Not Reported" and other words for nothing are none."""
    return labels.map(lambda value: value != UNKNOWN and not is_blank(value)).astype(bool)


def crossed(frame: pandas.DataFrame) -> Table:
    """The cross-tables in one table of counts of patients."""
    import pandas

    people = first_exams(frame)
    rows = []
    for first, second in CROSSED:
        one, other = texts(people[first]), texts(people[second])
        for value in ordered(one, first):
            inside = one == value
            for beside in ordered(other, second):
                count = int((inside & (other == beside)).sum())
                rows.append([_TITLES[first], value, _TITLES[second], beside, count, 100 * count / int(inside.sum())])
    columns = ["first", "value", "second", "other", "patients", "percent"]
    note = "Patients by their first exam; percent of those with the first value. The unknown are counted."
    return Table("cohort-crosstables", "Cross-tables", pandas.DataFrame(rows, columns=columns), note, long=True)


def tests(frame: pandas.DataFrame, smallest: int = SMALLEST) -> tuple[Table, Table]:
    """All tests with effect sizes, and Dunn's pairs of those that differ.

    Parameters
    ----------
    smallest : numbers are compared among groups of at least so many patients.
    """
    import pandas

    people = first_exams(frame)
    found = [*_crossed_tests(people), *_compared_tests(people, smallest)]
    adjusted = statistics.adjust([test.p for *_, test, _ in found])
    rows = [
        {
            "of": _TITLES[of],
            "by": _TITLES[by],
            "test": test.name,
            "statistic": test.statistic,
            "p": test.p,
            "p_adjusted": float(p),
            "effect": np.nan if test.effect is None else test.effect,
            "effect_name": test.effect_name,
            "n": sum(test.n),
            "groups": groups,
            "note": test.note,
        }
        for (of, by, groups, test, _), p in zip(found, adjusted, strict=True)
    ]
    pairs = []
    for (of, by, _, _, samples), p in zip(found, adjusted, strict=True):
        if len(samples) > 2 and p < ALPHA:
            dunn = statistics.dunn(samples)
            dunn.insert(0, "by", _TITLES[by])
            dunn.insert(0, "of", _TITLES[of])
            pairs.append(dunn)
    family = int(np.isfinite(adjusted).sum())
    note = (
        f"Patients by their first exam, so that they are independent. p_adjusted: Benjamini and Hochberg over the "
        f"{family} tests of this table. Unknown and not reported values are left out, and so are groups of under "
        f"{smallest} patients where numbers are compared. A rank-biserial effect is positive if the first group of "
        "the row tends to be larger."
    )
    columns = ["of", "by", "first", "second", "z", "p", "p_adjusted"]
    paired = pandas.concat(pairs, ignore_index=True)[columns] if pairs else pandas.DataFrame(columns=columns)
    held = "Of tests of three groups or more with an adjusted p below .05; p_adjusted: Holm over the pairs of one test."
    return (
        Table("cohort-tests", "What goes together", pandas.DataFrame(rows), note, long=True),
        Table("cohort-pairs", "Dunn's tests of pairs of groups", paired, held, long=True),
    )


Row = tuple[str, str, str, statistics.Test, dict[str, np.ndarray]]


def _crossed_tests(people: pandas.DataFrame) -> Iterator[Row]:
    import pandas

    for first, second in CROSSED:
        one, other = texts(people[first]), texts(people[second])
        known = _is_told(one) & _is_told(other)
        if known.any():
            table = pandas.crosstab(one[known], other[known])
            yield second, first, f"{table.shape[0]} x {table.shape[1]} values", statistics.contingency(table), {}


def _compared_tests(people: pandas.DataFrame, smallest: int) -> Iterator[Row]:
    for column, groupings in COMPARED.items():
        for by in groupings if people[column].notna().any() else ():
            labels = texts(people[by])
            there = people[column].notna() & _is_told(labels)
            samples = {
                value: people.loc[there & (labels == value), column].to_numpy(float)
                for value in ordered(labels[there], by)
            }
            small = [f"{value} ({len(values)})" for value, values in samples.items() if len(values) < smallest]
            samples = {value: values for value, values in samples.items() if len(values) >= smallest}
            groups = ", ".join(f"{value} {len(values)}" for value, values in samples.items())
            yield column, by, groups, _compared(samples, small), samples


def _compared(samples: dict[str, np.ndarray], small: list[str]) -> Any:
    from dataclasses import replace

    left = f"left out as too small: {', '.join(small)}" if small else ""
    if len(samples) < 2:
        why = "; ".join(filter(None, ["under two groups are large enough to be tested", left]))
        return statistics.Test("none", np.nan, np.nan, None, "", tuple(map(len, samples.values())), why)
    test = statistics.two_groups(*samples.values()) if len(samples) == 2 else statistics.several_groups(samples)
    return replace(test, note="; ".join(filter(None, [test.note, left])))
