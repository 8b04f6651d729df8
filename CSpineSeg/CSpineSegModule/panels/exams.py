"""The table of exams in the dataset panel: its cells, titles, order and filters, by Qt's own models."""

import qt
from slicer.i18n import tr as _

from CSpineSegLib.workplace import dataset
from CSpineSegLib.workplace.ahead import same

# The roles of a cell by which Qt sorts, from the smallest value up and down.
ASCENDING, DESCENDING = 257, 258
# Behind the columns that are shown, one with the text that the search looks at.
KEY = len(dataset.COLUMNS)


def titles():
    """The columns' titles, and what a mouse that rests on one is told."""
    return {
        "patient": (_("Patient"), ""),
        "study": (_("Study"), _("Number of the study and, after the stroke, of the series.")),
        "age": (_("Age"), _("In years, at the examination.")),
        "sex": (_("Sex"), ""),
        "scanner": (_("Scanner"), ""),
        "field": (_("Field"), _("Strength of the magnetic field.")),
        "source": (_("Mask"), _("Who drew the dataset's own mask: experts (Gold) or a network (Silver).")),
        "status": (_("Status"), ""),
        "score": (_("Score"), _("How good the model expects its mask to be, from 0 to 1; the lowest need you most.")),
        "annotator": (_("Annotator"), _("Who made the last change.")),
        "change": (_("Last change"), ""),
    }


def words():
    """How values of the library are shown."""
    return {
        "unreviewed": _("unreviewed"),
        "in review": _("in review"),
        "accepted": _("accepted"),
        "rejected": _("rejected"),
        "gold": _("Gold"),
        "silver": _("Silver"),
    }


def everything():
    """What a filter says that leaves all exams."""
    return {
        "status": _("Any status"),
        "source": _("Any mask"),
        "sex": _("Any sex"),
        "manufacturer": _("Any scanner"),
        "field": _("Any field"),
    }


class ExamTable:
    """Rows of the library in a view.

    Parameters
    ----------
    view : a QTableView.
    combos : a QComboBox for each name of `dataset.FILTERS`.
    changed : called after a filter was chosen.
    """

    def __init__(self, view, combos, changed):
        self.view, self.combos, self.changed = view, combos, changed
        self.rows, self.numbers, self.filling = [], {}, False
        self.choices = {name: [None] for name in combos}
        # Python keeps both models: view and filter do not.
        self.model, self.proxy = qt.QStandardItemModel(), qt.QSortFilterProxyModel()
        self.proxy.filterKeyColumn = KEY
        self.proxy.sortRole = ASCENDING
        self.view.setModel(self.proxy)
        self.fill([])
        self.view.sortByColumn(0, qt.Qt.AscendingOrder)
        self.view.horizontalHeader().sortIndicatorChanged.connect(self.onSorted)
        for combo in combos.values():
            combo.currentTextChanged.connect(self.onChosen)

    def fill(self, rows):
        """Show these exams in place of the former."""
        names = titles()
        self.rows = rows
        self.numbers = {row.exam.stem: number for number, row in enumerate(rows)}
        model = qt.QStandardItemModel(len(rows), KEY + 1)
        model.setHorizontalHeaderLabels([names[column.name][0] for column in dataset.COLUMNS])
        for index, column in enumerate(dataset.COLUMNS):
            model.setHeaderData(index, qt.Qt.Horizontal, names[column.name][1], qt.Qt.ToolTipRole)
        self._write(model, enumerate(rows))
        self.model = model
        self.proxy.setSourceModel(model)
        self.view.hideColumn(KEY)
        self.view.resizeColumnsToContents()
        self._fillFilters()

    def refresh(self, exam):
        """Show how an exam stands now on disk, if it is one of these."""
        number = self._numberOf(exam)
        if number is not None:
            self.rows[number] = dataset.row_of(exam)
            self._write(self.model, [(number, self.rows[number])])

    def search(self, text):
        """Show the exams that a search and the filters leave; returns how many. With each key, so nothing else."""
        self.proxy.setFilterRegularExpression(dataset.pattern(text, self.filters()))
        return self.proxy.rowCount()

    def filters(self):
        """What the filters leave: the wanted value by name, None for any."""
        return {name: self.choices[name][max(combo.currentIndex, 0)] for name, combo in self.combos.items()}

    def clearFilters(self):
        self.filling = True
        for combo in self.combos.values():
            combo.currentIndex = 0
        self.filling = False

    def choose(self, exam):
        """Choose an exam's row; none if it is not shown."""
        number = self._numberOf(exam)
        if number is not None:
            self.view.setCurrentIndex(self.proxy.mapFromSource(self.model.index(number, 0)))

    def enter(self):
        """Choose the first row, for the keyboard."""
        self.view.setCurrentIndex(self.proxy.index(0, 0))
        self.view.setFocus()

    def chosen(self):
        """The exam of the chosen row, else the only one that is shown, else None."""
        index = self.view.currentIndex()
        return self._exam(index) if index.isValid() else self.only()

    def only(self):
        """The exam if a single one is shown, else None."""
        return self._exam(self.proxy.index(0, 0)) if self.proxy.rowCount() == 1 else None

    def onChosen(self):
        if not self.filling:
            self.changed()

    def onSorted(self):
        """Unknown values come last however a column is sorted."""
        descending = self.view.horizontalHeader().sortIndicatorOrder() == qt.Qt.DescendingOrder
        self.proxy.sortRole = DESCENDING if descending else ASCENDING

    def _exam(self, index):
        return self.rows[self.proxy.mapToSource(index).row()].exam

    def _numberOf(self, exam):
        number = self.numbers.get(exam.stem)
        return number if number is not None and same(self.rows[number].exam, exam) else None

    def _write(self, model, rows):
        """Write rows by number into the cells of a model."""
        # Looked up once: these lines run for ten thousands of cells.
        setData, index, shown, display = model.setData, model.index, words(), qt.Qt.DisplayRole
        for number, row in rows:
            for place, column in enumerate(dataset.COLUMNS):
                cell, text = index(number, place), column.text(row)
                setData(cell, shown.get(text, text), display)
                setData(cell, column.sort_key(row), ASCENDING)
                setData(cell, column.sort_key(row, True), DESCENDING)
            setData(index(number, KEY), dataset.key_of(row), display)

    def _fillFilters(self):
        """Offer the values that there are, and keep what was chosen where it is still one of them."""
        shown, first = words(), everything()
        wanted = self.filters()
        self.filling = True
        for name, combo in self.combos.items():
            found = dataset.choices(self.rows, name)
            self.choices[name] = [None, *found]
            combo.clear()
            combo.addItem(first[name])
            for value in found:
                text = _("{tesla} T").format(tesla=value) if name == "field" and value else shown.get(value, value)
                combo.addItem(text or _("unknown"))
            combo.currentIndex = self.choices[name].index(wanted[name]) if wanted[name] in found else 0
        self.filling = False
