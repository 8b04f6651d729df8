"""Exams of the tested groups with their patients: what is averaged, dealt anew and drawn anew is always a patient.

Several exams of a patient are alike and no test may count them as several. A *unit* is a patient within a group: the
mean of his or her exams there is one value of a test. A patient who was scanned on scanners of two groups is a unit in
each of them, but one patient when patients are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..statistics import shuffles
from .groups import Grouping


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a grouping's tested groups.

    Parameters
    ----------
    names : the tested groups.
    rows : (n,) places of their exams in the table of exams.
    unit : (n,) unit of each of these exams.
    group : (units,) number of each unit's group in `names`.
    patient : (units,) number of each unit's patient.
    """

    names: list[str]
    rows: np.ndarray
    unit: np.ndarray
    group: np.ndarray
    patient: np.ndarray

    def __len__(self) -> int:
        return len(self.group)

    def sums(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums and counts per unit (units, columns) of values (exams, columns), without the missing ones."""
        order = np.argsort(self.unit, kind="stable")
        starts = np.searchsorted(self.unit[order], np.arange(len(self)))
        mine = values[self.rows[order]]
        known = ~np.isnan(mine)
        return np.add.reduceat(np.where(known, mine, 0.0), starts), np.add.reduceat(known.astype(float), starts)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of each unit, (units,) or (units, columns), of values (exams,) or (exams, columns).

        NaN for a unit without any value; infinity stays.
        """
        sums, counts = self.sums(values.reshape(len(values), -1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return (sums / counts).reshape(len(self), *values.shape[1:])

    def dealt(self, times: int, seed: int = 0) -> np.ndarray:
        """(times, units) numbers of groups, dealt anew to the units."""
        return shuffles(self.group, n=times, seed=seed)

    def drawn(self, times: int, seed: int = 0) -> np.ndarray:
        """(times, units) how often each unit is drawn when as many patients as there are get drawn anew."""
        rng = np.random.default_rng(seed)
        count = int(self.patient.max()) + 1
        places = rng.integers(count, size=(times, count)) + count * np.arange(times)[:, None]
        weights = np.bincount(places.ravel(), minlength=times * count).reshape(times, count)
        return weights[:, self.patient].astype(float)


def of_groups(grouping: Grouping, patients: np.ndarray) -> Units:
    """The units of the groups of a grouping that are large enough to be tested.

    Parameters
    ----------
    patients : (exams,) patient of each exam, in the order of the grouping's labels.
    """
    import pandas

    names = grouping.tested
    codes = pandas.Categorical(grouping.labels, categories=names).codes
    rows = np.flatnonzero(codes >= 0)
    people, _ = pandas.factorize(np.asarray(patients, object)[rows])
    pairs, unit = np.unique(np.stack([codes[rows], people], 1), axis=0, return_inverse=True)
    return Units(names, rows, unit.reshape(len(rows)), pairs[:, 0].astype(int), pairs[:, 1].astype(int))


def ends(drawn: np.ndarray, clusters: int, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Expanded percentile interval (Hesterberg 2015) of redrawn statistics (times, columns), each (columns,).

    NaN in a tenth of the redraws or more (a rate without a case, a ratio with a zero) gives no interval.
    """
    from scipy.stats import norm, t

    if clusters < 2:
        return np.full(drawn.shape[1:], np.nan), np.full(drawn.shape[1:], np.nan)
    tail = norm.cdf(np.sqrt(clusters / (clusters - 1)) * t.ppf((1 - level) / 2, clusters - 1))
    missing = np.isnan(drawn)
    known = np.where(missing.mean(axis=0) < 0.1, drawn, np.nan)
    empty = np.isnan(known).all(axis=0)
    low, high = np.nanquantile(np.where(empty, 0.0, known), [tail, 1 - tail], axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)
