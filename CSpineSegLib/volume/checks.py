"""What a NIfTI header must satisfy before its geometry is trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import GeometryError, InputError
from .grid import Grid, apply

SILENT_MM = 0.01
TOLERATED_VOXELS = 0.1

# NIfTI spatial units to mm; 0 (unknown) is mm by custom. Slicer scales likewise, nibabel does not.
_UNIT_TO_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}


def check_dimensions(header: Any, name: Any) -> tuple[int, int, int]:
    """The three dimensions of an image; InputError for 2D, 4D or empty ones. A fourth axis of length one is dropped."""
    dim = [int(size) for size in header["dim"]]
    count = dim[0]
    if not 1 <= count <= 7:
        raise InputError(f"{name} has a damaged header: it claims {count} dimensions.")
    shape = dim[1 : 1 + count]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if any(size < 1 for size in shape):
        raise InputError(f"{name} is empty: its dimensions are {_times(shape)}.")
    if len(shape) > 3:
        raise InputError(f"{name} is {len(shape)}D ({_times(shape)}); choose one 3D volume of it.")
    if len(shape) < 3 or min(shape) < 2:
        raise InputError(f"{name} is no 3D volume ({_times(shape)}); one of at least 2 slices each way is needed.")
    return shape[0], shape[1], shape[2]


def affine_of(header: Any, shape: tuple[int, int, int], name: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """The affine (4, 4; voxel index to RAS mm) and warnings about it.

    The sform is taken if it has a code, else the qform, as nibabel does. Slicer can choose the other one, and drops
    shear: so both must agree, and the axes must be orthogonal, within 0.1 voxel at every corner.

    Raises
    ------
    GeometryError : see above; also no code at all, values that are not finite, or a singular matrix.
    """
    scale = _UNIT_TO_MM.get(int(header["xyzt_units"]) & 7)
    if scale is None:
        raise GeometryError(f"{name} gives its spacing in an unknown unit; convert it to mm.")
    forms = {}
    if int(header["sform_code"]) > 0:
        forms["sform"] = _scaled(header.get_sform(), scale)
    if int(header["qform_code"]) > 0:
        forms["qform"] = _scaled(_qform(header, name), scale)
    if not forms:
        raise GeometryError(
            f"{name} does not say how it lies in the patient (neither sform nor qform); convert the DICOM files again."
        )
    for kind, matrix in forms.items():
        if not np.isfinite(matrix).all():
            raise GeometryError(f"{name} has a {kind} that is not finite (NaN or infinite); convert it again.")
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        if spacing.min() < 1e-6 or abs(np.linalg.det(matrix[:3, :3] / spacing)) < 1e-3:
            raise GeometryError(f"{name} has a {kind} without volume (an axis of length zero, or two that coincide).")
    warnings = []
    affine = forms.get("sform", forms.get("qform"))
    if len(forms) == 2:
        warnings += _judge(affine, forms["qform"], shape, f"{name}: its sform and qform disagree")
    warnings += _judge(affine, orthogonal(affine, shape), shape, f"{name}: its axes are not perpendicular (shear)")
    return affine, tuple(warnings)


def orthogonal(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The nearest affine with perpendicular axes, the same spacing and the same centre of the grid.

    The rotation is the orthogonal polar factor of the direction cosines.
    """
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    result = np.eye(4)
    result[:3, :3] = left @ right * spacing
    centre = (np.array(shape) - 1) / 2
    result[:3, 3] = affine[:3, :3] @ centre + affine[:3, 3] - result[:3, :3] @ centre
    return result


def deviation(first: np.ndarray, second: np.ndarray, shape: tuple[int, int, int]) -> tuple[float, float]:
    """How far two affines place the corners of one grid apart: (largest distance in mm, largest shift in voxels)."""
    corners = Grid(shape, first).corner_indices()
    there = apply(second, corners)
    millimetres = np.linalg.norm(apply(first, corners) - there, axis=1).max()
    voxels = np.abs(apply(np.linalg.inv(first), there) - corners).max()
    return float(millimetres), float(voxels)


def _judge(first: np.ndarray, second: np.ndarray, shape: tuple[int, int, int], what: str) -> list[str]:
    millimetres, voxels = deviation(first, second, shape)
    if voxels > TOLERATED_VOXELS:
        raise GeometryError(
            f"{what} by {millimetres:.2f} mm ({voxels:.2f} voxels) at a corner, so programs place it differently; "
            "convert the DICOM files again or repair the header."
        )
    if millimetres > SILENT_MM:
        return [f"{what} by {millimetres:.3f} mm at a corner; the sform is used."]
    return []


def _qform(header: Any, name: Any) -> np.ndarray:
    from nibabel.spatialimages import HeaderDataError

    header = header.copy()
    # The standard takes any qfac that is not negative as +1, and converters do write 0; nibabel refuses it.
    header["pixdim"][0] = -1.0 if header["pixdim"][0] < 0 else 1.0
    try:
        with np.errstate(all="ignore"):  # what is not finite is told below, in words
            return header.get_qform()
    except (HeaderDataError, ValueError):
        raise GeometryError(f"{name} has a qform that is no rotation; repair its header or convert it again.") from None


def _scaled(matrix: np.ndarray, scale: float) -> np.ndarray:
    matrix = np.array(matrix, dtype=np.float64)
    matrix[:3] *= scale
    return matrix


def _times(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
