"""The commands that write: segment, correct, export."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Annotated

import typer

from .. import jobs, model
from ..dataset import Dataset, Exam
from ..errors import InputError
from ..model.nnunet.run import Run
from ..review import worklist
from .app import app
from .options import (
    Anyway,
    Clean,
    Configuration,
    DatasetFolder,
    Device,
    Engine,
    Events,
    Folds,
    Force,
    GoldList,
    Json,
    Mode,
    Model,
    NoMirror,
    Quality,
    Query,
    need_dataset,
    open_dataset,
    parse_folds,
)
from .output import print_error, print_json, print_pairs, print_table, print_warnings, shown_progress


@app.command(
    epilog="Examples: cspineseg segment 593973-000123 --dataset DIR;  cspineseg segment --all --dataset DIR;  "
    "cspineseg segment IMAGE.nii.gz --output MASK.nii.gz"
)
def segment(
    targets: Annotated[list[str] | None, typer.Argument(help="Patient IDs, exam names, or one NIfTI file.")] = None,
    dataset: DatasetFolder = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Mask file, for one NIfTI file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All exams of the dataset.")] = False,
    query: Query = None,
    part: Annotated[str | None, typer.Option(help="Part K of N of the exams, as K/N, for a cluster.")] = None,
    model_name: Model = None,
    device: Device = "auto",
    engine: Engine = "auto",
    anyway: Anyway = False,
    clean: Clean = None,
    mode: Mode = "default",
    configuration: Configuration = None,
    folds: Folds = None,
    no_mirror: NoMirror = False,
    quality: Quality = False,
    force: Force = False,
    gold_list: GoldList = None,
    as_json: Json = False,
    events: Events = False,
) -> int:
    """Segment exams; what was done before and has not changed is skipped, what fails is listed at the end."""
    opened = open_dataset(dataset, gold_list)
    targets = targets or []
    run = Run(mode, configuration, parse_folds(folds), not no_mirror)
    how = {"device": device, "engine": engine, "anyway": anyway, "clean": clean, "force": force}
    how["run"] = None if run == Run() else run
    if output is not None:
        if len(targets) != 1 or every or query:
            raise InputError("--output takes exactly one NIfTI file; without it, results go to the dataset's folder.")
        if not jobs.is_file_name(targets[0]):
            raise InputError(f"--output takes a NIfTI file, and {targets[0]!r} is none; leave it out for exams.")
        bundle = model.load(jobs.DEFAULT_MODEL if model_name is None else model_name)
        with shown_progress(events, quiet=as_json) as progress:
            result = jobs.segment_file(Path(targets[0]), output, bundle, quality=quality, progress=progress, **how)
        _show([result], {}, as_json, single=True)
        return 0
    if quality:
        raise InputError("--quality goes with --output; exams of a dataset have theirs written in any case.")
    exams = _part(chosen(targets, every, query, opened), part)
    bundle = model.load(jobs.DEFAULT_MODEL if model_name is None else model_name)
    # One exam is soonest done here; of many, one that takes the process along must not end the rest.
    away = jobs.Worker(log=print_error) if len(exams) > 1 else contextlib.nullcontext()
    with away as worker, shown_progress(events, quiet=as_json) as progress:
        batch = jobs.segment_many(exams, bundle, worker=worker, progress=progress, **how)
    if len(exams) == 1 and batch.failures:
        raise InputError(next(iter(batch.failures.values())))
    _show(batch.results, batch.failures, as_json, single=False)
    return 1 if batch.failures else 0


@app.command(epilog="Example: cspineseg correct 593973-000123 edited.nii.gz --dataset DIR --annotator ab")
def correct(
    target: Annotated[str, typer.Argument(help="Patient ID, exam name, or the image file.")],
    mask: Annotated[Path, typer.Argument(help="The edited mask, as Slicer or ITK-SNAP saved it.")],
    dataset: DatasetFolder = None,
    annotator: Annotated[str | None, typer.Option(help="Who edited; your login name by default.")] = None,
    status: Annotated[str, typer.Option(help="accepted, or 'in review' to go on later.")] = "accepted",
    seconds: Annotated[float | None, typer.Option(help="Active editing time, if known.")] = None,
    blind: Annotated[bool, typer.Option("--blind", help="Second reader, started from the source mask.")] = False,
    made_from: Annotated[
        str | None, typer.Option("--from", help="What was edited: a mask file, or a revision as r3.")
    ] = None,
    gold_list: GoldList = None,
    as_json: Json = False,
) -> None:
    """Take a mask that was edited elsewhere as the exam's next revision; nothing is ever overwritten."""
    exam = jobs.resolve_one(target, open_dataset(dataset, gold_list))
    revision = jobs.correct(
        exam, mask, annotator=annotator, status=status, active_seconds=seconds, blind=blind, parent=made_from
    )
    print_warnings(revision.warnings)
    content = {**revision.content, "path": str(revision.mask), "warnings": list(revision.warnings)}
    if as_json:
        print_json(content)
        return
    shown = ("revision", "status", "annotator", "voxels_added", "voxels_removed", "path")
    print_pairs(f"Revision {revision.number} of {exam.stem}", ((key, content[key]) for key in shown))


