"""Segmentation: model, device, the open exam, the next exams; mirrors CSpineSegLib/workplace/segment.py."""

import os

import qt
from slicer.i18n import tr as _

from CSpineSegLib.errors import Cancelled, GraphicsMemoryError, OrientationError, Refused
from CSpineSegLib.workplace import ahead, choices
from CSpineSegModule import asking, handling, install
from CSpineSegModule.handling import handler
from CSpineSegModule.panels.panel import Panel

POLL_MS = 200


class SegmentPanel(Panel):
    """Apply, which turns into Cancel, and the exams that are segmented before their turn comes."""

    name = "segment"

    def setup(self):
        self.segmenting = self.workplace.segmenting
        self.models, self.devices, self.filling = [], [], False
        # What the job under way is for, to do it again in another way.
        self.exam = self.source = None
        self.written, self.ready = 0, 0
        self.timer = qt.QTimer()
        self.timer.interval = POLL_MS
        self.ui.progressBar.visible = False
        for signal, slot in (
            (self.timer.timeout, self.onPoll),
            (self.ui.modelCombo.currentTextChanged, self.onModel),
            (self.ui.deviceCombo.currentTextChanged, self.onDevice),
            (self.ui.importButton.clicked, self.onImport),
            (self.ui.applyButton.clicked, self.onApply),
            (self.ui.aheadButton.clicked, self.onAhead),
        ):
            signal.connect(slot)

    def enter(self):
        if not self.models:
            self.fillModels()
        if not self.devices:
            self.devices = choices.devices()
            self.fill(self.ui.deviceCombo, self.devices)

    def update(self):
        self.choose()
        running, session = self.segmenting.is_running, self.workplace.session
        waiting = _("Open result") if self.segmenting.has_result() else _("Segment")
        self.ui.applyButton.text = _("Cancel") if running else waiting
        self.ui.applyButton.enabled = running or session is not None
        self.ui.importButton.enabled = not running
        self.ui.progressBar.visible = running
        if not running:
            self.ui.stageLabel.text = "" if session is not None else _("Open an exam to segment it.")
        self.ui.aheadButton.text = _("Stop") if self.segmenting.ahead.is_running else _("Start")
        self.ui.aheadButton.enabled = self.segmenting.ahead.is_running or self.workplace.dataset is not None
        self.ui.aheadLabel.text = self.describeAhead()
        self.ui.aheadLabel.visible = bool(self.ui.aheadLabel.text)
        self.showLog()

    def cleanup(self):
        self.timer.stop()

    # Model and device

    def fillModels(self):
        """Offer the models that there are; sentences on those that are damaged go to the log."""
        self.models, problems = choices.models()
        for problem in problems:
            self.segmenting.tell(problem)
        self.fill(self.ui.modelCombo, self.models)

    def fill(self, combo, offered):
        self.filling = True
        combo.clear()
        for choice in offered:
            combo.addItem(choice.text)
        self.filling = False

    def choose(self):
        """Show and use what the scene's parameters say, or the usual where they name nothing that is here."""
        parameters = self.shell.parameters
        wanted = (parameters.model, parameters.device) if parameters is not None else ("", "")
        self.segmenting.model = self.choice(self.ui.modelCombo, self.ui.modelLabel, self.models, wanted[0], "")
        self.segmenting.device = self.choice(self.ui.deviceCombo, self.ui.deviceLabel, self.devices, wanted[1], "auto")

    def choice(self, combo, label, offered, wanted, usual):
        """The name to use; the combo and the words below it show it."""
        if not offered:
            return usual
        index = next((index for index, choice in enumerate(offered) if choice.name == wanted), 0)
        if combo.currentIndex != index:
            self.filling = True
            combo.currentIndex = index
            self.filling = False
        if label.text != offered[index].words:
            label.text = offered[index].words
        return offered[index].name

    @handler
    def onModel(self):
        if not self.filling and self.shell.parameters is not None:
            self.shell.parameters.model = self.models[self.ui.modelCombo.currentIndex].name

    @handler
    def onDevice(self):
        if not self.filling and self.shell.parameters is not None:
            self.shell.parameters.device = self.devices[self.ui.deviceCombo.currentIndex].name

    @handler
    def onImport(self):
        title, kinds = _("Model exported by nnU-Net"), _("Models of nnU-Net (*.zip)")
        source = asking.file(self.root, title, os.path.expanduser("~"), kinds)
        if source:
            install.ensure(segmentation=True, torch=True)
            self.startImport(source)

    def startImport(self, source, orientation=None):
        self.segmenting.start_import(source, orientation)
        self.source = source
        self.began()

    # The open exam

    @handler
    def onApply(self):
        if self.segmenting.is_running:
            self.segmenting.cancel()
            self.ui.stageLabel.text = _("Cancelling ...")
        elif self.segmenting.has_result():
            self.openResult()
        else:
            self.shell.ensure_installed(segmentation=True)
            self.start(self.workplace.need_session().exam)

    def start(self, exam, anyway=False, device=None):
        self.choose()
        self.segmenting.start(exam, anyway, device)
        self.exam = exam
        self.began()

    def began(self):
        self.ui.progressBar.value = 0
        self.ui.stageLabel.text = _("Starting ...")
        self.timer.start()

    def onPoll(self):
        """Show how far it is; everything else is brought up to date only when something has ended."""
        event = self.segmenting.poll()
        if event is not None:
            self.ui.progressBar.value = round(100 * event.fraction)
            self.ui.stageLabel.text = handling.describe_event(event)
        self.showLog()
        if self.segmenting.has_ended:
            self.onEnded()
        if len(self.segmenting.ahead.done) + len(self.segmenting.ahead.failed) != self.ready:
            self.onReady()
        if not self.segmenting.is_busy:
            self.timer.stop()

    @handler
    def onEnded(self):
        importing = self.segmenting.is_importing
        try:
            result = self.segmenting.finish()
        except Cancelled as stopped:
            self.shell.say(str(stopped))
        except Refused as refused:
            self.shell.say(str(refused))
            if handling.ask_anyway(refused):
                self.start(self.exam, anyway=True)
        except GraphicsMemoryError as error:
            self.shell.say(str(error))
            if asking.confirm(_("{reason} Segment it on the processor instead?").format(reason=error)):
                self.start(self.exam, device="cpu")
        except OrientationError:
            orientation = self.askOrientation()
            if orientation:
                self.startImport(self.source, orientation)
        else:
            self.imported(result) if importing else self.segmented(result)

    def askOrientation(self):
        """How the images lay that a model was trained on; empty if the user does not say."""
        question = _(
            "The model does not tell how its training images lay. Write the directions of their three axes: "
            "P or A, S or I, R or L. Images of CSpineSeg are PSR; ask who made the model."
        )
        return qt.QInputDialog.getText(self.root, _("CSpineSeg"), question)

    def imported(self, made):
        self.fillModels()
        if self.shell.parameters is not None:
            self.shell.parameters.model = made["name"]
        self.shell.say(_("The model {name} is imported and chosen.").format(name=made["name"]), *made["notes"])

    def segmented(self, result):
        done = _("{exam} is segmented.").format(exam=result.stem)
        self.shell.panels["dataset"].refresh(self.exam)
        if not self.segmenting.has_result():
            self.shell.say(done)
        elif self.shell.shown and not self.workplace.is_changed():
            self.openResult(done)
        else:
            self.shell.say(done, _("'Open result' shows it here; what is drawn is kept as a revision then."))

    def openResult(self, *sentences):
        session, kept = self.segmenting.open_result()
        self.shell.present(session, *sentences, *handling.describe_kept(kept))
        self.segmenting.save_undo_state(self.shell.panels["correct"].save_undo_state)

    # The next exams

    @handler
    def onAhead(self):
        if self.segmenting.ahead.is_running:
            self.segmenting.ahead.stop()
            self.shell.say(_("No more exams are segmented in the background; masks that are ready stay."))
            return
        exams = ahead.upcoming(self.workplace, self.ui.aheadSpin.value, self.shell.panels["dataset"].rows)
        if not exams:
            self.shell.say(_("Every exam that waits for a review has a mask of this model."))
            return
        self.shell.ensure_installed(segmentation=True)
        self.choose()
        self.ready = 0
        self.segmenting.start_ahead(exams)
        self.timer.start()

    @handler
    def onReady(self):
        """A mask is ready: its exam opens with it from now on."""
        known = len(self.segmenting.ahead.done) + len(self.segmenting.ahead.failed)
        for exam in self.segmenting.ahead.done[-(known - self.ready) :]:
            self.shell.panels["dataset"].refresh(exam)
        self.ready = known

    def describeAhead(self):
        """How far the background is."""
        state = self.segmenting.ahead
        if state.total == 0:
            return ""
        text = _("{done} of {total} ready").format(done=len(state.done), total=state.total)
        if state.current is not None:
            text = _("{text}, {exam} under way").format(text=text, exam=state.current.stem)
        if state.failed:
            text = _("{text}, {count} failed: see the log").format(text=text, count=len(state.failed))
        return text

    def showLog(self):
        new = self.segmenting.logged - self.written
        if new:
            lines = list(self.segmenting.log)[-new:]
            self.ui.logEdit.appendPlainText("\n".join(lines))
            self.written = self.segmenting.logged


PANEL = SegmentPanel
