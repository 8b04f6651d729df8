"""slicer.util.loadUI and childWidgetVariables: forms with the classes and properties that Slicer has, and no others."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from . import api
from .listed import Strict
from .strict import StrictObject, is_listed, members, module_of, unwrap

# What Qt's form loader itself knows of layouts and spacers.
LAYOUT = {
    "leftMargin", "topMargin", "rightMargin", "bottomMargin", "margin", "spacing", "horizontalSpacing",
    "verticalSpacing", "sizeConstraint", "fieldGrowthPolicy", "rowWrapPolicy", "labelAlignment", "formAlignment",
}  # fmt: skip
SPACER = {"orientation", "sizeType", "sizeHint"}


def custom_classes() -> dict[str, type]:
    """The promoted classes that forms may use."""
    from .editor import qMRMLSegmentEditorWidget
    from .widgets import ctkCollapsibleButton

    return {kind.__name__: kind for kind in (ctkCollapsibleButton, qMRMLSegmentEditorWidget)}


def _class(name: str, customs: dict[str, type]) -> type | None:
    from PySide6 import QtGui, QtWidgets

    return customs.get(name) or getattr(QtWidgets, name, None) or getattr(QtGui, name, None)


def check(path: Path | str) -> list[str]:
    """What Slicer would not understand of a form, one sentence each."""
    root = ElementTree.parse(path).getroot()
    customs = custom_classes()
    declared = {item.findtext("class") for item in root.iter("customwidget")}
    named = {element.get("name") for element in root.iter("widget")}
    wrong = []
    for element in root.iter():
        if element.tag not in ("widget", "action"):
            continue
        name = element.get("class", "QAction")
        where = f"{name} {element.get('name')!r}"
        kind = _class(name, customs)
        if kind is None:
            wrong.append(f"{where}: no such class; stand-ins exist for {', '.join(customs)}")
            continue
        if name in customs and name not in declared:
            wrong.append(f"{where}: {name} is not among the form's customwidgets")
        if not element.get("name"):
            wrong.append(f"{where}: has no name")
        for field in element.findall("property"):
            if name == "QLabel" and field.get("name") == "buddy":
                wrong += (
                    [] if field.findtext("cstring") in named else [f"{where}: no widget {field.findtext('cstring')!r}"]
                )
            else:
                wrong += [f"{where}: {problem}" for problem in _problems(field, kind)]
    for element in root.iter("layout"):
        unknown = {field.get("name") for field in element.findall("property")} - LAYOUT
        wrong += [f"layout {element.get('name')!r}: no property {name!r}" for name in sorted(unknown)]
    stops = [element.text for element in root.iter("tabstop")]
    inside = named - {root.find("widget").get("name")}  # type: ignore[union-attr]
    wrong += [f"tab stop {name!r}: no such widget in the form" for name in stops if name not in inside]
    wrong += [f"signal {element.findtext('signal')!r}: connect in Python" for element in root.iter("connection")]
    return wrong


def _problems(field: Any, kind: type) -> list[str]:
    name = field.get("name")
    properties = members(kind)[0]
    values = [word for item in field if item.tag in ("enum", "set") for word in (item.text or "").split("|")]
    problems = [f"Qt 5.15 does not read {text}; leave the middle word out" for text in values if text.count("::") > 1]
    if field.get("stdset") == "0":
        return problems
    if name not in properties:
        return [*problems, f"no property {name!r}"]
    if not is_listed(kind, name):
        problems.append(str(api.missing(f"{module_of(kind.__name__)}.{kind.__name__}.{name}")))
    return problems


def load(path: str) -> StrictObject:
    """The widget of a form.

    Raises
    ------
    RuntimeError : the file does not exist, or Slicer would not understand it as it is meant.
    """
    from PySide6 import QtCore, QtUiTools

    if not Path(path).is_file():
        raise RuntimeError(f"Could not load UI file: file not found {path}")
    wrong = check(path)
    if wrong:
        raise RuntimeError(f"{Path(path).name}: " + "; ".join(wrong))
    loader = QtUiTools.QUiLoader()
    customs = custom_classes()
    for kind in customs.values():
        loader.registerCustomWidget(kind)
    file = QtCore.QFile(path)
    file.open(QtCore.QFile.OpenModeFlag.ReadOnly)
    root = loader.load(file)
    file.close()
    # Python's side of the promoted widgets has to live as long as the form.
    root.kept = [child for kind in customs.values() for child in root.findChildren(kind)]
    return StrictObject(root)


def child_widgets(widget: Any) -> Strict:
    """The named widgets, actions and layouts of a form, the form itself too."""
    from PySide6 import QtCore

    root = unwrap(widget)
    named = [root, *root.findChildren(QtCore.QObject)]
    return Strict(
        **{
            child.objectName(): StrictObject(child)
            for child in named
            if child.objectName() and not child.objectName().startswith("qt_")
        }
    )
