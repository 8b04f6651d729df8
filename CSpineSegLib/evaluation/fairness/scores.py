"""The scores that an audit looks at, per exam, and what becomes of exams in which a mask is empty.

A distance is undefined where one of two masks is empty, which is the worst failure that there is: dropping it would
hide it. So an undefined HD95 because *one* mask lacks the structure counts as a failure of the success rate and ranks
behind every number. Where *both* masks lack the structure there was nothing to segment, and the exam is left out of all
figures of that structure and counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas

    from ..results import Results

STRUCTURES = ("bodies", "discs", "pooled")


@dataclass(frozen=True)
class Measure:
    """A figure that is compared between groups."""

    key: str
    title: str
    unit: str = ""


@dataclass(frozen=True)
class Success:
    """When an exam counts as a success: its figure lies above (or below) a threshold, or one of `sweep`."""

    key: str
    title: str
    threshold: float
    above: bool
    sweep: tuple[float, ...]

    @property
    def sentence(self) -> str:
        return f"{self.title} {'>' if self.above else '<'} {self.threshold:g}{'' if self.above else ' mm'}"

    def of(self, values: np.ndarray, threshold: float | None = None) -> np.ndarray:
        """1.0 for success, 0.0 for failure, NaN where there is no value; infinity is a failure of a distance."""
        limit = self.threshold if threshold is None else threshold
        with np.errstate(invalid="ignore"):
            met = values > limit if self.above else values < limit
        return np.where(np.isnan(values), np.nan, met.astype(float))


MEASURES = (
    Measure("dice", "Dice"),
    Measure("ndsc", "nDSC"),
    Measure("nsd_1mm", "NSD at 1 mm"),
    Measure("hd95_mm", "HD95", "mm"),
    Measure("volume_difference_relative", "relative volume difference"),
)
_SHARES = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
SUCCESSES = (
    Success("dice", "Dice", 0.8, True, _SHARES),
    Success("ndsc", "nDSC", 0.8, True, _SHARES),
    Success("hd95_mm", "HD95", 5.0, False, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0)),
)
POLICY = (
    "HD95 is undefined if one of the two masks lacks the structure: such an exam fails the success rate and ranks last "
    "in tests of HD95; it is left out of means. If both masks lack the structure, the exam is left out of its figures."
)


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one set of predictions against one ruler.

    Parameters
    ----------
    ruler : "gold", "silver" or the name of a folder.
    predictions : the model's name.
    exams : rows of the exams that could be evaluated.
    values : {(structure, measure): (exams,) array}, NaN where there is none; an HD95 that is undefined because one
        mask is empty is infinity.
    one_empty, both_empty : {structure: number of exams}.
    failed : exams that could not be evaluated.
    """

    ruler: str
    predictions: str
    exams: pandas.DataFrame
    values: dict[tuple[str, str], np.ndarray]
    one_empty: dict[str, int]
    both_empty: dict[str, int]
    failed: int

    @property
    def structures(self) -> list[str]:
        return list(dict.fromkeys(structure for structure, _ in self.values))

    def at(self, exams: Iterable[str]) -> Scores:
        """Of these exams only, in their order; counts of empty masks are counted again."""
        places = self.exams.index.get_indexer(list(exams))
        values = {key: array[places] for key, array in self.values.items()}
        one = {s: int(np.isinf(values[s, "hd95_mm"]).sum()) for s in self.one_empty}
        both = {s: int(np.isnan(values[s, "dice"]).sum()) for s in self.both_empty}
        return Scores(self.ruler, self.predictions, self.exams.iloc[places], values, one, both, 0)


def gather(results: Results) -> Scores:
    """The scores of all exams of an evaluation that did not fail."""
    exams = results.usable
    # A file of another name has no patient in its name and counts as one of its own.
    patients = exams["patient"].where(exams["patient"].notna(), exams.index.to_series())
    exams = exams.assign(patient=patients)
    raw = {}
    for structure in STRUCTURES:
        kind = "pooled" if structure == "pooled" else "class"
        for measure in MEASURES:
            found = results.values(measure.key, structure, kind)
            raw[structure, measure.key] = found.reindex(exams.index).to_numpy(float)
    return settle(results.ruler, results.predictions, exams, raw, len(results.exams) - len(exams))


def settle(
    ruler: str,
    predictions: str,
    exams: pandas.DataFrame,
    raw: dict[tuple[str, str], np.ndarray],
    failed: int = 0,
) -> Scores:
    """Apply the policy for empty masks to figures as the metric engine gives them.

    Parameters
    ----------
    raw : {(structure, measure): (exams,) array}; the HD95 is NaN where a mask is empty, and Dice then says whether one
        (0) or both (1) are.
    """
    single = [structure for structure in STRUCTURES if structure != "pooled" and (structure, "dice") in raw]
    undefined = {s: np.isnan(raw[s, "hd95_mm"]) for s in single}
    both = {s: undefined[s] & (raw[s, "dice"] >= 1) for s in single}
    one = {s: undefined[s] & (raw[s, "dice"] < 1) for s in single}
    if ("pooled", "dice") in raw:
        both["pooled"] = np.logical_and.reduce([both[s] for s in single])
        one["pooled"] = np.logical_or.reduce([one[s] for s in single])
    values = {}
    for (structure, measure), array in raw.items():
        kept = np.where(both[structure], np.nan, array.astype(float))
        if measure == "hd95_mm":
            kept = np.where(one[structure], np.inf, kept)
        values[structure, measure] = kept
    counts = [{s: int(mask.sum()) for s, mask in which.items()} for which in (one, both)]
    return Scores(ruler, predictions, exams, values, *counts, failed)
