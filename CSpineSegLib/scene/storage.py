"""Segmentations and scenes as Slicer's own files: .seg.nrrd, .mrb, and masks read by Slicer."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import slicer

from .. import files, volume
from ..errors import InputError, WriteError
from . import nrrd
from .adoption import adopt_segmentation
from .context import Context, require_main_thread
from .segmentation import segments, voxel_count

SUFFIXES = (".seg.nrrd", ".nrrd", ".nii.gz", ".nii")


def load_with_slicer(context: Context, path: Path | str, volume_node: Any = None) -> Any:
    """Read a segmentation with Slicer's storage node and give its segments our ids, names, colours and terminology.

    The segments are told as :func:`adopt_segmentation` says.

    Parameters
    ----------
    path : .seg.nrrd, .nrrd, .nii or .nii.gz.
    volume_node : the image it belongs to; gives the reference geometry.

    Raises
    ------
    InputError : it cannot be read, or a segment is none of ours; nothing stays in the scene.
    """
    require_main_thread("reading a segmentation")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError(f"{path} is not a segmentation file; use one of {', '.join(SUFFIXES)}.")
    # A damaged file ends the process in Slicer's reader, so that it must be found out before.
    if path.name.lower().endswith(".nrrd"):
        nrrd.check(path)
    else:
        volume.read(path)
    node = context.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", path.name.split(".")[0])
    try:
        storage = _storage(path)
        if not storage.ReadData(node):
            raise InputError("Slicer cannot read it as a segmentation; it is damaged or of another format.")
        adopt_segmentation(context, node, volume_node)
    except InputError as error:
        context.remove(node)
        raise InputError(f"{path}: {error}") from None
    return node


def save_segmentation(context: Context, node: Any, path: Path | str) -> str:
    """Write a segmentation node as .seg.nrrd, atomically and verified by reading it again; returns the SHA-256.

    Raises
    ------
    InputError : another file name. WriteError : it cannot be written or does not read back; nothing is left then.
    """
    require_main_thread("saving a segmentation")
    path = Path(path)
    if not path.name.lower().endswith(".seg.nrrd"):
        raise InputError(f"{path} is not named as a segmentation; use a name that ends in .seg.nrrd.")
    data = _written(".seg.nrrd", lambda target: _storage(target).WriteData(node))
    wanted = _content(node)

    def verify(temporary: Path) -> None:
        back = slicer.vtkMRMLSegmentationNode()
        with _named(temporary, ".seg.nrrd") as readable:
            # A storage node wants a scene around it, and the user's scene must not see this copy.
            scene = slicer.vtkMRMLScene()
            scene.AddNode(back)
            if not _storage(readable).ReadData(back) or _content(back) != wanted:
                raise WriteError(f"{path} did not read back with the same segments; nothing was written.")

    return files.write_verified(path, data, verify)


def save_scene(context: Context, path: Path | str) -> str:
    """Write the whole scene as a Slicer bundle (.mrb), atomically; returns the SHA-256.

    Raises
    ------
    InputError : another file name. WriteError : it cannot be written; nothing is left then.
    """
    require_main_thread("saving a scene")
    path = Path(path)
    if path.suffix.lower() != ".mrb":
        raise InputError(f"{path} is not named as a Slicer bundle; use a name that ends in .mrb.")
    data = _written(".mrb", lambda target: context.scene.WriteToMRB(str(target)))

    def verify(temporary: Path) -> None:
        with zipfile.ZipFile(temporary) as bundle:
            if bundle.testzip() is not None or not _scene_file(bundle):
                raise WriteError(f"{path} did not read back as a Slicer bundle; nothing was written.")

    return files.write_verified(path, data, verify)


def open_scene(context: Context, path: Path | str) -> None:
    """Replace the scene's content by that of a bundle (.mrb) written by :func:`save_scene` or by Slicer.

    It is unpacked into a temporary folder that is gone when this returns; the voxels are in memory then.

    Raises
    ------
    InputError : not there, no bundle, or a part of it cannot be read.
    """
    require_main_thread("opening a scene")
    path = Path(path)
    try:
        bundle = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be opened as a Slicer bundle ({error}).") from None
    with bundle, tempfile.TemporaryDirectory(prefix="cspineseg-scene-") as folder:
        name = _scene_file(bundle)
        if not name:
            raise InputError(f"{path} holds no scene (.mrml); choose a file that Slicer saved as .mrb.")
        try:
            bundle.extractall(folder)
        except (OSError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path} cannot be unpacked ({error}); it is damaged, or the disk is full.") from None
        for part in Path(folder).rglob("*.nrrd"):
            nrrd.check(part)
        context.scene.SetURL(str(Path(folder, name)))
        if not context.scene.Connect():
            raise InputError(f"{path} was read only in part; see Slicer's error log.")
    for node in context.nodes("vtkMRMLSegmentationNode"):
        node.SetLabelmapConversionColorTableNodeID(context.color_table().GetID())


def _scene_file(bundle: zipfile.ZipFile) -> str:
    return next((name for name in bundle.namelist() if name.lower().endswith(".mrml")), "")


def _storage(path: Path) -> Any:
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    return storage


def _written(suffix: str, write: Callable[[Path], Any]) -> bytes:
    """The bytes of a file that only Slicer can write, through a temporary folder that is removed at once."""
    with tempfile.TemporaryDirectory(prefix="cspineseg-scene-") as temporary:
        target = Path(temporary, f"scene{suffix}")
        if not write(target) or not target.is_file():
            raise WriteError(f"Slicer could not write a {suffix} file; see its messages above.")
        return target.read_bytes()


@contextlib.contextmanager
def _named(path: Path, suffix: str) -> Iterator[Path]:
    """A copy of a file under a name that Slicer accepts, since it tells formats by their names."""
    with tempfile.TemporaryDirectory(prefix="cspineseg-scene-") as folder:
        copy = Path(folder, f"copy{suffix}")
        shutil.copyfile(path, copy)
        yield copy


def _content(node: Any) -> dict[str, tuple[str, str, int]]:
    """What must survive a file: name, terminology and voxel count by segment id."""
    return {
        identifier: (segment.GetName(), segment.GetTerminology(), voxel_count(segment))
        for identifier, segment in segments(node).items()
    }
