"""nnU-Net's commands for a dataset, with the arguments that fit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ... import files
from ...dataset.wording import some
from ...errors import InputError
from . import cases, folds
from .places import Folders
from .running import Command, version

CONFIGURATIONS = ("2d", "3d_fullres")
FOLDS = (0, 1, 2, 3, 4)
TRAINER = "nnUNetTrainer"
# nnU-Net's planner and the name of its plans.
PRESETS = {
    "plain": ("ExperimentPlanner", "nnUNetPlans"),
    "resenc-m": ("nnUNetPlannerResEncM", "nnUNetResEncUNetMPlans"),
    "resenc-l": ("nnUNetPlannerResEncL", "nnUNetResEncUNetLPlans"),
    "resenc-xl": ("nnUNetPlannerResEncXL", "nnUNetResEncUNetXLPlans"),
}
DEFAULT_PRESET = "resenc-l"
DEVICES = ("cuda", "cpu", "mps")
# Before it, nnU-Net's ensembles took probabilities for logits.
_ENSEMBLES = (2, 7)


@dataclass(frozen=True)
class Training:
    """What a model is: the dataset's number, nnU-Net's folders, the planner's preset and the trainer.

    Parameters
    ----------
    processes : how many processes nnU-Net may use; None leaves it to nnU-Net.
    """

    folders: Folders
    number: int
    preset: str = DEFAULT_PRESET
    trainer: str = TRAINER
    processes: int | None = None

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise InputError(f"{self.preset!r} is not a preset; choose one of {', '.join(PRESETS)}.")
        if self.processes is not None and self.processes < 1:
            raise InputError(f"{self.processes} processes cannot work; give 1 or more.")

    @property
    def plans(self) -> str:
        return PRESETS[self.preset][1]

    @property
    def dataset(self) -> str:
        """nnU-Net's name of the dataset; InputError if there is none or more than one of this number."""
        return self.folders.dataset(self.number)

    def plan(self, configurations: Sequence[str] = CONFIGURATIONS, more: Sequence[str] = ()) -> Command:
        """Fingerprint, plans and preprocessed data; always for the data as they are now."""
        check_configurations(configurations)
        words = ["-d", str(self.number), "-pl", PRESETS[self.preset][0], "-c", *configurations]
        # Without --clean nnU-Net plans with the fingerprint of an earlier export.
        words += ["--verify_dataset_integrity", "--clean"]
        if self.processes is not None:
            words += ["-npfp", str(self.processes), "-np", *[str(self.processes)] * len(configurations)]
        return self._command("nnUNetv2_plan_and_preprocess", words, more)

    def train(
        self,
        configuration: str,
        fold: str,
        *,
        device: str | None = None,
        npz: bool = True,
        resume: bool = False,
        more: Sequence[str] = (),
    ) -> Command:
        """Training of one fold, "0" to "4", or of "all" data; probabilities of the validation are for ensembles."""
        check_configurations([configuration])
        words = [self.dataset, configuration, check_folds([fold])[0], "-tr", self.trainer, "-p", self.plans]
        words += _device(device) + ["--npz"] * npz + ["--c"] * resume
        return self._command("nnUNetv2_train", words, more)

    def predict(
        self,
        images: Path,
        output: Path,
        configuration: str,
        *,
        fold: Sequence[str] = FOLDS,
        device: str | None = None,
        mirror: bool = True,
        probabilities: bool = False,
        more: Sequence[str] = (),
    ) -> Command:
        """Masks of all images of a folder."""
        check_configurations([configuration])
        words = ["-i", str(images), "-o", str(output), *self._model(), "-c", configuration, "-f", *check_folds(fold)]
        words += _device(device) + ["--disable_tta"] * (not mirror) + ["--save_probabilities"] * probabilities
        if self.processes is not None:
            words += ["-npp", str(self.processes), "-nps", str(self.processes)]
        return self._command("nnUNetv2_predict", words, more)

    def find_best(
        self,
        configurations: Sequence[str] = CONFIGURATIONS,
        *,
        fold: Sequence[str] = FOLDS,
        more: Sequence[str] = (),
    ) -> Command:
        """Which configuration, or ensemble of two, was best in the cross-validation."""
        check_configurations(configurations)
        _check_version()
        words = [self.dataset, "-c", *configurations, "-tr", self.trainer, "-p", self.plans]
        words += ["-f", *check_folds(fold), *self._several()]
        return self._command("nnUNetv2_find_best_configuration", words, more)

    def ensemble(self, inputs: Sequence[Path], output: Path, more: Sequence[str] = ()) -> Command:
        """The mean of several predictions that were made with probabilities."""
        if len(inputs) < 2:
            raise InputError("An ensemble needs at least two folders of predictions; give --input for each.")
        _check_version()
        for folder in inputs:
            if not any(folder.glob("*.npz")):
                raise InputError(f"{folder} holds no probabilities; predict again with --probabilities.")
        return self._command("nnUNetv2_ensemble", ["-i", *map(str, inputs), "-o", str(output), *self._several()], more)

    def export_model(
        self,
        output: Path,
        configurations: Sequence[str] = CONFIGURATIONS,
        *,
        fold: Sequence[str] = FOLDS,
        more: Sequence[str] = (),
    ) -> Command:
        """One zip with the weights of these configurations and folds."""
        check_configurations(configurations)
        words = [*self._model(), "-o", str(output), "-c", *configurations, "-f", *check_folds(fold)]
        return self._command("nnUNetv2_export_model_to_zip", words, more)

    def check_plannable(self) -> list[str]:
        """Before planning: that an export is whole and its folds hold; returns sentences worth knowing."""
        if cases.read(self.folders.raw / self.dataset) is None:
            return []
        record = cases.read_complete(self.folders.raw / self.dataset)
        return folds.check(self.folders, self.dataset, record.cases)

    def check_trainable(self, configuration: str, fold: str) -> list[str]:
        """What has to be there before a training starts; returns sentences worth knowing.

        Raises
        ------
        InputError : not planned yet, the folds are not by patient, or cases are not preprocessed.
        """
        record = cases.read(self.folders.raw / self.dataset)
        home = self.folders.preprocessed / self.dataset
        if not (home / f"{self.plans}.json").is_file():
            raise InputError(f"{home} holds no {self.plans}.json; run 'cspineseg nnunet plan' first.")
        if record is None:
            return []
        notes = folds.check(self.folders, self.dataset, record.cases)
        data = home / _data_folder(home / f"{self.plans}.json", configuration)
        wanted = [case.case for case in record.cases if case.part == "train"]
        there = {path.name.partition(".")[0] for path in data.iterdir()} if data.is_dir() else set()
        lacking = [case for case in wanted if case not in there]
        if lacking:
            raise InputError(f"{data} lacks cases of the export ({some(lacking)}); run 'cspineseg nnunet plan' again.")
        if fold != "all" and int(fold) >= record.folds:
            raise InputError(f"There is no fold {fold}; the export has {record.folds}, counted from 0.")
        return notes

    def _model(self) -> list[str]:
        return ["-d", self.dataset, "-tr", self.trainer, "-p", self.plans]

    def _several(self) -> list[str]:
        return [] if self.processes is None else ["-np", str(self.processes)]

    def _command(self, name: str, words: Sequence[str], more: Sequence[str]) -> Command:
        variables = self.folders.environment()
        if self.processes is not None:
            variables |= {"nnUNet_n_proc_DA": str(self.processes), "nnUNet_def_n_proc": str(self.processes)}
        return Command(name, (*words, *more), variables)


