"""How much of a difference is left when age, sex, size of the structure and scanner are taken into account.

Men's structures are a fifth to a quarter larger, and larger structures have a better Dice from the same error of their
border; older people were scanned elsewhere. Least squares with all these terms, errors clustered by patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from .. import statistics
from .groups import COLUMNS, UNKNOWN, Column, group, years_of
from .scores import Scores

if TYPE_CHECKING:
    import pandas

OUTCOMES = ("dice", "ndsc", "nsd_1mm")
AGE, VOLUME = "age (per 10 years)", "reference volume (per 10 cm3)"
OTHERS = "others or not known"
# Always in the model, besides age and volume.
_ALWAYS = ("sex", "manufacturer", "field")


def models(scores: Scores, by: Sequence[Column]) -> tuple[list[dict[str, Any]], list[str]]:
    """A row per structure, outcome and term, and sentences about what could not be modelled.

    `estimate` is the term's effect with all others held, `alone` that without the others. The mixture of small and
    unknown groups is held in the model and its estimate told, but not tested (p is NaN): it is no group, and errors
    clustered by a handful of patients are too small.
    """
    rows: list[dict[str, Any]] = []
    frame, said = design(scores, by)
    for structure in ("bodies", "discs"):
        if (structure, "dice") not in scores.values or f"{structure}_mm3" not in scores.exams.columns:
            continue
        frame[VOLUME] = scores.exams[f"{structure}_mm3"].to_numpy(float) / 10_000
        terms = [name for name in frame.columns if name != "patient" and frame[name].nunique(dropna=True) > 1]
        for outcome in OUTCOMES:
            data = frame.assign(outcome=scores.values[structure, outcome])
            fitted, problem = _fit(data, terms)
            rows += [{"structure": structure, "measure": outcome} | _tested(row) for row in fitted]
            if problem:
                said.append(f"Adjusted model of {structure}, {outcome}: {problem}")
    return rows, said


def _tested(row: dict[str, Any]) -> dict[str, Any]:
    if OTHERS not in row["term"]:
        return row
    note = "held in the model, not tested: small and unknown groups together"
    return row | {"p": np.nan, "alone_p": np.nan, "note": "; ".join(filter(None, (row["note"], note)))}


def design(scores: Scores, by: Sequence[Column]) -> tuple[pandas.DataFrame, list[str]]:
    """Terms per exam: age as a number, groups of under 30 patients and unknown ones as one group of others."""
    import pandas

    exams, said = scores.exams, []
    frame = pandas.DataFrame({"patient": exams["patient"]})
    over = exams["age_over_89"] if "age_over_89" in exams.columns else [None] * len(exams)
    if "age" in exams.columns:
        frame[AGE] = [years_of(*pair) / 10 for pair in zip(exams["age"], over, strict=True)]
    wanted = {key: COLUMNS[key] for key in _ALWAYS} | {column.key: column for column in by if column.key != "age"}
    for key, column in wanted.items():
        if column.source not in exams.columns:
            continue
        grouping = group(exams, column)
        keep = set(grouping.tested)
        frame[key] = [name if name in keep else OTHERS for name in grouping.labels]
        if (frame[key] == OTHERS).all() and set(grouping.labels) != {UNKNOWN}:
            said.append(f"{column.title.capitalize()} is not in the adjusted models: no group has 30 patients.")
    return frame, said


def _fit(data: pandas.DataFrame, terms: list[str]) -> tuple[list[dict[str, Any]], str]:
    """The rows of one model, and what stood in its way; scanner columns that say the same leave the later one out."""
    problem = ""
    for left_out in ([], ["field"], ["field", "manufacturer"]):
        kept = [term for term in terms if term not in left_out]
        try:
            full = statistics.adjusted_model(data, "outcome", kept, "patient")
        except InputError as error:
            problem = problem or str(error)
            continue
        return _beside(data, kept, full), f"without {' and '.join(left_out)}, as: {problem}" if problem else ""
    return [], f"none. {problem}"


def _beside(data: pandas.DataFrame, terms: list[str], full: pandas.DataFrame) -> list[dict[str, Any]]:
    """The rows of a model with the estimate of each term alone, in the same exams."""
    used = data[statistics.models.used(data, "outcome", terms, "patient")]
    alone: dict[str, tuple[float, float]] = {}
    for term in terms:
        single = statistics.adjusted_model(used, "outcome", [term], "patient")
        alone |= {row.term: (row.estimate, row.p) for row in single.itertuples()}
    rows = full.to_dict("records")
    for row in rows:
        row["alone"], row["alone_p"] = alone.get(row["term"], (np.nan, np.nan))
    return rows
