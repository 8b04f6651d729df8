"""What the tests of the volume room share: grids of every orientation, NIfTI files of every kind, one-sentence errors.

The files are put together from nibabel's header and plain bytes, never with the code under test.
"""

from __future__ import annotations

import gzip
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header

from CSpineSegLib import volume
from CSpineSegLib.errors import InputError

# Deterministic and without a database, so that a test run leaves nothing behind and two runs agree.
quick = settings(max_examples=60, deadline=None, database=None, derandomize=True)

ORIENTATIONS = [
    "".join(letters) for axes in itertools.permutations(("RL", "AP", "SI")) for letters in itertools.product(*axes)
]
_DIRECTION = {"R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0), "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
SHAPE, SPACING, ORIGIN = (5, 6, 4), (0.7, 0.8, 4.0), (-12.5, 30.25, 7.0)


def affine_of(codes: str, spacing: Any = SPACING, origin: Any = ORIGIN, rotation: Any = None) -> np.ndarray:
    """(4, 4) affine whose array axes point as `codes`, turned by `rotation` (3, 3)."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([_DIRECTION[letter] for letter in codes], float).T * spacing
    if rotation is not None:
        affine[:3, :3] = rotation @ affine[:3, :3]
    affine[:3, 3] = origin
    return affine


def turned(axis: int, degrees: float) -> np.ndarray:
    """(3, 3) rotation about a patient axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = [other for other in range(3) if other != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


@st.composite
def affines(draw: Any) -> np.ndarray:
    """Affines of every orientation, obliquity, spacing and origin."""
    rotation = np.eye(3)
    for axis in range(3):
        rotation = turned(axis, draw(st.floats(-180, 180, width=32))) @ rotation
    spacing = [draw(st.floats(0.25, 6, width=32)) for _ in range(3)]
    origin = [draw(st.floats(-300, 300, width=32)) for _ in range(3)]
    return affine_of(draw(st.sampled_from(ORIENTATIONS)), spacing, origin, rotation)


def numbered(shape: Any = SHAPE, dtype: Any = np.int16) -> np.ndarray:
    """An array in which every voxel has a value of its own, as far as the type has so many."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def labels(shape: Any = SHAPE, seed: int = 0) -> np.ndarray:
    """A uint8 mask with all of 0, 1 and 2 at random places."""
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def nifti(
    array: np.ndarray,
    affine: np.ndarray | None = None,
    *,
    version: int = 1,
    endian: str = "<",
    codes: tuple[int, int] = (1, 1),
    extra: bytes = b"\0\0\0\0",
    gz: bool = False,
    cut: int = 0,
    **fields: Any,
) -> bytes:
    """A NIfTI file with sform and qform from `affine`, their `codes` and any header fields; `cut` bytes are missing."""
    header = {1: Nifti1Header, 2: Nifti2Header}[version](endianness=endian)
    affine = affine_of("PSR") if affine is None else affine
    header.set_data_shape(array.shape)
    header.set_data_dtype(array.dtype)
    with np.errstate(all="ignore"):
        header.set_qform(affine, codes[1])
    header.set_sform(affine, codes[0])
    header.set_xyzt_units("mm")
    header["vox_offset"] = header.sizeof_hdr + len(extra)
    for field, value in fields.items():
        header[field] = value
    data = header.binaryblock + extra + array.astype(header.get_data_dtype()).tobytes(order="F")
    data = data[: len(data) - cut]
    return gzip.compress(data) if gz else data


def save(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def plain(path: Path) -> bytes:
    """Content of a file, decompressed if need be."""
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def assert_one_sentence(caught: Any, name: Any) -> str:
    """The message is one sentence for a person and names the file; returns it."""
    text = str(caught.value)
    assert str(name) in text, f"does not name {name}: {text}"
    rest = text.replace(str(name), "FILE")
    assert rest.endswith("."), text
    assert "\n" not in rest and "  " not in rest, text
    assert not re.search(r"[.!?]\s+[A-Z]", rest), f"more than one sentence: {text}"
    assert not re.search(r"Traceback|Error|Exception|Errno|<class|object at|dtype|None|numpy|nibabel", rest), text
    return text


def refused(
    path: Path, data: bytes | None, *, says: str, kind: type[InputError] = InputError, reader=volume.read
) -> str:
    """`data` saved as `path` is refused with a sentence that holds `says`, and the folder is left as it was."""
    if data is not None:
        save(path, data)
    before = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    with pytest.raises(InputError) as caught:
        reader(path)
    assert caught.type is kind, caught.value
    text = assert_one_sentence(caught, path)
    assert says in text, text
    assert {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()} == before
    return text


def noise(shape=(16, 16, 8)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, shape).astype(np.int16)


def sheared(voxels: float, shape=(16, 16, 8)) -> np.ndarray:
    """(4, 4) affine whose third axis leans so that the last slice lies about `voxels` of the first axis aside."""
    affine = affine_of("PSR", rotation=turned(0, 5))
    affine[:3, 2] += affine[:3, 0] * voxels / shape[2]
    return affine
