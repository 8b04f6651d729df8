"""Evaluations with scores that were made for a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas

from CSpineSegLib import files
from CSpineSegLib.evaluation import results
from CSpineSegLib.evaluation.results import Results

# Structure, kind and metric -> value of each exam, or (value, note).
Scores = Mapping[tuple[str, str, str], Mapping[str, object]]


def evaluation(
    folder: Path,
    scores: Scores,
    *,
    predictions: str | None = None,
    ruler: str = "gold",
    patients: Mapping[str, str | None] | None = None,
    failed: tuple[str, ...] = (),
    masks: Mapping[str, str] | None = None,
) -> Results:
    """An evaluation of the exams that are in `scores` or `failed`.

    patients : by exam; without it every exam has a patient of its own. masks : SHA-256 of reference masks, by exam.
    """
    rows, exams = [], dict.fromkeys([*failed])
    for key, values in scores.items():
        for exam, value in values.items():
            value, note = value if isinstance(value, tuple) else (value, "")
            rows.append((exam, *key, value, note))
            exams[exam] = None
    names = sorted(exams)
    table = pandas.DataFrame(rows, columns=results.COLUMNS)
    frame = pandas.DataFrame({column: None for column in results.EXAM_COLUMNS}, index=pandas.Index(names, name="exam"))
    frame["patient"] = [(patients or {}).get(exam, f"patient of {exam}") for exam in names]
    frame["status"] = ["failed: no such mask." if exam in failed else "ok" for exam in names]
    for exam, digest in (masks or {}).items():
        files.write_json(folder / "exams" / f"{exam}.json", {"reference": {"sha256": digest}})
    record = {"ruler": ruler, "predictions": predictions or folder.name}
    return results.of_frames(folder, table, frame, record)


def dice(values, structure: str = "bodies", kind: str = "class", metric: str = "dice") -> Scores:
    """Values of exams e00, e01, ..."""
    return {(structure, kind, metric): {f"e{number:02d}": value for number, value in enumerate(values)}}


def drawn(seed: int, size: int, shift: float = 0.0, noise: float = 0.01) -> np.ndarray:
    """Dice of a model: how hard an exam is counts for all models, what is added is the model's own."""
    hard = np.random.default_rng(99).normal(0.88, 0.03, size)
    return np.clip(hard + shift + np.random.default_rng(seed).normal(0, noise, size), 0, 1)
