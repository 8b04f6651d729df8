"""Draws the module's icon, a cervical spine seen from the side: `python Testing/Tools/make_icon.py`."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import numpy as np

SIZE = 128
FINE = 8  # sub-pixels along each axis, averaged for smooth edges
ICON = Path(__file__).resolve().parents[2] / "CSpineSeg" / "Resources" / "Icons" / "CSpineSeg.png"

BACKGROUND = (24, 28, 38)
BODY = (214, 66, 58)
DISC = (76, 190, 104)
LEVELS = 5  # bodies, with a disc below each but the last
TOP, BOTTOM = 8.0, 120.0
BODY_HEIGHT, DISC_HEIGHT, GAP = 14.6, 7.2, 0.6
BODY_WIDTH, DISC_WIDTH = 50.0, 48.0


def centre_line(y: float) -> tuple[float, float]:
    """x (pixels) and slope dx/dy of the lordotic curve at height y; the patient looks to the left."""
    angle = math.pi * (y - TOP) / (BOTTOM - TOP)
    return 71.0 - 10.0 * math.sin(angle), -10.0 * math.cos(angle) * math.pi / (BOTTOM - TOP)


def rounded_box(x: np.ndarray, y: np.ndarray, middle: float, width: float, height: float, radius: float) -> np.ndarray:
    """True inside a rounded box on the centre line at height `middle`, turned with it."""
    centre, slope = centre_line(middle)
    turn = math.atan(slope)
    right, down = x - centre, y - middle
    along = right * math.cos(turn) - down * math.sin(turn)
    across = right * math.sin(turn) + down * math.cos(turn)
    outside_x = np.maximum(np.abs(along) - width / 2 + radius, 0)
    outside_y = np.maximum(np.abs(across) - height / 2 + radius, 0)
    return np.hypot(outside_x, outside_y) <= radius


def draw() -> np.ndarray:
    """The icon as (SIZE, SIZE, 4) uint8: red, green, blue, alpha."""
    steps = (np.arange(SIZE * FINE) + 0.5) / FINE
    x, y = np.meshgrid(steps, steps)
    fine = np.zeros((SIZE * FINE, SIZE * FINE, 4))
    inside = np.hypot(np.maximum(np.abs(x - 64) - 42, 0), np.maximum(np.abs(y - 64) - 42, 0)) <= 22
    fine[inside] = (*BACKGROUND, 255)
    step = BODY_HEIGHT + DISC_HEIGHT + 2 * GAP
    top = 64 - (LEVELS * step - DISC_HEIGHT - 2 * GAP) / 2
    for level in range(LEVELS):
        widening = 1 + 0.035 * (level - LEVELS // 2)
        body = top + level * step + BODY_HEIGHT / 2
        disc = body + BODY_HEIGHT / 2 + GAP + DISC_HEIGHT / 2
        fine[inside & rounded_box(x, y, body, BODY_WIDTH * widening, BODY_HEIGHT, 3.6)] = (*BODY, 255)
        if level < LEVELS - 1:
            fine[inside & rounded_box(x, y, disc, DISC_WIDTH * widening, DISC_HEIGHT, 2.6)] = (*DISC, 255)
    blocks = fine.reshape(SIZE, FINE, SIZE, FINE, 4)
    alpha = blocks[..., 3:].mean(axis=(1, 3))
    # Colours are averaged by their alpha, or the edge would darken towards the transparent black outside.
    colour = (blocks[..., :3] * blocks[..., 3:]).mean(axis=(1, 3)) / np.maximum(alpha, 1e-9)
    return np.rint(np.concatenate([colour, alpha], axis=-1)).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """An (H, W, 4) uint8 array as a PNG file."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\x00" + row.tobytes() for row in pixels)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


if __name__ == "__main__":
    ICON.write_bytes(png(draw()))
    print(ICON)
