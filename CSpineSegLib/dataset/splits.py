"""Training, validation, test and folds: by patient, stratified, and the same on every computer.

The patients are put into one row, the strata one after the other and within them in an order that the seed decides, and
the parts are dealt along it: every fifth patient for testing, say, and the others to the folds in turn. A stratum lies
in one stretch of the row, and any stretch of n patients gets n/k of them, rounded up or down, for each of k folds. So
within a stratum two folds differ by one patient at most, and so do they in all.

The order comes from SHA-256 of seed and patient and the shares are counted in fractions of whole numbers, so that
neither a random generator nor a rounding makes one computer's split another one's.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

from ..errors import InputError
from .exam import Exam
from .gold import SOURCES, UNKNOWN
from .tables import age_group, is_blank

SEED = 108
TRAIN, VAL, TEST = "train", "val", "test"
PARTS = (TRAIN, VAL, TEST)
STRATIFY = ("race", "age", "sex")
COLUMNS = ("race", "age", "sex", "ethnicity", "manufacturer", "model", "field_strength", "source")
MOST_FOLDS = 99
ANY, NOBODY_KNOWS = "any", "unknown"


@dataclass(frozen=True)
class Placed:
    """Where an exam belongs: one of :data:`PARTS`, and the fold in which it is held out, None if it is for testing."""

    stem: str
    patient: str
    split: str
    fold: int | None
    stratum: str
    source: str


@dataclass(frozen=True)
class Split:
    """All exams that have a place, in the dataset's order; how they got it; and sentences worth knowing."""

    rows: tuple[Placed, ...]
    about: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Person:
    patient: str
    exams: tuple[Exam, ...]
    values: tuple[str, ...]


def draw(
    exams: Sequence[Exam],
    *,
    folds: int = 5,
    test: float = 0.2,
    val: float = 0.1,
    stratify: Sequence[str] = STRATIFY,
    balance: str | None = None,
    only: str | None = None,
    seed: int = SEED,
) -> Split:
    """Give every exam its part, by patient.

    Parameters
    ----------
    folds : how many folds the patients of training and validation are dealt to, 2 to 99.
    test, val : shares of all patients, each 0 or more, together under 1; the rest is for training.
    stratify : columns of :data:`COLUMNS`; age stands for its group. A patient's values are those of the first exam. A
        stratum of fewer patients than there are folds joins others of its kind: the first column is given up, then the
        second, and so on.
    balance : a column of which every known value keeps equally many patients, in all and, to one, in each part and
        fold; the others, and those of whom it is unknown, get no place. They are taken from all strata alike.
    only : "gold" or "silver": exams of that source alone.
    seed : decides the order of patients.

    Raises
    ------
    InputError : too few patients, shares or folds out of range, an unknown column, or no list says what is Gold.
    """
    shares = _shares(test, val)
    _check(folds, stratify, balance, only)
    notes: list[str] = []
    # What is balanced comes first and is never given up, so that it is balanced in every part and fold too.
    held = [balance] if balance is not None else []
    columns = list(dict.fromkeys([*held, *stratify]))
    people = _people(_of_source(exams, only), columns)
    if balance is not None:
        people = _balanced(people, columns, balance, seed, notes)
    strata = _strata(people, folds, len(held), notes)
    row = sorted(people, key=lambda one: _place(one, strata[one.values], seed))
    parts = _parts(row, shares, seed)
    _enough(row, parts, shares, folds)
    trained = [one.patient for one in row if parts[one.patient] != TEST]
    fold_of = {patient: index % folds for index, patient in enumerate(trained)}
    placed = {
        exam.stem: Placed(
            exam.stem,
            one.patient,
            parts[one.patient],
            fold_of.get(one.patient),
            ", ".join(strata[one.values]) or "all",
            exam.source,
        )
        for one in people
        for exam in one.exams
    }
    about = {
        "folds": folds,
        "test": str(shares[TEST]),
        "val": str(shares[VAL]),
        "stratify": columns,
        "balance": balance,
        "only": only,
        "seed": seed,
    }
    return Split(tuple(placed[exam.stem] for exam in exams if exam.stem in placed), about, tuple(notes))


