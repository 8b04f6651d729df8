"""A cohort in figures: who was imaged and how, what the masks hold, what is unlike the rest, and what goes together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...dataset import Dataset
from ...dataset.gold import UNKNOWN as NO_LIST
from ...dataset.wording import some
from ...progress import Progress
from ..sections import Section, Table
from . import comparing, describing, outliers, pictures
from .gathering import GEOMETRY, MASK, gather

if TYPE_CHECKING:
    import pandas

__all__ = ["cohort", "gather", "section"]


def cohort(dataset: Dataset, images: bool = True, masks: bool = True, progress: Progress | None = None) -> Section:
    """The cohort of a dataset as tables, figures and sentences.

    Parameters
    ----------
    images : read the headers of the images, for their geometry.
    masks : read the masks as released, for volumes and components.

    Raises
    ------
    InputError : a table cannot be used.
    """
    frame, problems = gather(dataset, images=images, masks=masks, progress=progress)
    return section(frame, problems, images=images, masks=masks)


def section(frame: pandas.DataFrame, problems: list[str], *, images: bool = True, masks: bool = True) -> Section:
    """The same of what :func:`gathering.gather` returned."""
    found, rules = outliers.outliers(frame)
    warnings = list(problems)
    if (frame["source"] == NO_LIST).any():
        warnings.append(
            "No list says which exams experts annotated, so Gold and Silver are not told apart; put it into "
            "splits/gold.txt or name it with --gold-list."
        )
    tested = comparing.tests(frame)
    tables = [
        describing.overview(frame),
        describing.counts(frame, "cohort-demographics", "Demographics", describing.DEMOGRAPHICS),
        describing.spread(frame, "cohort-age", "Age", {"age": "Age (years)"}, ("source", "sex", "race"), _AGES),
        describing.counts(frame, "cohort-scanner", "Scanner and sequence", _known(frame, describing.SCANNER)),
        describing.spread(frame, "cohort-sequence", "Sequence parameters", _SEQUENCE, ("source", "manufacturer")),
    ]
    if images and frame["matrix"].notna().any():
        tables += [
            describing.counts(frame, "cohort-grid", "Geometry of the images", describing.GRID),
            describing.spread(frame, "cohort-spacing", "Spacing of the images", _SPACING, ("source", "manufacturer")),
        ]
    if masks and frame["bodies_mm3"].notna().any():
        by = ("source", "sex", "age_group", "manufacturer")
        tables.append(describing.spread(frame, "cohort-volumes", "Masks", describing.VOLUMES, by, _MASKS))
    tables += [found, rules, *tested, comparing.crossed(frame), _exams(frame)]
    sentences = [*_people(frame), *_scans(frame), *_images(frame), *_masks(frame), *_unlike(found), *_tested(tested)]
    return Section("cohort", "Cohort", tuple(sentences), tuple(warnings), tuple(tables), pictures.figures(frame))


_SPACING = {name: describing.NUMBERS[name] for name in ("slices", "in_plane_mm", "slice_distance_mm")}
_SEQUENCE = {name: title for name, title in describing.NUMBERS.items() if name not in {"age", *_SPACING}}
_AGES = "The age of those over 89 is withheld and counts as unknown here."
_MASKS = (
    "Masks as released. Volumes in mm3 do not depend on the scanner, counts of voxels do. Components: voxels that "
    "touch by a face, an edge or a corner are connected; all sizes count."
)


def _known(frame: pandas.DataFrame, columns: dict[str, str]) -> dict[str, str]:
    """The columns of which something is known, and those that everybody asks for."""
    always = ("manufacturer", "model", "field_strength")
    return {name: title for name, title in columns.items() if name in always or frame[name].notna().any()}


def _exams(frame: pandas.DataFrame) -> Table:
    seen = [name for name in (*GEOMETRY, *MASK) if frame[name].notna().any()]
    kept = [name for name in frame.columns if name not in (*GEOMETRY, *MASK) or name in seen]
    return Table("cohort-exams", "Every exam", frame[kept], "One row per exam; empty: unknown or not read.", long=True)


def _people(frame: pandas.DataFrame) -> list[str]:
    patients = frame["patient_id"].nunique()
    several = int((frame["patient_id"].value_counts() > 1).sum())
    found = [f"There are {len(frame):,} exams of {patients:,} patients, {several} of whom have several."]
    sources = describing.sources(frame)
    if sources != [NO_LIST]:
        parts = []
        for source in sources:
            part = frame[frame["source"] == source]
            parts.append(f"{len(part):,} exams of {part['patient_id'].nunique():,} patients are {source.capitalize()}")
        found.append(f"{', '.join(parts)}.")
    people = comparing.first_exams(frame)
    sex = people["sex"].value_counts()
    if len(sex):
        counted = ", ".join(f"{count:,} {value}" for value, count in sex.items())
        unknown = len(people) - sex.sum()
        found.append(f"Sex of the patients: {counted}{f', {unknown:,} unknown' if unknown else ''}.")
    ages = frame["age"].dropna()
    if len(ages) > 1:
        over = int((frame["age_over_89"] == True).sum())  # noqa: E712
        found.append(
            f"Age at the exam: {ages.mean():.1f} ± {ages.std():.1f} years (mean and SD of {len(ages):,} exams); "
            f"over 89, where the age is withheld: {over}; unknown: {len(frame) - len(ages) - over}."
        )
    return found


def _scans(frame: pandas.DataFrame) -> list[str]:
    found = []
    for column, name, unit in (("manufacturer", "Manufacturer", ""), ("field_strength", "Field strength", " T")):
        values = describing.texts(frame[column])
        order = describing.ordered(values, column)
        if order != [describing.UNKNOWN]:
            named = [
                f"{value}{unit if value != describing.UNKNOWN else ''} {int((values == value).sum()):,}"
                for value in order
            ]
            found.append(f"{name} of the exams: {', '.join(named)}.")
    return found


def _images(frame: pandas.DataFrame) -> list[str]:
    known = frame[frame["matrix"].notna()]
    if known.empty:
        return []
    matrices = known["matrix"].value_counts()
    named = some([f"{matrix} ({count})" for matrix, count in matrices.items()])
    return [
        f"{len(known):,} images: matrices {named}; {known['slices'].min():.0f} to {known['slices'].max():.0f} slices "
        f"(mean {known['slices'].mean():.1f}); {known['in_plane_mm'].min():.2f} to {known['in_plane_mm'].max():.2f} mm "
        f"in plane; a slice every {known['slice_distance_mm'].median():.2f} mm (median)."
    ]


def _masks(frame: pandas.DataFrame) -> list[str]:
    known = frame[frame["bodies_mm3"].notna()]
    if known.empty:
        return []
    found = []
    for sex in describing.ordered(describing.texts(known["sex"]), "sex"):
        part = known[describing.texts(known["sex"]) == sex]
        bodies, discs = (part[f"{key}_mm3"].median() / 1000 for key in ("bodies", "discs"))
        found.append(f"{sex} {bodies:.1f} and {discs:.1f} cm3 ({len(part)} exams)")
    return [f"Median volume of bodies and discs in the masks, by sex: {'; '.join(found)}."]


def _unlike(found: Table) -> list[str]:
    exams = found.frame["exam"].nunique()
    return [f"{exams} exams are unlike the rest by at least one rule." if exams else "No exam is unlike the rest."]


def _tested(tables: tuple[Table, ...]) -> list[str]:
    rows = tables[0].frame
    tested = int(np.isfinite(rows["p_adjusted"].to_numpy(float)).sum()) if len(rows) else 0
    if not tested:
        return ["There are too few patients for any test."]
    different = rows[rows["p_adjusted"] < comparing.ALPHA].sort_values("p_adjusted", kind="stable")
    names = [f"{row['of']} by {row['by'].lower()}" for _, row in different.iterrows()]
    which = f": {'; '.join(names)}" if names else ""
    return [f"{len(different)} of {tested} tests have an adjusted p below .05{which}."]
