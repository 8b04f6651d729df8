"""Posterior elements, ribs and the ring of C1: bone that the masks leave out."""

from __future__ import annotations

import numpy as np

from .field import Structure, box_around, capsule, ellipsoid, moved, rotation_about_x
from .shape import COUNT, Shape
from .tissue import Tissue

_T1 = 6


def _bone(depth: np.ndarray, cortex: float, marrow: int) -> np.ndarray:
    return np.where(depth > -cortex, Tissue.CORTEX, marrow)


def _parts(shape: Shape, index: int, rng: np.random.Generator):
    """Distance functions of one vertebra's arch in its own frame, with x folded onto one side."""
    scale, half_depth = shape.scale, shape.depth[index] / 2
    height, width = shape.height[index], shape.half_width[index]
    thoracic = index >= _T1
    pillar_x = (15.5 if thoracic else 18.5) * scale
    pillar = np.array([pillar_x, -half_depth - 6.5 * scale, -0.05 * height])
    tilt = rotation_about_x(0.55 + rng.normal(0, 0.06))
    pillar_radii = np.array([6.5, 5.5, 0.62 * height]) * [scale, scale, 1]
    base = np.array([0, -half_depth - shape.canal - 3.5, -0.3 * height])
    angle = shape.spinous_angle[index]
    tip = base + shape.spinous_length[index] * np.array([0, -np.cos(angle), -np.sin(angle)])
    flat = np.array([0.62, 1, 1])
    transverse = np.array([(34 if thoracic else 27) * scale, -half_depth * (2.2 if thoracic else 0.5), 0])
    pedicle_height = (0.25 if thoracic else 0.05) * height

    def distance(local):
        p = np.abs(local) * [1, 0, 0] + local * [0, 1, 1]
        p = p.astype(np.float32)
        parts = [
            ellipsoid(p, pillar, pillar_radii, tilt),
            capsule(
                p,
                (0.8 * width, -0.75 * half_depth, pedicle_height),
                moved(pillar, -2, 1, 0.1 * height),
                3.2 * scale,
                (1, 1, 1.3),
            ),
            capsule(p, moved(pillar, -2, -2, -1), base, 0.24 * height, (0.8, 0.8, 1.6)),
            capsule(p, base, tip, shape.spinous_height[index] / 2, flat),
            capsule(p, moved(pillar, -1, 4), transverse, 3.0 * scale),
        ]
        if thoracic:
            head = (width + 1, -0.9 * half_depth, 0.42 * height)
            parts.append(capsule(p, head, (40 * scale, -half_depth - 14, 0.1 * height), 4.2 * scale))
        return np.minimum.reduce(parts)

    reach = [transverse, tip, moved(pillar, x=8 * scale), [42 * scale if thoracic else 0, 0, 0]]
    return distance, np.array(reach)


def arch(shape: Shape, index: int, rng: np.random.Generator) -> Structure:
    """Pedicles, articular pillars, laminae, spinous and transverse processes, and ribs of the thoracic vertebrae."""
    distance, reach = _parts(shape, index, rng)
    cortex = rng.uniform(0.7, 1.4)
    marrow = Tissue.FATTY_MUSCLE if rng.random() < 0.12 else Tissue.BONE

    def paint(points):
        depth = distance(shape.local(index, points))
        inside = depth < 0
        return inside, _bone(depth[inside], cortex, marrow), 0

    corners = shape.world(index, np.concatenate([reach, reach * [-1, 1, 1]]))
    return Structure(box_around(corners, 0.75 * shape.height[index]), paint)


def facet(shape: Shape, index: int, rng: np.random.Generator) -> Structure:
    """The joint between two articular pillars: a thin oblique line of fluid or cartilage on both sides."""
    scale, half_depth = shape.scale, shape.depth[index] / 2
    x = (15.5 if index >= _T1 else 18.5) * scale
    centre = np.array([x, -half_depth - 6.5 * scale, -0.55 * shape.height[index]])
    tilt = rotation_about_x(-0.75)
    tissue = [Tissue.CSF, Tissue.CARTILAGE, Tissue.CORTEX][rng.integers(3)]

    def paint(points):
        local = shape.local(index, points)
        local[:, 0] = np.abs(local[:, 0])
        return ellipsoid(local, centre, (6 * scale, 5.5 * scale, 0.8), tilt) < 0, tissue, 0

    corners = shape.world(index, np.array([centre, centre * [-1, 1, 1]]))
    return Structure(box_around(corners, 8), paint)


def foramen(shape: Shape, index: int, rng: np.random.Generator) -> Structure:
    """The neural foramen below a vertebra: fat around a nerve root on both sides."""
    half_depth = shape.depth[index] / 2
    centre = np.array([14.5 * shape.scale, -half_depth - 2, -0.55 * shape.height[index]])
    fat = [Tissue.FAT, Tissue.EPIDURAL][rng.integers(2)]

    def paint(points):
        local = shape.local(index, points)
        local[:, 0] = np.abs(local[:, 0])
        inside = ellipsoid(local, centre, (6, 3.6, 5.0)) < 0
        nerve = ellipsoid(local[inside], centre, (8, 1.9, 2.2)) < 0
        return inside, np.where(nerve, Tissue.NERVE, fat), 0

    corners = shape.world(index, np.array([centre, centre * [-1, 1, 1]]))
    return Structure(box_around(corners, 9), paint)


def atlas_ring(shape: Shape, rng: np.random.Generator) -> Structure:
    """C1: anterior arch before the dens, posterior arch behind the canal, lateral masses beside."""
    scale = shape.scale
    level = shape.height[0] / 2 + rng.uniform(7, 10) * scale
    front = np.array([0, -shape.depth[0] * 0.08 + 9.2 * scale, level])
    back = np.array([0, -shape.depth[0] / 2 - shape.canal - 5 * scale, level - 2 * scale])
    mass = np.array([16 * scale, -3 * scale, level - 2 * scale])
    side = np.array([15 * scale, back[1] * 0.55, level])
    marrow = [Tissue.BONE, Tissue.FAT][int(rng.random() < 0.3)]

    def paint(points):
        local = shape.local(0, points)
        local[:, 0] = np.abs(local[:, 0])
        depth = np.minimum.reduce(
            [
                ellipsoid(local, front, np.array([9, 3.2, 5.2]) * scale),
                capsule(local, moved(front, 6 * scale, -1.5 * scale), mass, 3.2 * scale),
                ellipsoid(local, mass, np.array([6, 8, 7.5]) * scale),
                capsule(local, mass, side, 3 * scale),
                capsule(local, side, back, 3.3 * scale, (1, 1.2, 1)),
            ]
        )
        inside = depth < 0
        return inside, _bone(depth[inside], 0.9, marrow), 0

    corners = shape.world(0, np.array([front, back, mass, mass * [-1, 1, 1]]))
    return Structure(box_around(corners, 10 * scale), paint)


def structures(shape: Shape, rng: np.random.Generator) -> list[Structure]:
    """All posterior bone from foot to head, then foramina and facets, in painting order."""
    arches = [arch(shape, index, rng) for index in reversed(range(COUNT))]
    joints = [facet(shape, index, rng) for index in range(COUNT - 1)]
    exits = [foramen(shape, index, rng) for index in range(COUNT - 1)]
    return [*arches, *exits, *joints, atlas_ring(shape, rng)]
