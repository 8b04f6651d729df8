"""Doctor: what is installed, what is missing and how large it is; installs it, and copies the report."""

import html

import qt
from slicer.i18n import tr as _

from CSpineSegLib.workplace import doctor, packages

from .. import asking, install
from ..handling import handler
from ..interpreter import python_slicer
from .panel import Panel

POLL_MS = 200


class DoctorPanel(Panel):
    """Looks only while it is unfolded: what is installed is told by another process, which takes seconds."""

    name = "doctor"

    def setup(self):
        self.report = self.check = None
        # What of each size is missing; None until it was looked at.
        self.lacking = None
        self.timer = qt.QTimer()
        self.timer.interval = POLL_MS
        self.timer.timeout.connect(self.onPoll)
        self.ui.sizesLabel.text = "\n\n".join(packages.choices())
        for signal, slot in (
            (self.root.contentsCollapsed, self.onFolded),
            (self.ui.checkButton.clicked, self.onCheck),
            (self.ui.processorButton.clicked, self.onInstallForProcessor),
            (self.ui.graphicsButton.clicked, self.onInstallForGraphics),
            (self.ui.wheelsButton.clicked, self.onInstallWheels),
            (self.ui.copyButton.clicked, self.onCopy),
        ):
            signal.connect(slot)

    def cleanup(self):
        self.timer.stop()
        if self.check is not None:
            self.check.close()

    def update(self):
        """Enable what can be done now."""
        idle = self.check is None
        self.ui.checkButton.enabled = idle
        self.ui.copyButton.enabled = self.report is not None
        lacking = self.lacking or {}
        self.ui.processorButton.enabled = idle and bool(lacking.get(packages.PROCESSOR))
        self.ui.graphicsButton.enabled = idle and bool(lacking.get(packages.GRAPHICS))
        self.ui.wheelsButton.enabled = idle and any(lacking.values())

    @handler
    def onFolded(self):
        if not self.root.collapsed and self.report is None:
            self.look()

    @handler
    def onCheck(self):
        self.look()

    def look(self):
        """Show at once what needs no looking into, and let another process look at the rest."""
        from CSpineSegLib.jobs import doctor as jobs
        from CSpineSegLib.jobs.trying import Check

        if self.check is not None:
            return
        self.report, self.lacking = jobs.glance(), None
        self.show()
        self.lacking = {size: install.missing(packages.SIZES[size]) for size in (packages.PROCESSOR, packages.GRAPHICS)}
        self.ui.summaryLabel.text = _("Looking at what is installed ...")
        self.check = Check(python_slicer())
        self.timer.start()

    def onPoll(self):
        if self.check is None or not self.check.is_running():
            self.timer.stop()
            self.onChecked()

    @handler
    def onChecked(self):
        check, self.check = self.check, None
        if check is None:
            return
        try:
            # The other process does not know that it was Slicer that asked.
            self.report = {**check.poll(), "slicer": self.report["slicer"]}
        finally:
            self.show()

    def show(self):
        """Fill the table from the report."""
        rows = doctor.rows(self.report, self.problems())
        self.ui.summaryLabel.text = doctor.summary(rows)
        titles = ((_("What"), 24), (_("State"), 38), (_("What to do"), 38))
        head = "".join(f"<th align='left' width='{width}%'>{title}</th>" for title, width in titles)
        lines = [f"<tr>{head}</tr>"]
        for row in doctor.urgent_first(rows):
            what = f"{doctor.MARKS[row.level]}&nbsp;{html.escape(row.what)}"
            what = what if row.level == doctor.GOOD else f"<b>{what}</b>"
            cells = (what, html.escape(row.state), html.escape(row.advice))
            lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        self.ui.reportView.html = f"<table cellpadding='3' width='100%'>{''.join(lines)}</table>"

    def problems(self):
        """What is wrong with the open dataset."""
        return [] if self.workplace.dataset is None else self.workplace.dataset.problems

    @handler
    def onInstallForProcessor(self):
        self.install(packages.PROCESSOR)

    @handler
    def onInstallForGraphics(self):
        self.install(packages.GRAPHICS)

    def install(self, size):
        """Install what a size lacks, after saying how much that is."""
        names = install.missing(packages.SIZES[size])
        question = _("{names} will be installed in Slicer, {cost}. Go on?").format(
            names=packages.listed(names), cost=packages.cost_text(names)
        )
        if names and asking.confirm(question):
            self.change(lambda: install.install(names), names)

    @handler
    def onInstallWheels(self):
        folder = asking.folder(self.root, _("Folder of wheels"), "")
        names = install.missing_from_wheels(folder) if folder else []
        if names:
            self.change(lambda: install.install_wheels(folder, names), names)

    def change(self, work, names):
        """Install something while nothing is being segmented, then look again."""
        if self.workplace.segmenting.is_busy:
            self.shell.say(_("Exams are being segmented; wait for them, or cancel, before anything is installed."))
            return
        # The worker would not see what is new, and on Windows it would keep files from being replaced.
        self.workplace.segmenting.close()
        try:
            work()
        finally:
            self.look()
        self.shell.say(_("Installed: {names}.").format(names=packages.listed(names)))

    @handler
    def onCopy(self):
        qt.QApplication.clipboard().setText(doctor.text(self.report, self.problems()))
        self.shell.say(_("The report is copied; paste it into a message."))


PANEL = DoctorPanel
