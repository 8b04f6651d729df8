"""An exam's image and mask as the files that nnU-Net reads."""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ... import anatomy, files, volume
from ...errors import InputError, WriteError
from ...volume import Volume
from ...volume.checks import orthogonal
from .cases import ORIENTATION

COPY, LINK = "copy", "link"
_PERPENDICULAR = 2e-5


@dataclass(frozen=True)
class Made:
    """What lies there now: SHA-256 of sources and of nnU-Net's files, what was done to the image, what was noticed."""

    image_sha256: str
    mask_sha256: str | None
    how: str
    written_image: str
    written_label: str | None
    notes: tuple[str, ...]


def make(image_file: Path, mask_file: Path | None, image_target: Path, label_target: Path, way: str = COPY) -> Made:
    """Write nnU-Net's image and label of one exam.

    The image's file is copied, or linked, as it is; only where nnU-Net would misread it is it written anew: nnU-Net
    never reorients, so every image has to lie the same way, and SimpleITK takes neither a fourth axis nor axes that are
    not perpendicular. The label is always a file of its own, on exactly the image's grid: people edit labels in place,
    and through a hard link that would change the released data.

    Parameters
    ----------
    way : "copy", or "link" for a hard link of the image, which becomes a copy where the file system has none.

    Raises
    ------
    InputError, GeometryError : image or mask cannot be used; nothing is written then.
    WriteError : a file cannot be written or verified.
    """
    data = _bytes(image_file)
    image = volume.decode(data, image_file)
    mask_data = None if mask_file is None else _bytes(mask_file)
    mask = None if mask_data is None else _conformed(mask_data, mask_file, image)
    reasons, notes = _reasons(image), list(image.warnings)
    if mask is not None:
        notes += [note for note in mask.warnings if note not in notes]
    if reasons:
        image, mask = _rewritten(image), None if mask is None else _rewritten(mask)
        how, written = f"rewritten: {', '.join(reasons)}", volume.write(image, image_target)
    else:
        how, written = _place(image_file, data, image_target, way)
    label = None if mask is None else volume.write(mask, label_target, allowed=anatomy.LABELS)
    digests = (_digest(data), None if mask_data is None else _digest(mask_data))
    return Made(*digests, how, written, label, tuple(str(note) for note in notes))


def _conformed(data: bytes, path: Path, image: Volume) -> Volume:
    """The mask on the image's own grid and header; InputError if it is empty."""
    mask = volume.conform(volume.as_mask(volume.decode(data, path), anatomy.LABELS), image)
    if not mask.array.any():
        raise InputError(f"{path} holds no label at all, so nothing can be learned from it.")
    return mask


def _reasons(image: Volume) -> list[str]:
    """Why the file itself would be misread; empty if it can be taken as it is."""
    reasons = []
    if image.orientation != ORIENTATION:
        reasons.append(f"reoriented from {image.orientation} to {ORIENTATION}")
    if image.header is not None and int(image.header["dim"][0]) != 3:
        reasons.append(f"{int(image.header['dim'][0])} axes made 3")
    if image.warnings or not _is_orthonormal(image.affine):
        reasons.append("its place made unambiguous")
    return reasons


def _is_orthonormal(affine: np.ndarray) -> bool:
    """Whether SimpleITK takes the axes for perpendicular; it refuses an sform that is 1e-4 off, without a qform."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(cosines.T @ cosines - np.eye(3)).max() < _PERPENDICULAR)


def _rewritten(image: Volume) -> Volume:
    turned = volume.reorient(image, ORIENTATION)
    affine = orthogonal(turned.affine, turned.shape)
    return Volume(np.ascontiguousarray(turned.array), affine, None, image.path)


def _place(source: Path, data: bytes, target: Path, way: str) -> tuple[str, str]:
    """Link or copy a file that stays as it is; ("linked" or "copied", SHA-256)."""
    if data[:2] != b"\x1f\x8b":
        return "compressed", files.write_verified(target, gzip.compress(data, compresslevel=6, mtime=0))
    if way == LINK and _linked(source, target):
        if files.sha256(target) != _digest(data):
            raise WriteError(f"{source} changed while it was linked to {target}; export again.")
        return "linked", _digest(data)
    return "copied", files.write_verified(target, data)


def _linked(source: Path, target: Path) -> bool:
    """Make a hard link; False where the file system cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Whatever lies there is this export's own, and a link cannot replace it.
        target.unlink(missing_ok=True)
        os.link(source.resolve(), target)
    except (OSError, NotImplementedError):
        return False
    return True


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}).") from None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
