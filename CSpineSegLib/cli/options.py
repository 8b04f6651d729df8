"""The options that several commands share, and what they open."""

from __future__ import annotations

import re
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
TablesFolder = Annotated[
    Path | None, typer.Option("--output", "-o", help="Folder to write every table to, as TSV.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Events = Annotated[bool, typer.Option("--events", hidden=True)]
Model = Annotated[
    str | None, typer.Option("--model", "-m", help="Name of a packaged or imported model, or a model's folder.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cuda, mps or cpu.")]
Engine = Annotated[str, typer.Option("--engine", help="auto, torch or openvino.")]
Anyway = Annotated[
    bool, typer.Option("--anyway", help="Segment also what does not look like a cervical spine MRI exam.")
]
Clean = Annotated[
    bool | None,
    typer.Option(
        "--clean/--no-clean",
        help="Remove specks outside the spine and fill small holes, or keep them. Without either, masks of packaged "
        "models are cleaned, and those of imported ones stay as nnU-Net makes them.",
        show_default=False,
    ),
]
Quality = Annotated[
    bool, typer.Option("--quality", help="With --output: also write predicted Dice and a doubt map beside the mask.")
]
Mode = Annotated[
    str,
    typer.Option(
        "--mode",
        help="Of imported nnU-Nets: default (nnU-Net's masks to about a voxel in a thousand, in half precision where "
        "the processor has it), exact (nnU-Net's own arithmetic) or fast (one fold, no mirroring, whole volumes at "
        "once: other masks, several times sooner).",
    ),
]
Configuration = Annotated[
    str | None,
    typer.Option(
        "--configuration",
        help="Of imported nnU-Nets: 2d, 3d_fullres, or ensemble for the mean of both; without it, what nnU-Net found "
        "best, or all that the model has.",
    ),
]
Folds = Annotated[
    str | None,
    typer.Option("--folds", help="Of imported nnU-Nets: the folds to average, as 0 or 0,2,4; without it, all of them."),
]
NoMirror = Annotated[
    bool,
    typer.Option(
        "--no-mirror",
        help="Of imported nnU-Nets: do not average over mirrored images, as nnUNetv2_predict --disable_tta. Takes a "
        "quarter (2D) or an eighth (3D) of the time.",
    ),
]
Orientation = Annotated[
    str | None,
    typer.Option(
        "--orientation",
        help="How the training images lay in their files, three letters for the axes i, j, k, for instance PSR or "
        "RAS. Known for CSpineSeg (PSR) and for models whose reader turns images.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Do it again, and replace what the command wrote before.")]


def parse_folds(text: str | None) -> tuple[int | str, ...] | None:
    """The folds of --folds: (0, 2) for "0,2", ("all",) for nnU-Net's fold_all; None if it was not given.

    InputError for anything else, and for a fold named twice.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part == "all" or re.fullmatch("[0-9]{1,3}", part) for part in parts) or len(set(parts)) < len(parts):
        raise InputError(f"{text!r} does not name folds; write their numbers, for instance 0 or 0,2,4.")
    return tuple("all" if part == "all" else int(part) for part in parts)


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
