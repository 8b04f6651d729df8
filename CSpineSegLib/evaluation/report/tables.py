"""The tables of a section as TSV files, and their cells as text for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ... import files
from ...errors import InputError
from ..sections import Section, Table

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def write(section: Section, folder: Path | str) -> list[Path]:
    """Write each table of a section to `<folder>/<table's name>.tsv`; returns the paths.

    UTF-8 with a header line; floats with all their digits (`repr`), nothing where there is no value; the index of the
    frame is not written.

    Raises
    ------
    InputError : a table's name is no stem of a file, or two tables have the same; nothing is written then.
    WriteError : the folder cannot be written.
    """
    return write_all([section], folder)


def write_all(sections: list[Section], folder: Path | str) -> list[Path]:
    """As :func:`write`, of several sections into one folder."""
    tables = [table for section in sections for table in section.tables]
    check_names([table.name for table in tables])
    paths = []
    for table in tables:
        paths.append(Path(folder) / f"{table.name}.tsv")
        files.write_verified(paths[-1], text(table).encode("utf-8"))
    return paths


def replace_all(sections: list[Section], folder: Path | str) -> list[Path]:
    """As :func:`write_all`; tables of a former run that are no more, such as of what had failed, are removed."""
    paths = write_all(sections, folder)
    for path in sorted(Path(folder).glob("*.tsv")):
        if path not in paths and _NAME.fullmatch(path.stem):
            path.unlink(missing_ok=True)
    return paths


def check_names(names: list[str]) -> None:
    """InputError unless all are lower case with hyphens and none comes twice."""
    for name in names:
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is no name of a table or figure; write it in lower case with hyphens.")
        if names.count(name) > 1:
            raise InputError(f"Two tables or figures are called {name!r}; names are unique within a report.")


def text(table: Table) -> str:
    """A table as the text of its TSV file."""
    lines = [[str(column) for column in table.frame.columns], *_rows(table)]
    return "".join("\t".join(_flat(cell) for cell in line) + "\n" for line in lines)


def _rows(table: Table) -> Iterator[list[str]]:
    # Column by column, because a row of several types would turn whole numbers into floats.
    columns = [[exact(value) for value in table.frame.iloc[:, at]] for at in range(table.frame.shape[1])]
    yield from ([*row] for row in zip(*columns, strict=True))


def plain(value: Any) -> Any:
    """A cell as a Python value that JSON can hold: None where there is nothing, infinities as text."""
    import numpy as np
    import pandas

    if value is None or value is pandas.NA or value is pandas.NaT:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, bool | int | str):
        return value
    return str(value)


def exact(value: Any) -> str:
    """A cell with all its digits; empty where there is nothing."""
    value = plain(value)
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def shown(value: Any, *, p_value: bool = False) -> str:
    """A cell for people: three decimals below 100, fewer above, "<.001" for small p values, a dash for nothing.

    >>> shown(0.91549), shown(1234.5), shown(float("nan")), shown(0.00002, p_value=True)
    ('0.915', '1,234', '–', '<0.001')
    """
    value = plain(value)
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return (f"{value:,}" if abs(value) >= 10_000 else str(value)).replace("-", "−")
    if isinstance(value, str):
        return value
    if p_value:
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    if size and size < 0.0005:
        return f"{value:.1e}".replace("-", "−")
    return f"{value:.{1 if size >= 100 else 2 if size >= 10 else 3}f}".replace("-", "−")


def column(values: Iterable[Any], name: str = "") -> list[str]:
    """The cells of a column for people, alike within it: p values, percentages, whole numbers, else as :func:`shown`.

    >>> column([0.5, 2.0]), column([54.0, 63.0]), column([49.733, 3.25], "percent")
    (['0.500', '2.000'], ['54', '63'], ['49.7', '3.2'])
    """
    cells = [plain(value) for value in values]
    numbers = [cell for cell in cells if isinstance(cell, float)]
    if is_p_value(name):
        return [shown(cell, p_value=True) for cell in cells]
    if numbers and all(cell.is_integer() for cell in numbers):
        return [shown(int(cell) if isinstance(cell, float) else cell) for cell in cells]
    if "percent" in name:
        return [f"{cell:.1f}" if isinstance(cell, float) else shown(cell) for cell in cells]
    return [shown(cell) for cell in cells]


def is_p_value(column: str) -> bool:
    """Whether a column holds p values, by its name: p, p_adjusted, p (Holm), ..."""
    return bool(re.match(r"(p|q)([ _(]|$)", str(column)))


def _flat(cell: str) -> str:
    return re.sub(r"[\t\r\n]+", " ", cell)
