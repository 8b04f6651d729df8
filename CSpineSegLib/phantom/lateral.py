"""What lies beside the bodies: pedicles, articular pillars, foramina, transverse processes, ribs, and the fat between.

Lateral slices decide whether a network stops at the edge of a body or runs on into a pillar, so the pillars are the
oblique rhomboids that they are, stacked with a joint between them.
"""

from __future__ import annotations

import numpy as np

from .canal import Column
from .field import Field, Structure, box_around, capsule, moved, smoothstep
from .shape import COUNT, Shape
from .tissue import Tissue

T1 = 6


def bone(depth: np.ndarray, cortex: float, marrow: int, shell: int = Tissue.CORTEX) -> np.ndarray:
    """Tissue (N,) of points at signed depths (N,) mm within a bone: a shell of cortex around marrow."""
    return np.where(depth > -cortex, shell, marrow)


def pillar_place(shape: Shape, index: int) -> tuple[float, float]:
    """Where the articular pillar of a vertebra stands: x and a (before its centre) in mm, in the vertebra's frame."""
    half_depth = shape.depth[index] / 2
    blend = float(np.clip((index - 4) / 3, 0, 1))
    x = (17.0 - 5.0 * blend) * shape.scale
    return x, -half_depth - (6.5 + 4.5 * blend) * shape.scale


def _gap(shape: Shape, index: int) -> tuple[float, float]:
    """Distances, mm, from a vertebra's centre up and down to the middle of its facet joints."""
    half = shape.height[index] / 2
    up = half + (shape.disc_height[index - 1] / 2 if index else -0.1 * half)
    down = half + (shape.disc_height[index] / 2 if index < COUNT - 1 else 2)
    return up, down


def _pillar(shape: Shape, index: int, rng: np.random.Generator):
    """Signed distance to one articular pillar, x being positive on its side."""
    x0, a0 = pillar_place(shape, index)
    thoracic = index >= T1
    slope = np.tan(rng.normal(1.12 if thoracic else 0.78, 0.08))
    up, down = _gap(shape, index)
    radii = np.array([5.4, 4.2 if thoracic else 5.4]) * shape.scale * rng.normal(1, 0.07)
    bulky = rng.uniform(0, 2.2) * (rng.random() < shape.facet_wear)
    joint = rng.uniform(0.4, 1.1)
    middle, half = (up - down) / 2 - 0.05 * shape.height[index], (up + down) / 2 - joint
    notch = rng.uniform(0.1, 0.35)

    def distance(p):
        u = (p[:, 2] - middle - slope * (p[:, 1] - a0)) / half
        flare = 1 - notch + notch * np.minimum(np.square(u), 1) + bulky / 5.0 * np.exp(-np.square((1 - np.abs(u)) * 3))
        q = np.square(np.square((p[:, 1] - a0) / (radii[1] * flare)))
        q += np.square(np.square((p[:, 0] - x0) / (radii[0] + bulky)))
        q += np.square(np.square(u)) * np.square(u)
        return (np.sqrt(np.sqrt(q)) - 1) * radii[1]

    return distance


