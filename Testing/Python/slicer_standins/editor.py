"""Slicer's embedded segment editor: its properties and methods over the real node and logic; effects do nothing.

The properties and the order in which scene and nodes have to be given are those of qMRMLSegmentEditorWidget.h. What was
called is in `calls`. Undo and redo are those of the segment editor logic.
"""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

EFFECTS = (
    "Threshold", "Paint", "Draw", "Erase", "Level tracing", "Grow from seeds", "Fill between slices", "Margin",
    "Hollow", "Smoothing", "Scissors", "Islands", "Logical operators", "Mask volume",
)  # fmt: skip
FLAGS = (
    "segmentationNodeSelectorVisible", "sourceVolumeNodeSelectorVisible", "maskingSectionVisible",
    "specifyGeometryButtonVisible", "show3DButtonVisible", "addRemoveSegmentButtonsVisible",
    "autoShowSourceVolumeNode", "switchToSegmentationsButtonVisible", "undoEnabled", "unorderedEffectsVisible",
    "jumpToSelectedSegmentEnabled",
)  # fmt: skip


def _member(name: str, kind: type) -> QtCore.Property:
    def read(self: Any) -> Any:
        return self.values[name]

    def write(self: Any, value: Any) -> None:
        self.values[name] = value
        self.show_state()

    return QtCore.Property(kind, read, write)


