"""Small masks on disk, and figures of exams from labellings made by hand, for the tests of whole evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas
from evaluation_cases import GRID, SHAPE, Part, spine

from CSpineSegLib import volume
from CSpineSegLib.evaluation import compare, results
from CSpineSegLib.evaluation.results import Results
from CSpineSegLib.evaluation.rows import rows

# Three bodies and the discs between, one below the other.
PARTS: tuple[Part, ...] = (
    ("body", ("C3",), (4, 14)),
    ("disc", ("C3-C4",), (14, 18)),
    ("body", ("C4",), (18, 28)),
    ("disc", ("C4-C5",), (28, 32)),
    ("body", ("C5",), (32, 42)),
)


def array(*parts: Part) -> np.ndarray:
    """The labels of parts as `evaluation_cases.spine` draws them."""
    found = np.zeros(SHAPE, np.uint8)
    for kind, _, (first, last) in parts:
        found[first:last, 1:7, 1:3] = 2 if kind == "disc" else 1
    return found


def moved(parts: Sequence[Part], rows: int) -> list[Part]:
    return [(kind, names, (first + rows, last + rows)) for kind, names, (first, last) in parts]


def save(path: Path, labels: np.ndarray) -> Path:
    volume.write(volume.from_array(labels, GRID.affine), path)
    return path


def folders(root: Path, shifts: Mapping[str, int], ending: str = "_SEG.nii.gz") -> tuple[Path, Path]:
    """References and predictions of exams; a prediction is the reference, moved down by some rows of 1 mm."""
    sides = root / "références", root / "predictions"
    for stem, shift in shifts.items():
        save(sides[0] / f"{stem}_SEG.nii.gz", array(*PARTS))
        save(sides[1] / f"{stem}{ending}", array(*moved(PARTS, shift)))
    return sides


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


Side = tuple[Sequence[Part], bool]


def judged(
    folder: Path, exams: Mapping[str, tuple[Side, Side]], *, ruler: str = "gold", **columns: Sequence[object]
) -> Results:
    """Results of exams whose labellings are made by hand: parts, and whether their levels have names, of both sides."""
    lines = []
    for exam, sides in exams.items():
        labellings = tuple(spine(*parts, absolute=absolute) for parts, absolute in sides)
        masks = [volume.from_array(array(*parts), GRID.affine) for parts, _ in sides]
        found = {
            "figures": compare(*masks, labellings=labellings),
            "zhou2025": compare(*masks, convention="zhou2025"),
        }
        lines += [results.line(exam, *row) for row in rows(found)]
    table = pandas.DataFrame(index=list(exams), columns=list(results.EXAM_COLUMNS), dtype=object)
    table["patient"], table["status"] = list(exams), "ok"
    for name, values in columns.items():
        table[name] = list(values)
    counts = dict.fromkeys(("compared", "failed"), 0) | {"compared": len(exams)}
    return results.write(folder, lines, table, {"ruler": ruler, "predictions": "model", "counts": counts})
