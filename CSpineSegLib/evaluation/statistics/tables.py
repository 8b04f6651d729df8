"""Test of a cross-table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...errors import InputError
from . import effects
from .tests import Test
from .values import sentence

if TYPE_CHECKING:
    import pandas

TABLES = 9999


def contingency(table: pandas.DataFrame) -> Test:
    """Whether two groupings go together: Pearson's chi-squared without continuity correction, with Cramer's V.

    Where expected counts are too small for the curve (any under 1, or over a fifth of them under 5; Cochran 1954),
    Fisher's exact test of a table of 2 x 2, else 9,999 random tables with the same margins (seeded); the note says so.

    Parameters
    ----------
    table : counts, whole and not negative; rows and columns without any are left out.

    Returns
    -------
    Test with chi-squared and, as `n`, the number counted; p is NaN if under two rows or columns are left.

    Raises
    ------
    InputError : what is not a count.
    """
    from scipy.stats import chi2, fisher_exact, random_table

    try:
        counts = np.atleast_2d(np.asarray(table, float))
    except (TypeError, ValueError):
        raise InputError("The cross-table holds what is not a number; give counts.") from None
    if counts.ndim != 2 or not np.all(np.isfinite(counts) & (counts >= 0) & (counts == np.rint(counts))):
        raise InputError("The cross-table does not hold counts; give whole numbers of cases.")
    kept = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0]
    name, effect_name, total = "chi-squared", "Cramer's V", int(counts.sum())
    left = "" if kept.shape == counts.shape else "rows or columns without cases left out"
    if min(kept.shape) < 2:
        why = sentence([left, "under two rows or columns with cases, so there is nothing to test"])
        return Test(name, np.nan, np.nan, None, effect_name, (total,), why)
    expected = np.outer(kept.sum(axis=1), kept.sum(axis=0)) / total
    statistic = float(((kept - expected) ** 2 / expected).sum())
    effect = effects.cramers_v(statistic, total, *kept.shape)
    if expected.min() >= 1 and np.mean(expected < 5) <= 0.2:
        p = float(chi2.sf(statistic, (kept.shape[0] - 1) * (kept.shape[1] - 1)))
        return Test(name, statistic, p, effect, effect_name, (total,), left)
    whole = kept.astype(int)
    if kept.shape == (2, 2):
        p, how = float(fisher_exact(whole).pvalue), "Fisher's exact test, as expected counts are small"
    else:
        drawn = random_table(whole.sum(axis=1), whole.sum(axis=0), seed=0).rvs(TABLES)
        as_far = ((drawn - expected) ** 2 / expected).sum(axis=(1, 2)) >= statistic - 1e-9
        p = float((1 + np.count_nonzero(as_far)) / (1 + TABLES))
        how = f"by {TABLES} random tables with the same margins, as expected counts are small"
    return Test(name, statistic, p, effect, effect_name, (total,), sentence([left, how]))
