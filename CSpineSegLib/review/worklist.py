"""The list of work: the dataset's table with the state of the review, rebuilt from the files on disk alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from ..dataset import query
from ..dataset.exam import Exam
from ..dataset.layout import Dataset
from ..errors import InputError
from . import events, places, records
from . import status as status_module
from .records import Revision

if TYPE_CHECKING:
    import pandas

COLUMNS = {
    "status": "string",
    "annotator": "string",
    "revisions": "Int64",
    "last_change": "string",
    "has_prediction": "boolean",
    "score": "Float64",
}


def table(dataset: Dataset) -> pandas.DataFrame:
    """`dataset.table()` with the columns of `COLUMNS`.

    `status` and `annotator` (of the last change) are derived as in :mod:`status`, `revisions` counts the complete ones,
    `last_change` is ISO 8601 in UTC, so that it sorts and compares as text, `has_prediction` says whether a model
    segmented the exam, and `score` is the Dice that the latest of them expects of its mask (missing where it did not
    say): the lowest are the most doubtful. Each folder is looked at once, and masks are checked by size and not by
    SHA-256, so that a thousand exams take a fraction of a second; :func:`derived.problems` checks one exam thoroughly.
    """
    import pandas

    frame = dataset.table()
    corrected = dataset.processed / "corrected"
    revisions = places.scan_revisions(corrected / "revisions")
    changes = places.scan_events(corrected / "events")
    predictions = places.scan_predictions(dataset.processed / "predicted")
    qualities = places.scan_qualities(dataset.processed / "predicted")
    rows = []
    for stem in map(places.same_name, frame["stem"]):
        loaded = (records.load(found, verify=False) for found in revisions.get(stem, {}).values())
        complete = [revision for revision in loaded if isinstance(revision, Revision)]
        rows.append(_row(complete, events.read(changes.get(stem, ()))[0], stem in predictions))
        rows[-1]["score"] = _score(qualities.get(stem))
    return frame.join(pandas.DataFrame(rows, columns=list(COLUMNS), index=frame.index).astype(COLUMNS))


def state(exam: Exam) -> dict[str, Any]:
    """The columns of `COLUMNS` for one exam, as plain values, None where unknown: what :func:`table` would say."""
    loaded = (records.load(found, verify=False) for found in places.revisions_of(exam).values())
    complete = [revision for revision in loaded if isinstance(revision, Revision)]
    row = _row(complete, events.history(exam), bool(places.models_of(exam)))
    qualities = places.scan_qualities(exam.processed / "predicted", exam.stem)
    return {**row, "score": _score(qualities.get(places.same_name(exam.stem)))}


def exams(dataset: Dataset, expression: str | None = None) -> list[Exam]:
    """The exams for which an expression over the columns of :func:`table` is true, in order; None: all.

    For instance ``"source == 'silver' and status == 'unreviewed'"``; see `dataset.query.select`, also for its errors.
    """
    if expression is None:
        return dataset.exams()
    return [dataset.exam(stem) for stem in query.select(table(dataset), expression)["stem"]]


def _row(complete: list[Revision], happened: list[events.Event], predicted: bool) -> dict[str, Any]:
    state = status_module.derive(complete, happened)
    return {
        "status": state.status,
        "annotator": state.annotator,
        "revisions": len(complete),
        "last_change": records.format_time(state.last_change) if state.last_change else None,
        "has_prediction": predicted,
    }


def _score(path: Path | None) -> float | None:
    """What a quality file says; None if there is none, or it is damaged or just being replaced."""
    if path is None:
        return None
    try:
        score = files.read_json(path)["score"]
    except (InputError, KeyError, TypeError):
        return None
    return float(score) if isinstance(score, (int, float)) and 0 <= score <= 1 else None
