"""The tables of `structured/`, joined into one row per exam.

`submitter_id` is a patient in `case`, a study UID in `imaging_study`, a series UID in `mr_series`, so every join names
both of its sides. Only the columns that are used need to be there, and `image_manifest` and `clinical_manifest`, which
nothing here needs, are never opened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from . import tsv
from .names import ExamName, is_mask, parse_name
from .wording import some

# The table that is named by each prefix, and what is unknown without it.
_COLUMNS = {
    "annotation_file": ("file_name", "mr_series_files.submitter_id"),
    "mr_series": (
        "submitter_id",
        "imaging_studies.submitter_id",
        "manufacturer",
        "manufacturer_model_name",
        "magnetic_field_strength",
        "series_description",
    ),
    "imaging_study": ("submitter_id", "case_ids", "age_at_imaging", "age_at_imaging_gt89"),
    "case": ("submitter_id", "sex", "race", "ethnicity"),
}
_GIVES = {
    "annotation_file": "age and scanner",
    "mr_series": "age and scanner",
    "imaging_study": "age",
    "case": "sex, race and ethnicity",
}
_SEX = {"female": "F", "male": "M"}
_MANUFACTURERS = {name.casefold(): name for name in ("Siemens", "GE MEDICAL SYSTEMS")}
_BLANK = {"", "na", "n/a", "nan", "none", "null", "not reported"}
OLDEST = 89
# Ages that are withheld, as they are written where a number is expected.
_OVER_89 = re.compile(r"(>|over)\s*89|(>=|≥)\s*90|90\s*\+", re.IGNORECASE)
# Age groups of the dataset's authors; both limits belong to the middle one.
AGE_GROUPS = ("<40", "40-60", ">60")

# What `mr_series` says of a scan besides what every exam carries; none of it needs to be there.
SCAN_TEXTS = (
    "mr_acquisition_type",
    "scanning_sequence",
    "sequence_variant",
    "scan_options",
    "contrast_bolus_agent",
    "software_version",
)
SCAN_NUMBERS = (
    "echo_time",
    "repetition_time",
    "echo_train_length",
    "slice_thickness",
    "spacing_between_slices",
    "pixel_spacing",
    "number_of_instances",
)


@dataclass(frozen=True)
class Tables:
    """What the tables say.

    `fields` holds, per exam, the columns of the exam table that come from tables (None: unknown); `file_names` the
    files that `annotation_file` names, None without that table; `problems` sentences about what does not fit.
    """

    fields: dict[ExamName, dict[str, Any]]
    file_names: set[str] | None
    problems: list[str]


def read(folder: Path | None, on_disk: Iterable[ExamName]) -> Tables:
    """Join the tables of `folder` for all exams that they name and those in `on_disk`.

    Raises
    ------
    InputError : a table that is there cannot be used: a missing column, another separator, duplicated rows,
        two masks for one exam.
    """
    problems: list[str] = []
    paths = {name: _find(folder, name, problems) for name in _COLUMNS} if folder else dict.fromkeys(_COLUMNS)
    if not any(paths.values()):
        where = f"in {folder}" if folder else "beside the images"
        problems.append(
            f"There are no tables {where}: exams are known from their file names alone, "
            "so age, sex and scanner are unknown."
        )
        return Tables({name: {} for name in on_disk}, None, problems)
    for table, path in paths.items():
        if path is None:
            problems.append(f"There is no {table}_*.tsv in {folder}, so {_GIVES[table]} are unknown.")
    rows = {name: tsv.read(path, _COLUMNS[name]) if path else [] for name, path in paths.items()}
    keyed = {
        name: tsv.unique(paths[name], rows[name], "submitter_id") if paths[name] else None
        for name in ("mr_series", "imaging_study", "case")
    }
    series, file_names = _annotated(paths["annotation_file"], rows["annotation_file"], problems)
    exams = sorted({*series, *on_disk})
    fields = _join(exams, series, keyed, problems)
    return Tables(fields, file_names if paths["annotation_file"] else None, problems)


def scans(folder: Path | None) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What `mr_series` says of each scan by series UID, and sentences about what it does not say.

    Returns
    -------
    Per series UID the columns of :data:`SCAN_TEXTS` (text) and :data:`SCAN_NUMBERS` (numbers: times in ms, lengths in
    mm), None where the table says nothing or no number; a column that the table lacks is in no row and named in a
    sentence. Nothing without the table or the folder.

    Raises
    ------
    InputError : the table is there and cannot be read.
    """
    problems: list[str] = []
    path = _find(folder, "mr_series", []) if folder else None
    if path is None:
        return {}, problems
    there = tsv.header(path)
    wanted = [name for name in (*SCAN_TEXTS, *SCAN_NUMBERS) if there.count(name) == 1]
    lacking = [name for name in (*SCAN_TEXTS, *SCAN_NUMBERS) if name not in wanted]
    if lacking:
        problems.append(f"{path} has no column {some(lacking)}, so these are unknown.")
    found: dict[str, dict[str, Any]] = {}
    strange: dict[str, list[str]] = {}
    for row in tsv.read(path, ("submitter_id", *wanted)):
        values = found[row["submitter_id"]] = {}
        for name in wanted:
            text = row[name]
            values[name] = None if text.casefold() in _BLANK else text
            if name in SCAN_NUMBERS and values[name] is not None:
                values[name] = _number(text)
                if values[name] is None:
                    strange.setdefault(name, []).append(text)
    problems += [f"{path} holds {some(texts)} as {name}, which is no number." for name, texts in strange.items()]
    return found, problems


