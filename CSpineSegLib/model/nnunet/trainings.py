"""What trainings an exported zip or a results folder of nnU-Net holds, and which of them can be imported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import ModelError
from ...progress import Progress
from . import archive, weights
from . import plans as reading
from .archive import Members
from .plans import Plans
from .store import Fold

# What training ended with, and what it was best with; nnUNetv2_predict takes the first unless it is told otherwise.
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_FOLD = re.compile(r"fold_(all|0|[1-9][0-9]{0,2})")
# Trainers of nnU-Net itself whose network is another one than the plans say, though the plans do not show it.
_OTHER_NETWORKS = re.compile(r"nnUNetTrainerBN|.*Primus.*")
# Trainers of nnU-Net itself that only change training, or the mirroring that the checkpoint tells.
_KNOWN_TRAINERS = re.compile(
    r"nnUNetTrainer(_\d+epochs?)?(_NoMirroring)?|nnUNet_Trainer_BS8|nnUNetTrainer(Benchmark_5epochs|_noDummy2DDA|_warmup"
    r"|DA5|NoDA|_DASegOrd0|NoMirroring|_onlyMirror01|_probabilisticOversampling|NoDeepSupervision|CosAnneal|Adan"
    r"|(Vanilla)?Adam|CELoss|DiceLoss|DiceCELoss|DiceTopK10Loss|Topk10Loss)"
    r"(ord0|Segord0|_10epochs|_5epochs|_noDataLoading|_1500ep|_NoMirroring|_DASegOrd0|_DA5|_0\d\d|[134]en[134]|CosAnneal"
    r"|LS01|_noSmooth)?"
)


@dataclass(frozen=True)
class Training:
    """One trained configuration.

    Parameters
    ----------
    folder : within the source, with "/"; empty for the source itself.
    trainer, plans_name, configuration : as the folder is named.
    checkpoints : {fold: file within the source}, numbers first.
    """

    folder: str
    trainer: str
    plans_name: str
    configuration: str
    checkpoints: dict[Fold, str]

    @property
    def title(self) -> str:
        return f"{self.trainer}__{self.plans_name}__{self.configuration}"

    def file(self, name: str) -> str:
        """Path within the source of a file of the training."""
        return _join(self.folder, name)


def find(members: Members, progress: Progress) -> list[Training]:
    """All trainings of a source that have a checkpoint, in the order of their folders' names.

    Raises
    ------
    ModelError : there is none, or its files are incomplete.
    """
    found: dict[str, dict[Fold, str]] = {}
    for member in members.sizes:
        path = PurePosixPath(member)
        match = _FOLD.fullmatch(path.parent.name)
        if match is None or path.name not in CHECKPOINTS:
            continue
        fold = match[1] if match[1] == "all" else int(match[1])
        folds = found.setdefault(_text(path.parent.parent), {})
        if fold not in folds or path.name == CHECKPOINTS[0]:
            folds[fold] = member
    if not found:
        raise ModelError(
            f"{members.name} holds no trained model of nnU-Net 2 (no fold_*/{CHECKPOINTS[0]}); "
            "export one with nnUNetv2_export_model_to_zip, or name the folder of a training."
        )
    trainings = []
    for folder, folds in sorted(found.items()):
        for needed in ("plans.json", "dataset.json"):
            if _join(folder, needed) not in members.sizes:
                raise ModelError(f"{members.name} lacks {_join(folder, needed)}; export the model again.")
        ordered = dict(sorted(folds.items(), key=lambda item: (isinstance(item[0], str), item[0])))
        parts = _name_of(members, folder).split("__")
        if len(parts) != 3:
            parts = _inside(members, folder, next(iter(ordered.values())), progress)
        trainings.append(Training(folder, *parts, ordered))
    return trainings


def choose(
    members: Members, trainings: Sequence[Training], plans: str | None = None, trainer: str | None = None
) -> tuple[list[Training], list[str]]:
    """Those that can be imported, 2d first, and a sentence on each that is left out.

    Parameters
    ----------
    plans, trainer : names; only trainings of these, where they are given.

    Raises
    ------
    ModelError : none can be imported, one configuration is there twice, or a trainer is known for another network.
    """
    wanted = [one for one in trainings if plans in (None, one.plans_name) and trainer in (None, one.trainer)]
    if not wanted:
        asked = " and ".join(filter(None, (plans and f"plans {plans}", trainer and f"trainer {trainer}")))
        raise ModelError(f"{members.name} holds no training of {asked}; it holds {_and(trainings)}.")
    usable = [one for one in wanted if one.configuration in reading.CONFIGURATIONS]
    others = [one for one in wanted if one.configuration not in reading.CONFIGURATIONS]
    if not usable:
        raise ModelError(f"{members.name} holds only {_and(others)}. {_why_not(others[0])}")
    by_name: dict[str, Training] = {}
    for one in usable:
        if one.configuration in by_name:
            pair = _and([by_name[one.configuration], one])
            raise ModelError(
                f"{members.name} holds two trainings of {one.configuration}: {pair}; choose with --plans or --trainer, "
                "or name the folder of one dataset or training."
            )
        if _OTHER_NETWORKS.fullmatch(one.trainer):
            raise ModelError(
                f"{one.title} in {members.name} was trained by {one.trainer}, which takes another network than the "
                "plans describe; such models are not supported."
            )
        by_name[one.configuration] = one
    notes = [f"{one.title} was left out. {_why_not(one)}" for one in others]
    return [by_name[name] for name in reading.CONFIGURATIONS if name in by_name], notes


def read_plans(members: Members, trainings: Sequence[Training]) -> Plans:
    """The plans of all of them in one.

    Raises
    ------
    ModelError : something that is not on the allow-lists, or trainings whose plans do not go together.
    """
    merged: Plans | None = None
    for one in trainings:
        contents = [archive.read_json(members, one.file(name)) for name in ("plans.json", "dataset.json")]
        try:
            read = reading.read(*contents, (one.configuration,))
        except ModelError as error:
            raise ModelError(f"{one.title} in {members.name} cannot be imported: {error}") from None
        if merged is None:
            merged = read
            continue
        for key in ("dataset_name", "reader", "transpose_forward", "transpose_backward", "label_names", "channel"):
            if getattr(merged, key) != getattr(read, key):
                raise ModelError(
                    f"The trainings {_and(trainings)} in {members.name} differ in {key.replace('_', ' ')} "
                    f"({getattr(merged, key)} and {getattr(read, key)}); import them one at a time."
                )
        name = merged.plans_name if merged.plans_name == read.plans_name else f"{merged.plans_name}+{read.plans_name}"
        merged = replace(
            merged,
            plans_name=name,
            intensities=merged.intensities or read.intensities,
            configurations={**merged.configurations, **read.configurations},
        )
    return merged


def trainer_note(training: Training) -> str | None:
    """A sentence if the trainer is not one of nnU-Net's own that leave the network as the plans describe it."""
    if _KNOWN_TRAINERS.fullmatch(training.trainer):
        return None
    return (
        f"The trainer {training.trainer} is not one of nnU-Net's own. Its weights are of just the network that the "
        "plans describe; if its class computes something else with them, its masks would differ."
    )


