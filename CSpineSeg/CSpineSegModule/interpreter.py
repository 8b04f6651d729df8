"""Where the module runs, and the Python for its child processes."""

from __future__ import annotations

import shutil
import sys

from CSpineSegLib.errors import CSpineSegError


def in_slicer() -> bool:
    """True inside the Slicer application, False on slicer-core."""
    return hasattr(sys.modules.get("slicer"), "app")


def python_slicer() -> str | None:
    """Slicer's own Python for child processes; None outside Slicer, where the running interpreter serves.

    Raises
    ------
    CSpineSegError : it is not where Slicer puts it; the running executable is then Slicer and no interpreter.
    """
    found = shutil.which("PythonSlicer")
    if found is None and in_slicer():
        raise CSpineSegError("Slicer's own Python, PythonSlicer, was not found on the search path; reinstall Slicer.")
    return found
