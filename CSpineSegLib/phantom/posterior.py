"""The bone behind the canal, and the ring of C1 with the joints it rests on."""

from __future__ import annotations

import numpy as np

from .field import Structure, box_around, capsule, ellipsoid, moved, rotation_about_x
from .lateral import bone
from .shape import COUNT, Shape
from .tissue import Tissue


def spinous(shape: Shape, index: int, rng: np.random.Generator) -> list[Structure]:
    """The spinous process, thicker towards its tip and split there in C2 to C6; none after a laminectomy."""
    if shape.laminectomy[index]:
        return []
    scale = shape.scale
    base = np.array([0, -shape.depth[index] / 2 - shape.canal - 3.0, -0.3 * shape.height[index]])
    angle, length = shape.spinous_angle[index], shape.spinous_length[index]
    along = np.array([0, -np.cos(angle), -np.sin(angle)])
    bend = rng.uniform(-0.25, 0.1)
    middle = base + 0.55 * length * along + [rng.normal(0, 0.8), 0, 0]
    beyond = np.array([0, -np.cos(angle + bend), -np.sin(angle + bend)])
    tip = middle + 0.45 * length * beyond + [rng.normal(0, 1), 0, 0]
    radius = shape.spinous_height[index] / 2
    rods = [
        (base, middle, radius * rng.uniform(0.75, 1), (0.6, 1, 1)),
        (middle, tip, radius * rng.uniform(0.6, 0.95), (0.62, 1, 1)),
    ]
    if 0 < index < 5 or index == 0:
        spread = rng.uniform(2, 5) * scale
        rods[1:] = [
            (middle, moved(tip, s * spread, 0, -1), radius * rng.uniform(0.6, 0.85), (0.8, 1, 1)) for s in (-1, 1)
        ]
    else:
        rods.append((moved(tip, y=2, z=1), moved(tip, y=-1, z=-1), radius * rng.uniform(0.85, 1.15), (0.9, 1, 1)))
    cortex = rng.uniform(0.7, 1.4)
    marrow = Tissue.FATTY_MUSCLE if rng.random() < 0.12 else Tissue.BONE

    def paint(points):
        local = shape.local(index, points)
        depth = np.minimum.reduce([capsule(local, *rod) for rod in rods])
        inside = depth < 0
        return inside, bone(depth[inside], cortex, marrow), 0

    return [Structure(box_around(shape.world(index, np.array([base, middle, tip])), radius * 1.2 + 5 * scale), paint)]


def axis_masses(shape: Shape, rng: np.random.Generator) -> list[Structure]:
    """The shoulders of C2 beside its dens, which carry C1; the masks' body ends before them."""
    scale = shape.scale
    top = shape.height[0] / 2
    items = []
    for sign in (-1, 1):
        centre = np.array([sign * 14.0 * scale, -0.25 * shape.depth[0], top - 5 * scale])
        radii = np.array([7.5, 7.5, 6.5]) * scale * rng.normal(1, 0.05, 3)
        cortex = rng.uniform(0.7, 1.3)

        def paint(points, centre=centre, radii=radii, cortex=cortex):
            depth = ellipsoid(shape.local(0, points), centre, radii)
            inside = depth < 0
            return inside, bone(depth[inside], cortex, Tissue.BONE), 0

        items.append(Structure(box_around([shape.world(0, centre)], float(radii.max())), paint))
    return items


def atlas_ring(shape: Shape, rng: np.random.Generator) -> list[Structure]:
    """C1: anterior arch before the dens and lateral masses (spared in scoring), posterior arch behind the canal."""
    scale = shape.scale
    level = shape.height[0] / 2 + rng.uniform(7, 10) * scale
    gap = rng.uniform(0.6, 2.2) * scale
    arch = np.array([rng.uniform(7, 10), rng.uniform(2.6, 3.8), rng.uniform(4.2, 6.2)]) * scale
    front = np.array([0, -shape.depth[0] * 0.08 + 5.2 * scale + gap + arch[1] * 0.8, level])
    back = np.array([0, -shape.depth[0] / 2 - shape.canal - 5 * scale, level - 2 * scale])
    mass = np.array([16 * scale, -3 * scale, level - 2 * scale])
    side = np.array([15 * scale, back[1] * 0.55, level])
    marrow = [Tissue.BONE, Tissue.FAT][int(rng.random() < 0.2)]
    turn = rotation_about_x(rng.normal(0, 0.15))
    cortex = rng.uniform(0.7, 1.2)

    def folded(points):
        local = shape.local(0, points)
        local[:, 0] = np.abs(local[:, 0])
        return local

    def before(points):
        local = folded(points)
        depth = np.minimum.reduce(
            [
                ellipsoid(local, front, arch, turn),
                capsule(local, moved(front, 6 * scale, -1.5 * scale), mass, 3.2 * scale),
                ellipsoid(local, mass, np.array([6, 8, 7.5]) * scale),
            ]
        )
        inside = depth < 0
        return inside, bone(depth[inside], cortex, Tissue.ATLAS, Tissue.ATLAS_CORTEX), 0

    def behind(points):
        local = folded(points)
        depth = capsule(local, mass, side, 3 * scale)
        depth = np.minimum(depth, capsule(local, side, back, 3.4 * scale, (1, 1.1, 1.15)))
        inside = depth < 0
        return inside, bone(depth[inside], cortex, marrow), 0

    reach = [front, mass, mass * [-1, 1, 1]]
    rear = [back, side, side * [-1, 1, 1], mass, mass * [-1, 1, 1]]
    return [
        Structure(box_around(shape.world(0, np.array(rear)), 5 * scale), behind),
        Structure(box_around(shape.world(0, np.array(reach)), 9 * scale), before),
    ]


def structures(shape: Shape, rng: np.random.Generator) -> list[Structure]:
    """Spinous processes from foot to head, then C2's shoulders and C1, in painting order."""
    items = [part for index in reversed(range(COUNT)) for part in spinous(shape, index, rng)]
    return [*items, *axis_masses(shape, rng), *atlas_ring(shape, rng)]
