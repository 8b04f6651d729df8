"""Bundles on disk: found by name or folder, checked file by file, opened as data alone. Needs no torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .. import anatomy, resources
from ..errors import ModelError
from . import networks, preprocess
from .checksums import verify
from .exporting import INFERENCE, METADATA, REQUIRED, WEIGHTS, check_name, export

__all__ = ["Bundle", "available", "export", "folders", "load", "survey"]

# A folder of the user's own models, searched before the packaged ones.
VARIABLE = "CSPINESEG_MODELS"


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model whose files were all found to be what its SHA256SUMS lists.

    Parameters
    ----------
    name, version : as its metadata says.
    folder : where it lies.
    sha256 : of models/model.pt; identifies the model in provenance.
    labels : {value: name} of the masks it makes.
    metadata : all of configs/metadata.json.
    definition : its network, see :func:`networks.build`.
    spacing : in-plane spacing of the slices that the network sees, mm.
    """

    name: str
    version: str
    folder: Path
    sha256: str
    labels: dict[int, str]
    metadata: dict[str, Any]
    definition: dict[str, Any]
    spacing: float


def load(name_or_folder: str | Path) -> Bundle:
    """Open a bundle by name ("cspine-phantom-2d") or by folder.

    Raises
    ------
    ModelError : unknown (names offered), a file missing, changed or not listed (named), a network, label or
        preprocessing that this version does not know, or an expression in the network's definition.
    """
    folder = _find(name_or_folder)
    sums = verify(folder, REQUIRED)
    metadata, inference = _json(folder / METADATA), _json(folder / INFERENCE)
    try:
        labels = {int(value): str(name) for value, name in metadata["labels"].items()}
        name, version, prepared = str(metadata["name"]), str(metadata["version"]), dict(metadata["preprocessing"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{folder / METADATA} lacks what CSpineSeg needs ({error!r}); export it again.") from None
    # The name becomes a folder of the dataset's outputs.
    check_name(name)
    if tuple(sorted(labels)) != anatomy.LABELS:
        raise ModelError(f"{folder / METADATA} has labels {sorted(labels)}; a model here gives {anatomy.LABELS}.")
    definition = networks.from_monai(inference.get("network_def"))
    if definition != metadata.get("network"):
        raise ModelError(f"{folder / INFERENCE} and {METADATA} describe different networks; export the model again.")
    spacing = preprocess.spacing_of(prepared)
    return Bundle(name, version, folder, sums[WEIGHTS], labels, metadata, definition, spacing)


def available() -> list[Bundle]:
    """All usable bundles, the user's own first; :func:`survey` also tells about the damaged ones."""
    return survey()[0]


def survey() -> tuple[list[Bundle], list[str]]:
    """Usable bundles, and a sentence for each folder that looks like a bundle and cannot be used."""
    found, problems = [], []
    for folder in folders():
        try:
            found.append(load(folder))
        except ModelError as error:
            problems.append(str(error))
    return found, problems


def folders() -> list[Path]:
    """Folders that hold a bundle: those in the folder named by CSPINESEG_MODELS, then the packaged ones."""
    own = os.environ.get(VARIABLE)
    roots = [Path(own)] if own else []
    roots.append(resources.path("Models"))
    return [
        folder
        for root in roots
        if root.is_dir()
        for folder in sorted(root.iterdir())
        if (folder / "configs").is_dir() or (folder / "models").is_dir()
    ]


def _find(name_or_folder: str | Path) -> Path:
    named = {folder.name: folder for folder in reversed(folders())}
    text = str(name_or_folder)
    if isinstance(name_or_folder, str) and text in named:
        return named[text]
    folder = Path(name_or_folder)
    if folder.is_dir():
        return folder
    close = get_close_matches(text, named, n=3, cutoff=0.4) or sorted(named)
    offer = f"did you mean {' or '.join(close)}?" if close else "no model is installed."
    raise ModelError(f"There is no model {text!r}, by name or as a folder; {offer}")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{path} is not a readable JSON file ({error}).") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold a table of names and values; export the model again.")
    return content
