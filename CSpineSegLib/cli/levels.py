"""The command that names: levels and measurements of the masks that count, or of one mask file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import anatomy, jobs
from ..dataset.names import is_mask
from ..errors import InputError
from .app import app
from .options import DatasetFolder, Events, Force, GoldList, Json, Query, open_dataset
from .output import print_json, print_table, print_warnings, rounded, shown_progress
from .work import chosen

# The height in the middle, of bodies and discs.
_HEIGHTS = ("middle_height", "disc_middle_height")


@app.command(
    epilog="Examples: cspineseg levels 593973-000123 --dataset DIR;  cspineseg levels 593973-000123 --dataset DIR "
    "--anchor C2=1.5,20.0,43.0;  cspineseg levels MASK_SEG.nii.gz --output LEVELS.nii.gz"
)
def levels(
    targets: Annotated[list[str] | None, typer.Argument(help="Patient IDs, exam names, or one mask file.")] = None,
    dataset: DatasetFolder = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Labelmap file, for one mask file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All exams of the dataset.")] = False,
    query: Query = None,
    model_name: Annotated[
        str | None, typer.Option("--model", "-m", help="Take this model's prediction, not the mask that counts.")
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option(
            "--anchor",
            metavar="LEVEL=R,A,S",
            help="A point in a known level, in mm as Slicer shows them, e.g. C2=1.5,20.0,43.0; all other levels are "
            "counted from it. It is kept for the exam; 'none' forgets it.",
        ),
    ] = None,
    measurements: Annotated[
        bool, typer.Option("--measurements", help="Print the measurements instead of the levels.")
    ] = False,
    force: Force = False,
    gold_list: GoldList = None,
    as_json: Json = False,
    events: Events = False,
) -> int:
    """Name the bodies and discs of masks by level, measure them, and write labelmap and record; see Docs/batch.md."""
    targets, point = targets or [], parse_anchor(anchor)
    opened = open_dataset(dataset, gold_list)
    if output is not None:
        _check_file(targets, every or query is not None, model_name, point)
        with shown_progress(events, quiet=as_json) as progress:
            result = jobs.levels_file(Path(targets[0]), output, anchor=point, force=force, progress=progress)
        _show_one(result, result.to_json(), as_json, measurements)
        return 0
    _check_targets(targets)
    exams = chosen(targets, every, query, opened)
    if point is not None and len(exams) > 1:
        raise InputError(f"--anchor belongs to one exam, and {len(exams)} were named; give one exam by its name.")
    how = {"model": model_name, "anchor": point, "force": force}
    with shown_progress(events, quiet=as_json) as progress:
        batch = jobs.levels_many(exams, progress=progress, **how)
    if len(exams) == 1 and batch.failures:
        raise InputError(next(iter(batch.failures.values())))
    if len(exams) == 1 or as_json:
        content = {"results": [result.to_json() for result in batch.results], "failures": batch.failures}
        _show_one(next(iter(batch.results), None), content, as_json, measurements)
    elif measurements:
        rows = [[result.stem, *row] for result in batch.results for row in _measured(result)]
        print_table(f"Measurements of {len(batch.results)} exams", ["Exam", *_MEASURED], rows)
        print_warnings([f"{stem}: {sentence}" for stem, sentence in batch.failures.items()])
    else:
        _show_many(batch)
    return 1 if batch.failures else 0


def parse_anchor(text: str | None) -> tuple[str, tuple[float, float, float]] | str | None:
    """Level and point (RAS mm) of "C2=1.5,20,-43"; "none" as it is; None if nothing was given.

    InputError for anything else.
    """
    if text is None or text == jobs.NO_ANCHOR:
        return text
    name, equals, rest = text.partition("=")
    name = name.strip().upper().replace("/", "-")
    parts = [part.strip() for part in rest.split(",")]
    number = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
    if not equals or len(parts) != 3 or not all(re.fullmatch(number, part) for part in parts):
        raise InputError(f"{text!r} is not an anchor; write a level and a point in mm (RAS), e.g. C2=1.5,20.0,43.0.")
    point = tuple(float(part) for part in parts)
    if not all(map(math.isfinite, point)):
        raise InputError(f"The point of the anchor {text!r} is nowhere; give three coordinates in mm (RAS).")
    if name == "C1" or name not in {level.name for level in anatomy.levels()}:
        raise InputError(f"{name!r} is no level that a mask has; write C2 to T12, or a disc as C2-C3.")
    return name, point


def _check_file(targets: list[str], several: bool, model_name: str | None, point: Any) -> None:
    if len(targets) != 1 or several:
        raise InputError("--output takes exactly one mask file; without it, results go to the dataset's folder.")
    if not jobs.is_file_name(targets[0]):
        raise InputError(f"--output takes a NIfTI file, and {targets[0]!r} is none; leave it out for exams.")
    if model_name is not None:
        raise InputError("--model goes with exams of a dataset; of a file, the file itself is the mask.")
    if point == jobs.NO_ANCHOR:
        raise InputError("Anchors are kept for exams of a dataset only; leave out --anchor none.")


def _check_targets(targets: list[str]) -> None:
    for target in targets:
        if jobs.is_file_name(target) and is_mask(Path(target).name) and Path(target).name != target:
            raise InputError(f"{target} is a mask file; name the file for its levels with --output.")


_MEASURED = ("Of", "Measurement", "Value", "95 %", "Unit", "Remark")


def _measured(result: jobs.LevelsResult) -> Iterator[list[Any]]:
    for row in result.content["measurements"]:
        known = row["value"] is not None
        value, spread = rounded(row["value"], 1.96 * row["sigma"]) if known else (None, None)
        remarks = [row["reason"] and f"not measured: {row['reason']}", row["category"], row["note"]]
        yield [row["of"], row["title"], value, spread and f"± {spread}", row["unit"], "; ".join(filter(None, remarks))]


def _show_one(result: jobs.LevelsResult | None, content: dict[str, Any], as_json: bool, measurements: bool) -> None:
    if as_json or result is None:
        print_json(content)
        return
    if measurements:
        print_table(f"Measurements of {result.stem}", list(_MEASURED), list(_measured(result)))
        return
    found = result.content
    heights = {row["of"]: row for row in found["measurements"] if row["key"] in _HEIGHTS and row["value"] is not None}
    volumes = {instance["number"]: instance["volume_mm3"] for instance in found["instances"]}
    rows = []
    for element in found["elements"]:
        height = heights.get(element["name"])
        place = found["landmarks"][element["name"]]["centre"]
        rows.append(
            [
                element["name"],
                f"{100 * element['confidence']:.0f} %",
                ", ".join(f"{value:.1f}" for value in place),
                f"{sum(volumes[number] for number in element['instances']):.0f}",
                height and " ± ".join(rounded(height["value"], 1.96 * height["sigma"])),
                element["note"],
            ]
        )
    columns = ["Level", "Sure", "Centre R, A, S (mm)", "Volume (mm3)", "Height (mm)", "Remark"]
    state = "up to date" if result.skipped else f"written to {result.paths.levels}"
    print_table(f"Levels of {result.stem}, {state}", columns, rows)
    print_warnings([found["reason"], *_specks(found), *found["warnings"]])


def _specks(found: dict[str, Any]) -> list[str]:
    count = len(found["specks"])
    return [f"Specks without a level: {count}, as they belong to no body or disc."] if count else []


def _show_many(batch: jobs.LevelsBatch) -> None:
    rows = []
    for result in batch.results:
        known = "absolute" if result.absolute else "relative"
        rows.append([result.stem, known, _span(result), ", ".join(result.blocks), result.paths.levels])
    rows += [[stem, f"failed: {sentence}", None, None, None] for stem, sentence in batch.failures.items()]
    absolute = sum(result.absolute for result in batch.results)
    kept = sum(result.skipped for result in batch.results)
    title = (
        f"{absolute} absolute, {len(batch.results) - absolute} relative, {len(batch.failures)} failed; "
        f"{kept} were up to date"
    )
    print_table(title, ["Exam", "Levels", "From, to", "Blocks", "Labelmap"], rows)
    if absolute < len(batch.results):
        print_warnings(["Relative levels have an order but no names; give one level of each exam with --anchor."])


def _span(result: jobs.LevelsResult) -> str:
    """The first and the last body."""
    names = [element["name"] for element in result.content["elements"] if element["kind"] != "disc"]
    return f"{names[0]} to {names[-1]}" if names else "nothing found"
