"""Masks and labellings that the tests of the metrics share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from CSpineSegLib.evaluation.metrics import structure
from CSpineSegLib.spine import Element, Instance, Labelling
from CSpineSegLib.volume import Grid, Volume, from_array

SPACING = np.array([0.5, 0.7, 4.0])
# A kind, its level names, and the rows of the array that it fills.
Part = tuple[str, tuple[str, ...], tuple[int, int]]


def mask(array: np.ndarray, spacing: Sequence[float] = tuple(SPACING)) -> Volume:
    """Axes to the right, to the front and up, so that the sagittal axis is the first."""
    return from_array(np.asarray(array, np.uint8), np.diag([*spacing, 1.0]))


def box(shape: tuple[int, ...], *ranges: tuple[int, int], label: int = 1) -> np.ndarray:
    array = np.zeros(shape, np.uint8)
    array[tuple(slice(*part) for part in ranges)] = label
    return array


def blob(rng: np.random.Generator, shape: tuple[int, int, int] = (24, 30, 9)) -> np.ndarray:
    """Rounded lumps and holes, some of them at the border."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(rng.standard_normal(shape), (3, 3, 1)) > 0.02


SHAPE = (60, 8, 4)
GRID = Grid(SHAPE, np.array([[0, 0, 4.0, 0], [0, 1.0, 0, 0], [-1.0, 0, 0, 0], [0, 0, 0, 1.0]]))
FRAME = structure.frame(GRID)


def spine(*parts: Part, absolute: bool = True) -> Labelling:
    """Bodies, discs and blocks one below the other: each fills the middle of some rows of an array of `SHAPE`."""
    volume = np.zeros(SHAPE, np.uint16)
    instances, elements, above = [], [], 0
    for number, (kind, levels, (first, last)) in enumerate(parts, start=1):
        volume[first:last, 1:7, 1:3] = number
        label = 2 if kind == "disc" else 1
        centre = np.array([6.0, 3.5, -(first + last - 1) / 2])
        size = int(np.count_nonzero(volume == number))
        box_mm = np.array([[2.0, 0.5, 0.5 - last], [10.0, 6.5, 0.5 - first]])
        instances.append(Instance(number, label, size, size * 4.0, centre, box_mm, (1, 2), False))
        spans = 0 if kind == "disc" else max(1, len(levels), 2 if kind == "block" else 1)
        ordinal = above + (kind != "disc")
        elements.append(Element(kind, levels if absolute else (), ordinal, (number,), 1.0, "", spans))
        above += spans
    line = np.array([[6.0, 3.5, 0.0], [6.0, 3.5, -60.0]])
    return Labelling(volume, tuple(instances), tuple(elements), (), absolute, "made by hand", 1.0, line)
