"""Finds the `Resources` folder wherever the library runs from: a clone, an installed wheel, a Slicer package."""

from __future__ import annotations

from pathlib import Path

from .errors import InputError


def root() -> Path:
    """The `Resources` folder.

    In a wheel it lies inside the package, in a clone and in Slicer's scripted-module folder beside it.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "Resources", package.parent / "Resources"):
        if (folder / "Terminologies" / "labels.tsv").is_file():
            return folder
    raise InputError(
        f"The Resources folder of CSpineSeg was not found in {package} or beside it; reinstall the package."
    )


def path(*parts: str) -> Path:
    """A file or folder under `Resources`; it need not exist."""
    return root().joinpath(*parts)
