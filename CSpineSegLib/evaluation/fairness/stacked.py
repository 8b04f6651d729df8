"""The p values of an audit for many draws of the scores at once: the same numbers as one by one, and much sooner."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .. import statistics
from . import rates as success_rates
from .differences import ALPHA, ranked
from .groups import COLUMNS, Grouping, group
from .scores import SUCCESSES, Scores
from .units import Units, of_groups

Family = dict[tuple[str, str, str], np.ndarray]
PERMUTATIONS = 2000


def column(scores: Scores, draw: int) -> Scores:
    """One of the draws."""
    return replace(scores, values={key: array[:, draw] for key, array in scores.values.items()})


def scores(found: Scores, by: Iterable[str] = COLUMNS) -> Family:
    """p of the tests of scores, (draws,) by grouping, structure and measure; values are (exams, draws)."""
    family = {}
    for grouping, units in _compared(found, by):
        for (structure, measure), values in found.values.items():
            family[grouping.key, structure, measure] = by_ranks(units, units.means(values))
    return family


def by_ranks(units: Units, means: np.ndarray) -> np.ndarray:
    """p (draws,) of Mann-Whitney or Kruskal-Wallis by the large-sample curves, of means (units, draws) without gaps."""
    from scipy.stats import chi2, norm, rankdata

    ranks = rankdata(np.apply_along_axis(ranked, 0, means), axis=0)
    n, variance = len(ranks), ranks.var(axis=0, ddof=1)
    sizes = np.bincount(units.group, minlength=len(units.names))
    totals = np.stack([ranks[units.group == number].sum(axis=0) for number in range(len(sizes))])
    with np.errstate(invalid="ignore", divide="ignore"):
        if len(sizes) == 2:
            u = totals[0] - sizes[0] * (sizes[0] + 1) / 2
            spread = np.sqrt(sizes[0] * sizes[1] * variance / n)
            p = 2 * norm.sf((np.abs(u - sizes[0] * sizes[1] / 2) - 0.5) / spread)
        else:
            mean_ranks = totals / sizes[:, None] - (n + 1) / 2
            p = chi2.sf((sizes[:, None] * mean_ranks**2).sum(axis=0) / variance, len(sizes) - 1)
    return np.where(variance > 0, np.minimum(p, 1.0), 1.0)


def rates(found: Scores, by: Iterable[str] = COLUMNS, permutations: int = PERMUTATIONS, seed: int = 0) -> Family:
    """p of the tests of success rates, (draws,) by grouping, structure and success."""
    family = {}
    for grouping, units in _compared(found, by):
        keys = [(structure, success) for structure in found.structures for success in SUCCESSES]
        outcome = [success.of(found.values[structure, success.key]) for structure, success in keys]
        sums, counts = units.sums(np.concatenate(outcome, axis=1))
        seen = success_rates.disparity(success_rates.rates_of(units, sums, counts))
        p = success_rates.p_values(units, sums, counts, seen, permutations, seed).reshape(len(keys), -1)
        for (structure, success), line in zip(keys, p, strict=True):
            family[grouping.key, structure, success.sentence] = line
    return family


def significant(p: np.ndarray) -> np.ndarray:
    """Verdicts (tests, draws) after Benjamini and Hochberg within each draw."""
    return np.stack([statistics.adjust(line, "bh") < ALPHA for line in p.T], axis=1)


def _compared(found: Scores, by: Iterable[str]) -> list[tuple[Grouping, Units]]:
    groupings = [group(found.exams, COLUMNS[key]) for key in by]
    patients = found.exams["patient"].to_numpy()
    return [(one, of_groups(one, patients)) for one in groupings if one.comparable]
