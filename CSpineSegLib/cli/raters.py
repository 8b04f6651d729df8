"""The commands that look at people's work: how two annotators agree, and what editing changed."""

from __future__ import annotations

from typing import Annotated

import typer

from ..jobs import raters as jobs
from .app import app
from .options import DatasetFolder, Events, GoldList, Json, Query, TablesFolder, need_dataset
from .output import shown_progress
from .sections import finish
from .work import chosen


@app.command(
    epilog="Examples: cspineseg raters --dataset DIR;  cspineseg raters --dataset DIR --annotators Anna Bela --output F"
)
def raters(
    dataset: DatasetFolder = None,
    annotators: Annotated[
        tuple[str, str] | None,
        typer.Option("--annotators", help="Two annotators; without it, the two who share most exams."),
    ] = None,
    query: Query = None,
    output: TablesFolder = None,
    gold_list: GoldList = None,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Compare two annotators' corrections of the same exams, per structure and level; see Docs/statistics.md."""
    exams = chosen([], query is None, query, need_dataset(dataset, gold_list))
    with shown_progress(events, quiet=as_json) as progress:
        section = jobs.raters(exams, annotators, progress=progress)
    finish(section, output, as_json)


@app.command(epilog="Example: cspineseg editing --dataset DIR --query \"source == 'silver'\" --output FOLDER")
def editing(
    dataset: DatasetFolder = None,
    query: Query = None,
    output: TablesFolder = None,
    gold_list: GoldList = None,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Compare accepted corrections with the masks before them: what changed, where, and how long it took."""
    exams = chosen([], query is None, query, need_dataset(dataset, gold_list))
    with shown_progress(events, quiet=as_json) as progress:
        section = jobs.editing(exams, progress=progress)
    finish(section, output, as_json)
