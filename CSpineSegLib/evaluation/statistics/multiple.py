"""Many tests at once: adjusted p-values, and all pairs of several groups."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from .values import numbers, present

if TYPE_CHECKING:
    import pandas


def adjust(p_values: Any, method: str = "bh") -> np.ndarray:
    """p-values (n,) adjusted for the family that they form; NaN stays NaN and does not count.

    Parameters
    ----------
    method : "bh", the false discovery rate of Benjamini & Hochberg (1995), or "holm", the family-wise error rate of
        Holm (1979).

    Raises
    ------
    InputError : another method, or what is no probability.
    """
    p = numbers(p_values, "p-values")
    there = np.flatnonzero(~np.isnan(p))
    if np.any((p[there] < 0) | (p[there] > 1)):
        raise InputError("A p-value is below 0 or above 1.")
    order = there[np.argsort(p[there], kind="stable")]
    n = len(order)
    result = np.full(len(p), np.nan)
    if method == "holm":
        result[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(n, 0, -1)))
    elif method == "bh":
        raised = p[order] * n / np.arange(1, n + 1)
        result[order] = np.minimum(1, np.minimum.accumulate(raised[::-1])[::-1])
    else:
        raise InputError(f"p-values are adjusted by 'bh' or 'holm', not by {method!r}.")
    return result


def dunn(groups: Mapping[str, Any], adjust: str = "holm") -> pandas.DataFrame:
    """All pairs of groups by the mean ranks of the whole, corrected for ties (Dunn 1964).

    Parameters
    ----------
    groups : columns of numbers by the group's name; missing numbers are left out, and so are groups without any.
    adjust : see :func:`adjust`; the family is the pairs.

    Returns
    -------
    DataFrame with `first`, `second`, `z` (positive if the first is larger), `p` (two-sided) and `p_adjusted`; no rows
    if under two groups have values. If all values are equal, z is 0 and p is 1.

    Raises
    ------
    InputError : fewer than two groups, not numbers, infinite, or another method.
    """
    from pandas import DataFrame
    from scipy.stats import norm, rankdata

    if len(groups) < 2:
        raise InputError(f"There {'is one group' if groups else 'are no groups'}; a comparison needs at least two.")
    found = {name: present(values, f"values of {name}")[0] for name, values in groups.items()}
    found = {name: values for name, values in found.items() if len(values)}
    columns = ["first", "second", "z", "p", "p_adjusted"]
    if len(found) < 2:
        return DataFrame(columns=columns)
    ranks = rankdata(np.concatenate(list(found.values())))
    ends = np.cumsum([len(values) for values in found.values()])
    means = {name: part.mean() for name, part in zip(found, np.split(ranks, ends[:-1]), strict=True)}
    # n (n + 1) / 12 less the ties' share is the variance of the midranks.
    variance = ranks.var(ddof=1)
    rows = []
    for first, second in combinations(found, 2):
        spread = np.sqrt(variance * (1 / len(found[first]) + 1 / len(found[second])))
        z = float((means[first] - means[second]) / spread) if spread > 0 else 0.0
        rows.append((first, second, z, float(2 * norm.sf(abs(z)))))
    frame = DataFrame(rows, columns=columns[:-1])
    frame["p_adjusted"] = _adjust(frame["p"], adjust)
    return frame


_adjust = adjust
