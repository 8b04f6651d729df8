"""Disparity of success rates: their largest difference (DPD) and their smallest ratio (DIR) between groups.

DPD = largest minus smallest rate, DIR = smallest divided by largest rate (Weerts et al., "Fairlearn", JMLR 24, 2023;
the rule that a DIR below .8 deserves attention is that of the US Uniform Guidelines on Employee Selection, 1978).
A largest difference is never negative and grows by chance with the number of groups. So whether there is one is
answered by dealing the groups anew (the p value), and how large it is by redrawing patients *with the best and the
worst group as they were found*, which lets an interval reach beyond 0 and a ratio beyond 1.

All functions take many columns (structures, measures, thresholds, redraws of a simulation) at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..statistics import permutation_p
from .groups import Grouping
from .scores import SUCCESSES, Scores
from .units import Units, ends

_SEED = 12


@dataclass(frozen=True)
class Disparity:
    """Each (columns,), but `rates` (groups, columns); `best` and `worst` are numbers of groups."""

    rates: np.ndarray
    best: np.ndarray
    worst: np.ndarray
    dpd: np.ndarray
    dir: np.ndarray


def disparity(rates: np.ndarray) -> Disparity:
    """DPD and DIR of rates (groups, columns); NaN where a group has no rate, and DIR where nobody succeeds.

    >>> found = disparity(np.array([[0.9], [0.6]]))
    >>> round(float(found.dpd[0]), 3), round(float(found.dir[0]), 3)
    (0.3, 0.667)
    """
    known = np.nan_to_num(rates, nan=-1.0)
    best, worst = known.argmax(axis=0), known.argmin(axis=0)
    columns = np.arange(rates.shape[1])
    high, low = rates[best, columns], rates[worst, columns]
    with np.errstate(invalid="ignore", divide="ignore"):
        return Disparity(rates, best, worst, high - low, np.where(high > 0, low / high, np.nan))


def rates_of(units: Units, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Success rate (groups, columns) from successes and exams per unit (units, columns)."""
    member = (units.group == np.arange(len(units.names))[:, None]).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (member @ sums) / (member @ counts)


def intervals(
    units: Units, sums: np.ndarray, counts: np.ndarray, found: Disparity, resamples: int, seed: int = _SEED
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """95 % intervals of DPD and DIR, (low, high) of each (columns,), by redrawing patients."""
    drawn = units.drawn(resamples, seed)
    redrawn = np.empty((len(units.names), resamples, sums.shape[1]))
    for number in range(len(units.names)):
        mine = units.group == number
        with np.errstate(invalid="ignore", divide="ignore"):
            redrawn[number] = (drawn[:, mine] @ sums[mine]) / (drawn[:, mine] @ counts[mine])
    columns = np.arange(sums.shape[1])
    best, worst = redrawn[found.best, :, columns].T, redrawn[found.worst, :, columns].T
    clusters = int(units.patient.max()) + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(best > 0, worst / best, np.nan)
    return ends(best - worst, clusters), ends(ratios, clusters)


def p_values(
    units: Units, sums: np.ndarray, counts: np.ndarray, found: Disparity, permutations: int, seed: int = _SEED
) -> np.ndarray:
    """p of the DPD (columns,): how often groups that are dealt anew to whole patients differ as much."""
    dealt = units.dealt(permutations, seed)
    highest = np.full((permutations, sums.shape[1]), -np.inf)
    lowest = np.full((permutations, sums.shape[1]), np.inf)
    for number in range(len(units.names)):
        member = (dealt == number).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = (member @ sums) / (member @ counts)
        highest, lowest = np.fmax(highest, rate), np.fmin(lowest, rate)
    gaps = highest - lowest
    return np.array([permutation_p(value, gaps[:, at]) for at, value in enumerate(found.dpd)])


def disparities(
    scores: Scores, grouping: Grouping, units: Units, resamples: int, permutations: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the rates of each group, of DPD and DIR, and of their sweep over thresholds."""
    columns = [
        (structure, success, threshold)
        for structure in scores.structures
        for success in SUCCESSES
        for threshold in sorted({success.threshold, *success.sweep})
    ]
    outcome = [success.of(scores.values[structure, success.key], limit) for structure, success, limit in columns]
    sums, counts = units.sums(np.stack(outcome, axis=1))
    found = disparity(rates_of(units, sums, counts))
    dpd, ratio = intervals(units, sums, counts, found, resamples)
    main = np.array([limit == success.threshold for _, success, limit in columns])
    p = np.full(len(columns), np.nan)
    chosen = disparity(found.rates[:, main])
    p[main] = p_values(units, sums[:, main], counts[:, main], chosen, permutations)
    rates, gaps, sweep = [], [], []
    for at, (structure, success, limit) in enumerate(columns):
        of = {"by": grouping.key, "structure": structure}
        row = {"best": units.names[found.best[at]], "worst": units.names[found.worst[at]]}
        row |= {"dpd": found.dpd[at], "dpd_low": dpd[0][at], "dpd_high": dpd[1][at]}
        row |= {"dir": found.dir[at], "dir_low": ratio[0][at], "dir_high": ratio[1][at]}
        sweep.append(of | {"measure": success.key, "threshold": limit} | row)
        if main[at]:
            gaps.append(of | {"success": success.sentence} | row | {"p": p[at]})
            rates += [
                of | {"success": success.sentence} | line for line in _per_group(units, sums[:, at], counts[:, at])
            ]
    return rates, gaps, sweep


def tested(scores: Scores, grouping: Grouping, units: Units, permutations: int) -> list[dict[str, Any]]:
    """DPD and its p at the audit's own thresholds, without intervals: a row per structure and success."""
    columns = [(structure, success) for structure in scores.structures for success in SUCCESSES]
    outcome = [success.of(scores.values[structure, success.key]) for structure, success in columns]
    sums, counts = units.sums(np.stack(outcome, axis=1))
    found = disparity(rates_of(units, sums, counts))
    p = p_values(units, sums, counts, found, permutations)
    return [
        {"by": grouping.key, "structure": structure, "success": success.sentence, "dpd": found.dpd[at], "p": p[at]}
        for at, (structure, success) in enumerate(columns)
    ]


def _per_group(units: Units, sums: np.ndarray, counts: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for number, name in enumerate(units.names):
        mine = (units.group == number) & (counts > 0)
        share = sums[mine].sum() / counts[mine].sum() if mine.any() else np.nan
        low, high = wilson(share, int(mine.sum()))
        rows.append({"group": name, "patients": int(mine.sum()), "exams": int(counts[mine].sum()),
                     "successes": int(sums[mine].sum()), "rate": share, "low": low, "high": high})  # fmt: skip
    return rows


def wilson(share: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share of n independent cases; also where none or all succeed.

    >>> tuple(round(end, 3) for end in wilson(0.5, 100))
    (0.404, 0.596)
    """
    from scipy.stats import norm

    if not n or np.isnan(share):
        return np.nan, np.nan
    z = norm.ppf((1 + level) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float(max(middle - half, 0)), float(min(middle + half, 1))
