"""Tables of 1,255 exams with the counts that the documentation of the released dataset gives, and no images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from CSpineSegLib.dataset import Dataset, ExamName

UID = "1.2.826.0.1.3680043.10.474.593973"
SEX = {"Female": 675, "Male": 557}
RACE = {
    "White": 795,
    "Black or African American": 342,
    "Not Reported": 33,
    "Other": 28,
    "Asian": 24,
    "American Indian or Alaska Native": 9,
    "Native Hawaiian or other Pacific Islander": 1,
}
ETHNICITY = {"Not Hispanic or Latino": 1141, "Hispanic or Latino": 58, "Not Reported": 33}
# Two spellings of one manufacturer, as in the release.
MANUFACTURER = {"SIEMENS": 500, "Siemens": 289, "GE MEDICAL SYSTEMS": 466}
FIELD = {"1.5": 747, "3.0": 508}
DISTANCE = {"3.99": 700, "4": 482, "3.3": 70, "5": 1, "5.3": 1, "": 1}
# Patients with so many exams.
REPEATED = {1: 1213, 2: 15, 3: 4}
OVER_89 = 13
GOLD_EXAMS, GOLD_PATIENTS = 491, 481


def make(root: Path, gold: bool = True, seed: int = 5) -> Dataset:
    """A dataset of tables alone, in the release's layout; `gold`: with a list of Gold exams."""
    rng = np.random.default_rng(seed)
    exams = [count for count, people in REPEATED.items() for _ in range(people)]
    rng.shuffle(exams)
    people = [f"593973-{number:06d}" for number in range(1, len(exams) + 1)]
    names = []
    for patient, count in zip(people, exams, strict=True):
        names += [ExamName(patient, len(names) + 1 + step, 1 + step) for step in range(count)]
    ages = np.clip(rng.normal(54.5, 16.4, len(names)).round(), 18, 89)
    oldest = set(rng.choice(len(names), OVER_89, replace=False).tolist())
    columns = {
        "manufacturer": _drawn(rng, MANUFACTURER),
        "field": _drawn(rng, FIELD),
        "distance": _drawn(rng, DISTANCE),
        "model": rng.choice(["Aera", "Skyra", "Vida"], len(names)).tolist(),
    }
    traits = {"sex": _drawn(rng, SEX), "race": _drawn(rng, RACE), "ethnicity": _drawn(rng, ETHNICITY)}
    folder = root / "extracted" / "structured"
    folder.mkdir(parents=True)
    _write(
        folder / "case_RSNA_20250321.tsv",
        [
            {"submitter_id": patient, **{name: values[at] for name, values in traits.items()}}
            for at, patient in enumerate(people)
        ],
    )
    _write(
        folder / "imaging_study_RSNA_20250321.tsv",
        [
            {
                "submitter_id": f"{UID}.{2 * at}",
                "case_ids": name.patient_id,
                "age_at_imaging": "" if at in oldest else f"{ages[at]:.1f}",
                "age_at_imaging_gt89": "Yes" if at in oldest else "No",
            }
            for at, name in enumerate(names)
        ],
    )
    _write(folder / "mr_series_RSNA_20250321.tsv", [_series(at, columns) for at in range(len(names))])
    _write(
        folder / "annotation_file_RSNA_20250321.tsv",
        [
            {"file_name": file, "mr_series_files.submitter_id": f"{UID}.{2 * at + 1}"}
            for at, name in enumerate(names)
            for file in (name.image_name, name.mask_name)
        ],
    )
    if gold:
        (root / "splits").mkdir()
        (root / "splits" / "gold.txt").write_text("\n".join(_gold(names)) + "\n", encoding="utf-8")
    return Dataset.open(root)


def _series(at: int, columns: Mapping[str, list[str]]) -> dict[str, str]:
    siemens = columns["manufacturer"][at].upper() == "SIEMENS"
    return {
        "submitter_id": f"{UID}.{2 * at + 1}",
        "imaging_studies.submitter_id": f"{UID}.{2 * at}",
        "manufacturer": columns["manufacturer"][at],
        "manufacturer_model_name": columns["model"][at] if siemens else "Optima MR450w",
        "magnetic_field_strength": columns["field"][at],
        "series_description": "SAG T2",
        "mr_acquisition_type": "2D",
        "echo_time": "101" if siemens else "99.36",
        "repetition_time": "2990" if siemens else "2800",
        "slice_thickness": "3",
        "spacing_between_slices": columns["distance"][at],
        "pixel_spacing": "0.6875" if at % 2 else "0.4297",
        "number_of_instances": "15",
    }


def _gold(names: list[ExamName]) -> list[str]:
    """491 exams of 481 patients: of ten patients two exams, of all others one."""
    by_patient: dict[str, list[ExamName]] = {}
    for name in names:
        by_patient.setdefault(name.patient_id, []).append(name)
    pairs = [own for own in by_patient.values() if len(own) == 2][: GOLD_EXAMS - GOLD_PATIENTS]
    single = [own for own in by_patient.values() if len(own) == 1][: GOLD_PATIENTS - len(pairs)]
    return [name.mask_name for own in (*pairs, *single) for name in own]


def _drawn(rng: np.random.Generator, counts: Mapping[str, int]) -> list[str]:
    values = [value for value, count in counts.items() for _ in range(count)]
    rng.shuffle(values)
    return values


def _write(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    rows = list(rows)
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