def side(shape: Shape, index: int, sign: int, rng: np.random.Generator) -> Structure:
    """Pedicle, articular pillar, lamina, transverse process and rib of one side of a vertebra; sign -1 is left."""
    scale, half_depth = shape.scale, shape.depth[index] / 2
    height, width = shape.height[index], shape.half_width[index]
    thoracic = index >= T1
    x0, a0 = pillar_place(shape, index)
    pillar = _pillar(shape, index, rng)
    lift = (0.2 if thoracic else 0.08) * height + rng.normal(0, 0.4)
    pedicle = rng.uniform(2.2, 3.2) * scale
    tall = (0.28 if thoracic else 0.24) * height / pedicle
    start = (0.74 * width, -0.72 * half_depth, lift)
    stop = (x0 - 1, a0 + 3 * scale, lift)
    base = np.array([0, -half_depth - shape.canal - 3.5, -0.3 * height])
    rods = [(start, stop, pedicle, (1, 1, tall))]
    if not shape.laminectomy[index]:
        rods.append(((x0 - 2, a0 - 3 * scale, -1), base, 0.2 * height, (0.8, 0.8, rng.uniform(1.5, 2.1))))
    tip = np.array([(24 if index < 5 else 31) * scale, -0.5 * half_depth, -rng.uniform(0, 4)])
    if thoracic:
        tip = np.array([(33 - 0.8 * (index - T1)) * scale, -half_depth - 17 * scale, rng.uniform(0, 4)])
        rods.append(((x0, a0 - 3, 0.05 * height), tip, rng.uniform(3.6, 5) * scale, (1, 0.9, 1.15)))
        head = np.array([width + 1.5, -0.85 * half_depth, 0.45 * height])
        neck = np.array([30 * scale, -half_depth - 9 * scale, 0.2 * height])
        rods += [(head, neck, rng.uniform(3.4, 4.4) * scale, (1, 0.8, 1.2))]
        rods += [(neck, (46 * scale, -half_depth - 12 * scale, -0.3 * height), 4.2 * scale, (1, 0.8, 1.4))]
        tip = np.array([48 * scale, -half_depth - 12 * scale, -0.4 * height])
    else:
        rods.append(((x0, a0 + 3, 0), tip, rng.uniform(1.8, 2.8) * scale, (1, 1, 1.1)))
        front = (0.9 * width, -0.1 * half_depth, -0.05 * height)
        rods.append((front, moved(tip, y=3), rng.uniform(1.4, 2.3) * scale, (1, 1, 1.2)))
    cortex = rng.uniform(0.7, 1.5)
    marrow = Tissue.FATTY_MUSCLE if rng.random() < 0.12 else Tissue.BONE
    facet = rng.random() < 0.5 * shape.facet_wear

    def paint(points):
        local = shape.local(index, points)
        if sign < 0:
            local = np.asfortranarray(local * np.array([-1, 1, 1], np.float32))
        depth = pillar(local)
        for rod_ in rods:
            np.minimum(depth, capsule(local, *rod_), out=depth)
        inside = depth < 0
        thick = cortex * 1.8 if facet else cortex
        return inside, bone(depth[inside], thick, marrow), 0

    up, down = _gap(shape, index)
    reach = [start, tip, base, (x0 + 8 * scale, a0 + 9 * scale, up + 7), (x0 - 6 * scale, a0 - 9 * scale, -down - 7)]
    return Structure(box_around(shape.world(index, np.array(reach) * [sign, 1, 1]), 3.5), paint)


def joints(shape: Shape, index: int, sign: int, rng: np.random.Generator) -> Structure:
    """The facet joint below a vertebra on one side: fluid, cartilage or bare bone, seen in the gap between pillars."""
    x0, a0 = pillar_place(shape, index)
    _, down = _gap(shape, index)
    slope = np.tan(1.12 if index >= T1 else 0.78)
    tissue = (Tissue.CARTILAGE, Tissue.CORTEX, Tissue.CSF, Tissue.LIGAMENT)[rng.choice(4, p=(0.4, 0.25, 0.15, 0.2))]
    reach = rng.uniform(4.5, 6.5, 2) * shape.scale

    def paint(points):
        local = shape.local(index, points)
        a = local[:, 1] - a0
        inside = np.abs(local[:, 2] + down - slope * a) < 2.2 * np.sqrt(1 + slope * slope)
        inside &= np.square(a / reach[0]) + np.square((sign * local[:, 0] - x0) / reach[1]) < 1
        return inside, tissue, 0

    centre = shape.world(index, [sign * x0, a0, -down])
    return Structure(box_around([centre], 11 * shape.scale), paint)


