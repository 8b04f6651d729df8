"""Strict reading of tab-separated tables: everything stays text, and what is wrong is said with file and line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

_OTHER_SEPARATORS = {",": "commas", ";": "semicolons", "|": "bars"}


@dataclass(frozen=True)
class Row:
    """Line number in the file, and the values of the columns that were asked for (stripped text)."""

    line: int
    values: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]


def read(path: Path, columns: Sequence[str], delimiter: str = "\t") -> list[Row]:
    """The rows of a table, reduced to `columns`; other columns may be there, ragged or empty.

    Raises
    ------
    InputError : unreadable, not UTF-8, empty, another separator, a column missing or there twice,
        a row too short to reach the columns that are used, or longer than the header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        # Quotes are not honoured while splitting: one stray quote in a series description would swallow whole rows.
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE)
        header = [_bare(name) for name in next(lines, [])]
        places = {column: _place(path, header, column, delimiter) for column in columns}
        last = max(places.values(), default=0)
        rows = []
        for cells in lines:
            if not any(cells):
                continue
            if len(cells) <= last or any(cells[len(header) :]):
                raise InputError(
                    f"{path} has {len(cells)} instead of {len(header)} columns in line {lines.line_num}; "
                    "the file is incomplete or damaged, so copy or download it again."
                )
            rows.append(Row(lines.line_num, {column: _bare(cells[place]) for column, place in places.items()}))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a UTF-8 text file; save it as tab-separated text in UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table ({error}); copy or download it again.") from None
    return rows


def header(path: Path, delimiter: str = "\t") -> list[str]:
    """The names of the columns of a table, in order; InputError if it cannot be read."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            line = next(csv.reader(stream, delimiter=delimiter, quoting=csv.QUOTE_NONE), [])
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a UTF-8 text file; save it as text in UTF-8.") from None
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table ({error}).") from None
    return [_bare(name) for name in line]


def unique(path: Path, rows: Sequence[Row], column: str) -> dict[str, Row]:
    """Rows by the value of `column`; InputError if two rows share one."""
    found: dict[str, Row] = {}
    for row in rows:
        key = row[column]
        if key in found:
            raise InputError(
                f"{path} has two rows with {column} {key!r} (lines {found[key].line} and {row.line}); "
                "remove the duplicate or download the table again."
            )
        found[key] = row
    return found


def _bare(cell: str) -> str:
    """A cell without surrounding space and without the quotes that some programs write around text."""
    cell = cell.strip()
    if len(cell) > 1 and cell[0] == cell[-1] == '"':
        return cell[1:-1].replace('""', '"').strip()
    return cell


def _place(path: Path, header: list[str], column: str, delimiter: str) -> int:
    if not any(header):
        raise InputError(f"{path} is empty; copy or download it again.")
    count = header.count(column)
    if count == 1:
        return header.index(column)
    if count > 1:
        raise InputError(f"{path} has the column {column!r} {count} times; keep one.")
    if len(header) == 1:
        for separator, words in _OTHER_SEPARATORS.items():
            if separator != delimiter and separator in header[0]:
                raise InputError(f"{path} is separated by {words} instead of tabs; save it as tab-separated text.")
    raise InputError(f"{path} has no column {column!r}, which is needed; download the table again.")
