"""The two tables of the levels panel: levels from head to foot, and the measurements of one of them or of the spine."""

import qt
from slicer.i18n import tr as _

from CSpineSegLib.workplace import levels

# How a cell's text lies, as the numbers of Qt::Alignment that a model keeps: each in the middle of its row.
LEFT, RIGHT = 0x81, 0x82


class LevelTables:
    """Levels and measurements in views.

    Parameters
    ----------
    table : the QTableWidget of the levels.
    measures : label, QComboBox and QTableView of the measurements.
    """

    def __init__(self, table, measures):
        self.table = table
        self.label, self.combo, self.view = measures
        self.found, self.filling = None, False
        headings = [_("Level"), _("Sure"), _("Height (mm)"), _("Volume (cm³)"), _("Remark")]
        self.table.setColumnCount(len(headings))
        self.table.setHorizontalHeaderLabels(headings)
        # Python keeps it: the view does not.
        self.model = qt.QStandardItemModel()
        self.model.setHorizontalHeaderLabels([_("Measurement"), _("Value (95 %)"), _("Remark")])
        self.view.setModel(self.model)
        # Texts of the last column need more lines when it gets narrower, as by a scroll bar.
        for view in (self.table, self.view):
            view.horizontalHeader().sectionResized.connect(self.onResized)

    def onResized(self):
        """A slot of Qt itself would be called with all that the signal tells, and refuse it: PythonQt drops nothing."""
        for view in (self.table, self.view):
            view.resizeRowsToContents()

    def fill(self, found):
        """Show a :class:`CSpineSegLib.workplace.levels.Found`, or None. The same body or disc stays chosen."""
        rows = found.rows if found is not None else ()
        row, chosen, same = self.row(), self.combo.currentIndex, len(rows) == self.count()
        self.found, self.filling = found, True
        self.table.setRowCount(len(rows))
        for number, one in enumerate(rows):
            texts = (title(one), f"{100 * one.sure:.0f} %", one.height, f"{one.mm3 / 1000:.2f}", one.note)
            for column, text in enumerate(texts):
                write(self.table.model(), number, column, text, RIGHT if 0 < column < 4 else LEFT, text)
        fit(self.table, 4)
        if row is None or not same:
            self.table.clearSelection()
        self.combo.clear()
        if found is not None:
            self.combo.addItem(_("Whole spine"))
            for one in rows:
                self.combo.addItem(title(one))
            self.combo.currentIndex = chosen if same and chosen > 0 else 0
        self.filling = False
        for part in (self.table, self.label, self.combo, self.view):
            part.visible = bool(rows)
        self.fillMeasures()

    def count(self):
        """How many levels are shown."""
        return len(self.found.rows) if self.found is not None else 0

    def row(self):
        """The number of the chosen row; None without."""
        row = self.table.currentRow()
        return row if 0 <= row < self.count() else None

    def measure(self, row):
        """Show the measurements of a row."""
        # The spine comes first.
        self.combo.currentIndex = row + 1

    def fillMeasures(self):
        """Show the measurements of what is chosen."""
        index = self.combo.currentIndex
        if self.filling:
            return
        if self.found is None or index < 0:
            self.model.setRowCount(0)
            return
        rows = self.found.measured(self.found.rows[index - 1].name if index else levels.SPINE)
        self.model.setRowCount(len(rows))
        for number, one in enumerate(rows):
            name = _("{title}, {part}").format(title=one.title, part=one.of) if one.of else one.title
            remark = _("not measured: {reason}").format(reason=one.reason) if one.reason else one.remark
            explanation = "\n".join(filter(None, (one.meaning, remark)))
            value = f"{one.value} {one.unit}".strip()
            for column, text in enumerate((name, value if one.value else "", remark)):
                write(self.model, number, column, text, RIGHT if column == 1 else LEFT, explanation)
        fit(self.view, 2)


def title(row):
    """What a body, disc or block is called."""
    if row.kind == "disc" and "-" in row.name:
        return _("{levels} disc").format(levels=row.name)
    return row.name


def fit(view, count):
    """Make the first columns as wide as their texts; those of the last go over several lines in what is left."""
    for column in range(count):
        view.resizeColumnToContents(column)
    view.resizeRowsToContents()


def write(model, row, column, text, alignment, explanation):
    """Write a cell of a model. An item made here would go with its Python name, and leave the cell empty."""
    cell = model.index(row, column)
    model.setData(cell, text, qt.Qt.DisplayRole)
    model.setData(cell, alignment, qt.Qt.TextAlignmentRole)
    model.setData(cell, explanation, qt.Qt.ToolTipRole)
