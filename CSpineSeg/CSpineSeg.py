"""The Slicer module: find an exam of the dataset, open it, segment it, correct it, check it, accept it."""

import importlib
import sys

import slicer
from CSpineSegModule import asking, handling, install, panels, samples, selftest
from CSpineSegModule.handling import handler
from CSpineSegModule.parameters import Parameters
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from vtkmodules.util.misc import calldata_type
from vtkmodules.util.vtkConstants import VTK_OBJECT


class CSpineSeg(ScriptedLoadableModule):
    """What Slicer shows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("CSpineSeg")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "SegmentEditor"]
        self.parent.contributors = ["CSpineSeg developers"]
        self.parent.helpText, self.parent.acknowledgementText = handling.describe_module()
        # Other modules can be used only once all are loaded.
        slicer.app.connect("startupCompleted()", samples.register)


class CSpineSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Holds the panels together; the workplace decides, the panels show.

    The panels use `workplace`, `parameters` (what the user chose, kept in the scene), `panels`, :meth:`say`,
    :meth:`open`, :meth:`saved`, :meth:`update` and :meth:`ensure_installed`.
    """

    def __init__(self, parent=None):
        self.logic = self.parameters = self.ui = None
        self.panels, self._widgets, self._bound, self._presented = {}, {}, None, None
        self.shown = self._blind = False
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    @property
    def workplace(self):
        return self.logic.workplace

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = CSpineSegLogic()
        self.panels = panels.build(self)
        status = slicer.util.loadUI(self.resourcePath("UI/CSpineSeg.ui"))
        for root in (*(panel.root for panel in self.panels.values()), status):
            self.layout.addWidget(root)
        self.layout.addStretch(1)
        self.ui = slicer.util.childWidgetVariables(self.parent)
        self._widgets = panels.bound(self.panels)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.connectParameters()
        self.update()

    def enter(self):
        """The user shows the module: nodes may have been deleted meanwhile."""
        self.shown = True
        self.connectParameters()
        for panel in self.panels.values():
            panel.enter()
        self.update()

    def exit(self):
        """The user shows another module, to draw perhaps: nothing may change the scene unasked."""
        self.shown = False
        for panel in self.panels.values():
            panel.exit()
        self.disconnectParameters()

    def cleanup(self):
        """The module is unloaded or reloaded. Saving comes first: at the end of Slicer the widgets may be gone."""
        self.removeObservers()
        try:
            with slicer.util.tryWithErrorDisplay(_("What was drawn could not be saved.")):
                self.workplace.close()
        finally:
            self.disconnectParameters()
            for panel in self.panels.values():
                panel.cleanup()

    def onReload(self):
        """Reload the helper packages too; the module itself is reloaded by Slicer."""
        self.cleanup()
        for name in [name for name in sys.modules if name.split(".")[0] in ("CSpineSegModule", "CSpineSegLib")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        ScriptedLoadableModuleWidget.onReload(self)

    def connectParameters(self):
        """Bind the widgets to the scene's parameter node. Who was a blind reader is one in the next scene too."""
        if self.parameters is None:
            self.parameters = Parameters(self.logic.getParameterNode())
            self.parameters.blind = self.parameters.blind or self._blind
            self._bound = self.parameters.connectParametersToGui(self._widgets)

    def disconnectParameters(self):
        """Leave the parameter node of a scene that goes, or of a form that is not shown."""
        if self.parameters is not None:
            self._blind = self.parameters.blind
            self.parameters.disconnectGui(self._bound)
            self.parameters = self._bound = None

    # For the panels

    def say(self, *sentences):
        """Show sentences in the status line."""
        self.ui.statusLabel.text = " ".join(sentence for sentence in sentences if sentence)

    def update(self):
        """Every panel shows the state of the workplace."""
        if self._presented is not None and self.workplace.session is None:
            self.closed()
        for panel in self.panels.values():
            panel.update()

    def ensure_installed(self, segmentation=False):
        """Offer to install what is missing; CSpineSegError if the user declines."""
        card = self.parameters is not None and self.parameters.device in ("cuda", "mps")
        install.ensure(segmentation=segmentation, torch=segmentation and card)

    def open(self, exam, model=None, blind=None):
        """Open an exam; True if it was, False if the user rather stays with the changes of the open one."""
        self.ensure_installed()
        if not self.leave():
            return False
        chosen = self._blind if self.parameters is None else self.parameters.blind
        self.present(self.workplace.open_exam(exam, model, blind=chosen if blind is None else blind))
        return True

    def leave(self):
        """Ask once what becomes of changes of the open exam; False if the user stays."""
        if not self.workplace.is_changed():
            return True
        exam = self.workplace.session.exam.stem
        answer = asking.keep(_("The mask of {exam} was changed and is not saved.").format(exam=exam))
        if answer == asking.KEEP:
            self.saved(self.workplace.save_changes())
        return answer != asking.STAY

    def present(self, session, *sentences):
        """Show an exam, or another mask of it, that was opened."""
        from CSpineSegLib.scene import views

        before, self._presented = self._presented, session
        stay = before is not None and self.workplace.is_open(before.exam)
        views.show(session.context, session.case, stay=stay)
        for panel in self.panels.values():
            panel.opened(session)
        self.say(*sentences, *handling.describe_session(session))

    def saved(self, revision, *sentences):
        """The open exam was saved as a revision, or its status changed (None); the sentences are shown."""
        for panel in self.panels.values():
            panel.saved(revision)
        self.say(*(sentences or handling.describe_kept(revision)))

    def closed(self):
        """No exam is open any more."""
        self._presented = None
        for panel in self.panels.values():
            panel.closed()

    # What happens to the scene

    def onSceneStartClose(self, *_event):
        self.disconnectParameters()
        self.onOpenNodeRemoved()

    @handler
    def onSceneEndClose(self):
        if self.shown:
            self.connectParameters()

    @calldata_type(VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node):
        if self.workplace.holds(node):
            self.onOpenNodeRemoved()

    @handler
    def onOpenNodeRemoved(self):
        kept = self.workplace.leave_scene()
        if kept is not None:
            self.say(*handling.describe_kept(kept))


class CSpineSegLogic(ScriptedLoadableModuleLogic):
    """For scripts and the Python console; the work is done by :class:`CSpineSegLib.workplace.Workplace`."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        # Not at Slicer's start, which has to stay fast.
        from CSpineSegModule.process import QtProcess

        from CSpineSegLib.workplace import Workplace

        self.workplace = Workplace(start=QtProcess)

    def openDataset(self, folder):
        return self.workplace.open_dataset(folder)

    def findExams(self, patient=""):
        return self.workplace.exams(patient)

    def openExam(self, exam, model=None, blind=False, annotator=None):
        """Open an exam; what was drawn on the one before is saved as a draft."""
        self.workplace.save_changes()
        self.workplace.annotator = annotator or self.workplace.annotator
        return self.workplace.open_exam(exam, model, blind=blind)

    def segment(self, anyway=False):
        """Segment the open exam, wait and open the mask; returns the session and the revision of what was drawn."""
        self.workplace.segmenting.start(anyway=anyway)
        self.workplace.segmenting.finish()
        return self.workplace.segmenting.open_result()

    def save(self, status="accepted", annotator=None):
        self.workplace.annotator = annotator or self.workplace.annotator
        return self.workplace.save(status)


class CSpineSegTest(ScriptedLoadableModuleTest):
    """Opens and accepts an exam of a small sample dataset; no network, no model."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_openAndAccept()

    def test_openAndAccept(self):
        selftest.open_and_accept(self, CSpineSegLogic())
