"""Draws random phantoms for looking at: `python Testing/Tools/contact_sheet.py [--people 6] [--first 0]`.

A row is a person: seeds count up from `--first`, none is left out. Columns: T2 in the middle, the same with the truth
(bodies red, discs green, "do not care" amber), T2 about 6, 13 and 20 mm beside the middle, T1, STIR, and PD or 3D T2.
"""

from __future__ import annotations

import argparse
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from CSpineSegLib import phantom  # noqa: E402
from CSpineSegLib.volume import Grid, from_array, reorient  # noqa: E402

PIXEL, HEIGHT, WIDTH = 1.05, 204, 150  # mm, pixels of a panel
GREYS = 40
COLOURS = ((226, 70, 62), (70, 200, 100), (235, 180, 60))
BESIDE = (6.0, 13.0, 20.0)
MATRIX = 256


def resampling(size: int, spacing: float, pixels: int, middle: float) -> np.ndarray:
    """Weights (pixels, size) that average an axis of `size` voxels to panel pixels around voxel `middle`."""
    step = PIXEL / spacing
    centres = middle + (np.arange(pixels) - (pixels - 1) / 2) * step
    weights = np.clip(1 - np.abs(np.arange(size) - centres[:, None]) / max(step, 1.0), 0, None)
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-6) * (weights.sum(axis=1, keepdims=True) > 0.5)


class Panels:
    """Cuts sagittal panels out of the images of one traced person."""

    def __init__(self, grid):
        turned = reorient(from_array(np.zeros(grid.shape, np.uint8), grid.affine), "RIP")
        self._grid, affine = grid, turned.affine
        self._affine = affine
        middle = np.linalg.inv(affine) @ [0, -12, -24, 1]
        self._middle = middle[0]
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        self._across = spacing[0]
        self._rows = resampling(turned.shape[1], spacing[1], HEIGHT, middle[1])
        self._columns = resampling(turned.shape[2], spacing[2], WIDTH, middle[2])

    def cut(self, array: np.ndarray, beside: float) -> np.ndarray:
        """(HEIGHT, WIDTH) of the slice about `beside` mm to the right of the middle of the neck."""
        turned = reorient(from_array(array, self._grid.affine), "RIP").array
        index = int(np.clip(np.rint(self._middle + beside / self._across), 0, len(turned) - 1))
        return self._rows @ turned[index].astype(float) @ self._columns.T


def grey(panel: np.ndarray) -> np.ndarray:
    """Grey levels as a reader would window them: the brightest hundredth is white."""
    return np.clip(panel / max(np.percentile(panel, 99.2), 1) * (GREYS - 1), 0, GREYS - 1).astype(np.uint8)


def outlined(panel: np.ndarray, classes: list[np.ndarray]) -> np.ndarray:
    """A grey panel with the outlines of classes, each (HEIGHT, WIDTH) of shares, as colour indices behind the greys."""
    panel = panel.copy()
    for number, share in enumerate(classes):
        inside = np.pad(share > 0.5, 1)
        core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        panel[inside[1:-1, 1:-1] & ~core] = GREYS + number
    return panel


def shown(grid: Grid) -> Grid:
    """The slices of a grid between the middle of the neck and the farthest panel: no others need drawing."""
    axis = grid.sagittal_axis
    ends = [(np.linalg.inv(grid.affine) @ [x, -12, -24, 1])[axis] for x in (0, BESIDE[-1])]
    low, high = max(int(min(ends)) - 1, 0), min(int(max(ends)) + 3, grid.shape[axis])
    affine, shape = grid.affine.copy(), list(grid.shape)
    affine[:3, 3] += affine[:3, axis] * low
    shape[axis] = high - low
    return Grid(tuple(shape), affine)


def row_of(seed: int) -> np.ndarray:
    """All panels of one person beside each other."""
    grid = shown(phantom.random_grid(np.random.default_rng([seed, 77]), largest=MATRIX))
    geometry, panels = phantom.trace(seed, grid), Panels(grid)
    t2 = phantom.render(geometry, seed, "t2").image
    middle = grey(panels.cut(t2, 0))
    truth = [geometry.mask == 1, geometry.mask == 2, geometry.spared]
    cut = [middle, outlined(middle, [panels.cut(part.astype(np.uint8), 0) for part in truth])]
    cut += [grey(panels.cut(t2, beside)) for beside in BESIDE]
    for style in ("t1", "stir", ("pd", "t2_3d")[seed % 2]):
        cut.append(grey(panels.cut(phantom.render(geometry, seed, style).image, 0)))
    return np.concatenate(cut, axis=1)


def png(pixels: np.ndarray) -> bytes:
    """An (H, W) array of palette indices as a PNG file."""
    height, width = pixels.shape
    rows = b"".join(b"\x00" + row.tobytes() for row in pixels)
    palette = bytes(round(255 * n / (GREYS - 1)) for n in range(GREYS) for _ in range(3))
    palette += bytes(value for colour in COLOURS for value in colour)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=6)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "Docs" / "phantoms.png")
    asked = parser.parse_args()
    sheet = np.concatenate([row_of(seed) for seed in range(asked.first, asked.first + asked.people)])
    data = png(sheet)
    asked.output.write_bytes(data)
    print(f"{asked.output}: {sheet.shape[1]} x {sheet.shape[0]} pixels, {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
