"""Questions with three answers, and dialogs whose static functions differ between Slicer's Qt and others."""

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

KEEP, DISCARD, STAY = "keep", "discard", "stay"


def keep(question: str, parent=None) -> str:
    """Ask what is to become of changes: KEEP them, DISCARD them, or STAY here; closing the window is STAY."""
    box = qt.QMessageBox
    offered = (
        (KEEP, _("Keep as a draft"), box.AcceptRole),
        (DISCARD, _("Discard"), box.DestructiveRole),
        (STAY, _("Stay here"), box.RejectRole),
    )
    return choose(question, offered, parent)


def choose(question: str, offered, parent=None) -> str:
    """Ask a question that is answered by one of several buttons.

    Parameters
    ----------
    offered : (answer, text, role) of each button; the first is the default, the last what closing the window means.
    """
    box = qt.QMessageBox(parent)
    box.windowTitle = _("CSpineSeg")
    box.text = question
    buttons = [(answer, box.addButton(text, role)) for answer, text, role in offered]
    box.setDefaultButton(buttons[0][1])
    box.exec_()
    pressed = box.clickedButton()
    answer = next((answer for answer, button in buttons if button == pressed), offered[-1][0])
    box.deleteLater()
    return answer


def confirm(question: str) -> bool:
    """Ask a question that is answered by OK or Cancel."""
    return slicer.util.confirmOkCancelDisplay(question)


def folder(parent, title: str, start: str) -> str:
    """A folder that the user chooses; empty if none."""
    return qt.QFileDialog.getExistingDirectory(parent, title, start)


def file(parent, title: str, start: str, kinds: str) -> str:
    """A file that the user chooses, for instance of kinds "Models (*.zip)"; empty if none."""
    found = qt.QFileDialog.getOpenFileName(parent, title, start, kinds)
    # Slicer's Qt gives the name, others the name and the kind that was chosen.
    return found[0] if isinstance(found, tuple) else found
