"""A split on disk: a table that this project's export for nnU-Net reads, nnU-Net's own file of folds, and a record."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files
from ..errors import InputError, WriteError
from .gold import LIST_NAMES
from .splits import PARTS, TEST, Split

NAME = "splits"
FINAL = "splits_final.json"
FORMAT = "cspineseg-split-1"
HEADER = ("stem", "patient_id", "split", "fold", "stratum", "source")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
# Read as a Gold list, or as the list of one part, whatever is in them.
_TAKEN = {*(name.partition(".")[0] for name in LIST_NAMES), *PARTS, "training", "valid", "validation", "testing"}


def paths(folder: Path, name: str = NAME) -> tuple[Path, Path, Path]:
    """The record, nnU-Net's file and the table of a split.

    Raises
    ------
    InputError : the name is no stem of a file, or one that means something else in `splits/`.
    """
    if not _NAME.fullmatch(name) or name.lower() in _TAKEN:
        why = "means something else in splits/" if name.lower() in _TAKEN else "cannot be the name of a file"
        raise InputError(f"{name!r} {why}; name the split with letters, digits and hyphens, for instance sex-balanced.")
    final = FINAL if name == NAME else f"{name}_{FINAL}"
    return folder / f"{name}_record.json", folder / final, folder / f"{name}.tsv"


def write(split: Split, folder: Path, name: str = NAME, *, force: bool = False) -> list[Path]:
    """Write a split into a dataset's `splits/`; the table comes last. What is there already with the same bytes stays.

    Parameters
    ----------
    force : replace another split of that name.

    Raises
    ------
    InputError : the name cannot be used, or is taken and `force` is not given; nothing is written then.
    WriteError : it cannot be written; what was new is removed again.
    """
    targets = dict(zip(paths(folder, name), contents(split), strict=True))
    wanted = {path: data for path, data in targets.items() if _bytes(path) != data}
    taken = [path for path in wanted if path.exists()]
    if taken and not force:
        raise InputError(f"{taken[0]} holds another split; choose another --name, or replace it with --force.")
    written: list[Path] = []
    try:
        for path, data in wanted.items():
            files.write_verified(path, data)
            written.append(path)
    except WriteError:
        for path in written:
            if path not in taken:
                path.unlink(missing_ok=True)
        raise
    return list(targets)


def contents(split: Split) -> tuple[bytes, bytes, bytes]:
    """The bytes of the three files, in the order of :func:`paths`: the same for the same split, without a time."""
    rows = [
        (row.stem, row.patient, row.split, "" if row.fold is None else str(row.fold), row.stratum, row.source)
        for row in split.rows
    ]
    lines = ["\t".join(_flat(cell) for cell in row) + "\n" for row in (HEADER, *rows)]
    counts = {part: sum(row.split == part for row in split.rows) for part in PARTS}
    patients = {part: len({row.patient for row in split.rows if row.split == part}) for part in PARTS}
    record = {"format": FORMAT, **split.about, "exams": counts, "patients": patients, "notes": list(split.notes)}
    return _json(record), _json(final(split)), "".join(lines).encode("utf-8")


def final(split: Split) -> list[dict[str, list[str]]]:
    """The content of nnU-Net's `splits_final.json` with exam names for its cases: no test exam is in it."""
    trained = [row for row in split.rows if row.split != TEST]
    numbers = sorted({row.fold for row in trained if row.fold is not None})
    return [
        {
            "train": [row.stem for row in trained if row.fold != number],
            "val": [row.stem for row in trained if row.fold == number],
        }
        for number in numbers
    ]


def _json(content: Mapping[str, Any] | list[Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _flat(cell: str) -> str:
    return re.sub(r"[\t\r\n]+", " ", cell)
