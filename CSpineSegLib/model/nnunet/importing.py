"""From what nnU-Net exports to a model of ours, in the user's own folder: nothing in the file is executed."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ... import files, resources
from ... import progress as progressing
from ...errors import ModelError, OrientationError
from ...progress import Progress
from ..exporting import check_name
from . import archive, store, trainings, weights
from . import plans as reading
from .archive import Members
from .plans import Plans
from .store import Imported
from .trainings import Training

# How the authors of the dataset call theirs, and the names in their dataset.json.
_AUTHORS_DATASET = "cspineseg"
_AUTHORS_LABELS = ("vertebrae", "inter-vetebral disc")
_AUTHORS_ORIENTATION = "PSR"


def import_model(
    source: Path | str,
    *,
    name: str | None = None,
    orientation: str | None = None,
    plans: str | None = None,
    trainer: str | None = None,
    root: Path | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Make a model of a zip by nnUNetv2_export_model_to_zip, or of a results folder.

    2d and 3d_fullres with all folds that are there become one model. Weights and plans are read as data; of each
    checkpoint only what inference needs is kept. Either the whole model is written, or nothing.

    Parameters
    ----------
    source : the zip; or the folder of a dataset in nnUNet_results, or of one training in it.
    name : of the model; by default made of the names of dataset and plans.
    orientation : of the images that it was trained on, three letters for their NIfTI axes. It need not be given for
        CSpineSeg, which is PSR, nor for models whose reader turns images to RAS.
    plans, trainer : names, where the source holds trainings of several.
    root : folder for the model; by default :func:`store.user_folder`.
    force : replace an imported model of this name.

    Raises
    ------
    InputError : `source` does not exist.
    OrientationError : `orientation` has to be given.
    ModelError : it cannot be imported; one sentence says why. WriteError : the model could not be written.
    Cancelled : by `progress`.
    """
    progress = progressing.ensure(progress)
    progress.update("Opening", 0.0, Path(source).name)
    root = store.user_folder() if root is None else Path(root)
    with archive.open_source(source) as members:
        found = trainings.find(members, progress.part(0.0, 0.02))
        chosen, notes = trainings.choose(members, found, plans, trainer)
        read = trainings.read_plans(members, chosen)
        codes, assumed = _orientation(read, members.name, orientation)
        name = _default_name(read) if name is None else name
        store.free_target(root, name, replace=force)
        origin = _origin(members, chosen, read, progress.part(0.02, 0.1))
        reader = _Reader(members, chosen)
        best, told = trainings.best(members, chosen)
        notes += [*filter(None, (assumed, *_label_notes(read), told)), *_further_notes(members, chosen)]
        return store.write(
            root,
            name,
            *reading.describe(read),
            {
                (one.configuration, fold): functools.partial(reader.read, one, fold)
                for one in chosen
                for fold in one.checkpoints
            },
            orientation=codes,
            about={"source": origin, "best": best, "orientation_is": _known_by(read, orientation)},
            told=lambda: reader.told(notes),
            replace=force,
            progress=progress.part(0.1, 1.0),
        )


def remove(name: str, root: Path | str | None = None) -> Path:
    """Delete an imported model of the user's own folder, and return the folder that is gone.

    Raises
    ------
    ModelError : there is none of this name (those that are there are named), it is a packaged model, or the folder
        does not look like an imported model. WriteError : it could not be deleted.
    """
    root = store.user_folder() if root is None else Path(root)
    folder = root / check_name(name)
    if not folder.is_dir():
        if resources.path("Models", name).is_dir():
            raise ModelError(f"{name} is a packaged model; only imported models can be removed.")
        known = sorted(path.name for path in root.iterdir() if store.is_imported(path)) if root.is_dir() else []
        raise ModelError(f"There is no imported model {name!r} in {root}; there is {', '.join(known) or 'none'}.")
    if folder.is_symlink() or not store.is_imported(folder):
        raise ModelError(f"{folder} does not look like an imported model; delete it yourself if it should go.")
    files.remove_folder(folder)
    return folder


