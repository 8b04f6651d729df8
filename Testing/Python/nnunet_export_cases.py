"""A dataset in the real layout on very few voxels, for the tests of what is handed to nnU-Net."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CSpineSegLib import volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.training.nnunet import Folders, cases, exporting

SHAPE = (24, 20, 6)
SPACING = (0.7, 0.7, 4.0)


def stem(patient: int, study: int | None = None) -> str:
    return f"593973-{patient:06d}_Study-MR-{study or patient}_Series-3"


def affine(codes: str = "PSR", shape: tuple[int, ...] = SHAPE, spacing: tuple[float, ...] = SPACING) -> np.ndarray:
    """Voxel to RAS mm, axes along `codes`, the grid's centre at the origin."""
    directions = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    found = np.eye(4)
    found[:3, :3] = np.array([directions[code] for code in codes], float).T * spacing
    found[:3, 3] = -found[:3, :3] @ ((np.array(shape) - 1) / 2)
    return found


def add(
    root: Path, patient: int, study: int | None = None, codes: str = "PSR", mask: bool = True, ending: str = ".nii.gz"
) -> tuple[Path, Path]:
    """An exam of noise with a body and a disc; returns the paths of image and mask."""
    rng = np.random.default_rng(patient * 1000 + (study or patient))
    image = volume.from_array(rng.integers(50, 900, SHAPE, dtype=np.int16), affine())
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[4:12, 3:9, 1:5], drawn[4:12, 9:12, 1:5] = 1, 2
    label = volume.from_array(drawn, affine())
    paths = (
        root / "extracted" / "annotation" / f"{stem(patient, study)}{ending}",
        root / "extracted" / "segmentation" / f"{stem(patient, study)}_SEG{ending}",
    )
    if codes != "PSR":
        image, label = volume.reorient(image, codes), volume.reorient(label, codes)
        image, label = (volume.from_array(part.array, part.affine) for part in (image, label))
    volume.write(image, paths[0])
    if mask:
        volume.write(label, paths[1])
    return paths


def make(root: Path, patients: int = 6, split: str | None = "593973-000006\ttest\n") -> Dataset:
    """Patients 1 to n with an exam each, a second one of patient 1, Gold exams of 1 to 3, and a table of the split."""
    for patient in range(1, patients + 1):
        add(root, patient)
    add(root, 1, 101)
    splits = root / "splits"
    splits.mkdir()
    gold = "".join(f"{stem(patient)}\n" for patient in range(1, 4))
    (splits / "gold.txt").write_text(gold, encoding="utf-8")
    if split is not None:
        (splits / "splits.tsv").write_text(f"patient_id\tsplit\n{split}", encoding="utf-8")
    return Dataset.open(root)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def raw(folders: Folders) -> Path:
    """Where the dataset is exported to."""
    return folders.raw / "Dataset108_CSpineSeg"


def case_of(made: exporting.Exported, name: str) -> cases.Case:
    """The case of an exam in an export."""
    return next(case for case in made.cases if case.exam == name)
