"""Which exams experts annotated: only a list that the user brings can tell, and it is never inferred.

The released tables call every mask `Retrospective_auto`. With a list, what it names is "gold" and all the rest is
"silver", because the two parts make up the whole dataset; without one, every exam is "unknown".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .names import exam_stem, parse_patient_id
from .wording import some

GOLD, SILVER, UNKNOWN = "gold", "silver", "unknown"
SOURCES = (GOLD, SILVER, UNKNOWN)
LIST_NAMES = ("gold.txt", "gold.tsv", "gold.csv", "gold.json")

_NAME_COLUMNS = ("file_name", "filename", "file", "stem", "exam", "image", "mask", "patient_id", "patient", "case_ids")
_METHOD_COLUMN = "annotation_method"
_EXPERT = "retrospective_expert"


@dataclass(frozen=True)
class Sources:
    """Source per exam stem, and sentences about entries that could not be taken at their word."""

    by_stem: dict[str, str]
    problems: list[str]


def find_list(splits: Path) -> Path | None:
    """`gold.txt`, `.tsv`, `.csv` or `.json` in the users' own folder `splits/`, if one is there."""
    return next((splits / name for name in LIST_NAMES if (splits / name).is_file()), None)


def assign(patients: dict[str, str | None], path: Path | None) -> Sources:
    """The source of every exam.

    Parameters
    ----------
    patients : patient ID (or None) per exam stem.
    path : the list; see :func:`read_list`. None: every exam is "unknown".
    """
    if path is None:
        return Sources(dict.fromkeys(patients, UNKNOWN), [])
    by_stem = dict.fromkeys(patients, SILVER)
    exams_of: dict[str | None, list[str]] = {}
    for stem, patient in patients.items():
        exams_of.setdefault(patient, []).append(stem)
    unmatched, several = [], []
    for entry in read_list(path):
        if exam_stem(entry) in by_stem:
            by_stem[exam_stem(entry)] = GOLD
            continue
        stems = exams_of.get(_patient(entry), []) if _patient(entry) else []
        by_stem.update(dict.fromkeys(stems, GOLD))
        if not stems:
            unmatched.append(entry)
        elif len(stems) > 1:
            several.append(f"{_patient(entry)} ({len(stems)} exams)")
    problems = []
    if unmatched:
        problems.append(f"{path} lists what is not in this dataset ({len(unmatched)} entries): {some(unmatched)}.")
    if several:
        problems.append(
            f"{path} lists patients and not exams for {some(several)}; all their exams count as Gold, although "
            "a patient can have exams of both kinds."
        )
    return Sources(by_stem, problems)


def read_list(path: Path) -> list[str]:
    """The entries of a Gold list: file names, exam stems or patient IDs, each once, in order.

    One per line (`#` starts a comment), or a TSV or CSV with a header that names a column such as `file_name` (else the
    first column counts), or a JSON list of strings or of objects with `file_name`, as the MIDRC portal exports it.
    A column `annotation_method`, if there, picks the rows marked `Retrospective_expert`.

    Raises
    ------
    InputError : unreadable, or nothing in it is a name or a patient ID.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        table = _from_json(text) if Path(path).suffix.lower() == ".json" else _from_lines(text)
    except OSError as error:
        raise InputError(f"The Gold list {path} cannot be read ({error.strerror or error}).") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"The Gold list {path} cannot be read as text ({error}).") from None
    entries = list(dict.fromkeys(_entries(table)))
    if not any("_Study-MR-" in entry or _patient(entry) or entry.endswith((".nii.gz", ".nii")) for entry in entries):
        raise InputError(
            f"The Gold list {path} names no exam; it needs file names, exam names or patient IDs, one per line."
        )
    return entries


def _from_json(text: str) -> list[list[str]]:
    content = json.loads(text)
    items = content if isinstance(content, list) else []
    header = list(dict.fromkeys(key for item in items if isinstance(item, dict) for key in item))
    rows = [[str(item.get(key, "")) for key in header] for item in items if isinstance(item, dict)]
    return [header, *rows, *([item] for item in items if isinstance(item, str))]


def _from_lines(text: str) -> list[list[str]]:
    rows = []
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        separator = next((mark for mark in "\t,;" if mark in line), None)
        if line:
            rows.append([cell.strip().strip('"') for cell in (line.split(separator) if separator else [line])])
    return rows


def _entries(table: list[list[str]]) -> Iterable[str]:
    """The cells that name something: from the column that the header points to, else from the first one."""
    header = [cell.lower() for cell in table[0]] if table else []
    column = next((header.index(name) for name in _NAME_COLUMNS if name in header), None)
    method = header.index(_METHOD_COLUMN) if _METHOD_COLUMN in header else None
    # Without a known column, a first line that is neither an exam nor a patient is still a header of the user's own.
    headed = column is not None or (bool(header) and "_study-mr-" not in header[0] and not _patient(header[0]))
    for row in table[1:] if headed and len(table) > 1 else table:
        if method is not None and (len(row) <= method or row[method].lower() != _EXPERT):
            continue
        if len(row) > (column or 0) and row[column or 0]:
            yield row[column or 0]


def _patient(entry: str) -> str | None:
    try:
        return parse_patient_id(entry)
    except InputError:
        return None