def check_folds(names: Sequence[object]) -> list[str]:
    """Folds as nnU-Net takes them: numbers, or "all" for a model of all data; InputError for anything else."""
    found = [str(name) for name in names]
    wrong = [name for name in found if name != "all" and not (name.isascii() and name.isdigit())]
    if wrong or not found:
        raise InputError(f"{wrong[0] if wrong else ''!r} is not a fold; write 0, 1, 2, 3, 4 or all.")
    return found


def _data_folder(plans: Path, configuration: str) -> str:
    """Name of the folder with a configuration's preprocessed data, which several plans can share."""
    try:
        return str(files.read_json(plans)["configurations"][configuration]["data_identifier"])
    except (KeyError, TypeError):
        raise InputError(
            f"{plans} has no configuration {configuration}; run 'cspineseg nnunet plan' with it, or train another one."
        ) from None


def check_configurations(names: Sequence[str]) -> None:
    """InputError for a configuration that imported models do not have."""
    for name in names:
        if name not in CONFIGURATIONS:
            raise InputError(f"{name!r} is not a configuration that is used here; take {' or '.join(CONFIGURATIONS)}.")


def _check_version() -> None:
    installed = version()
    if installed is not None and installed < _ENSEMBLES:
        raise InputError(
            f"nnU-Net {'.'.join(map(str, installed))} takes probabilities for logits in ensembles; "
            "install nnunetv2 2.7 or later."
        )


def _device(name: str | None) -> list[str]:
    if name is None:
        return []
    if name not in DEVICES:
        raise InputError(f"{name!r} is not a device that nnU-Net knows; choose one of {', '.join(DEVICES)}.")
    return ["-device", name]
