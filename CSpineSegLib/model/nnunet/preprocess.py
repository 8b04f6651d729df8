"""From an image to what an imported network sees, and the way back, as nnU-Net 2 does both.

Orientation, transposes, cropping to what is not zero, normalisation, resampling. nnU-Net never reorients: an image is
brought to the orientation in which the model was trained, by permuting and flipping alone, and the result is taken
back onto the image's own grid.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ... import volume
from ...errors import InputError
from ...volume import Volume
from ...volume.grid import scaling
from ..checks import name_of
from .resampling import Tick, new_shape, resample, separate_axis

if TYPE_CHECKING:
    from .plans import Configuration, Plans

# Least standard deviation, and least maximum, that intensities are divided by.
_LEAST = 1e-8


@dataclass(frozen=True, eq=False)
class Exam:
    """An image in the axes of the network, and the way back.

    Parameters
    ----------
    turned : the image in the orientation in which the model was trained, without header.
    whole : (z, y, x) float32 intensities in the transposed axes.
    box : the part of it that is left when what is zero around it is cut off.
    spacing : mm along its axes, as nnU-Net's readers find it.
    forward, backward : transposes of (k, j, i), see :class:`plans.Plans`.
    """

    turned: Volume
    whole: np.ndarray
    box: tuple[slice, slice, slice]
    spacing: tuple[float, float, float]
    forward: tuple[int, ...]
    backward: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the part that the network sees, before resampling."""
        return tuple(part.stop - part.start for part in self.box)

    @functools.cached_property
    def outside(self) -> np.ndarray:
        """Of the part that the network sees: zero and connected with the outside by zeros, (z, y, x) bool."""
        from scipy import ndimage

        parts, _ = ndimage.label(self.whole == 0)
        sides = [np.take(parts, end, axis) for axis in range(3) for end in (0, -1)]
        open_parts = np.zeros(parts.max() + 1, bool)
        open_parts[np.concatenate([np.unique(side) for side in sides])] = True
        open_parts[0] = False
        return open_parts[parts[self.box]]

    def back(self, values: np.ndarray, fill: float = 0) -> np.ndarray:
        """Values of the part that the network sees, (z, y, x), in the axes of `turned`; `fill` around them."""
        whole = np.full(self.whole.shape, fill, values.dtype)
        whole[self.box] = values
        return whole.transpose(self.backward).transpose(2, 1, 0)


def examine(vol: Volume, plans: Plans, orientation: str) -> Exam:
    """An image as nnU-Net would read it if its axes pointed as `orientation` says."""
    plain = Volume(_intensities(vol), vol.affine, None, vol.path)
    turned = volume.reorient(plain, orientation)
    # In the memory layout that the reader would leave, as sums over the image round by it.
    layout = "K" if plans.reader == "NibabelIOWithReorient" else "C"
    whole = turned.array.transpose(2, 1, 0).astype(np.float32, order=layout).transpose(plans.transpose_forward)
    spacing = _spacing(vol, turned, plans.reader)[::-1]
    return Exam(
        turned,
        whole,
        _box(whole),
        tuple(spacing[axis] for axis in plans.transpose_forward),
        plans.transpose_forward,
        plans.transpose_backward,
    )


def prepare(exam: Exam, plans: Plans, configuration: Configuration, tick: Tick | None = None) -> np.ndarray:
    """What the network of a configuration sees of an exam: (z, y, x) float32.

    Raises
    ------
    InputError : intensities that the normalisation does not take, or an image thinner than half a voxel of the plans.
    """
    shape = shape_of(exam, configuration)
    # Copied whole and cut then, so that sums go through the memory as nnU-Net's do.
    image = exam.whole.copy(order="K")[exam.box]
    masked = exam.outside if configuration.use_mask_for_norm[0] else None
    intensities = plans.intensities[0] if plans.intensities else {}
    image = normalise(image, configuration.normalization[0], masked, intensities, name_of(exam.turned))
    axis = separate_axis(configuration.force_separate_z, exam.spacing, target(exam, configuration))
    return np.ascontiguousarray(resample(image, shape, axis, configuration.order, configuration.order_z, tick))


