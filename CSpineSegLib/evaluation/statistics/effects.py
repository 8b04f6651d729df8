"""Effect sizes: how large a difference is, beside the p-value that says whether it is more than chance."""

from __future__ import annotations

import numpy as np


def rank_biserial(a: np.ndarray, b: np.ndarray) -> float:
    """Share of pairs in which a is larger minus the share in which b is (Kerby 2014), -1 to 1; equal pairs count half.

    Parameters
    ----------
    a, b : numbers (n,), (m,), without NaN, not empty.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([a, b]))
    u = ranks[: len(a)].sum() - len(a) * (len(a) + 1) / 2
    return float(2 * u / (len(a) * len(b)) - 1)


def matched_rank_biserial(differences: np.ndarray) -> float:
    """Share of the signed ranks that speak for a minus the share for b (Kerby 2014), -1 to 1; differences of 0 are out.

    Parameters
    ----------
    differences : a - b (n,), without NaN; 0.0 if all are 0.
    """
    from scipy.stats import rankdata

    there = differences[differences != 0]
    if not len(there):
        return 0.0
    ranks = rankdata(np.abs(there))
    return float((ranks[there > 0].sum() - ranks[there < 0].sum()) / ranks.sum())


def epsilon_squared(h: float, n: int) -> float:
    """Share of the ranks' variance that the groups explain, H / (n - 1) (Tomczak & Tomczak 2014), 0 to 1."""
    return float(h / (n - 1))


def cramers_v(chi_squared: float, n: int, rows: int, columns: int) -> float:
    """Strength of association of two groupings, sqrt(chi2 / (n min(rows - 1, columns - 1))) (Cramér 1946), 0 to 1."""
    return float(np.sqrt(chi_squared / (n * min(rows - 1, columns - 1))))
