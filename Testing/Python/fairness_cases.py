"""Made evaluations for the tests of fairness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas

from CSpineSegLib.evaluation import results
from CSpineSegLib.evaluation.fairness import simulate
from CSpineSegLib.evaluation.fairness.scores import MEASURES, Scores, settle

STRUCTURES = ("bodies", "discs", "pooled")


def people(groups: dict[str, int], key: str = "sex", **more: object) -> pandas.DataFrame:
    """Exams of one patient each, so many of each group; everybody is 50 years old unless told otherwise."""
    labels = [name for name, count in groups.items() for _ in range(count)]
    exams = [f"593973-{number:06d}_Study-MR-{number}_Series-1" for number in range(1, len(labels) + 1)]
    frame = pandas.DataFrame({"patient": [name[:13] for name in exams]}, index=pandas.Index(exams, name="exam"))
    for column in ("sex", "race", "ethnicity", "manufacturer"):
        frame[column] = None
    frame["age"], frame["field_strength"] = 50.0, 1.5
    frame["bodies_mm3"], frame["discs_mm3"] = 50_000.0, 12_000.0
    frame[key] = labels
    return frame.assign(status="ok", **more)


def of_dice(exams: pandas.DataFrame, dice: np.ndarray, ruler: str = "gold", hd95: np.ndarray | None = None) -> Scores:
    """Scores in which every figure of every structure follows one Dice."""
    hd95 = 10 * (1 - dice) if hd95 is None else hd95
    figures = {"dice": dice, "ndsc": dice, "nsd_1mm": dice, "hd95_mm": hd95, "volume_difference_relative": 1 - dice}
    raw = {(structure, name): np.asarray(array, float) for structure in STRUCTURES for name, array in figures.items()}
    return settle(ruler, "made", exams, raw)


def made(seed: int, ruler: str = "gold", patients: tuple[int, ...] = (150, 6, 2), worse: float = 0.0) -> Scores:
    """Scores patterned on the dataset; the discs of men lose `worse` of Dice. Against Silver, near-twins."""
    rng = np.random.default_rng(seed)
    table = simulate.exams(rng, patients)
    errors = simulate.AGAINST_TWIN if ruler == "silver" else simulate.AGAINST_GOLD
    loss = simulate.losses(rng, table, errors)
    loss["discs"] = loss["discs"] + worse * (table["sex"] == "M").to_numpy()
    return simulate.scores(rng, table, loss, ruler, "my-model")


def written(scores: Scores, folder: Path) -> results.Results:
    """The scores as the files that an evaluation leaves."""
    rows = []
    for (structure, metric), values in scores.values.items():
        kind = "pooled" if structure == "pooled" else "class"
        for exam, value in zip(scores.exams.index, values, strict=True):
            known = value if np.isfinite(value) else None
            rows.append((exam, structure, kind, metric, known, ""))
    exams = scores.exams.copy()
    for column in results.EXAM_COLUMNS:
        if column not in exams.columns:
            exams[column] = None
    if "age_over_89" in exams.columns:
        exams["age_over_89"] = [1 if old else None for old in exams["age_over_89"]]
    exams = exams.astype(object).where(exams.notna(), None)
    lines = [results.line(*row) for row in rows]
    return results.write(folder, lines, exams, {"ruler": scores.ruler, "predictions": scores.predictions})


def table(section, name: str) -> pandas.DataFrame:
    """A table of a section by the end of its name."""
    (found,) = [one for one in section.tables if one.name.endswith(f"-{name}")]
    return found.frame


def row(frame: pandas.DataFrame, **where: object) -> pandas.Series:
    """The one row with these cells."""
    for column, value in where.items():
        frame = frame[frame[column] == value]
    (found,) = frame.index
    return frame.loc[found]


ALL_MEASURES = [measure.key for measure in MEASURES]
