"""The audit of one model against one ruler: groups, tests, success rates, adjusted models, and what could be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ..sections import Figure, Section, Table
from . import adjusted, differences, pictures, rates, wording
from .groups import LEAST, Grouping, group, parse
from .scores import POLICY, Scores, gather
from .units import Units, of_groups

if TYPE_CHECKING:
    import pandas

    from ..results import Results

RESAMPLES = PERMUTATIONS = 2000
# Rows that a page shows of a table at once.
_PAGE = 40
Rows = list[dict[str, Any]]


def audit(
    results: Results, by: str | Sequence[str], *, resamples: int = RESAMPLES, permutations: int = PERMUTATIONS
) -> Section:
    """Whether predictions serve all groups equally well, measured against the results' ruler.

    Parameters
    ----------
    results : an evaluation; exams that failed are left out and counted.
    by : words of `groups.COLUMNS`, or columns that somebody added to the exams; "sex,age" or a list.
    resamples, permutations : of the intervals and of the p values of success rates.

    Returns
    -------
    Section `fairness-<ruler>` with tables `fairness-<ruler>-groups`, `-tests`, `-pairs`, `-disparity`, `-rates`,
    `-sweep`, `-adjusted` and `-detectable`; each row names the ruler.

    Raises
    ------
    InputError : an unknown column, no exam, or no column of which two groups have 30 patients.
    """
    scores = gather(results)
    if not len(scores.exams):
        raise InputError(f"{results.folder} has no exam that could be evaluated, so there is nothing to audit.")
    return of_scores(scores, by, resamples, permutations)


def of_scores(scores: Scores, by: str | Sequence[str], resamples: int, permutations: int) -> Section:
    """As :func:`audit`, of scores that were gathered already."""
    columns = parse(by, scores.exams)
    groupings = [group(scores.exams, column) for column in columns]
    found = compute(scores, groupings, resamples, permutations)
    models, said = adjusted.models(scores, columns)
    tests, disparity = differences.with_family(found["tests"]), differences.with_family(found["disparity"])
    for grouping, units in found["compared"]:
        found["detectable"] += differences.detectable(scores, grouping, units, len(tests))
    tables = _tables(scores, found, tests, disparity, differences.with_family(models))
    sentences = (
        *wording.opening(scores, groupings),
        *wording.verdicts(scores, tests, disparity),
        *wording.left(differences.with_family(models)),
        *wording.limits(found["detectable"], tests),
        *wording.alone(groupings),
        *said,
    )
    key = f"fairness-{wording.slug(scores.ruler)}"
    drawn = pictures.of_audit(scores, found["compared"], disparity, found["sweep"], key)
    named = tuple(Table(f"{key}-{name}", *rest) for name, *rest in tables if len(rest[1]))
    figures = tuple(Figure(f"{key}-{name}", *rest) for name, *rest in drawn)
    title = f"Fairness of {scores.predictions}, measured against {wording.ruler(scores.ruler)}"
    return Section(key, title, sentences, wording.warnings(scores), named, figures)


def compute(scores: Scores, groupings: Sequence[Grouping], resamples: int, permutations: int) -> dict[str, Any]:
    """The rows of all groupings that can be compared, and of those that can only be described.

    Returns
    -------
    dict of rows `groups`, `tests`, `pairs`, `rates`, `disparity`, `sweep`, `detectable` (still empty), and
    `compared`, the groupings with their units.

    Raises
    ------
    InputError : no grouping has two groups of 30 patients.
    """
    patients = scores.exams["patient"].to_numpy()
    compared = [(one, of_groups(one, patients)) for one in groupings if one.comparable]
    if not compared:
        raise InputError(
            f"There is nothing to compare by {', '.join(one.key for one in groupings)}: "
            f"{wording.sizes(groupings)}; two groups of {LEAST} patients or more are needed."
        )
    found: dict[str, Any] = {key: [] for key in ("groups", "tests", "pairs", "rates", "disparity", "sweep")}
    for grouping in groupings:
        units: Units | None = next((units for one, units in compared if one is grouping), None)
        found["groups"] += differences.described(scores, grouping, units, resamples)
        if units is None:
            continue
        found["tests"] += differences.tested(scores, grouping, units)
        found["pairs"] += differences.post_hoc(scores, grouping, units)
        lines = rates.disparities(scores, grouping, units, resamples, permutations)
        for key, rows in zip(("rates", "disparity", "sweep"), lines, strict=True):
            found[key] += rows
    return found | {"compared": compared, "detectable": []}


def _tables(
    scores: Scores,
    found: dict[str, Any],
    tests: pandas.DataFrame,
    disparity: pandas.DataFrame,
    models: pandas.DataFrame,
) -> list[tuple[str, str, pandas.DataFrame, str, bool]]:
    """Name, title, frame, note, long of each table."""
    import pandas

    ruler = wording.ruler(scores.ruler)
    family = "p adjusted by Benjamini and Hochberg over the {} rows of this table; significant below 5 %."
    one = "By p. The exams of one patient count as their mean. "
    listed = [
        ("tests", "Tests of scores between groups", tests, one + family.format(len(tests)) + " " + POLICY, False),
        ("pairs", "Pairs of three and more groups (Dunn, Holm over the pairs of a row)", found["pairs"],
         "To be read only where the test of all groups is significant.", True),
        ("disparity", "Success rates: largest difference (DPD) and smallest ratio (DIR)", disparity,
         "Intervals by redrawing patients, with the best and worst group as found, so that they may pass 0 or 1; p by "
         "dealing the groups anew. " + family.format(len(disparity)) + " " + POLICY, False),
        ("rates", "Success rates of the groups", found["rates"], "Intervals of Wilson, on patients. " + POLICY, True),
        ("sweep", "DPD and DIR over thresholds", found["sweep"], "Intervals as in the table of success rates.", True),
        ("adjusted", "Differences adjusted for age, sex, volume of the structure and scanner", models,
         "Least squares, errors clustered by patient; 'alone' is the term without the others. "
         + family.format(len(models)) + f" Groups of under {LEAST} patients are taken together.", False),
        ("detectable", "The smallest difference of a group from all others that would be seen", found["detectable"],
         "With a power of 80 % at 5 %: 'detectable' if it were the only test, 'detectable_family' at 5 % divided by "
         f"{len(tests)} tests, the strictest step of Benjamini and Hochberg. Of success rates as well.", True),
        ("groups", "Scores of the groups", found["groups"],
         f"Groups of under {LEAST} patients are described and not tested. " + POLICY, True),
    ]  # fmt: skip
    tables = []
    for name, title, rows, note, long in listed:
        frame = rows if isinstance(rows, pandas.DataFrame) else pandas.DataFrame(rows)
        if name in ("tests", "disparity") and len(frame):
            # The first rows are what a page shows of a long table.
            frame = frame.sort_values("p", kind="stable", ignore_index=True)
        if len(frame):
            frame = frame.copy()
            frame.insert(0, "ruler", scores.ruler)
        tables.append((name, f"{title}, against {ruler}", frame, note, long or len(frame) > _PAGE))
    return tables
