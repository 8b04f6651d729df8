"""The front of the neck and the inlet of the chest: enough for a network to learn what a spine is not."""

from __future__ import annotations

import numpy as np

from .canal import Column
from .field import Field, Structure, blob, rod, rotation_about_x
from .outline import Outline
from .shape import Shape
from .tissue import Tissue

_CLUTTER = (
    Tissue.GLAND,
    Tissue.MUSCLE,
    Tissue.FAT,
    Tissue.FATTY_MUSCLE,
    Tissue.FLOW_VOID,
    Tissue.MUCOSA,
    Tissue.LIGAMENT,
    Tissue.CARTILAGE,
    Tissue.VESSEL,
)


def throat(shape: Shape, column: Column, outline: Outline, rng: np.random.Generator) -> list[Structure]:
    """Pharynx, larynx, trachea, oesophagus, great vessels, thyroid, lung apices and smaller unnamed pieces."""
    items = []
    c2, c3, c6, t1 = (float(shape.centre[i, 2]) for i in (0, 1, 4, 6))
    for _ in range(int(rng.integers(25, 50))):
        z = rng.uniform(t1 - 110, c2 + 10)
        y = float(column.lookup("front", z)) + rng.uniform(9, 45)
        x = float(column.lookup("x", z)) + rng.uniform(-32, 32)
        items.append(
            blob(
                (x, y, z),
                rng.uniform(2, 9, 3),
                _CLUTTER[rng.integers(len(_CLUTTER))],
                rotation_about_x(rng.uniform(-1, 1)),
            )
        )
    upper, lower = rng.uniform(2.5, 5), rng.uniform(8, 15)
    air = rng.uniform(2.5, 9)
    trachea = rng.uniform(7, 10) * shape.scale
    wobble = Field(rng, (30, 60, 32), 4)

    def airway(points):
        z = points[:, 2]
        ease = np.clip((c3 - 6 - z) / 14, 0, 1)
        wall = column.lookup("front", z) + upper + (lower - upper) * ease
        low = np.clip((c6 - z) / 15, 0, 1)
        half = np.clip(air * (1 + 0.45 * wobble(points)), 1.2, 14) * (1 - low) / 2 + trachea * 0.9 * low
        wide = 11 * (1 - low) + trachea * low
        x = points[:, 0] - column.lookup("x", z)
        rho = np.sqrt(np.square((points[:, 1] - wall - half - 1.2) / half) + np.square(x / wide))
        inside = rho < 1 + 1.7 / half
        return inside, np.where(rho[inside] < 1, Tissue.AIRWAY, Tissue.MUCOSA), 0

    items.append(Structure(column.corridor(40, 0, 14, high=column.foramen_magnum + 6), airway))
    tube = rng.uniform(2.5, 4.5)

    def oesophagus(points):
        z = points[:, 2]
        y = points[:, 1] - column.lookup("front", z) - lower * 0.55
        rho = np.sqrt(np.square(y / tube) + np.square((points[:, 0] - column.lookup("x", z) - 2) / 7))
        inside = rho < 1
        return inside, np.where(rho[inside] < 0.4, Tissue.MUCOSA, Tissue.OESOPHAGUS), 0

    items.append(Structure(column.corridor(24, 0, 12, high=c6), oesophagus))
    middle = float(column.lookup("front", c3)) + upper + air + 3
    items.append(rod((0, middle + 2, c3 + 4), (0, middle + 5, c3 - 14), 2.0, Tissue.CARTILAGE, squash=(4, 1, 1)))
    items.append(blob((0, middle + 10, c3 - 8), (10, 2.8, 4.5), Tissue.BONE, None, Tissue.CORTEX, 1.0))
    items.append(blob((0, middle + 8, c6 + 4), (12, 3, 9), Tissue.CARTILAGE, rotation_about_x(0.2)))
    for side in (-1, 1):
        y = float(column.lookup("front", c6))
        jugular = (Tissue.FLOW_VOID, Tissue.VESSEL)[rng.integers(2)]
        low, high = t1 - 20, c2 + 20
        items.append(rod((side * 24, y + 16, low), (side * 28, y + 14, high), rng.uniform(3, 4.5), Tissue.FLOW_VOID))
        items.append(rod((side * 31, y + 10, low), (side * 34, y + 4, high), rng.uniform(3.5, 7), jugular))
        items.append(blob((side * 17, y + 16, c6 - 12), (8, 9, 20), Tissue.GLAND))
        back = float(column.lookup("back", t1 - 75))
        apex = np.array([side * rng.uniform(46, 60), back + rng.uniform(10, 30), t1 - rng.uniform(90, 115)])
        items.append(blob(apex, (rng.uniform(32, 40), 48, 80), Tissue.LUNG))
    for i in range(5):
        z = t1 - rng.uniform(30, 110)
        y = float(column.lookup("front", z)) + rng.uniform(18, 60)
        items.append(blob((rng.uniform(-15, 15), y, z), rng.uniform(6, 16, 3), (Tissue.FLOW_VOID, Tissue.FAT)[i % 2]))
    z = t1 - rng.uniform(30, 55)
    y = float(outline.at("anterior", np.array([z]))[0]) - rng.uniform(14, 22)
    items.append(rod((0, y, z), (0, y + 12, z - 50), 6.5, Tissue.BONE, Tissue.CORTEX, (3, 1, 1)))
    return items


def arteries(shape: Shape, column: Column, rng: np.random.Generator) -> list[Structure]:
    """The vertebral arteries beside the bodies of C2 to C6, usually a flow void."""
    kind = Tissue.FLOW_VOID if rng.random() < 0.75 else Tissue.VESSEL
    radius = rng.uniform(1.5, 2.4)
    items = []
    for index in range(0, 5):
        for side in (-1, 1):
            ends = [shape.world(i, [side * 16.5 * shape.scale, -0.1 * shape.depth[i], 0]) for i in (index, index + 1)]
            items.append(rod(ends[0], ends[1], radius, kind))
    return items
