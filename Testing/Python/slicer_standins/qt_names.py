"""The modules `qt` and `ctk`: the classes that are listed, and dialogs that are answered by the test."""

from __future__ import annotations

import types
from typing import Any

from . import api
from .listed import Strict
from .state import Slicer
from .strict import StrictClass


class Names(types.ModuleType):
    """A module of classes by name, each only if it is listed."""

    def __init__(self, name: str, special: dict[str, Any], sources: tuple[Any, ...] = ()) -> None:
        super().__init__(name)
        self.__dict__.update(_special=special, _sources=sources)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        if not api.listed(full):
            raise api.missing(full)
        # PySide6 makes its classes when they are asked for.
        found = self._special.get(name) or next(
            filter(None, (getattr(part, name, None) for part in self._sources)), None
        )
        if found is None:
            raise AttributeError(f"the stand-ins have no {full} yet")
        return StrictClass(found, full) if isinstance(found, type) else found


def qt(slicer: Slicer) -> types.ModuleType:
    """Slicer's `qt`, whose dialogs are answered by what `slicer` says."""
    from PySide6 import QtCore, QtGui, QtWidgets

    class QSettings(QtCore.QSettings):
        """The user's settings, in a file of the test."""

        def __init__(self) -> None:
            super().__init__(str(slicer.settings), QtCore.QSettings.Format.IniFormat)

    class QMessageBox(QtWidgets.QMessageBox):
        """Is answered at once."""

        def exec_(self) -> Any:
            button = _pressed(self, slicer.ask(self.text()))
            self._clicked = button
            return self.standardButton(button)

        def clickedButton(self) -> Any:
            return getattr(self, "_clicked", None)

    # PythonQt gives the name alone, where PySide6 adds the kind that was chosen or whether OK was pressed.
    dialogs = {
        "QFileDialog": _functions(
            "qt.QFileDialog",
            getExistingDirectory=lambda parent, caption, folder: slicer.chosen_folder,
            getOpenFileName=lambda parent, caption, folder, kinds: slicer.chosen_file,
        ),
        "QInputDialog": _functions(
            "qt.QInputDialog",
            getText=lambda parent, title, label, *more: slicer.ask(label) and slicer.typed,
        ),
    }
    special = {"QSettings": QSettings, "QMessageBox": QMessageBox, **dialogs}
    # Qt 6 moved these to QtGui; Qt 5.15 has no other QAction.
    return Names("qt", special, (QtCore, QtGui, QtWidgets))


def ctk() -> types.ModuleType:
    from . import widgets

    return Names("ctk", {"ctkCollapsibleButton": widgets.ctkCollapsibleButton})


def _functions(scope: str, **functions: Any) -> Strict:
    """The static functions of a dialog, as far as they are listed."""
    return Strict(**{name: function for name, function in functions.items() if api.listed(f"{scope}.{name}")})


def _pressed(box: Any, answer: bool | str) -> Any:
    """The button of a message box that an answer means."""
    from PySide6.QtWidgets import QMessageBox

    if isinstance(answer, str):
        found = [button for button in box.buttons() if button.text().replace("&", "").startswith(answer)]
        if not found:
            raise AssertionError(f"no button of {[button.text() for button in box.buttons()]} starts with {answer!r}")
        return found[0]
    roles = QMessageBox.ButtonRole
    wanted = (roles.AcceptRole, roles.YesRole) if answer else (roles.RejectRole, roles.NoRole)
    found = [button for button in box.buttons() if box.buttonRole(button) in wanted]
    return found[0] if found else None
