"""Which exams are for training and which for testing: read from the tables in `splits/`, and checked to be by patient.

A table names exams or patients in one column (`stem`, `exam`, `file_name`, `patient_id`, ...) and in `split` one of
train, val and test; a column `fold` (0, 1, ...) says in which fold of the cross-validation an exam is held out. Lists
`train.tsv`, `val.tsv` and `test.tsv` without such a column say it by their names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ... import files
from ...dataset import Exam, tsv
from ...dataset.gold import LIST_NAMES
from ...dataset.names import exam_stem, parse_patient_id
from ...dataset.wording import some
from ...errors import InputError

TRAIN, TEST = "train", "test"
_NAMES = ("stem", "exam", "file_name", "filename", "file", "image", "mask", "patient_id", "patient", "case_ids")
_PARTS = ("split", "subset", "partition", "set")
_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_DELIMITERS = {".tsv": "\t", ".csv": ","}


@dataclass(frozen=True)
class Part:
    """Where an exam belongs: "train" or "test", and the fold in which it is held out, if the tables say so."""

    part: str
    fold: int | None = None


@dataclass(frozen=True)
class Parts:
    """What the tables say.

    Parameters
    ----------
    by_stem : the part of every exam that is used.
    closed : folds that take no patient but those named: fold 0, where the tables name validation patients.
    folds : how many folds there are.
    files : the tables with their SHA-256; empty if there are none.
    left_out, notes : sentences.
    """

    by_stem: dict[str, Part]
    closed: frozenset[int] = frozenset()
    folds: int = 5
    files: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(exams: Sequence[Exam], splits: Path, given: Path | None = None) -> Parts:
    """The part of every exam, from the table `given` or from what lies in the folder `splits`.

    Without any table all exams are for training. What a table does not name is for training if it names only test
    exams, and else left out.

    Raises
    ------
    InputError : a table cannot be used, several could be meant, or a patient is in more than one part or fold.
    """
    tables = [given] if given is not None else find(splits)
    if not tables:
        note = f"{splits} says nothing of a split, so all exams are for training and none for testing."
        return Parts({exam.stem: Part(TRAIN) for exam in exams}, notes=[note])
    patient_of = {exam.stem: patient(exam) for exam in exams}
    said: dict[str, tuple[str, int | None]] = {}
    unknown: list[str] = []
    for table in tables:
        for name, part, fold in _rows(table):
            stems = _stems(name, patient_of)
            unknown += [] if stems else [name]
            for stem in stems:
                if said.setdefault(stem, (part, fold)) != (part, fold):
                    raise InputError(f"{table} puts {stem} into two parts; give each exam one split and one fold.")
    _check_patients(said, patient_of, tables)
    names = some(tables)
    if not said:
        raise InputError(f"{names} names no exam of this dataset; it needs exam names or patient IDs.")
    only_test = all(part == "test" for part, _ in said.values())
    missing = [stem for stem in patient_of if stem not in said]
    notes = [f"{names} names what is not chosen or not there: {some(unknown)}."] if unknown else []
    left_out = [] if only_test else [f"{stem} is not named in {names} and is left out." for stem in missing]
    # A patient with one named exam stays in that part with the others, or he would be on both sides.
    parts = {stem: Part(TEST if part == "test" else TRAIN, fold) for stem, (part, fold) in said.items()}
    if only_test:
        tested = {patient_of[stem] for stem in said}
        parts |= {stem: Part(TEST if patient_of[stem] in tested else TRAIN) for stem in missing}
    held_out = [part.fold for part in parts.values() if part.part == TRAIN]
    numbers = {fold for fold in held_out if fold is not None}
    validated = any(part == "val" for part, _ in said.values())
    count = max(numbers) + 1 if held_out and None not in held_out else max({5, *(fold + 1 for fold in numbers)})
    ordered = {stem: parts[stem] for stem in patient_of if stem in parts}
    closed = frozenset({0}) if validated and numbers == {0} else frozenset()
    return Parts(ordered, closed, count, {str(table): files.sha256(table) for table in tables}, left_out, notes)


def patient(exam: Exam) -> str:
    """Who an exam is of; an exam of another name than the dataset's stands for a person of its own."""
    return exam.patient_id or exam.stem


def find(splits: Path) -> list[Path]:
    """The tables in `splits/`: `splits.tsv`, or the only one with a column for it, or the lists named for their part.

    Raises
    ------
    InputError : there are several.
    """
    candidates = sorted(path for path in splits.glob("*.[tc]sv") if path.name not in LIST_NAMES and path.is_file())
    tables = [path for path in candidates if _column(_header(path), (*_PARTS, "fold"))]
    chosen = [path for path in tables if path.stem == "splits"] or tables
    if len(chosen) > 1:
        raise InputError(f"{splits} holds several splits ({some([p.name for p in chosen])}); choose one with --splits.")
    return chosen or [path for path in candidates if path.stem.lower() in _WORDS]


def _rows(path: Path) -> list[tuple[str, str, int | None]]:
    """(name, "train" | "val" | "test", fold) for every row of a table."""
    header = _header(path)
    name, part = _column(header, _NAMES), _column(header, _PARTS)
    fold = _column(header, ("fold",))
    of_file = _WORDS.get(path.stem.lower())
    if name is None or not (part or fold or of_file):
        raise InputError(
            f"{path} is not a table of a split; it needs a column such as {_NAMES[0]} or patient_id, and a column "
            "split (train, val or test) or fold."
        )
    columns = [column for column in (name, part, fold) if column]
    found = []
    for row in tsv.read(path, columns, _DELIMITERS.get(path.suffix.lower(), "\t")):
        where = f"{path}, line {row.line}"
        word = row[part] if part else of_file or "train"
        if word.lower() not in _WORDS:
            raise InputError(f"{where}: {word!r} is not a part of a split; write train, val or test.")
        number = row[fold] if fold else ""
        if number and not re.fullmatch(r"[0-9]{1,2}", number):
            raise InputError(f"{where}: {number!r} is not a fold; write 0, 1, 2, ... or leave it empty.")
        kind = _WORDS[word.lower()]
        held_out = int(number) if number and kind != "test" else 0 if kind == "val" else None
        found.append((row[name], kind, held_out))
    return found


def _stems(name: str, patient_of: Mapping[str, str]) -> list[str]:
    """The exams that a name in a table stands for: an exam's own, or all of a patient's."""
    if exam_stem(name) in patient_of:
        return [exam_stem(name)]
    try:
        wanted = {name, parse_patient_id(name)}
    except InputError:
        wanted = {name}
    return [stem for stem, person in patient_of.items() if person in wanted]


def _check_patients(said: Mapping[str, tuple[str, int | None]], of: Mapping[str, str], tables: list[Path]) -> None:
    seen: dict[str, tuple[str, int | None]] = {}
    for stem, part in said.items():
        before = seen.setdefault(of[stem], part)
        if before != part:
            (first, one), (second, other) = before, part
            parts = f"{first} and {second}" if first != second else f"folds {one} and {other}"
            raise InputError(
                f"{some(tables)} puts exams of patient {of[stem]} into {parts}; a split is by patient, "
                "so that nobody is in both training and test."
            )


def _header(path: Path) -> list[str]:
    """The names of the columns; InputError if it cannot be read."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            return next(csv.reader(stream, delimiter=_DELIMITERS.get(path.suffix.lower(), "\t")), [])
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a table ({error}).") from None


def _column(header: Sequence[str], wanted: Sequence[str]) -> str | None:
    return next((name for name in wanted if name in header), None)
