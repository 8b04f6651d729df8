"""A workplace at which somebody draws, and the folder in which what is not saved is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import review_cases as cases

pytest.importorskip("slicer", reason="the workplace needs slicer-core: pip install cspineseg[scene]")

from CSpineSegLib import scene
from CSpineSegLib.workplace import Workplace, recovery

OTHER = "593973-000124_Study-MR-131_Series-2"


@pytest.fixture
def place(tmp_path):
    """A dataset of two exams and a folder for copies, in a path with spaces and accents."""
    root = tmp_path / "jeu de données"
    cases.make_exam(root)
    cases.make_exam(root, OTHER)
    return root


def workplace_of(root: Path, annotator: str = "Anna") -> Workplace:
    workplace = Workplace()
    workplace.annotator = annotator
    workplace.keeper = recovery.Keeper(workplace, root.parent / "Recovery")
    workplace.open_dataset(root)
    return workplace


def open_and_draw(root: Path, seed: int = 5, **how) -> Workplace:
    workplace = workplace_of(root)
    workplace.open_exam(workplace.dataset.exam(cases.STEM), **how)
    draw(workplace, seed)
    return workplace


def draw(workplace: Workplace, seed: int) -> None:
    session = workplace.session
    scene.replace_voxels(session.context, session.case, cases.drawn(session.exam, seed))


def folder(root: Path) -> Path:
    return root.parent / "Recovery"


def found(root: Path) -> list[recovery.Copy]:
    return recovery.find(folder(root))


def names(root: Path) -> list[str]:
    return sorted(path.name for path in folder(root).glob("*"))


def edit_record(root: Path, **changed) -> None:
    """Change what the JSON of the only copy says."""
    (record,) = folder(root).glob("*.json")
    content = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**content, **changed}), encoding="utf-8")
