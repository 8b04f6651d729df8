"""The command that compares models on the same exams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..evaluation import comparison, results
from .app import app
from .options import Json, TablesFolder
from .sections import finish


@app.command(
    epilog="Examples: cspineseg compare EVALUATION_A EVALUATION_B;  cspineseg compare A B C --output FOLDER;  "
    "cspineseg compare A B --convention zhou2025"
)
def compare(
    evaluations: Annotated[
        list[Path], typer.Argument(help="Two or more folders that cspineseg evaluate wrote, with the same reference.")
    ],
    convention: Annotated[
        str | None,
        typer.Option("--convention", help="zhou2025: the unpaired tests of the dataset's paper, on its own Dice."),
    ] = None,
    output: TablesFolder = None,
    as_json: Json = False,
) -> None:
    """Compare models exam by exam: mean differences with intervals, Wilcoxon, Holm, and what could have been seen."""
    section = comparison.compare([results.read(folder) for folder in evaluations], convention=convention)
    finish(section, output, as_json)
