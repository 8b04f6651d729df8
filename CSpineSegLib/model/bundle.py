"""Models on disk: found by name or folder, checked file by file, opened as data alone. Needs no torch."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .. import anatomy, resources
from ..errors import InputError, ModelError
from . import calibration, networks, preprocess
from .calibration import Calibration
from .checksums import read_table, verify
from .exporting import CONVERTED, CONVERTED_WEIGHTS, INFERENCE, METADATA, REQUIRED, WEIGHTS, amend, check_name, export
from .nnunet import store
from .nnunet.store import Imported

__all__ = ["Bundle", "Imported", "amend", "available", "export", "folders", "load", "survey"]


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
    slices, distance : how many slices it sees at a time (1 or 3), and mm to the neighbours.
    calibration : what was fitted to it after its training, or None.
    sums : {file within the bundle: SHA-256}, as checked on loading.
    """

    name: str
    version: str
    folder: Path
    sha256: str
    labels: dict[int, str]
    metadata: dict[str, Any]
    definition: dict[str, Any]
    spacing: float
    slices: int
    distance: float
    calibration: Calibration | None
    sums: dict[str, str]

    @property
    def is_converted(self) -> bool:
        """Whether it also carries the network in OpenVINO's form."""
        return CONVERTED in self.sums


def load(name_or_folder: str | Path) -> Bundle | Imported:
    """Open a bundle or an imported model by name ("cspine-phantom") or by folder.

    Raises
    ------
    ModelError : unknown (names offered), a file missing, changed or not listed (named), a network, label or
        preprocessing that this version does not know, or an expression in the network's definition.
    """
    folder = _find(name_or_folder)
    return store.load(folder) if store.is_imported(folder) else _load(folder)


def _load(folder: Path) -> Bundle:
    sums = verify(folder, REQUIRED)
    if (CONVERTED in sums) != (CONVERTED_WEIGHTS in sums):
        raise ModelError(f"{folder} has only half of its converted form, {CONVERTED}; export the model again.")
    metadata, inference = (read_table(folder / name, "export") for name in (METADATA, INFERENCE))
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
    spacing, (slices, distance) = preprocess.spacing_of(prepared), preprocess.context_of(prepared)
    if definition["in_channels"] != slices:
        raise ModelError(
            f"{folder / METADATA} gives {slices} slices at a time to a network of {definition['in_channels']}; "
            "export the model again."
        )
    return Bundle(
        name,
        version,
        folder,
        sums[WEIGHTS],
        labels,
        metadata,
        definition,
        spacing,
        slices,
        distance,
        calibration.read(folder),
        sums,
    )


def available() -> list[Bundle | Imported]:
    """All usable models, the user's own first; :func:`survey` also tells about the damaged ones."""
    return survey()[0]


def survey() -> tuple[list[Bundle | Imported], list[str]]:
    """Usable models, and a sentence for each folder that looks like one and cannot be used.

    The weights of imported models, which can be some gigabytes, are only checked for being there in full length.
    """
    found, problems = [], []
    for folder in folders():
        try:
            found.append(store.load(folder, weights=False) if store.is_imported(folder) else _load(folder))
        except ModelError as error:
            problems.append(str(error))
    return found, problems


def folders() -> list[Path]:
    """Folders that hold a model: those in :func:`nnunet.store.user_folder`, then the packaged ones."""
    roots = [resources.path("Models")]
    # A system without a home folder for this user has no models of the user either.
    with contextlib.suppress(InputError):
        roots.insert(0, store.user_folder())
    return [
        folder
        for root in roots
        if root.is_dir()
        for folder in sorted(root.iterdir())
        if not folder.name.startswith(".") and ((folder / "configs").is_dir() or (folder / "models").is_dir())
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
