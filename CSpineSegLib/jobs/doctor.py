"""What is installed, what is missing, and whether it fits together: the answer to "it does not work"."""

from __future__ import annotations

import importlib
import json
import platform
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import __version__, resources
from ..dataset import Dataset
from ..model import devices, survey
from ..review import worklist
from . import graphics

SEGMENT_CPU, SEGMENT_GPU, SCENES = "segmentation on a CPU", "segmentation on a GPU, training", "scenes and pictures"
NEEDED = {
    "every command": ("numpy", "scipy", "pandas", "nibabel", "typer", "rich"),
    SEGMENT_CPU: ("openvino",),
    SEGMENT_GPU: ("torch", "monai"),
    SCENES: ("slicer-core", "vtk"),
}
# What a process that imports packages says before each, so that it is known which one ended it.
TRYING = "importing "


def glance() -> dict[str, Any]:
    """Versions and graphics cards: what can be said at once, with no package imported and no model opened."""
    return {
        "cspineseg": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "slicer": slicer(),
        "packages": {use: {name: installed(name) for name in names} for use, names in NEEDED.items()},
        "graphics": graphics.report(),
    }


def report(dataset: Dataset | None = None, trying: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Versions, devices, memory, models with their SHA-256 and, with a dataset, its counts and problems.

    Every package is imported, after `trying` was told its name. What is wrong with packages, devices and models is part
    of the report and raises nothing.
    """
    content = glance()
    content |= {
        "broken": broken([name for use, names in NEEDED.items() if use != SCENES for name in names], trying),
        "resources": str(resources.root()),
        "devices": devices.report(),
        **_models(),
        "missing": [],
    }
    for use, names in NEEDED.items():
        if use == SCENES and content["slicer"]["kind"] == "application":
            continue
        absent = [name for name in names if installed(name) is None]
        if absent:
            content["missing"].append(f"For {use}, install {', '.join(absent)}.")
    if dataset is not None:
        content["dataset"] = dataset_counts(dataset)
    return content


def broken(names: Iterable[str], trying: Callable[[str], None] | None = None) -> dict[str, str]:
    """{package: why it cannot be imported}, of those that are installed; `trying` is told each name before."""
    importers = {"torch": devices.import_torch, "openvino": devices.import_openvino}
    found = {}
    for name in names:
        if installed(name) is None:
            continue
        if trying is not None:
            trying(name)
        try:
            importers.get(name, lambda name=name: importlib.import_module(name))()
        except Exception as error:
            # ModelErrors are sentences around the cause.
            found[name] = str(error.__cause__ or error) or type(error).__name__
    return found


def main(arguments: Iterable[str] = ()) -> None:
    """Print as one line of JSON the report or, given names of packages, what is wrong with those.

    For a process of its own: it imports torch, and needs no package beside NumPy. On the standard error stream it says
    :data:`TRYING` and a name before each import.
    """

    def say(name: str) -> None:
        print(f"{TRYING}{name}", file=sys.stderr, flush=True)

    names = list(arguments)
    content = {"broken": broken(names, say)} if names else report(trying=say)
    print(json.dumps(content), flush=True)


def dataset_counts(dataset: Dataset) -> dict[str, Any]:
    """How many exams and patients there are, by source and status, and what was found wrong."""
    table = worklist.table(dataset)
    return {
        "folder": str(dataset.root),
        "exams": len(table),
        "patients": int(table["patient_id"].nunique()),
        "images": int(table["image"].notna().sum()),
        "masks": int(table["mask"].notna().sum()),
        "source": {str(key): int(count) for key, count in table["source"].value_counts().items()},
        "status": {str(key): int(count) for key, count in table["status"].value_counts().items()},
        "problems": list(dataset.problems),
    }


def slicer() -> dict[str, Any]:
    """Whether this is Slicer itself, slicer-core, or neither."""
    module = sys.modules.get("slicer")
    if module is not None and hasattr(module, "app"):
        return {"kind": "application", "version": module.app.applicationVersion}
    found = installed("slicer-core")
    return {"kind": "slicer-core" if found else "none", "version": found}


def installed(package: str) -> str | None:
    """Version of an installed package, asked without importing it; None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _models() -> dict[str, Any]:
    """The models that can be used, and sentences about folders that look like one and cannot."""
    bundles, problems = survey()
    usable = [
        {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256, "folder": str(bundle.folder)}
        for bundle in bundles
    ]
    return {"models": usable, "model_problems": problems}
