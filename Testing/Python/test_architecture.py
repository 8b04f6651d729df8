"""The rooms of the library and who may enter: the arrows of the design, kept by reading the imports of every file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "CSpineSegLib"

LEAVES = {"errors", "progress", "resources", "files", "anatomy", "volume"}
# Each room with the rooms that it may use besides the leaves; what those may use, it may use too.
ARROWS = {
    "phantom": {},
    "dataset": {"phantom"},
    "spine": {"dataset"},
    "evaluation": {"spine"},
    "review": {"evaluation"},
    "model": {"spine"},
    "training": {"model", "review"},
    "jobs": {"review", "model"},
    "worker": {"jobs"},  # the process that jobs start and speak with
    "scene": {},
    "session": {"jobs", "scene"},  # one exam open in a scene, for the module, the console and scripts
    "workplace": {"session"},  # what the module's panels show
    "cli": {"session", "training"},
}
# The leaves among themselves.
LEAF_ARROWS = {
    "errors": set(),
    "progress": {"errors"},
    "resources": {"errors"},
    "files": {"errors"},
    "anatomy": {"errors", "resources"},
    "volume": {"errors", "files"},
}
HEAVY = {"torch", "monai", "openvino", "nibabel", "pandas", "matplotlib", "scipy", "vtk", "vtkmodules", "slicer"}
GUI = {"qt", "ctk", "PySide6", "PythonQt"}
LONGEST = 350
# Files that may write without `files`, and why.
OWN_WRITES = {
    "training/bank.py": "a cache of synthetic slices, gigabytes in all, that is drawn again if it is damaged",
    "training/trainer.py": "a log that grows by a line; its checkpoints go through files",
}


class Import(NamedTuple):
    """`module` as an absolute dotted name; `early` if it runs when the file is imported."""

    module: str
    early: bool
    line: int


def allowed(room: str) -> set[str]:
    """All rooms that a room may use."""
    if room in LEAVES:
        return LEAF_ARROWS[room]
    found = set(LEAVES)
    for target in ARROWS.get(room, {}):
        found |= {target} | allowed(target)
    return found


parsed = cache(ast.parse)


def called(node: ast.Call) -> str:
    """Last part of the name of what is called."""
    return ast.unparse(node.func).split(".")[-1]


def imports(path: Path, root: Path) -> Iterator[Import]:
    """Every import of a file, those in functions and in `importlib.import_module("...")` too."""
    package = list(path.relative_to(root).with_suffix("").parts[:-1])

    def visit(node: ast.AST, early: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, early, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = [*base, *(node.module.split(".") if node.module else [])]
            for alias in node.names:
                yield Import(".".join([*base, alias.name]), early, node.lineno)
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            yield Import(str(getattr(node.args[0], "value", "")), early, node.lineno)
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        later = later or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        inside = early and not later
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(parsed(path.read_text(encoding="utf-8")), True)


def python_files(root: Path, *folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def room_of(path: Path, root: Path) -> str:
    return path.relative_to(root / LIBRARY).parts[0].removesuffix(".py")


def rooms_entered(path: Path, root: Path) -> Iterator[tuple[str, int]]:
    """The rooms of the library that a file imports."""
    known = {*LEAVES, *ARROWS}
    for found in imports(path, root):
        parts = found.module.split(".")
        # `from CSpineSegLib import __version__` enters no room; an unknown room would be found as a file.
        if parts[0] == LIBRARY and len(parts) > 1 and (parts[1] in known or (root / LIBRARY / parts[1]).exists()):
            yield parts[1], found.line


def wrong_arrows(root: Path) -> list[str]:
    wrong = []
    for path in python_files(root, LIBRARY):
        room = room_of(path, root)
        for target, line in rooms_entered(path, root):
            if target != room and target not in allowed(room):
                wrong.append(f"{path.relative_to(root)}:{line}: {room} must not use {target}")
    for path in python_files(root, "CSpineSeg"):
        # The headless runner is the command line inside Slicer; the panels have no use for it.
        entered = allowed("workplace") | {"workplace"}
        entered |= {"cli", *allowed("cli")} if path.name == "headless.py" else set()
        for target, line in rooms_entered(path, root):
            if target not in entered:
                wrong.append(f"{path.relative_to(root)}:{line}: the module must not use {target}")
    return wrong


def wrong_packages(root: Path) -> list[str]:
    wrong = []
    for path in python_files(root, LIBRARY):
        scene = room_of(path, root) == "scene"
        for found in imports(path, root):
            top = found.module.split(".")[0]
            where = f"{path.relative_to(root)}:{found.line}"
            if top in GUI:
                wrong.append(f"{where}: only the Slicer module may use {top}")
            elif top == "slicer" and not scene:
                wrong.append(f"{where}: only scene may use slicer")
            elif top == "CSpineSeg" or top.startswith("CSpineSegModule"):
                wrong.append(f"{where}: the library must not know the Slicer module")
            elif top in HEAVY and found.early and not (scene and top in ("slicer", "vtk", "vtkmodules")):
                wrong.append(f"{where}: import {top} inside the function that uses it")
    return wrong


def writes_of_its_own(root: Path) -> list[str]:
    """Places that write a file without `files`, where nothing is verified or atomic."""
    wrong = []
    for path in python_files(root, LIBRARY):
        name = path.relative_to(root / LIBRARY).as_posix()
        if name == "files.py" or name in OWN_WRITES:
            continue
        for node in ast.walk(parsed(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and writes(node):
                wrong.append(f"{path.relative_to(root)}:{node.lineno}: write through files, not by {called(node)}")
    return wrong


def writes(node: ast.Call) -> bool:
    """Whether a call writes, moves or opens a file for writing."""
    given = [*node.args, *(word.value for word in node.keywords)]
    words = [str(value.value) for value in given if isinstance(value, ast.Constant)]
    if called(node) in ("open", "fdopen"):
        return any(re.fullmatch(r"[rbt]*[wax+][bt+]*", word) for word in words)
    names = ("write_text", "write_bytes", "to_csv", "to_filename")
    return called(node) in names or ast.unparse(node.func) in ("os.rename", "os.replace")


def texts(root: Path) -> list[Path]:
    """Every text of the project that people write."""
    folders = ("CSpineSeg", LIBRARY, "Testing", "Docs", "Resources", ".ci")
    endings = {".py", ".md", ".toml", ".txt", ".ui", ".json", ".cmake", ""}
    found = [path for folder in folders for path in (root / folder).rglob("*") if path.suffix in endings]
    found += [path for path in root.glob("*") if path.suffix in endings]
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def test_every_file_of_the_library_belongs_to_a_known_room():
    rooms = {room_of(path, ROOT) for path in python_files(ROOT, LIBRARY)} - {"__init__", "__main__"}
    assert rooms <= {*LEAVES, *ARROWS}, "a new room needs its arrows in the design and here"
    assert rooms >= LEAVES


def test_arrows_point_down():
    assert wrong_arrows(ROOT) == []


def test_there_are_no_circles():
    assert not any(room in allowed(room) for room in {*LEAVES, *ARROWS})


def test_only_the_scene_room_knows_slicer_and_nobody_knows_qt_or_imports_heavy_packages_early():
    assert wrong_packages(ROOT) == []


def test_everything_is_written_through_the_one_verified_function():
    assert writes_of_its_own(ROOT) == []


def test_no_file_is_too_long_to_be_read_in_one_sitting():
    long = {}
    for path in [*python_files(ROOT, LIBRARY, "CSpineSeg", "Testing"), *(ROOT / "CSpineSeg").rglob("*.ui")]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if path.suffix == ".py" and lines > LONGEST:
            long[str(path.relative_to(ROOT))] = lines
    assert long == {}


def test_nothing_is_left_for_later():
    words = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    left = [str(path.relative_to(ROOT)) for path in texts(ROOT) if words.search(path.read_text("utf-8", "replace"))]
    assert left == []


def test_importing_the_library_is_fast_and_loads_nothing_heavy():
    def import_time() -> float:
        command = [sys.executable, "-X", "importtime", "-c", f"import {LIBRARY}"]
        lines = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr.splitlines()
        (line,) = [line for line in lines if line.split("|")[-1].strip() == LIBRARY]
        return int(line.split("|")[1]) / 1e6

    assert min(import_time() for _ in range(5)) < 0.3
    code = f"import sys, {LIBRARY}; print(*sorted(name for name in sys.modules if '.' not in name))"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert LIBRARY in loaded and not {*loaded} & (HEAVY | GUI)


# The checks themselves find what they are for.


@pytest.fixture
def house(tmp_path):
    """Adds files to a library that is otherwise empty, and returns what is wrong with it."""

    def build(name: str, source: str) -> list[str]:
        for folder in (*LEAVES, *ARROWS):
            (tmp_path / LIBRARY / folder).mkdir(parents=True, exist_ok=True)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
        return wrong_arrows(tmp_path) + wrong_packages(tmp_path) + writes_of_its_own(tmp_path)

    return build


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("volume/nifti.py", "from ..jobs import segment"),
        ("volume/nifti.py", "from .. import dataset"),
        ("dataset/names.py", "from ..review.records import x"),
        ("dataset/names.py", "def f():\n    from CSpineSegLib import model"),
        ("model/deep/engine.py", "from ...jobs import segment"),
        ("model/engine.py", "import CSpineSegLib.review.status"),
        ("scene/case.py", "from ..dataset import Exam"),
        ("phantom/shape.py", "import importlib\nimportlib.import_module('CSpineSegLib.dataset')"),
        ("review/status.py", "from ..model import predict"),
        ("jobs/segment.py", "from .. import scene"),
        ("jobs/segment.py", "from ..cli import main"),
        ("jobs/segment.py", "from ..training import train"),
        ("jobs/segment.py", "from ..worker import main"),
        ("errors.py", "from . import files"),
        ("volume/grid.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..dataset import Exam"),
        ("__init__.py", "from . import jobs"),
        ("jobs/x.py", "import slicer"),
        ("jobs/x.py", "def f():\n    import slicer.util"),
        ("scene/x.py", "def f():\n    import qt"),
        ("scene/x.py", "import scipy"),
        ("model/x.py", "import torch"),
        ("model/x.py", "from torch.nn import Module"),
        ("model/x.py", "try:\n    import monai\nexcept ImportError:\n    monai = None"),
        ("model/x.py", "class A:\n    import pandas"),
        ("volume/x.py", "import nibabel as nib"),
        ("jobs/x.py", "import vtk"),
        ("jobs/x.py", "from CSpineSegModule import panel"),
        ("jobs/x.py", "open('a.json', 'w', encoding='utf-8')"),
        ("jobs/x.py", "path.open(mode='xb')"),
        ("jobs/x.py", "path.write_text('a')"),
        ("jobs/x.py", "table.to_csv(path)"),
        ("jobs/x.py", "import os\nos.replace(a, b)"),
    ],
)
def test_what_is_forbidden_is_found(house, name, source):
    assert len(house(f"{LIBRARY}/{name}", source)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (
            "jobs/segment.py",
            "from ..model import predict\nfrom .. import dataset, __version__\nfrom . import x",
        ),
        ("volume/nifti.py", "def f():\n    import nibabel\n    from scipy import ndimage"),
        ("volume/nifti.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nibabel"),
        ("scene/case.py", "import slicer, vtk\nfrom vtkmodules.util import numpy_support\nfrom ..volume import read"),
        ("session.py", "from . import jobs, scene"),
        ("session.py", "open('a.json', encoding='utf-8').read().replace('a', 'b')\npath.open('rb')"),
        ("files.py", "import os\nos.replace(a, b)\nopen(a, 'xb')"),
        ("cli/app.py", "from .. import session, scene, jobs"),
        ("training/train.py", "from ..phantom import make\nfrom ..model.networks import build"),
    ],
)
def test_what_is_permitted_passes(house, name, source):
    assert house(f"{LIBRARY}/{name}", source) == []


def test_only_the_headless_runner_of_the_module_uses_the_command_line(house):
    assert house("CSpineSeg/CSpineSeg.py", "import qt, slicer\nfrom CSpineSegLib import session, jobs, scene") == []
    assert house("CSpineSeg/CSpineSegModule/headless.py", "from CSpineSegLib.cli import main") == []
    assert len(house("CSpineSeg/CSpineSeg.py", "from CSpineSegLib.cli import main")) == 1
