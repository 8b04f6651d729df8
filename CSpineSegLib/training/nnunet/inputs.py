"""What is handed to nnU-Net's prediction, and what its export of a model leaves: checked, since nnU-Net does not."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

from ...dataset.wording import some
from ...errors import InputError, WriteError
from ...review import places
from .cases import ORIENTATION

ENDING = "_0000.nii.gz"


def check_images(folder: Path) -> None:
    """InputError unless a folder holds images as nnU-Net names them, all lying as those that it was trained on."""
    if not folder.is_dir():
        raise InputError(f"The folder of images {folder} does not exist; check the path.")
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(ENDING))
    if not paths:
        raise InputError(f"{folder} holds no image named as nnU-Net wants it, such as neck{ENDING}.")
    turned = [f"{path.name} lies {codes}" for path in paths if (codes := _orientation(path)) != ORIENTATION]
    if turned:
        raise InputError(
            f"In {folder} {some(turned)}, but nnU-Net was trained on {ORIENTATION} images and never reorients; "
            "use 'cspineseg segment' with the imported model, which does."
        )


def check_new_file(path: Path, force: bool) -> None:
    """InputError if a zip of this name cannot be written; an existing file is replaced only with `force`."""
    if path.suffix.lower() != ".zip":
        raise InputError(f"{path} does not end in .zip; nnU-Net's models are zip files.")
    places.check_targets([path])
    if path.is_dir() or (path.exists() and not force):
        raise InputError(f"{path} exists already; choose another name, or --force to replace it.")


def check_zip(path: Path, configurations: Sequence[str], folds: Sequence[str]) -> None:
    """WriteError unless a zip has plans and weights of every configuration and fold."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        raise WriteError(f"{path} is not a readable zip; export the model again.") from None
    for configuration in configurations:
        inside = [name for name in names if f"__{configuration}/" in name]
        wanted = ["/plans.json", "/dataset.json", *(f"/fold_{fold}/checkpoint_final.pth" for fold in folds)]
        missing = [end for end in wanted if not any(name.endswith(end) for name in inside)]
        if missing:
            raise WriteError(f"{path} lacks {some(missing)} of {configuration}; finish that training and export again.")


def _orientation(path: Path) -> str:
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        return "".join(nibabel.aff2axcodes(nibabel.load(path).affine))
    except (ImageFileError, OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} cannot be read as an image ({error}).") from None
