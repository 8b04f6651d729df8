"""The command that makes one page of all analyses of one or several evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..jobs import report_build
from .app import app
from .evaluate import default_jobs
from .options import DatasetFolder, Events, Force, GoldList, Json, open_dataset
from .output import print_json, shown_progress


@app.command(
    epilog="Examples: cspineseg report EVALUATION --dataset DIR --output report.html;  cspineseg report GOLD_A GOLD_B "
    "OTHER_RULER_A --by sex,age --output report.html --pdf;  cspineseg report --trial build/report"
)
def report(
    evaluations: Annotated[
        list[Path] | None, typer.Argument(help="Folders that cspineseg evaluate wrote: models, rulers, or both.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="HTML file; its tables go beside it.")] = None,
    dataset: DatasetFolder = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="What to audit fairness by, e.g. sex,age; without it, by all that is known."),
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also print the page to PDF, by Chromium, Chrome or Edge.")
    ] = False,
    trial: Annotated[
        Path | None,
        typer.Option("--trial", help="Make a data set of 200 phantom exams in this folder, and report on that."),
    ] = None,
    how_many: Annotated[
        int | None, typer.Option("--jobs", "-j", min=0, help="With --trial: processes; by default one a processor.")
    ] = None,
    force: Force = False,
    gold_list: GoldList = None,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Write a report: one HTML file with cohort, accuracy, levels, comparison, fairness, worst cases and methods."""
    folders = evaluations or []
    if trial is not None:
        if folders or dataset or output:
            raise InputError("--trial makes its own data set and evaluations; name nothing but its folder.")
        from ..jobs import report_trial_run

        count = default_jobs() if how_many is None else how_many
        with shown_progress(events, quiet=as_json) as progress:
            made = report_trial_run.run(trial, jobs=count, by=by, pdf=pdf, progress=progress)
    else:
        if output is None:
            raise InputError("Name the HTML file to write with --output.")
        opened = open_dataset(dataset, gold_list)
        with shown_progress(events, quiet=as_json) as progress:
            made = report_build.build_report(
                folders, output, dataset=opened, by=by, pdf=pdf, force=force, progress=progress
            )
    if as_json:
        found = {"page": made.page, "tables": made.tables, "pdf": made.pdf}
        warnings = {section.key: list(section.warnings) for section in made.sections if section.warnings}
        print_json({**{key: path and str(path) for key, path in found.items()}, "warnings": warnings})
        return
    print(f"Report: {made.page}")
    print(f"Tables: {made.tables}")
    if made.pdf is not None:
        print(f"PDF: {made.pdf}")
