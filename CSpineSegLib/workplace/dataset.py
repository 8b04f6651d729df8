"""The table of exams: what it shows, how it is searched, filtered and sorted, and which exam comes next."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..dataset.exam import Exam
from ..dataset.names import MASK_SUFFIX, SITE, exam_stem, nearest_patients, parse_patient_id
from ..errors import InputError
from ..review import people, worklist
from ..review.records import STATUSES, parse_time

if TYPE_CHECKING:
    from ..jobs.child import ChildJob
    from .desk import Workplace

FILTERS = ("status", "source", "sex", "manufacturer", "field")
SAMPLE_FOLDER = "CSpineSeg sample"
_STATE = ("status", "annotator", "last_change", "has_prediction", "score")
# Sorts after every other text.
_LAST = "\uffff"
# Over 89 years the age itself is not released.
_OVER_89 = 90.0


@dataclass(frozen=True)
class Row:
    """An exam with the state of its review, see :func:`review.worklist.table`; None where nothing is known."""

    exam: Exam
    status: str = "unreviewed"
    annotator: str | None = None
    last_change: str | None = None
    has_prediction: bool = False
    score: float | None = None


class Column(NamedTuple):
    """A column: `text` shows a row's value, `order` is what it is sorted by; empty and None where nothing is known."""

    name: str
    numeric: bool
    text: Callable[[Row], str]
    order: Callable[[Row], float | str | None]

    def sort_key(self, row: Row, descending: bool = False) -> float | str:
        """What Qt sorts by: one kind of value a column, with unknown ones last both ways."""
        value = self.order(row)
        if value is not None:
            return value
        if self.numeric:
            return -math.inf if descending else math.inf
        return "" if descending else _LAST


def rows(workplace: Workplace) -> list[Row]:
    """All exams of the open dataset in its order, from one look at the folders of the review."""
    frame = workplace.table()
    columns = [frame[name].astype(object).where(frame[name].notna(), None) for name in _STATE]
    return [Row(exam, *state) for exam, *state in zip(workplace.exams(), *columns, strict=True)]


def row_of(exam: Exam) -> Row:
    """One exam as it stands now on disk."""
    state = worklist.state(exam)
    return Row(exam, *(state[name] for name in _STATE))


def value(row: Row, name: str) -> str:
    """What a filter of `FILTERS` compares; empty where nothing is known."""
    if name in ("status", "source"):
        return row.status if name == "status" else row.exam.source
    if name == "field":
        tesla = _field(row, "field_strength")
        return "" if tesla is None else f"{tesla:g}"
    return _field(row, name) or ""


def choices(found: Iterable[Row], name: str) -> list[str]:
    """The values that a filter can take in these rows, "" (unknown) last."""
    values = {value(row, name) for row in found}
    if name == "status":
        return [status for status in STATUSES if status in values]
    ordered = sorted(values - {""}, key=float if name == "field" else str.casefold)
    return ordered + [""] * ("" in values)


def key_of(row: Row) -> str:
    """The text of a row that :func:`pattern` is looked for in: patient ID in all its forms, other words, filters."""
    exam = row.exam
    if exam.patient_id is None:
        ids = [exam.stem, *re.findall("[0-9]+", exam.stem)]
    else:
        number = exam.patient_id.removeprefix(f"{SITE}-")
        ids = [exam.patient_id, number, str(int(number))]
    words = [exam.stem, _scanner(row), row.annotator or ""]
    marks = [f"{name}={_folded(value(row, name))}" for name in FILTERS]
    return "\t".join(["", *(f" {' '.join(map(_folded, part))}" for part in (ids, words)), *marks, ""])


def pattern(search: str = "", filters: Mapping[str, str | None] | None = None) -> str:
    """A regular expression that finds the rows of :func:`key_of`, for Qt as for Python.

    Parameters
    ----------
    search : words that all have to be there. The digits of a patient ID (593973-000123, 000123 or 123) as far as they
        are typed; any other word is looked for in the exam's name, its scanner and its annotator.
    filters : the wanted value for names of `FILTERS`; None for any.

    >>> bool(re.search(pattern("593973-00"), "\\t 593973-000123 000123 123\\t x\\tsex=F\\t"))
    True
    """
    parts = []
    for word in _folded(search).split():
        if re.fullmatch("[0-9-]+", word):
            parts.append(rf"(?=\t[^\t]* {re.escape(word)})")
        else:
            stem = exam_stem(word).removesuffix(MASK_SUFFIX.casefold())
            parts.append(rf"(?=\t[^\t]*\t[^\t]*{re.escape(stem)})")
    for name, wanted in (filters or {}).items():
        if wanted is not None:
            parts.append(rf"(?=.*\t{name}={re.escape(_folded(wanted))}\t)")
    return "^" + "".join(parts)