class qMRMLSegmentEditorWidget(QtWidgets.QWidget):
    """The segments and the buttons of the chosen effects."""

    for _name in FLAGS:
        locals()[_name] = _member(_name, bool)
    del _name
    readOnly = _member("readOnly", bool)
    maximumNumberOfUndoStates = _member("maximumNumberOfUndoStates", int)
    effectColumnCount = _member("effectColumnCount", int)
    defaultTerminologyEntry = _member("defaultTerminologyEntry", str)
    defaultTerminologyEntrySettingsKey = _member("defaultTerminologyEntrySettingsKey", str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.values: dict[str, Any] = dict.fromkeys(FLAGS, True)
        self.values |= {"readOnly": False, "jumpToSelectedSegmentEnabled": False, "effectColumnCount": 2}
        self.values |= {"maximumNumberOfUndoStates": 5, "defaultTerminologyEntry": ""}
        self.values["defaultTerminologyEntrySettingsKey"] = "Segmentations/DefaultTerminologyEntry"
        self.calls: list[tuple[Any, ...]] = []
        self.order: list[str] = []
        self.observes = False
        self._style = QtCore.Qt.ToolButtonStyle.ToolButtonTextBesideIcon
        self._scene = self._node = self._logic = None
        self._effect = ""
        self._segments = QtWidgets.QListWidget(self)
        self._segments.setAccessibleName("Segments")
        self._buttons = QtWidgets.QWidget(self)
        QtWidgets.QGridLayout(self._buttons).setContentsMargins(0, 0, 0, 0)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._segments)
        layout.addWidget(self._buttons)
        self.show_state()

    def _get_style(self) -> Any:
        return self._style

    def _set_style(self, style: Any) -> None:
        self._style = style
        self.show_state()

    effectButtonStyle = QtCore.Property(int, _get_style, _set_style)

    # Scene and nodes

    def setMRMLScene(self, scene: Any) -> None:
        self.calls.append(("setMRMLScene", scene))
        self._scene = scene
        if scene is None:
            self._logic = None
        self.updateWidgetFromMRML()

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self.calls.append(("setMRMLSegmentEditorNode", node))
        self._node = node
        self._logic = None
        self.updateWidgetFromMRML()

    def mrmlSegmentEditorNode(self) -> Any:
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        self._need_node("setSegmentationNode")
        self.calls.append(("setSegmentationNode", node))
        if node is not None and self._node.GetSegmentationNode() is not node:
            # What could be undone was of the former segmentation.
            self._logic = None
        self._node.SetAndObserveSegmentationNode(node)
        self.updateWidgetFromMRML()

    def segmentationNode(self) -> Any:
        return None if self._node is None else self._node.GetSegmentationNode()

    def segmentationNodeID(self) -> str:
        return getattr(self.segmentationNode(), "GetID", str)() or ""

    def setSourceVolumeNode(self, node: Any) -> None:
        self._need_node("setSourceVolumeNode")
        self.calls.append(("setSourceVolumeNode", node))
        if node is not None and self.segmentationNode() is None:
            raise AssertionError("setSourceVolumeNode: Slicer takes a source volume only for a segmentation")
        self._node.SetAndObserveSourceVolumeNode(node)

    def sourceVolumeNode(self) -> Any:
        return None if self._node is None else self._node.GetSourceVolumeNode()

    def setCurrentSegmentID(self, segment: str) -> None:
        self._need_node("setCurrentSegmentID")
        self.calls.append(("setCurrentSegmentID", segment))
        self._node.SetSelectedSegmentID(segment)
        self.updateWidgetFromMRML()

    def currentSegmentID(self) -> str:
        return "" if self._node is None else self._node.GetSelectedSegmentID() or ""

    def _need_node(self, method: str) -> None:
        # Slicer only logs it, and does nothing.
        if self._scene is None or self._node is None or self._scene.GetNodeByID(self._node.GetID() or "") is None:
            raise AssertionError(f"{method}: no scene, or no segment editor node of it, is set yet")

    def updateWidgetFromMRML(self) -> None:
        self.show_state()

    # Effects

    def availableEffectNames(self) -> tuple[str, ...]:
        return EFFECTS

    def setEffectNameOrder(self, names: Any) -> None:
        unknown = [name for name in names if name not in EFFECTS]
        if unknown:
            raise AssertionError(f"Slicer has no effects {unknown}, and would leave them out in silence")
        self.calls.append(("setEffectNameOrder", list(names)))
        self.order = list(names)
        self.show_state()

    def effectNameOrder(self) -> tuple[str, ...]:
        return tuple(self.order)

    def shown_effects(self) -> list[str]:
        """The effects that a user can choose."""
        others = [name for name in EFFECTS if name not in self.order] if self.values["unorderedEffectsVisible"] else []
        return [*self.order, *others]

    def effectCount(self) -> int:
        return len(self.shown_effects())

    def setActiveEffectByName(self, name: str) -> None:
        if name and name not in self.shown_effects():
            raise AssertionError(f"the effect {name!r} is not shown")
        self.calls.append(("setActiveEffectByName", name))
        self._effect = name
        self.show_state()

    def setActiveEffect(self, effect: Any) -> None:
        if effect is not None:
            raise AssertionError("choose effects by setActiveEffectByName")
        self.setActiveEffectByName("")

    def active_effect_name(self) -> str:
        """The effect that is chosen; empty for none."""
        return self._effect

    def setupViewObservations(self) -> None:
        self.calls.append(("setupViewObservations",))
        self.observes = True

    def removeViewObservations(self) -> None:
        self.calls.append(("removeViewObservations",))
        self.observes = False

    def installKeyboardShortcuts(self, parent: Any = None) -> None:
        self.calls.append(("installKeyboardShortcuts",))

    def uninstallKeyboardShortcuts(self) -> None:
        self.calls.append(("uninstallKeyboardShortcuts",))

    def turnOffLightboxes(self) -> bool:
        return False

    # Undo

    def logic(self) -> Any:
        """vtkSlicerSegmentEditorLogic of the node."""
        import slicer

        if self._logic is None and self._scene is not None and self._node is not None:
            self._logic = slicer.vtkSlicerSegmentEditorLogic()
            self._logic.SetMRMLScene(self._scene)
            self._logic.SetSegmentEditorNode(self._node)
            self._logic.SetMaximumNumberOfUndoStates(self.values["maximumNumberOfUndoStates"])
        return self._logic

    def saveStateForUndo(self) -> None:
        self.calls.append(("saveStateForUndo",))
        if self.values["undoEnabled"] and self.segmentationNode() is not None:
            self.logic().SaveStateForUndo()

    def undo(self) -> None:
        self.calls.append(("undo",))
        if self.values["undoEnabled"] and self.logic() is not None:
            self.logic().Undo()

    def redo(self) -> None:
        self.calls.append(("redo",))
        if self.values["undoEnabled"] and self.logic() is not None:
            self.logic().Redo()

    # What is seen

    def changeEvent(self, event: QtCore.QEvent) -> None:
        super().changeEvent(event)
        # Qt sends one before this widget is made.
        if event.type() == QtCore.QEvent.Type.FontChange and self.layout() is not None:
            self.show_state()

    def show_state(self) -> None:
        """Draw the segments and the effects again."""
        self._segments.clear()
        self._segments.setFixedHeight(2 * self.fontMetrics().height() + 20)
        node = self.segmentationNode()
        if node is not None and node.GetSegmentation() is not None:
            segmentation = node.GetSegmentation()
            for index in range(segmentation.GetNumberOfSegments()):
                self._segments.addItem(_item(segmentation.GetNthSegment(index)))
        grid = self._buttons.layout()
        while grid.count():
            former = grid.takeAt(0).widget()
            former.hide()
            former.deleteLater()
        columns = max(1, self.values["effectColumnCount"])
        for index, name in enumerate(self.shown_effects()):
            button = QtWidgets.QToolButton(self._buttons)
            button.setText(name)
            button.setCheckable(True)
            button.setChecked(name == self._effect)
            button.setEnabled(node is not None)
            button.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda on, name=name: self.setActiveEffectByName(name if on else ""))
            grid.addWidget(button, index // columns, index % columns)


def _item(segment: Any) -> QtWidgets.QListWidgetItem:
    from PySide6 import QtGui

    picture = QtGui.QPixmap(12, 12)
    picture.fill(QtGui.QColor.fromRgbF(*segment.GetColor()))
    return QtWidgets.QListWidgetItem(QtGui.QIcon(picture), segment.GetName())
