"""Widgets of CTK that forms use, drawn plainly."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

WANTED = "cspineseg_shown_when_open"


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A heading that folds what is below it away; as in CTK it is a button that is checked while it is open."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._busy = False
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self._make_room()
        self.toggled.connect(self._fold)

    def _get_collapsed(self) -> bool:
        return not self.isChecked()

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)

    def _heading(self) -> int:
        return self.fontMetrics().height() + 10

    def _make_room(self) -> None:
        """Leave room for the heading, which grows with the letters."""
        self.setContentsMargins(0, self._heading(), 0, 0)
        self.setMaximumHeight(16777215 if self.isChecked() else self._heading())
        self.updateGeometry()

    def changeEvent(self, event: QtCore.QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QtCore.QEvent.Type.FontChange:
            self._make_room()

    def _contents(self) -> list[QtWidgets.QWidget]:
        return [child for child in self.children() if isinstance(child, QtWidgets.QWidget) and not child.isWindow()]

    def _fold(self, opened: bool) -> None:
        self._busy = True
        for child in self._contents():
            if opened:
                child.setVisible(bool(child.property(WANTED)))
            else:
                child.setProperty(WANTED, not child.isHidden())
                child.hide()
        self._busy = False
        self._make_room()
        self.contentsCollapsed.emit(not opened)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        super().childEvent(event)
        child = event.child()
        if event.type() == QtCore.QEvent.Type.ChildAdded and child.isWidgetType():
            child.installEventFilter(self)

    def eventFilter(self, child: QtCore.QObject, event: QtCore.QEvent) -> bool:
        """What is shown or hidden while the heading is folded, is so when it is opened."""
        kinds = QtCore.QEvent.Type
        if not self._busy and not self.isChecked() and event.type() in (kinds.ShowToParent, kinds.HideToParent):
            self._busy = True
            child.setProperty(WANTED, event.type() == kinds.ShowToParent)
            child.hide()
            self._busy = False
        return False

    def sizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        if layout is None or not self.isChecked():
            return QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text()) + 40, self._heading())
        return layout.totalSizeHint()

    def minimumSizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        if layout is None or not self.isChecked():
            return QtCore.QSize(60, self._heading())
        return layout.totalMinimumSize()

    def hitButton(self, place: QtCore.QPoint) -> bool:
        return place.y() < self._heading()

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtWidgets.QStylePainter(self)
        palette, height = self.palette(), self._heading()
        heading = QtCore.QRect(0, 0, self.width(), height)
        painter.fillRect(heading, palette.color(QtGui.QPalette.ColorRole.Button))
        painter.setPen(palette.color(QtGui.QPalette.ColorRole.Mid))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(6, height // 2 - 5, 10, 10)
        primitives = QtWidgets.QStyle.PrimitiveElement
        kind = primitives.PE_IndicatorArrowDown if self.isChecked() else primitives.PE_IndicatorArrowRight
        painter.drawPrimitive(kind, arrow)
        painter.setPen(palette.color(QtGui.QPalette.ColorRole.ButtonText))
        painter.drawText(heading.adjusted(22, 0, -6, 0), QtCore.Qt.AlignmentFlag.AlignVCenter, self.text())
        if self.hasFocus():
            focus = QtWidgets.QStyleOptionFocusRect()
            focus.initFrom(self)
            focus.rect = heading.adjusted(2, 2, -2, -2)
            painter.drawPrimitive(primitives.PE_FrameFocusRect, focus)