def nearest(found: Iterable[Row], search: str) -> list[str]:
    """The patients that were most likely meant by an ID that none of them has; none for any other search."""
    try:
        wanted = parse_patient_id(search)
    except InputError:
        return []
    known = {row.exam.patient_id for row in found} - {None}
    return [] if wanted in known or not known else nearest_patients(wanted, known)


def waiting(found: Sequence[Row], annotator: str | None = None) -> list[Row]:
    """The exams to review, in the order in which to do so.

    Unreviewed ones with the lowest score first, the most doubtful; then those without a score, first the segmented.
    Exams in review by others are left to them; at the end come those that this annotator began or saved for later,
    the oldest first. Exams without an image are left out.
    """
    own = people.annotator_name(annotator)
    with_image = [row for row in found if row.exam.image is not None]
    new = [row for row in with_image if row.status == "unreviewed"]
    begun = [row for row in with_image if row.status == "in review" and row.annotator == own]
    new.sort(key=lambda row: (row.score is None, row.score or 0.0, not row.has_prediction))
    return new + sorted(begun, key=lambda row: row.last_change or "")


def next_unreviewed(
    found: Sequence[Row],
    after: str | None = None,
    annotator: str | None = None,
    *,
    passed: Collection[str] = (),
    filters: Mapping[str, str | None] | None = None,
) -> Row | None:
    """The first of :func:`waiting`; None if nothing waits.

    Parameters
    ----------
    after : stem of the exam that one comes from, which is not proposed again.
    passed : stems of exams that were looked at and left; they come again once nothing else waits.
    filters : as for :func:`pattern`, to stay among some exams; the status is not looked at.
    """
    among = re.compile(pattern("", {**(filters or {}), "status": None}))
    queue = [row for row in waiting(found, annotator) if row.exam.stem != after and among.search(key_of(row))]
    return next((row for row in queue if row.exam.stem not in passed), queue[0] if queue else None)


def sample_folder(chosen: str | Path) -> Path:
    """Where the sample goes if a user chooses a folder: there if it is empty or holds it already, else below."""
    folder = Path(chosen)
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    return folder if empty or holds_sample(folder) else folder / SAMPLE_FOLDER


def holds_sample(folder: str | Path) -> bool:
    """Whether a sample dataset was made in a folder."""
    from ..dataset import sample

    return (Path(folder) / sample.MARKER).is_file()


def make_sample(folder: str | Path, python: str | None = None, *, tiny: bool = False) -> ChildJob:
    """Make the sample dataset in a process of its own, which takes a minute; its result names the `dataset` folder."""
    from ..jobs import child

    words = [str(folder), *(["--tiny"] if tiny else [])]
    return child.ChildJob(words, python, program="CSpineSegLib.dataset")


def _field(row: Row, name: str) -> Any:
    return row.exam.fields.get(name)


def _folded(text: str) -> str:
    """A text as it is compared: in small letters, with accents in one form, and on one line without tabs."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _scanner(row: Row) -> str:
    return " ".join(filter(None, (_field(row, "manufacturer"), _field(row, "model"))))


def _study(row: Row) -> str:
    return "" if row.exam.study is None else f"{row.exam.study} / {row.exam.series}"


def _study_order(row: Row) -> str | None:
    return None if row.exam.study is None else f"{row.exam.study:09d} {row.exam.series:09d}"


def _age(row: Row) -> str:
    if _field(row, "age_over_89"):
        return "> 89"
    return "" if _field(row, "age") is None else f"{math.floor(_field(row, 'age'))}"


def _age_order(row: Row) -> float | None:
    age = _OVER_89 if _field(row, "age_over_89") else _field(row, "age")
    return None if age is None else float(age)


def _strength_order(row: Row) -> float | None:
    tesla = _field(row, "field_strength")
    return None if tesla is None else float(tesla)


def _changed(row: Row) -> str:
    return "" if row.last_change is None else f"{_moment(row.last_change):%Y-%m-%d %H:%M}"


def _moment(text: str) -> datetime:
    return parse_time(text).astimezone()


def _words(text: Callable[[Row], str]) -> tuple[bool, Callable[[Row], str], Callable[[Row], str | None]]:
    """A column that is sorted as it is shown."""
    return False, text, lambda row: text(row) or None


# First what a reviewer chooses by: a panel is narrow.
COLUMNS = (
    Column("patient", *_words(lambda row: row.exam.patient_id or row.exam.stem)),
    Column("status", *_words(lambda row: row.status)),
    Column("score", True, lambda row: "" if row.score is None else f"{row.score:.2f}", lambda row: row.score),
    Column("source", *_words(lambda row: row.exam.source)),
    Column("study", False, _study, _study_order),
    Column("age", True, _age, _age_order),
    Column("sex", *_words(lambda row: value(row, "sex"))),
    Column("field", True, lambda row: f"{value(row, 'field')} T" if value(row, "field") else "", _strength_order),
    Column("scanner", *_words(_scanner)),
    Column("annotator", *_words(lambda row: row.annotator or "")),
    Column("change", False, _changed, lambda row: row.last_change),
)
