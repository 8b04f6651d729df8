"""What is known about exams, as plain values for tables and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import volume
from ..dataset import Dataset, Exam, select
from ..errors import CSpineSegError
from ..review import derived, masks, records, status, worklist

if TYPE_CHECKING:
    import pandas


def choose(dataset: Dataset, query: str | None) -> pandas.DataFrame:
    """The worklist, or the part of it for which `query` is true."""
    table = worklist.table(dataset)
    return table if query is None else select(table, query)


def plain_rows(table: pandas.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table with None for what is unknown and plain Python values otherwise."""
    return [{key: _plain(value) for key, value in row.items()} for row in table.to_dict("records")]


def describe(exam: Exam) -> dict[str, Any]:
    """Everything known about one exam; what cannot be read is said in `problems` instead of stopping the rest."""
    problems = derived.problems(exam)
    state = status.of(exam)
    best = masks.best_mask(exam)
    found: dict[str, Any] = {
        "exam": exam.stem,
        "patient": exam.patient_id,
        **{key: value for key, value in exam.fields.items() if value is not None},
        "source": exam.source,
        "status": state.status,
        "annotator": state.annotator,
        "image": str(exam.image) if exam.image else None,
        "mask": str(exam.mask) if exam.mask else None,
        "best_mask": str(best.path) if best else None,
        "best_mask_kind": best.kind if best else None,
    }
    try:
        if exam.image is not None:
            found.update(_grid(volume.read(exam.image), problems))
    except CSpineSegError as error:
        problems.append(str(error))
    found["revisions"] = [
        f"r{revision.number:03d} {revision.status} by {revision.annotator}, {revision.content['saved']}"
        for revision in records.history(exam)
    ]
    found["problems"] = problems
    return found


def _grid(image: volume.Volume, problems: list[str]) -> dict[str, Any]:
    problems.extend(image.warnings)
    return {
        "shape": list(image.shape),
        "spacing_mm": [round(float(size), 4) for size in image.spacing],
        "orientation": image.orientation,
        "left_handed": image.is_left_handed,
        "sagittal_axis": image.sagittal_axis,
        "voxel_type": str(image.array.dtype),
    }


def _plain(value: Any) -> Any:
    import pandas

    if pandas.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
