"""The command that compares two masks: figures of a structure, per level if asked for, or the dataset paper's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import jobs
from ..errors import InputError
from .app import app
from .options import DatasetFolder, GoldList, Json, need_dataset
from .output import print_json, print_table, print_warnings

Entry = Mapping[str, Any]


def _share(value: float) -> str:
    return f"{value:.3f}"


def _mm(value: float) -> str:
    return f"{value:.2f}"


def _mm3(value: float) -> str:
    return f"{value:.0f}"


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %"


# What the table calls a figure, and how it is written there; JSON has all digits.
_FIGURES: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("Dice", "dice", _share),
    ("IoU", "iou", _share),
    ("Precision", "precision", _share),
    ("Recall", "recall", _share),
    ("nDSC", "ndsc", _share),
    ("NSD, {nsd_1mm:g} mm", "nsd_1mm", _share),
    ("NSD, {nsd_voxel:.3g} mm (a voxel)", "nsd_voxel", _share),
    ("HD (mm)", "hd_mm", _mm),
    ("HD95 (mm)", "hd95_mm", _mm),
    ("ASSD (mm)", "assd_mm", _mm),
    ("Volume, reference (mm3)", "volume_mm3.reference", _mm3),
    ("Volume, mask (mm3)", "volume_mm3.candidate", _mm3),
    ("Volume difference (mm3)", "volume_difference_mm3", lambda value: f"{value:+.0f}"),
    ("Volume difference", "volume_difference_relative", _percent),
    ("Voxels added", "voxels_added", str),
    ("Voxels removed", "voxels_removed", str),
    ("Empty", "empty", str),
)
_COLUMNS = ("bodies", "discs", "pooled")
_LEVELS = ("Level", "Match", "Named in the mask", "Dice", "NSD, 1 mm", "HD95 (mm)", "Volume difference", "Remark")


@app.command(
    epilog="Examples: cspineseg metrics 593973-000123 --dataset DIR --levels;  cspineseg metrics REFERENCE.nii.gz "
    "MASK.nii.gz --json"
)
def metrics(
    target: Annotated[str, typer.Argument(help="Patient ID or exam; or the reference mask file.")],
    mask: Annotated[Path | None, typer.Argument(help="Mask file to compare with a reference mask file.")] = None,
    dataset: DatasetFolder = None,
    levels: Annotated[
        bool, typer.Option("--levels", help="Find the levels of both masks, and compare level by level.")
    ] = False,
    iou: Annotated[
        float | None,
        typer.Option("--iou", help="With --levels: from which IoU on a body or disc counts as detected (0.5)."),
    ] = None,
    surface: Annotated[
        str | None,
        typer.Option("--surface", help="elements (pieces of surface by their area; the default) or voxels."),
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option("--convention", help="zhou2025: the figures of the dataset's paper by its definitions, only."),
    ] = None,
    definitions: Annotated[bool, typer.Option("--definitions", help="Print what every figure means, too.")] = False,
    gold_list: GoldList = None,
    as_json: Json = False,
) -> None:
    """Compare the best mask of an exam with its source mask, or one mask file with another; see Docs/metrics.md."""
    how = {"levels": levels, "iou": iou, "surface": surface, "convention": convention}
    if mask is not None:
        found = [jobs.file_metrics(Path(target), mask, **how)]
    elif dataset is None and jobs.is_file_name(target):
        raise InputError(f"{target} is one mask; name the one to compare it with, too, or --dataset and an exam.")
    else:
        found = [jobs.exam_metrics(exam, **how) for exam in jobs.resolve(target, need_dataset(dataset, gold_list))]
    if as_json:
        print_json(found)
        return
    names = [entry.get("exam", entry["mask"]) for entry in found]
    one = f"{found[0]['mask']} against {found[0]['reference']}"
    title = one if len(found) == 1 else f"{len(found)} exams, each against its source mask"
    if convention is None:
        _show(title, ["Figure", *_COLUMNS], names, [list(_figures(entry)) for entry in found])
    else:
        _show(title, ["Figure", convention], names, [list(_of_the_paper(entry)) for entry in found])
    if levels:
        print()
        _show("Levels, from head to foot", list(_LEVELS), names, [list(_rows(entry)) for entry in found])
    if definitions:
        print()
        print_table("Definitions", ["Name", "Definition"], list(found[0]["definitions"].items()))
    notes = [(name, note) for name, entry in zip(names, found, strict=True) for note in _notes(entry)]
    print_warnings([note if len(found) == 1 else f"{name}: {note}" for name, note in notes], most=len(notes))


def _show(title: str, columns: list[str], names: list[str], tables: list[list[list[Any]]]) -> None:
    """One table; of several exams with a column that says which."""
    if len(names) == 1:
        print_table(title, columns, tables[0])
        return
    rows = [[name, *row] for name, table in zip(names, tables, strict=True) for row in table]
    print_table(title, ["Exam", *columns], rows)


def _text(value: Any, write: Callable[[Any], str]) -> str | None:
    return None if value is None else write(value)


def _figures(entry: Entry) -> Iterator[list[Any]]:
    for title, key, write in _FIGURES:
        first, _, second = key.partition(".")
        values = [entry[name][first][second] if second else entry[name][first] for name in _COLUMNS]
        if any(value is not None for value in values):
            yield [title.format(**entry["tolerances_mm"]), *(_text(value, write) for value in values)]
    if "levels" in entry:
        yield from _detected(entry["levels"])


def _detected(levels: Entry) -> Iterator[list[Any]]:
    """Counts and detection: what is only known of bodies and discs."""
    kinds = _COLUMNS[:2]
    threshold = levels["detection"]["bodies"]["iou_threshold"]
    for key in levels["counts"]["discs"]:
        title = key.replace("_", " ").capitalize()
        yield [title, *(levels["counts"][kind].get(key) for kind in kinds), None]
    for title, key in (("Detection F1", "f1"), ("Panoptic quality", "panoptic_quality")):
        values = [levels["detection"][kind][key] for kind in kinds]
        yield [f"{title} at IoU {threshold:g}", *map(_share, values), None]
    rate = levels["level_shift_rate"]
    yield ["Level shift rate", None, None, _text(rate, _share)]


def _rows(entry: Entry) -> Iterator[list[Any]]:
    for row in entry["levels"]["rows"]:
        remarks = []
        if row["shift"]:
            remarks.append(f"shifted by {row['shift']:+d}")
        if row["within_block"]:
            remarks.append("within a block")
        figures = [
            _text(row[key], write)
            for key, write in (
                ("dice", _share),
                ("nsd_1mm", _share),
                ("hd95_mm", _mm),
                ("volume_difference_relative", _percent),
            )
        ]
        yield [row["name"], row["match"], "+".join(row["candidate"]), *figures, "; ".join(remarks)]


def _of_the_paper(entry: Entry) -> Iterator[list[Any]]:
    for name in _COLUMNS[:2]:
        yield [f"Dice, {name}", _share(entry[name]["dice"])]
    yield ["Dice, macro", _share(entry["macro"])]
    for name, value in (entry["disc_levels"] or {}).items():
        yield [f"Dice, {name}", _share(value)]


def _notes(entry: Entry) -> Iterator[str]:
    yield from entry["notes"]
    if entry.get("disc_levels_reason"):
        yield f"No Dice of single discs: {entry['disc_levels_reason']}."
    for side, about in entry.get("labellings", {}).items():
        yield f"Levels of the {side}: {about['reason']}"
    if entry.get("levels") and entry["levels"]["level_shift_reason"]:
        yield f"No level shift rate: {entry['levels']['level_shift_reason']}."
