"""What can be said against an image before any model looks at it; one sentence each.

To refuse a true cervical exam is worse than to let something else pass, which :mod:`plausibility` looks at again after
the segmentation. So each rule takes only what no cervical MR exam can be.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import InputError
from ..volume import Volume, reorient
from .plausibility import NotCervicalError, Verdict
from .preprocess import ORIENTATION

# Slices are thicker than pixels in every sagittal 2D exam; from twice on, the thick axis tells the plane.
ANISOTROPIC = 2.0
FEWEST_SLICES = 5
# mm. Two vertebrae with the disc between them are 35 mm tall in adults; a body is 15 mm deep and 18 mm wide. Below
# these there is nothing that a spine could be recognised by. Published crops of three vertebrae measure 55 mm.
SMALLEST = {"left-right": 8.0, "anterior-posterior": 25.0, "superior-inferior": 40.0}
# mm. Nobody is larger than this: such a file has its units wrong.
LARGEST = 2500.0
# mm. A cervical disc is 5 mm tall: with pixels over 4 mm, hardly one lies in it.
COARSEST = 4.0

# A scanner's noise makes many values, and neighbours rarely equal, even with 6 bits; a label map has a few values, or
# large areas of exactly the same one. A soft mask has more than a byte of values, but nearly all of them are equal.
FEWEST_VALUES = 8
_BYTE = 256
_MOSTLY_EQUAL, _NEARLY_ALL_EQUAL = 0.6, 0.9
# Hounsfield units. Phase, subtraction and inversion-recovery MR images have negative values too, but no peak at air
# together with one at soft tissue.
_AIR, _SOFT_TISSUE, _PEAK = (-1060.0, -940.0), (-200.0, 300.0), 0.1

_DIRECTIONS = {"L": "left-right", "R": "left-right", "A": "anterior-posterior", "P": "anterior-posterior"}
ANYWAY = "--anyway segments it even so"


def check_image(vol: Volume, anyway: bool = False, judge: Callable[[Volume], Verdict] | None = None) -> list[str]:
    """Notes on what is odd about an image; empty for nearly all exams.

    Parameters
    ----------
    vol : any orientation, oblique too; an isotropic image may have been taken in any plane.
    anyway : turn refusals into notes.
    judge : asked what an MR image of an odd geometry shows, as far as a few of its slices (see :func:`thinned`) tell.

    Raises
    ------
    InputError : no cervical MR exam can be like this: the sentence says why.
    NotCervicalError : and `judge` does not see one either.
    """
    wrong, odd = not_mr(vol), geometry(vol)
    if anyway:
        return [in_spite_of(sentence) for sentence in (*wrong, *odd)]
    if wrong:
        raise InputError(f"{name_of(vol)}: {wrong[0]}; {ANYWAY}.")
    if odd:
        verdict = judge(thinned(vol)) if judge is not None else None
        if verdict is not None and not verdict.accepted:
            raise NotCervicalError(f"{name_of(vol)}: {verdict.sentence}, and {odd[0]}; {ANYWAY}.")
        raise InputError(f"{name_of(vol)}: {odd[0]}; {ANYWAY}.")
    return []


def refused(vol: Volume, verdict: Verdict) -> NotCervicalError:
    """The error for an image that a model has looked at in vain."""
    return NotCervicalError(f"{name_of(vol)}: {verdict.sentence}; {ANYWAY}.")


def name_of(vol: Volume) -> str:
    return vol.path.name if vol.path is not None else "The image"


def in_spite_of(clause: str) -> str:
    """The note on an image that was segmented although it should not be."""
    return f"{clause[0].upper()}{clause[1:]}; it was segmented anyway."


def geometry(vol: Volume) -> list[str]:
    """What is wrong with the grid: clauses without a full stop."""
    codes, spacing = vol.orientation, vol.spacing
    directions = [_DIRECTIONS.get(code, "superior-inferior") for code in codes]
    sagittal = vol.sagittal_axis
    found = []
    thick = int(np.argmax(spacing))
    if spacing[thick] > 1.01 * ANISOTROPIC * spacing.min() and spacing[thick] > 1.01 * spacing[sagittal]:
        found.append(
            f"its slices are stacked in the {directions[thick]} direction ({spacing[thick]:.3g} mm apart, pixels of "
            f"{spacing.min():.3g} mm), and sagittal slices or an isotropic image are needed"
        )
    if vol.shape[sagittal] < FEWEST_SLICES:
        plural = "slice" if vol.shape[sagittal] == 1 else "slices"
        found.append(f"it has only {vol.shape[sagittal]} sagittal {plural}, and at least {FEWEST_SLICES} are needed")
    for axis, direction in enumerate(directions):
        extent = vol.shape[axis] * spacing[axis]
        if extent < SMALLEST[direction]:
            found.append(
                f"it measures only {extent:.3g} mm in the {direction} direction, and at least "
                f"{SMALLEST[direction]:g} mm are needed to hold a part of the cervical spine"
            )
        elif extent > LARGEST:
            found.append(f"it measures {extent:.4g} mm in the {direction} direction, so its units seem to be wrong")
        if axis != sagittal and spacing[axis] > 1.01 * COARSEST and axis != thick:
            found.append(f"its pixels of {spacing[axis]:.3g} mm are too coarse to show a cervical disc")
    return found


def not_mr(vol: Volume) -> list[str]:
    """Why the intensities cannot be those of an MR image: at most one clause without a full stop."""
    values = vol.array
    if not np.issubdtype(values.dtype, np.number) or not values.size:
        return ["it holds no numbers"]
    common, distinct = _distinct(values)
    if distinct < 2:
        return ["all its voxels have the same value"]
    if distinct < FEWEST_VALUES:
        return [f"it has only {distinct} different values, like a mask or label map and not an MR image"]
    equal = _equal_neighbours(values, common)
    if equal > (_MOSTLY_EQUAL if distinct <= _BYTE else _NEARLY_ALL_EQUAL):
        return ["it consists of areas of exactly one value, like a label map and not an MR image"]
    scaled = vol.intensities()
    if scaled.min() < _AIR[1] and all(_share(scaled, *limits) > _PEAK for limits in (_AIR, _SOFT_TISSUE)):
        return ["its intensities are Hounsfield units, so it is CT and not MR"]
    return []


def thinned(vol: Volume, apart: float = 4.0) -> Volume:
    """Every n-th sagittal slice, about `apart` mm from each other: enough to say what an image shows."""
    turned = reorient(vol, ORIENTATION)
    step = max(1, round(apart / float(turned.spacing[0])))
    affine = turned.affine.copy()
    affine[:3, 0] *= step
    return Volume(turned.array[::step], affine, None, vol.path, b"", vol.warnings)


def _distinct(values: np.ndarray) -> tuple[float, int]:
    """The most common of an image's values, and how many there are (counted up to a few thousand)."""
    kinds, counts = np.unique(values.ravel()[:: max(1, values.size // 500_000)], return_counts=True)
    common = kinds[counts.argmax()]
    if len(kinds) < FEWEST_VALUES:
        kinds = np.unique(values)
    return common, len(kinds)


def _equal_neighbours(values: np.ndarray, background: float) -> float:
    """Share of neighbouring voxels along all axes, both off the background, with equal values."""
    pairs = same = 0
    for axis in range(3):
        first, second = (np.moveaxis(values, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        inside = (first != background) & (second != background)
        pairs += np.count_nonzero(inside)
        same += np.count_nonzero(inside & (first == second))
    return same / pairs if pairs else 1.0


def _share(values: np.ndarray, low: float, high: float) -> float:
    return np.count_nonzero((values >= low) & (values <= high)) / values.size
