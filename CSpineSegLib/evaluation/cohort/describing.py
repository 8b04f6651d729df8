"""Counts and numbers as tables: Gold and Silver side by side, patients and exams apart, the unknown counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...dataset.gold import SOURCES
from ...dataset.tables import AGE_GROUPS, SCAN_TEXTS
from ..sections import Table

if TYPE_CHECKING:
    import pandas

UNKNOWN = "unknown"
DEMOGRAPHICS = {"sex": "Sex", "age_group": "Age (years)", "race": "Race", "ethnicity": "Ethnicity"}
SCANNER = {
    "manufacturer": "Manufacturer",
    "model": "Model",
    "field_strength": "Field strength (T)",
    **{name: name.replace("_", " ").capitalize() for name in SCAN_TEXTS},
}
GRID = {
    "matrix": "Matrix in plane (voxels)",
    "slices": "Slices",
    "orientation": "Orientation",
    "sagittal_axis": "Sagittal axis",
}
NUMBERS = {
    "age": "Age (years)",
    "echo_time": "Echo time (ms)",
    "repetition_time": "Repetition time (ms)",
    "echo_train_length": "Echo train length",
    "slice_thickness": "Slice thickness (mm)",
    "spacing_between_slices": "Spacing between slices, table (mm)",
    "pixel_spacing": "Pixel spacing, table (mm)",
    "number_of_instances": "Instances, table",
    "slices": "Slices",
    "in_plane_mm": "In-plane spacing (mm)",
    "slice_distance_mm": "Slice distance (mm)",
}
VOLUMES = {
    "bodies_mm3": "Bodies (mm3)",
    "discs_mm3": "Discs (mm3)",
    "bodies_voxels": "Bodies (voxels)",
    "discs_voxels": "Discs (voxels)",
    "bodies_components": "Bodies (components)",
    "discs_components": "Discs (components)",
}
_ORDERS = {"age_group": AGE_GROUPS, "source": SOURCES}
_SPREAD = ("n", "unknown", "mean", "sd", "median", "q1", "q3", "min", "max")


def sources(frame: pandas.DataFrame) -> list[str]:
    """The sources that there are, Gold first."""
    there = set(frame["source"])
    return [source for source in SOURCES if source in there]


def overview(frame: pandas.DataFrame) -> Table:
    """Exams and patients, and what of them is on disk, in all and by source."""
    import pandas

    groups = {"all": frame} | {source: frame[frame["source"] == source] for source in sources(frame)}
    rows = {
        "exams": [len(part) for part in groups.values()],
        "patients": [part["patient_id"].nunique() for part in groups.values()],
    }
    most = int(frame["patient_id"].value_counts().max())
    for number in range(1, most + 1):
        name = f"patients with {number} exam{'s' if number > 1 else ''}"
        rows[name] = [int((part["patient_id"].value_counts() == number).sum()) for part in groups.values()]
    rows["exams with an image on disk"] = [int(part["has_image"].sum()) for part in groups.values()]
    rows["exams with a mask on disk"] = [int(part["has_mask"].sum()) for part in groups.values()]
    rows["exams at an age over 89"] = [int((part["age_over_89"] == True).sum()) for part in groups.values()]  # noqa: E712
    content = pandas.DataFrame([[name, *values] for name, values in rows.items()], columns=["count", *groups])
    both = int((frame.groupby("patient_id")["source"].nunique() > 1).sum())
    note = f"{both} patients have exams of several sources and count in each of them." if both else ""
    return Table("cohort-overview", "Exams and patients", content, note)


def counts(frame: pandas.DataFrame, name: str, title: str, columns: dict[str, str]) -> Table:
    """How many patients and exams have each value of some columns; columns of which nothing is known are one row."""
    import pandas

    rows = [row for column, label in columns.items() for row in _counted(frame, column, label)]
    note = (
        "Patients: those with at least one such exam, so a patient whose exams differ counts in several rows. "
        "Percent: of all patients and exams of the column's group, the unknown included. 'Not Reported' is the tables' "
        "own word, 'unknown' where they say nothing."
    )
    return Table(name, title, pandas.DataFrame(rows), note)


def _counted(frame: pandas.DataFrame, column: str, label: str) -> list[dict[str, Any]]:
    values = texts(frame[column])
    groups = {"": frame} | {f"{source}_": frame[frame["source"] == source] for source in sources(frame)}
    rows = []
    for value in ordered(values, column):
        row: dict[str, Any] = {"variable": label, "value": value}
        for prefix, part in groups.items():
            chosen = part[values.loc[part.index] == value]
            patients = chosen["patient_id"].nunique()
            row[f"{prefix}patients"] = patients
            row[f"{prefix}patients_percent"] = 100 * patients / max(part["patient_id"].nunique(), 1)
            row[f"{prefix}exams"] = len(chosen)
            row[f"{prefix}exams_percent"] = 100 * len(chosen) / max(len(part), 1)
        rows.append(row)
    return rows


def texts(column: pandas.Series) -> pandas.Series:
    """A column as text, "unknown" where nothing is said; whole numbers without a fraction."""
    return column.map(
        lambda value: UNKNOWN if _missing(value) else f"{value:g}" if isinstance(value, float) else str(value)
    ).astype(object)


def ordered(values: pandas.Series, column: str) -> list[str]:
    """The values of a column of texts: age groups and numbers by size, Gold first, others by how many there are."""
    found = values.value_counts()
    there = [value for value in found.index if value != UNKNOWN]
    if column in _ORDERS:
        there = [value for value in _ORDERS[column] if value in there]
    elif all(_is_number(value) for value in there):
        there.sort(key=float)
    else:
        there.sort(key=lambda value: (-found[value], value))
    return there + ([UNKNOWN] if UNKNOWN in found.index else [])


def spread(
    frame: pandas.DataFrame,
    name: str,
    title: str,
    columns: dict[str, str],
    by: Sequence[str] = ("source",),
    note: str = "",
) -> Table:
    """Mean, SD, median, quartiles and extremes of some columns, over all exams and in the groups of other columns."""
    import pandas

    rows = []
    for column, label in columns.items():
        rows.append({"variable": label, "group": "all", **_spread(frame[column])})
        for other in by:
            values = texts(frame[other])
            for value in ordered(values, other):
                group = frame.loc[values == value, column]
                rows.append({"variable": label, "group": f"{other.replace('_', ' ')} {value}", **_spread(group)})
    known = [row for row in rows if row["variable"] in {r["variable"] for r in rows if r["group"] == "all" and r["n"]}]
    lacking = [label for column, label in columns.items() if not frame[column].notna().any()]
    if lacking:
        note = f"{note} Nothing is known of: {', '.join(lacking)}.".strip()
    content = pandas.DataFrame(known, columns=["variable", "group", *_SPREAD])
    return Table(name, title, content, f"Each exam counts. SD with n - 1; q1 and q3 are quartiles. {note}".strip())


def _spread(values: pandas.Series) -> dict[str, Any]:
    known = values.dropna()
    found = {"n": len(known), "unknown": len(values) - len(known)}
    if not len(known):
        return found
    q1, median, q3 = known.quantile([0.25, 0.5, 0.75])
    return found | {
        "mean": float(known.mean()),
        # Equal values have no spread, whatever the rounding of their mean leaves.
        "sd": 0.0 if known.nunique() == 1 < len(known) else float(known.std()),
        "median": float(median),
        "q1": float(q1),
        "q3": float(q3),
        "min": float(known.min()),
        "max": float(known.max()),
    }


def _missing(value: Any) -> bool:
    return value is None or value != value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
