"""Which software did it, and when: what every result carries."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from .. import __version__
from .records import format_time

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
    """The time in UTC as :func:`records.format_time` writes it."""
    return format_time(datetime.now(UTC))