@app.command(epilog="Example: cspineseg export --dataset DIR --output FOLDER --query \"status == 'accepted'\"")
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the masks and their table.")],
    dataset: DatasetFolder = None,
    query: Query = None,
    gold_list: GoldList = None,
    force: Force = False,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Copy the current best masks, in the dataset's naming, with a table of files and checksums."""
    opened = need_dataset(dataset, gold_list)
    with shown_progress(events, quiet=as_json) as progress:
        found = jobs.export(opened, output, query=query, force=force, progress=progress)
    if as_json:
        print_json(found)
    else:
        print_warnings(found["left_out"])
        print_table(
            f"{len(found['files'])} masks in {output}",
            ["File", "Kind", "Revision"],
            [[row["file_name"], row["kind"], row["revision"]] for row in found["files"]],
        )


def chosen(targets: list[str], every: bool, query: str | None, dataset: Dataset | None) -> list[Exam]:
    """The exams that arguments and options name, each once, in the order given."""
    if targets and (every or query):
        raise InputError("Name exams, or choose them with --all or --query, but not both.")
    if targets:
        exams = [exam for target in targets for exam in jobs.resolve(target, dataset)]
    elif every or query:
        if dataset is None:
            raise InputError("--all and --query need a dataset: name its folder with --dataset.")
        exams = worklist.exams(dataset, query)
    else:
        raise InputError("Name a patient, an exam or a file, or use --all or --query with --dataset.")
    if not exams:
        raise InputError("No exam fits the query; 'cspineseg list' shows what is there.")
    return list({(exam.processed, exam.stem): exam for exam in exams}.values())


def _part(exams: list[Exam], part: str | None) -> list[Exam]:
    """Every N-th exam from the K-th on, for "K/N"."""
    if part is None:
        return exams
    found = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", part)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"{part!r} is not a part; write K/N with K from 1 to N, for instance 3/8.")
    return exams[int(found[1]) - 1 :: int(found[2])]


def _show(results: list[jobs.SegmentResult], failures: dict[str, str], as_json: bool, single: bool) -> None:
    if as_json:
        rows = [result.to_json() for result in results]
        print_json(rows[0] if single else {"results": rows, "failures": failures})
        return
    rows = [
        [
            result.stem,
            "up to date" if result.skipped else f"{result.seconds:.1f} s on {result.device}",
            result.mask,
            None if result.score is None else f"{result.score:.2f}",
        ]
        for result in results
    ]
    rows += [[stem, f"failed: {sentence}", None, None] for stem, sentence in failures.items()]
    kept = sum(result.skipped for result in results)
    title = f"{len(results) - kept} segmented, {kept} up to date, {len(failures)} failed"
    print_table(title, ["Exam", "Result", "Mask", "Predicted Dice"], rows)
    print_warnings(list(dict.fromkeys(note for result in results for note in result.notes)))
