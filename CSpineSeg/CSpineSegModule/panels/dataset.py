"""The dataset: its folder, who works on it, and the table of exams; mirrors CSpineSegLib/workplace/dataset.py."""

from pathlib import Path

import qt
from slicer.i18n import tr as _

from CSpineSegLib.errors import Cancelled, CSpineSegError, InputError
from CSpineSegLib.workplace import dataset, packages
from CSpineSegModule import asking, handling, install, settings
from CSpineSegModule.handling import handler
from CSpineSegModule.interpreter import python_slicer
from CSpineSegModule.panels.exams import ExamTable
from CSpineSegModule.panels.panel import Panel

POLL_MS = 200
SHOWN_PROBLEMS = 3


class DatasetPanel(Panel):
    """The table of exams, from which one is opened."""

    name = "dataset"

    def setup(self):
        # Exams that were opened here, which "next" passes over until nothing else is left.
        self.passed = set()
        self.job, self.offered = None, False
        combos = {
            "status": self.ui.statusFilterCombo,
            "source": self.ui.sourceFilterCombo,
            "sex": self.ui.sexFilterCombo,
            "manufacturer": self.ui.manufacturerFilterCombo,
            "field": self.ui.fieldFilterCombo,
        }
        self.table = ExamTable(self.ui.examTable, combos, self.onFilter)
        self.timer = qt.QTimer()
        self.timer.interval = POLL_MS
        self.timer.timeout.connect(self.onPoll)
        self.ui.sampleBar.visible = False
        self.ui.folderEdit.text = settings.read(settings.FOLDER)
        self.ui.annotatorEdit.text = settings.read(settings.ANNOTATOR)
        self.workplace.name_annotator(self.ui.annotatorEdit.text)
        self.onFilter()
        for signal, slot in (
            (self.ui.folderButton.clicked, self.onChooseFolder),
            (self.ui.folderEdit.returnPressed, self.onReload),
            (self.ui.reloadButton.clicked, self.onReload),
            (self.ui.sampleButton.clicked, self.load_sample),
            (self.ui.annotatorEdit.textChanged, self.onAnnotator),
            (self.ui.searchEdit.textChanged, self.onFilter),
            (self.ui.searchEdit.returnPressed, self.onSearched),
            (self.ui.clearButton.clicked, self.onShowAll),
            (self.ui.examTable.activated, self.onOpen),
            (self.ui.openButton.clicked, self.onOpen),
            (self.ui.nextButton.clicked, self.onNext),
        ):
            signal.connect(slot)

    @property
    def rows(self):
        """All exams of the dataset with the state of their review, see :class:`dataset.Row`."""
        return self.table.rows

    def enter(self):
        """The remembered dataset is opened once, if that takes no question."""
        folder = self.ui.folderEdit.text
        if self.offered or not folder or self.workplace.dataset is not None:
            return
        self.offered = True
        try:
            if Path(folder).is_dir() and not install.missing(packages.SIZES[packages.READING]):
                self.load(folder)
        except CSpineSegError as error:
            self.shell.say(str(error))

    def update(self):
        running = self.job is not None
        self.ui.sampleButton.text = _("Cancel") if running else _("Load the sample")
        self.ui.sampleBar.visible = running
        self.ui.openButton.enabled = self.ui.nextButton.enabled = bool(self.rows)

    def opened(self, session):
        self.passed.add(session.exam.stem)
        self.refresh(session.exam)
        self.table.choose(session.exam)

    def saved(self, revision):
        if self.workplace.session is not None:
            self.refresh(self.workplace.session.exam)

    def cleanup(self):
        self.timer.stop()
        if self.job is not None:
            self.job.cancel()

    # The folder

    @handler
    def onChooseFolder(self):
        folder = asking.folder(self.root, _("Dataset folder"), self.ui.folderEdit.text)
        if folder:
            self.load(folder)

    @handler
    def onReload(self):
        self.load(self.ui.folderEdit.text)

    def load(self, folder):
        """Open a dataset and show its exams."""
        self.shell.ensure_installed()
        before = self.workplace.dataset
        found = self.workplace.open_dataset(folder)
        rows = dataset.rows(self.workplace)
        if before is None or before.processed != found.processed:
            self.passed = set()
        self.ui.folderEdit.text = str(found.root)
        settings.write(settings.FOLDER, str(found.root))
        self.table.fill(rows)
        self.onFilter()
        more = len(found.problems) - SHOWN_PROBLEMS
        self.shell.say(
            _("{count} exams are in {folder}.").format(count=len(rows), folder=found.root),
            *found.problems[:SHOWN_PROBLEMS],
            _("There are {count} more remarks on the dataset.").format(count=more) if more > 0 else "",
        )

    @handler
    def onAnnotator(self):
        """Who works here from now on; with the first key, what another drew is saved under the other's name."""
        name, before = self.ui.annotatorEdit.text.strip(), self.workplace.session
        try:
            kept = self.workplace.name_annotator(name)
        except CSpineSegError:
            # What is drawn is still the other's.
            self.ui.annotatorEdit.text = self.workplace.annotator_name or ""
            raise
        settings.write(settings.ANNOTATOR, name)
        sentences = handling.describe_kept(kept)
        if before is not None and self.workplace.session is None:
            text = _("The blind reading of {exam} is closed: only who drew it may see it.")
            sentences.append(text.format(exam=before.exam.stem))
        if sentences:
            self.shell.saved(kept, *sentences)
            self.refresh((before or self.workplace.session).exam)

    # The sample

    @handler
    def load_sample(self):
        """Open the sample dataset, made first if need be in a process of its own; while it is made, stop that."""
        if self.job is not None:
            self.job.cancel()
            return
        folder = settings.read(settings.SAMPLE)
        if not folder or not dataset.holds_sample(folder):
            folder = asking.folder(self.root, _("An empty folder for the sample dataset"), self.ui.folderEdit.text)
        if not folder:
            return
        self.shell.ensure_installed()
        self.job = dataset.make_sample(dataset.sample_folder(folder), python_slicer())
        self.ui.sampleBar.value = 0
        self.shell.say(_("The sample dataset is made ..."))
        self.timer.start()

    @handler
    def onPoll(self):
        events = self.job.poll()
        if events:
            self.ui.sampleBar.value = round(100 * events[-1].fraction)
            self.shell.say(handling.describe_event(events[-1]))
        if not self.job.is_running():
            self.onMade()

    def onMade(self):
        """The process of the sample has ended, in whatever way."""
        self.timer.stop()
        job, self.job = self.job, None
        # Should the folder be unusable by now, the next click asks for another.
        settings.write(settings.SAMPLE, "")
        try:
            root = job.result()["dataset"]
        except Cancelled:
            self.shell.say(_("The sample dataset was not made."))
            return
        settings.write(settings.SAMPLE, root)
        self.load(root)

    # The table

    def onFilter(self):
        search = self.ui.searchEdit.text
        self.ui.countLabel.text = self.describeCount(self.table.search(search), search)

    def describeCount(self, shown, search):
        """How many exams are shown, or what to do if there are none."""
        if not self.rows:
            return _("No exams yet: choose a dataset folder, or load the sample.")
        near = dataset.nearest(self.rows, search) if shown == 0 else []
        if near:
            text = _("0 of {count}: there is no such patient; the nearest are {patients}.")
            return text.format(count=len(self.rows), patients=", ".join(near))
        return _("{shown} of {count} exams").format(shown=shown, count=len(self.rows))

    def onShowAll(self):
        self.table.clearFilters()
        self.ui.searchEdit.text = ""
        self.onFilter()

    def refresh(self, exam):
        """Show how an exam stands now: it was opened, saved, rejected or segmented."""
        self.table.refresh(exam)
        self.onFilter()

    # Opening

    def nextExam(self):
        """The exam that comes next in the review; None if none is left."""
        session = self.workplace.session
        row = dataset.next_unreviewed(
            self.rows,
            after=session.exam.stem if session is not None else None,
            annotator=self.workplace.annotator,
            passed=self.passed,
            filters=self.table.filters(),
        )
        return None if row is None else row.exam

    def openNext(self):
        """Open the exam that comes next; True if there is one and the user left the open one."""
        exam = self.nextExam()
        if exam is None:
            self.shell.say(_("No other exam that the filters leave waits for a review."))
            return False
        return self.shell.open(exam)

    @handler
    def onNext(self):
        self.openNext()

    @handler
    def onOpen(self):
        exam = self.table.chosen()
        if exam is None:
            raise InputError(_("No exam is chosen; click one in the table, or type more of its patient ID."))
        self.shell.open(exam)

    @handler
    def onSearched(self):
        """Enter after a search opens the only exam that is shown; among several it leads into the table."""
        if self.table.only() is not None:
            self.shell.open(self.table.only())
        elif self.table.proxy.rowCount() > 0:
            self.table.enter()


PANEL = DatasetPanel
