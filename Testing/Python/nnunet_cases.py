"""Images for the oracle and for us, and what the oracle makes of them.

The oracle never reorients, so it gets every image permuted to the axes of the training data; we get it as a user has
it. All images are scans of a phantom person whom the networks saw in other scans, so that masks look like spines; they
are cut and spaced so that every branch of nnU-Net's preprocessing is taken.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nnunet_oracle as oracle
import numpy as np

IMAGE_SEED = 7


@dataclass(frozen=True)
class Image:
    """How an image is cut from the phantom: first and last voxel in PSR, declared spacing, and how it is stored."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]
    spacing: tuple[float, float, float] = (0.95, 0.95, 4.0)
    codes: str = "PSR"
    oblique: bool = False
    bordered: bool = False
    scale: tuple[float, float] | None = None


# The trained patch is 80 x 96 (x 8), the planned spacing 0.95 x 0.95 x 4 mm.
ANISOTROPIC: dict[str, Image] = {
    # Nothing to resample, exactly one patch.
    "same": Image((12, 14, 1), (92, 110, 9)),
    # Several tiles along every axis; axes that are not the patient's.
    "large": Image((0, 0, 0), (104, 124, 10), oblique=True),
    # Smaller than the patch along every axis: padded.
    "small": Image((20, 30, 2), (78, 100, 7), codes="RAS"),
    # Down-sampled, in 3D also across slices (separate z).
    "finer": Image((0, 0, 0), (104, 124, 10), (0.72, 0.7, 3.3), codes="LPI"),
    # Up-sampled to several tiles; int16 with a scale and an offset.
    "coarser": Image((10, 14, 0), (94, 110, 9), (1.25, 1.2, 3.6), scale=(0.37, -12.0)),
    # Zeros around an oval, cropped to its box first; oblique and left-handed.
    "bordered": Image((14, 16, 1), (90, 108, 8), (0.9, 0.95, 4.0), codes="LAS", oblique=True, bordered=True),
}
# The planned spacing is 1.1 x 1.1 x 2 mm; none of these has an axis three times as long as another.
ISOTROPIC: dict[str, Image] = {
    "isotropic": Image((2, 2, 2), (74, 90, 18), (1.1, 1.1, 2.0), codes="RAS"),
    "resampled": Image((0, 0, 0), (76, 92, 20), (1.0, 1.05, 2.3), codes="LPI"),
}
FEW = ("same", "finer", "bordered")


@dataclass(frozen=True)
class Reference:
    """One call of the oracle."""

    kind: str
    configuration: str
    folds: tuple[int, ...] = (0,)
    mirror: bool = True
    probabilities: bool = False
    cases: tuple[str, ...] = tuple(ANISOTROPIC)

    @property
    def name(self) -> str:
        parts = [self.kind, self.configuration, "folds", *map(str, self.folds), "tta" if self.mirror else "plain"]
        return "_".join([*parts, *(["probabilities"] * self.probabilities)])


# The first is run as a user runs it: the executable, with worker processes.
REFERENCES: tuple[Reference, ...] = (
    Reference("plain", "2d", mirror=False),
    Reference("plain", "2d", (0, 1), probabilities=True),
    Reference("plain", "3d_fullres", mirror=False, probabilities=True),
    Reference("plain", "3d_fullres", (0, 1), probabilities=True, cases=FEW),
    Reference("resenc", "2d", probabilities=True),
    Reference("resenc", "3d_fullres", mirror=False, probabilities=True, cases=FEW),
    Reference("isotropic", "3d_fullres", mirror=False, probabilities=True, cases=(*ISOTROPIC, "small")),
    Reference("reoriented", "2d", mirror=False, probabilities=True, cases=FEW),
)
ENSEMBLE = "ensemble"
ENSEMBLED = tuple(reference for reference in REFERENCES if reference.kind == "plain" and len(reference.folds) > 1)


@dataclass(frozen=True)
class Products:
    """Zips, images and references, all made by nnU-Net."""

    home: oracle.Home

    def zip(self, kind: str) -> Path:
        return self.home.zip(kind)

    def image(self, case: str) -> Path:
        """The image as a user has it."""
        return self.home.folder / "inputs" / f"{case}.nii.gz"

    def stock(self, case: str) -> Path:
        """The image as the oracle got it."""
        return self.home.folder / "images" / f"{case}_0000.nii.gz"

    def mask(self, reference: Reference | str, case: str):
        """The oracle's mask, a Volume."""
        from CSpineSegLib import volume

        return volume.read_mask(self._folder(reference) / f"{case}.nii.gz")

    def probabilities(self, reference: Reference | str, case: str) -> np.ndarray:
        """What the oracle saved, (3, I, J, K) float32 in the axes of the training data."""
        with np.load(self._folder(reference) / f"{case}.npz") as stored:
            return stored["probabilities"].transpose(0, 3, 2, 1)

    def _folder(self, reference: Reference | str) -> Path:
        name = reference if isinstance(reference, str) else reference.name
        return self.home.folder / "references" / name


