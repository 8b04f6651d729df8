"""What the module uses of Slicer, read from its source: dotted names, names of widgets, properties of forms."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .scripted import MODULE_FOLDER, ROOT

ROOTS = {"qt", "ctk", "slicer", "SampleData"}
# How Slicer is found where it may not be imported.
ASKED = 'sys.modules.get("slicer")'
FORMS = MODULE_FOLDER / "Resources" / "UI"


class Use(NamedTuple):
    """A name, and the file and line that it stands in."""

    name: str
    where: str


def sources() -> list[Path]:
    return sorted(MODULE_FOLDER.rglob("*.py"))


def room() -> list[Path]:
    """The files of the library that know Slicer: its scene room, and whoever asks whether it runs."""
    files = sorted((ROOT / "CSpineSegLib").rglob("*.py"))
    return [path for path in files if path.parent.name == "scene" or ASKED in path.read_text(encoding="utf-8")]


def dotted(path: Path) -> Iterator[Use]:
    """Every name that begins with qt, ctk or slicer, as far as it goes without a call; imports too."""
    yield from names_of(path.read_text(encoding="utf-8"), path.name)


def names_of(source: str, name: str) -> Iterator[Use]:
    tree = ast.parse(source)
    known = {root: root for root in ROOTS}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in ROOTS:
            for alias in node.names:
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield Use(f"{node.module}.{alias.name}", f"{name}:{node.lineno}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in ROOTS and alias.asname:
                    known[alias.asname] = alias.name
        elif isinstance(node, ast.Assign) and ast.unparse(node.value) == ast.unparse(ast.parse(ASKED)):
            known |= {target.id: "slicer" for target in node.targets if isinstance(target, ast.Name)}
    # The whole of a.b.c, and not a.b again.
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            parts = _parts(node)
            if parts and parts[0] in known:
                # What every Python class has, such as __init__, need not be looked up.
                shown = [part for part in parts[1:] if not part.startswith("__")]
                yield Use(".".join([known[parts[0]], *shown]), f"{name}:{node.lineno}")
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr"):
            parts = _parts(node.args[0]) if isinstance(node.args[0], ast.Attribute) else [ast.unparse(node.args[0])]
            if parts and parts[0] in known:
                last = node.args[1].value if isinstance(node.args[1], ast.Constant) else "whatever is computed"
                yield Use(".".join([known[parts[0]], *parts[1:], str(last)]), f"{name}:{node.lineno}")


def _parts(node: ast.expr) -> list[str]:
    """a.b.c as its parts; empty if something else than names stands in it."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def attributes(path: Path) -> set[str]:
    """Every name after a dot, of whatever object."""
    return {
        node.attr for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)
    }


def widgets(form: Path) -> dict[str, str]:
    """Class of each named widget of a form."""
    return {
        element.get("name", ""): element.get("class", "")
        for element in ElementTree.parse(form).getroot().iter("widget")
    }


def widget_names(path: Path) -> Iterator[tuple[str, str, str]]:
    """(class, name, where) of every `self.ui.widget.name`, and `self.root.name` in panels; "" for no such widget."""
    named = {name: kind for form in FORMS.glob("*.ui") for name, kind in widgets(form).items()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = _parts(node) if isinstance(node, ast.Attribute) else []
        if parts[:2] == ["self", "ui"] and len(parts) == 4:
            yield named.get(parts[2], ""), parts[3], f"{path.name}:{node.lineno} {'.'.join(parts)}"
        elif parts[:2] == ["self", "root"] and len(parts) == 3 and path.parent.name == "panels":
            yield "ctkCollapsibleButton", parts[2], f"{path.name}:{node.lineno} {'.'.join(parts)}"


def properties(form: Path) -> Iterator[tuple[str, str]]:
    """(class, property) of every widget of a form; dynamic properties and buddies are none."""
    for element in ElementTree.parse(form).getroot().iter("widget"):
        for field in element.findall("property"):
            if field.get("stdset") != "0" and field.get("name") != "buddy":
                yield element.get("class", ""), field.get("name", "")