class _Reader:
    """Reads checkpoints one after the other, and remembers what they say beside the weights."""

    def __init__(self, members: Members, chosen: list[Training]) -> None:
        self._members, self._chosen = members, chosen
        self._checkpoints: dict[str, dict[str, Any]] = {}
        self._mirroring: dict[str, tuple[int, ...]] = {}
        self._notes: list[str] = []

    def read(self, training: Training, fold: store.Fold, progress: Progress) -> dict[str, Any]:
        """The network's weights of a fold; ModelError if the checkpoint is not the training's."""
        member, configuration = training.checkpoints[fold], training.configuration
        where = f"{member} in {self._members.name}"
        found = weights.read(self._members.checkpoint(member, progress), where)
        if found.configuration != configuration:
            raise ModelError(f"{where} is of the configuration {found.configuration!r}, not {configuration!r}.")
        if found.trainer != training.trainer:
            self._notes.append(f"{member} names the trainer {found.trainer}, its folder {training.trainer}.")
        # Like nnU-Net, which asks the first of the folds.
        if self._mirroring.setdefault(configuration, found.mirroring) != found.mirroring:
            self._notes.append(f"{member} permits other mirroring than the first fold, whose is taken, as by nnU-Net.")
        if member.endswith(trainings.CHECKPOINTS[1]):
            self._notes.append(f"{member} was taken, because there is no {trainings.CHECKPOINTS[0]}.")
        self._checkpoints[f"{configuration} fold {fold}"] = {"trainer": found.trainer, "epochs": found.epoch}
        return found.weights

    def told(self, notes: list[str]) -> Mapping[str, Any]:
        """What the checkpoints said, for the metadata."""
        trainers = {one.configuration: one.trainer for one in self._chosen}
        said = [trainings.trainer_note(one) for one in self._chosen]
        return {
            "mirroring": {name: list(axes) for name, axes in self._mirroring.items()},
            "trainers": trainers,
            "checkpoints": self._checkpoints,
            "notes": [*notes, *dict.fromkeys(filter(None, said)), *self._notes],
        }


def _orientation(plans: Plans, source: str, given: str | None) -> tuple[str, str | None]:
    """(orientation of the training images, a sentence if it was assumed)."""
    reorients = plans.reader.endswith("WithReorient")
    if given is not None:
        codes = store.check_orientation(given)
        if reorients and codes != "RAS":
            raise ModelError(f"The model in {source} turns every image to RAS before it; leave out --orientation.")
        return codes, None
    if reorients:
        return "RAS", None
    names = tuple(plans.label_names[value] for value in (1, 2))
    if _AUTHORS_DATASET in plans.dataset_name.lower() or names == _AUTHORS_LABELS:
        return _AUTHORS_ORIENTATION, (
            f"The training images of {plans.dataset_name} are taken to be {_AUTHORS_ORIENTATION}, as in CSpineSeg; "
            "if they were turned, import again with --orientation."
        )
    raise OrientationError(
        f"{source} does not tell how the training images of {plans.dataset_name} were oriented; name it with "
        f"--orientation, for instance {_AUTHORS_ORIENTATION} as in CSpineSeg, or RAS."
    )


def _known_by(plans: Plans, given: str | None) -> str:
    if given is not None:
        return "given"
    return "the reader's" if plans.reader.endswith("WithReorient") else "assumed"


def _default_name(plans: Plans) -> str:
    """Of dataset and plans, in letters that a folder may have: nnunet-Dataset108_CSpineSeg."""
    parts = ["nnunet", plans.dataset_name, *([] if plans.plans_name == "nnUNetPlans" else [plans.plans_name])]
    return re.sub(r"[^A-Za-z0-9_.-]", "-", "-".join(parts))[:80]


def _origin(members: Members, chosen: list[Training], plans: Plans, progress: Progress) -> dict[str, Any]:
    used = [file for one in chosen for file in (one.file("plans.json"), one.file("dataset.json"))]
    used += [file for one in chosen for file in one.checkpoints.values()]
    return {
        "file": Path(members.name).name,
        "sha256": members.sha256(used, progress),
        "dataset_name": plans.dataset_name,
        "plans_name": plans.plans_name,
        "label_names": {str(value): name for value, name in plans.label_names.items()},
        "channel_name": plans.channel,
    }


def _label_notes(plans: Plans) -> list[str]:
    bodies, discs = plans.label_names[1], plans.label_names[2]
    note = f"Labels go by value: 1 ({bodies!r}) is taken as vertebral bodies, 2 ({discs!r}) as intervertebral discs."
    swapped = "disc" in bodies.lower() or "disk" in bodies.lower() or "vertebrae" in discs.lower()
    return [f"{note} By their names they may be the other way round: check a mask." if swapped else note]


def _further_notes(members: Members, chosen: list[Training]) -> list[str]:
    notes = []
    if any(file.endswith(("postprocessing.pkl", "postprocessing.json")) for file in members.sizes):
        notes.append(
            "nnU-Net's postprocessing was not imported, and its postprocessing.pkl, which is a program, not opened; "
            "nnUNetv2_predict does not apply it either."
        )
    return notes
