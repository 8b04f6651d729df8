"""What an audit says in sentences: what was measured against what, what was found, and what could not be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..results import GOLD, SILVER
from .groups import LEAST, UNKNOWN, Grouping
from .scores import MEASURES, STRUCTURES, Scores

# Beyond this many findings a table tells them better.
_MOST = 6
SILVER_WARNING = (
    "The ruler is Silver: labels that a network made and nobody reviewed. Predictions of a similar network are nearly "
    "the same as these labels (near-twins), which collapses the variance of the scores, so that differences without "
    "meaning become significant (false confidence); and where that network is itself worse in one group, its errors "
    "are added to the audited model's (false magnitude). Do not conclude from these figures that the model is fair or "
    "unfair; audit it against Gold, or show both rulers side by side."
)


def ruler(name: str) -> str:
    """The ruler as it stands in a sentence."""
    return {GOLD: "Gold", SILVER: "Silver"}.get(name, f"the masks in {name}")


def slug(text: str) -> str:
    """Lower case with hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "other"


def warnings(scores: Scores) -> tuple[str, ...]:
    """What forbids to read an audit at its face value."""
    if scores.ruler == SILVER:
        return (SILVER_WARNING,)
    if scores.ruler == GOLD:
        return ()
    return (
        f"The ruler is a folder of masks, {scores.ruler}. If a network made them, differences between groups may be "
        "the network's and not the audited model's; only experts' masks (Gold) can tell.",
    )


def opening(scores: Scores, groupings: Sequence[Grouping]) -> Iterable[str]:
    exams, patients = len(scores.exams), scores.exams["patient"].nunique()
    yield (
        f"{scores.predictions} was measured against {ruler(scores.ruler)} in {exams} exams of {patients} patients"
        + (f"; {scores.failed} more could not be evaluated." if scores.failed else ".")
    )
    for structure in STRUCTURES[:2]:
        one, both = scores.one_empty.get(structure, 0), scores.both_empty.get(structure, 0)
        if one:
            yield f"In {one} exams one of the two masks has no {structure}; they count as failures."
        if both:
            yield f"In {both} exams neither mask has {structure}; they are left out of the figures of {structure}."
    for grouping in groupings:
        if grouping.small and grouping.comparable:
            named = ", ".join(f"{name} ({grouping.patients[name]})" for name in grouping.small)
            yield f"By {grouping.column.title}, groups of under {LEAST} patients are described and not tested: {named}."
        if grouping.unknown:
            yield f"Of {grouping.unknown} patients the {grouping.column.title} is {UNKNOWN}; they are not tested."


def alone(groupings: Sequence[Grouping]) -> Iterable[str]:
    """Which groupings could not be compared, and why."""
    for grouping in groupings:
        if not grouping.comparable:
            yield f"By {grouping.column.title} there is nothing to compare: {sizes([grouping])}."


def sizes(groupings: Sequence[Grouping]) -> str:
    """The groups with their patients, of each grouping.

    "sex has one group, F (200 patients)"
    """
    parts = []
    for grouping in groupings:
        named = ", ".join(f"{name} ({count} patients)" for name, count in grouping.patients.items())
        number = len(grouping.patients)
        what = "no known group" if not number else f"one group, {named}" if number == 1 else f"the groups {named}"
        parts.append(f"{grouping.column.title} has {what}")
    return "; ".join(parts)


def verdicts(scores: Scores, tests: Any, disparity: Any) -> Iterable[str]:
    against = ruler(scores.ruler)
    for frame, what in ((tests, "tests of scores"), (disparity, "tests of success rates")):
        hits = frame[frame["significant"]]
        text = f"Against {against}, {len(hits)} of {len(frame)} {what} are significant after Benjamini and Hochberg"
        yield f"{text}: {_findings(hits)}." if len(hits) else f"{text}."
    if len(disparity) and disparity["dir"].notna().any():
        worst = disparity.loc[disparity["dir"].idxmin()]
        if worst["best"] == worst["worst"]:
            yield f"Against {against}, success rates are the same in all tested groups."
            return
        interval = f"95 % interval {worst['dir_low']:.2f} to {worst['dir_high']:.2f}"
        yield (
            f"The smallest ratio of success rates against {against} is {worst['dir']:.2f} "
            f"({interval if worst['dir_low'] == worst['dir_low'] else 'too few successes for an interval'}): "
            f"{worst['structure']}, {worst['success']}, {worst['worst']} against {worst['best']}."
        )


def _findings(hits: Any) -> str:
    titles = {measure.key: measure.title for measure in MEASURES}
    named: dict[str, list[str]] = {}
    for row in hits.sort_values("p", kind="stable").to_dict("records"):
        figure = titles.get(row.get("measure", ""), row.get("success", ""))
        named.setdefault(f"{row['by']}, {row['structure']}", []).append(figure)
    parts = [f"{of} ({', '.join(figures)})" for of, figures in named.items()]
    more = f"; and {len(parts) - _MOST} more" if len(parts) > _MOST else ""
    return "; ".join(parts[:_MOST]) + more


def left(models: Any) -> Iterable[str]:
    """What is left of differences between groups after adjustment."""
    if not len(models):
        return
    grouped = models[models["term"].str.contains(": ", regex=False) & models["p"].notna()]
    hits = grouped[grouped["significant"]]
    text = (
        f"With age, sex, volume of the structure and scanner taken into account, {len(hits)} of {len(grouped)} "
        f"differences between groups are significant"
    )
    named = [f"{row.structure}, {row.measure}, {row.term} ({row.estimate:+.3f})" for row in hits.itertuples()]
    more = f"; and {len(named) - _MOST} more" if len(named) > _MOST else ""
    yield f"{text}: {'; '.join(named[:_MOST])}{more}." if named else f"{text}."


def limits(detectable: list[dict[str, Any]], tests: Any) -> Iterable[str]:
    """The difference that each grouping's smallest tested group could have shown, of Dice."""
    smallest: dict[str, dict[str, Any]] = {}
    for row in detectable:
        # Without any spread there is nothing to compute it from.
        computed = row["detectable"] == row["detectable"]
        if computed and row["measure"] == "dice" and row["structure"] in ("discs", "bodies"):
            known = smallest.get(row["by"])
            if known is None or row["detectable"] > known["detectable"]:
                smallest[row["by"]] = row
    for row in smallest.values():
        yield (
            f"By {row['by']}, a true difference of Dice of {row['detectable']:.3f} would be seen with 80 % power in "
            f"{row['structure']} of {row['group']} ({row['patients']} patients against {row['others']}), and of "
            f"{row['detectable_family']:.3f} if it had to stand out from {len(tests)} tests; a smaller one may be "
            "there and not be found."
        )
