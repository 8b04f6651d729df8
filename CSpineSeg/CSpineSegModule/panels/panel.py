"""What all panels have in common."""

import slicer
import slicer.util


class Panel:
    """One collapsible part of the form.

    Parameters
    ----------
    shell : the module's widget, see :class:`CSpineSeg.CSpineSegWidget`.
    """

    name = ""

    def __init__(self, shell):
        self.shell = shell
        self.workplace = shell.workplace
        self.root = slicer.util.loadUI(shell.resourcePath(f"UI/CSpineSeg{self.name.capitalize()}.ui"))
        self.ui = slicer.util.childWidgetVariables(self.root)
        self.setup()

    def setup(self):
        """Connect the widgets."""

    def enter(self):
        """The user shows the module."""

    def exit(self):
        """The user shows another module."""

    def opened(self, session):
        """Another exam, or another mask of it, is in the scene."""

    def closed(self):
        """No exam is open any more."""

    def saved(self, revision):
        """The open exam's mask was saved as a revision, or its status changed (None)."""

    def update(self):
        """Show the state of the workplace; called after everything that a user did, so it has to be quick."""

    def cleanup(self):
        """The module is unloaded."""
