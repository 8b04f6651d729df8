"""Whether a split keeps patients apart, be it ours or one that somebody brings: a table, or nnU-Net's file of folds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files
from ..errors import InputError
from . import tsv
from .exam import Exam
from .names import exam_stem, parse_patient_id
from .splits import PARTS, STRATIFY, TEST, TRAIN, VAL, check_columns, patient, values_of
from .wording import some

# Names of columns as people write them; the first that is there counts.
_NAMES = ("stem", "exam", "file_name", "filename", "file", "image", "mask", "patient_id", "patient", "case_ids")
_SPLITS = ("split", "subset", "partition", "set")
_WORDS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}
_DELIMITERS = {".csv": ","}
# Which case of nnU-Net is which exam, as our export writes it beside its splits_final.json.
CASES = "cspineseg_cases.tsv"


@dataclass(frozen=True)
class Checked:
    """What a split says.

    Parameters
    ----------
    problems : sentences; without any, no patient crosses, every exam is known and none is there twice.
    notes : sentences worth knowing.
    parts : per part or fold its patients and exams.
    strata : per stratum, and per value of each column, the patients in all and in each part and fold.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    parts: tuple[dict[str, Any], ...]
    strata: tuple[dict[str, Any], ...]

    @property
    def passed(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class _Said:
    """A line of a split: what it names, and where it puts that; `where` is for people."""

    name: str
    places: tuple[str, ...]
    where: str


def check(paths: Sequence[Path], exams: Sequence[Exam], stratify: Sequence[str] = STRATIFY) -> Checked:
    """Check a split against the exams of a dataset.

    Parameters
    ----------
    paths : a TSV or CSV table that names exams or patients with a column `split` (train, val, test) or `fold`, or with
        a line for each exam and fold; several lists named train, val and test for their part; or one
        `splits_final.json` of nnU-Net, whose cases are exams by name or `cspine_<i>` of an export of ours in the same
        folder.
    stratify : the columns by which the parts are counted, as in `splits.draw`.

    Raises
    ------
    InputError : a file cannot be read as a split.
    """
    check_columns(stratify)
    if len(paths) == 1 and paths[0].suffix.lower() == ".json":
        return _check_folds(paths[0], exams, stratify)
    said = [line for path in paths for line in _table(path)]
    long = _long(said)
    if long:
        return _of_folds(long, exams, stratify)
    of = {exam.stem: patient(exam) for exam in exams}
    problems: list[str] = []
    placed: dict[str, tuple[str, ...]] = {}
    twice, unknown = [], []
    for line in said:
        stems = _stems(line.name, of)
        unknown += [] if stems else [f"{line.name} ({line.where})"]
        for stem in stems:
            twice += [f"{stem} ({line.where})"] if stem in placed else []
            # Of two places the later one is kept too: it shows whether the patient crosses.
            placed[stem] = tuple(dict.fromkeys([*placed.get(stem, ()), *line.places]))
    problems += _strangers(unknown) + _twice(twice)
    problems += _crossing(placed, of, "parts", PARTS) + _crossing(placed, of, "folds", None)
    return _result(problems, placed, exams, stratify)


def _check_folds(path: Path, exams: Sequence[Exam], stratify: Sequence[str]) -> Checked:
    names = _case_names(path.parent / CASES)
    folds = _folds(path, files.read_json(path))
    named = [{side: [names.get(case, case) for case in cases] for side, cases in fold.items()} for fold in folds]
    return _of_folds(dict(enumerate(named)), exams, stratify)


def _of_folds(
    folds: Mapping[int, Mapping[str, Sequence[str]]], exams: Sequence[Exam], stratify: Sequence[str]
) -> Checked:
    """What a cross-validation says whose folds each name those to train on and those to hold out."""
    of = {exam.stem: patient(exam) for exam in exams}
    problems: list[str] = []
    unknown: list[str] = []
    twice: list[str] = []
    placed: dict[str, tuple[str, ...]] = {}
    for number, fold in folds.items():
        sides = {}
        for side, cases in fold.items():
            stems = [stem for case in cases for stem in _stems(case, of) or [exam_stem(case)]]
            unknown += [name for name in stems if name not in of]
            twice += [f"{name} (fold {number}, {side})" for name in sorted({n for n in stems if stems.count(n) > 1})]
            sides[side] = [name for name in stems if name in of]
        both = {of[name] for name in sides["train"]} & {of[name] for name in sides["val"]}
        if both:
            problems.append(f"Fold {number} trains on patients that it also holds out: {some(sorted(both))}.")
        for name in dict.fromkeys(sides["train"] + sides["val"]):
            held = (f"fold {number}",) if name in sides["val"] else ()
            placed[name] = placed.get(name, ()) + held
    again = [name for name, places in placed.items() if len(places) > 1]
    if again:
        problems.append(
            f"{len(again)} exams are held out in several folds: {some(again)}; pooled figures would count them twice."
        )
    problems = _strangers(list(dict.fromkeys(unknown))) + _twice(twice) + problems
    never = [name for name, places in placed.items() if not places]
    notes = [f"{len(never)} exams are trained on and never held out: {some(never)}."] if never else []
    return _result(problems, placed, exams, stratify, notes)


def _result(
    problems: list[str],
    placed: Mapping[str, tuple[str, ...]],
    exams: Sequence[Exam],
    stratify: Sequence[str],
    notes: Sequence[str] = (),
) -> Checked:
    missing = [exam.stem for exam in exams if exam.stem not in placed]
    notes = list(notes)
    if missing:
        notes.append(f"{len(missing)} of {len(exams)} exams have no place in it: {some(missing)}.")
    named = [exam for exam in exams if exam.stem in placed]
    order = [*PARTS, *sorted({p for ps in placed.values() for p in ps if p not in PARTS}, key=lambda p: int(p[5:]))]
    there = [part for part in order if any(part in places for places in placed.values())]
    first: dict[str, Exam] = {}
    where: dict[str, set[str]] = {}
    for exam in named:
        first.setdefault(patient(exam), exam)
        where.setdefault(patient(exam), set()).update(placed[exam.stem])
    parts = tuple(
        {
            "part": part,
            "patients": sum(part in places for places in where.values()),
            "exams": sum(part in placed[exam.stem] for exam in named),
            "share": sum(part in places for places in where.values()) / max(len(where), 1),
        }
        for part in there
    )
    groups: dict[tuple[str, str], list[str]] = {}
    for who, exam in first.items():
        values = values_of(exam, stratify)
        groups.setdefault(("stratum", ", ".join(values)), []).append(who)
        for column, value in zip(stratify, values, strict=True):
            groups.setdefault((column, value), []).append(who)
    rank = {name: at for at, name in enumerate([*stratify, "stratum"])}
    strata = tuple(
        {
            "by": by,
            "value": value,
            "patients": len(people),
            **{part: sum(part in where[who] for who in people) for part in there},
        }
        for (by, value), people in sorted(groups.items(), key=lambda item: (rank[item[0][0]], item[0][1]))
    )
    return Checked(tuple(problems), tuple(notes), parts, strata)


def _crossing(
    placed: Mapping[str, tuple[str, ...]], of: Mapping[str, str], what: str, among: Iterable[str] | None
) -> list[str]:
    """A sentence about patients who are in several parts, or folds."""
    found: dict[str, set[str]] = {}
    for stem, places in placed.items():
        wanted = [p for p in places if p in among] if among else [p for p in places if p not in PARTS]
        found.setdefault(of[stem], set()).update(wanted)
    crossing = [f"{who} ({', '.join(sorted(places))})" for who, places in sorted(found.items()) if len(places) > 1]
    return [f"{len(crossing)} patients are in several {what}: {some(crossing)}."] if crossing else []


def _strangers(unknown: Sequence[str]) -> list[str]:
    return [f"{len(unknown)} names are not of this dataset: {some(unknown)}."] if unknown else []


def _twice(twice: Sequence[str]) -> list[str]:
    return [f"{len(twice)} exams are there twice: {some(twice)}."] if twice else []


def _table(path: Path) -> list[_Said]:
    delimiter = _DELIMITERS.get(path.suffix.lower(), "\t")
    # Whatever the capitals of the headings.
    header = {column.casefold(): column for column in reversed(tsv.header(path, delimiter))}
    name = next((header[column] for column in _NAMES if column in header), None)
    part = next((header[column] for column in _SPLITS if column in header), None)
    fold = header.get("fold")
    of_file = _WORDS.get(path.stem.lower())
    if name is None or not (part or fold or of_file):
        raise InputError(
            f"{path} is not a table of a split; it needs a column such as {_NAMES[0]} or patient_id, and a column "
            "split (train, val or test) or fold."
        )
    found = []
    for row in tsv.read(path, [column for column in (name, part, fold) if column], delimiter):
        where = f"line {row.line}"
        word = row[part] if part else of_file or TRAIN
        number = row[fold] if fold else ""
        if word.lower() not in _WORDS:
            raise InputError(f"{path}, {where}: {word!r} is not a part of a split; write train, val or test.")
        # Programs that have no whole numbers beside empty cells write 0.0.
        whole = number.removesuffix(".0")
        if number and not (whole.isascii() and whole.isdigit()):
            raise InputError(f"{path}, {where}: {number!r} is not a fold; write 0, 1, 2, ... or leave it empty.")
        places = (_WORDS[word.lower()], *([f"fold {int(whole)}"] if number else []))
        found.append(_Said(row[name], places, where))
    if not found:
        raise InputError(f"{path} names no exam; it needs a line for each.")
    return found


def _long(said: Sequence[_Said]) -> dict[int, dict[str, list[str]]]:
    """The folds of a table with a line for each exam *and* fold, which says on what side of that fold it is.

    Nothing for any other table: of one with a line for each exam, a name has one fold.
    """
    folds: dict[int, dict[str, list[str]]] = {}
    for line in said:
        if len(line.places) < 2 or line.places[0] == TEST:
            return {}
        number = int(line.places[1].removeprefix("fold "))
        folds.setdefault(number, {TRAIN: [], VAL: []})[line.places[0]].append(line.name)
    # All names in all folds: one name in two folds is an error of a table with one line for each exam.
    named = [{*fold[TRAIN], *fold[VAL]} for fold in folds.values()]
    same = len(folds) > 1 and all(names == named[0] for names in named)
    return dict(sorted(folds.items())) if same else {}


def _stems(name: str, of: Mapping[str, str]) -> list[str]:
    """The exams that a name stands for: an exam's own, or all of a patient's."""
    if exam_stem(name) in of:
        return [exam_stem(name)]
    try:
        wanted = {name, parse_patient_id(name)}
    except InputError:
        wanted = {name}
    return [stem for stem, person in of.items() if person in wanted]


def _folds(path: Path, content: Any) -> list[dict[str, list[str]]]:
    """The content of `splits_final.json`, if it is that."""
    try:
        folds = [{side: [str(case) for case in fold[side]] for side in ("train", "val")} for fold in content]
    except (TypeError, KeyError):
        folds = []
    if not folds:
        raise InputError(f"{path} is not nnU-Net's file of folds; it holds a list of train and val for each fold.")
    return folds


def _case_names(path: Path) -> dict[str, str]:
    """Exam by case of nnU-Net; nothing where there is no export of ours."""
    return {row["case"]: row["exam"] for row in tsv.read(path, ("case", "exam"))} if path.is_file() else {}
