"""Two masks of one exam, compared as a whole: per structure, pooled, and per level where labellings are given.

Figures follow Maier-Hein, Reinke et al., "Metrics reloaded" (Nature Methods 21, 195-212, 2024); surfaces are those of
Nikolov et al., "Clinically applicable segmentation of head and neck anatomy for radiotherapy" (J Med Internet Res 23,
e26151, 2021).
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any, Literal

import numpy as np

from ...anatomy import BODY, DISC, STRUCTURES
from ...spine.labelling import Labelling
from ...volume import Volume, as_mask, conform, like
from . import levels, structure, surfaces, zhou2025
from .definitions import DEFINITIONS, LEVEL_DEFINITIONS

# Medians of the dataset, 54 and 12.5 cm3, in a field of view of 230 x 230 x 61 mm.
PREVALENCE = {BODY: 0.017, DISC: 0.004}


def compare(
    reference: Volume,
    candidate: Volume,
    *,
    labellings: tuple[Labelling, Labelling] | None = None,
    iou: float = 0.5,
    surface: surfaces.Surfaces = "elements",
    convention: Literal["zhou2025"] | None = None,
) -> dict[str, Any]:
    """How a candidate mask differs from a reference mask of the same exam, ready for JSON (no NaN, no infinity).

    Parameters
    ----------
    reference, candidate : label images (0 background, 1 bodies, 2 discs). A candidate whose axes are reordered or
        cropped on the same lattice is put back first.
    labellings : what `spine.levels.label` found in the reference and in the candidate; then figures per level and of
        detection are added.
    iou : from which IoU on an element counts as detected.
    surface : "elements" (default) or "voxels", see the definition of "surface".
    convention : "zhou2025" gives the figures of the dataset's paper, by its own definitions, and nothing else.

    Returns
    -------
    dict with `definitions`, `spacing_mm` (3 values, per array axis), `surface`, `tolerances_mm` of the NSD, and per
    structure (`bodies`, `discs`) and `pooled`, all with the same keys:
        dice, iou, precision, recall, ndsc, nsd_1mm, nsd_voxel : 0 to 1; precision or recall None where undefined.
        hd_mm, hd95_mm, assd_mm : mm; None if a mask is empty.
        volume_mm3, voxels : each {"reference": ..., "candidate": ...}.
        volume_difference_mm3, volume_difference_relative : candidate minus reference.
        voxels_added, voxels_removed : relative to the reference. A voxel that changed from body to disc counts as
            removed from the bodies and as added to the discs.
        empty, empty_reason : which mask is empty ("reference", "candidate", "both") and a phrase, or None.
    With `labellings` also `levels`, see :func:`levels.compare`.

    Raises
    ------
    InputError : a mask holds other labels, such as a labelmap of levels, whose voxels would count as background.
    GeometryError : the masks do not lie on the same voxels.
    """
    reference, candidate = as_mask(reference), as_mask(candidate)
    placed = conform(candidate, reference)
    if convention == "zhou2025":
        return zhou2025.compare(reference, placed)
    if convention is not None:
        raise ValueError(f"a convention is 'zhou2025' or None, not {convention!r}")
    frame = structure.frame(reference.grid, surface)
    result: dict[str, Any] = {
        "definitions": dict(DEFINITIONS) | (LEVEL_DEFINITIONS if labellings else {}),
        "spacing_mm": list(frame.spacing),
        "surface": surface,
        "tolerances_mm": {"nsd_1mm": 1.0, "nsd_voxel": frame.in_plane},
    }
    # Everything outside this box is background in both, and a large field of view is mostly that.
    box = surfaces.bounding_box(reference.array, placed.array)
    arrays = [np.ascontiguousarray(mask.array[box]) for mask in (reference, placed)]
    pairs = {}
    for part in STRUCTURES:
        pairs[part.key] = structure.pair(*(array == part.label for array in arrays), frame)
        result[part.key] = structure.figures(*pairs[part.key], frame, PREVALENCE[part.label])
    counts, distances = zip(*pairs.values(), strict=True)
    usual = sum(PREVALENCE.values()) / len(PREVALENCE)
    result["pooled"] = structure.figures(reduce(add, counts), surfaces.pooled(distances), frame, usual)
    if labellings:
        ours, theirs = labellings
        instances = conform(like(candidate, theirs.instances_volume), reference).array
        result["levels"] = levels.compare(ours, theirs, frame, instances, iou)
    return result


def measure(mask: Volume) -> dict[str, Any]:
    """Voxel count and volume (mm3) of each structure of one mask, ready for JSON; InputError for other labels."""
    mask = as_mask(mask)
    result: dict[str, Any] = {"definitions": {"volume_mm3": DEFINITIONS["volume_mm3"]}}
    result["spacing_mm"] = [float(size) for size in mask.spacing]
    for part in STRUCTURES:
        count = int(np.count_nonzero(mask.array == part.label))
        result[part.key] = {"voxels": count, "volume_mm3": count * mask.grid.voxel_volume}
    return result
