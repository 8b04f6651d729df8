"""The Slicer module: find an exam of the dataset, open it, segment it, correct it, accept it."""

import importlib
import sys

import qt
import slicer
from CSpineSegModule import handling, install, selftest
from CSpineSegModule.handling import describe_kept, describe_session, handler
from CSpineSegModule.logic import Cancelled, Refused, Workplace
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

POLL_MS = 200


class CSpineSeg(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CSpineSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "SegmentEditor"]
        self.parent.contributors = ["CSpineSeg developers"]
        self.parent.helpText, self.parent.acknowledgementText = handling.describe_module()


class CSpineSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Connects the widgets of CSpineSeg.ui with the logic; it decides nothing."""

    def __init__(self, parent=None):
        self.logic = self.ui = self.timer = None
        self.exams, self.shown = [], False
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/CSpineSeg.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        self.logic = CSpineSegLogic()
        self.timer = qt.QTimer()
        self.timer.interval = POLL_MS
        self.timer.timeout.connect(self.onPoll)
        for signal, slot in (
            (self.ui.folderButton.clicked, self.onChooseFolder),
            (self.ui.findButton.clicked, self.onFind),
            (self.ui.patientEdit.returnPressed, self.onFind),
            (self.ui.openButton.clicked, self.onOpen),
            (self.ui.segmentButton.clicked, self.onSegment),
            (self.ui.editorButton.clicked, self.onEditor),
            (self.ui.acceptButton.clicked, self.onAccept),
            (self.ui.laterButton.clicked, self.onSaveForLater),
        ):
            signal.connect(slot)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.updateGui()

    def enter(self):
        """The user shows the module: nodes may have been deleted meanwhile."""
        self.shown = True
        self.updateGui()

    def exit(self):
        """The user shows another module, to draw perhaps: nothing may change the scene unasked."""
        self.shown = False

    def cleanup(self):
        """The module is unloaded or reloaded."""
        self.timer.stop()
        self.removeObservers()
        # At the end of Slicer the widgets may be gone already.
        with slicer.util.tryWithErrorDisplay(_("What was drawn could not be saved.")):
            self.logic.workplace.close()

    def onReload(self):
        """Reload the helper packages too; the module itself is reloaded by Slicer."""
        self.cleanup()
        for name in [name for name in sys.modules if name.split(".")[0] in ("CSpineSegModule", "CSpineSegLib")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        ScriptedLoadableModuleWidget.onReload(self)

    @handler
    def onSceneStartClose(self):
        kept = self.logic.workplace.leave_scene(self.ui.annotatorEdit.text)
        if kept is not None:
            self.showStatus(*describe_kept(kept))

    def updateGui(self):
        """Enable what can be done now."""
        opened = self.logic.workplace.session is not None
        segmenting = self.logic.workplace.is_segmenting()
        self.ui.openButton.enabled = bool(self.exams)
        self.ui.segmentButton.enabled = opened or segmenting
        waiting = _("Open result") if self.logic.workplace.has_result() else _("Segment")
        self.ui.segmentButton.text = _("Cancel") if segmenting else waiting
        self.ui.progressBar.visible = segmenting
        for button in (self.ui.editorButton, self.ui.acceptButton, self.ui.laterButton):
            button.enabled = opened

    def showStatus(self, *texts):
        self.ui.statusLabel.text = " ".join(texts)

    @handler
    def onChooseFolder(self):
        folder = qt.QFileDialog.getExistingDirectory(self.parent, _("Dataset folder"), self.ui.folderEdit.text)
        if folder:
            self.ui.folderEdit.text = folder

    @handler
    def onFind(self):
        self.exams = []
        self.ui.examCombo.clear()
        install.ensure()
        dataset = self.logic.openDataset(self.ui.folderEdit.text)
        self.exams = self.logic.findExams(self.ui.patientEdit.text)
        for exam, status in zip(self.exams, self.logic.workplace.statuses(self.exams), strict=True):
            self.ui.examCombo.addItem(handling.describe_exam(exam, status))
        self.showStatus(_("{count} exams found.").format(count=len(self.exams)), *dataset.problems[:1])

    @handler
    def onOpen(self):
        install.ensure()
        if self.logic.workplace.is_changed() and not slicer.util.confirmOkCancelDisplay(
            _("The open mask was changed and is not saved. Open another exam and lose the changes?")
        ):
            return
        exam = self.exams[self.ui.examCombo.currentIndex]
        session = self.logic.openExam(exam, blind=self.ui.blindCheck.checked, annotator=self.ui.annotatorEdit.text)
        handling.show_in_views(session)
        self.showStatus(*describe_session(session))

    @handler
    def onSegment(self):
        if self.logic.workplace.is_segmenting():
            self.logic.workplace.cancel()
            self.showStatus(_("Cancelling ..."))
        elif self.logic.workplace.has_result():
            self.openResult()
        else:
            install.ensure(segmentation=True)
            self.startSegmentation()

    def startSegmentation(self, anyway=False):
        self.logic.workplace.start_segmentation(anyway)
        self.ui.progressBar.value = 0
        self.showStatus(_("Starting ..."))
        self.timer.start()

    @handler
    def onPoll(self):
        event, running = self.logic.workplace.poll()
        if event is not None:
            self.ui.progressBar.value = round(100 * event.fraction)
            self.showStatus(handling.describe_event(event))
        if not running:
            self.timer.stop()
            self.onSegmented()

    def onSegmented(self):
        workplace = self.logic.workplace
        try:
            done = _("{exam} is segmented.").format(exam=workplace.finish().stem)
        except (Cancelled, Refused) as stopped:
            self.showStatus(str(stopped))
            return self.startSegmentation(anyway=True) if handling.ask_anyway(stopped) else None
        if not workplace.has_result():
            self.showStatus(done)
        elif self.shown and not workplace.is_changed():
            self.openResult(done)
        else:
            self.showStatus(done, _("'Open result' shows it here; what is drawn is kept as a revision then."))

    def openResult(self, *texts):
        session, kept = self.logic.workplace.open_result(self.ui.annotatorEdit.text)
        handling.show_in_views(session)
        self.showStatus(*texts, *describe_session(session), *describe_kept(kept))

    @handler
    def onEditor(self):
        case = self.logic.workplace.session.case
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(case.segmentation_node)
        editor.setSourceVolumeNode(case.volume_node)

    @handler
    def onAccept(self):
        self.save("accepted", _("Accepted as revision {number}: {file}."))

    @handler
    def onSaveForLater(self):
        self.save("in review", _("Saved for later as revision {number}: {file}."))

    def save(self, status, text):
        revision = self.logic.save(status, self.ui.annotatorEdit.text)
        for index, exam in enumerate(self.exams):
            if self.logic.workplace.is_open(exam):
                self.ui.examCombo.setItemText(index, handling.describe_exam(exam, self.logic.workplace.status(exam)))
        self.showStatus(text.format(number=revision.number, file=revision.mask.name), *revision.warnings)


class CSpineSegLogic(ScriptedLoadableModuleLogic):
    """For scripts and the Python console; the work is done by :class:`CSpineSegModule.logic.Workplace`."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.workplace = Workplace()

    def openDataset(self, folder):
        return self.workplace.open_dataset(folder)

    def findExams(self, patient=""):
        return self.workplace.exams(patient)

    def openExam(self, exam, model=None, blind=False, annotator=None):
        return self.workplace.open_exam(exam, model, blind=blind, annotator=annotator)

    def segment(self):
        """Segment the open exam, wait and open the mask; returns the exam and the revision of what was drawn before."""
        self.workplace.start_segmentation()
        return self.workplace.finish(), self.workplace.open_result()[1]

    def save(self, status="accepted", annotator=None):
        return self.workplace.save(status, annotator)


class CSpineSegTest(ScriptedLoadableModuleTest):
    """Opens and accepts an exam of a small sample dataset; no network, no model."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_openAndAccept()

    def test_openAndAccept(self):
        selftest.open_and_accept(self, CSpineSegLogic())
