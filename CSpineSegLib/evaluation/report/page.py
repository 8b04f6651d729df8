"""One HTML file that holds a whole report: text, tables, figures, methods, versions; it needs nothing but itself."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ... import __version__, files, resources
from ...errors import InputError
from ..sections import Figure, Section, Table
from . import plots, tables
from .methods import Methods

RESEARCH = "Research software, not a medical device: nothing in this report may be used to diagnose or treat anybody."
# A table that is marked as long, or has over `_TOO_LONG` rows, shows the first `_MOST`; over `_COLUMNS` columns do not
# fit on paper, and from `_WIDE` on they are set smaller there.
_MOST, _TOO_LONG, _COLUMNS, _WIDE = 15, 40, 14, 10
# Letters from which on a cell gets room, so that it does not become a tower.
_LONG_CELL = 28


def build(sections: Sequence[Section], methods: Methods, record: Mapping[str, Any], path: Path | str) -> Path:
    """Write a report to `path`, and its tables as TSV into the folder beside it; see :func:`tables_folder`.

    Parameters
    ----------
    sections : in their order.
    methods : what the figures mean and where their definitions come from.
    record : `title`, `lead` (a sentence under it), `facts` (name and value: the data set, the ruler, ...), `versions`
        (by software) and `hashes` (SHA-256 by file); all but the title may be left out.

    Returns
    -------
    `path`. The page is composed before anything is written, and written last.

    Raises
    ------
    InputError : two sections, tables or figures have one name, a figure cannot be drawn, or jinja2 is missing.
    WriteError : the folder cannot be written.
    """
    path = Path(path)
    page = compose(sections, methods, record, tables_folder(path).name)
    tables.replace_all(list(sections), tables_folder(path))
    files.write_verified(path, page.encode("utf-8"))
    return path


def tables_folder(path: Path | str) -> Path:
    """Where the TSV files of a report lie: `report_tables` beside `report.html`."""
    path = Path(path)
    return path.with_name(f"{path.stem}_tables")


def compose(sections: Sequence[Section], methods: Methods, record: Mapping[str, Any], folder: str = "") -> str:
    """The text of the HTML file; the same for the same content."""
    keys = [section.key for section in sections]
    tables.check_names(keys)
    if set(keys) & {"methods", "versions", "content"}:
        raise InputError("A section cannot be called methods, versions or content; these parts the report adds itself.")
    tables.check_names([table.name for section in sections for table in section.tables])
    tables.check_names([figure.name for section in sections for figure in section.figures])
    numbers = {"figure": 0, "table": 0}
    parts = [_part(section, numbers, folder) for section in sections]
    template = _template()
    return template.render(
        title=record["title"],
        lead=record.get("lead", ""),
        facts=list(dict(record.get("facts", {})).items()),
        research=RESEARCH,
        version=__version__,
        css=_css(),
        parts=parts,
        methods=methods,
        records=[*_records(record)],
        folder=folder,
        files=[f"{table['name']}.tsv" for part in parts for table in part["tables"]],
    )


def _template() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise InputError(
            f'The report needs jinja2 ({error}); install it with: pip install "cspineseg[report]".'
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.path("Report")), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html")


def _css() -> Any:
    from markupsafe import Markup

    return Markup(resources.path("Report", "report.css").read_text(encoding="utf-8"))


def _part(section: Section, numbers: dict[str, int], folder: str) -> dict[str, Any]:
    drawn = [figure for figure in section.figures if figure.kind != plots.PICTURE]
    seen = [figure for figure in section.figures if figure.kind == plots.PICTURE]
    return {
        "key": section.key,
        "title": section.title,
        "warnings": section.warnings,
        "sentences": section.sentences,
        "plots": [_figure(figure, numbers) for figure in drawn],
        "tables": [_table(table, numbers, folder) for table in section.tables],
        "pictures": [_figure(figure, numbers) for figure in seen],
    }


def _figure(figure: Figure, numbers: dict[str, int]) -> dict[str, Any]:
    numbers["figure"] += 1
    svg = plots.draw(figure)
    width, height = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', svg).groups()
    data = figure.data["png"] if figure.kind == plots.PICTURE else svg.encode("utf-8")
    return {
        "name": figure.name,
        "number": numbers["figure"],
        "caption": figure.caption,
        "data": base64.b64encode(data).decode("ascii"),
        "width": round(float(width)),
        "height": round(float(height)),
    }


def _table(table: Table, numbers: dict[str, int], folder: str) -> dict[str, Any]:
    import pandas

    numbers["table"] += 1
    count, _ = table.frame.shape
    kept, same = _apart(table.frame)
    rows = _MOST if table.long or count > _TOO_LONG else count
    first = rows < count and "significant" in kept.columns and kept["significant"].any()
    if first:
        kept = kept.sort_values("significant", ascending=False, kind="stable")
    frame = kept.iloc[:rows, :_COLUMNS]
    columns, cells = [], []
    for at, name in enumerate(frame.columns):
        column = frame.iloc[:, at]
        is_number = pandas.api.types.is_numeric_dtype(column) and not pandas.api.types.is_bool_dtype(column)
        cells.append(tables.column(column, str(name)))
        is_long = not is_number and max(map(len, cells[-1]), default=0) > _LONG_CELL
        columns.append({"name": str(name).replace("_", " "), "class": "n" if is_number else "long" if is_long else ""})
    return {
        "name": table.name,
        "number": numbers["table"],
        "title": f"{table.title} ({same})" if same else table.title,
        "note": table.note,
        "columns": columns,
        "rows": list(zip(*cells, strict=True)),
        "wide": len(columns) >= _WIDE,
        "left_out": _left_out(len(frame), count, frame.shape[1], kept.shape[1], first),
        "file": f"{folder}/{table.name}.tsv",
    }


def _apart(frame: Any) -> tuple[Any, str]:
    """The columns that differ, and in words those of text that say the same in every row of at least three."""
    import pandas

    same = {}
    for name in frame.columns if len(frame) > 2 and frame.columns.is_unique else ():
        column = frame[name]
        if not pandas.api.types.is_numeric_dtype(column) and column.notna().all() and column.nunique() == 1:
            same[name] = tables.shown(column.iloc[0])
    if len(same) == frame.shape[1]:
        return frame, ""
    words = [f"{str(name).replace('_', ' ')}: {value}" for name, value in same.items() if value != "–"]
    return frame.drop(columns=list(same)), "; ".join(words)


def _left_out(rows: int, all_rows: int, columns: int, all_columns: int, significant_first: bool) -> str:
    """What of a table is on the page, if it is not all of it."""
    parts = []
    if rows < all_rows:
        order = ", the significant ones before the others" if significant_first else ""
        parts.append(f"the first {rows} of {all_rows:,} rows{order}")
    if columns < all_columns:
        parts.append(f"the first {columns} of {all_columns} columns")
    return " and ".join(parts)


def _records(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    blocks = (("Software", ("Name", "Version"), "versions"), ("Files", ("File", "SHA-256"), "hashes"))
    return [
        {"title": title, "columns": columns, "rows": list(record[key].items())}
        for title, columns, key in blocks
        if record.get(key)
    ]
