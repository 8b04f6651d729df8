"""Do scores differ between groups, by ranks; and how large would a difference have to be to be seen?"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import statistics
from .groups import UNKNOWN, Grouping
from .scores import SUCCESSES, Scores
from .units import Units, ends

if TYPE_CHECKING:
    import pandas

ALPHA, POWER = 0.05, 0.8
_SEED = 11


def ranked(values: np.ndarray) -> np.ndarray:
    """Values for a test by ranks: infinity, an undefined distance, becomes larger than every number."""
    finite = values[np.isfinite(values)]
    return np.where(np.isposinf(values), 2 * finite.max(initial=0.0) + 1, values)


def tested(scores: Scores, grouping: Grouping, units: Units) -> list[dict[str, Any]]:
    """One row per structure and measure: Mann-Whitney of two groups, Kruskal-Wallis of more; a patient is one value."""
    rows = []
    for (structure, measure), values in scores.values.items():
        groups = split(units, ranked(units.means(values)))
        found = statistics.two_groups(*groups.values()) if len(groups) == 2 else statistics.several_groups(groups)
        sizes = [f"{name} {np.count_nonzero(~np.isnan(part))}" for name, part in groups.items()]
        row = {"by": grouping.key, "structure": structure, "measure": measure, "patients": ", ".join(sizes)}
        row |= {"test": found.name, "statistic": found.statistic, "p": found.p}
        rows.append(row | {"effect": found.effect, "effect_name": found.effect_name, "note": found.note})
    return rows


def post_hoc(scores: Scores, grouping: Grouping, units: Units) -> list[dict[str, Any]]:
    """Dunn's test of every pair of three or more groups, Holm over the pairs."""
    if len(units.names) < 3:
        return []
    rows = []
    for (structure, measure), values in scores.values.items():
        pairs = statistics.dunn(split(units, ranked(units.means(values))), adjust="holm")
        of = {"by": grouping.key, "structure": structure, "measure": measure}
        rows += [of | pair for pair in pairs.to_dict("records")]
    return rows


def split(units: Units, means: np.ndarray) -> dict[str, np.ndarray]:
    """Values of units (units,) by the name of their group."""
    return {name: means[units.group == number] for number, name in enumerate(units.names)}


def described(scores: Scores, grouping: Grouping, units: Units | None, resamples: int) -> list[dict[str, Any]]:
    """Mean, spread and quartiles of the exams of each group, small ones and those not known too.

    The interval of the mean is of the tested groups only, by redrawing patients; undefined distances are in the
    quartiles (as infinity) and not in the mean.
    """
    columns = list(scores.values)
    table = np.stack([scores.values[key] for key in columns], axis=1)
    intervals = _mean_intervals(np.where(np.isinf(table), np.nan, table), units, resamples) if units else {}
    patients = scores.exams["patient"]
    rows = []
    for name in [*grouping.patients, *([UNKNOWN] if grouping.unknown else [])]:
        members = (grouping.labels == name).to_numpy()
        for at, (structure, measure) in enumerate(columns):
            there = members & ~np.isnan(table[:, at])
            values = table[there, at]
            finite = values[np.isfinite(values)]
            low, high = (found[at] for found in intervals[name]) if name in intervals else (np.nan, np.nan)
            quartiles = np.quantile(values, [0.25, 0.5, 0.75], method="nearest") if len(values) else [np.nan] * 3
            of = {"by": grouping.key, "group": name, "tested": name in grouping.tested and grouping.comparable}
            of |= {"structure": structure, "measure": measure, "patients": patients[there].nunique()}
            of |= {"exams": len(values), "undefined": len(values) - len(finite)}
            of |= {"mean": finite.mean() if len(finite) else np.nan, "low": low, "high": high}
            of |= {"sd": finite.std(ddof=1) if len(finite) > 1 else np.nan}
            rows.append(of | dict(zip(("q1", "median", "q3"), map(float, quartiles), strict=True)))
    return rows


def _mean_intervals(table: np.ndarray, units: Units, resamples: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    sums, counts = units.sums(table)
    drawn = units.drawn(resamples, _SEED)
    found = {}
    for number, name in enumerate(units.names):
        mine = units.group == number
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (drawn[:, mine] @ sums[mine]) / (drawn[:, mine] @ counts[mine])
        found[name] = ends(means, int(mine.sum()))
    return found


def detectable(scores: Scores, grouping: Grouping, units: Units, tests: int) -> list[dict[str, Any]]:
    """What each group could have shown against all others: the smallest true difference found with 80 % power.

    Of means, and of success rates (as means of 0 and 1). `detectable` if this were the only test, `detectable_family`
    if it had to be found at 5 % divided by the number of tests, the strictest that Benjamini-Hochberg asks.
    """
    columns = dict(scores.values)
    for structure in scores.structures:
        for success in SUCCESSES:
            columns[structure, success.sentence] = success.of(scores.values[structure, success.key])
    rows = []
    for number, name in enumerate(units.names):
        for (structure, measure), values in columns.items():
            means = units.means(np.where(np.isinf(values), np.nan, values))
            known = ~np.isnan(means)
            mine, others = means[known & (units.group == number)], means[known & (units.group != number)]
            rows.append({"by": grouping.key, "group": name, "structure": structure, "measure": measure}
                        | _against(mine, others, tests))  # fmt: skip
    return rows


def _against(mine: np.ndarray, others: np.ndarray, tests: int) -> dict[str, Any]:
    row = {"patients": len(mine), "others": len(others), "difference": np.nan, "sd": np.nan}
    row |= {"detectable": np.nan, "detectable_family": np.nan}
    if min(len(mine), len(others)) < 2:
        return row
    freedom = len(mine) + len(others) - 2
    sd = float(np.sqrt((mine.var() * len(mine) + others.var() * len(others)) / freedom))
    row |= {"difference": float(mine.mean() - others.mean()), "sd": sd}
    if sd > 0:
        for key, alpha in (("detectable", ALPHA), ("detectable_family", ALPHA / max(tests, 1))):
            row[key] = sd * _detectable_sd(len(mine), len(others), alpha)
    return row


@cache
def _detectable_sd(n: int, others: int, alpha: float) -> float:
    """In standard deviations, so that it is computed once for all scores of a group."""
    return statistics.minimum_detectable_difference(1.0, n, others, power=POWER, alpha=alpha)


def with_family(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    """The rows with p adjusted over all of them by Benjamini and Hochberg, and whether that is below 5 %."""
    import pandas

    frame = pandas.DataFrame(rows)
    if len(frame):
        place = frame.columns.get_loc("p") + 1
        adjusted = statistics.adjust(frame["p"], "bh")
        frame.insert(place, "p_adjusted", adjusted)
        frame.insert(place + 1, "significant", np.asarray(adjusted) < ALPHA)
    return frame
