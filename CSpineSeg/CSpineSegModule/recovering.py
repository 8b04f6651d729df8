"""What was drawn and not saved when Slicer ended, offered in the correct panel; mirrors workplace/recovery.py."""

from slicer.i18n import tr as _

from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.workplace import recovery
from CSpineSegModule import asking
from CSpineSegModule.handling import handler


class Recovering:
    """The frame with the offer, at the top of the correct panel; nothing happens until the user decides."""

    def __init__(self, panel):
        self.shell, self.workplace, self.panel = panel.shell, panel.workplace, panel
        self.copies = []
        panel.ui.recoverButton.clicked.connect(self.onRecover)
        panel.ui.recoveryDiscardButton.clicked.connect(self.onDiscard)

    def offer(self):
        """Show what there is to be recovered, the newest first."""
        ui = self.panel.ui
        try:
            self.copies = self.workplace.keeper.found()
        except CSpineSegError:
            # Without a folder for the user's data nothing was ever kept.
            self.copies = []
        ui.recoveryFrame.visible = bool(self.copies)
        if not self.copies:
            return
        copy, *others = self.copies
        text = _("Unsaved work on {exam} by {annotator} of {time} was found.").format(
            exam=copy.exam, annotator=copy.annotator, time=local_time(copy.kept)
        )
        more = _("Unsaved work of {count} more times waits behind it.").format(count=len(others)) if others else ""
        ui.recoveryLabel.text = f"{text} {more}".strip()
        self.panel.root.collapsed = False

    @handler
    def onRecover(self):
        copy = self.copies[0]
        self.shell.ensure_installed()
        if not self.shell.leave():
            return
        dataset = self.workplace.dataset
        if dataset is None or dataset.root != copy.root:
            self.shell.panels["dataset"].load(str(copy.root))
        session = recovery.restore(self.workplace, copy)
        text = _("What was drawn until {time} is back, and not saved yet.").format(time=local_time(copy.kept))
        self.shell.present(session, text)
        self.offer()

    @handler
    def onDiscard(self):
        copy = self.copies[0]
        if asking.confirm(_("Discard the unsaved work on {exam} for good?").format(exam=copy.exam)):
            recovery.discard(copy)
            self.offer()


def local_time(moment):
    """A time as the user's clock shows it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
