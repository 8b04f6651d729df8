"""Bootstrap intervals. Exams of one patient are alike, so whole patients are drawn, never single exams.

Percentile intervals are too narrow for few patients; their ends are moved outwards as Hesterberg (2015) proposes, so
that for a mean they are about as wide as Student's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import InputError
from .values import codes, numbers

# A statistic of many resamples at once: values (n,) and how often each is drawn (resamples, n) -> (resamples,).
Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
# So many numbers are drawn at a time, 16 MB.
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Parameters
    ----------
    value : of the values themselves; NaN if there are none.
    low, high : ends of the interval; NaN if there are too few clusters (under 4 for 95 %), as `method` says.
    level : confidence, 0 to 1.
    method : how it was made.
    n, clusters : values used, and patients that they come from; of two samples together.
    """

    value: float
    low: float
    high: float
    level: float
    method: str
    n: int
    clusters: int


def bootstrap(
    values: Any,
    clusters: Any = None,
    statistic: str | Statistic = "mean",
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of a statistic, by resampling whole clusters (Efron 1979; clusters: Davison & Hinkley 1997, 3.8).

    Parameters
    ----------
    values : column of numbers (n,); missing ones are left out.
    clusters : each value's patient (n,); a missing one is a patient of its own. None: every value is.
    statistic : "mean", "median", "sd" (n - 1), or a function of values (n,) and draws (resamples, n).
    seed : the same seed gives the same interval.

    Raises
    ------
    InputError : not numbers, infinite, not as many clusters as values, an unknown statistic, a level outside 0 to 1.
    """
    values, clusters = _sample(values, clusters)
    count = int(clusters.max(initial=-1)) + 1
    value = _statistic(statistic)(values, np.ones((1, len(values))))[0] if len(values) else np.nan
    drawn = _draw(values, clusters, statistic, resamples, np.random.default_rng(seed))
    return _interval(float(value), drawn, count, level, len(values), count)


def bootstrap_difference(
    a: Any,
    b: Any,
    clusters_a: Any = None,
    clusters_b: Any = None,
    statistic: str | Statistic = "mean",
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of the statistic of `a` minus that of `b`, two independent samples, each resampled by its own clusters.

    For pairs take :func:`bootstrap` of their differences. The ends are moved outwards by the smaller number of
    clusters. Parameters and errors as there.
    """
    samples = [_sample(a, clusters_a), _sample(b, clusters_b)]
    counts = [int(clusters.max(initial=-1)) + 1 for _, clusters in samples]
    size = sum(len(values) for values, _ in samples)
    compute = _statistic(statistic)
    value = np.nan
    if all(counts):
        value = np.subtract(*(compute(values, np.ones((1, len(values))))[0] for values, _ in samples))
    rng = np.random.default_rng(seed)
    drawn = np.subtract(*(_draw(*sample, statistic, resamples, rng) for sample in samples))
    return _interval(float(value), drawn, min(counts), level, size, sum(counts))


def redraws(
    values: Any, clusters: Any = None, statistic: str | Statistic = "mean", *, resamples: int = 2000, seed: int = 0
) -> np.ndarray:
    """The statistic of each resample (resamples,), for what is computed from several groups; NaN without values.

    Give each group another seed. Parameters and errors as :func:`bootstrap`.
    """
    return _draw(*_sample(values, clusters), statistic, resamples, np.random.default_rng(seed))


def _sample(values: Any, clusters: Any) -> tuple[np.ndarray, np.ndarray]:
    """Numbers without the missing ones, and their clusters from 0 without gaps."""
    column = numbers(values)
    kept = ~np.isnan(column)
    labels = codes(clusters, len(column), "clusters")[kept]
    return column[kept], np.unique(labels, return_inverse=True)[1]


def _draw(
    values: np.ndarray, clusters: np.ndarray, statistic: str | Statistic, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    compute = _statistic(statistic)
    if not isinstance(resamples, int | np.integer) or resamples < 1:
        raise InputError(f"A bootstrap needs at least one resample, not {resamples!r}.")
    count = int(clusters.max(initial=-1)) + 1
    if not count:
        return np.full(resamples, np.nan)
    if statistic == "mean":
        sums, sizes = np.bincount(clusters, values), np.bincount(clusters).astype(float)

    def block(rows: int) -> np.ndarray:
        drawn = rng.integers(count, size=(rows, count))
        if statistic == "mean":
            return sums[drawn].sum(axis=1) / (sizes[drawn].sum(axis=1) if sizes.max() > 1 else count)
        return compute(values, _counts(drawn)[:, clusters])

    rows = max(1, _BLOCK // len(values))
    return np.concatenate([block(min(rows, resamples - start)) for start in range(0, resamples, rows)])


def _counts(drawn: np.ndarray) -> np.ndarray:
    """How often each cluster is in each row of draws (rows, clusters), as many draws as there are clusters."""
    rows, count = drawn.shape
    cells = drawn + count * np.arange(rows)[:, None]
    return np.bincount(cells.ravel(), minlength=rows * count).reshape(rows, count).astype(float)


def _interval(value: float, drawn: np.ndarray, few: int, level: float, n: int, clusters: int) -> Interval:
    from scipy.stats import norm, t

    if not 0 < level < 1:
        raise InputError(f"A confidence level lies between 0 and 1, not at {level!r}.")
    # The chance to draw one patient again and again, which is the end of what resampling can reach.
    if few < 2 or float(few) ** -few > (1 - level) / 2:
        few_words = {0: "there are no values", 1: "all values are of one patient"}
        why = f"none, as {few_words.get(few, f'{few} patients are too few for this level')}"
        return Interval(value, np.nan, np.nan, level, why, n, clusters)
    tail = norm.cdf(np.sqrt(few / (few - 1)) * t.ppf((1 - level) / 2, few - 1))
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < 0.9 * len(drawn):
        return Interval(value, np.nan, np.nan, level, "none, as most resamples have no such statistic", n, clusters)
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value, float(low), float(high), level, "cluster bootstrap, expanded percentile", n, clusters)


def _statistic(name: str | Statistic) -> Statistic:
    known = {"mean": _mean, "median": _median, "sd": _sd}
    if callable(name):
        return name
    if name not in known:
        raise InputError(f"A statistic is one of {', '.join(known)} or a function, not {name!r}.")
    return known[name]


def _mean(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    return (drawn @ values) / drawn.sum(axis=1)


def _sd(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    sizes = drawn.sum(axis=1)
    centred = values - values.mean()
    squares = drawn @ centred**2 - (drawn @ centred) ** 2 / sizes
    return np.sqrt(np.maximum(squares, 0) / np.where(sizes > 1, sizes - 1, np.nan))


def _median(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The middle of the drawn values, of an even number the mean of the two in the middle."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(drawn[:, order], axis=1)
    sizes = reached[:, -1:]
    middle = [np.argmax(reached > place, axis=1) for place in (np.ceil(sizes / 2) - 1, np.floor(sizes / 2))]
    return values[order][np.array(middle)].mean(axis=0)