def age_group(age: float | None, over_89: bool | None) -> str | None:
    """One of :data:`AGE_GROUPS`; whoever is over 89 is in the last one although the age itself is withheld.

    >>> age_group(40.0, False), age_group(None, True), age_group(None, None)
    ('40-60', '>60', None)
    """
    if over_89:
        return AGE_GROUPS[2]
    if age is None:
        return None
    return AGE_GROUPS[0] if age < 40 else AGE_GROUPS[1] if age <= 60 else AGE_GROUPS[2]


def is_blank(text: str) -> bool:
    """Whether a cell says nothing: empty, or "Not Reported" and other words for that."""
    return " ".join(text.split()).casefold() in _BLANK


def normal_manufacturer(text: str) -> str | None:
    """One spelling per manufacturer: "SIEMENS" is "Siemens"; "GE MEDICAL SYSTEMS" stays, being the tables' own word."""
    words = " ".join(text.split())
    return _MANUFACTURERS.get(words.casefold(), words) or None


def parse_age(text: str, over_89: str) -> tuple[float | None, bool | None]:
    """Age in years, and whether it is over 89, in which case the age itself is unknown, whatever the table holds.

    Raises ValueError if `text` is neither a number, nor blank, nor ">89" or the like.
    """
    over = {"yes": True, "true": True, "no": False, "false": False}.get(over_89.casefold())
    if over or _OVER_89.fullmatch(text.strip()):
        return None, True
    age = None if text.casefold() in _BLANK else float(text)
    if age is not None and age > OLDEST:
        return None, True
    if age is not None and age < 0:
        raise ValueError(text)
    return age, False if age is not None else over


def _find(folder: Path, table: str, problems: list[str]) -> Path | None:
    """The file of a table: its name, whatever the date behind it; the last one if there are several."""
    found = sorted([*folder.glob(f"{table}.tsv"), *folder.glob(f"{table}_*.tsv")])
    if len(found) > 1:
        problems.append(f"{folder} has {len(found)} tables named {table}; {found[-1].name} is used.")
    return found[-1] if found else None


