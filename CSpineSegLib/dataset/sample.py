"""A small synthetic dataset in the real layout: 6 patients, 8 exams, the same bytes on every run.

For trying things out, for demonstrations and for tests. The images are phantoms with known anatomy, see
:func:`truth`. Gold masks are the truth; Silver ones carry smooth errors, as a network's would, so that there is
something to correct.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np

from .. import __version__, files, phantom, volume
from ..errors import InputError
from ..progress import Progress, ensure
from . import folders, sample_tables, tsv
from .layout import Dataset
from .sample_plan import PLANS, Plan, plan_of

MARKER = "SAMPLE.txt"
_ERROR_MM = 0.5
_ERROR_VOXELS = 0.4
_ERROR_WAVE_MM = 24.0
_THREADS = 2
_POLL_SECONDS = 0.5


def make(folder: Path | str, progress: Progress | None = None, *, tiny: bool = False) -> Dataset:
    """Write the sample dataset into `folder` and open it; a complete one that is already there is only opened.

    Parameters
    ----------
    folder : a new or empty folder, or one that holds this sample.
    tiny : voxels four times as large in plane, for tests: a few seconds instead of about a minute.

    Raises
    ------
    InputError : the folder holds something else; nothing is written then.
    WriteError : it cannot be written. On this and on cancelling, what was written is removed again.
    """
    root = folders.absolute(folder)
    progress = ensure(progress)
    note = _note(tiny)
    if _holds(root, note):
        if _is_complete(root):
            return Dataset.open(root)
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise InputError(f"{root} is not empty and holds no such sample dataset; choose a new or an empty folder.")
    written: list[Path] = []
    try:
        _write(root, note, tiny, progress, written)
    except BaseException:
        _remove(root, written)
        raise
    progress.update("sample dataset", 1.0, "done")
    return Dataset.open(root)


def truth(name: str, tiny: bool = False) -> phantom.Phantom:
    """The phantom behind an exam, by stem or file name: image, true mask and true levels on the exam's grid."""
    plan = plan_of(name)
    return phantom.make(plan.seed, plan.grid(tiny), fused=plan.fused)


def _write(root: Path, note: str, tiny: bool, progress: Progress, written: list[Path]) -> None:
    for part in ("raw", "processed", "splits"):
        (root / part).mkdir(parents=True, exist_ok=True)
    written.append(root / MARKER)
    files.write_verified(root / MARKER, note.encode("utf-8"))
    extracted = root / "extracted"
    exam_files, slices = {}, {}
    for plan, made in _phantoms(tiny, progress):
        image, mask = _volumes(plan, made, tiny)
        paths = [
            extracted / folders.IMAGES / plan.name.image_name,
            extracted / folders.MASKS / plan.name.mask_name,
        ]
        written += paths
        volume.write(image, paths[0])
        volume.write(mask, paths[1], allowed=(0, 1, 2))
        exam_files[plan.name.stem] = paths
        slices[plan.name.stem] = [part.tobytes() for part in np.moveaxis(image.array, image.sagittal_axis, 0)]
    gold = "".join(f"{plan.name.mask_name}\n" for plan in PLANS if plan.gold)
    written.append(root / "splits" / "gold.txt")
    files.write_verified(written[-1], f"# Exams of the sample that count as Gold\n{gold}".encode())
    written += sample_tables.write_all(extracted / folders.TABLES, exam_files, slices, tiny)


def _phantoms(tiny: bool, progress: Progress) -> Iterator[tuple[Plan, phantom.Phantom]]:
    """Every exam's phantom in order. Two are computed at a time, because NumPy leaves a second core idle."""
    total = float(sum(np.prod(plan.protocol.shape) for plan in PLANS))
    done = 0.0
    pool = ThreadPoolExecutor(_THREADS)
    try:
        pending = [pool.submit(truth, plan.name.stem, tiny) for plan in PLANS]
        for plan, future in zip(PLANS, pending, strict=True):
            progress.update("sample dataset", 0.98 * done / total, plan.name.stem)
            while wait([future], _POLL_SECONDS).not_done:
                progress.update("sample dataset", 0.98 * done / total, plan.name.stem)
            yield plan, future.result()
            done += float(np.prod(plan.protocol.shape))
    finally:
        # Whoever cancels does not wait for a phantom that nobody needs any more.
        pool.shutdown(wait=False, cancel_futures=True)