def best(members: Members, trainings: Sequence[Training]) -> tuple[str | None, str | None]:
    """What nnU-Net's find_best_configuration chose ("2d", "3d_fullres", "ensemble"), and a sentence on it.

    (None, None) if it was not run; (None, sentence) if what it chose is not among `trainings`.
    """
    found = [name for name in members.sizes if PurePosixPath(name).name == "inference_information.json"]
    if len(found) != 1:
        return None, None
    chosen = archive.read_json(members, found[0]).get("best_model_or_ensemble")
    models: Any = chosen.get("selected_model_or_models") if isinstance(chosen, dict) else None
    if not isinstance(models, list) or not models or not all(isinstance(one, dict) for one in models):
        return None, f"{found[0]} does not tell which configuration nnU-Net found best."
    keys = ("trainer", "plans_identifier", "configuration")
    titles = ["__".join(str(one.get(key)) for key in keys) for one in models]
    present = {one.title: one.configuration for one in trainings}
    text = " with ".join(titles)
    if not set(titles) <= set(present):
        return None, f"nnU-Net found {text} best in its cross-validation, which is not in this import."
    name = "ensemble" if len(titles) > 1 else present[titles[0]]
    return name, f"nnU-Net found {text} best in its cross-validation; it is used unless you ask for another."


def _why_not(training: Training) -> str:
    name = training.configuration
    if "cascade" in name:
        return f"{name} is the second stage of a cascade, which is not supported; 2d and 3d_fullres are."
    if name == "3d_lowres":
        return "3d_lowres is not supported; 2d and 3d_fullres are."
    return f"The configuration {name!r} is not known here; 2d and 3d_fullres are."


def _name_of(members: Members, folder: str) -> str:
    """Name of a training's folder, which for the source itself is that of the source."""
    return PurePosixPath(folder).name if folder else Path(members.name).name.removesuffix(".zip")


def _inside(members: Members, folder: str, checkpoint: str, progress: Progress) -> tuple[str, str, str]:
    """(trainer, plans, configuration) of a training whose folder was given another name, from its files."""
    read = weights.read(members.checkpoint(checkpoint, progress), f"{checkpoint} in {members.name}")
    plans = archive.read_json(members, _join(folder, "plans.json")).get("plans_name")
    return read.trainer, str(plans), read.configuration


def _and(trainings: Sequence[Training]) -> str:
    return " and ".join(one.title for one in trainings)


def _text(path: PurePosixPath) -> str:
    return "" if path == PurePosixPath(".") else path.as_posix()


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
