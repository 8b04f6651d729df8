"""From an image to what the network sees, and from its maps back: shared by training and inference.

The network sees sagittal slices, rows from superior to inferior, columns from anterior to posterior, at one in-plane
spacing, with intensities normalised over the whole exam. Across slices nothing is interpolated: cervical exams have
slices of 3 to 5 mm. A network of three slices also sees, beside each slice, the one to its left and the one to its
right that are nearest to a given distance, whatever the spacing of the exam.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import volume
from ..errors import InputError, ModelError
from ..volume import Volume

# Axis 0 runs across sagittal slices (to the right), rows go from superior to inferior, columns anterior to posterior.
ORIENTATION = "RIP"
SPACING = 0.7
PERCENTILE = 99.5
# Millimetres from a slice to the neighbours that the network sees beside it.
DISTANCE = 4.0
NORMALISATION = "clip at the 99.5th percentile, zero mean, unit variance, over the whole exam"

# Below this relative difference a slice is taken as it is: interpolating would blur it and gain nothing.
SAME_SPACING = 0.02


@dataclass(frozen=True, eq=False)
class Way:
    """The way back from the network's slices to the image.

    Parameters
    ----------
    shape, spacing : of the image in the sagittal plane: (rows, columns), mm.
    network_shape, network_spacing : of the network's slices.
    across : mm from slice to slice.
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]
    network_shape: tuple[int, int]
    network_spacing: tuple[float, float]
    across: float


def describe(spacing: float = SPACING, slices: int = 1, distance: float = DISTANCE) -> dict[str, Any]:
    """The preprocessing as a bundle's metadata records it; `slices` (1 or 3) that the network sees at a time."""
    plain = {"orientation": ORIENTATION, "in_plane_spacing_mm": spacing, "normalisation": NORMALISATION}
    return plain if slices == 1 else {**plain, "context_slices": slices, "context_distance_mm": distance}


def spacing_of(description: Mapping[str, Any]) -> float:
    """In-plane spacing (mm) that a recorded preprocessing asks for; ModelError if this version cannot do it."""
    known = description.get("orientation") == ORIENTATION and description.get("normalisation") == NORMALISATION
    spacing = description.get("in_plane_spacing_mm")
    if not known or not _is_number(spacing, 0.1, 5.0):
        raise ModelError(f"The model asks for a preprocessing that this version does not know: {dict(description)}.")
    return float(spacing)


def context_of(description: Mapping[str, Any]) -> tuple[int, float]:
    """Slices (1 or 3) that the network sees at a time, and mm to the neighbours; ModelError for anything else."""
    slices, distance = description.get("context_slices", 1), description.get("context_distance_mm", DISTANCE)
    if isinstance(slices, bool) or slices not in (1, 3) or not _is_number(distance, 0.1, 50.0):
        raise ModelError(f"The model asks for neighbouring slices that this version cannot give: {dict(description)}.")
    return int(slices), float(distance)


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def neighbour(across: float, distance: float = DISTANCE) -> int:
    """How many slices away the one is that is nearest to `distance`; at least one. Both in mm."""
    return max(1, round(distance / across))


def stack(slices: np.ndarray, start: int, stop: int, away: int = 0) -> np.ndarray:
    """Slices as the channels of the network.

    Parameters
    ----------
    slices : (n, H, W), left to right.
    start, stop : the slices wanted.
    away : how many slices away the neighbours are, see :func:`neighbour`; 0 for a network of single slices. Beyond the
        first and the last slice these are repeated.

    Returns
    -------
    (stop - start, 1, H, W), or with neighbours (stop - start, 3, H, W): left, the slice itself, right.
    """
    if not away:
        return slices[start:stop, None]
    around = np.arange(start, stop)[:, None] + np.array([-away, 0, away])
    return slices[np.clip(around, 0, len(slices) - 1)]


