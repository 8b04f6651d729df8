"""Masks to try measurements on: phantoms cut by any grid, their borders as somebody would draw them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..anatomy import BODY, DISC, level_value
from ..phantom.geometry import names_of
from ..volume import Grid, Volume, from_array
from .labelling import Element, Instance, Labelling
from .measuring_outline import CORRELATION


def labelling_of(levels: np.ndarray, grid: Grid, fused: Sequence[tuple[str, str]] = ()) -> tuple[Labelling, Volume]:
    """The labelling that a mask with these true levels should get, and the mask.

    Parameters
    ----------
    levels : (I, J, K), TotalSpineSeg values.
    fused : neighbours that are grown together.
    """
    groups: list[list[str]] = []
    for name in names_of(levels):
        if groups and (groups[-1][-1], name) in {tuple(pair) for pair in fused}:
            groups[-1].append(name)
        else:
            groups.append([name])
    numbers = np.zeros(256, np.uint16)
    elements, ordinal = [], 0
    for number, group in enumerate(groups, start=1):
        numbers[[level_value(name) for name in group]] = number
        disc = "-" in group[0]
        kind = "disc" if disc else "block" if len(group) > 1 else "body"
        spans = 0 if disc else len(group)
        elements.append(Element(kind, tuple(group), ordinal + (not disc), (number,), 1.0, spans=spans))
        ordinal += spans
    return labelling_from(numbers[levels], elements, grid)


def labelling_from(instances: np.ndarray, elements: Sequence[Element], grid: Grid) -> tuple[Labelling, Volume]:
    """A labelling of elements whose numbers an instance volume holds, and its mask."""
    found = tuple(_instance(element, instances, grid) for element in elements)
    line = np.array([one.centroid_mm for one in found if one.label == BODY]).reshape(-1, 3)
    absolute = all(element.levels for element in elements)
    labels = np.zeros(int(instances.max()) + 1, np.uint8)
    for element in elements:
        labels[list(element.instances)] = DISC if element.kind == "disc" else BODY
    labelling = Labelling(instances, found, tuple(elements), (), absolute, "The truth.", 1.0, line)
    return labelling, from_array(labels[instances], grid.affine)


def _instance(element: Element, volume: np.ndarray, grid: Grid) -> Instance:
    places = np.argwhere(np.isin(volume, element.instances))
    points = places @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    edge = bool((places == 0).any() or (places == np.array(volume.shape) - 1).any())
    across = places[:, grid.sagittal_axis]
    return Instance(
        element.instances[0],
        DISC if element.kind == "disc" else BODY,
        len(places),
        float(len(places) * grid.voxel_volume),
        points.mean(axis=0),
        np.stack([points.min(axis=0), points.max(axis=0)]),
        (int(across.min()), int(across.max())),
        edge,
    )


def redrawn(instances: np.ndarray, grid: Grid, boundary: float, rng: np.random.Generator) -> np.ndarray:
    """Instances (I, J, K) with borders moved as a hand moves them, in each sagittal slice for itself.

    Each slice is bent by smooth random distances of standard deviation `boundary` mm along both of its axes, alike over
    :data:`measuring_outline.CORRELATION` mm and independent from slice to slice. A border that two structures share
    stays shared.
    """
    from scipy.ndimage import map_coordinates

    axis = grid.sagittal_axis
    source = np.moveaxis(instances, axis, 0)
    moved = np.zeros_like(source)
    spacing = np.delete(grid.spacing, axis)
    for k in np.flatnonzero(source.any(axis=(1, 2))):
        used = [np.flatnonzero(source[k].any(axis=other)) for other in (1, 0)]
        box = tuple(slice(max(0, int(at[0]) - 4), int(at[-1]) + 5) for at in used)
        plane = source[k][box]
        places = np.indices(plane.shape, float)
        for along, step in enumerate(spacing):
            places[along] += boundary / step * _field(plane.shape, spacing, rng)
        moved[k][box] = map_coordinates(plane, places, order=0, mode="nearest", prefilter=False)
    return np.moveaxis(moved, 0, axis)


def _field(shape: tuple[int, ...], spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth field of unit variance, whose correlation has the integral of exp(-d / CORRELATION) along a line."""
    from scipy.ndimage import gaussian_filter

    width = CORRELATION / np.sqrt(np.pi) / spacing
    field = gaussian_filter(rng.normal(size=shape), width, mode="wrap")
    # A Gaussian of so many pixels leaves this share of white noise's standard deviation.
    probe = np.zeros([int(12 * w) * 2 + 1 for w in width])
    probe[tuple(size // 2 for size in probe.shape)] = 1
    return field / np.sqrt(np.square(gaussian_filter(probe, width)).sum())
