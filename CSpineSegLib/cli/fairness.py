"""The command that asks whether a model serves all groups of patients equally well."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..evaluation import results
from ..evaluation.fairness import audit, two_rulers
from ..evaluation.report import tables
from .app import app
from .options import Json, TablesFolder
from .output import print_json
from .sections import content, show

_ALL = "sex,race,ethnicity,age,manufacturer,field"


@app.command(
    epilog="Examples: cspineseg fairness EVALUATION;  cspineseg fairness EVALUATION --by sex,age --output FOLDER;  "
    "cspineseg fairness AGAINST_GOLD --second AGAINST_SILVER"
)
def fairness(
    evaluation: Annotated[Path, typer.Argument(help="A folder that cspineseg evaluate wrote.")],
    second: Annotated[
        Path | None,
        typer.Option(
            "--second", help="The same predictions evaluated against another reference: both rulers side by side."
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option("--by", help="What to group by, with commas; also a column that you added to exams.tsv."),
    ] = _ALL,
    output: TablesFolder = None,
    as_json: Json = False,
) -> None:
    """Compare groups of patients and scanners: tests, success rates, adjusted models, and what could have been seen."""
    found = [results.read(folder) for folder in (evaluation, second) if folder is not None]
    sections = [audit(one, by) for one in found]
    if second is not None:
        sections.append(two_rulers(*found, by))
    if output is not None:
        tables.write_all(sections, output)
    if as_json:
        print_json({section.key: content(section) for section in sections})
        return
    for section in sections:
        show(section)
