"""Exact distributions of rank sums, ties included, where a normal curve is too rough (Streitberg & Röhmel 1986).

Midranks are multiples of one half, so twice a rank sum is a whole number, and the number of ways to reach each sum is
counted one observation after the other. Nothing is drawn at random.
"""

from __future__ import annotations

import numpy as np


def rank_sum_p(ranks: np.ndarray, chosen: int, observed: float) -> float:
    """Two-sided p of a rank sum: twice the smaller tail, at most 1.

    Parameters
    ----------
    ranks : midranks of all observations (n,).
    chosen : how many of them are in the first group.
    observed : the first group's rank sum.
    """
    doubled = np.rint(2 * ranks).astype(int)
    top = int(np.sort(doubled)[-chosen:].sum())
    # ways[k, s]: how many sets of k observations have the doubled rank sum s.
    ways = np.zeros((chosen + 1, top + 1))
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : top + 1 - rank]
    return _two_sided(ways[chosen], round(2 * observed))


def signed_rank_p(ranks: np.ndarray, observed: float) -> float:
    """Two-sided p of the sum of the ranks of positive differences, each sign being as likely as the other.

    Parameters
    ----------
    ranks : midranks of the absolute differences (n,).
    observed : the positive ones' sum.
    """
    doubled = np.rint(2 * ranks).astype(int)
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1
    for rank in doubled:
        ways[rank:] += ways[: len(ways) - rank].copy()
    return _two_sided(ways, round(2 * observed))


def _two_sided(ways: np.ndarray, place: int) -> float:
    tail = min(ways[: place + 1].sum(), ways[place:].sum())
    return float(min(1.0, 2 * tail / ways.sum()))