def patient(exam: Exam) -> str:
    """Who an exam is of; an exam of another name than the dataset's stands for a person of its own."""
    return exam.patient_id or exam.stem


def values_of(exam: Exam, columns: Sequence[str]) -> tuple[str, ...]:
    """What an exam belongs to by each of `columns`: age as its group, "unknown" where nothing is said."""
    return tuple(_value(exam, column) for column in columns)


def check_columns(columns: Sequence[str]) -> None:
    """InputError unless all are of :data:`COLUMNS`."""
    for column in columns:
        if column not in COLUMNS:
            raise InputError(f"{column!r} is nothing to stratify by; choose among {', '.join(COLUMNS)}.")


def _value(exam: Exam, column: str) -> str:
    if column == "age":
        return age_group(exam.fields.get("age"), exam.fields.get("age_over_89")) or NOBODY_KNOWS
    value = exam.source if column == "source" else exam.fields.get(column)
    if value is None:
        return NOBODY_KNOWS
    return f"{value:g} T" if isinstance(value, float) else str(value)


def _shares(test: float, val: float) -> dict[str, Fraction]:
    """The shares as exact fractions of what was written: .2 is one fifth."""
    for name, value in ((TEST, test), (VAL, val)):
        if not 0 <= value < 1:
            raise InputError(f"The share for {name} is {value:g}; write one of 0 to under 1, for instance 0.2.")
    found = {name: Fraction(repr(float(value))) for name, value in ((TEST, test), (VAL, val))}
    if sum(found.values()) >= 1:
        raise InputError(f"{test:g} for test and {val:g} for val leave nobody for training; take less.")
    return found


def _check(folds: int, stratify: Sequence[str], balance: str | None, only: str | None) -> None:
    if not 2 <= folds <= MOST_FOLDS:
        raise InputError(f"{folds} folds are not possible; choose 2 to {MOST_FOLDS}.")
    check_columns([*stratify, *([balance] if balance is not None else [])])
    if only is not None and only not in SOURCES[:2]:
        raise InputError(f"{only!r} is not a source of masks to choose; write gold or silver.")


def _of_source(exams: Sequence[Exam], only: str | None) -> list[Exam]:
    if not exams:
        raise InputError("There is no exam to split; 'cspineseg list' shows what is there.")
    if only is None:
        return list(exams)
    if all(exam.source == UNKNOWN for exam in exams):
        raise InputError(
            f"No list says which exams are Gold, so {only} ones alone cannot be chosen; put it into splits/gold.txt "
            "or name it with --gold-list."
        )
    found = [exam for exam in exams if exam.source == only]
    if not found:
        raise InputError(f"None of the {len(exams)} exams is {only}; check the Gold list.")
    return found


def _people(exams: Sequence[Exam], columns: Sequence[str]) -> list[_Person]:
    found: dict[str, list[Exam]] = {}
    for exam in exams:
        found.setdefault(patient(exam), []).append(exam)
    return [_Person(name, tuple(own), values_of(own[0], columns)) for name, own in found.items()]


def _balanced(
    people: list[_Person], columns: Sequence[str], balance: str, seed: int, notes: list[str]
) -> list[_Person]:
    """As many patients of each known value as of the rarest, spread over the strata."""
    at = list(columns).index(balance)
    counts = Counter(one.values[at] for one in people)
    # The tables' "Not Reported" is no value that anybody could be balanced by.
    unknown = sum(counts.pop(value) for value in list(counts) if value == NOBODY_KNOWS or is_blank(value))
    if len(counts) < 2:
        raise InputError(
            f"All patients have the same {balance} ({', '.join(counts) or 'unknown'}), so there is nothing to balance."
        )
    wanted = min(counts.values())
    kept = []
    for value, count in sorted(counts.items()):
        group = sorted((one for one in people if one.values[at] == value), key=lambda one: _place(one, (), seed))
        kept += [one for one, taken in zip(group, _dealt(count, Fraction(wanted, count), seed), strict=True) if taken]
    names = {one.patient for one in kept}
    told = ", ".join(f"{count} of {value}" for value, count in sorted(counts.items()))
    notes.append(
        f"Balanced by {balance}: {wanted} patients of each value have a place (there are {told}), "
        f"{len(people) - len(kept)} have none{f', among them {unknown} of whom it is unknown' if unknown else ''}."
    )
    return [one for one in people if one.patient in names]


