"""How commands print what an analysis found: sentences, warnings and tables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ..evaluation.report import tables
from ..evaluation.sections import Section
from .output import print_error, print_json, print_table

# Rows of a long table that the terminal shows.
_MOST = 20


def show(section: Section, as_json: bool = False) -> None:
    """Print a section: its warnings on the standard error stream, then sentences and tables; or JSON for programs.

    Of tables that are marked as long, people see the first 20 rows; programs and files get all.
    """
    if as_json:
        print_json(content(section))
        return
    for warning in section.warnings:
        print_error(f"Warning: {warning}")
    for sentence in section.sentences:
        print(sentence)
    for table in section.tables:
        print()
        _show(table)


def finish(section: Section, folder: Path | None, as_json: bool) -> None:
    """Write the tables of a section into `folder`, if one was named, and show it."""
    if folder is not None:
        tables.write(section, folder)
    show(section, as_json)


def content(section: Section) -> dict[str, Any]:
    """A section as JSON can hold it: no NaN (None instead); figures are left to the report."""
    return {
        "key": section.key,
        "title": section.title,
        "warnings": list(section.warnings),
        "sentences": list(section.sentences),
        "tables": {
            table.name: {
                "title": table.title,
                "note": table.note,
                "columns": [str(column) for column in table.frame.columns],
                "rows": [[tables.plain(cell) for cell in row] for row in _cells(table)],
            }
            for table in section.tables
        },
    }


def _cells(table: Any) -> list[tuple[Any, ...]]:
    return list(zip(*(list(table.frame.iloc[:, at]) for at in range(table.frame.shape[1])), strict=True))


def _show(table: Any) -> None:
    columns = [str(column) for column in table.frame.columns]
    rows = _cells(table)
    kept = rows[:_MOST] if table.long else rows
    by_column = zip(*kept, strict=True) if kept else [()] * len(columns)
    shown = [tables.column(column, name) for column, name in zip(by_column, columns, strict=True)]
    cells = list(zip(*shown, strict=True)) if kept else []
    if not sys.stdout.isatty():
        print(f"# {table.title}")
    print_table(table.title, columns, cells)
    if len(kept) < len(rows):
        print(f"({len(rows) - len(kept)} more rows; --output writes all.)")
    if table.note:
        print(table.note)
