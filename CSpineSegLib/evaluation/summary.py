"""Accuracy of one set of predictions: over exams, by the paper's convention beside, and by fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..anatomy import STRUCTURES
from . import published as paper
from .comparison_pairs import counted
from .levels_summary import levels_section
from .results import SILVER, Results
from .sections import Figure, Section, Table
from .statistics import bootstrap
from .worst_summary import worst_section

if TYPE_CHECKING:
    import pandas

__all__ = ["SILVER_WARNING", "levels_section", "section", "worst_section"]

METRICS = (
    "dice",
    "iou",
    "precision",
    "recall",
    "ndsc",
    "nsd_1mm",
    "nsd_voxel",
    "hd95_mm",
    "hd_mm",
    "assd_mm",
    "volume_difference_mm3",
    "volume_difference_relative",
)
MAIN = ("dice", "ndsc", "nsd_1mm", "hd95_mm", "assd_mm", "volume_difference_relative", "f1", "panoptic_quality")
COUNTED = ("f1", "panoptic_quality", "segmentation_quality")
NAMES = {part.key: part.name for part in STRUCTURES}
SILVER_WARNING = (
    "These figures are against Silver masks, which a network made and nobody reviewed: they say how much two sets of "
    "predictions agree and not how good either is. Where the networks are alike, agreement is high for that reason "
    "alone. Quality is reported against Gold."
)


def section(results: Results, *, published: bool = False) -> Section:
    """Accuracy: every figure with mean, SD, median, quartiles and an interval by patients, and both conventions.

    Parameters
    ----------
    published : set the figures of the dataset's paper beside those by its convention.
    """
    accuracy, conventions, folds = spreads(results), by_convention(results, published), by_fold(results)
    first = accuracy["metric"].isin(MAIN)
    against = results.against
    tables = [
        Table(
            "accuracy",
            f"Accuracy of {results.predictions} against {against}",
            accuracy[first],
            "SD divides by n - 1; the interval is of the mean, 95 %, by bootstrap of whole patients. Distances and "
            "relative volumes have no value where a mask is empty: without_value counts those exams, one_empty the "
            "exams in which only one mask holds the structure (their Dice is 0 and counts).",
        ),
        Table("accuracy-more", "The other figures of the metric engine", accuracy[~first], long=True),
        Table(
            "conventions",
            "Dice by volume, and by the convention of the dataset's paper",
            conventions,
            "By the paper's convention Dice is the mean over slices, empty ones counting 1, SD divides by n, and macro "
            "is the mean of the two means with the SD of these two. Compare printed figures with these columns only.",
        ),
    ]
    if len(folds):
        tables.append(
            Table(
                "folds",
                "Dice by fold of the cross-validation, and of all folds together",
                folds,
                "Each exam counts in the fold that held it out; 'all' pools the exams, not the folds' means. SD "
                "divides by n - 1 for Dice by volume, and by n, as the paper's, for that by its convention.",
            )
        )
    return Section(
        "accuracy",
        "Accuracy",
        tuple(_sentences(results, accuracy, conventions, folds)),
        tuple(_warnings(results)),
        tuple(tables),
        _figures(results),
    )


def spreads(results: Results) -> pandas.DataFrame:
    """One row per structure and metric: how the figures of exams are spread."""
    import pandas

    patients = results.exams["patient"]
    lines = []
    for structure, kind in (*((part.key, "class") for part in STRUCTURES), ("pooled", "pooled")):
        empty = _one_empty(results, structure, kind)
        for metric in METRICS:
            values = results.values(metric, structure, kind)
            lines.append(_spread(structure, metric, values, patients) | {"one_empty": empty})
    for part in STRUCTURES:
        for metric in COUNTED:
            line = _spread(part.key, metric, results.values(metric, part.key, "exam"), patients)
            lines.append(line | {"one_empty": _one_empty(results, part.key, "class")})
    return pandas.DataFrame(lines)


def _spread(structure: str, metric: str, values: pandas.Series, patients: pandas.Series) -> dict[str, object]:
    known = values.dropna()
    interval = bootstrap(known.to_numpy(), patients.reindex(known.index).to_numpy())
    quartiles = np.percentile(known, (25, 50, 75)) if len(known) else [np.nan] * 3
    return {
        "structure": structure,
        "metric": metric,
        "exams": len(known),
        "patients": interval.clusters,
        "mean": interval.value,
        "low": interval.low,
        "high": interval.high,
        "sd": known.std(),
        "median": quartiles[1],
        "q1": quartiles[0],
        "q3": quartiles[2],
        "without_value": len(values) - len(known),
    }


def _one_empty(results: Results, structure: str, kind: str) -> int:
    sides = [results.values(f"volume_{side}_mm3", structure, kind) > 0 for side in ("reference", "candidate")]
    return int((sides[0] != sides[1]).sum())


def by_convention(results: Results, published: bool = False) -> pandas.DataFrame:
    """Bodies, discs and macro: mean, SD and median by volume and by the paper's convention."""
    import pandas

    lines = []
    for kind in ("class", "zhou2025"):
        found = [results.values("dice", part.key, kind) for part in STRUCTURES]
        means = [values.mean() for values in found]
        spread = 1 if kind == "class" else 0
        line = {
            part.key: (values.mean(), values.std(ddof=spread), values.median())
            for part, values in zip(STRUCTURES, found, strict=True)
        }
        line["macro"] = (float(np.mean(means)), float(np.std(means)), np.nan)
        lines.append(line)
    rows = []
    for key in (*NAMES, "macro"):
        row = {"structure": key}
        for words, line in zip(("volume", "paper"), lines, strict=True):
            row |= {f"{name}_{words}": value for name, value in zip(("mean", "sd", "median"), line[key], strict=True)}
        row["difference"] = row["mean_paper"] - row["mean_volume"]
        if published:
            for model in paper.MODELS:
                row[f"published {model.name}"] = model.macro if key == "macro" else getattr(model, key).mean
        rows.append(row)
    return pandas.DataFrame(rows)


