"""Tests of two groups, several groups and pairs, by ranks, as scores near 1 are skewed.

What cannot be tested has p = NaN and says why in its note; nothing warns on the error stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import InputError
from . import effects, exact
from .values import missing_note, numbers, present, sentence

# Up to here ranks are counted exactly, with ties too.
EXACT_GROUP, EXACT_PAIRS = 8, 50
# So few that a reader ought to know.
FEW_PAIRS = 10
# Below this a chi-squared curve does not fit the Kruskal-Wallis statistic.
SMALL_GROUP, SHUFFLES = 5, 9999


@dataclass(frozen=True)
class Test:
    """One test.

    Parameters
    ----------
    name : the test's name.
    statistic : its statistic; NaN if it could not be computed.
    p : two-sided; NaN if nothing could be tested, and then `note` says why.
    effect, effect_name : effect size and what it is; None if there is none.
    n : how many values each group has, without the missing ones; for pairs the number of pairs.
    note : what a reader has to know: missing values, ties, small groups, exact or not. Empty if there is nothing.
    """

    # Not a test case, whatever its name makes a test runner think.
    __test__ = False

    name: str
    statistic: float
    p: float
    effect: float | None
    effect_name: str
    n: tuple[int, ...]
    note: str = ""


def two_groups(a: Any, b: Any) -> Test:
    """Mann-Whitney U of two independent samples, two-sided (Mann & Whitney 1947), with the rank-biserial correlation.

    Exact, ties included, if the smaller group has up to 8 values; else the normal curve with correction for ties and
    continuity. The effect is positive if a tends to be larger.

    Parameters
    ----------
    a, b : columns of numbers (n,), (m,); missing ones are left out.

    Returns
    -------
    Test with U of `a`; p is NaN if a group is empty, 1 if all values are equal.

    Raises
    ------
    InputError : not numbers, infinite, or not one column.
    """
    from scipy.stats import rankdata

    (a, lost_a), (b, lost_b) = present(a), present(b)
    name, effect_name = "Mann-Whitney U", "rank-biserial"
    n, notes = (len(a), len(b)), [missing_note(lost_a + lost_b)]
    if not all(n):
        notes.append("a group has no values, so there is nothing to test")
        return Test(name, np.nan, np.nan, None, effect_name, n, sentence(notes))
    ranks = rankdata(np.concatenate([a, b]))
    total = ranks[: len(a)].sum()
    u = float(total - len(a) * (len(a) + 1) / 2)
    if np.ptp(ranks) == 0:
        notes.append("all values are equal")
        return Test(name, u, 1.0, 0.0, effect_name, n, sentence(notes))
    if min(n) <= EXACT_GROUP:
        few = len(a) <= len(b)
        smaller = ranks[: len(a)] if few else ranks[len(a) :]
        p = exact.rank_sum_p(ranks, len(smaller), float(smaller.sum()))
        notes.append(f"exact, as a group has only {min(n)}")
    else:
        # n (n + 1) / 12 less the ties' share is the variance of the midranks.
        spread = np.sqrt(n[0] * n[1] * ranks.var(ddof=1) / len(ranks))
        p = _tails((abs(u - n[0] * n[1] / 2) - 0.5) / spread)
    return Test(name, u, p, effects.rank_biserial(a, b), effect_name, n, sentence(notes))


def several_groups(groups: Mapping[str, Any]) -> Test:
    """Kruskal-Wallis H of independent samples, corrected for ties (Kruskal & Wallis 1952), with epsilon squared.

    By the chi-squared curve, or by 9,999 shuffles of the labels (seeded) if a group has under 5 values. Groups without
    a value are left out and named.

    Parameters
    ----------
    groups : columns of numbers by the group's name.

    Returns
    -------
    Test; p is NaN if fewer than two groups have values, 1 if all values are equal.

    Raises
    ------
    InputError : fewer than two groups, not numbers, infinite, or not one column.
    """
    from scipy.special import chdtrc
    from scipy.stats import rankdata

    if len(groups) < 2:
        raise InputError(f"There {'is one group' if groups else 'are no groups'}; a comparison needs at least two.")
    found = {name: present(values, f"values of {name}") for name, values in groups.items()}
    notes = [missing_note(sum(lost for _, lost in found.values()))]
    empty = [str(name) for name, (values, _) in found.items() if not len(values)]
    notes.append(f"without values and left out: {', '.join(empty)}" if empty else "")
    samples = [values for values, _ in found.values() if len(values)]
    name, effect_name = "Kruskal-Wallis H", "epsilon squared"
    n = tuple(len(values) for values, _ in found.values())
    if len(samples) < 2:
        notes.append("fewer than two groups have values, so there is nothing to test")
        return Test(name, np.nan, np.nan, None, effect_name, n, sentence(notes))
    ranks = rankdata(np.concatenate(samples))
    if np.ptp(ranks) == 0:
        notes.append("all values are equal")
        return Test(name, 0.0, 1.0, 0.0, effect_name, n, sentence(notes))
    sizes = np.array([len(values) for values in samples])
    h = float(_kruskal(ranks[None], sizes)[0])
    if sizes.min() < SMALL_GROUP:
        rng = np.random.default_rng(0)
        shuffled = rng.permuted(np.broadcast_to(ranks, (SHUFFLES, len(ranks))), axis=1)
        p = float((1 + np.count_nonzero(_kruskal(shuffled, sizes) >= h - 1e-9)) / (1 + SHUFFLES))
        notes.append(f"by {SHUFFLES} shuffles, as a group has only {sizes.min()}")
    else:
        p = float(chdtrc(len(samples) - 1, h))
    return Test(name, h, p, effects.epsilon_squared(h, len(ranks)), effect_name, n, sentence(notes))


def _kruskal(ranks: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """H corrected for ties of each row of midranks (rows, n); the groups lie one after the other."""
    n = ranks.shape[1]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    between = ((np.add.reduceat(ranks, starts, axis=1) / sizes - (n + 1) / 2) ** 2 * sizes).sum(axis=1)
    return between / ranks[0].var(ddof=1)


def paired(a: Any, b: Any) -> Test:
    """Wilcoxon signed-rank of pairs, two-sided (Wilcoxon 1945), with the matched rank-biserial correlation.

    Pairs without a difference are left out, as Wilcoxon did. Exact, ties included, up to 50 pairs that differ; else
    the normal curve with correction for ties. The effect is positive if a tends to be larger.

    Parameters
    ----------
    a, b : columns of numbers (n,), the same cases in the same order; a pair that misses a number is left out.

    Returns
    -------
    Test with the sum of the ranks for `a`; p is NaN if no pair is left, 1 if no pair differs.

    Raises
    ------
    InputError : not as many values in both, not numbers, infinite, or not one column.
    """
    from scipy.stats import rankdata

    a, b = numbers(a), numbers(b)
    if len(a) != len(b):
        raise InputError(f"There are {len(a)} and {len(b)} values; pairs need the same cases in the same order.")
    complete = ~(np.isnan(a) | np.isnan(b))
    # Differences of printed scores tie in arithmetic and not in binary; ranks must see them as equal.
    differences = np.round((a - b)[complete], 12)
    name, effect_name, n = "Wilcoxon signed-rank", "matched rank-biserial", (len(differences),)
    notes = [missing_note(len(a) - len(differences), "pair")]
    if not len(differences):
        notes.append("no pairs, so there is nothing to test")
        return Test(name, np.nan, np.nan, None, effect_name, n, sentence(notes))
    there = differences[differences != 0]
    if not len(there):
        notes.append("no pair differs")
        return Test(name, 0.0, 1.0, 0.0, effect_name, n, sentence(notes))
    equal = len(differences) - len(there)
    notes.append(f"{equal} without a difference left out" if equal else "")
    ranks = rankdata(np.abs(there))
    positive = float(ranks[there > 0].sum())
    if len(there) <= EXACT_PAIRS:
        p = exact.signed_rank_p(ranks, positive)
        notes.append(f"exact, as only {len(there)} pairs differ" if len(there) <= FEW_PAIRS else "")
    else:
        expected, spread = ranks.sum() / 2, np.sqrt((ranks**2).sum()) / 2
        p = _tails(abs(positive - expected) / spread)
    return Test(name, positive, p, effects.matched_rank_biserial(differences), effect_name, n, sentence(notes))


def _tails(z: float) -> float:
    """Two-sided p of a z of 0 or more; a continuity correction can take it below 0."""
    from scipy.special import ndtr

    return float(min(1.0, 2 * ndtr(-z)))
