"""An exam whose mask is a neck of cylinders on fine pixels, so that levels are found in it and measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from review_cases import STEM, open_exam
from spine_cases import Drawn, spine

from CSpineSegLib import phantom, volume
from CSpineSegLib.spine import sizes
from CSpineSegLib.volume import Volume

# Patient of the exam, as somebody types it.
PATIENT = "000123"


def drawn_neck(first: str = "C2", last: str = "C7", **how: Any) -> Drawn:
    """A neck on few slices; `how` as of :func:`spine_cases.spine`."""
    bodies = sizes.NAMES.index(last) - sizes.NAMES.index(first) + 1
    grid = phantom.grid_around((44, 40 + 27 * bodies, 7), (0.8, 0.8, 4.0), "PSR", (0.0, 0.0, 0.0))
    return spine(first, last, grid=grid, **how)


def make_neck(root: Path, neck: Drawn, stem: str = STEM) -> Any:
    """The exam in the released layout."""
    extracted, mask = root / "extracted", neck.mask
    image = np.where(mask.array == 0, 300, 500 + 200 * mask.array.astype(np.int16)).astype(np.int16)
    volume.write(volume.like(mask, image), extracted / "annotation" / f"{stem}.nii.gz")
    volume.write(mask, extracted / "segmentation" / f"{stem}_SEG.nii.gz")
    return open_exam(root, stem)


def without(neck: Drawn, *names: str) -> Volume:
    """Its mask with some levels erased."""
    array = neck.mask.array.copy()
    array[neck.voxels(*names)] = 0
    return volume.like(neck.mask, array)
