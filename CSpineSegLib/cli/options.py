"""The options that several commands share, and what they open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..dataset import Dataset
from ..errors import InputError

DatasetFolder = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        "-d",
        metavar="<path>",
        envvar="CSPINESEG_DATASET",
        help="Dataset folder; see the README for its layout.",
    ),
]
GoldList = Annotated[
    Path | None,
    typer.Option("--gold-list", help="File that names the expert-annotated exams: file names, exams or patient IDs."),
]
Query = Annotated[
    str | None,
    typer.Option("--query", "-q", help="Choose exams, e.g. \"source == 'silver' and status == 'unreviewed'\"."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Events = Annotated[bool, typer.Option("--events", hidden=True)]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Packaged model's name, or a bundle's folder.")]
Device = Annotated[str, typer.Option("--device", help="auto, cuda, mps or cpu.")]
Engine = Annotated[str, typer.Option("--engine", help="auto, torch or openvino.")]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="Segment also what does not look like a cervical spine MRI exam.")
]
NoClean = Annotated[bool, typer.Option("--no-clean", help="Keep specks outside the spine and small holes.")]
Quality = Annotated[
    bool, typer.Option("--quality", help="With --output: also write predicted Dice and a doubt map beside the mask.")
]
Force = Annotated[bool, typer.Option("--force", help="Do it again, and replace what the command wrote before.")]


def open_dataset(folder: str | None, gold_list: Path | None = None) -> Dataset | None:
    """The dataset of the options, or None if no folder was given.

    InputError for an empty text, which an unset variable in a script leaves behind and which names no folder.
    """
    if folder is not None and not folder.strip():
        raise InputError("The dataset folder is an empty text; name the folder after --dataset.")
    return Dataset.open(folder, gold_list=gold_list) if folder is not None else None


def need_dataset(folder: str | None, gold_list: Path | None = None) -> Dataset:
    """As :func:`open_dataset`, for commands that cannot work without."""
    dataset = open_dataset(folder, gold_list)
    if dataset is None:
        raise InputError("This command needs a dataset: name its folder with --dataset.")
    return dataset