def _volumes(plan: Plan, made: phantom.Phantom, tiny: bool) -> tuple[volume.Volume, volume.Volume]:
    grid = plan.grid(tiny)
    image = np.clip(np.rint(made.image), 0, np.iinfo(np.int16).max).astype(np.int16)
    mask = made.mask if plan.gold else with_smooth_errors(made.mask, grid, plan.seed + plan.name.study)
    return volume.from_array(image, grid.affine), volume.from_array(mask.astype(np.uint8), grid.affine)


def with_smooth_errors(mask: np.ndarray, grid: volume.Grid, seed: int) -> np.ndarray:
    """A label array (I, J, K) whose outlines wander by about half a millimetre within the sagittal plane.

    Each voxel takes the label from where a sum of three random plane waves sends it; the waves are 24 mm long.
    """
    inside = np.argwhere(mask)
    if not len(inside):
        return mask.copy()
    rng = np.random.default_rng([seed, 7])
    low = np.maximum(inside.min(axis=0) - 4, 0)
    high = np.minimum(inside.max(axis=0) + 5, mask.shape)
    index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    position = index * grid.spacing
    result = index.copy()
    for axis in set(range(3)) - {grid.sagittal_axis}:
        shift = np.zeros(index.shape[:3])
        for _ in range(3):
            wave = rng.normal(size=3)
            wave *= 2 * np.pi / _ERROR_WAVE_MM / np.linalg.norm(wave)
            shift += np.sin(position @ wave + rng.uniform(0, 2 * np.pi))
        # On the coarse grids of the tiny sample, half a millimetre would round to no error at all.
        size = max(_ERROR_MM / grid.spacing[axis], _ERROR_VOXELS)
        moved = index[..., axis] + np.rint(shift * size).astype(int)
        result[..., axis] = np.clip(moved, 0, mask.shape[axis] - 1)
    changed = mask.copy()
    changed[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = mask[tuple(np.moveaxis(result, -1, 0))]
    return changed


def _note(tiny: bool) -> str:
    size = "tiny" if tiny else "full"
    return (
        f"CSpineSeg sample dataset, {size} size, made by version {__version__}.\n"
        "Computed from scratch: no image, name or number in this folder belongs to a real person.\n"
    )


def _holds(root: Path, note: str) -> bool:
    try:
        return (root / MARKER).read_text(encoding="utf-8") == note
    except (OSError, UnicodeDecodeError):
        return False


def _is_complete(root: Path) -> bool:
    """True if the table that is written last is there, and every file has the size that its table gives."""
    extracted = root / "extracted"
    tables = extracted / folders.TABLES
    if not sample_tables.table_path(tables, "clinical_manifest").is_file():
        return False
    try:
        rows = tsv.read(sample_tables.table_path(tables, "annotation_file"), ("file_name", "file_size"))
        rows += tsv.read(sample_tables.table_path(tables, "clinical_manifest"), ("file_name", "file_size"))
    except InputError:
        return False
    sizes = {}
    for part in folders.PARTS:
        with contextlib.suppress(FileNotFoundError), os.scandir(extracted / part) as entries:
            sizes.update({entry.name: str(entry.stat().st_size) for entry in entries})
    return all(sizes.get(row["file_name"]) == row["file_size"] for row in rows)


def _remove(root: Path, written: list[Path]) -> None:
    for path in written:
        path.unlink(missing_ok=True)
    parts = [root / "extracted" / part for part in folders.PARTS]
    for folder in (*parts, root / "extracted", root / "raw", root / "processed", root / "splits", root):
        # A folder in which someone else has put something stays.
        with contextlib.suppress(OSError):
            folder.rmdir()