def by_fold(results: Results) -> pandas.DataFrame:
    """Dice of each fold and of all exams that a fold held out; empty without folds."""
    import pandas

    folds = results.usable["fold"].dropna().astype(int)
    if folds.empty:
        return pandas.DataFrame()
    found = {
        f"{part.key}_{words}": results.values("dice", part.key, kind)
        for part in STRUCTURES
        for words, kind in (("volume", "class"), ("paper", "zhou2025"))
    }
    groups = [(str(fold), folds.index[folds == fold]) for fold in sorted(folds.unique())]
    rows = []
    for name, exams in (*groups, ("all", folds.index)):
        row: dict[str, object] = {"fold": name, "exams": len(exams)}
        for column, values in found.items():
            chosen = values.reindex(exams).dropna()
            row[column] = chosen.mean()
            # As in the table of both conventions: the paper divides by n.
            row[f"{column}_sd"] = chosen.std(ddof=0 if column.endswith("_paper") else 1)
        rows.append(row)
    return pandas.DataFrame(rows)


def _sentences(
    results: Results, accuracy: pandas.DataFrame, conventions: pandas.DataFrame, folds: pandas.DataFrame
) -> list[str]:
    counts, against = results.counts, results.against
    # As the intervals count them: who is not known is somebody else.
    patients = results.usable["patient"]
    people = counted(int(patients.nunique() + patients.isna().sum()), "patient")
    said = [
        f"{counted(counts['compared'], 'exam')} of {people} by {results.predictions} "
        f"{'was' if counts['compared'] == 1 else 'were'} compared with {against}{_left_out(counts)}."
    ]
    if not counts["compared"]:
        return said
    dice = accuracy[accuracy["metric"] == "dice"].set_index("structure")
    far = accuracy[accuracy["metric"] == "hd95_mm"].set_index("structure")
    for key, name in NAMES.items():
        row, distance = dice.loc[key], far.loc[key]
        tail = f"; HD95 has a median of {distance['median']:.2f} mm" if distance["exams"] else ""
        said.append(
            f"{name} have a mean volumetric Dice of {row['mean']:.3f} (95 % CI {row['low']:.3f} to {row['high']:.3f}, "
            f"median {row['median']:.3f}){tail}."
        )
    both = conventions.set_index("structure")
    said.append(
        f"By the convention of the dataset's paper the same masks have {both.loc['bodies', 'mean_paper']:.3f} and "
        f"{both.loc['discs', 'mean_paper']:.3f}, macro {both.loc['macro', 'mean_paper']:.3f}."
    )
    if len(folds):
        each = folds[folds["fold"] != "all"]
        ends = {key: (each[f"{key}_paper"].min(), each[f"{key}_paper"].max()) for key in NAMES}
        said.append(
            f"Over {len(each)} folds, by the paper's convention, bodies have {ends['bodies'][0]:.3f} to "
            f"{ends['bodies'][1]:.3f} and discs {ends['discs'][0]:.3f} to {ends['discs'][1]:.3f}."
        )
    return said


def _left_out(counts: dict[str, int]) -> str:
    words = {
        "failed": "could not be compared",
        "predictions_without_reference": "predictions have no reference",
        "references_without_prediction": "references have no prediction",
        "predictions_of_the_other_source": "predictions are of the other source",
    }
    parts = [f"{counts[key]} {text}" for key, text in words.items() if counts.get(key)]
    return f"; {', '.join(parts)}" if parts else ""


def _warnings(results: Results) -> list[str]:
    said = [SILVER_WARNING] if results.ruler == SILVER else []
    failed = results.counts["failed"]
    if failed:
        said.append(
            f"{counted(failed, 'exam')} could not be compared and {'is' if failed == 1 else 'are'} in no figure; "
            "exams.tsv says why."
        )
    held = results.usable["fold"].notna()
    if held.any() and not held.all():
        said.append(f"{int((~held).sum())} exams are in no fold of the file of folds.")
    return said


def _figures(results: Results) -> tuple[Figure, ...]:
    import pandas

    parts = [results.values("dice", part.key).rename("Dice").reset_index() for part in STRUCTURES]
    frame = pandas.concat([part.assign(structure=name) for part, name in zip(parts, NAMES.values(), strict=True)])
    data = {"frame": frame, "value": "Dice", "group": "structure", "panel": None, "unit": "", "line": None}
    caption = f"Volumetric Dice of each exam against {results.against}."
    figures = [Figure("accuracy-dice", caption, "groups", data)]
    score = results.usable["quality"].dropna()
    if len(score) > 1:
        truth = pandas.concat([results.values("dice", part.key) for part in STRUCTURES], axis=1).mean(axis=1)
        data = {
            "score": score.to_numpy(float),
            "truth": truth.reindex(score.index).to_numpy(float),
            "names": ("Predicted Dice", "Mean Dice of bodies and discs"),
        }
        caption = f"The Dice that the model expected of its masks, and their Dice against {results.against}."
        figures.append(Figure("accuracy-calibration", caption, "calibration", data))
    return tuple(figures)
