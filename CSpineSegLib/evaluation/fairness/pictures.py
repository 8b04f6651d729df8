"""What the figures of an audit show; `report.plots` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import wording
from .groups import Grouping
from .scores import SUCCESSES, Scores
from .units import Units

Drawn = tuple[str, str, str, Mapping[str, Any]]
_FOUR_FIFTHS = 0.8


def of_audit(
    scores: Scores, compared: Sequence[tuple[Grouping, Units]], disparity: Any, sweep: list[dict[str, Any]], key: str
) -> list[Drawn]:
    """Name, caption, kind and data of each figure."""
    ruler = wording.ruler(scores.ruler)
    found = [_dice(scores, grouping, units, ruler) for grouping, units in compared]
    found.append(_forest(disparity, ruler))
    return [*found, *_sweeps(sweep, ruler)]


def _dice(scores: Scores, grouping: Grouping, units: Units, ruler: str) -> Drawn:
    import pandas

    labels = grouping.labels.to_numpy()[units.rows]
    parts = [
        pandas.DataFrame(
            {"group": labels, "structure": structure, "dice": scores.values[structure, "dice"][units.rows]}
        )
        for structure in ("bodies", "discs")
        if (structure, "dice") in scores.values
    ]
    frame = pandas.concat(parts, ignore_index=True)
    order = pandas.Categorical(frame["group"], categories=units.names, ordered=True)
    frame = frame.assign(group=order).sort_values(["structure", "group"], kind="stable").astype({"group": str})
    caption = f"Dice by {grouping.column.title}, against {ruler}: every exam of the groups that are tested."
    data = {"frame": frame, "value": "dice", "group": "group", "panel": "structure", "unit": f"Dice against {ruler}"}
    return wording.slug(f"dice-{grouping.key}"), caption, "groups", data | {"line": None}


def _forest(disparity: Any, ruler: str) -> Drawn:
    import pandas

    rows = pandas.DataFrame(
        {
            "label": disparity["by"] + ", " + disparity["success"],
            "value": disparity["dir"],
            "low": disparity["dir_low"],
            "high": disparity["dir_high"],
            "panel": disparity["structure"],
        }
    )
    rows = rows[rows["panel"] != "pooled"] if (rows["panel"] != "pooled").any() else rows
    caption = (
        f"Ratio of the worst to the best group's success rate (DIR), against {ruler}, with 95 % intervals; 1 is equal, "
        f"and below {_FOUR_FIFTHS} deserves attention by the four-fifths rule."
    )
    data = {"rows": rows, "line": 1.0, "unit": f"DIR against {ruler}", "log": False}
    return "dir", caption, "forest", data


def _sweeps(sweep: list[dict[str, Any]], ruler: str) -> list[Drawn]:
    import pandas

    frame = pandas.DataFrame(sweep)
    found = []
    for success in SUCCESSES:
        for structure in [name for name in dict.fromkeys(frame["structure"]) if name != "pooled"]:
            chosen = frame[(frame["measure"] == success.key) & (frame["structure"] == structure)]
            lines = pandas.DataFrame({"x": chosen["threshold"], "y": chosen["dpd"], "group": chosen["by"]})
            if not np.isfinite(lines["y"]).any():
                continue
            unit = "" if success.above else " (mm)"
            caption = (
                f"Largest difference of success rates (DPD) over the threshold of {success.title}, {structure}, "
                f"against {ruler}; the audit's own threshold is {success.threshold:g}."
            )
            names = (f"threshold of {success.title}{unit}", f"DPD against {ruler}")
            data = {"frame": lines, "names": names, "line": 0.0}
            found.append((wording.slug(f"sweep-{success.key}-{structure}"), caption, "lines", data))
    return found
