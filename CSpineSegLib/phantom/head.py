"""Skull, brain, mouth and jaw: the neighbourhood above and before the cervical spine."""

from __future__ import annotations

import numpy as np

from .canal import Column
from .field import Field, Structure, blob, box_around, ellipsoid, moved, rod, rotation_about_x
from .shape import Shape
from .tissue import Tissue

_MOUTH = (Tissue.FATTY_MUSCLE, Tissue.FAT, Tissue.TONGUE)
_NOSE = (Tissue.AIRWAY, Tissue.MUCOSA, Tissue.FAT)


def skull(shape: Shape, x: float, canal: float, top: float, rng: np.random.Generator) -> Structure:
    """The cranium around (x, canal, top), the middle of the foramen magnum: bone, fluid, brain and cerebellum."""
    scale = max(shape.scale, 0.85)
    folia, lumps = Field(rng, (16, 11, 11), 4), Field(rng, (45, 40, 40), 4)
    centre = np.array([x, canal - rng.uniform(2, 14), top + 62 * scale])
    radii = np.array([70, 84, 66]) * scale
    thickness = rng.uniform(3.5, 7)
    fossa = np.array([x, canal - rng.uniform(21, 27) * scale, top + rng.uniform(23, 29) * scale])
    size = np.array([48, 30, 27]) * scale * rng.normal(1, 0.04, 3)
    hilum = moved(fossa, y=0.62 * size[1], z=-0.1 * size[2])
    leaves, sharp = rng.uniform(9, 15), rng.uniform(0.8, 0.95)
    rough = rng.uniform(0.5, 2.5)
    sulci = rng.uniform(1.2, 1.8)

    def cerebellum(points):
        behind, above = hilum[1] - points[:, 1], points[:, 2] - hilum[2]
        reach = np.sqrt(np.square(behind) + np.square(above)) / size[1]
        fan = np.sin(leaves * np.arctan2(above, behind) + 1.3 * folia(points))
        tissue = np.full(len(points), Tissue.CEREBELLUM, np.uint8)
        tissue[(fan > sharp) & (reach > 0.55)] = Tissue.CSF
        tissue[(reach < 0.5) | ((fan < -sharp) & (reach < 1.2))] = Tissue.BRAIN
        return tissue

    def paint(points):
        lump = lumps(points)
        depth = ellipsoid(points, centre, radii) + rough * lump
        inside = depth < 0
        points, depth, lump = points.T[:, inside].T, depth[inside], lump[inside]
        wall = thickness * (1 + 0.3 * lump)
        tissue = np.where(depth > -wall, Tissue.BONE, Tissue.CSF)
        tissue[(depth > -1.2) | (np.abs(depth + wall) < 0.8)] = Tissue.CORTEX
        within = depth < -wall - 2 - lump
        tissue[within] = Tissue.BRAIN
        cavity = ellipsoid(points, fossa, size)
        tissue[(cavity < 0.5) & (depth < -wall)] = Tissue.CSF
        inner = np.flatnonzero((cavity < -2.0) & (depth < -wall - 1))
        tissue[inner] = cerebellum(points.T[:, inner].T)
        upper = np.flatnonzero(within & (cavity > 1.5))
        tissue[upper[folia(points.T[:, upper].T) > sulci]] = Tissue.CSF
        tissue[within & (np.abs(cavity - 1.5) < 0.7)] = Tissue.LIGAMENT
        opening = (np.abs(points[:, 0] - x) < 11) & (np.abs(points[:, 1] - canal) < shape.canal * 0.5 + 1)
        tissue[opening & (points[:, 2] < top + 14)] = Tissue.CSF
        return inside, tissue, 0

    return Structure(box_around([centre], float(radii.max())), paint)


