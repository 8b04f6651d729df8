"""Levels and measurements of the open mask, and the level that a person knows; mirrors workplace/levels.py."""

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from CSpineSegLib import jobs
from CSpineSegLib.errors import Cancelled, CSpineSegError, InputError
from CSpineSegLib.progress import Progress
from CSpineSegLib.workplace import levels
from CSpineSegModule.handling import handler
from CSpineSegModule.panels.level_tables import LevelTables
from CSpineSegModule.panels.panel import Panel

# ms after the last change of the mask: a stroke is several changes.
CALM = 400


class LevelsPanel(Panel, VTKObservationMixin):
    """Shows :mod:`CSpineSegLib.workplace.levels`. The mask itself is never changed here."""

    name = "levels"

    def setup(self):
        VTKObservationMixin.__init__(self)
        self.finding = self.found = self.pointing = None
        self.busy = self.cancelled = self.outdated = self.accepted = False
        self.calmTimer = self.makeTimer(CALM, self.onCalm)
        # What follows a click is done once Slicer's views are through with it.
        self.pointTimer = self.makeTimer(0, self.onPointed)
        ui = self.ui
        self.tables = LevelTables(ui.levelsTable, (ui.measuresLabel, ui.measuresCombo, ui.measuresView))
        self.ui.levelsBar.visible = False
        for name in levels.names():
            self.ui.anchorCombo.addItem(name)
        for signal, slot in (
            (self.ui.findLevelsButton.clicked, self.onFind),
            (self.ui.levelsTable.itemSelectionChanged, self.onRow),
            (self.ui.levelsCheck.toggled, self.onShow),
            (self.ui.levelNamesCheck.toggled, self.onShow),
            (self.ui.pointButton.clicked, self.onPoint),
            (self.ui.rowButton.clicked, self.onNameRow),
            (self.ui.forgetLevelButton.clicked, self.onForget),
            (self.ui.measuresCombo.currentTextChanged, self.onMeasures),
        ):
            signal.connect(slot)
        self.show()

    def makeTimer(self, interval, slot):
        timer = qt.QTimer()
        timer.singleShot = True
        timer.interval = interval
        timer.timeout.connect(slot)
        return timer

    # Coming and going

    def opened(self, session):
        self.leave()
        self.finding = levels.Finding(self.workplace)
        segmentation = session.case.segmentation_node.GetSegmentation()
        for event in (
            slicer.vtkSegmentation.SourceRepresentationModified,
            slicer.vtkSegmentation.SegmentAdded,
            slicer.vtkSegmentation.SegmentRemoved,
        ):
            self.addObserver(segmentation, event, self.onChange)
        self.show()

    def closed(self):
        self.leave()
        self.show()

    def saved(self, revision):
        self.accepted = revision is not None and revision.status == "accepted"
        self.tell()

    def exit(self):
        # The mouse is another module's now.
        self.stopPointing()

    def cleanup(self):
        self.leave()

    def leave(self):
        """Forget the exam; nothing of its levels stays in the scene, and its mask is as visible as it was."""
        from CSpineSegLib import scene

        self.cancelled = True
        self.calmTimer.stop()
        self.stopPointing()
        self.removeObservers()
        if self.finding is not None:
            session = self.finding.session
            scene.levels.clear(session.context, session.case)
            if self.workplace.session is session:
                scene.levels.hide(session.context, session.case, self.isHidden())
        self.finding = self.found = None
        self.outdated = self.accepted = False

    def update(self):
        is_open, is_found = self.finding is not None, self.found is not None
        ready = is_open and not self.busy
        ui = self.ui
        ui.findLevelsButton.enabled = is_open
        ui.findLevelsButton.text = _("Cancel") if self.busy else _("Find levels")
        ui.levelsBar.visible = self.busy
        ui.levelsCheck.enabled = ready and is_found
        ui.levelNamesCheck.enabled = ready and is_found and ui.levelsCheck.checked
        ui.anchorCombo.enabled = ready and self.pointing is None
        ui.pointButton.enabled = ready
        ui.pointButton.text = _("Click on it...") if self.pointing is None else _("Cancel")
        ui.rowButton.enabled = ready and self.row() is not None and self.pointing is None
        given = is_found and (self.found.anchor or self.found.forsaken) is not None
        ui.forgetLevelButton.enabled = ready and given
        ui.measuresCombo.enabled = is_found

    # Finding

    @handler
    def onFind(self):
        if self.busy:
            self.cancelled = True
        else:
            self.find()

    @handler
    def onForget(self):
        self.find(jobs.NO_ANCHOR)

    def find(self, anchor=None):
        """Find the levels of the mask on the screen, show them, and say what became of them."""
        from CSpineSegLib import scene

        self.workplace.need_session()
        if self.finding is None:
            raise InputError(_("Open the exam again to find its levels."))
        self.stopPointing()
        self.shell.ensure_installed()
        finding = self.finding
        self.busy, self.cancelled = True, False
        self.update()
        try:
            found = finding.find(anchor, Progress(self.onProgress, lambda: self.cancelled))
        except Cancelled:
            self.shell.say(_("Levels were not looked for any further; nothing was changed."))
            return
        finally:
            self.busy = False
        if self.workplace.session is not finding.session:
            return
        session = finding.session
        scene.show_levels(session.context, session.case, found.labelling, found.mask)
        self.found, self.outdated, self.accepted = found, False, False
        self.ui.levelsCheck.checked = True
        self.show()
        self.arrange()
        self.shell.say(*self.describe())

    def onProgress(self, event):
        self.ui.levelsBar.value = round(100 * event.fraction)
        slicer.app.processEvents()

    # A level that a person knows

    @handler
    def onPoint(self):
        """Wait for a click on the level that is chosen; the editor's effect would take the click."""
        from CSpineSegLib import scene

        if self.pointing is not None:
            self.stopPointing()
            return
        session = self.workplace.need_session()
        self.shell.panels["correct"].rest()
        name = self.ui.anchorCombo.currentText
        self.pointing = scene.Pointing(session.context, session.case, name, self.pointTimer.start)
        self.shell.say(_("Click on {level} in a slice view.").format(level=name))

    @handler
    def onPointed(self):
        if self.pointing is None:
            return
        place = self.pointing.place
        self.stopPointing()
        if place is None:
            self.shell.say(_("No place was chosen; names stay as they are."))
        else:
            self.find((self.ui.anchorCombo.currentText, place))

    @handler
    def onNameRow(self):
        row = self.row()
        if row is not None:
            self.find((self.ui.anchorCombo.currentText, self.found.point_of(row)))

    def stopPointing(self):
        self.pointTimer.stop()
        if self.pointing is not None:
            pointing, self.pointing = self.pointing, None
            pointing.close()

    # What is shown

    @handler
    def onShow(self):
        self.arrange()

    def arrange(self):
        """Levels or mask, as it is chosen."""
        from CSpineSegLib import scene

        session = self.workplace.session
        if session is not None and self.found is not None:
            chosen = {"levels": self.ui.levelsCheck.checked, "names": self.ui.levelNamesCheck.checked}
            scene.levels.choose(session.context, session.case, **chosen, hidden=self.isHidden())

    def isHidden(self):
        return self.shell.panels["correct"].ui.hideMaskCheck.checked

    def onChange(self, *_arguments):
        """The mask may have been changed: an effect may be in the midst of it, so only a note is taken."""
        if self.found is not None or self.busy:
            self.calmTimer.start()

    @handler
    def onCalm(self):
        """Who draws has to see the mask; its levels may be others by now."""
        if self.busy:
            # What is being found now may not be of what was drawn meanwhile: to be asked when it is there.
            self.calmTimer.start()
            return
        if self.found is None or self.workplace.session is None:
            return
        try:
            outdated = not self.finding.is_current(self.found)
        except CSpineSegError:
            outdated = True
        if outdated:
            self.ui.levelsCheck.checked = False
        if outdated != self.outdated:
            self.outdated = outdated
            self.tell()

    def row(self):
        """The number of the chosen row; None without."""
        return self.tables.row()

    @handler
    def onRow(self):
        """Show the chosen row in the slice views, with its measurements."""
        from CSpineSegLib.scene import views

        row = self.row()
        if self.tables.filling or row is None:
            return
        session = self.workplace.need_session()
        views.look_at(session.context, session.case, self.found.rows[row].place)
        self.tables.measure(row)

    def show(self):
        """Fill both tables and tell what the names rest on."""
        self.tables.fill(self.found)
        self.tell()

    @handler
    def onMeasures(self):
        self.tables.fillMeasures()

    def tell(self):
        self.ui.levelsStateLabel.text = " ".join(self.describe())

    def describe(self):
        """In sentences, what the names rest on, of which mask they are, and what became of them."""
        if self.finding is None:
            return [_("Open an exam to find its levels.")]
        if self.found is None:
            return [_("'Find levels' names the bodies and discs of the mask and measures them.")]
        if self.outdated:
            return [_("The mask was changed since. 'Find levels' names what is drawn now.")]
        found = self.found
        sentences = [found.reason, self.describeState()]
        if found.forsaken is not None:
            text = _("{level}, which was given before, was not used: the mask has nothing there any more.")
            sentences.append(text.format(level=found.forsaken[0]))
        if found.specks:
            text = _("Pieces that belong to no body or disc, and have no level: {count}.")
            sentences.append(text.format(count=found.specks))
        return [*sentences, *found.content["warnings"]]

    def describeState(self):
        """Of which mask the levels are, and whether they are written."""
        state = self.found.state
        if state == levels.FAILED:
            return _("Nothing was written: {reason}").format(reason=self.found.problem)
        if self.accepted and state in (levels.CHANGED, levels.OTHER):
            return _("The mask was accepted since: 'Find levels' writes its levels beside it.")
        return {
            levels.WRITTEN: _("The levels are written beside the mask that counts."),
            levels.READY: _("The levels are as they were written before."),
            levels.CHANGED: _("The levels are of the mask as drawn now; it is not saved, so nothing was written."),
            levels.BLIND: _("The levels are of your own reading; nothing was written."),
            levels.OTHER: _(
                "They are of the mask on the screen, which is not the one that counts; nothing was written."
            ),
        }[state]


PANEL = LevelsPanel
