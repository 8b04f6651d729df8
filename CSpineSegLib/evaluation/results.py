"""What an evaluation left in a folder: one tidy table of figures, one of exams, and a record of how they were made.

`results.tsv` has one row per exam, structure, kind and metric; `exams.tsv` one per exam with what it may be grouped by;
`evaluation.json` the ruler, versions, definitions, hashes and what could not be evaluated.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from ..errors import InputError

if TYPE_CHECKING:
    import pandas

SCHEMA = "cspineseg-evaluation-1"
RECORD, TABLE, EXAMS = "evaluation.json", "results.tsv", "exams.tsv"
# Folder with a picture of each of the worst exams.
PICTURES = "pictures"

COLUMNS = ("exam", "structure", "kind", "metric", "value", "note")
# Of structures as a whole; both together; of a level; by the paper's convention; counts and rates of an exam.
KINDS = ("class", "pooled", "level", "zhou2025", "exam")
TEXTS = ("patient", "sex", "race", "ethnicity", "manufacturer", "source", "status")
NUMBERS = ("fold", "age", "field_strength", "bodies_mm3", "discs_mm3", "quality")
EXAM_COLUMNS = (
    "patient",
    "fold",
    "sex",
    "race",
    "ethnicity",
    "age",
    "manufacturer",
    "field_strength",
    "source",
    "bodies_mm3",
    "discs_mm3",
    "status",
    "quality",
)
OK = "ok"
# Rulers that are never mixed.
GOLD, SILVER = "gold", "silver"
AGAIN = "evaluate again into a new folder"


@dataclass(frozen=True, eq=False)
class Results:
    """The figures of one set of predictions against one ruler; made by :func:`read`.

    Parameters
    ----------
    folder : where they lie.
    table : columns `COLUMNS`; `value` is NaN where there is none, `note` then says why. `kind` is one of `KINDS`,
        `structure` "bodies", "discs", "pooled", "macro", a level ("C5", "C2-C3", "C5+C6"), or "" of the whole exam.
    exams : columns `EXAM_COLUMNS` and what a user added, by exam; texts are None and numbers NaN where unknown.
        `status` is "ok", or "failed: " with a sentence; a failed exam has no rows in `table`.
    record : content of `evaluation.json`.
    """

    folder: Path
    table: pandas.DataFrame
    exams: pandas.DataFrame
    record: dict[str, Any]

    def values(self, metric: str, structure: str, kind: str = "class") -> pandas.Series:
        """One figure of every exam that has it, by exam; empty if no exam has.

        Of a level it is that of the reference's; what only the prediction calls so is counted as extra instead.

        Raises
        ------
        InputError : no figure of this name and kind is in the table; it names those that are.
        """
        places = self._places.get((kind, metric, structure))
        if places is None and len(self.table) and not any(key[:2] == (kind, metric) for key in self._places):
            known = ", ".join(sorted({key[1] for key in self._places if key[0] == kind})) or "none"
            raise InputError(f"{self.folder} has no figure {metric!r} of the kind {kind!r}; there are {known}.")
        chosen = self.table.iloc[[] if places is None else places]
        if kind == "level":
            chosen = chosen[~chosen["note"].str.startswith("extra")]
        return chosen.set_index("exam")["value"].rename(metric)

    @cached_property
    def _places(self) -> dict[tuple[str, str, str], Any]:
        """Rows of the table by kind, metric and structure: looked for once, since there are half a million."""
        return self.table.groupby(["kind", "metric", "structure"], sort=False).indices

    @property
    def ruler(self) -> str:
        """What the predictions were measured against: "gold", "silver", or the name of a folder."""
        return self.record["ruler"]

    @property
    def against(self) -> str:
        """The ruler in words, for sentences."""
        return {GOLD: "Gold masks", SILVER: "Silver masks"}.get(self.ruler, f"the masks in {self.ruler}")

    @property
    def predictions(self) -> str:
        """Name of the model, or of the folder with the predictions."""
        return self.record["predictions"]

    @property
    def counts(self) -> dict[str, int]:
        """How many exams were compared and how many failed, and what the record says of those left out."""
        told = self.record.get("counts")
        compared = len(self.usable)
        own = {"compared": compared, "failed": len(self.exams) - compared}
        return {**(told if isinstance(told, dict) else {}), **own}

    @property
    def usable(self) -> pandas.DataFrame:
        """The rows of `exams` that did not fail."""
        return self.exams[self.exams["status"] == OK]


def read(folder: Path | str) -> Results:
    """What :func:`write` left.

    Raises
    ------
    InputError : no evaluation, one of another version, an unfinished or a damaged one, a column that is missing.
    """
    folder = Path(folder)
    if not (folder / RECORD).is_file():
        raise InputError(f"{folder} holds no finished evaluation ({RECORD} is missing); run cspineseg evaluate.")
    record = files.read_json(folder / RECORD)
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise InputError(
            f"{folder / RECORD} was written by another version ({schema!r}, and this one reads {SCHEMA!r}); {AGAIN}."
        )
    missing = [key for key in ("ruler", "predictions", "files") if key not in record]
    if missing or not isinstance(record["files"], dict):
        raise InputError(f"{folder / RECORD} is damaged ({', '.join(missing) or 'files'} is missing); {AGAIN}.")
    table = _read_table(folder / TABLE, record["files"].get(TABLE))
    exams = _read_exams(folder / EXAMS)
    strange = sorted(set(table["exam"]) - set(exams.index[exams["status"] == OK]))
    if strange:
        raise InputError(f"{folder / EXAMS} lacks {strange[0]}, which {TABLE} has figures of; {AGAIN}.")
    return Results(folder, table, exams, record)


def write(folder: Path | str, lines: list[str], exams: pandas.DataFrame, record: dict[str, Any]) -> Results:
    """Write the three files, the record last, and read them back.

    Parameters
    ----------
    lines : of `results.tsv` below its header, see :func:`line`.
    exams : see :class:`Results`.
    record : with `ruler` and `predictions`; schema and hashes are added.
    """
    folder = Path(folder)
    content = "\n".join(["\t".join(COLUMNS), *lines, ""])
    digest = files.write_verified(folder / TABLE, content.encode("utf-8"))
    _write_exams(folder / EXAMS, exams)
    hashes = {TABLE: digest}
    files.write_json(folder / RECORD, {"schema": SCHEMA, **record, "files": hashes})
    return read(folder)


def of_frames(folder: Path | str, table: pandas.DataFrame, exams: pandas.DataFrame, record: dict[str, Any]) -> Results:
    """As :func:`write`, of a table as :class:`Results` has it; for figures that come from elsewhere."""
    rows = zip(*(table[column] for column in COLUMNS), strict=True)
    return write(folder, [line(*row) for row in rows], exams, record)


def line(exam: str, structure: str, kind: str, metric: str, value: float | None, note: str = "") -> str:
    """One line of `results.tsv`; a value that is None or NaN becomes empty, tabs and line ends become spaces."""
    words = (exam, structure, kind, metric, number(value), " ".join(note.split()))
    return "\t".join(words)


def number(value: float | int | None) -> str:
    """A number as the shortest text that reads back as the same; "" for None and NaN."""
    if value is None or value != value:
        return ""
    value = float(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _write_exams(path: Path, exams: pandas.DataFrame) -> None:
    extra = [column for column in exams.columns if column not in EXAM_COLUMNS]
    rows = ["\t".join(("exam", *EXAM_COLUMNS, *extra))]
    for exam, row in zip(exams.index, exams[[*EXAM_COLUMNS, *extra]].itertuples(index=False, name=None), strict=True):
        rows.append("\t".join([str(exam), *map(_cell, row)]))
    files.write_verified(path, ("\n".join(rows) + "\n").encode("utf-8"))


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, str):
        return " ".join(value.split())
    return number(value)


def _read_table(path: Path, digest: str | None) -> pandas.DataFrame:
    data = _bytes(path)
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise InputError(f"{path} is damaged or was changed after it was written; {AGAIN}.")
    frame = _frame(path, data, COLUMNS)
    frame["value"] = _numbers(path, frame, "value")
    return frame[list(COLUMNS)]


def _read_exams(path: Path) -> pandas.DataFrame:
    """Not checked against its hash, because a user may add columns to group by."""
    frame = _frame(path, _bytes(path), ("exam", *EXAM_COLUMNS))
    for column in NUMBERS:
        frame[column] = _numbers(path, frame, column)
    for column in TEXTS:
        frame[column] = frame[column].where(frame[column] != "", None)
    double = frame["exam"][frame["exam"].duplicated()]
    if len(double):
        raise InputError(f"{path} lists {double.iloc[0]} twice; keep one row of each exam.")
    extra = [column for column in frame.columns if column not in ("exam", *EXAM_COLUMNS)]
    for column in extra:
        frame[column] = frame[column].where(frame[column] != "", None)
    return frame.set_index("exam")[[*EXAM_COLUMNS, *extra]]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}); {AGAIN}.") from None


def _frame(path: Path, data: bytes, columns: tuple[str, ...]) -> pandas.DataFrame:
    """All cells as text."""
    import csv

    import pandas

    try:
        frame = pandas.read_csv(
            io.BytesIO(data),
            sep="\t",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            quoting=csv.QUOTE_NONE,
            index_col=False,
        )
    except (ValueError, pandas.errors.ParserError) as error:
        raise InputError(f"{path} cannot be read as a table ({error}); {AGAIN}.") from None
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"{path} has no column {missing[0]!r}, which is needed; {AGAIN}.")
    tabs = data.count(b"\t", 0, data.find(b"\n"))
    for place, row in enumerate(data.splitlines(), start=1):
        if row.count(b"\t") != tabs:
            raise InputError(f"{path} has too few or too many columns in line {place}; {AGAIN}.")
    return frame


def _numbers(path: Path, frame: pandas.DataFrame, column: str) -> Any:
    try:
        return frame[column].where(frame[column] != "", "nan").astype(float)
    except ValueError as error:
        raise InputError(f"{path} holds something else than numbers in the column {column!r} ({error}).") from None
