"""The same predictions under two rulers: what each says, where their verdicts part, and why.

A ruler made by a similar network is nearly the same as the predictions: the scores hardly vary, and a difference
without meaning becomes significant (*false confidence*; the variance ratio tells). A ruler made by an independent
network that is itself worse in one group adds its errors to the model's (*false magnitude*; the difference of the gaps
tells).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from ..results import GOLD
from ..sections import Figure, Section, Table
from . import differences, rates, two_wording, wording
from .auditing import PERMUTATIONS, RESAMPLES
from .groups import LEAST, Grouping, group, parse
from .scores import Scores, gather
from .units import Units, ends, of_groups

if TYPE_CHECKING:
    import pandas

    from ..results import Results

_SEED = 13
KEY = "fairness-rulers"
Key = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Pair:
    """The scores under both rulers.

    Parameters
    ----------
    scores : first (Gold, where there is one) and second.
    same_exams : the same exams in the same order, so that patients are redrawn for both at once.
    names : a word for each, part of column names.
    """

    scores: tuple[Scores, Scores]
    same_exams: bool
    names: tuple[str, str]


def two_rulers(
    gold: Results,
    silver: Results,
    by: str | Sequence[str],
    *,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
) -> Section:
    """The verdicts of two rulers on the same predictions, side by side.

    Parameters
    ----------
    gold, silver : evaluations of the same predictions, in any order. If 30 patients or more are in both, those exams
        alone are compared; else each ruler has exams of its own, as in the dataset, and the section says so.
    by : as of `audit`.

    Returns
    -------
    Section with tables `fairness-rulers-verdicts`, `-variance` (of the second ruler divided by the first's, per group)
    and `-gaps` (a group's mean minus that of all others).

    Raises
    ------
    InputError : both have the same ruler, an unknown column, or nothing to compare.
    """
    return of_pair(match(gather(gold), gather(silver)), by, resamples, permutations)


def of_pair(pair: Pair, by: str | Sequence[str], resamples: int, permutations: int) -> Section:
    """As :func:`two_rulers`, of scores that were gathered already."""
    columns = parse(by, pair.scores[0].exams)
    parse([column.key for column in columns], pair.scores[1].exams)
    groupings = [tuple(group(scores.exams, column) for scores in pair.scores) for column in columns]
    both = [(one, other.ordered_as(one)) for one, other in groupings if one.comparable and other.comparable]
    if not both:
        raise InputError(
            f"There is nothing to compare by {', '.join(column.key for column in columns)}: "
            f"{wording.sizes([one for one, _ in groupings])}; two groups of {LEAST} patients or more are needed."
        )
    verdicts = _verdicts(pair, both, permutations)
    spread, gaps = spread_and_gaps(pair, both, resamples)
    frames = {"verdicts": verdicts, "variance": spread, "gaps": gaps}
    tables = tuple(
        Table(f"{KEY}-{name}", title, frames[name], note, long=True) for name, title, note in two_wording.titles(pair)
    )
    figures = tuple(Figure(f"{KEY}-{name}", *rest) for name, *rest in two_wording.pictures(pair, spread, gaps))
    skipped = [two[two[0].comparable] for two in groupings if not all(one.comparable for one in two)]
    sentences = (*two_wording.sentences(pair, verdicts, spread, gaps), *wording.alone(skipped))
    return Section(KEY, two_wording.title(pair), sentences, two_wording.warnings(pair), tables, figures)


def match(first: Scores, second: Scores) -> Pair:
    """Two sets of scores as a pair, Gold first, of the same exams if they share those of 30 patients.

    InputError if both were measured with the same ruler.
    """
    if first.ruler == second.ruler:
        raise InputError(
            f"Both evaluations measure against {wording.ruler(first.ruler)}; evaluate the same predictions against "
            "another --reference and name that folder as the second."
        )
    if second.ruler == GOLD:
        first, second = second, first
    common = first.exams.index[first.exams.index.isin(second.exams.index)]
    same = first.exams.loc[common, "patient"].nunique() >= LEAST
    if same:
        first, second = first.at(common), second.at(common)
        # What a patient is does not depend on the ruler.
        second = Scores(second.ruler, second.predictions, first.exams, *_counted(second))
    names = [wording.slug(one.ruler).replace("-", "_") for one in (first, second)]
    return Pair((first, second), same, (names[0], names[1] if names[1] != names[0] else f"{names[1]}_2"))


def _counted(scores: Scores) -> tuple[Any, ...]:
    return scores.values, scores.one_empty, scores.both_empty, scores.failed


def _verdicts(pair: Pair, both: list[tuple[Grouping, Grouping]], permutations: int) -> pandas.DataFrame:
    """A row per grouping and figure: effect, p and verdict under each ruler, and whether they part."""
    import pandas

    sides = []
    for at, (scores, name) in enumerate(zip(pair.scores, pair.names, strict=True)):
        tests, gaps = [], []
        for groupings in both:
            units = of_groups(groupings[at], scores.exams["patient"].to_numpy())
            named = {"groups": ", ".join(units.names)}
            tests += [named | row for row in differences.tested(scores, groupings[at], units)]
            gaps += [named | row for row in rates.tested(scores, groupings[at], units, permutations)]
        frames = []
        for rows, figure, effect in ((tests, "measure", "effect"), (gaps, "success", "dpd")):
            frame = differences.with_family(rows)
            frame = frame.rename(columns={figure: "figure", effect: "effect"})
            kind = "score" if figure == "measure" else "success rate"
            kept = frame[["by", "structure", "figure", "groups", "effect", "p", "p_adjusted", "significant"]]
            frames.append(kept.assign(kind=kind))
        found = pandas.concat(frames, ignore_index=True)
        keys = ["by", "structure", "kind", "figure"]
        sides.append(found.set_index(keys).add_suffix(f"_{name}"))
    joined = sides[0].join(sides[1], how="inner").reset_index()
    first, second = (joined[f"significant_{name}"] for name in pair.names)
    joined["flips"] = first != second
    joined["verdict"] = np.select(
        [first & second, first & ~second, ~first & second],
        ["both", f"only against {wording.ruler(pair.scores[0].ruler)}",
         f"only against {wording.ruler(pair.scores[1].ruler)}"],
        "neither",
    )  # fmt: skip
    # What flips first, and then what is most significant against the first ruler.
    order = [~joined["flips"], joined[f"p_{pair.names[0]}"]]
    return joined.iloc[np.lexsort(order[::-1])].reset_index(drop=True)


def spread_and_gaps(
    pair: Pair, both: list[tuple[Grouping, Grouping]], resamples: int
) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Variance per group, its ratio, and the gap of each group to all others, with intervals, under both rulers."""
    import pandas

    spread, gaps = [], []
    keys = [key for key in pair.scores[0].values if key in pair.scores[1].values]
    one, two = pair.names
    for groupings in both:
        moments = [
            _moments(scores, grouping, keys, resamples, _SEED if pair.same_exams else _SEED + at)
            for at, (scores, grouping) in enumerate(zip(pair.scores, groupings, strict=True))
        ]
        for name in [name for name in moments[0] if name in moments[1]]:
            (count_1, var_1, gap_1, many), (count_2, var_2, gap_2, fewer) = moments[0][name], moments[1][name]
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = np.where(var_1 > 0, var_2 / var_1, np.nan)
            low, high = ends(ratio[1:], min(many, fewer))
            gap_low, gap_high = ends((gap_2 - gap_1)[1:], min(many, fewer))
            for at, (structure, measure) in enumerate(keys):
                of = {"by": groupings[0].key, "group": name, "structure": structure, "measure": measure}
                spread.append(
                    of
                    | {f"exams_{one}": int(count_1[at]), f"exams_{two}": int(count_2[at])}
                    | {f"sd_{one}": np.sqrt(var_1[0, at]), f"sd_{two}": np.sqrt(var_2[0, at])}
                    | {"variance_ratio": ratio[0, at], "low": low[at], "high": high[at]}
                )
                gaps.append(
                    of
                    | {f"gap_{one}": gap_1[0, at], f"gap_{two}": gap_2[0, at]}
                    | {"difference": gap_2[0, at] - gap_1[0, at], "low": gap_low[at], "high": gap_high[at]}
                )
    return pandas.DataFrame(spread), pandas.DataFrame(gaps)


def _moments(
    scores: Scores, grouping: Grouping, keys: list[Key], resamples: int, seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
    """Per tested group: exams (columns,), variance and gap to all others, and the number of patients.

    Variance and gap are (1 + resamples, columns), with those of the exams as they are in the first row.
    """
    units: Units = of_groups(grouping, scores.exams["patient"].to_numpy())
    table = np.stack([scores.values[key] for key in keys], axis=1)
    table = np.where(np.isinf(table), np.nan, table)
    centre = np.nan_to_num(np.nanmean(np.where(np.isnan(table).all(axis=0), 0.0, table), axis=0))
    table = table - centre
    sums, counts = units.sums(table)
    squares, _ = units.sums(table**2)
    drawn = np.concatenate([np.ones((1, len(units))), units.drawn(resamples, seed)])
    found = {}
    for number, name in enumerate(units.names):
        mine = units.group == number
        total, square, count = (drawn[:, mine] @ part[mine] for part in (sums, squares, counts))
        others, number_of = (drawn[:, ~mine] @ part[~mine] for part in (sums, counts))
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = np.maximum(square - total**2 / count, 0) / np.where(count > 1, count - 1, np.nan)
            gap = total / count - others / number_of
        found[name] = (counts[mine].sum(axis=0), variance, gap, int(mine.sum()))
    return found