def _strata(
    people: Sequence[_Person], folds: int, held: int, notes: list[str]
) -> dict[tuple[str, ...], tuple[str, ...]]:
    """The stratum of each combination of values: itself, or with its columns given up from the left if it is rare.

    held : so many columns at the left are never given up.
    """
    counts = Counter(one.values for one in people)
    found = {values: values for values in counts}
    for last in range(held + 1, len(next(iter(counts), ())) + 1):
        sizes: Counter[tuple[str, ...]] = Counter()
        for values, stratum in found.items():
            sizes[stratum] += counts[values]
        for values, stratum in found.items():
            if sizes[stratum] < folds:
                found[values] = values[:held] + (ANY,) * (last - held) + values[last:]
    merged = [values for values, stratum in found.items() if values != stratum]
    if merged:
        patients = sum(counts[values] for values in merged)
        notes.append(
            f"{len(merged)} strata of fewer than {folds} patients ({patients} patients in all) were merged into "
            f"{len({found[values] for values in merged})}; 'any' stands for what was given up."
        )
    return found


def _place(one: _Person, stratum: Sequence[str], seed: int) -> tuple[Any, ...]:
    """The key of a patient's place in the row: strata, then what was merged, then those with most exams, then chance.

    Each column's values follow one another, so that the first column, and every merged stratum, is one stretch too.
    """
    levels = [_token(seed, level) for names in (stratum, one.values) for level in _prefixes(names)]
    return (*levels, -len(one.exams), _token(seed, "patient", one.patient), one.patient)


def _prefixes(names: Sequence[str]) -> list[str]:
    return ["/".join(names[: count + 1]) for count in range(len(names))]


def _token(seed: int, *texts: str) -> str:
    return hashlib.sha256("\n".join([str(seed), *texts]).encode("utf-8")).hexdigest()


def _dealt(count: int, share: Fraction, seed: int, *, name: str = "") -> list[bool]:
    """Which of `count` things in a row are taken, evenly: of any n in a row n * share, rounded up or down."""
    start = Fraction(int(_token(seed, "start", name)[:8], 16), 2**32)
    return [floor((index + 1) * share + start) > floor(index * share + start) for index in range(count)]


def _parts(row: Sequence[_Person], shares: Mapping[str, Fraction], seed: int) -> dict[str, str]:
    """The part of each patient: the test patients are dealt first, those of validation among the others."""
    found = dict.fromkeys((one.patient for one in row), TRAIN)
    left = [one.patient for one in row]
    remaining = Fraction(1)
    for part in (TEST, VAL):
        for name, taken in zip(left, _dealt(len(left), shares[part] / remaining, seed, name=part), strict=True):
            if taken:
                found[name] = part
        left = [name for name in left if found[name] == TRAIN]
        remaining -= shares[part]
    return found


def _enough(row: Sequence[_Person], parts: Mapping[str, str], shares: Mapping[str, Fraction], folds: int) -> None:
    counts = Counter(parts.values())
    if len(row) - counts[TEST] < folds:
        raise InputError(
            f"{len(row) - counts[TEST]} of {len(row)} patients are left for {folds} folds; take fewer folds or more "
            "exams."
        )
    for part in PARTS:
        if not counts[part] and shares.get(part, 1):
            raise InputError(f"{len(row)} patients are too few: none would be for {part}; choose other shares.")
