"""What two rulers say side by side, in sentences, titles and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..results import SILVER
from .scores import MEASURES, POLICY
from .wording import ruler

if TYPE_CHECKING:
    import pandas

    from .rulers import Pair

# Below this share of the other ruler's variance, labels and predictions are taken to be of one kind.
NEAR_TWINS = 0.25
_MOST = 6


def title(pair: Pair) -> str:
    return f"Fairness of {pair.scores[0].predictions} under two rulers, {_both(pair)}"


def _both(pair: Pair) -> str:
    return " and ".join(ruler(scores.ruler) for scores in pair.scores)


def warnings(pair: Pair) -> tuple[str, ...]:
    found = []
    if SILVER in [scores.ruler for scores in pair.scores]:
        found.append(
            "A verdict that holds against Silver alone is no finding about the model: Silver is a network's labels, "
            "nearly the same as the predictions of a similar network, so that their scores hardly vary."
        )
    names = {scores.predictions for scores in pair.scores}
    if len(names) > 1:
        found.append(f"The two evaluations are of differently named predictions: {', '.join(sorted(names))}.")
    if not pair.same_exams:
        found.append(
            "Each ruler measured exams of its own, so a difference between them may be one between their patients."
        )
    return tuple(found)


def titles(pair: Pair) -> Iterable[tuple[str, str, str]]:
    """Name, title and note of each table."""
    first, second = (ruler(scores.ruler) for scores in pair.scores)
    yield (
        "verdicts",
        f"Verdicts against {first} and against {second}",
        "Effects are rank-biserial (two groups; positive if the first that is named tends to be larger) or epsilon "
        "squared, of success rates the DPD; p by ranks, of success rates by dealing the groups anew; adjusted by "
        "Benjamini and Hochberg within each ruler, scores and success rates apart; significant below 5 %. " + POLICY,
    )
    yield (
        "variance",
        f"Spread of scores against {first} and against {second}",
        f"Variance of exams against {second} divided by that against {first}; intervals by redrawing patients.",
    )
    yield (
        "gaps",
        f"Gaps between groups against {first} and against {second}",
        f"Mean of the group's exams minus that of all other tested groups; 'difference' is what {second} adds.",
    )


def sentences(
    pair: Pair, verdicts: pandas.DataFrame, spread: pandas.DataFrame, gaps: pandas.DataFrame
) -> Iterable[str]:
    first, second = (ruler(scores.ruler) for scores in pair.scores)
    counts = [f"{len(scores.exams)} exams against {ruler(scores.ruler)}" for scores in pair.scores]
    how = f"the same {len(pair.scores[0].exams)} exams" if pair.same_exams else " and ".join(counts)
    yield f"{pair.scores[0].predictions} was measured against {first} and against {second} in {how}."
    yield from _twins(spread, first, second)
    flips = verdicts[verdicts["flips"]]
    numbers = [int(verdicts[f"significant_{name}"].sum()) for name in pair.names]
    yield (
        f"{numbers[0]} of {len(verdicts)} tests are significant against {first} and {numbers[1]} against {second}; "
        f"{len(flips)} verdicts flip."
    )
    for name in (f"only against {first}", f"only against {second}"):
        rows = flips[flips["verdict"] == name]
        if len(rows):
            told = [f"{row.by}, {row.structure}, {row.figure}" for row in rows.itertuples()]
            more = f"; and {len(told) - _MOST} more" if len(told) > _MOST else ""
            yield f"Significant {name}: {'; '.join(told[:_MOST])}{more}."
    one, two = pair.names
    for row in gaps[gaps["measure"] == "dice"].to_dict("records"):
        other = row["low"] > 0 or row["high"] < 0
        gap_one, gap_two = row[f"gap_{one}"], row[f"gap_{two}"]
        if other and abs(gap_two) > abs(gap_one) and row["structure"] != "pooled":
            # Of a gap that changes its sign, the difference is more than it grew by.
            does = "makes it larger by" if gap_one * gap_two > 0 else "turns it round and moves it by"
            yield (
                f"The gap of Dice of {row['structure']} in {row['group']} ({row['by']}) is {gap_one:+.3f} against "
                f"{first} and {gap_two:+.3f} against {second}: the second ruler {does} {abs(row['difference']):.3f} "
                f"(95 % interval of what it adds {row['low']:+.3f} to {row['high']:+.3f})."
            )


def _twins(spread: pandas.DataFrame, first: str, second: str) -> Iterable[str]:
    dice = spread[(spread["measure"] == "dice") & (spread["structure"] != "pooled")]
    middle = dice.groupby("structure")["variance_ratio"].median()
    if middle.isna().all():
        return
    named = ", ".join(f"{100 * ratio:.0f} % in {structure}" for structure, ratio in middle.items())
    text = f"The variance of Dice against {second} is, in the median of the groups, {named} of that against {first}"
    twins = middle.max() < NEAR_TWINS
    yield text + (
        ": labels and predictions are near-twins, so small differences become significant there." if twins else "."
    )


def pictures(
    pair: Pair, spread: pandas.DataFrame, gaps: pandas.DataFrame
) -> Iterable[tuple[str, str, str, Mapping[str, Any]]]:
    """Name, caption, kind and data of each figure."""
    import pandas

    first, second = (ruler(scores.ruler) for scores in pair.scores)
    dice = spread[(spread["measure"] == "dice") & (spread["structure"] != "pooled")]
    rows = pandas.DataFrame(
        {
            "label": dice["by"] + ", " + dice["group"],
            "value": dice["variance_ratio"],
            "low": dice["low"],
            "high": dice["high"],
            "panel": dice["structure"],
        }
    )
    caption = (
        f"Variance of Dice against {second} divided by that against {first}, per group, with 95 % intervals; far below "
        "1, the second ruler is nearly the same as the predictions."
    )
    yield "variance", caption, "forest", {"rows": rows, "line": 1.0, "unit": "variance ratio of Dice", "log": True}
    chosen = gaps[(gaps["measure"] == "dice") & (gaps["structure"] != "pooled")]
    parts = [
        pandas.DataFrame(
            {
                "label": chosen["by"] + ", " + chosen["group"],
                "value": chosen[f"gap_{name}"],
                "group": chosen["structure"] + f", against {ruler(scores.ruler)}",
            }
        )
        for name, scores in zip(pair.names, pair.scores, strict=True)
    ]
    titles_of = {measure.key: measure.title for measure in MEASURES}
    caption = f"Gap of {titles_of['dice']} of each group to all others, against {first} and against {second}."
    frame = pandas.concat(parts, ignore_index=True)
    yield "gaps", caption, "bars", {"frame": frame, "unit": f"gap of Dice against {first} and {second}"}
