"""Exams whose levels were found before, and other masks of them, which the tests of levels on disk share."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from CSpineSegLib import anatomy, files, jobs, volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.review import revisions

WHOLE, FUSED = "593973-900005", "593973-900002"
MIDDLE = ("C4", "C4-C5", "C5", "C5-C6", "C6", "C6-C7", "C7")


@pytest.fixture(scope="module")
def _labelled(_tiny_sample, tmp_path_factory):
    """The sample with the levels of two exams, which take their time."""
    root = tmp_path_factory.mktemp("levels") / "sample"
    shutil.copytree(_tiny_sample, root)
    dataset = Dataset.open(root)
    assert not jobs.levels_many([*dataset.exams(patient=WHOLE), *dataset.exams(patient=FUSED)]).failures
    return root


@pytest.fixture
def labelled(_labelled, tmp_path):
    root = tmp_path / "jeu de données"
    shutil.copytree(_labelled, root)
    return Dataset.open(root)


@pytest.fixture
def exam(labelled):
    """An exam whose levels were found before."""
    return labelled.exams(patient=WHOLE)[0]


@pytest.fixture
def fused(labelled):
    return labelled.exams(patient=FUSED)[0]


@pytest.fixture
def fresh(sample_dataset):
    """The same as `exam` without levels."""
    return sample_dataset.exams(patient=WHOLE)[0]


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): files.sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def value(name: str) -> int:
    return anatomy.level_value(name)


def middle_of(exam) -> tuple[volume.Volume, dict[str, np.ndarray]]:
    """The exam's mask with four vertebrae only, which nothing names, and the centres (RAS mm) of what is left."""
    mask = volume.read_mask(exam.mask)
    levels = jobs.levels(exam).labelling().level_volume(mask).array
    kept = np.isin(levels, [value(name) for name in MIDDLE])
    centres = {}
    for name in MIDDLE:
        index = np.argwhere(levels == value(name)).mean(axis=0)
        centres[name] = mask.affine[:3, :3] @ index + mask.affine[:3, 3]
    return volume.like(mask, np.where(kept, mask.array, 0).astype(np.uint8)), centres


def holed(mask: volume.Volume, where: np.ndarray) -> volume.Volume:
    return volume.like(mask, np.where(where, 0, mask.array).astype(np.uint8))


def trimmed(exam) -> volume.Volume:
    """The exam's mask without one voxel: another mask of the same levels."""
    mask = volume.read_mask(exam.mask)
    where = np.zeros(mask.shape, bool)
    where[tuple(np.argwhere(mask.array)[0])] = True
    return holed(mask, where)


def revise(exam, mask: volume.Volume) -> None:
    revisions.save(exam, mask, status="accepted", annotator="ab")
