"""Grids of voxels in patient space, and the image that lies on one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

# Header fields that describe the voxels or the patient and not the grid. The ANALYZE leftovers of NIfTI-1 (data_type,
# db_name) hold the patient's name in files of some converters.
_ABOUT_THE_CONTENT = {
    *("cal_max", "cal_min", "slice_duration", "toffset", "slice_code", "slice_start", "slice_end", "unused_str"),
    *("intent_code", "intent_p1", "intent_p2", "intent_p3", "intent_name", "descrip", "aux_file", "data_type"),
    *("db_name", "extents", "session_error", "glmax", "glmin"),
}


@dataclass(frozen=True, eq=False)
class Grid:
    """Where voxels lie.

    Parameters
    ----------
    shape : voxels along the three array axes.
    affine : (4, 4) float64, voxel index to patient coordinates, RAS, mm.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """(3,) voxel size along each array axis, mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def orientation(self) -> str:
        """Where each array axis points, for instance "PSR": the first index grows towards posterior."""
        import nibabel

        return "".join(nibabel.aff2axcodes(self.affine))

    @property
    def sagittal_axis(self) -> int:
        """The array axis that runs left-right (across sagittal slices), from the affine alone."""
        return next(axis for axis, letter in enumerate(self.orientation) if letter in "LR")

    @property
    def is_left_handed(self) -> bool:
        """True if the array axes form a left-handed system (negative determinant), as PSR does."""
        return bool(np.linalg.det(self.affine[:3, :3]) < 0)

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, mm3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def corner_indices(self) -> np.ndarray:
        """(8, 3) voxel indices of the grid's outer corners: half a voxel beyond the first and last centres."""
        ends = [(-0.5, size - 0.5) for size in self.shape]
        return np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1).T

    def corners(self) -> np.ndarray:
        """(8, 3) patient coordinates of the outer corners, RAS mm."""
        return apply(self.affine, self.corner_indices())


@dataclass(frozen=True, eq=False)
class Volume:
    """An image or a mask.

    Parameters
    ----------
    array : (I, J, K) voxels as stored in the file, in native byte order; see :meth:`intensities` for scaled values.
    affine : (4, 4) float64, voxel index to patient coordinates, RAS, mm.
    header : the NIfTI header as it was read (nibabel), or None for an image made in memory.
    path : where it was read from, or None.
    extra : bytes between the header and the voxels in the file (NIfTI extensions).
    warnings : sentences about what was noticed and tolerated on reading.
    """

    array: np.ndarray
    affine: np.ndarray
    header: Any = None
    path: Path | None = None
    extra: bytes = b""
    warnings: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.array.shape

    @property
    def grid(self) -> Grid:
        return Grid(self.array.shape, self.affine)

    @property
    def spacing(self) -> np.ndarray:
        return self.grid.spacing

    @cached_property
    def orientation(self) -> str:
        return self.grid.orientation

    @cached_property
    def sagittal_axis(self) -> int:
        return self.grid.sagittal_axis

    @property
    def is_left_handed(self) -> bool:
        return self.grid.is_left_handed

    def intensities(self) -> np.ndarray:
        """(I, J, K) float32 voxel values with the header's slope and intercept applied."""
        slope, inter = scaling(self.header)
        values = self.array.astype(np.float32)
        return values if (slope, inter) == (1.0, 0.0) else values * np.float32(slope) + np.float32(inter)

    def warn(self, *sentences: str) -> Volume:
        """The same image with further warnings."""
        return replace(self, warnings=self.warnings + sentences)


def apply(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (N, 3) mapped by a (4, 4) affine."""
    return points @ affine[:3, :3].T + affine[:3, 3]


def scaling(header: Any) -> tuple[float, float]:
    """Slope and intercept of a NIfTI header; (1, 0) where it has none (slope zero or not finite)."""
    if header is None:
        return 1.0, 0.0
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0.0 or not np.isfinite(slope):
        return 1.0, 0.0
    return slope, inter if np.isfinite(inter) else 0.0


def from_array(array: np.ndarray, affine: np.ndarray) -> Volume:
    """A new image on its own grid; a NIfTI header with sform and qform of code 1 is composed on writing.

    Parameters
    ----------
    array : (I, J, K) of an integer or floating type that NIfTI knows.
    affine : (4, 4) voxel index to RAS mm.
    """
    return Volume(_native(array), np.array(affine, dtype=np.float64))


def like(reference: Volume, array: np.ndarray) -> Volume:
    """`array` on the grid of `reference`, with the same sform, qform, their codes and units.

    The type is the array's own, the intensity scale is reset, and texts and extensions of the reference
    (which may describe a patient or another image) are not carried over.
    """
    array = _native(array)
    if array.shape != reference.shape:
        raise ValueError(f"an array of shape {array.shape} does not lie on a grid of shape {reference.shape}")
    header = reference.header
    if header is not None:
        header = header.copy()
        header.set_data_shape(array.shape)
        header.set_data_dtype(array.dtype)
        header["scl_slope"], header["scl_inter"] = 1.0, 0.0
        header["vox_offset"] = 0
        for field in _ABOUT_THE_CONTENT.intersection(header.keys()):
            header[field] = b"" if header[field].dtype.kind == "S" else 0
    return Volume(array, reference.affine, header)


def _native(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype == bool:
        array = array.astype(np.uint8)  # NIfTI has no boolean type
    return array.astype(array.dtype.newbyteorder("="), copy=False)
