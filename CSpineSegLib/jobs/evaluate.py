"""A whole set of predictions against a ruler: one function for every front end, resumable and in several processes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import files
from ..dataset import Dataset
from ..dataset.names import exam_stem
from ..errors import InputError
from ..evaluation import DEFINITIONS, LEVEL_DEFINITIONS, results
from ..evaluation.metrics import zhou2025
from ..evaluation.results import OK, Results
from ..evaluation.rows import rows
from ..progress import Progress, ensure
from ..review import places
from ..review.provenance import software
from . import evaluate_pairs, evaluate_pictures, level_files
from .evaluate_exam import Outcome, Task, evaluate_exam
from .evaluate_pairs import Pair, Pairs
from .evaluate_pool import each

if TYPE_CHECKING:
    import pandas

EXAMS = "exams"
# How many of the worst are drawn.
WORST = 8
# From which IoU on a body or disc counts as detected.
IOU = 0.5
# What an evaluation that was interrupted leaves in its folder.
_OURS = {EXAMS, results.TABLE, results.EXAMS, results.PICTURES}


def evaluate(
    predictions: Path | str,
    reference: Path | str,
    *,
    dataset: Dataset | None = None,
    output: Path | None = None,
    jobs: int = 1,
    iou: float = IOU,
    folds: Path | None = None,
    pictures: int = WORST,
    progress: Progress | None = None,
) -> Results:
    """Compare every prediction with its reference; what fails is listed and does not stop the rest.

    Everything comes from one file an exam, `<output>/exams/<stem>.json`, that names the SHA-256 of both masks: a run
    that was interrupted goes on where it stopped, a mask that changed is compared again, and the tables have the same
    bytes however often it was interrupted and in however many processes it ran.

    Parameters
    ----------
    predictions : a folder of masks, or the name of a model that has segmented exams of the dataset.
    reference : "gold" or "silver", the released masks of these exams alone; or a folder of masks.
    dataset : for "gold", "silver" and model names, and for what exams may be grouped by.
    output : folder for the results; by default `processed/reports/evaluation/<predictions>/<ruler>` of the dataset.
    jobs : processes, of one thread each; 0 works in this process.
    iou : above 0 and up to 1.
    folds : nnU-Net's `splits_final.json`; the fold that held an exam out is added to the table of exams.
    pictures : how many of the worst exams are drawn; 0 for none, and none without matplotlib.

    Raises
    ------
    InputError : what was given cannot be used, see `evaluate_pairs.find`. Nothing is written then.
    WriteError : the results cannot be written. Cancelled : what was compared before is kept.
    """
    progress = ensure(progress)
    if not 0 < iou <= 1:
        raise InputError(f"The IoU from which on something counts as detected is above 0 and up to 1, not {iou:g}.")
    progress.update("Looking", 0.0)
    names = evaluate_pairs.read_cases([Path(folds).parent] if folds is not None else [])
    pairs = evaluate_pairs.find(predictions, reference, dataset, names)
    held = evaluate_pairs.read_folds(Path(folds), names) if folds is not None else {}
    folder = _output(output, pairs, dataset)
    files.sweep(folder / EXAMS)
    tasks = [_task(pair, folder, iou) for pair in pairs.pairs]
    failures = dict(pairs.failures)
    for done, (task, found) in enumerate(each(_one, tasks, jobs, progress), start=1):
        # Of a process that the system ended there is only a sentence.
        outcome = Outcome(task.exam, found) if isinstance(found, str) else found
        if outcome.failure is not None:
            failures[outcome.exam] = outcome.failure
        progress.update("Comparing", 0.02 + 0.9 * done / len(tasks), outcome.exam)
    progress.update("Tables", 0.94)
    whole = [pair for pair in pairs.pairs if pair.stem not in failures]
    lines, digest, described = _gathered(whole, folder)
    exams = _exams(pairs, described, failures, held, dataset)
    about = {**_record(pairs, iou, failures, exams, described), "exam_files_sha256": digest}
    if held:
        about["folds"] = {"file": Path(folds).name, "sha256": files.sha256(folds)}
    found = results.write(folder, lines, exams, about)
    progress.update("Pictures", 0.96)
    evaluate_pictures.draw(found, {pair.stem: pair for pair in whole}, pictures, progress)
    progress.update("Done", 1.0)
    return found


def _one(task: Task) -> Outcome:
    return evaluate_exam(task)


def _output(output: Path | None, pairs: Pairs, dataset: Dataset | None) -> Path:
    if output is None:
        if dataset is None:
            raise InputError("Without a dataset, name a folder for the results with --output.")
        output = dataset.processed / "reports" / "evaluation" / pairs.predictions / pairs.ruler.replace(" ", "-")
    output = Path(output).expanduser()
    sources = {path for pair in pairs.pairs for path in (pair.reference, pair.candidate)}
    places.check_targets([output / results.RECORD], sources)
    if output.is_file():
        raise InputError(f"{output} is a file; name a folder for the results.")
    if output.resolve() in {path.parent.resolve() for path in sources}:
        raise InputError(f"{output} holds the masks themselves; choose another folder for the results.")
    _check_folder(output, pairs)
    return output


def _check_folder(output: Path, pairs: Pairs) -> None:
    """InputError if a folder holds another evaluation, or anything that is no evaluation."""
    if not output.is_dir():
        return
    if (output / results.RECORD).is_file():
        known = files.read_json(output / results.RECORD)
        known = known if isinstance(known, dict) else {}
        former = known.get("predictions"), known.get("ruler")
        if former != (pairs.predictions, pairs.ruler):
            raise InputError(
                f"{output} holds the evaluation of {former[0]} against {former[1]}, and this one is of "
                f"{pairs.predictions} against {pairs.ruler}; choose another folder for the results."
            )
        return
    other = sorted(path.name for path in output.iterdir() if path.name not in _OURS and not path.name.startswith("."))
    if other:
        raise InputError(
            f"{output} holds {other[0]} and no evaluation; choose a new or an empty folder for the results."
        )


def _task(pair: Pair, folder: Path, iou: float) -> Task:
    anchor = None
    if pair.exam is not None:
        known = level_files.read(level_files.of_exam(pair.exam), force=True)
        anchor = known["anchor"] if known else None
    return Task(pair.stem, pair.reference, pair.candidate, folder / EXAMS / f"{pair.stem}.json", iou, anchor)


def _gathered(pairs: Sequence[Pair], folder: Path) -> tuple[list[str], str, dict[str, dict[str, Any]]]:
    """The lines of the table, one hash of all files of exams, and what the table of exams says of each."""
    lines: list[str] = []
    total, described = hashlib.sha256(), {}
    for pair in pairs:
        path = folder / EXAMS / f"{pair.stem}.json"
        content = files.read_json(path)
        total.update(f"{pair.stem} {files.sha256(path)}\n".encode())
        lines += [results.line(pair.stem, *row) for row in rows(content)]
        figures = content["figures"]
        described[pair.stem] = {
            "bodies_mm3": figures["bodies"]["volume_mm3"]["reference"],
            "discs_mm3": figures["discs"]["volume_mm3"]["reference"],
            "quality": _quality(pair, content["candidate"]["sha256"]),
            "notes": content["notes"],
            "absolute": [content["levels"][side]["absolute"] for side in ("reference", "candidate")],
        }
    return lines, total.hexdigest(), described


def _quality(pair: Pair, digest: str) -> float | None:
    """The Dice that a model expects of just this mask, if it lies beside it."""
    path = pair.candidate.with_name(f"{exam_stem(pair.candidate.name)}_quality.json")
    try:
        known = files.read_json(path)
        return float(known["score"]) if known["mask"]["sha256"] == digest else None
    except (InputError, KeyError, TypeError, ValueError):
        return None


def _exams(
    pairs: Pairs,
    described: dict[str, dict[str, Any]],
    failures: dict[str, str],
    held: dict[str, int],
    dataset: Dataset | None,
) -> pandas.DataFrame:
    import pandas

    known = {exam.stem: exam for exam in dataset.exams()} if dataset is not None else {}
    lines = []
    stems = sorted({*described, *failures})
    for stem in stems:
        exam = known.get(stem)
        told = exam.fields if exam is not None else {}
        row = dict.fromkeys(results.EXAM_COLUMNS)
        row.update({key: told.get(key) for key in row.keys() & told.keys()})
        # Who cannot be told apart is somebody else.
        row["patient"] = exam.patient_id if exam is not None and exam.patient_id else _patient(stem)
        row["source"] = exam.source if exam is not None else None
        row["fold"] = held.get(stem)
        # Whose age the tables do not tell because it is over 89 belongs to the oldest all the same.
        row["age_over_89"] = 1 if told.get("age_over_89") else None
        row.update({key: value for key, value in described.get(stem, {}).items() if key in row})
        row["status"] = f"failed: {failures[stem]}" if stem in failures else OK
        lines.append(row)
    columns = [*results.EXAM_COLUMNS, "age_over_89"]
    return pandas.DataFrame(lines, index=pandas.Index(stems, name="exam"), columns=columns, dtype=object)


def _patient(stem: str) -> str:
    from ..dataset import parse_name

    try:
        return parse_name(stem).patient_id
    except InputError:
        return stem


def _record(
    pairs: Pairs,
    iou: float,
    failures: dict[str, str],
    exams: pandas.DataFrame,
    described: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    unmatched = {
        "predictions_without_reference": pairs.without_reference,
        "predictions_of_the_other_source": pairs.other_source,
        "references_without_prediction": pairs.without_prediction,
    }
    return {
        "predictions": pairs.predictions,
        "ruler": pairs.ruler,
        "iou": iou,
        "counts": {
            "exams": len(exams),
            "compared": len(described),
            "failed": len(failures),
            "levels_absolute_in_both": sum(all(one["absolute"]) for one in described.values()),
            **{key: len(stems) for key, stems in unmatched.items()},
        },
        "failures": dict(sorted(failures.items())),
        "unmatched": unmatched,
        "warnings": list(pairs.warnings),
        "notes": {stem: one["notes"] for stem, one in described.items() if one["notes"]},
        "definitions": {**DEFINITIONS, **LEVEL_DEFINITIONS},
        "zhou2025": dict(zhou2025.DEFINITIONS),
        "versions": software(),
    }
