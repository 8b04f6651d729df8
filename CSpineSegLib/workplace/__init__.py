"""What a reviewer has in hand, without widgets: one dataset, one open exam, one worker, and what is to be said of them.

Each panel of the Slicer module shows the file of the same name here. Importing this room loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .desk import Workplace

__all__ = ["Workplace"]


def __getattr__(name: str) -> Any:
    """`Workplace` is loaded when it is asked for: Slicer imports this room at its start."""
    if name == "Workplace":
        from .desk import Workplace

        return Workplace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
