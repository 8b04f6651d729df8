"""The figures of a cohort: ages, scanners, spacings, volumes and components."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...dataset.tables import AGE_GROUPS
from ..sections import Figure
from .describing import UNKNOWN, ordered, sources, texts

if TYPE_CHECKING:
    import pandas

STRUCTURES = {"bodies": "Vertebral bodies", "discs": "Discs"}


def figures(frame: pandas.DataFrame) -> tuple[Figure, ...]:
    """All figures for which there is something to draw."""
    return tuple(
        figure for part in (_ages, _scanners, _spacing, _volumes, _components, _thickness) for figure in part(frame)
    )


def _by_source(frame: pandas.DataFrame, column: str) -> dict[str, object]:
    known = frame[frame[column].notna()]
    groups = {source.capitalize(): known.loc[known["source"] == source, column] for source in sources(known)}
    return {name: values.to_numpy(float) for name, values in groups.items()}


def _ages(frame: pandas.DataFrame) -> Iterator[Figure]:
    if frame["age"].notna().any():
        caption = f"Age at the exam, of the {int(frame['age'].notna().sum())} exams of which it is given."
        yield Figure("cohort-ages", caption, "histogram", {"values": _by_source(frame, "age"), "unit": "years"})


def _scanners(frame: pandas.DataFrame) -> Iterator[Figure]:
    import pandas

    if not frame["manufacturer"].notna().any():
        return
    tesla = texts(frame["field_strength"])
    labels = texts(frame["manufacturer"]) + ", " + tesla.where(tesla == UNKNOWN, tesla + " T")
    rows = [
        {"label": label, "value": int(((labels == label) & (frame["source"] == source)).sum()), "group": source}
        for label in ordered(labels, "manufacturer")
        for source in sources(frame)
    ]
    caption = "Exams by manufacturer and field strength, and by whose mask it is."
    yield Figure("cohort-scanners", caption, "bars", {"frame": pandas.DataFrame(rows), "unit": "exams"})


def _spacing(frame: pandas.DataFrame) -> Iterator[Figure]:
    if frame["in_plane_mm"].notna().any():
        caption = "In-plane spacing of the images, from their headers."
        yield Figure("cohort-spacing", caption, "histogram", {"values": _by_source(frame, "in_plane_mm"), "unit": "mm"})


def _thickness(frame: pandas.DataFrame) -> Iterator[Figure]:
    if frame["slice_distance_mm"].notna().any():
        values = _by_source(frame, "slice_distance_mm")
        caption = "Distance of the slices of the images, from their headers."
        yield Figure("cohort-distance", caption, "histogram", {"values": values, "unit": "mm"})


def _volumes(frame: pandas.DataFrame) -> Iterator[Figure]:
    import pandas

    known = frame[frame["bodies_mm3"].notna() & frame["sex"].notna()]
    if known.empty:
        return
    parts = [
        pandas.DataFrame({"volume": known[f"{key}_mm3"] / 1000, "sex": known["sex"], "structure": name})
        for key, name in STRUCTURES.items()
    ]
    data = {"frame": pandas.concat(parts, ignore_index=True), "value": "volume", "group": "sex", "panel": "structure"}
    caption = "Volume of bodies and discs in the masks, by sex; each point is an exam."
    yield Figure("cohort-volumes", caption, "groups", {**data, "unit": "cm3", "line": None})


def _components(frame: pandas.DataFrame) -> Iterator[Figure]:
    import pandas

    known = frame[frame["bodies_components"].notna() & frame["age_group"].notna()]
    known = known.sort_values("age_group", key=lambda column: column.map(AGE_GROUPS.index), kind="stable")
    if known.empty:
        return
    parts = [
        pandas.DataFrame({"count": known[f"{key}_components"], "age": known["age_group"], "structure": name})
        for key, name in STRUCTURES.items()
    ]
    data = {"frame": pandas.concat(parts, ignore_index=True), "value": "count", "group": "age", "panel": "structure"}
    caption = "Connected components of bodies and discs in the masks, by age; bodies that fuse are one component."
    yield Figure("cohort-components", caption, "groups", {**data, "unit": "components", "line": None})