def _annotated(path: Path | None, rows: list[tsv.Row], problems: list[str]) -> tuple[dict[ExamName, str], set[str]]:
    """The series UID of each exam that `annotation_file` names, and its file names."""
    series: dict[ExamName, str] = {}
    by_name: dict[str, int] = {}
    by_series: dict[tuple[str, bool], tuple[int, ExamName]] = {}
    strange, torn = [], []
    for row in rows:
        try:
            exam = parse_name(row["file_name"])
        except InputError:
            strange.append(row["file_name"])
            continue
        mask, uid = is_mask(row["file_name"]), row["mr_series_files.submitter_id"]
        file_name = exam.mask_name if mask else exam.image_name
        kind = "mask" if mask else "image"
        earlier = by_name.setdefault(file_name, row.line)
        owner_line, owner = by_series.setdefault((uid, mask), (row.line, exam)) if uid else (row.line, exam)
        if earlier != row.line or owner != exam:
            raise InputError(
                f"{path} names two {kind}s for one exam, {owner.stem} "
                f"(lines {earlier if earlier != row.line else owner_line} and {row.line}); keep one."
            )
        known = series.setdefault(exam, uid)
        if uid and known != uid:
            if known:
                torn.append(exam.stem)
            else:
                series[exam] = uid
    if strange:
        problems.append(f"{path} holds file names that are not the dataset's, which were left out: {some(strange)}.")
    if torn:
        problems.append(f"{path} links image and mask of one exam to different series: {some(torn)}.")
    return series, set(by_name)


def _join(
    exams: list[ExamName],
    series: Mapping[ExamName, str],
    keyed: Mapping[str, dict[str, tsv.Row] | None],
    problems: list[str],
) -> dict[ExamName, dict[str, Any]]:
    """Follow the links exam -> series -> study, and exam -> patient; what leads nowhere is reported."""
    lost: dict[str, list[str]] = {"mr_series": [], "imaging_study": [], "case": []}
    foreign, bad_ages, result = [], [], {}

    def look_up(table: str, key: str | None, exam: ExamName) -> tsv.Row | None:
        if keyed[table] is None or key is None:
            return None
        row = keyed[table].get(key)
        if row is None:
            lost[table].append(exam.stem)
        return row

    for exam in exams:
        fields = result[exam] = {"series_uid": series.get(exam) or None}
        scan = look_up("mr_series", series.get(exam), exam)
        if scan:
            fields.update(_scanner(scan))
        study = look_up("imaging_study", fields.get("study_uid"), exam)
        if study and study["case_ids"] and exam.patient_id not in study["case_ids"]:
            foreign.append(exam.stem)
            continue
        if study:
            try:
                age = parse_age(study["age_at_imaging"], study["age_at_imaging_gt89"])
            except ValueError:
                bad_ages.append(f"{study['age_at_imaging']} ({exam.stem})")
                age = None, None
            fields["age"], fields["age_over_89"] = age
        person = look_up("case", exam.patient_id, exam)
        if person:
            fields.update(sex=_SEX.get(person["sex"].casefold(), person["sex"]) or None)
            fields.update(race=person["race"] or None, ethnicity=person["ethnicity"] or None)
    for table, stems in lost.items():
        if stems:
            problems.append(f"The table {table} has no row for {some(stems)}, so {_GIVES[table]} are unknown there.")
    if foreign:
        problems.append(
            f"The table imaging_study gives another patient than the file name for {some(foreign)}; "
            "age, sex, race and ethnicity are left unknown there."
        )
    if bad_ages:
        problems.append(f"The table imaging_study holds ages that are no numbers: {some(bad_ages)}.")
    return result


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _scanner(scan: tsv.Row) -> dict[str, Any]:
    return {
        "manufacturer": normal_manufacturer(scan["manufacturer"]),
        "model": scan["manufacturer_model_name"] or None,
        "field_strength": _number(scan["magnetic_field_strength"]),
        "study_uid": scan["imaging_studies.submitter_id"] or None,
        "series_description": scan["series_description"] or None,
    }
