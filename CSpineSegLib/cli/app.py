"""The commands that look: list, show, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__, jobs
from ..errors import InputError
from .options import DatasetFolder, GoldList, Json, Query, need_dataset, open_dataset
from .output import print_json, print_pairs, print_table, print_warnings

app = typer.Typer(
    name="cspineseg",
    help="Vertebral bodies and discs in cervical spine MRI: find, segment, correct, measure. "
    "Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

COLUMNS = {
    "patient_id": "Patient",
    "study": "Study",
    "series": "Series",
    "age": "Age",
    "sex": "Sex",
    "manufacturer": "Manufacturer",
    "field_strength": "Field (T)",
    "source": "Source",
    "status": "Status",
    "annotator": "Annotator",
    "score": "Predicted Dice",
}


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"cspineseg {__version__}")
        raise typer.Exit


@app.command("list", epilog="Example: cspineseg list --dataset DIR --query \"source == 'silver'\"")
def list_exams(
    dataset: DatasetFolder = None,
    query: Query = None,
    sort: Annotated[str | None, typer.Option("--sort", help="Column to sort by, lowest first: score, age, ...")] = None,
    gold_list: GoldList = None,
    as_json: Json = False,
) -> None:
    """List the exams of a dataset, with their review status and how good a model expects its mask to be."""
    opened = need_dataset(dataset, gold_list)
    table = jobs.choose(opened, query)
    if sort is not None:
        if sort not in table.columns:
            raise InputError(f"There is no column {sort!r} to sort by; choose one of {', '.join(table.columns)}.")
        table = table.sort_values(sort, kind="stable", na_position="last")
    print_warnings(opened.problems)
    if as_json:
        print_json(jobs.plain_rows(table))
        return
    rows = [[row[column] for column in COLUMNS] for row in jobs.plain_rows(table)]
    for line, stem in zip(rows, table["stem"], strict=True):
        # A file of another name has no patient ID; its own name says which exam it is.
        line[0] = line[0] or stem
        line[-1] = None if line[-1] is None else f"{line[-1]:.2f}"
    print_table(f"{len(rows)} exams in {opened.root}", list(COLUMNS.values()), rows)


@app.command(epilog="Example: cspineseg show 593973-000123 --dataset DIR --picture exam.png")
def show(
    target: Annotated[str, typer.Argument(help="Patient ID, exam name, or a NIfTI file.")],
    dataset: DatasetFolder = None,
    gold_list: GoldList = None,
    picture: Annotated[Path | None, typer.Option(help="Draw slice and 3D view into this PNG file.")] = None,
    as_json: Json = False,
) -> None:
    """Show everything known about a patient's exams: image, grid, best mask, revisions."""
    opened = open_dataset(dataset, gold_list)
    exams = jobs.resolve(target, opened)
    details = [jobs.describe(exam) for exam in exams]
    if picture is not None:
        from .. import session

        exam = jobs.resolve_one(target, opened)
        details[0]["picture"] = str(session.picture(session.open_exam(exam, record=False), picture))
    if as_json:
        print_json(details)
        return
    for detail in details:
        print_pairs(detail["exam"], ((key, _text(value)) for key, value in detail.items()))


@app.command(epilog="Example: cspineseg doctor --dataset DIR")
def doctor(dataset: DatasetFolder = None, as_json: Json = False) -> None:
    """Say what is installed, which device would be used, which models are there, and what is wrong with a dataset."""
    report = jobs.report(open_dataset(dataset))
    if as_json:
        print_json(report)
        return
    print_pairs("CSpineSeg", _flat(report))


def _flat(value: Any, prefix: str = "") -> Any:
    """Nested values as (dotted key, text) pairs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, inner in enumerate(value, start=1):
            yield from _flat(inner, f"{prefix}.{number}")
    else:
        yield prefix, _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(_text(item) for item in value) or "none"
    return str(value)
