"""Imported models on disk: nnU-Net's weights and plans in a bundle of our own, checked file by file when opened."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ... import files, resources
from ... import progress as progressing
from ...errors import InputError, ModelError
from ...progress import Progress
from .. import checksums
from ..exporting import LABELS, METADATA, check_name
from . import plans as reading
from . import unets
from .plans import Plans

FORMAT = "nnunet"
SCHEMA = 1
PLANS = "configs/plans.json"
CACHE = "cache"
# A folder of the user's own models, in place of the one in the user's data folder.
VARIABLE = "CSPINESEG_MODELS"

Fold = int | str
_WEIGHTS = re.compile(r"models/(2d|3d_fullres)_fold_(all|0|[1-9][0-9]{0,2})\.pt")
_AXES = ("LR", "AP", "IS")


@dataclass(frozen=True, eq=False)
class Imported:
    """A model of nnU-Net whose files were all found to be what its SHA256SUMS lists.

    Parameters
    ----------
    name, version : as its metadata says; the version is the beginning of `sha256`.
    folder : where it lies.
    sha256 : of everything that decides its masks (weights, plans, orientation, mirroring); identifies the model in
        provenance.
    labels : {value: name} of the masks it makes.
    metadata : all of configs/metadata.json: "source", "trainers", "checkpoints", "best", "notes", ...
    plans : what its networks need done to an image.
    orientation : of the images it was trained on, three letters for the NIfTI axes i, j, k, for instance "PSR".
    weights : {(configuration, fold): file within the bundle}; a fold is a number or "all".
    mirroring : {configuration: axes of the patch that may be flipped}; empty if none.
    sums : {file within the bundle: SHA-256}, as listed.
    """

    name: str
    version: str
    folder: Path
    sha256: str
    labels: dict[int, str]
    metadata: dict[str, Any]
    plans: Plans
    orientation: str
    weights: dict[tuple[str, Fold], str]
    mirroring: dict[str, tuple[int, ...]]
    sums: dict[str, str]

    @property
    def calibration(self) -> None:
        """Imported models are not calibrated: they come without quality scores."""
        return None

    @property
    def is_converted(self) -> bool:
        """Whether OpenVINO can run some of it: a conversion is kept, or torch is there to read the weights for one."""
        from .conversion import is_converted

        return find_spec("torch") is not None or any(is_converted(self, *key) for key in self.weights)

    @property
    def best(self) -> str | None:
        """What nnU-Net's cross-validation found best: "2d", "3d_fullres" or "ensemble"; None if it did not tell."""
        return self.metadata.get("best")

    def folds(self, configuration: str) -> tuple[Fold, ...]:
        """The folds of a configuration: numbers in order, then "all"."""
        found = [fold for name, fold in self.weights if name == configuration]
        return tuple(sorted(found, key=lambda fold: (isinstance(fold, str), fold)))


def user_folder() -> Path:
    """Where imported models lie: the folder named by CSPINESEG_MODELS, or "Models" in the user's data folder."""
    own = os.environ.get(VARIABLE)
    return Path(own) if own else resources.user_data("Models")


def weights_file(configuration: str, fold: Fold) -> str:
    """The file within the bundle; the inverse of what :func:`load` reads from the list."""
    return f"models/{configuration}_fold_{fold}.pt"


def check_orientation(text: str) -> str:
    """Three upper-case letters, one for each anatomical axis, for instance "PSR"; ModelError otherwise."""
    codes = str(text).strip().upper()
    axes = sorted(next((axis for axis, pair in enumerate(_AXES) if letter in pair), -1) for letter in codes)
    if axes != [0, 1, 2]:
        raise ModelError(
            f"{text!r} is not an orientation; write three letters for the training images' axes, for instance PSR."
        )
    return codes