def head(shape: Shape, column: Column, rng: np.random.Generator) -> list[Structure]:
    """Skull with brain, cerebellum and brainstem; clivus; palate, tongue, jaw and the air above it."""
    scale, top = shape.scale, column.foramen_magnum
    x = float(column.lookup("x", top))
    canal = float(column.lookup("back", top)) - shape.canal / 2
    lean = np.array([0, rng.uniform(0.1, 0.4), 1])
    stem = np.array([x, canal, top - 6])
    clivus = np.array([x, float(column.dens_tip[1]) + rng.uniform(2, 6), top + rng.uniform(2, 6)])
    palate = np.array([x, clivus[1] + 30 * scale, clivus[2] + rng.uniform(-6, 6)])
    mouth = float(column.lookup("front", shape.centre[0, 2])) + rng.uniform(42, 56)
    tongue = np.array([x, mouth, shape.centre[0, 2] + 2])
    jaw = np.array([x, tongue[1] + rng.uniform(26, 38), shape.centre[0, 2] - rng.uniform(6, 16)])
    items = [
        skull(shape, x, canal, top, rng),
        rod(stem, stem + 24 * lean, 6.5 * scale, Tissue.CORD, squash=(1.2, 1, 1)),
        rod(stem + 22 * lean, stem + 40 * lean, 11 * scale, Tissue.BRAIN, squash=(1.2, 1, 1)),
        blob(stem + 27 * lean - [0, 11 * scale, 0], np.array([6, 3.5, 9]) * scale, Tissue.CSF),
        rod(clivus, moved(clivus, y=20 * scale, z=32 * scale), 5.5 * scale, Tissue.BONE, Tissue.CORTEX, (1.8, 1, 1)),
        blob(moved(clivus, y=24 * scale, z=8), np.array([14, 18, 13]) * scale, Tissue.AIRWAY, None, Tissue.MUCOSA, 2.0),
        rod(palate, moved(palate, y=44, z=2), 3.0, Tissue.CORTEX, squash=(5, 1, 1)),
        rod(moved(palate, y=-2, z=-2), moved(palate, y=-20, z=-20), 3.5, Tissue.MUCOSA, squash=(2.5, 1, 1)),
        blob(tongue, np.array([24, 28, 22]) * scale * rng.uniform(0.9, 1.1), Tissue.TONGUE, rotation_about_x(0.3)),
        blob(jaw, np.array([9, 6, 10]) * scale, Tissue.BONE, None, Tissue.CORTEX, 1.6),
    ]
    for side in (-1, 1):
        petrous = np.array([x + side * 32 * scale, canal + 9 * scale, top + 12 * scale])
        items.append(blob(petrous, np.array([17, 14, 11]) * scale, Tissue.BONE, None, Tissue.CORTEX, 4.0))
        mastoid = petrous + np.array([side * 16, -10, -12]) * scale
        cells = (Tissue.AIRWAY, Tissue.CORTEX, Tissue.BONE)[rng.integers(3)]
        items.append(blob(mastoid, np.array([9, 10, 17]) * scale, cells, None, Tissue.CORTEX, 2.0))
        angle = np.array([x + side * 44 * scale, tongue[1] - 32, shape.centre[0, 2] + 16])
        items.append(rod(moved(jaw, x=side * 8), angle, 6 * scale, Tissue.BONE, Tissue.CORTEX, (0.8, 0.8, 1.4)))
        items.append(rod(angle, moved(angle, y=4, z=36), 6 * scale, Tissue.BONE, Tissue.CORTEX, (0.8, 1.6, 1)))
        items.append(blob(moved(angle, -side * 5, -6, -10), (8, 9, 13), Tissue.GLAND))
    for _ in range(10):
        centre = tongue + rng.uniform([-20, -20, -14], [20, 20, 18])
        items.append(blob(centre, rng.uniform(1.5, 8, 3), _MOUTH[rng.integers(3)]))
    for _ in range(6):
        centre = palate + rng.uniform([-25, 0, 5], [25, 50, 35])
        items.append(blob(centre, rng.uniform(4, 12, 3), _NOSE[rng.integers(3)]))
    return items
