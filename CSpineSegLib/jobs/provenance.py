"""Which software did it: the versions that every result carries."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from .. import __version__

PACKAGES = ("numpy", "scipy", "nibabel", "torch", "monai", "slicer-core")


def software() -> dict[str, str]:
    """Versions of this library, Python and the packages that are installed; nothing is imported for it."""
    found = {"cspineseg": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