def to_network(vol: Volume, spacing: float = SPACING) -> tuple[np.ndarray, Way]:
    """Sagittal slices of an image as the network sees them.

    Returns
    -------
    slices : (n, H, W) float32, C-ordered; n slices left to right, rows superior to inferior, columns anterior to
        posterior, `spacing` mm in plane, normalised.
    way : what :func:`from_network` needs.

    Raises
    ------
    InputError : intensities that are not finite in single precision.
    """
    turned = volume.reorient(vol, ORIENTATION)
    # One memory layout for every orientation of the file, so that sums, and with them all voxels, are the same.
    slices = np.ascontiguousarray(turned.intensities())
    if not np.isfinite(slices).all():
        raise InputError(
            f"{vol.path or 'The image'} has intensities beyond single precision; rescale and save it again."
        )
    shape, (across, rows, columns) = slices.shape[1:], (float(mm) for mm in turned.spacing)
    (height, row_mm), (width, column_mm) = (
        _network_size(shape[0], rows, spacing),
        _network_size(shape[1], columns, spacing),
    )
    way = Way(shape, (rows, columns), (height, width), (row_mm, column_mm), across)
    return normalise(resize(slices, shape, way.spacing, way.network_shape, way.network_spacing)), way


def from_network(maps: np.ndarray, way: Way) -> np.ndarray:
    """Maps (..., H, W) on the network's slices, interpolated back onto the image's own pixels (..., rows, columns).

    The result is oriented as :data:`ORIENTATION`; :func:`CSpineSegLib.volume.restore` takes it to the image's own.
    """
    return resize(maps, way.network_shape, way.network_spacing, way.shape, way.spacing)


def normalise(array: np.ndarray) -> np.ndarray:
    """Intensities (any shape) clipped at their 99.5th percentile, then of zero mean and unit variance, float32.

    A constant image becomes zeros. Scaling or shifting the intensities changes nothing but rounding.
    """
    values = np.minimum(array, np.quantile(array, PERCENTILE / 100.0)).astype(np.float32, copy=False)
    largest = float(np.abs(values).max(initial=0.0))
    if largest == 0.0:
        return values
    # Scaled first, so that squares of very large or very small intensities stay within single precision.
    values /= np.float32(largest)
    values -= np.float32(values.mean(dtype=np.float64))
    deviation = float(np.sqrt(np.square(values).mean(dtype=np.float64)))
    if deviation < 1e-6:
        return np.zeros(values.shape, np.float32)
    values /= np.float32(deviation)
    return values


def interpolation(size: int, spacing: float, new_size: int, new_spacing: float) -> np.ndarray:
    """(new_size, size) float32 weights that interpolate a line of samples linearly at another spacing, same centre.

    Towards coarser samples the kernel widens to the new spacing, so that nothing is skipped (as in antialiased
    resizing); each row sums to one; outside the line the last sample is repeated.
    """
    position = ((np.arange(new_size) - (new_size - 1) / 2.0) * new_spacing / spacing) + (size - 1) / 2.0
    position = np.clip(position, 0.0, size - 1.0)
    reach = max(1.0, new_spacing / spacing)
    weights = np.maximum(0.0, 1.0 - np.abs(position[:, None] - np.arange(size)[None, :]) / reach)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _network_size(size: int, spacing: float, wanted: float) -> tuple[int, float]:
    """Samples and spacing of a line on the network's side: the image's own if they are nearly what is wanted."""
    if abs(spacing / wanted - 1.0) <= SAME_SPACING:
        return size, spacing
    return max(1, round(size * spacing / wanted)), wanted


def resize(
    maps: np.ndarray,
    shape: tuple[int, int],
    spacing: tuple[float, float],
    new_shape: tuple[int, int],
    new_spacing: tuple[float, float],
) -> np.ndarray:
    """Maps (..., rows, columns) interpolated at another in-plane spacing, one axis after the other; same centre."""
    if (shape, spacing) == (new_shape, new_spacing):
        return maps
    rows, columns = (interpolation(*line) for line in zip(shape, spacing, new_shape, new_spacing, strict=True))
    return np.matmul(np.matmul(rows, maps), columns.T)
