"""Permutation tests: how often chance alone, with the labels shuffled, does what was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import InputError
from .values import codes, numbers


def permutation_p(value: float, shuffled: Any) -> float:
    """Share of shuffles at least as large, the one that was seen included: (1 + b) / (1 + n) (Phipson & Smyth 2010).

    Of what is large under an effect; of a signed difference give absolute values. Shuffles without the statistic (NaN)
    do not count. NaN if the value is NaN or no shuffle counts.
    """
    drawn = np.asarray(shuffled, float)
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(value) or not len(drawn):
        return float("nan")
    # The same number computed in another order of addition differs in the last digits.
    near = 1e-12 * max(1.0, abs(value))
    return float((1 + np.count_nonzero(drawn >= value - near)) / (1 + len(drawn)))


def shuffles(labels: Any, clusters: Any = None, n: int = 2000, seed: int = 0) -> np.ndarray:
    """Labels dealt anew to whole clusters, (n, size), so that the exams of one patient stay in one group.

    A patient with several labels (an age that crosses a limit) counts once for each of them.

    Raises
    ------
    InputError : not as many clusters as labels.
    """
    labels = np.asarray(labels)
    size = len(labels)
    patients, groups = codes(clusters, size, "clusters"), codes(labels, size, "labels")
    pairs, unit = np.unique(np.stack([patients, groups], axis=1), axis=0, return_inverse=True)
    unit = unit.reshape(size)
    first = np.zeros(len(pairs), int)
    first[unit[::-1]] = np.arange(size)[::-1]
    of_unit = np.tile(np.arange(len(pairs)), (n, 1))
    dealt = np.random.default_rng(seed).permuted(of_unit, axis=1)
    return labels[first][dealt[:, unit]]


def permute_groups(
    values: Any,
    labels: Any,
    statistic: Callable[[np.ndarray, np.ndarray], float],
    clusters: Any = None,
    n: int = 2000,
    seed: int = 0,
) -> float:
    """p of a statistic of groups under shuffled labels, whole clusters at a time, see :func:`permutation_p`.

    Parameters
    ----------
    values, labels : columns (size,); pairs with a missing value are left out.
    statistic : of values and labels, large under an effect.
    clusters : each value's patient; None: every value is one.

    Raises
    ------
    InputError : not numbers, or not as many labels or clusters as values.
    """
    column, labels = numbers(values), np.asarray(labels)
    if labels.shape != column.shape:
        raise InputError(f"There are {len(column)} values and {labels.size} labels; each value needs one.")
    kept = ~np.isnan(column)
    patients = codes(clusters, len(column), "clusters")[kept]
    column, labels = column[kept], labels[kept]
    if not len(column):
        return float("nan")
    drawn = [statistic(column, dealt) for dealt in shuffles(labels, patients, n, seed)]
    return permutation_p(float(statistic(column, labels)), drawn)
