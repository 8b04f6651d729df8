"""The command that judges: a whole set of predictions against a ruler."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .. import jobs
from ..evaluation import summary
from ..evaluation.report import tables
from ..evaluation.results import Results
from .app import app
from .options import DatasetFolder, Events, GoldList, Json, open_dataset
from .output import print_json, print_warnings, shown_progress
from .sections import content, show

# Each takes about 300 MB, and more than these mostly wait for the disk.
_MOST_JOBS = 16


@app.command(
    epilog="Examples: cspineseg evaluate my-model --reference gold --dataset DIR --gold-list gold.txt;  "
    "cspineseg evaluate PREDICTIONS --reference MASKS --output RESULTS"
)
def evaluate(
    predictions: Annotated[
        str, typer.Argument(help="Folder of masks (<exam>_SEG.nii.gz or <exam>.nii.gz), or the name of a model.")
    ],
    reference: Annotated[
        str, typer.Option("--reference", "-r", help="gold, silver, or a folder of masks; never a mixture.")
    ],
    dataset: DatasetFolder = None,
    gold_list: GoldList = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the results; of a dataset, one in processed/reports."),
    ] = None,
    how_many: Annotated[
        int | None, typer.Option("--jobs", "-j", min=0, help="Processes; by default as many as there are processors.")
    ] = None,
    iou: Annotated[float, typer.Option("--iou", help="From which IoU on a body or disc counts as detected.")] = 0.5,
    folds: Annotated[
        Path | None, typer.Option("--folds", help="nnU-Net's splits_final.json, for figures of each fold.")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Put the figures of the dataset's paper beside those by its convention.")
    ] = False,
    as_json: Json = False,
    events: Events = False,
) -> int:
    """Compare predictions with references: every figure per exam, class and level, and their summaries."""
    opened = open_dataset(dataset, gold_list)
    with shown_progress(events, quiet=as_json) as progress:
        found = jobs.evaluate(
            predictions,
            reference,
            dataset=opened,
            output=output,
            jobs=default_jobs() if how_many is None else how_many,
            iou=iou,
            folds=folds,
            progress=progress,
        )
    sections = [
        summary.section(found, published=published),
        summary.levels_section(found),
        summary.worst_section(found),
    ]
    tables.replace_all(sections, found.folder / "tables")
    failures = found.record["failures"]
    if as_json:
        counts = found.record["counts"]
        shown = {section.key: content(section) for section in sections}
        print_json({"folder": str(found.folder), "counts": counts, "failures": failures, "sections": shown})
    else:
        for section in sections:
            show(section)
            print()
        print(f"Results are in {found.folder}.")
        print_warnings(_remarks(found), most=20)
    return 1 if failures else 0


def default_jobs() -> int:
    """As many processes as there are processors that this one may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MOST_JOBS)


def _remarks(found: Results) -> list[str]:
    """What was left out, and which exams failed."""
    record, said = found.record, []
    words = {
        "predictions_without_reference": "predictions have no reference",
        "predictions_of_the_other_source": f"predictions are of exams that are not {found.ruler}",
        "references_without_prediction": "references have no prediction",
    }
    for key, text in words.items():
        stems = record["unmatched"][key]
        if stems:
            said.append(f"{len(stems)} {text}, listed in evaluation.json: {stems[0]}{', ...' if stems[1:] else ''}.")
    said += record["warnings"]
    said += [f"{stem}: {sentence}" for stem, sentence in record["failures"].items()]
    return said
