"""What is installed, what is missing, and whether it fits together: the answer to "it does not work"."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import __version__, resources
from ..dataset import Dataset
from ..model import devices, survey
from ..review import worklist

NEEDED = {
    "every command": ("numpy", "scipy", "pandas", "nibabel", "typer", "rich"),
    "segmentation on a CPU": ("openvino",),
    "segmentation on a GPU, training": ("torch", "monai"),
    "scenes and pictures": ("slicer-core", "vtk"),
}


def report(dataset: Dataset | None = None) -> dict[str, Any]:
    """Versions, devices, memory, models with their SHA-256 and, with a dataset, its counts and problems.

    What is wrong with packages, devices and models is part of the report and raises nothing.
    """
    content: dict[str, Any] = {
        "cspineseg": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "slicer": _slicer(),
        "resources": str(resources.root()),
        "packages": {use: {name: _version(name) for name in names} for use, names in NEEDED.items()},
        "devices": devices.report(),
        **_models(),
        "missing": [],
    }
    for use, names in NEEDED.items():
        if use == "scenes and pictures" and content["slicer"]["kind"] == "application":
            continue
        absent = [name for name in names if _version(name) is None]
        if absent:
            content["missing"].append(f"For {use}, install {', '.join(absent)}.")
    if dataset is not None:
        content["dataset"] = dataset_counts(dataset)
    return content


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


def _slicer() -> dict[str, Any]:
    """Whether this is Slicer itself, slicer-core, or neither."""
    module = sys.modules.get("slicer")
    if module is not None and hasattr(module, "app"):
        return {"kind": "application", "version": module.app.applicationVersion}
    found = _version("slicer-core")
    return {"kind": "slicer-core" if found else "none", "version": found}


def _models() -> dict[str, Any]:
    """The models that can be used, and sentences about folders that look like one and cannot."""
    bundles, problems = survey()
    usable = [
        {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256, "folder": str(bundle.folder)}
        for bundle in bundles
    ]
    return {"models": usable, "model_problems": problems}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
