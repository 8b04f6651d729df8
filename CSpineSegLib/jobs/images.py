"""An exam's image with the SHA-256 of the very bytes that it was read from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from .. import volume
from ..errors import InputError
from ..volume import Volume


@dataclass(eq=False)
class Image:
    """A file's bytes, which become voxels when they are asked for and are forgotten then.

    Parameters
    ----------
    path : where they were read from.
    sha256 : of the file.
    """

    path: Path
    sha256: str
    _data: bytes | None = field(repr=False)
    _volume: Volume | None = field(default=None, repr=False)

    def volume(self) -> Volume:
        """The image; InputError or GeometryError as of :func:`volume.read`."""
        if self._volume is None:
            self._volume, self._data = volume.decode(self._data, self.path), None
        return self._volume


def read(path: Path) -> Image:
    """Read a file once, for its SHA-256 and its voxels; InputError if that is not possible."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path} cannot be read ({reason}); check that it is there, or leave it out.") from None
    return Image(path, hashlib.sha256(data).hexdigest(), data)
