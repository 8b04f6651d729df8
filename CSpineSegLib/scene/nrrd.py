"""Is a NRRD file whole? Slicer's reader does not ask, and ends the process where it is not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

from ..errors import InputError

_BYTES = {
    ("signed char", "int8", "int8_t", "unsigned char", "uchar", "uint8", "uint8_t"): 1,
    ("short", "short int", "signed short", "int16", "int16_t", "unsigned short", "ushort", "uint16", "uint16_t"): 2,
    ("int", "signed int", "int32", "int32_t", "unsigned int", "uint", "uint32", "uint32_t", "float"): 4,
    ("long long", "int64", "int64_t", "longlong", "unsigned long long", "ulonglong", "uint64", "uint64_t", "double"): 8,
}


def check(path: Path) -> None:
    """Raise InputError unless `path` is a NRRD file with its data attached, raw or gzip, and complete.

    The format: https://teem.sourceforge.net/nrrd/format.html
    """
    data = path.read_bytes()
    head, separator, voxels = data.partition(b"\n\n")
    if not separator:
        head, separator, voxels = data.partition(b"\r\n\r\n")
    if not head.startswith(b"NRRD000") or not separator:
        raise InputError(f"{path} cannot be read: it is no NRRD file, or its header is cut off.")
    fields = dict(
        (part.strip().lower() for part in line.split(": ", 1))
        for line in head.decode("utf-8", "replace").splitlines()[1:]
        if ": " in line and not line.startswith("#") and ":=" not in line.split(": ", 1)[0]
    )
    try:
        sizes = [int(size) for size in fields["sizes"].split()]
        width = next(size for names, size in _BYTES.items() if fields["type"] in names)
        encoding = fields["encoding"]
    except (KeyError, ValueError, StopIteration):
        raise InputError(f"{path} cannot be read: its header lacks sizes, type or encoding.") from None
    if "data file" in fields or "datafile" in fields or encoding not in ("raw", "gzip", "gz"):
        raise InputError(f"{path} keeps its voxels in another file or as {encoding}; save it again with Slicer.")
    if encoding != "raw":
        try:
            voxels = gzip.decompress(voxels)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{path} cannot be read: its voxels are truncated or damaged ({error}).") from None
    wanted = math.prod(sizes) * width
    if min(sizes, default=0) < 1 or len(voxels) < wanted:
        raise InputError(f"{path} cannot be read: {len(voxels)} of {wanted} bytes of voxels are there.")
