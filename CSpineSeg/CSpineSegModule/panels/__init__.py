"""The panels of the form, one a file; each shows what the file of the same name in CSpineSegLib/workplace decides."""

from importlib import import_module

NAMES = ("dataset", "segment", "correct", "check", "levels", "doctor")


def build(shell):
    """The panels of a form by name, in the order in which they are shown."""
    return {name: import_module(f"{__name__}.{name}").PANEL(shell) for name in NAMES}


def bound(panels):
    """The widgets of panels that stand for parameters, by the parameters' names.

    To be asked for once: widgets that Slicer's editor makes for itself come and go, and one that is gone has no answer.
    The parameters' own connectGui would look for them too, but gives nothing to part from them by.
    """
    widgets = [widget for panel in panels.values() for widget in vars(panel.ui).values()]
    return {name: widget for widget in widgets if (name := widget.property("SlicerParameterName"))}
