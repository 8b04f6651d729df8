"""The command that splits a dataset into parts and folds by patient, and checks splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ..dataset import Dataset, split_checks, split_files, splits
from ..review import worklist
from .app import app
from .options import DatasetFolder, GoldList, Json, Query, need_dataset
from .output import print_json, print_table, print_warnings


@app.command(
    epilog="Examples: cspineseg split --dataset DIR;  cspineseg split --dataset DIR --balance sex --name balanced;  "
    "cspineseg split --dataset DIR --check splits_final.json"
)
def split(
    dataset: DatasetFolder = None,
    folds: Annotated[int, typer.Option("--folds", help="Folds of the cross-validation.")] = 5,
    test: Annotated[float, typer.Option("--test", help="Share of the patients for testing.")] = 0.2,
    val: Annotated[float, typer.Option("--val", help="Share of the patients for validation.")] = 0.1,
    stratify: Annotated[
        str, typer.Option("--stratify", help=f"What the parts are alike in: {', '.join(splits.COLUMNS)}.")
    ] = ",".join(splits.STRATIFY),
    balance: Annotated[
        str | None, typer.Option("--balance", help="Keep equally many patients of each value of this, e.g. sex.")
    ] = None,
    only: Annotated[str | None, typer.Option("--only", help="Exams of this source alone: gold or silver.")] = None,
    query: Query = None,
    seed: Annotated[int, typer.Option("--seed", help="Another number gives another split.")] = splits.SEED,
    name: Annotated[str, typer.Option("--name", help="Name of the split's files in splits/.")] = split_files.NAME,
    check: Annotated[
        list[Path] | None,
        typer.Option("--check", help="Check this table or splits_final.json instead; may be given several times."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another split of that name.")] = False,
    gold_list: GoldList = None,
    as_json: Json = False,
) -> int:
    """Split a dataset by patient into training, validation, test and folds, or check a split; see Docs/cohort.md."""
    opened = need_dataset(dataset, gold_list)
    columns = [column.strip() for column in stratify.split(",") if column.strip()]
    if check:
        checked = split_checks.check(check, opened.exams(), columns)
        _show(checked, as_json, [])
        return 0 if checked.passed else 1
    folder = opened.root / "splits"
    split_files.paths(folder, name)
    drawn = splits.draw(
        worklist.exams(opened, query),
        folds=folds,
        test=test,
        val=val,
        stratify=columns,
        balance=balance,
        only=only,
        seed=seed,
    )
    if query is not None:
        drawn = replace(drawn, about={**drawn.about, "query": query})
    written = split_files.write(drawn, folder, name, force=force)
    notes = [*drawn.notes, *_remarks(drawn, opened, written[-1])]
    shown = list(dict.fromkeys([*([balance] if balance else []), *columns]))
    _show(split_checks.check([written[-1]], opened.exams(), shown), as_json, notes, written)
    return 0


def _remarks(drawn: splits.Split, opened: Dataset, table: Path) -> list[str]:
    """What somebody should know who trains with it."""
    bare = [row.stem for row in drawn.rows if not (opened.exam(row.stem).image and opened.exam(row.stem).mask)]
    notes = [f"{len(bare)} of the exams that have a place lack image or mask on disk."] if bare else []
    if table.stem != split_files.NAME:
        notes.append(f"To export with this split, name it: cspineseg nnunet export --splits {table}.")
    return notes


def _show(checked: split_checks.Checked, as_json: bool, notes: list[str], written: list[Path] | None = None) -> None:
    if as_json:
        content: dict[str, Any] = {
            "passed": checked.passed,
            "problems": list(checked.problems),
            "notes": [*notes, *checked.notes],
            "parts": list(checked.parts),
            "strata": list(checked.strata),
        }
        print_json(content | ({"files": [str(path) for path in written]} if written else {}))
        return
    names = [row["part"] for row in checked.parts]
    rows = [[row["part"], row["patients"], row["exams"], f"{row['share']:.1%}"] for row in checked.parts]
    print_table("Parts", ["Part", "Patients", "Exams", "Share of patients"], rows)
    repeated = Counter(row["by"] for row in checked.strata)
    rows = [
        [row["by"], row["value"], row["patients"], *(_share(row[part], row["patients"]) for part in names)]
        for row in checked.strata
        if repeated[row["by"]] > 1
    ]
    if rows:
        print_table("Patients of each stratum and value, and their parts", ["By", "Value", "Patients", *names], rows)
    if written:
        print(f"Written: {', '.join(str(path) for path in written)}")
    elif checked.passed:
        print("No patient crosses, every exam is known, and none is there twice.")
    for problem in checked.problems:
        print(f"Problem: {problem}")
    print_warnings([*notes, *checked.notes])


def _share(count: int, of: int) -> str:
    return f"{count} ({count / of:.0%})"
