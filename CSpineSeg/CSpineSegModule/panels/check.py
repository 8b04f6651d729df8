"""The check panel: figures and remarks that follow the drawing, and the overlays in the slice views."""

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from CSpineSegLib.errors import CSpineSegError

from ..handling import handler
from .panel import Panel

# ms after the last change: nobody waits for figures while drawing, and a stroke is several changes.
CALM = 400
# How a cell's text lies, as the numbers of Qt::Alignment that a model keeps: each in the middle of its row.
LEFT, RIGHT = 0x81, 0x82


class CheckPanel(Panel, VTKObservationMixin):
    """Shows :mod:`CSpineSegLib.workplace.check`."""

    name = "check"

    def setup(self):
        VTKObservationMixin.__init__(self)
        self._checking = self._findings = None
        self._told = ()
        self._timer = qt.QTimer()
        self._timer.singleShot = True
        self._timer.interval = CALM
        self._timer.timeout.connect(self.look)
        self._figures = qt.QStandardItemModel()
        self._figures.setHorizontalHeaderLabels(
            [_("Structure"), _("cm³"), _("Pieces"), _("Added"), _("Removed"), _("Expected Dice")]
        )
        self.ui.figuresView.setModel(self._figures)
        self.ui.differenceCheck.toggled.connect(self.onDifference)
        self.ui.doubtCheck.toggled.connect(self.onDoubt)
        self.ui.remarksList.itemClicked.connect(self.onRemark)
        self.ui.remarksList.itemActivated.connect(self.onRemark)
        self.ui.tableButton.clicked.connect(self.onTable)
        self.root.contentsCollapsed.connect(self.onChange)
        self._blank(_("Open an exam to see its figures here."))

    def opened(self, session):
        from CSpineSegLib.workplace.check import Checking

        self._leave()
        self._checking = Checking(session)
        segmentation = session.case.segmentation_node.GetSegmentation()
        for event in (
            slicer.vtkSegmentation.SourceRepresentationModified,
            slicer.vtkSegmentation.SegmentAdded,
            slicer.vtkSegmentation.SegmentRemoved,
        ):
            self.addObserver(segmentation, event, self.onChange)
        self._blank(_("The mask is being looked at..."))
        self.ui.differenceLegendLabel.text = _legend("difference")
        self.ui.doubtLegendLabel.text = _legend("doubt")
        self._show_difference()
        self._show_doubt()
        # The picture comes first.
        self._timer.start()

    def closed(self):
        self._leave()
        self._blank(_("Open an exam to see its figures here."))

    def saved(self, revision):
        self.onChange()

    def enter(self):
        self.onChange()

    def exit(self):
        self._timer.stop()

    def cleanup(self):
        self._leave()

    def update(self):
        is_open = self._checking is not None
        has_doubt = is_open and self._checking.has_doubt
        self.ui.differenceCheck.enabled = is_open
        self.ui.doubtCheck.enabled = has_doubt
        self.ui.tableButton.enabled = self._findings is not None and self._findings.is_readable
        self.ui.differenceLegendLabel.visible = is_open and self.ui.differenceCheck.checked
        self.ui.doubtLegendLabel.visible = has_doubt and self.ui.doubtCheck.checked

    def onChange(self, *_arguments):
        """The mask was changed, or is to be seen again."""
        if self._checking is not None and self.shell.shown:
            self._timer.start()

    def look(self):
        """Look at the mask now; nothing is computed for a panel that shows nothing of it."""
        self._timer.stop()
        if self._checking is None or self.workplace.session is not self._checking.session:
            return
        if self.root.collapsed and not self.ui.differenceCheck.checked:
            return
        try:
            mask = self.workplace.mask()
        except CSpineSegError as error:
            mask = error
        self._findings = self._checking.look(mask)
        self._show_findings()
        if self._findings.is_readable:
            self._show_difference()
        self.update()

    @handler
    def onDifference(self):
        self._show_difference()

    @handler
    def onDoubt(self):
        self._show_doubt()
        if self._checking is not None and self.ui.doubtCheck.checked and not self._checking.has_doubt:
            self.shell.say(_("No model has said where it doubts this mask; segment the exam to see it."))

    @handler
    def onRemark(self):
        from CSpineSegLib.scene import views

        row = self.ui.remarksList.currentRow
        remarks = self._findings.remarks if self._findings is not None else ()
        if 0 <= row < len(remarks) and remarks[row].place is not None:
            session = self._checking.session
            shown = views.look_at(session.context, session.case, remarks[row].place)
            self.shell.say(_("Slice {number}: {remark}").format(number=shown + 1, remark=remarks[row].sentence))

    @handler
    def onTable(self):
        from CSpineSegLib.workplace.check import to_tables

        self.look()
        if self._findings is None or not self._findings.is_readable:
            return
        nodes = to_tables(self._checking.session, self._findings)
        names = ", ".join(node.GetName() for node in nodes)
        self.shell.say(_("These tables are in the scene now: {names}.").format(names=names))

    def _show_difference(self):
        from CSpineSegLib.scene import overlays

        if self._checking is None:
            return
        context, case = self._checking.session.context, self._checking.session.case
        if self.ui.differenceCheck.checked:
            now = self.workplace.mask().array
            overlays.show_difference(context, case, self._checking.parent, True, now)
        else:
            overlays.show_difference(context, case, None, False)

    def _show_doubt(self):
        from CSpineSegLib.scene import overlays

        if self._checking is None:
            return
        context, case = self._checking.session.context, self._checking.session.case
        wanted = self.ui.doubtCheck.checked and self._checking.has_doubt
        overlays.show_doubt(context, case, self._checking.doubt() if wanted else None, wanted)

    def _leave(self):
        """Forget the exam; nothing of it stays in the views."""
        from CSpineSegLib.scene import overlays

        self._timer.stop()
        self.removeObservers()
        if self._checking is not None:
            overlays.clear(self._checking.session.context, self._checking.session.case)
        self._checking = self._findings = None

    def _blank(self, sentence):
        self._findings = None
        self._figures.setRowCount(0)
        self._tell(())
        self.ui.geometryLabel.text = sentence
        self.ui.remarksList.visible = self.ui.remarksLabel.visible = self.ui.figuresView.visible = False

    def _show_findings(self):
        found = self._findings
        rows = [_row(row) for row in found.figures]
        self._figures.setRowCount(len(rows))
        for index, row in enumerate(rows):
            for column, text in enumerate(row):
                cell = self._figures.index(index, column)
                # Into the model's own cells: an item made here would go with its Python name, and leave the cell empty.
                self._figures.setData(cell, text, qt.Qt.DisplayRole)
                self._figures.setData(cell, RIGHT if column else LEFT, qt.Qt.TextAlignmentRole)
        self.ui.figuresView.visible = bool(rows)
        self.ui.figuresView.resizeColumnsToContents()
        self.ui.geometryLabel.text = found.geometry
        nothing = _("Nothing unusual was found.")
        self._tell(tuple(remark.sentence for remark in found.remarks) or ((nothing,) if found.is_readable else ()))
        self.ui.remarksList.visible = self.ui.remarksLabel.visible = found.is_readable

    def _tell(self, sentences):
        if sentences != self._told:
            self._told = sentences
            self.ui.remarksList.clear()
            for sentence in sentences:
                self.ui.remarksList.addItem(sentence)


def _row(row):
    """The cells of a row of figures."""
    name = {"bodies": _("Bodies"), "discs": _("Discs"), "mask": _("Both")}[row.key]
    dice = _("unknown") if row.dice is None else f"{row.dice:.2f}"
    return [name, f"{row.mm3 / 1000:.2f}", str(row.pieces), str(row.added), str(row.removed), dice]


def _legend(kind):
    """What the colours of an overlay mean, each with a patch of it."""
    from CSpineSegLib.scene import overlays

    parts = []
    for name, meaning, color in overlays.legend(kind):
        code = "#" + "".join(f"{round(255 * part):02x}" for part in color)
        patch = f'<span style="background-color:{code}">&nbsp;&nbsp;&nbsp;&nbsp;</span>'
        parts.append(_("{patch} {name}: {meaning}").format(patch=patch, name=name, meaning=meaning))
    return "<br>".join(parts)


PANEL = CheckPanel