def load(folder: Path | str, *, weights: bool = True) -> Imported:
    """Open an imported model.

    Parameters
    ----------
    weights : also compare the SHA-256 of the weights; without, only that they are there in full length, which is
        enough to list models of some gigabytes.

    Raises
    ------
    ModelError : names the file that is missing, was changed or is not listed, or what in it cannot be used.
    """
    folder = Path(folder)
    sums = checksums.verify(folder, (METADATA, PLANS), apart=CACHE, unread=None if weights else "models")
    metadata, stored = (checksums.read_table(folder / name, "import") for name in (METADATA, PLANS))
    try:
        name, orientation = check_name(metadata["name"]), check_orientation(metadata["orientation"])
        if metadata["format"] != FORMAT or metadata["schema"] != SCHEMA:
            raise ModelError(f"{folder / METADATA} is of another version of CSpineSeg; import the model again.")
        mirroring = {key: tuple(int(axis) for axis in axes) for key, axes in metadata["mirroring"].items()}
        sizes = {key: int(size) for key, size in metadata["bytes"].items()}
        plans = reading.read(stored["plans"], stored["dataset"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{folder / METADATA} or {PLANS} lacks what is needed ({error!r}); import it again.") from None
    found = {file: _WEIGHTS.fullmatch(file) for file in sums if file.startswith("models/")}
    if not all(found.values()) or {match[1] for match in found.values()} != set(plans.configurations):
        raise ModelError(f"{folder} does not hold weights for just the configurations of its plans; import it again.")
    for file, size in sizes.items():
        if file not in found or (folder / file).stat().st_size != size:
            raise ModelError(f"{folder / file} was changed or damaged: it has not its {size} bytes; import it again.")
    keyed = {(match[1], match[2] if match[2] == "all" else int(match[2])): file for file, match in found.items()}
    _check_mirroring(mirroring, plans, str(folder / METADATA))
    sha256 = _identity(sums, orientation, mirroring)
    labels = {int(value): text for value, text in LABELS.items()}
    return Imported(
        name, sha256[:12], folder, sha256, labels, metadata, plans, orientation, keyed, mirroring, dict(sums)
    )


def write(
    root: Path | str,
    name: str,
    plans: Mapping[str, Any],
    dataset: Mapping[str, Any],
    weights: Mapping[tuple[str, Fold], Mapping[str, Any] | Callable[[Progress], Mapping[str, Any]]],
    *,
    orientation: str,
    mirroring: Mapping[str, Iterable[int]] | None = None,
    about: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    told: Callable[[], Mapping[str, Any]] | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Write the imported model `root`/`name`, or nothing at all.

    Parameters
    ----------
    root : for instance :func:`user_folder`. name : letters, digits, "-", "_" and "." only.
    plans, dataset : contents of nnU-Net's plans.json and dataset.json.
    weights : {(configuration, fold): the checkpoint's network_weights, or a function of a Progress that reads them}.
        Only what inference needs of them is kept, each tensor once, in the type it came in.
    orientation : see :class:`Imported`. mirroring : {configuration: axes}; by default all axes of the patch.
    about : further entries of the metadata, plain JSON values.
    notes : sentences for who uses it.
    told : called when all weights were read; gives entries of the metadata, "mirroring" and "notes" among them, that
        replace those above.
    replace : an imported model of this name.

    Raises
    ------
    ModelError : the plans or weights cannot be used, or the name is taken. WriteError : it could not be written.
    """
    progress = progressing.ensure(progress)
    target, orientation = free_target(root, name, replace=replace), check_orientation(orientation)
    configurations = tuple(one for one in reading.CONFIGURATIONS if one in {key for key, _ in weights})
    read = reading.read(plans, dataset, configurations)
    flips = {one: list(range(len(read.configurations[one].patch_size))) for one in configurations}
    metadata = {
        "schema": SCHEMA,
        "format": FORMAT,
        "name": name,
        "labels": LABELS,
        "orientation": orientation,
        "mirroring": flips | {one: sorted(axes) for one, axes in (mirroring or {}).items()},
        **(about or {}),
        "notes": list(notes),
    }
    stored = dict(zip(("plans", "dataset"), reading.describe(read), strict=True))
    try:
        with files.build_folder(target, replace=replace) as folder:
            sizes = _write_weights(folder, read, weights, progress.part(0.0, 0.95))
            files.write_json(folder / PLANS, stored)
            files.write_json(folder / METADATA, {**metadata, **(told() if told else {}), "bytes": sizes})
            progress.update("Checking", 0.95)
            checksums.seal(folder)
            load(folder)
            progress.update("Finished", 1.0)
    except FileExistsError:
        raise ModelError(f"A {name} came into being in {root} meanwhile; choose another --name.") from None
    return load(target, weights=False)


def free_target(root: Path | str, name: str, *, replace: bool) -> Path:
    """The folder of a model to be; ModelError if its name cannot be used or is taken."""
    target = Path(root) / check_name(name)
    if resources.path("Models", name).exists():
        raise ModelError(f"{name} is the name of a packaged model; choose another with --name.")
    if os.path.lexists(target) and (not replace or not is_imported(target)):
        advice = "give --force to replace it, or another --name" if is_imported(target) else "choose another --name"
        raise ModelError(f"There is already a {name} in {root}; {advice}.")
    return target


def _write_weights(
    folder: Path, plans: Plans, weights: Mapping[tuple[str, Fold], Any], progress: Progress
) -> dict[str, int]:
    """Write what is needed of each checkpoint, one after the other; returns {file within the bundle: its bytes}."""
    sizes = {}
    for index, ((configuration, fold), given) in enumerate(weights.items()):
        part = progress.part(index / len(weights), (index + 1) / len(weights))
        part.update("Reading weights", 0.0, f"{configuration}, fold {fold}")
        data = _encoded(plans.configurations[configuration].network, given, part.part(0.0, 0.6))
        part.update("Writing weights", 0.6, f"{configuration}, fold {fold}")
        file = weights_file(configuration, fold)
        files.write_verified(folder / file, data)
        sizes[file] = len(data)
    return sizes


def is_imported(folder: Path | str) -> bool:
    """Whether a folder is an imported model, be it damaged or not: by its metadata, or by the files it lists."""
    folder = Path(folder)
    try:
        content = files.read_json(folder / METADATA)
        if isinstance(content, dict) and content.get("format") == FORMAT:
            return True
    except (InputError, RecursionError):
        pass
    try:
        known = checksums.listed(folder)
    except ModelError:
        return False
    return {METADATA, PLANS} <= set(known) and any(_WEIGHTS.fullmatch(file) for file in known)


def _encoded(network: Mapping[str, Any], weights: Any, progress: Progress) -> bytes:
    """The weights that inference needs in torch's own file format."""
    from ..devices import import_torch

    torch = import_torch()
    needed = unets.strip(network, weights(progress) if callable(weights) else weights)
    # Copied, so that neither the optimiser's half of a checkpoint nor the rest of a larger tensor is kept.
    kept = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in needed.items()}
    buffer = io.BytesIO()
    torch.save(kept, buffer)
    return buffer.getvalue()


def _identity(sums: Mapping[str, str], orientation: str, mirroring: Mapping[str, tuple[int, ...]]) -> str:
    deciding = sorted(file for file in sums if file == PLANS or file.startswith("models/"))
    lines = [f"{sums[file]}  {file}" for file in deciding]
    lines += [f"orientation {orientation}"]
    lines += [f"mirroring {one} {' '.join(map(str, axes))}" for one, axes in sorted(mirroring.items())]
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def _check_mirroring(mirroring: Mapping[str, tuple[int, ...]], plans: Plans, where: str) -> None:
    for name, configuration in plans.configurations.items():
        axes = mirroring.get(name)
        if axes is None or len(set(axes)) != len(axes) or not set(axes) <= set(range(len(configuration.patch_size))):
            raise ModelError(f"{where} has no usable mirroring axes for {name!r}, {axes}; import the model again.")
