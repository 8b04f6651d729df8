"""Vertebral bodies and discs as implicit solids, each in the frame of its own vertebra."""

from __future__ import annotations

import numpy as np

from ..anatomy import level_value
from . import block
from .field import Structure, box_around, ellipsoid, smoothstep
from .shape import COUNT, VERTEBRAE, Shape
from .tissue import Tissue


def _outline(shape: Shape, index: int, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cross-section of a body: (rho (N,), half depth (N,) mm); rho < 1 inside. Flat at the back, round in front."""
    half_height = shape.height[index] / 2
    x = np.abs(local[:, 0]) / shape.half_width[index]
    rise = np.clip(local[:, 2] / half_height, -1.3, 1.3)
    near_top = np.exp(-np.square((1 - rise) * half_height / 2.2))
    near_bottom = np.exp(-np.square((1 + rise) * half_height / 2.2))
    spur = shape.osteophyte[index]
    front = local[:, 1] > 0
    growth = np.where(front, spur[0], spur[1] * 0.5) * near_top + np.where(front, spur[2], spur[3] * 0.5) * near_bottom
    waist = shape.waist[index] * np.where(front, 1.0, 0.6) * (1 - np.minimum(np.square(rise), 1))
    half_depth = shape.depth[index] / 2 * (1 - waist - 0.035 * rise) + growth
    a = np.abs(local[:, 1]) / half_depth
    x = x / (1 - 0.5 * waist)
    exponent = np.where(front, 2.5, 4.0).astype(np.float32)
    return np.power(np.power(x, exponent) + np.power(a, exponent), 1 / exponent), half_depth


def _rough(shape: Shape, index: int, side: int, local: np.ndarray) -> np.ndarray:
    """Depth (N,) in mm by which an endplate is dented and uneven; side 0 is the upper one."""
    amplitude, first, second = shape.ripple[index, side].astype(np.float32)
    dent = amplitude * np.sin(local[:, 1] * np.float32(0.75) + first) * np.sin(local[:, 0] * np.float32(0.6) + second)
    depth, x, a, radius = shape.pit[index, side].astype(np.float32)
    if depth > 0:
        far = np.square(local[:, 0] - x) + np.square(local[:, 1] - a)
        dent += depth * np.exp(-far / np.square(radius))
    return dent


def _endplates(shape: Shape, index: int, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heights (N,) in mm of the upper and lower bony surface of a body, in its own frame."""
    half_height = shape.height[index] / 2
    half_depth = shape.depth[index] / 2
    a = local[:, 1] / half_depth
    x = np.abs(local[:, 0]) / shape.half_width[index]
    square_x = np.minimum(np.square(x), 1)
    dish = 1 - np.minimum(np.square(a) + square_x, 1)
    wedge = shape.wedge[index] * local[:, 1]
    upper = half_height - shape.concavity[index, 0] * dish - wedge - _rough(shape, index, 0, local)
    upper = upper + shape.uncus[index] * smoothstep(x, 0.55, 0.95) * (1 - smoothstep(a, 0.2, 0.8))
    lower = -half_height + shape.concavity[index, 1] * dish * (1 - square_x) + wedge + _rough(shape, index, 1, local)
    if index + 1 < COUNT and shape.uncus[index + 1] > 0:
        lower = lower + 0.6 * shape.uncus[index + 1] * smoothstep(x, 0.6, 1.0)
    return upper, lower - shape.lip[index] * np.square(np.clip(a, 0, 1.2))


def _marrow(shape: Shape, index: int, rng: np.random.Generator):
    """A function of local points and their distances to both endplates that gives the tissue (N,) of marrow.

    Normal marrow with the basivertebral vein, now and then a haemangioma, Modic-like bands or a patch of fat.
    """
    half_height, half_depth = shape.height[index] / 2, shape.depth[index] / 2
    vein = rng.random() < 0.75
    slit = (rng.uniform(3, 5), rng.uniform(0.35, 0.7) * half_depth, rng.uniform(0.5, 1.1))
    spot = np.array([rng.uniform(-4, 4), rng.uniform(-0.4, 0.4) * half_depth, rng.uniform(-0.4, 0.4) * half_height])
    patch = rng.random() < 0.05
    patch_at = rng.uniform(-1, 1, 3) * [5, 0.6 * half_depth, 0.9 * half_height]
    patch_size = (rng.uniform(4, 9), rng.uniform(3, 6), rng.uniform(2, 5))
    middle, reach = rng.uniform(-4, 4, 2), rng.uniform(4, 13, 2)
    bands = (shape.modic[index - 1] if index else 0.0, shape.modic[index] if index < COUNT - 1 else 0.0)

    def tissues(local, under, over):
        kind = np.full(len(local), Tissue.MARROW, np.uint8)
        if patch:
            kind[ellipsoid(local, patch_at, patch_size) < 0] = Tissue.LESION
        if vein:
            kind[ellipsoid(local, (0, -half_depth, 0), slit) < 0] = Tissue.LESION
        for band, distance in zip(bands, (under, over), strict=True):
            if band:
                limit = abs(band) * (1 - np.square((local[:, 1] - middle[0]) / reach[0]))
                kind[distance < limit] = Tissue.OEDEMA if band > 0 else Tissue.LESION
        if shape.marrow[index]:
            kind[ellipsoid(local, spot, (shape.marrow[index],) * 3) < 0] = Tissue.HAEMANGIOMA
        return kind

    return tissues


def body(shape: Shape, index: int, rng: np.random.Generator) -> Structure:
    """The body of one vertebra; its endplates belong to the disc, as in the dataset's masks."""
    level = level_value(VERTEBRAE[index])
    marrow = _marrow(shape, index, rng)
    last = index == COUNT - 1
    fused_above = index > 0 and shape.fused[index - 1]
    fused_below = not last and shape.fused[index]

    def paint(points):
        local = shape.local(index, points)
        rho, half_depth = _outline(shape, index, local)
        upper, lower = _endplates(shape, index, local)
        top = upper + (0.3 if fused_above else 0 if index == 0 else -shape.endplate)
        bottom = lower + (-0.3 if fused_below else 0 if last else shape.endplate)
        inside = (rho < 1) & (local[:, 2] < top) & (local[:, 2] > bottom)
        wall = (1 - rho[inside]) * half_depth[inside]
        local, top, bottom = local.T[:, inside].T, top[inside], bottom[inside]
        tissue = marrow(local, top - local[:, 2], local[:, 2] - bottom)
        tissue[wall < shape.cortex] = Tissue.BODY_CORTEX
        return inside, tissue, level

    reach = shape.depth[index] / 2 + 5, shape.height[index] / 2 + 5, shape.half_width[index] + 2
    corners = [[x, y, z] for x in (-reach[2], reach[2]) for y in (-reach[0], reach[0]) for z in (-reach[1], reach[1])]
    return Structure(box_around(shape.world(index, corners), 0), paint)


def disc(shape: Shape, index: int, rng: np.random.Generator) -> Structure:
    """What lies between two bodies: endplates, annulus and nucleus, or the bone or graft of a fused block."""
    upper_level, lower_level = level_value(VERTEBRAE[index]), level_value(VERTEBRAE[index + 1])
    fused = bool(shape.fused[index])
    level = 0 if fused else level_value(f"{VERTEBRAE[index]}-{VERTEBRAE[index + 1]}")
    half_depth = (shape.depth[index] + shape.depth[index + 1]) / 4
    half_width = min(shape.half_width[index], shape.half_width[index + 1]) * (0.9 if fused else 0.97)
    front, back = shape.bulge[index] if not fused else -rng.uniform([0.2, 0.1], [2.0, 1.2]) * shape.scale
    core = rng.uniform(0.45, 0.75), rng.uniform(0.45, 0.85)
    cleft = rng.random() < 0.35
    fissure = rng.uniform(-0.5, 0.5) if rng.random() < 0.2 else None
    off = rng.uniform(-0.15, 0.1) * half_depth
    narrow = rng.uniform(4, 9) if back > 2 else 9.0
    aside = rng.uniform(-4, 4) if back > 2 else 0.0
    bone = block.filling(shape, index, rng) if fused else None
    middle = (shape.centre[index] + shape.centre[index + 1]) / 2

    def paint(points):
        above, below = shape.local(index, points), shape.local(index + 1, points)
        _, ceiling = _endplates(shape, index, above)
        floor, _ = _endplates(shape, index + 1, below)
        gap_up = ceiling + (0 if fused else shape.endplate) - above[:, 2]
        gap_down = below[:, 2] - floor + (0 if fused else shape.endplate)
        span = np.maximum(gap_up + gap_down, 0.1)
        local = (above + below) / 2
        mid = np.clip(4 * gap_up * gap_down / np.square(span), 0, 1)
        near = np.exp(-np.square(np.square((local[:, 0] - aside) / narrow)))
        depth = half_depth + np.where(local[:, 1] > 0, front * mid, back * mid * near)
        x, a = np.abs(local[:, 0]) / half_width, np.abs(local[:, 1]) / depth
        exponent = np.where(local[:, 1] > 0, 2.5, 4.0).astype(np.float32)
        rho = np.power(np.power(x, exponent) + np.power(a, exponent), 1 / exponent)
        inside = (gap_up > -0.2) & (gap_down > -0.2) & (rho < 1)
        rho, up, down, span = rho[inside], gap_up[inside], gap_down[inside], span[inside]
        local = local.T[:, inside].T
        if fused:
            return inside, bone(local, rho, up, down), np.where(up < down, upper_level, lower_level)
        height = np.abs(up - down) / span
        shift = np.sqrt(np.square(local[:, 0] / half_width) + np.square((local[:, 1] - off) / half_depth))
        nucleus = np.square(shift / core[0]) + np.square(height / core[1]) < 1
        if cleft:
            nucleus &= height > 0.12
        if fissure is not None:
            tilted = (up - down) / span - fissure
            nucleus |= (np.abs(tilted) * span < 0.9) & (local[:, 1] < -0.45 * half_depth) & (np.abs(local[:, 0]) < 6)
        tissue = np.where(nucleus, Tissue.NUCLEUS, Tissue.ANNULUS)
        tissue[(np.minimum(up, down) < shape.endplate) & (rho < 0.97)] = Tissue.ENDPLATE
        return inside, tissue, level

    reach = half_depth + 6, shape.disc_height[index] / 2 + 6, half_width + 1
    corners = [[x, y, z] for x in (-reach[2], reach[2]) for y in (-reach[0], reach[0]) for z in (-reach[1], reach[1])]
    frame = (shape.frame[index] + shape.frame[index + 1]) / 2
    return Structure(box_around(np.asarray(corners) @ frame + middle, 0), paint)


def dens(shape: Shape) -> list[Structure]:
    """The dens of C2: its lower third as body marrow, the rest as dens, which the dataset includes or leaves out."""
    level = level_value("C2")
    top = shape.height[0] / 2
    radius = np.array([5.0, 5.2]) * shape.scale
    centre_a = -shape.depth[0] * 0.08

    def paint(points):
        local = shape.local(0, points)
        rise = (local[:, 2] - top + 3) / (shape.dens_length + 3)
        bulb = 1 - 0.15 * np.exp(-np.square((rise - 0.3) / 0.15)) - 0.75 * np.clip((rise - 0.72) / 0.28, 0, 1) ** 2
        bulb = bulb + 0.5 * np.clip(0.25 - rise, 0, 0.25)
        a = local[:, 1] - centre_a - shape.dens_lean * np.clip(rise, 0, 1) * shape.dens_length
        rho = np.sqrt(np.square(local[:, 0] / radius[0]) + np.square(a / radius[1])) / np.maximum(bulb, 0.1)
        inside = (rise > 0) & (rise < 1) & (rho < 1)
        shell = (1 - rho[inside]) * radius[0] < shape.cortex + 0.2
        low = rise[inside] < 0.36
        tissue = np.where(
            low,
            np.where(shell, Tissue.BODY_CORTEX, Tissue.MARROW),
            np.where(shell, Tissue.DENS_CORTEX, Tissue.DENS),
        )
        return inside, tissue, level

    ends = shape.world(0, [[0, centre_a, top - 3], [0, centre_a, top + shape.dens_length]])
    return [Structure(box_around(ends, 9 * shape.scale), paint)]
