"""The front of the neck and the inlet of the chest: enough for a network to learn what a spine is not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .canal import Column
from .field import Field, Structure, blob, rod, rotation_about_x, strand
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
        items.append(blob((side * 17, y + 16, c6 - 12), (8, 9, 20), Tissue.GLAND))
        back = float(column.lookup("back", t1 - 75))
        apex = np.array([side * rng.uniform(46, 60), back + rng.uniform(10, 30), t1 - rng.uniform(90, 115)])
        items.append(blob(apex, (rng.uniform(32, 40), 48, 80), Tissue.LUNG))
        items += _side(shape, column, outline, side, rng)
    for i in range(5):
        z = t1 - rng.uniform(30, 110)
        y = float(column.lookup("front", z)) + rng.uniform(18, 60)
        items.append(blob((rng.uniform(-15, 15), y, z), rng.uniform(6, 16, 3), (Tissue.FLOW_VOID, Tissue.FAT)[i % 2]))
    z = t1 - rng.uniform(30, 55)
    y = float(outline.at("anterior", np.array([z]))[0]) - rng.uniform(14, 22)
    items.append(rod((0, y, z), (0, y + 12, z - 50), 6.5, Tissue.BONE, Tissue.CORTEX, (3, 1, 1)))
    return items


def _side(shape: Shape, column: Column, outline: Outline, side: int, rng: np.random.Generator) -> list[Structure]:
    """Muscles, carotid and jugular, nodes and glands of one side of the neck, along curves that bend with the neck."""
    low, top = float(shape.centre[6, 2]) - 25, float(column.dens_tip[2]) + 6
    z = np.linspace(low, top, 9)
    rise = np.linspace(0, 1, 9)
    x, front = column.lookup("x", z), column.lookup("front", z)
    skin = outline.at("anterior", z)
    scale = shape.scale

    def wobble(size: float) -> np.ndarray:
        return np.convolve(rng.normal(0, size * 1.7, 11), [0.33, 0.34, 0.33], mode="valid")

    def muscle() -> int:
        return (Tissue.MUSCLE, Tissue.TONGUE, Tissue.FATTY_MUSCLE)[rng.choice(3, p=(0.6, 0.25, 0.15))]

    sheath = (Tissue.FAT, Tissue.EPIDURAL, Tissue.LIGAMENT)[rng.integers(3)]
    # Sternocleidomastoid, from the breastbone up and back to the mastoid; scalenes and levator beside the spine.
    wide = x + side * (12 + 30 * rise * scale + wobble(1.0))
    forward = (skin - 9) * (1 - rise) + (front - 3) * rise + wobble(1.5)
    items = [
        strand(z, wide, forward, rng.uniform(6, 10), rng.uniform(9, 15) * (0.6 + rise * (1 - rise)), muscle(), sheath)
    ]
    for offset, depth in ((24, -2), (27, -13), (36, -22)):
        away = x + side * (offset * scale + 12 * np.square(1 - rise) + wobble(1.0))
        width, thickness = rng.uniform(4, 8), rng.uniform(4, 8) * (0.5 + 1.5 * rise * (1 - rise))
        items.append(strand(z, away, front + depth + 6 * (1 - rise) + wobble(1.5), width, thickness, muscle(), sheath))
    carotid = x + side * ((19 + 5 * rise) * scale + wobble(1.2)), front + 12 - 4 * rise + wobble(1.5)
    items.append(strand(z, *carotid, *[rng.uniform(2.5, 4.0) * (1.1 - 0.4 * rise)] * 2, Tissue.FLOW_VOID))
    jugular = (Tissue.FLOW_VOID, Tissue.VESSEL, Tissue.MUCOSA)[rng.integers(3)]
    size = np.clip(rng.uniform(2.5, 6.5) + wobble(0.8), 1.5, 9)
    items.append(strand(z, carotid[0] + side * 8, carotid[1] - 2 + wobble(1), size, 0.8 * size, jugular))
    for _ in range(int(rng.integers(2, 8))):
        at = rng.integers(2, 9)
        place = np.array([carotid[0][at], carotid[1][at], z[at]]) + rng.normal(0, [5, 7, 6])
        kind = (Tissue.GLAND, Tissue.MUCOSA, Tissue.PREVERTEBRAL)[rng.integers(3)]
        items.append(blob(place, rng.uniform([2, 2, 3], [4, 5, 9]), kind, None, sheath, 0.6))
    c2 = float(shape.centre[0, 2])
    mouth = float(column.lookup("front", c2))
    items.append(blob((side * 24 * scale, mouth + 26, c2 - 14), rng.uniform([7, 11, 8], [10, 16, 12]), Tissue.GLAND))
    items.append(blob((side * 46 * scale, mouth + 6, c2 + 18), rng.uniform([8, 10, 16], [12, 15, 24]), Tissue.GLAND))
    return items


def arteries(shape: Shape, column: Column, rng: np.random.Generator) -> list[Structure]:
    """The vertebral arteries beside the bodies of C2 to C6, usually a flow void, often one larger than the other."""
    items = []
    for side in (-1, 1):
        kind = Tissue.FLOW_VOID if rng.random() < 0.75 else Tissue.VESSEL
        radius = rng.uniform(1.2, 2.6) * max(shape.scale, 0.8)
        places = []
        for index in range(6):
            for height in (0.0, -0.75):
                x = side * (15.6 + rng.normal(0, 0.6)) * shape.scale
                places.append(
                    shape.world(
                        index, [x, (-0.15 + rng.normal(0, 0.05)) * shape.depth[index], height * shape.height[index]]
                    )
                )
        places.append(shape.world(6, [side * 20 * shape.scale, 0.9 * shape.depth[6], 0]))
        items += [rod(a, b, radius, kind) for a, b in pairwise(places)]
    return items