def unprepare(exam: Exam, logits: np.ndarray, configuration: Configuration, tick: Tick | None = None) -> np.ndarray:
    """Logits (3, z, y, x) float16 of what the network saw on the voxels of the exam, (3, *exam.shape) float16."""
    if logits.shape[1:] == exam.shape:
        return logits
    now = target(exam, configuration)
    axis = separate_axis(configuration.force_separate_z_probabilities, now, exam.spacing)
    orders = configuration.order_probabilities, configuration.order_z_probabilities
    out = np.empty((len(logits), *exam.shape), logits.dtype)
    for index, values in enumerate(logits):
        part = tick and functools.partial(lambda done, fraction: tick((done + fraction) / len(logits)), index)
        resample(values, exam.shape, axis, *orders, part, out[index])
    return out


def target(exam: Exam, configuration: Configuration) -> tuple[float, ...]:
    """mm along the axes of what the network sees; across the slices of 2D networks nothing changes."""
    return (*exam.spacing[: 3 - len(configuration.spacing)], *configuration.spacing)


def shape_of(exam: Exam, configuration: Configuration) -> tuple[int, ...]:
    """Of what the network sees; InputError if nothing would be left of the exam."""
    shape = new_shape(exam.shape, exam.spacing, target(exam, configuration))
    if min(shape) < 1:
        sizes = " x ".join(map(str, shape))
        raise InputError(f"{name_of(exam.turned)}: at the model's voxel size nothing is left of it ({sizes} voxels).")
    return shape


def normalise(
    image: np.ndarray,
    scheme: str,
    outside: np.ndarray | None = None,
    intensities: Mapping[str, float] | None = None,
    name: str = "The image",
) -> np.ndarray:
    """Intensities (z, y, x) float32 as a network was trained to see them; changed in place.

    Parameters
    ----------
    scheme : of :data:`plans.NORMALIZATIONS`.
    outside : voxels that a z-score leaves out and unchanged, or None.
    intensities : of the training data's foreground, for CTNormalization.

    Raises
    ------
    InputError : RGBTo01Normalization of an image with values outside 0 to 255.
    """
    if scheme == "ZScoreNormalization" and outside is not None:
        inside = ~outside
        values = image[inside]
        image[inside] = (values - values.mean()) / max(values.std(), _LEAST)
    elif scheme == "ZScoreNormalization":
        mean, deviation = image.mean(), image.std()
        image -= mean
        image /= max(deviation, _LEAST)
    elif scheme == "CTNormalization":
        np.clip(image, intensities["percentile_00_5"], intensities["percentile_99_5"], out=image)
        image -= intensities["mean"]
        image /= max(intensities["std"], _LEAST)
    elif scheme == "RescaleTo01Normalization":
        image -= image.min()
        image /= max(image.max(), _LEAST)
    elif scheme == "RGBTo01Normalization":
        low, high = image.min(), image.max()
        if low < 0 or high > 255:
            raise InputError(
                f"{name}: its values go from {low:g} to {high:g}, and the model takes images with values from 0 to 255."
            )
        image /= 255.0
    elif scheme != "NoNormalization":
        raise ValueError(f"{scheme} is no normalisation")
    return image


def _intensities(vol: Volume) -> np.ndarray:
    """(I, J, K) float32; scaled in double precision and rounded once, as the readers do."""
    slope, inter = scaling(vol.header)
    if (slope, inter) == (1.0, 0.0):
        return vol.array.astype(np.float32)
    return (vol.array.astype(np.float64) * slope + inter).astype(np.float32)


def _spacing(vol: Volume, turned: Volume, reader: str) -> list[float]:
    """mm along the axes of `turned`: of the header, which the readers take rather than the affine."""
    rounded = [float(np.float32(size)) for size in np.sqrt((turned.affine[:3, :3] ** 2).sum(axis=0))]
    if vol.header is None or (reader == "NibabelIOWithReorient" and turned.orientation != vol.orientation):
        return rounded
    places = np.abs(np.linalg.inv(vol.affine[:3, :3]) @ turned.affine[:3, :3]).argmax(axis=0)
    stored = [abs(float(vol.header["pixdim"][1 + place])) for place in places]
    # A header in other units than mm, or without voxel sizes, is not believed.
    return stored if np.allclose(stored, rounded, rtol=1e-2) else rounded


def _box(whole: np.ndarray) -> tuple[slice, slice, slice]:
    """The smallest box that holds all that is not zero; all, if there is nothing."""
    found = whole != 0
    box = []
    for axis in range(3):
        there = np.flatnonzero(found.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(int(there[0]), int(there[-1]) + 1) if len(there) else slice(0, whole.shape[axis]))
    return tuple(box)
