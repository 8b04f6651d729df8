"""One row per exam: what the tables say, how its image lies, and how much its mask holds."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import anatomy
from ...dataset import Dataset, Exam, folders, tables
from ...errors import CSpineSegError, InputError
from ...progress import Progress, ensure
from ...volume import Grid, compare_grids, read_mask
from ...volume.checks import affine_of, check_dimensions

if TYPE_CHECKING:
    import pandas

# A component of less is a speck, whatever its label.
SPECK_MM3 = 20.0
_THREADS = 4
_POLL_SECONDS = 0.5

GEOMETRY = (
    "matrix",
    "slices",
    "in_plane_mm",
    "in_plane_second_mm",
    "slice_distance_mm",
    "orientation",
    "sagittal_axis",
    "image_problem",
)
MASK = (
    *(
        f"{structure.key}_{what}"
        for structure in anatomy.STRUCTURES
        for what in ("mm3", "voxels", "components", "specks")
    ),
    "mask_grid",
    "mask_problem",
)


def gather(
    dataset: Dataset, *, images: bool = True, masks: bool = True, progress: Progress | None = None
) -> tuple[pandas.DataFrame, list[str]]:
    """All exams of a dataset, one row each, and sentences about what the tables lack.

    Parameters
    ----------
    images : read the headers of the images; their voxels are never read.
    masks : read the masks as released, for volumes and components.

    Returns
    -------
    Frame with the columns of `Dataset.table`, those of `tables.SCAN_TEXTS` and `SCAN_NUMBERS`, `age_group`, and those
    of :data:`GEOMETRY` and :data:`MASK`, as text, float or None; `patient_id` is the exam's own name where there is
    none. What was not read, not there or not readable is missing, and `image_problem` or `mask_problem` says why.
    """
    import pandas

    progress = ensure(progress)
    found, problems = tables.scans(folders.find(dataset.root).tables)
    rows = []
    for exam in dataset.exams():
        fields = exam.fields
        rows.append(
            {
                "stem": exam.stem,
                "patient_id": exam.patient_id or exam.stem,
                "source": exam.source,
                **{name: fields.get(name) for name in ("age", "age_over_89", "sex", "race", "ethnicity")},
                "age_group": tables.age_group(fields.get("age"), fields.get("age_over_89")),
                **{name: fields.get(name) for name in ("manufacturer", "model", "field_strength")},
                "series_description": fields.get("series_description"),
                **dict.fromkeys((*tables.SCAN_TEXTS, *tables.SCAN_NUMBERS)),
                **found.get(fields.get("series_uid") or "", {}),
                "has_image": exam.image is not None,
                "has_mask": exam.mask is not None,
                **dict.fromkeys((*GEOMETRY, *MASK)),
            }
        )
    for row, seen in zip(rows, _looked(dataset.exams(), images, masks, progress), strict=True):
        row.update(seen)
    frame = pandas.DataFrame(rows)
    numbers = ["age", "field_strength", *tables.SCAN_NUMBERS, "slices", "sagittal_axis"]
    numbers += [name for name in (*GEOMETRY, *MASK) if name.endswith(("_mm", "_mm3", "_voxels", "nents", "_specks"))]
    return frame.astype(dict.fromkeys(numbers, float)), problems


def read_grid(path: Path) -> Grid:
    """The grid of a NIfTI image from its header; the voxels are not read.

    Raises
    ------
    InputError, GeometryError : as `volume.read`, as far as the header tells.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        header = nibabel.load(path).header
    except (ImageFileError, OSError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its header is damaged, or it is no NIfTI file"
        raise InputError(f"{path} cannot be read ({reason}); copy or download it again.") from None
    shape = check_dimensions(header, path)
    affine, _ = affine_of(header, shape, path)
    return Grid(shape, affine)


def geometry(grid: Grid) -> dict[str, Any]:
    """The columns of :data:`GEOMETRY` of a grid: in plane means across the axis that runs left-right."""
    across = grid.sagittal_axis
    within = [axis for axis in range(3) if axis != across]
    first, second = (float(grid.spacing[axis]) for axis in within)
    return {
        "matrix": " x ".join(str(grid.shape[axis]) for axis in within),
        "slices": float(grid.shape[across]),
        "in_plane_mm": first,
        "in_plane_second_mm": second,
        "slice_distance_mm": float(grid.spacing[across]),
        "orientation": grid.orientation,
        "sagittal_axis": float(across),
    }


def content(array: np.ndarray, voxel_mm3: float) -> dict[str, float]:
    """The volumes and components of a mask (I, J, K): voxels that touch by a face, an edge or a corner are connected.

    The count has all components; specks are those among them that are smaller than 20 mm3.
    """
    from scipy import ndimage

    found = {}
    for structure in anatomy.STRUCTURES:
        inside = array == structure.label
        sizes = np.zeros(0, int)
        boxes = ndimage.find_objects(inside.astype(np.uint8))
        if boxes:
            parts, _ = ndimage.label(inside[boxes[0]], np.ones((3, 3, 3)))
            sizes = np.bincount(parts.ravel())[1:]
        found[f"{structure.key}_mm3"] = float(sizes.sum() * voxel_mm3)
        found[f"{structure.key}_voxels"] = float(sizes.sum())
        found[f"{structure.key}_components"] = float(len(sizes))
        found[f"{structure.key}_specks"] = float(np.count_nonzero(sizes * voxel_mm3 < SPECK_MM3))
    return found


def _looked(exams: Sequence[Exam], images: bool, masks: bool, progress: Progress) -> Iterator[dict[str, Any]]:
    """What the files of each exam say, in order; a few are read at a time."""
    if not (images or masks):
        yield from ({} for _ in exams)
        return
    pool = ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1))
    try:
        pending = [pool.submit(_look, exam, images, masks) for exam in exams]
        waiting = set(pending)
        while waiting:
            progress.update("Reading", 1 - len(waiting) / len(pending))
            waiting = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED).not_done
        yield from (future.result() for future in pending)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _look(exam: Exam, images: bool, masks: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    grid = None
    if images and exam.image is not None:
        grid = _tried(found, "image_problem", lambda: read_grid(exam.image))
        found.update(geometry(grid) if grid is not None else {})
    if masks and exam.mask is not None:
        mask = _tried(found, "mask_problem", lambda: read_mask(exam.mask))
        if mask is not None:
            found.update(content(mask.array, mask.grid.voxel_volume))
            found["mask_grid"] = compare_grids(grid, mask.grid).kind if grid is not None else None
    return found


def _tried(found: dict[str, Any], column: str, work: Callable[[], Any]) -> Any:
    """What `work` returns; None, with the sentence in `column`, if the file cannot be used."""
    try:
        return work()
    except CSpineSegError as error:
        found[column] = str(error)
        return None
