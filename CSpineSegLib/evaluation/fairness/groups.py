"""Groups of exams by a patient's or a scanner's property, in one spelling, and which of them are large enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...dataset import tables
from ...errors import InputError

if TYPE_CHECKING:
    import pandas

UNKNOWN = "not known"
# Groups of fewer patients are described and not tested: a rate of 80 % in 30 has an interval of 30 points.
LEAST = 30
_OLDEST = 89
_BLANK = {"", "na", "n/a", "nan", "<na>", "none", "null", "not reported", "unknown", "not known", "not specified"}
_SEX = {"f": "F", "female": "F", "m": "M", "male": "M"}
# How the makers write themselves begins with these words.
_MANUFACTURERS = {"siemens": "Siemens", "ge": "GE", "general electric": "GE", "philips": "Philips", "canon": "Canon"}


@dataclass(frozen=True)
class Column:
    """`key` as in --by, `title` for people, `source` the column of the table of exams."""

    key: str
    title: str
    source: str


COLUMNS = {
    one.key: one
    for one in (
        Column("sex", "sex", "sex"),
        Column("race", "race", "race"),
        Column("ethnicity", "ethnicity", "ethnicity"),
        Column("age", "age", "age"),
        Column("manufacturer", "manufacturer", "manufacturer"),
        Column("field", "field strength", "field_strength"),
    )
}
# Of the table of exams, what is no property of a patient or scanner.
_NOT_GROUPS = {"patient", "status", "bodies_mm3", "discs_mm3", "quality", "age_over_89"}
_ALIASES = {"field_strength": "field", "gender": "sex", "scanner": "manufacturer"}


@dataclass(frozen=True, eq=False)
class Grouping:
    """The exams by one column.

    Parameters
    ----------
    column : what they are grouped by.
    labels : group of each exam, indexed by exam; UNKNOWN where the table says nothing.
    patients : number of patients in each group, in the order in which groups are shown; without UNKNOWN.
    unknown : number of patients of whom the group is not known.
    """

    column: Column
    labels: pandas.Series
    patients: dict[str, int]
    unknown: int

    @property
    def key(self) -> str:
        return self.column.key

    @property
    def tested(self) -> list[str]:
        """The groups of LEAST patients or more."""
        return [group for group, count in self.patients.items() if count >= LEAST]

    @property
    def small(self) -> list[str]:
        return [group for group, count in self.patients.items() if count < LEAST]

    @property
    def comparable(self) -> bool:
        return len(self.tested) > 1

    def ordered_as(self, other: Grouping) -> Grouping:
        """The same with its groups in the order of another's, those of its own last: an effect's sign hangs on it."""
        names = [name for name in other.patients if name in self.patients]
        names += [name for name in self.patients if name not in other.patients]
        return replace(self, patients={name: self.patients[name] for name in names})


def parse(by: str | Sequence[str], exams: pandas.DataFrame) -> list[Column]:
    """What "sex,age" or a list of words asks to group by, each once.

    Parameters
    ----------
    exams : the table of exams; besides COLUMNS a word may name a column that somebody added to it.

    Raises
    ------
    InputError : a word that names no column, a column that the table does not have, or no word at all.
    """
    own = [name for name in exams.columns if name not in _NOT_GROUPS | {one.source for one in COLUMNS.values()}]
    words = [word.strip() for word in (by.split(",") if isinstance(by, str) else by) if word.strip()]
    chosen: dict[str, Column] = {}
    for word in words:
        key = _ALIASES.get(word.casefold(), word.casefold())
        if word not in own and key not in COLUMNS:
            raise InputError(f"{word!r} is nothing to group by; there are {', '.join([*COLUMNS, *own])}.")
        column = Column(word, word, word) if word in own else COLUMNS[key]
        if column.source not in exams.columns:
            raise InputError(
                f"The exams of these results have no column {column.source!r}, so they cannot be grouped by "
                f"{column.key}; evaluate again with --dataset, so that the tables are read."
            )
        chosen[column.key] = column
    if not chosen:
        raise InputError(f"There is nothing to group by; name one or more of {', '.join([*COLUMNS, *own])}.")
    return list(chosen.values())


def group(exams: pandas.DataFrame, column: Column) -> Grouping:
    """The exams by a column that :func:`parse` found.

    Parameters
    ----------
    exams : a row per exam with `patient` and the column; of age, a column `age_over_89` is heeded too.
    """
    import pandas

    key = column.key
    values = exams[column.source]
    if key == "age":
        over = exams["age_over_89"] if "age_over_89" in exams.columns else [None] * len(exams)
        labels = [age_group(age, old) for age, old in zip(values, over, strict=True)]
    else:
        spelled = {"sex": _sex, "manufacturer": _manufacturer, "field": _field}.get(key, _plain)
        labels = [UNKNOWN if _is_blank(value) else spelled(value) for value in values]
    found = pandas.Series(labels, exams.index, dtype=object, name=key)
    counts = exams["patient"].groupby(found).nunique()
    known = [name for name in counts.index if name != UNKNOWN]
    if key == "age":
        ordered = [name for name in tables.AGE_GROUPS if name in known]
    elif key == "field":
        ordered = sorted(known, key=lambda name: float(name.split()[0]))
    else:
        ordered = sorted(known, key=lambda name: (-counts[name], name))
    return Grouping(column, found, {name: int(counts[name]) for name in ordered}, int(counts.get(UNKNOWN, 0)))


def age_group(age: Any, over_89: Any = None) -> str:
    """<40, 40-60 (both included) or >60 of an age in years; who is over 89 has no age in the tables and is >60.

    >>> age_group(39.9), age_group(40), age_group(60), age_group(60.1), age_group(None, True), age_group(">89")
    ('<40', '40-60', '40-60', '>60', '>60', '>60')
    """
    years = years_of(age, over_89)
    return tables.age_group(None if math.isnan(years) else years, False) or UNKNOWN


def years_of(age: Any, over_89: Any = None) -> float:
    """Age in years as a number: 90 for everybody over 89, NaN where it is not known."""
    if not _is_blank(over_89) and str(over_89).casefold() in ("true", "yes", "1", "1.0"):
        return _OLDEST + 1.0
    if _is_blank(age):
        return math.nan
    text = str(age).strip().casefold()
    older = text.removeprefix("over").removeprefix(">").strip() if text.startswith(("over", ">")) else text
    try:
        years = float(older)
    except ValueError:
        raise InputError(f"{age!r} is no age; write years as a number, or >89.") from None
    return min(years, _OLDEST + 1.0) if older == text else _OLDEST + 1.0


def _is_blank(value: Any) -> bool:
    return value is None or str(value).strip().casefold() in _BLANK


def _plain(value: Any) -> str:
    return " ".join(str(value).split())


def _sex(value: Any) -> str:
    return _SEX.get(_plain(value).casefold(), _plain(value))


def _manufacturer(value: Any) -> str:
    text = _plain(value)
    for word, name in _MANUFACTURERS.items():
        if text.casefold() == word or text.casefold().startswith(f"{word} "):
            return name
    return text


def _field(value: Any) -> str:
    """1.5 T or 3 T; some files hold 15000 (gauss) or 1.494."""
    try:
        tesla = float(str(value).casefold().removesuffix("t").strip())
    except ValueError:
        raise InputError(f"{value!r} is no field strength; write it in tesla.") from None
    tesla = tesla / 10_000 if tesla > 100 else tesla
    return f"{round(2 * tesla) / 2:g} T"