def packing(shape: Shape, column: Column, rng: np.random.Generator) -> Structure:
    """Fat, veins and connective tissue that fill the foramina and the space around transverse processes and ribs."""
    c7, t2 = float(shape.centre[5, 2]), float(shape.centre[7, 2])
    thoracic = rng.uniform(10, 20)
    cervical = rng.uniform(6, 11) * shape.scale
    texture, lump = Field(rng, (9, 8, 12), 8), Field(rng, (18, 16, 22), 5)
    fill = (Tissue.FAT, Tissue.EPIDURAL)[rng.integers(2)]
    limit = rng.uniform(0.6, 1.6)
    edge = rng.uniform(2, 5)

    def paint(points):
        at = column.index(points[:, 2])
        low = smoothstep(-points[:, 2], -c7, -t2)
        x = np.abs(points[:, 0] - column.at("x", at))
        back, cosine = column.at("back", at), column.at("cosine", at)
        behind = (back - points[:, 1]) * cosine
        depth = (column.at("front", at) - back) * cosine
        wide = column.at("width", at)
        wave = lump(points)
        outer = wide + cervical + (thoracic - cervical) * low + 1.5 * wave
        inside = (x < outer) & (behind > -depth + edge + 1.5 * wave) & (behind < 5 + 13 * low + 1.5 * wave)
        inside &= (x > 0.85 * wide) | (behind > 0)
        grain = texture(points[inside])
        tissue = np.where(grain > limit, Tissue.VESSEL, fill)
        tissue[grain < -limit - 0.1] = Tissue.FATTY_MUSCLE
        return inside, tissue, 0

    return Structure(column.corridor(0, 22, 36, high=column.dens_tip[2]), paint)


def nerve(shape: Shape, index: int, sign: int, rng: np.random.Generator) -> Structure:
    """The root that leaves below a vertebra, with its ganglion, running forwards, outwards and down."""
    half_depth = shape.depth[index] / 2
    _, down = _gap(shape, index)
    scale = shape.scale
    start = np.array([8 * scale, -half_depth - 3, -down + rng.uniform(0, 2)])
    knot = np.array([14 * scale, -half_depth - 1, -down - rng.uniform(0, 1.5)])
    stop = np.array([25 * scale, -0.2 * half_depth, -down - rng.uniform(4, 9)])
    thin, thick = rng.uniform(1.1, 1.7) * scale, rng.uniform(2.0, 3.0) * scale
    tissue = (Tissue.NERVE, Tissue.FATTY_MUSCLE)[int(rng.random() < 0.3)]
    vein = rng.random() < 0.4
    flow = (Tissue.FLOW_VOID, Tissue.VESSEL)[rng.integers(2)]
    beside = knot + rng.uniform([-2, 1, 2], [2, 4, 4]) * scale

    def paint(points):
        local = shape.local(index, points)
        if sign < 0:
            local = np.asfortranarray(local * np.array([-1, 1, 1], np.float32))
        depth = np.minimum(capsule(local, start, knot, thin), capsule(local, knot, stop, thin * 1.1))
        depth = np.minimum(depth, capsule(local, moved(knot, -2), moved(knot, 2.5, 0.8, -0.6), thick))
        inside = depth < 0
        kind = np.full(len(depth), tissue, np.uint8)
        if vein:
            near = (capsule(local, moved(beside, -4), moved(beside, 4), 1.5 * scale) < 0) & ~inside
            kind[near] = flow
            inside |= near
        return inside, kind[inside], 0

    return Structure(box_around(shape.world(index, np.array([start, knot, stop, beside]) * [sign, 1, 1]), 4), paint)


def structures(shape: Shape, column: Column, rng: np.random.Generator) -> list[Structure]:
    """Packing first, then nerves, joints and bone from foot to head, in painting order."""
    levels = [(index, sign) for index in range(COUNT - 1) for sign in (-1, 1)]
    exits = [nerve(shape, index, sign, rng) for index, sign in levels]
    gaps = [joints(shape, index, sign, rng) for index, sign in levels]
    sides = [side(shape, index, sign, rng) for index in reversed(range(COUNT)) for sign in (-1, 1)]
    return [packing(shape, column, rng), *gaps, *exits, *sides]
