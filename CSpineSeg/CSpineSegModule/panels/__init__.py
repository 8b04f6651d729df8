"""The panels of the form, one a file; each shows what the file of the same name in CSpineSegLib/workplace decides."""

from importlib import import_module

NAMES = ("dataset", "segment", "correct", "check", "doctor")


def build(shell):
    """The panels of a form by name, in the order in which they are shown."""
    return {name: import_module(f"{__name__}.{name}").PANEL(shell) for name in NAMES}
