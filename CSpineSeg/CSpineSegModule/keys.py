"""The keys of the form: shortcuts in Slicer's window while an exam is open in it, and the table that lists them."""

import qt
import slicer.util
from slicer.i18n import tr as _

from CSpineSegLib.workplace.correct import KEYS


class Keys:
    """The shortcuts of :data:`CSpineSegLib.workplace.correct.KEYS`, at first without effect.

    Parameters
    ----------
    root : the widget in whose window they work where Slicer has no main window.
    slots : what to call, by the name of the action.
    """

    def __init__(self, root, slots):
        window = slicer.util.mainWindow()
        self.shortcuts = []
        for key in KEYS:
            for sequence in key.sequences:
                shortcut = qt.QShortcut(qt.QKeySequence(sequence), root if window is None else window)
                shortcut.enabled = False
                shortcut.autoRepeat = key.repeats
                shortcut.activated.connect(slots[key.action])
                self.shortcuts.append(shortcut)

    def enable(self, on):
        for shortcut in self.shortcuts:
            shortcut.enabled = on

    def remove(self):
        """Take them out of the window, which outlives the form."""
        self.enable(False)
        for shortcut in self.shortcuts:
            shortcut.deleteLater()
        self.shortcuts = []


def describe():
    """All keys as a table."""
    rows = [
        f"<tr><td><b>{native(key.sequences[0])}</b></td><td>{describe_action(key.action)}</td></tr>" for key in KEYS
    ]
    text = _("Slicer's own keys work as well: 1 to 8 for the effects, Q and W for the segments, Z and Y to undo.")
    return f'<table cellspacing="4">{"".join(rows)}</table><p>{text}</p>'


def native(sequence):
    """A key as this computer's keyboard names it."""
    return qt.QKeySequence(sequence).toString(qt.QKeySequence.NativeText)


def describe_action(action):
    """What a key does, in words."""
    return {
        "acceptNext": _("Accept, and open the next exam"),
        "accept": _("Accept"),
        "later": _("Save for later"),
        "reject": _("Reject; the reason is asked for"),
        "reopen": _("Reopen an accepted or rejected exam"),
        "previousSlice": _("Slice to the right of the patient"),
        "nextSlice": _("Slice to the left of the patient"),
        "hideMask": _("Hide or show the mask"),
        "doubtMap": _("Show or hide where the model doubts"),
    }[action]
