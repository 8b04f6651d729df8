"""NIfTI files, exactly: an image that is read and written unchanged keeps voxels, affine, codes, units and type.

nibabel parses and composes headers; voxels pass through as bytes, so that nothing is rescaled or recast on the way.
"""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import InputError, WriteError
from .checks import SILENT_MM, affine_of, check_dimensions, deviation
from .grid import Volume, like, scaling

# How far a label may be from a whole number if the file stores it scaled: two steps of int16 over the range 0 to 30.
_SCALED_ROUNDING = 1e-3


def read(path: Path | str) -> Volume:
    """Read a three-dimensional NIfTI-1 or NIfTI-2 image (.nii or .nii.gz).

    Raises
    ------
    InputError : not there, not NIfTI, truncated, not 3D, empty, of a type that is no grey value, or not finite.
    GeometryError : no orientation, singular or sheared affine, or sform and qform that disagree
        by more than 0.1 voxel at a corner of the grid; less is a warning.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from None
    return decode(data, path)


def read_mask(path: Path | str, allowed: Collection[int] = (0, 1, 2)) -> Volume:
    """Read a label image as uint8 on its own grid; integral values of any type are accepted.

    Raises
    ------
    InputError : fractional values, or a label outside `allowed`; otherwise as :func:`read`.
    """
    return as_mask(read(path), allowed)


def as_mask(volume: Volume, allowed: Collection[int] = (0, 1, 2)) -> Volume:
    """The same image as a uint8 label image; InputError for fractions and for labels outside `allowed`."""
    name = volume.path or "The mask"
    values = volume.array
    slope, inter = scaling(volume.header)
    if (slope, inter) != (1.0, 0.0):
        values = values.astype(np.float64) * slope + inter
        # nibabel and others store float labels as scaled int16, where 1 comes back as 1.00001.
        whole = np.rint(values)
        values = np.where(np.abs(values - whole) <= _SCALED_ROUNDING, whole, values)
    present = _present(values)
    if not np.array_equal(present, np.rint(present)):
        fraction = present[present != np.rint(present)][0]
        raise InputError(
            f"{name} holds the fractional value {fraction:.7g}; a mask holds whole labels, "
            "so save it as a label map and not as an interpolated image."
        )
    extra = sorted({int(value) for value in present} - set(allowed))
    if extra:
        raise InputError(
            f"{name} holds label {', '.join(map(str, extra[:5]))}, but only {', '.join(map(str, sorted(allowed)))} "
            "are allowed here; relabel the mask or remove what does not belong to it."
        )
    if values.dtype == np.uint8 and volume.header is not None and not volume.extra.strip(b"\0"):
        return volume
    mask = like(volume, values.astype(np.uint8))
    return Volume(mask.array, mask.affine, mask.header, volume.path, b"", volume.warnings)


def _present(values: np.ndarray) -> np.ndarray:
    """The values that occur, sorted."""
    if values.dtype != np.uint8:
        return np.unique(values)
    # Comparing is much faster than marking, and that than sorting millions of voxels.
    highest = int(values.max(initial=0))
    if highest < 8:
        return np.flatnonzero([(values == label).any() for label in range(highest + 1)])
    found = np.zeros(256, bool)
    found[values] = True
    return np.flatnonzero(found)


def decode(data: bytes, path: Path | None = None) -> Volume:
    """Parse the bytes of a .nii or .nii.gz file; see :func:`read`."""
    name = path or "The image"
    if not data:
        raise InputError(f"{name} is an empty file.")
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise InputError(
                f"{name} is truncated or damaged, so it cannot be decompressed; copy or download it again."
            ) from None
    header = _parse_header(data, name)
    shape = check_dimensions(header, name)
    dtype = _voxel_type(header, name)
    offset = float(header["vox_offset"])
    if not (math.isfinite(offset) and offset >= header.sizeof_hdr):
        raise InputError(f"{name} has a damaged header: it claims that its voxels begin at byte {offset:g}.")
    # Python's integers: the product of a damaged header's dimensions can overflow NumPy's.
    offset, count = int(offset), math.prod(shape)
    size = count * dtype.itemsize
    if offset + size > len(data):
        there = max(len(data) - offset, 0)
        raise InputError(
            f"{name} is truncated: {there} of {size} bytes of voxels are there; copy or download it again."
        )
    flat = np.frombuffer(data, dtype, count=count, offset=offset)
    if dtype.kind == "f" and not np.isfinite(flat).all():
        bad = int(np.count_nonzero(~np.isfinite(flat)))
        raise InputError(f"{name} has {bad} voxels that are not finite numbers (NaN or infinite); export it again.")
    affine, warnings = affine_of(header, shape, name)
    array = flat.astype(dtype.newbyteorder("="), copy=False).reshape(shape, order="F")
    extra = data[header.sizeof_hdr : offset]
    return Volume(array, affine, header, path, extra, warnings)


def encode(volume: Volume, gz: bool = True) -> bytes:
    """The bytes of a NIfTI file: header and extensions as read (or composed), then the voxels; no time stamp."""
    header = volume.header.copy() if volume.header is not None else _compose_header(volume)
    extra = volume.extra or b"\0\0\0\0"
    header["vox_offset"] = header.sizeof_hdr + len(extra)
    voxels = volume.array.astype(header.get_data_dtype(), copy=False).tobytes(order="F")
    data = header.binaryblock + extra + voxels
    return gzip.compress(data, compresslevel=6, mtime=0) if gz else data


def write(volume: Volume, path: Path | str, *, allowed: Collection[int] | None = None, exclusive: bool = False) -> str:
    """Write atomically and verify by reading back: grid, type, voxels and, with `allowed`, labels. Returns the SHA-256.

    Raises
    ------
    WriteError : it cannot be written, or what was read back differs; nothing is left then.
    FileExistsError : only with `exclusive`, as in :func:`files.write_verified`.
    """
    path = Path(path)
    data = encode(volume, gz=is_compressed(path))

    def verify(temporary: Path) -> None:
        back = decode(temporary.read_bytes(), path)
        same = (
            back.array.dtype == volume.array.dtype
            and np.array_equal(back.array, volume.array)
            and np.allclose(back.affine, volume.affine, rtol=0, atol=1e-3)
        )
        if not same:
            raise WriteError(f"{path} did not read back with the same grid and voxels; nothing was written.")
        if allowed is not None:
            as_mask(back, allowed)

    return files.write_verified(path, data, verify, exclusive=exclusive)


def check_writable_name(path: Path) -> None:
    """InputError unless `path` can be the name of a NIfTI file."""
    files.check_name(path)
    is_compressed(path)


def is_compressed(path: Path) -> bool:
    """True for .nii.gz, False for .nii; InputError for any other name."""
    name = path.name.lower()
    if name.endswith(".nii.gz"):
        return True
    if name.endswith(".nii"):
        return False
    raise InputError(f"{path} is not named as a NIfTI file; use a name that ends in .nii.gz or .nii.")


def _parse_header(data: bytes, name: Any) -> Any:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    for kind, magics in ((Nifti1Header, (b"n+1",)), (Nifti2Header, (b"n+2",))):
        size = kind.sizeof_hdr
        if len(data) < size or not kind.may_contain_header(data):
            continue
        header = kind.from_fileobj(io.BytesIO(data[:size]), check=False)
        if bytes(header["magic"])[:3] not in magics:
            raise InputError(f"{name} is half of a .hdr/.img pair; convert it to a single .nii.gz file.")
        return header
    raise InputError(f"{name} is not a NIfTI file, or its first bytes are damaged.")


def _voxel_type(header: Any, name: Any) -> np.dtype:
    """The type of the voxels, which must be integers or real numbers."""
    try:
        dtype = header.get_data_dtype()
    except KeyError:
        dtype = np.dtype(np.void)
    if dtype.kind not in "iuf":
        what = "colour" if dtype.names else {"c": "complex"}.get(dtype.kind, "unknown")
        raise InputError(f"{name} holds voxels of {what} type; an image of single grey values is needed.")
    return dtype


def _compose_header(volume: Volume) -> Any:
    from nibabel.nifti1 import Nifti1Header

    header = Nifti1Header()
    header.set_data_shape(volume.shape)
    header.set_data_dtype(volume.array.dtype)
    header.set_qform(volume.affine, code=1)
    header.set_sform(volume.affine, code=1)
    # Near 180 degrees a float32 quaternion is off by up to 0.03 degrees; readers then get the sform alone.
    if deviation(volume.affine, header.get_qform(), volume.shape)[0] > SILENT_MM:
        header.set_qform(None, code=0)
    header.set_xyzt_units("mm")
    header["scl_slope"], header["scl_inter"] = 1.0, 0.0
    return header
