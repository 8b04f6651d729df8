"""Blocks of vertebrae: what fills a fused disc space, and the plate and screws of a surgeon."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .field import Structure, box_around, capsule, moved
from .shape import COUNT, Shape
from .tissue import Tissue


def filling(shape: Shape, index: int, rng: np.random.Generator):
    """A function of local points, rho, and distances to both bodies that gives the tissue (N,) of a fused disc.

    Congenital: marrow, in two of five with a dark or discoid line that is left of the disc. Surgical: a graft or cage
    in the middle, marrow or scar around it.
    """
    half_depth = shape.depth[index] / 2
    remnant = rng.random() < 0.4
    length, thickness = rng.uniform(0.3, 0.9), rng.uniform(0.5, 1.2)
    start = rng.uniform(-0.6, 0.2)
    box = rng.uniform(5.5, 8) * shape.scale, rng.uniform(0.6, 0.9) * half_depth
    rim = rng.uniform(0.6, 1.4) if rng.random() < 0.6 else 0.0

    def congenital(local, rho, up, down):
        tissue = np.where(rho > 0.93, Tissue.BODY_CORTEX, Tissue.MARROW)
        if remnant:
            line = (np.abs(up - down) < thickness) & (np.abs(local[:, 1] / half_depth - start) < length)
            tissue[line] = Tissue.BODY_CORTEX
        return tissue

    def surgical(local, rho, up, down):
        tissue = np.where(rho > 0.93, Tissue.BODY_CORTEX, Tissue.MARROW)
        wall = np.minimum(box[0] - np.abs(local[:, 0]), box[1] - np.abs(local[:, 1]))
        tissue[wall > 0] = Tissue.GRAFT
        tissue[(wall > 0) & (np.minimum(wall, np.minimum(up, down)) < rim)] = Tissue.BODY_CORTEX
        return tissue

    return surgical if shape.surgical[index] else congenital


def _blocks(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and last vertebra of every run of fused discs."""
    edges = np.flatnonzero(np.diff(np.r_[0, flags.astype(int), 0]))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _metal(rods: list, boxes: list) -> Structure:
    def paint(points):
        depth = np.minimum.reduce([capsule(points, *rod) for rod in rods])
        return depth < 0, int(Tissue.METAL), 0

    return Structure(box_around(boxes, 9.0), paint)


def hardware(shape: Shape, rng: np.random.Generator) -> list[Structure]:
    """Anterior plate and screws of surgical blocks, in three of four; signal voids that bloom beyond the metal."""
    items = []
    for first, last in _blocks(shape.surgical):
        bloom = rng.uniform(0.2, 1.6)
        if rng.random() > 0.75 or last >= COUNT:
            continue
        fronts = []
        for i in range(first, last + 1):
            for part in (0.3, -0.3):
                fronts.append(shape.world(i, [0, shape.depth[i] / 2 + 0.8, part * shape.height[i]]))
        wide = 6.5 * shape.scale / (1.0 + bloom)
        plate = [(a, b, 1.0 + bloom, (wide, 1, 1)) for a, b in pairwise(fronts)]
        items.append(_metal(plate, fronts))
        for i in range(first, last + 1):
            lean = rng.uniform(0.05, 0.35) * (1 if i == first else -1 if i == last else rng.choice([-1, 1]))
            for side in (-1, 1):
                head = np.array([side * 5 * shape.scale, shape.depth[i] / 2 + 1, 0])
                length = rng.uniform(0.6, 0.9) * shape.depth[i]
                tip = moved(head, -side * 1.5, -length, lean * length)
                ends = [shape.world(i, head), shape.world(i, tip)]
                items.append(_metal([(*ends, 1.4 + 0.6 * bloom, (1, 1, 1))], ends))
    return items
