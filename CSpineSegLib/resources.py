"""Finds the `Resources` folder wherever the library runs from: a clone, an installed wheel, a Slicer package."""

from __future__ import annotations

import os
import sys
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


def user_data(*parts: str) -> Path:
    """A file or folder in this user's data folder for CSpineSeg; it need not exist.

    %LOCALAPPDATA% on Windows, ~/Library/Application Support on macOS, $XDG_DATA_HOME or ~/.local/share elsewhere: kept
    when the extension or the package is updated. InputError if the system names no home for the user.
    """
    variable = {"win32": "LOCALAPPDATA", "darwin": None}.get(sys.platform, "XDG_DATA_HOME")
    given = os.environ.get(variable, "") if variable else ""
    if given and Path(given).is_absolute():
        return Path(given, "CSpineSeg", *parts)
    usual = {"win32": ("AppData", "Local"), "darwin": ("Library", "Application Support")}
    try:
        home = Path.home()
    except RuntimeError as error:
        raise InputError(f"There is no home folder for the user's data ({error}); set CSPINESEG_MODELS.") from None
    return home.joinpath(*usual.get(sys.platform, (".local", "share")), "CSpineSeg", *parts)
