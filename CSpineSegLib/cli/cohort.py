"""The command that describes a dataset as a cohort."""

from __future__ import annotations

from typing import Annotated

import typer

from ..evaluation import cohort as analysis
from ..review import places
from .app import app
from .options import DatasetFolder, Events, GoldList, Json, TablesFolder, need_dataset
from .output import print_warnings, shown_progress
from .sections import finish


@app.command(epilog="Examples: cspineseg cohort --dataset DIR;  cspineseg cohort --dataset DIR --output cohort")
def cohort(
    dataset: DatasetFolder = None,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Read the headers of the images.")] = True,
    masks: Annotated[
        bool, typer.Option("--masks/--no-masks", help="Read the masks for volumes and components, about .1 s each.")
    ] = True,
    output: TablesFolder = None,
    gold_list: GoldList = None,
    as_json: Json = False,
    events: Events = False,
) -> int:
    """Describe who was imaged and how, what the masks hold, what is unlike the rest, and what goes together."""
    opened = need_dataset(dataset, gold_list)
    if output is not None:
        places.check_targets([output / "x.tsv"])
    print_warnings(opened.problems)
    with shown_progress(events, quiet=as_json) as progress:
        section = analysis.cohort(opened, images=images, masks=masks, progress=progress)
    finish(section, output, as_json)
    return 0
