"""Where a phantom is scanned: grids around the neck, and random ones such as the dataset's exams have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..volume import Grid

_AXES = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
# Matrices and slice spacings with about the shares that they have among the dataset's exams.
_MATRICES, _MATRIX_SHARE = (256, 320, 512, 640, 768), (0.02, 0.43, 0.37, 0.16, 0.02)
_SPACINGS, _SPACING_SHARE = (3.0, 3.3, 4.0, 5.0, 5.5), (0.05, 0.1, 0.75, 0.06, 0.04)


class Axes(NamedTuple):
    """Array axes of a grid by what they run along in the patient, and the direction of each array axis.

    `side`, `front`, `height`: the array axes that run nearest to left-right, posterior-anterior and inferior-superior.
    `slices`: the array axis across slices, which is the one with the largest spacing; `side` if all are alike.
    `signs`: per array axis +1 if it grows to the right, the front or the head, else -1.
    """

    side: int
    front: int
    height: int
    slices: int
    signs: tuple[int, int, int]


def axes_of(grid: Grid) -> Axes:
    """Which array axis of a grid is which; see `Axes`."""
    found = [_AXES[letter] for letter in grid.orientation]
    rows = [row for row, _ in found]
    side, front, height = (rows.index(row) for row in range(3))
    thickest = int(np.argmax(grid.spacing))
    if grid.spacing[thickest] < 1.05 * grid.spacing[side]:
        thickest = side
    return Axes(side, front, height, thickest, tuple(sign for _, sign in found))


def grid_around(shape: Sequence[int], spacing: Sequence[float], orientation: str = "PSR", centre=(0, 4, -22)) -> Grid:
    """A grid whose middle lies at `centre` (RAS mm), by default where it shows C2 to the upper thoracic spine.

    `shape` and `spacing` (mm) belong to the array axes in the order of `orientation`, for instance (320, 320, 15),
    (0.7, 0.7, 4.0), "PSR".
    """
    if len(orientation) != 3 or {_AXES.get(letter, (None,))[0] for letter in orientation} != {0, 1, 2}:
        raise InputError(f"{orientation!r} is not an orientation; three letters such as 'PSR' are.")
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(orientation):
        row, sign = _AXES[letter]
        affine[row, axis] = sign * spacing[axis]
    affine[:3, 3] = np.asarray(centre, float) - affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(tuple(int(n) for n in shape), affine)


def random_grid(rng: np.random.Generator, *, orientation: str = "PSR", largest: int = 768) -> Grid:
    """A geometry such as the dataset's exams have: sagittal slices over C2 to the upper thoracic spine.

    Parameters
    ----------
    rng : every call draws another grid from it.
    orientation : of a two-dimensional scan; one grid in twenty is a three-dimensional one instead, near 1 mm, "RAS".
    largest : no side of the matrix is longer than this; a smaller matrix keeps the field of view.

    In-plane pixels are 0.30 to 1.0 mm, fields of view 165 to 300 mm (most of them 200 to 250), slices 3.0 to 5.5 mm
    apart and 12 to 25 in number. Nobody lies quite straight and nobody plans slices exactly along the spine, so grids
    are turned by some degrees about every axis and shifted by some millimetres.
    """
    view = float(np.clip(rng.normal(226, 22), 165, 300))
    turns = np.deg2rad(rng.normal(0, [4.0, 3.0, 3.5]))
    centre = np.array([0.0, 4.0, -24.0]) + rng.normal(0, [2.5, 8.0, 10.0])
    if rng.random() < 0.05:
        spacing = rng.uniform(0.8, 1.1)
        high = min(int(view / spacing), largest)
        grid = grid_around((int(64 / spacing), high, high), (spacing,) * 3, "RAS", centre)
    else:
        matrix = int(rng.choice(_MATRICES, p=_MATRIX_SHARE))
        pixel = float(np.clip(view / matrix, 0.30, 1.0))
        matrix, pixel = min(matrix, largest), pixel * max(1.0, matrix / largest)
        distance = float(rng.choice(_SPACINGS, p=_SPACING_SHARE))
        slices = int(np.clip(np.rint(rng.normal(15.2 * 4 / distance, 1.8)), 12, 25))
        along = {**dict.fromkeys("PASI", (matrix, pixel)), **dict.fromkeys("RL", (slices, distance))}
        grid = grid_around(*zip(*(along[letter] for letter in orientation), strict=True), orientation, centre)
    return turned(grid, turns)


def turned(grid: Grid, angles: Sequence[float]) -> Grid:
    """A grid turned about its middle: by `angles` (3,) radians about the right, anterior and superior axis in turn."""
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[[first, second], [first, second]] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        rotation = step @ rotation
    middle = grid.affine @ np.append((np.asarray(grid.shape) - 1) / 2, 1)
    affine = np.eye(4)
    affine[:3, :3] = rotation @ grid.affine[:3, :3]
    affine[:3, 3] = middle[:3] - affine[:3, :3] @ ((np.asarray(grid.shape) - 1) / 2)
    return Grid(grid.shape, affine)