@cache
def products(tmp: Path) -> Products:
    """The oracle's products, made once a session, or found where an earlier session left them."""
    folder = oracle.kept(tmp)
    if not (folder / "done").is_file():
        work = folder.with_name(f"{folder.name}.{os.getpid()}")
        home = oracle.make(work)
        _write_images(work)
        _refer(home)
        (work / "done").touch()
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    return Products(oracle.Home(folder))


def _refer(home: oracle.Home) -> None:
    first, *others = REFERENCES
    commands = [_command(home, reference) for reference in others]
    home.run(commands)
    ensemble = [_few(home, reference) for reference in ENSEMBLED]
    home.run([home.ensemble(ensemble, home.folder / "references" / ENSEMBLE)])
    out = home.folder / "references" / first.name
    options = {"folds": first.folds, "mirror": first.mirror, "probabilities": first.probabilities, "processes": 1}
    home.reference(first.kind, first.configuration, _folder(home, first), out, **options)


def _command(home: oracle.Home, reference: Reference) -> list[str]:
    out = home.folder / "references" / reference.name
    options = {"folds": reference.folds, "mirror": reference.mirror, "probabilities": reference.probabilities}
    return home.predict(reference.kind, reference.configuration, _folder(home, reference), out, **options)


def _folder(home: oracle.Home, reference: Reference) -> Path:
    """A folder with the cases of a reference, in the axes that the model's reader wants."""
    folder = home.folder / "asked" / reference.name
    folder.mkdir(parents=True)
    for case in reference.cases:
        # A reader that reorients gets what the user has.
        reorients = oracle.MODELS[reference.kind]["reader"] is not None
        source = home.folder / ("inputs" if reorients else "images")
        name = f"{case}.nii.gz" if reorients else f"{case}_0000.nii.gz"
        shutil.copyfile(source / name, folder / f"{case}_0000.nii.gz")
    return folder


def _few(home: oracle.Home, reference: Reference) -> Path:
    """The probabilities of few cases of a reference, in a folder of their own, as nnU-Net's ensembling wants them."""
    folder = home.folder / "asked" / f"{ENSEMBLE}_{reference.configuration}"
    folder.mkdir(parents=True)
    source = home.folder / "references" / reference.name
    for name in [f"{case}.{suffix}" for case in FEW for suffix in ("npz", "pkl")] + ["plans.json", "dataset.json"]:
        shutil.copyfile(source / name, folder / name)
    return folder


def _write_images(folder: Path) -> None:
    from CSpineSegLib import phantom, volume

    for kind, images in (("plain", ANISOTROPIC), ("isotropic", ISOTROPIC)):
        shape = np.max([image.stop for image in images.values()], axis=0)
        grid = phantom.grid_around(shape, oracle.MODELS[kind]["spacing"], "PSR")
        made = phantom.render(phantom.trace(oracle.PERSON, grid), IMAGE_SEED)
        for case, image in images.items():
            where = tuple(slice(a, b) for a, b in zip(image.start, image.stop, strict=True))
            array = made.image[where].astype(np.int16)
            stock = volume.from_array(oracle.bordered(array) if image.bordered else array, _affine(image))
            _write(stock, folder / "images" / f"{case}_0000.nii.gz", image.scale)
            _write(volume.reorient(stock, image.codes), folder / "inputs" / f"{case}.nii.gz", image.scale)


def _affine(image: Image) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    from CSpineSegLib import phantom

    size = np.subtract(image.stop, image.start)
    affine = phantom.grid_around(size, image.spacing, "PSR").affine
    if image.oblique:
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler("xyz", [7, -12, 9], degrees=True).as_matrix()
        affine = turn @ affine
    return affine


def _write(image, path: Path, scale: tuple[float, float] | None) -> None:
    """A NIfTI file; with a scale, the stored integers are kept and the header says what they mean."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    file = nibabel.Nifti1Image(image.array, image.affine)
    file.header.set_slope_inter(*(scale or (1, 0)))
    nibabel.save(file, path)
