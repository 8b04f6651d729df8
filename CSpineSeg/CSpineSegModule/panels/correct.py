"""Correcting the open mask and deciding on it; mirrors CSpineSegLib/workplace/correct.py, clock.py and recovery.py."""

import time

import qt
import slicer
import slicer.util
from slicer.i18n import tr as _

from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.workplace import correct, recovery
from CSpineSegModule import handling, keys
from CSpineSegModule.handling import handler
from CSpineSegModule.panels.panel import Panel
from CSpineSegModule.recovering import Recovering

# A stroke of the brush is many changes; what follows from them is done once the hand rests.
CHANGED_MS = 300
CLOCK_MS = 1000
# Nobody has looked at an exam that opened less than this long ago: a key pressed twice must not accept it, too.
SEEN_SECONDS = 0.5


def describe_status(status):
    """A review status in words."""
    return {
        "unreviewed": _("Nobody has reviewed it."),
        "in review": _("It is in review."),
        "accepted": _("It is accepted."),
        "rejected": _("It is rejected."),
    }[status]


def describe_seconds(seconds):
    """A duration in minutes and seconds."""
    return _("{minutes} min {seconds} s").format(minutes=int(seconds) // 60, seconds=int(seconds) % 60)


class CorrectPanel(Panel):
    """The embedded segment editor, the decisions, the keys, and what a crash left."""

    name = "correct"

    def setup(self):
        self.guard = self.views = None
        self.status, self.told, self.since = None, "", 0.0
        self.editing = self.rejecting = False
        self.recovering = Recovering(self)
        self.changedTimer = self.makeTimer(CHANGED_MS, self.onChanged)
        self.changedTimer.singleShot = True
        self.keepTimer = self.makeTimer(round(1000 * recovery.EVERY_SECONDS), self.onKeep)
        self.clockTimer = self.makeTimer(CLOCK_MS, self.showState)
        self.setupEditor()
        self.keys = keys.Keys(self.root, self.slots())
        self.ui.keysLabel.text = keys.describe()
        for signal, slot in (
            (self.ui.acceptNextButton.clicked, self.onAcceptNext),
            (self.ui.acceptButton.clicked, self.onAccept),
            (self.ui.laterButton.clicked, self.onLater),
            (self.ui.rejectButton.clicked, self.onReject),
            (self.ui.confirmRejectButton.clicked, self.onConfirmReject),
            (self.ui.reasonEdit.returnPressed, self.onConfirmReject),
            (self.ui.cancelRejectButton.clicked, self.onCancelReject),
            (self.ui.reopenButton.clicked, self.onReopen),
            (self.ui.hideMaskCheck.toggled, self.onHideMask),
        ):
            signal.connect(slot)

    def makeTimer(self, interval, slot):
        timer = qt.QTimer()
        timer.interval = interval
        timer.timeout.connect(slot)
        return timer

    def setupEditor(self):
        """Two segments that nobody adds to, and the effects that serve here; views are the form's business."""
        editor = self.ui.segmentEditor
        editor.segmentationNodeSelectorVisible = False
        editor.sourceVolumeNodeSelectorVisible = False
        editor.autoShowSourceVolumeNode = False
        editor.switchToSegmentationsButtonVisible = False
        editor.addRemoveSegmentButtonsVisible = False
        editor.specifyGeometryButtonVisible = False
        editor.maskingSectionVisible = False
        editor.unorderedEffectsVisible = False
        editor.setEffectNameOrder(list(correct.EFFECTS))
        editor.undoEnabled = True
        editor.maximumNumberOfUndoStates = correct.UNDO_STEPS

    def slots(self):
        """What each key does: for most, the button, if it can be clicked now."""
        ui = self.ui
        return {
            "acceptNext": lambda: self.accepts(ui.acceptNextButton),
            "accept": lambda: self.accepts(ui.acceptButton),
            "later": lambda: ui.laterButton.click(),
            "reject": lambda: ui.rejectButton.click(),
            "reopen": lambda: ui.reopenButton.click(),
            "previousSlice": self.onPreviousSlice,
            "nextSlice": self.onNextSlice,
            "hideMask": lambda: ui.hideMaskCheck.click(),
            "doubtMap": self.onDoubtMap,
        }

    # Coming and going

    def enter(self):
        self.enableKeys()
        self.ui.segmentEditor.setupViewObservations()
        self.clockTimer.start()
        self.recovering.offer()

    def exit(self):
        # An effect left on would go on taking the mouse in other modules.
        self.ui.segmentEditor.setActiveEffect(None)
        self.ui.segmentEditor.removeViewObservations()
        self.clockTimer.stop()
        self.enableKeys()

    def isSeen(self):
        """Whether the open exam has been on the screen long enough to be decided on by a key."""
        return time.monotonic() - self.since >= SEEN_SECONDS

    def accepts(self, button):
        if self.isSeen():
            button.click()

    def opened(self, session):
        from CSpineSegLib import scene

        self.since = time.monotonic()
        self.watchNothing()
        context, case = session.context, session.case
        self.guard = scene.Guard(context, case, self.onEdited)
        self.views = scene.watch_views(context, self.workplace.clock.touch)
        editor = self.ui.segmentEditor
        editor.setMRMLSegmentEditorNode(scene.editor_node(context))
        editor.setMRMLScene(context.scene)
        editor.setSegmentationNode(case.segmentation_node)
        editor.setSourceVolumeNode(case.volume_node)
        self.editing = True
        self.ui.hideMaskCheck.checked = False
        self.rejecting = False
        self.status = correct.status(self.workplace)
        self.keepTimer.start()
        self.enableKeys()

    def closed(self):
        self.watchNothing()
        self.keepTimer.stop()
        self.changedTimer.stop()
        self.status, self.rejecting = None, False
        if self.editing:
            self.ui.segmentEditor.setActiveEffect(None)
            self.ui.segmentEditor.setSegmentationNode(None)
            self.editing = False
        self.enableKeys()
        # What was drawn on an exam whose nodes were deleted is offered at once.
        self.workplace.keeper.leave()
        self.recovering.offer()

    def saved(self, revision):
        self.status = correct.status(self.workplace)

    def cleanup(self):
        self.watchNothing()
        for timer in (self.changedTimer, self.keepTimer, self.clockTimer):
            timer.stop()
        self.keys.remove()

    def watchNothing(self):
        for watch in (self.guard, self.views):
            if watch is not None:
                watch.close()
        self.guard = self.views = None

    def enableKeys(self):
        """Keys, those of Slicer's editor too, work while an exam is open and the module is shown."""
        on = self.shell.shown and self.workplace.session is not None
        self.keys.enable(on)
        self.ui.segmentEditor.uninstallKeyboardShortcuts()
        if on and slicer.util.mainWindow() is not None:
            self.ui.segmentEditor.installKeyboardShortcuts(slicer.util.mainWindow())

    # What is shown

    def update(self):
        possible = correct.possible(self.status)
        # Who is about to reject an exam does not mean to accept it.
        self.ui.rejectFrame.visible = self.rejecting
        for button in (self.ui.acceptNextButton, self.ui.acceptButton, self.ui.laterButton):
            button.enabled = possible.save and not self.rejecting
        self.ui.rejectButton.enabled = self.ui.confirmRejectButton.enabled = possible.reject
        self.ui.reopenButton.enabled = possible.reopen
        self.ui.hideMaskCheck.enabled = self.ui.segmentEditor.enabled = possible.save
        self.showState()

    def showState(self):
        """Whether the mask is saved, and how long it was worked on."""
        if self.workplace.session is None:
            text = _("No exam is open.")
        else:
            parts = (describe_status(self.status), self.describeChange(), self.describeTime())
            text = " ".join(part for part in parts if part)
        # Setting a text draws the label again even if it is the same.
        if text != self.ui.stateLabel.text:
            self.ui.stateLabel.text = text

    def describeChange(self):
        try:
            return _("Changed, not saved.") if self.workplace.is_changed() else _("Nothing to save.")
        except CSpineSegError as error:
            return _("It cannot be saved as it is now: {reason}").format(reason=error)

    def describeTime(self):
        return _("Editing time: {time}.").format(time=describe_seconds(self.workplace.clock.seconds))

    # Editing

    def onEdited(self):
        """Something changed the segmentation: an effect may be in the middle of it, so only a note is taken."""
        self.workplace.clock.touch()
        self.changedTimer.start()

    @handler
    def onChanged(self):
        restored = self.restore()
        if restored:
            self.shell.say(*restored)

    def restore(self):
        """Put the two segments back to what they have to be; returns sentences about what they were not."""
        return self.guard.restore() if self.guard is not None and self.workplace.session is not None else []

    def onKeep(self):
        """Keep a copy of what is not saved; that it fails is said once, and no reason to stop anybody's work."""
        try:
            self.workplace.keeper.keep()
            self.told = ""
        except CSpineSegError as error:
            if str(error) != self.told:
                self.told = str(error)
                self.shell.say(_("A copy in case of a crash could not be kept: {reason}").format(reason=error))

    def rest(self):
        """Put the editor's effect down, which takes the mouse."""
        self.ui.segmentEditor.setActiveEffect(None)

    def save_undo_state(self):
        """Let the user take back what is done to the open segmentation next."""
        if self.workplace.session is not None:
            self.ui.segmentEditor.saveStateForUndo()

    @handler
    def onPreviousSlice(self):
        self.step(-1)

    @handler
    def onNextSlice(self):
        self.step(1)

    def step(self, by):
        from CSpineSegLib.scene import views

        session = self.workplace.session
        if session is not None:
            views.step(session.context, session.case, by)

    @handler
    def onHideMask(self):
        from CSpineSegLib import scene

        session = self.workplace.session
        if session is not None:
            scene.levels.hide(session.context, session.case, self.ui.hideMaskCheck.checked)

    @handler
    def onDoubtMap(self):
        check = self.shell.panels["check"].ui.doubtCheck
        if check.enabled:
            check.click()
        else:
            self.shell.say(_("No model has said where it doubts this mask; segment the exam to see it."))

    # Deciding

    @handler
    def onAccept(self):
        self.accept()

    @handler
    def onAcceptNext(self):
        accepted = self.accept()
        if self.shell.panels["dataset"].openNext():
            self.shell.say(*accepted, *handling.describe_session(self.workplace.session))
        else:
            self.shell.say(*accepted, _("No other exam that the filters leave waits for a review."))

    def accept(self):
        """Save the open mask as accepted; returns the sentences that say so."""
        return self.save("accepted", _("{exam} is accepted as revision {number}."))

    @handler
    def onLater(self):
        self.save("in review", _("{exam} is saved for later as revision {number}."))

    def save(self, status, text):
        restored = self.restore()
        revision = self.workplace.save(status)
        said = text.format(exam=self.workplace.session.exam.stem, number=revision.number)
        self.shell.saved(revision, said, *restored, *revision.warnings)
        return [said, *restored, *revision.warnings]

    @handler
    def onReject(self):
        """Ask for the reason before anything is written."""
        self.root.collapsed = False
        self.ui.reasonEdit.text = ""
        self.rejecting = self.ui.rejectFrame.visible = True
        self.ui.reasonEdit.setFocus()

    @handler
    def onCancelReject(self):
        self.rejecting = False

    @handler
    def onConfirmReject(self):
        exam = self.workplace.need_session().exam.stem
        correct.reject(self.workplace, self.ui.reasonEdit.text)
        self.rejecting = False
        self.shell.saved(None, _("{exam} is rejected.").format(exam=exam))

    @handler
    def onReopen(self):
        correct.reopen(self.workplace)
        self.shell.saved(None, _("{exam} is in review again.").format(exam=self.workplace.session.exam.stem))


PANEL = CorrectPanel
