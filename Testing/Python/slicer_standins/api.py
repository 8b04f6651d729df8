"""The names of Slicer's application that the module may use, from Testing/slicer_api.txt; others do not exist here."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / "slicer_api.txt"


def read(text: str) -> dict[str, str]:
    """Each name with where it was read; lines are "name<TAB>where", a line that starts with # is a remark."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {name.strip(): where.strip() for name, _, where in (line.partition("\t") for line in lines)}


@cache
def names() -> dict[str, str]:
    return read(PATH.read_text(encoding="utf-8"))


@cache
def _scopes() -> frozenset[str]:
    """Names that stand before a dot: `qt.QTimer` where `qt.QTimer.singleShot` is listed."""
    parts = [name.split(".") for name in names()]
    return frozenset(".".join(part[:length]) for part in parts for length in range(1, len(part)))


def listed(name: str) -> bool:
    """True if a name, or one inside it, stands in the list."""
    return name in names() or name in _scopes()


def missing(name: str) -> AttributeError:
    """What is raised for a name that is not listed; it says what to do if it does exist in Slicer."""
    return AttributeError(
        f"{name} is not in Testing/slicer_api.txt: if Slicer has it (PythonQt, Qt 5.15), add it with where it was read"
    )
