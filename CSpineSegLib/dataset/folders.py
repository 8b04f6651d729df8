"""Where the files of a dataset lie, in any of the forms in which people keep it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .names import exam_stem, is_mask, is_nifti, parse_name
from .wording import some

IMAGES, MASKS, TABLES = "annotation", "segmentation", "structured"
PARTS = (IMAGES, MASKS, TABLES)


@dataclass(frozen=True)
class Folders:
    """The folders of a dataset; images and masks are the same folder if `flat`, and `tables` may be missing."""

    root: Path
    images: Path
    masks: Path
    tables: Path | None
    flat: bool

    @property
    def processed(self) -> Path:
        return self.root / "processed"

    @property
    def splits(self) -> Path:
        return self.root / "splits"


@dataclass
class Files:
    """Images and masks by exam stem, and sentences about what was left out."""

    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def find(given: Path | str) -> Folders:
    """Recognise a dataset in a folder.

    It is the release's root (with `extracted/`), or holds `annotation/`, `segmentation/` or `structured/` itself, or is
    a flat folder of NIfTI files. A folder *within* a release stands for the release, so that nothing is ever
    written below `extracted/`.

    Raises
    ------
    InputError : missing, not a folder, empty, or without anything of a dataset.
    """
    path = absolute(given)
    if not path.exists():
        raise InputError(f"The dataset folder {path} does not exist; check the path.")
    if not path.is_dir():
        raise InputError(f"{path} is a file and not a dataset folder; give the folder that holds the dataset.")
    root = release_root(path)
    for base in (root / "extracted", root):
        if any((base / part).is_dir() for part in PARTS):
            tables = base / TABLES
            return Folders(root, _inner(base, IMAGES), _inner(base, MASKS), tables if tables.is_dir() else None, False)
    names = _list(path)
    tabled = any(name.startswith("annotation_file") and name.endswith(".tsv") for name in names)
    if tabled or any(is_nifti(name) for name in names):
        return Folders(path, path, path, path if tabled else None, True)
    state = "is empty" if not names else "holds no dataset"
    hint = "extract the archives in raw/ first, or give" if (root / "raw").is_dir() else "give"
    raise InputError(
        f"The dataset folder {path} {state}; {hint} a folder with extracted/{IMAGES}, extracted/{MASKS} and "
        f"extracted/{TABLES}, or a folder of NIfTI files."
    )


def release_root(path: Path) -> Path:
    """The root of the release that a folder belongs to: what holds `extracted/`, or the folder itself."""
    while path.name in PARTS:
        path = path.parent
    return path.parent if path.name == "extracted" else path


def belongs_to_release(image: Path) -> bool:
    """True if a file lies in the `annotation/` of a release, told by its parent or by the folders beside it."""
    folder = image.parent
    base = folder.parent
    return folder.name == IMAGES and (base.name == "extracted" or any((base / part).is_dir() for part in PARTS[1:]))


def scan(folders: Folders) -> Files:
    """All images and masks on disk. In a flat folder any NIfTI name is an exam, elsewhere only the dataset's names."""
    files = Files()
    places = {folders.images: None} if folders.flat else {folders.images: False, folders.masks: True}
    for folder, masks_belong in places.items():
        strange, misplaced, double = [], [], []
        for name in sorted(filter(is_nifti, _list(folder))):
            if masks_belong is not None and not _is_exam(name):
                strange.append(name)
                continue
            if masks_belong is not None and is_mask(name) != masks_belong:
                misplaced.append(name)
                continue
            found = files.masks if is_mask(name) else files.images
            # Sorted, x.nii comes before x.nii.gz, the form of the release, which therefore wins.
            if exam_stem(name) in found:
                double.append(exam_stem(name))
            found[exam_stem(name)] = folder / name
        if strange:
            files.problems.append(f"{folder} holds files without the dataset's names, left out: {some(strange)}.")
        if misplaced:
            wrong, right = ("images", "masks") if masks_belong else ("masks", "images")
            files.problems.append(f"{folder} is for {right} but holds {wrong}, left out: {some(misplaced)}.")
        if double:
            files.problems.append(f"{folder} holds both .nii and .nii.gz, the latter is used, for: {some(double)}.")
    return files


def absolute(path: Path | str) -> Path:
    """An absolute path without `..`; symbolic links stay as the user named them."""
    return Path(os.path.abspath(Path(path).expanduser()))


def _inner(base: Path, part: str) -> Path:
    """`base/part`, or `base/part/part`, which is what unpacking an archive into a folder of its own name leaves."""
    folder = base / part
    nested = folder / part
    return nested if nested.is_dir() and not any(is_nifti(name) for name in _list(folder)) else folder


def _is_exam(name: str) -> bool:
    try:
        parse_name(name)
    except InputError:
        return False
    return True


def _list(folder: Path) -> list[str]:
    try:
        return os.listdir(folder) if folder.is_dir() else []
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read ({error.strerror or error}).") from None
