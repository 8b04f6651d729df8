"""nnU-Net's three folders, and the name of a dataset in them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...dataset.folders import absolute
from ...errors import InputError

VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
_FOLDER = re.compile(r"Dataset([0-9]{3})_.+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}")


@dataclass(frozen=True)
class Folders:
    """Where nnU-Net looks for raw data, and where it writes preprocessed data and trained models."""

    raw: Path
    preprocessed: Path
    results: Path

    @classmethod
    def of(cls, work: Path | str | None, variables: Mapping[str, str] | None = None) -> Folders:
        """The folders below `work`; without it, those that nnU-Net's own three environment variables name.

        Raises
        ------
        InputError : neither is given.
        """
        if work is not None:
            if not str(work).strip():
                raise InputError("The work folder is an empty text; name the folder after --work.")
            base = absolute(work)
            return cls(*(base / name for name in VARIABLES))
        variables = os.environ if variables is None else variables
        missing = [name for name in VARIABLES if not variables.get(name)]
        if missing:
            raise InputError(
                f"Name a folder for nnU-Net's files with --work, or set its own variables ({', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} not set)."
            )
        return cls(*(absolute(variables[name]) for name in VARIABLES))

    def environment(self) -> dict[str, str]:
        """nnU-Net's variables, for its process alone."""
        return dict(zip(VARIABLES, map(str, (self.raw, self.preprocessed, self.results)), strict=True))

    def named(self, number: int) -> list[str]:
        """Names of the datasets of this number in any of the three folders; nnU-Net stops where there are several."""
        found = set()
        for folder in (self.raw, self.preprocessed, self.results):
            if folder.is_dir():
                found |= {path.name for path in folder.iterdir() if path.is_dir() and number_of(path.name) == number}
        return sorted(found)

    def dataset(self, number: int) -> str:
        """Name of the dataset of this number, "Dataset108_CSpineSeg"; InputError if there is none or more than one."""
        names = self.named(number)
        if len(names) > 1:
            raise InputError(
                f"{self.raw.parent} holds more than one dataset of number {number} ({', '.join(names)}); "
                "remove or rename all but one, since nnU-Net could not tell them apart."
            )
        if not names:
            raise InputError(
                f"There is no dataset of number {number} in {self.raw}; make one with 'cspineseg nnunet export', "
                "or give the number of another one with --id."
            )
        return names[0]


def folder_name(number: int, name: str) -> str:
    """nnU-Net's name of a dataset; InputError for a number or name that it does not take.

    >>> folder_name(108, "CSpineSeg")
    'Dataset108_CSpineSeg'
    """
    if not 1 <= number <= 999:
        raise InputError(f"{number} is not a number of a dataset; nnU-Net takes 1 to 999.")
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} is not a name of a dataset; use letters, digits, - and _.")
    return f"Dataset{number:03d}_{name}"


def number_of(folder: str) -> int | None:
    """The number in nnU-Net's name of a dataset; None for any other name."""
    match = _FOLDER.fullmatch(folder)
    return int(match[1]) if match else None
