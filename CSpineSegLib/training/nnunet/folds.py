"""Folds of the cross-validation, by patient, and nnU-Net's file of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ... import files
from ...dataset.wording import some
from ...errors import InputError
from .cases import Case, Record, read_complete
from .cases import write as write_record
from .parts import TRAIN
from .places import Folders

SEED = 108
FILE = "splits_final.json"


def assign(
    strata: Mapping[str, Sequence[str]],
    count: int = 5,
    *,
    seed: int = SEED,
    fixed: Mapping[str, int] | None = None,
    closed: Iterable[int] = (),
) -> dict[str, int]:
    """The fold in which each patient is held out.

    Patients are drawn in an order that `seed` decides, those with most exams first, and each goes to the fold with
    the fewest exams of the same kind, then with the fewest exams.

    Parameters
    ----------
    strata : for each patient the kind of each exam, for instance ["gold Siemens 3", "silver Siemens 3"].
    fixed : patients whose fold is known already; they keep it.
    closed : folds that take nobody else.

    Raises
    ------
    InputError : a fold would be empty.
    """
    fixed = {patient: fold for patient, fold in (fixed or {}).items() if patient in strata and fold < count}
    order = sorted(strata)
    np.random.default_rng(seed).shuffle(order)
    order.sort(key=lambda patient: (patient not in fixed, -len(strata[patient]), sorted(strata[patient])))
    found: dict[str, int] = {}
    kinds = [Counter() for _ in range(count)]
    free = [fold for fold in range(count) if fold not in set(closed)]
    for patient in order:
        fold = fixed.get(patient)
        if fold is None:
            wanted = strata[patient]
            fold = min(free, key=lambda k: (sum(kinds[k][kind] for kind in set(wanted)), kinds[k].total(), k))
        found[patient] = fold
        kinds[fold].update(strata[patient])
    empty = [str(fold) for fold in range(count) if not kinds[fold]]
    if empty:
        raise InputError(
            f"There are no patients for fold {', '.join(empty)} of {count}: {len(strata)} patients are for training; "
            f"choose more exams, or number the folds of the table from 0 without gaps."
        )
    return {patient: found[patient] for patient in strata}


def splits(cases: Sequence[Case], count: int) -> list[dict[str, list[str]]]:
    """The content of `splits_final.json`: training and validation cases of each fold."""
    training = [case for case in cases if case.part == TRAIN]
    return [
        {
            "train": [case.case for case in training if case.fold != fold],
            "val": [case.case for case in training if case.fold == fold],
        }
        for fold in range(count)
    ]


def write(content: list[dict[str, list[str]]], folders: Folders, dataset: str) -> list[Path]:
    """Write it where nnU-Net's planner finds it, and where its trainer does once there are preprocessed data.

    The planner copies the file from the raw data, and stops if another one is there already.
    """
    targets = [folders.raw / dataset / FILE]
    if (folders.preprocessed / dataset).is_dir():
        targets.append(folders.preprocessed / dataset / FILE)
    for target in targets:
        if _content(target) != content:
            files.write_json(target, content)
    return targets


def renew(folders: Folders, dataset: str, *, seed: int | None = None, force: bool = False) -> Record:
    """Write `splits_final.json` again as the export's record has it; with a `seed`, draw all folds anew before.

    Raises
    ------
    InputError : no export, or one that was interrupted; or folds would change that were trained already, without
        `force`: their validation would be of patients that they were trained on.
    """
    record = read_complete(folders.raw / dataset)
    found = list(record.cases)
    if seed is not None:
        strata: dict[str, list[str]] = {}
        for case in found:
            if case.part == TRAIN:
                strata.setdefault(case.patient, []).append(case.stratum)
        drawn = assign(strata, record.folds, seed=seed)
        found = [replace(case, fold=drawn[case.patient]) if case.part == TRAIN else case for case in found]
    content = splits(found, record.folds)
    trained = sorted((folders.results / dataset).glob("*/fold_*/checkpoint_*.pth"))
    present = [_content(folder / dataset / FILE) for folder in (folders.preprocessed, folders.raw)]
    if trained and not force and any(there not in (None, content) for there in present):
        raise InputError(
            f"{trained[0].parent} was trained with other folds; remove what was trained, or change them with --force."
        )
    record = replace(record, cases=tuple(found))
    write(content, folders, dataset)
    write_record(folders.raw / dataset, record)
    return record


def check(folders: Folders, dataset: str, cases: Sequence[Case]) -> list[str]:
    """Before planning and training: that nnU-Net will use these patients' folds. Returns sentences worth knowing.

    The file among the preprocessed data is added if it is missing there.

    Raises
    ------
    InputError : the trainer would find folds in which a patient is both trained on and held out.
    """
    wanted = _content(folders.raw / dataset / FILE)
    target = folders.preprocessed / dataset / FILE
    if wanted is None or not target.parent.is_dir():
        return []
    there = _content(target)
    if there is None and not target.exists():
        files.write_json(target, wanted)
        return []
    if there == wanted:
        return []
    patient_of = {case.case: case.patient for case in cases}
    mixed = _mixed(there, patient_of)
    if mixed is None:
        raise InputError(f"{target} is not a file of folds; write it again with 'cspineseg nnunet splits'.")
    if mixed:
        raise InputError(
            f"{target} trains on patients that it also holds out ({some(mixed)}); "
            "write folds by patient with 'cspineseg nnunet splits'."
        )
    return [f"{target} has other folds than the export; they are by patient, and are used."]


def _mixed(content: Any, patient_of: Mapping[str, str]) -> list[str] | None:
    """Patients on both sides of a fold; None if the content is not one of folds."""
    found = set()
    try:
        for fold in content:
            train, held = ({patient_of.get(case, case) for case in fold[side]} for side in ("train", "val"))
            found |= train & held
    except (TypeError, KeyError):
        return None
    return sorted(found)


def _content(path: Path) -> Any:
    try:
        return files.read_json(path)
    except InputError:
        return None
