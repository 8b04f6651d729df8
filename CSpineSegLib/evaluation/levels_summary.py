"""Accuracy level by level, with fused blocks as what they are, and how often levels are shifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..anatomy import STRUCTURES, levels
from ..spine.components import DISCS
from .comparison_pairs import counted
from .results import Results
from .sections import Figure, Section, Table
from .statistics import bootstrap

if TYPE_CHECKING:
    import pandas

# How the note of a rate begins that cannot be told because a mask's levels have no names.
RELATIVE = "levels are only relative"
MATCHES = ("missing", "missing within a block", "split in candidate")
_FUSED = ("fused in reference", "fused in candidate", "regrouped")
_UNNAMED = ("vertebra ", "disc below ")


def levels_section(results: Results) -> Section:
    """Per level: overlap, distances, what is missing, fused or renamed; and how often levels are shifted."""
    rows = _rows(results)
    table, blocks, counts = by_level(results, rows), by_block(rows), events(results)
    tables = [
        Table(
            "levels",
            f"By level, against {results.against}",
            table,
            "Of each level that the reference has by itself and the prediction does not fuse with another; in_blocks "
            "counts the exams in which one mask has it in a fused block, which has a row of its own. Dice counts what "
            "is missing as 0, a disc that the prediction holds within a fused block too; dice_matched is of one with "
            "one only. Named Dice is what somebody gets who asks for the level by its name. Distances are medians, of "
            "what both masks have. paper: the paper's convention, of the exams in which both masks have six discs in "
            "the middle slice.",
        ),
        Table(
            "levels-events",
            "Missing, extra, fused and shifted",
            counts,
            "Over all exams. A disc that is missing or extra because the other mask has a fused block there is counted "
            "apart. Shifted levels can be told only where both masks show where the levels begin.",
        ),
    ]
    if len(blocks):
        note = "What belongs together because one mask has it fused: compared as one structure."
        tables.append(Table("levels-blocks", "Fused blocks", blocks, note, long=True))
    return Section(
        "levels", "Levels", tuple(_sentences(results, table, counts)), (), tuple(tables), _figures(results, rows)
    )


def by_level(results: Results, rows: pandas.DataFrame) -> pandas.DataFrame:
    """One row per level from head to foot, and last those whose levels are only relative."""
    import pandas

    patients = results.exams["patient"]
    paper = results.table[results.table["kind"] == "zhou2025"]
    is_block = rows["structure"].str.contains("+", regex=False)
    wide, blocks = _wide(rows[~is_block]), rows[is_block & (rows["metric"] == "dice")]
    found = []
    for level, part in wide.groupby("level", sort=False):
        interval = bootstrap(part["dice"].to_numpy(float), patients.reindex(part["exam"]).to_numpy())
        note = part["note"].str.partition(";")[0]
        row: dict[str, object] = {
            "level": level,
            "exams": part["exam"].nunique(),
            "dice": interval.value,
            "low": interval.low,
            "high": interval.high,
            "sd": part["dice"].std(),
            "median": part["dice"].dropna().median(),
            "dice_matched": part["dice"][note == "matched"].mean(),
            "named_dice": part["named_dice"].mean(),
            "nsd_1mm": part["nsd_1mm"].mean(),
            "hd95_mm": part["hd95_mm"].dropna().median(),
            "assd_mm": part["assd_mm"].dropna().median(),
            **{match: int((note == match).sum()) for match in MATCHES},
            "in_blocks": sum(level in block.split("+") for block in blocks["structure"]) + int(note.isin(_FUSED).sum()),
            "shifted": int((part["shift"].fillna(0) != 0).sum()),
        }
        of_paper = paper["value"][paper["structure"] == level].dropna() if level in DISCS else []
        row["paper"], row["paper_exams"] = (of_paper.mean(), len(of_paper)) if len(of_paper) else (np.nan, 0)
        found.append(row)
    frame = pandas.DataFrame(found)
    if frame.empty:
        return frame
    return frame.sort_values("level", key=lambda names: names.map(_place), kind="stable", ignore_index=True)


def by_block(rows: pandas.DataFrame) -> pandas.DataFrame:
    """One row per exam and fused block."""
    wide = _wide(rows[rows["structure"].str.contains("+", regex=False)])
    columns = {"exam": "exam", "structure": "block", "note": "match", "dice": "dice", "hd95_mm": "hd95_mm"}
    frame = wide.reindex(columns=list(columns)).rename(columns=columns)
    return frame.dropna(subset=["dice"]).sort_values(["exam", "block"], ignore_index=True)


def events(results: Results) -> pandas.DataFrame:
    """How many bodies and discs are missing, extra or fused, in how many exams; and the shift of levels."""
    import pandas

    counted = results.table[results.table["kind"] == "exam"]
    lines = []
    for part in STRUCTURES:
        own = counted[counted["structure"] == part.key].pivot(index="exam", columns="metric", values="value")
        for match in ("matched", "missing", "extra"):
            values = own.get(match, pandas.Series(dtype=float))
            within = own.get(f"{match}_within_block")
            if within is not None:
                values = values - within
            lines.append(_event(f"{part.key} {match}", values))
            if within is not None:
                lines.append(_event(f"{part.key} {match} within a block", within))
        if part.key == "bodies":
            for match in ("fused_in_reference", "fused_in_candidate", "split_in_candidate", "regrouped"):
                values = own.get(match, pandas.Series(dtype=float))
                lines.append(_event(f"{part.key} {match.replace('_', ' ')}", values))
    rate = results.values("level_shift_rate", "", "exam")
    shifted = rate.dropna() > 0
    lines.append({"event": "exams with shifted levels", "count": int(shifted.sum()), "exams": int(shifted.sum())})
    unknown = int(rate.isna().sum())
    lines.append({"event": "exams whose shift cannot be told", "count": unknown, "exams": unknown})
    return pandas.DataFrame(lines)


def _event(name: str, values: pandas.Series) -> dict[str, object]:
    return {"event": name, "count": int(values.sum()), "exams": int((values > 0).sum())}


def _rows(results: Results) -> pandas.DataFrame:
    """Of kind level, without what only the prediction has, with `level`: the name, or that it has none."""
    rows = results.table[results.table["kind"] == "level"]
    rows = rows[~rows["note"].str.startswith("extra")]
    unnamed = rows["structure"].str.startswith(_UNNAMED)
    kinds = rows["structure"].str.startswith("disc").map({True: "discs without a name", False: "bodies without a name"})
    return rows.assign(level=rows["structure"].where(~unnamed, kinds))


def _wide(rows: pandas.DataFrame) -> pandas.DataFrame:
    """One row per exam and structure with a column per metric and the note of its row."""
    keys = ["exam", "level", "structure"]
    wide = rows.pivot(index=keys, columns="metric", values="value")
    notes = rows[rows["metric"] == "dice"].set_index(keys)["note"]
    named = rows.loc[rows["metric"] == "named_dice", "structure"]
    wide["note"] = notes.reindex(wide.index)
    for column in ("dice", "named_dice", "nsd_1mm", "hd95_mm", "assd_mm", "shift"):
        if column not in wide:
            wide[column] = np.nan
    # A name that only the prediction has comes with a named Dice alone.
    wide = wide[wide["note"].notna()] if len(named) else wide
    return wide.reset_index()


def _place(level: str) -> float:
    """From head to foot; a disc lies below its upper vertebra; what has no name comes last."""
    vertebrae = [one.name for one in levels() if one.kind == "vertebra"]
    upper, _, lower = level.partition("-")
    if upper not in vertebrae:
        return len(vertebrae) + (1.0 if level.startswith("discs") else 0.0)
    return vertebrae.index(upper) + (0.5 if lower else 0.0)


def _sentences(results: Results, table: pandas.DataFrame, counts: pandas.DataFrame) -> list[str]:
    if table.empty:
        return ["No body and no disc of a reference could be compared level by level."]
    by_event = counts.set_index("event")["count"]
    rate = results.values("level_shift_rate", "", "exam").dropna()
    said = []
    named = table[~table["level"].str.endswith("without a name")]
    if len(named) > 1:
        low, high = named.loc[named["dice"].idxmin()], named.loc[named["dice"].idxmax()]
        said.append(
            f"Dice is lowest at {low['level']} ({low['dice']:.3f}, {counted(low['exams'], 'exam')}) and highest at "
            f"{high['level']} ({high['dice']:.3f}, {counted(high['exams'], 'exam')}); what is missing counts 0."
        )
    if len(rate):
        low_words = f"{int((rate > 0).sum())} of {len(rate)} exams"
        patients = results.exams["patient"].reindex(rate.index)
        interval = bootstrap(rate.to_numpy(), patients.to_numpy())
        said.append(
            f"Levels are shifted in {low_words} in which both masks tell where they begin; the level-shift rate is "
            f"{100 * interval.value:.1f} % of bodies and discs (95 % CI {100 * interval.low:.1f} to "
            f"{100 * interval.high:.1f} %)."
        )
    notes = results.table["note"][results.table["metric"] == "level_shift_rate"]
    unknown = int(notes.str.startswith(RELATIVE).sum())
    if unknown:
        said.append(
            f"In {counted(unknown, 'exam')} a mask shows no level to count from; bodies and discs are paired by "
            "overlap there and have no names."
        )
    said.append(
        f"{by_event['bodies missing']} bodies and {by_event['discs missing']} discs are missing, "
        f"{by_event['bodies extra']} and {by_event['discs extra']} are extra; "
        f"{by_event['bodies fused in reference']} blocks of the reference are apart in the prediction, and "
        f"{by_event['bodies fused in candidate']} of the prediction in the reference."
    )
    return said


def _figures(results: Results, rows: pandas.DataFrame) -> tuple[Figure, ...]:
    dice = rows[(rows["metric"] == "dice") & ~rows["structure"].str.contains("+", regex=False)]
    dice = dice[~dice["level"].str.endswith("without a name")]
    if dice.empty:
        return ()
    frame = dice[["level", "value"]].sort_values("level", key=lambda names: names.map(_place), kind="stable")
    caption = f"Dice of each level against {results.against}, from head to foot; what is missing counts 0."
    return (Figure("levels-dice", caption, "strip", {"frame": frame.reset_index(drop=True), "unit": ""}),)
