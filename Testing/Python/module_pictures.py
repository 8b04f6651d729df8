"""Pictures of the form, at any scale and in a dark palette, and what a look at them would find: cut text, odd edges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Roles of Slicer's dark style, roughly.
DARK = {
    "Window": "#2d2d30", "WindowText": "#e6e6e6", "Base": "#1e1e20", "AlternateBase": "#28282b", "Text": "#e6e6e6",
    "Button": "#3a3a3e", "ButtonText": "#e6e6e6", "BrightText": "#ff5555", "Highlight": "#2a82da",
    "HighlightedText": "#ffffff", "ToolTipBase": "#3a3a3e", "ToolTipText": "#e6e6e6", "Link": "#6cb2f0",
    "PlaceholderText": "#9a9aa0", "Light": "#505055", "Midlight": "#454549", "Mid": "#5c5c61", "Dark": "#1a1a1c",
}  # fmt: skip
FAINT = "#7c7c82"
# Letters of a combo box that have to be read in full; it may shorten what is longer.
SHORT = 16


def picture(widget: Any, path: Path, scale: float = 1.0, dark: bool = False, width: int | None = None) -> Path:
    """Draw a widget of the form, with all that is in it, into a small PNG file.

    Parameters
    ----------
    scale : pixels for each of the screen's points: 2.0 is a screen at 200 %.
    width : points; None: as wide as it is. The height is what it needs.
    """
    from PySide6 import QtCore, QtGui

    widget = getattr(widget, "wrapped", widget)
    with palette(dark):
        size = fitted(widget, width)
        image = QtGui.QImage(size * scale, QtGui.QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(scale)
        image.fill(widget.palette().color(QtGui.QPalette.ColorRole.Window))
        widget.render(image, QtCore.QPoint())
    return _save(image, path)


def _save(image: Any, path: Path) -> Path:
    """Write a QImage with a palette of its own colours: a form has few, and the file is a third as large."""
    from PIL import Image
    from PySide6 import QtGui

    plain = image.convertToFormat(QtGui.QImage.Format.Format_RGB888)
    size = plain.width(), plain.height()
    whole = Image.frombuffer("RGB", size, bytes(plain.constBits()), "raw", "RGB", plain.bytesPerLine(), 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.quantize(128, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def fitted(widget: Any, width: int | None = None) -> Any:
    """Make a widget as wide as asked for, and as high as it then needs; returns its size in points.

    A widget that lies in a form is made so by its window, and is as high as the form makes it.
    """
    from PySide6 import QtWidgets

    width = width or widget.width()
    for _ in range(3):
        if widget.parentWidget() is not None:
            window = widget.window()
            window.resize(window.width() + width - widget.width(), window.height())
            QtWidgets.QApplication.processEvents()
            continue
        layout = widget.layout()
        height = layout.totalHeightForWidth(width) if layout is not None and layout.hasHeightForWidth() else -1
        widget.resize(width, max(height, widget.sizeHint().height(), widget.minimumSizeHint().height()))
        QtWidgets.QApplication.processEvents()
    return widget.size()


@contextmanager
def palette(dark: bool) -> Iterator[None]:
    """The application in Slicer's dark colours, or as it is."""
    from PySide6 import QtGui, QtWidgets

    if not dark:
        yield
        return
    application = QtWidgets.QApplication.instance()
    before, colours = application.palette(), QtGui.QPalette()
    for name, colour in DARK.items():
        colours.setColor(getattr(QtGui.QPalette.ColorRole, name), QtGui.QColor(colour))
    for name in ("WindowText", "Text", "ButtonText"):
        role = getattr(QtGui.QPalette.ColorRole, name)
        colours.setColor(QtGui.QPalette.ColorGroup.Disabled, role, QtGui.QColor(FAINT))
    application.setPalette(colours)
    application.processEvents()
    try:
        yield
    finally:
        application.setPalette(before)
        application.processEvents()


@contextmanager
def larger_text(factor: float) -> Iterator[None]:
    """The application with larger letters, as people with weak eyes set them."""
    from PySide6 import QtWidgets

    application = QtWidgets.QApplication.instance()
    before = application.font()
    larger = application.font()
    larger.setPointSizeF(before.pointSizeF() * factor)
    application.setFont(larger)
    application.processEvents()
    try:
        yield
    finally:
        application.setFont(before)
        application.processEvents()


def cut(widget: Any) -> list[str]:
    """Widgets whose text does not fit into them, each with what is said and what is missing."""
    from PySide6 import QtWidgets

    widget = getattr(widget, "wrapped", widget)
    fitted(widget)
    found = []
    for child in widget.findChildren(QtWidgets.QWidget):
        if not child.isVisible() or not child.objectName() or child.objectName().startswith("qt_"):
            continue
        wanted = _wanted(child)
        if wanted is not None and (child.width() < wanted[0] or child.height() < wanted[1]):
            has = f"{child.width()} x {child.height()}"
            found.append(f"{child.objectName()}: {wanted[0]} x {wanted[1]} points needed, {has} there")
    return found


def _wanted(child: Any) -> tuple[int, int] | None:
    """Points that the text of a widget needs; None for widgets that scroll or shorten it."""
    from PySide6 import QtWidgets

    if isinstance(child, QtWidgets.QLabel):
        if not child.text():
            return None
        if child.wordWrap():
            return 0, child.heightForWidth(child.width())
        return child.sizeHint().width(), child.fontMetrics().height()
    if isinstance(child, QtWidgets.QPushButton | QtWidgets.QCheckBox | QtWidgets.QRadioButton):
        text = child.fontMetrics().horizontalAdvance(child.text().replace("&", ""))
        return text + 4, child.fontMetrics().height()
    if isinstance(child, QtWidgets.QComboBox) and len(child.currentText()) < SHORT:
        # With its frame and its arrow.
        return child.fontMetrics().horizontalAdvance(child.currentText()) + 28, child.fontMetrics().height()
    if isinstance(child, QtWidgets.QAbstractSpinBox | QtWidgets.QLineEdit | QtWidgets.QComboBox):
        return 0, child.fontMetrics().height()
    return None


def colours(path: Path) -> int:
    """How many colours a picture has: one for a picture of nothing."""
    from PySide6 import QtGui

    image = QtGui.QImage(str(path))
    return len({image.pixel(x, y) for x in range(0, image.width(), 3) for y in range(0, image.height(), 3)})
