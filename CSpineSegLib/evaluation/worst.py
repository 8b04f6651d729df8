"""In what way an exam failed, and which exams are the worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..anatomy import STRUCTURES
from .results import Results

if TYPE_CHECKING:
    import pandas

LOW_DICE, FAR_MM = 0.8, 5.0
CATEGORIES = {
    "empty": "a structure is in one mask only",
    "low overlap": f"Dice of bodies or discs under {LOW_DICE:g}",
    "far border": f"HD95 of bodies or discs over {FAR_MM:g} mm",
    "shifted levels": "a body or disc has another level's name",
    "missing": "a body, or a disc outside fused blocks, has nothing on it in the prediction",
    "extra": "a body, or a disc outside fused blocks, is in the prediction only",
    "fused otherwise": "bodies are one block in one mask and apart in the other",
}


def table(results: Results) -> pandas.DataFrame:
    """One row per exam that was compared, the worst first: by the lower Dice of bodies and discs, then by name.

    Columns: exam, lowest_dice, `dice_<structure>` and `hd95_mm_<structure>`, level_shift_rate, missing_parts,
    extra_parts and fused_parts, one of truth values per category of `CATEGORIES`, and `categories`, their names in one
    text.
    """
    import pandas

    frame = pandas.DataFrame(index=results.usable.index)
    frame.index.name = "exam"
    keys = [part.key for part in STRUCTURES]
    volumes = [f"volume_{side}_mm3" for side in ("reference", "candidate")]
    of_class = _wide(results, "class", [(one, key) for one in ("dice", "hd95_mm", *volumes) for key in keys])
    counted = [(one, key) for one in ("missing", "extra") for key in keys]
    within = [(f"{one}_within_block", "discs") for one in ("missing", "extra")]
    of_exam = _wide(results, "exam", [("level_shift_rate", ""), ("fused", "bodies"), *counted, *within])
    for metric in ("dice", "hd95_mm"):
        for key in keys:
            frame[f"{metric}_{key}"] = of_class[metric, key]
    frame.insert(0, "lowest_dice", frame[[f"dice_{key}" for key in keys]].min(axis=1))
    frame["level_shift_rate"] = of_exam["level_shift_rate", ""]
    for match in ("missing", "extra"):
        explained = of_exam[f"{match}_within_block", "discs"]
        frame[f"{match}_parts"] = sum(of_exam[match, key] for key in keys) - explained
    frame["fused_parts"] = of_exam["fused", "bodies"]
    sizes = [[of_class[volume, key] > 0 for volume in volumes] for key in keys]
    marks = {
        "empty": (sizes[0][0] != sizes[0][1]) | (sizes[1][0] != sizes[1][1]),
        "low overlap": frame["lowest_dice"] < LOW_DICE,
        "far border": (frame[[f"hd95_mm_{key}" for key in keys]] > FAR_MM).any(axis=1),
        "shifted levels": frame["level_shift_rate"] > 0,
        "missing": frame["missing_parts"] > 0,
        "extra": frame["extra_parts"] > 0,
        "fused otherwise": frame["fused_parts"] > 0,
    }
    for name, mark in marks.items():
        frame[name] = mark
    frame["categories"] = [
        "; ".join(name for name in CATEGORIES if row[name]) for row in frame[list(CATEGORIES)].to_dict("records")
    ]
    # Exams are sorted by name, and stay so where they are equal.
    return frame.sort_index().sort_values("lowest_dice", kind="stable").reset_index()


def _wide(results: Results, kind: str, wanted: list[tuple[str, str]]) -> pandas.DataFrame:
    """Exams x (metric, structure); NaN where there is no such figure, as when no exam could be compared."""
    from pandas import DataFrame

    columns = {key: results.values(key[0], key[1], kind).reindex(results.usable.index) for key in wanted}
    return DataFrame(columns, index=results.usable.index, dtype=float)
