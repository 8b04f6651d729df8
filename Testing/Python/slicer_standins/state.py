"""What the user of the module sees and answers, and what the module asked Slicer for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any


@dataclass
class Slicer:
    """The application in a test: its scene and window, the answers that its user will give, what happened.

    Parameters
    ----------
    context : the scene with its logics, a :class:`CSpineSegLib.scene.Context`.
    window : the main window, a QMainWindow; None for a run without one.
    views : the logics of the slice views.
    settings : the ini file behind QSettings.
    chosen_folder, chosen_file, typed : what the user chooses in the next dialogs; empty for Escape.
    answer : to questions: True is OK, False is Cancel or Escape, a text is the button that starts so.
    answers : answers to be given first, in this order.
    errors, details, messages, questions : what was shown.
    uncaught : exceptions that went through a slot.
    missing, installed, declines : packages that are not installed, what was installed, whether the user declines it.
    widget : the module's own widget.
    shown : the module that is shown; leave, enter : called when the user leaves ours or comes back to it.
    """

    context: Any = None
    window: Any = None
    settings: Path | None = None
    chosen_folder: str = ""
    chosen_file: str = ""
    typed: str = ""
    answer: bool | str = True
    answers: list[bool | str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    uncaught: list[BaseException] = field(default_factory=list)
    views: list[Any] = field(default_factory=list)
    selected: list[str] = field(default_factory=list)
    reloaded: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    installed: list[SimpleNamespace] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    started: list[tuple[str, Any]] = field(default_factory=list)
    declines: bool = False
    testing: bool = False
    widget: Any = None
    shown: str = "CSpineSeg"
    leave: Callable[[], None] = lambda: None
    enter: Callable[[], None] = lambda: None

    def ask(self, question: str) -> bool | str:
        """Put a question to the user, who answers."""
        self.questions.append(question)
        return self.answers.pop(0) if self.answers else self.answer
