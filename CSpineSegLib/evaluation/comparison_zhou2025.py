"""The tests of the dataset's paper, to repeat its figures; they treat paired scores as if of different patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..anatomy import STRUCTURES
from ..spine.components import DISCS
from .comparison_pairs import Pairing

if TYPE_CHECKING:
    import pandas

SEED, RESAMPLES = 42, 9999


def table(pairs: Sequence[Pairing]) -> pandas.DataFrame:
    """Per pair, structure and disc level: medians, Mann-Whitney p, and the interval of the difference of medians.

    Columns `pair`, `structure`, `exams`, `first`, `second` (medians), `difference`, `low`, `high`, `p`.
    """
    from pandas import DataFrame

    rows = []
    for pairing in pairs:
        for structure in (*(part.key for part in STRUCTURES), "macro", *DISCS):
            both = pairing.values(structure, "zhou2025", "dice").dropna()
            if both.empty:
                continue
            first, second = both["first"].to_numpy(), both["second"].to_numpy()
            medians = np.median(first), np.median(second)
            low, high = difference_of_medians(first, second)
            p = mann_whitney(first, second)
            rows.append((pairing.label, structure, len(both), *medians, medians[0] - medians[1], low, high, p))
    columns = ["pair", "structure", "exams", "first", "second", "difference", "low", "high", "p"]
    return DataFrame(rows, columns=columns)


def mann_whitney(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p as SciPy's function gives it without options, 1 if all values are equal."""
    from scipy.stats import mannwhitneyu

    if np.ptp(np.concatenate([first, second])) == 0:
        return 1.0
    return float(mannwhitneyu(first, second).pvalue)


def difference_of_medians(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """95 % percentile interval of median(first) - median(second), each (n,) resampled for itself by exam.

    Mersenne Twister, seed 42, first sample before the second: the numbers that SciPy's `bootstrap` draws.
    """
    random = np.random.RandomState(SEED)
    drawn = [np.median(one[random.randint(0, len(one), (RESAMPLES, len(one)))], axis=1) for one in (first, second)]
    low, high = np.percentile(drawn[0] - drawn[1], [2.5, 97.5])
    return float(low), float(high)
