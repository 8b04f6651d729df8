"""Training samples: a random crop of a stack, deformed, with a random contrast and the faults of real scans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..phantom import Geometry
from ..phantom.tissue import label_table, spared_table
from . import artefacts, bank, contrast, scans

SPACING = 0.7
# What the network is shown of every slice: its neighbours too.
CONTEXT = 3
# Share of stacks whose slices are shown without neighbours, each in their place.
ALONE = 0.15
# Share of stacks beside the person: instance norms make as much of the noise there as of a signal.
EMPTY = 0.03
# Patch sizes (pixels) and stacks; each stack gives TARGETS samples. The network meets whole slices later; several sizes
# keep its instance norms honest. About 0.13 M pixels each.
PATCHES = ((128, 4), (160, 3), (192, 2), (256, 1), (320, 1))
TARGETS = 2

# Positions within a pixel (rows, columns; pixels) at which each layer is sampled: six samples make a voxel.
_WITHIN = (((-0.25, -0.25), (0.25, 0.25)), ((0.25, -0.25), (-0.25, 0.25)), ((-0.25, 0.1), (0.25, -0.1)))


@dataclass(frozen=True, eq=False)
class Batch:
    """Images (B, CONTEXT, P, P) float32, labels (B, P, P) int64 of 0, 1, 2, weights (B, P, P) float32 (0: spared)."""

    images: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


def _sampling(rng: np.random.Generator, generator, labelled: np.ndarray, size: int, sides, spacing: float):
    """Where the pixels of a patch lie in slices of `sides` (rows, columns) pixels of `spacing` mm.

    `labelled` (rows / 8, columns / 8): what most patches are centred on. Returns rows and columns (size, size), pixels.
    """
    import torch
    from torch.nn.functional import interpolate

    step, sides = SPACING / spacing, np.array(sides)
    scale = math.exp(rng.normal(0, 0.15))
    if rng.random() < 0.06:
        scale *= rng.uniform(0.6, 0.8)
    angle = rng.normal(0, 0.16)
    stretch = 1 + rng.normal(0, 0.05)
    rows, columns = np.nonzero(labelled)
    if len(rows) and rng.random() < 0.85:
        pick = rng.integers(len(rows))
        centre = np.array([rows[pick], columns[pick]]) * 8 + rng.uniform(-35, 35, 2) / spacing
    else:
        centre = rng.uniform(30 / spacing, sides - 30 / spacing)
    # Beyond the drawing there is nothing to learn from: the patch stays on it as far as it fits.
    reach = np.minimum(0.45 * size * step * scale, sides / 2)
    centre = np.clip(centre, reach, sides - reach)
    axis = (torch.arange(size) - size / 2 + 0.5) * step * scale
    v, u = torch.meshgrid(axis * stretch, axis, indexing="ij")
    cosine, sine = math.cos(angle), math.sin(angle)
    bend = torch.randn(1, 2, 5, 5, generator=generator) * rng.uniform(0, 2.5) / spacing * size / 192
    bend = interpolate(bend, size=(size, size), mode="bicubic", align_corners=True)[0]
    row = cosine * v - sine * u + float(centre[0]) + bend[0]
    column = sine * v + cosine * u + float(centre[1]) + bend[1]
    return row, column


def _lookup(stack: np.ndarray, row, column, shifts: np.ndarray | None) -> np.ndarray:
    """Tissue (6, S, P, P) uint8 of the samples of each voxel; `shifts` (S, 2), if any, moves each slice, in pixels."""
    row, column = row.numpy(), column.numpy()
    along = np.gradient(row, axis=0), np.gradient(row, axis=1), np.gradient(column, axis=0), np.gradient(column, axis=1)
    # A layer of air around the slices stands for all that lies outside.
    wide = bank.COLUMNS + 2
    padded = np.pad(stack, ((0, 0), (0, 0), (1, 1), (1, 1))).reshape(len(stack), bank.LAYERS, -1)

    def places(down: float, right: float) -> np.ndarray:
        r = np.rint(row + (down * along[0] + right * along[1] + 1)).astype(np.int32)
        c = np.rint(column + (down * along[2] + right * along[3] + 1)).astype(np.int32)
        return np.clip(r, 0, bank.ROWS + 1) * wide + np.clip(c, 0, bank.COLUMNS + 1)

    found = []
    for layer, positions in enumerate(_WITHIN):
        for down, right in positions:
            if shifts is None:
                found.append(padded[:, layer, places(down, right)])
            else:
                moved = (places(down + shift[0], right + shift[1]) for shift in shifts)
                found.append(np.stack([padded[i, layer, place] for i, place in enumerate(moved)]))
    return np.stack(found)


def _decision() -> np.ndarray:
    """Label, plus 4 where spared, for every sum of six coded samples: 1 a body, 8 a disc, 64 spared."""
    code = np.arange(512)
    share = np.stack([6 - code % 8 - code // 8 % 8, code % 8, code // 8 % 8])
    return (share.argmax(0) + 4 * (code // 64 >= 2)).astype(np.uint8)


def _labels(tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and weights (S, P, P): what most of a voxel's six samples are, and 0 where two of them are spared."""
    code = np.array([0, 1, 8], np.uint16)[label_table()] + np.uint16(64) * spared_table()
    decided = _decision()[code.astype(np.uint16)[tissue].sum(0, dtype=np.uint16)]
    return (decided & 3).astype(np.int64), (decided < 4).astype(np.float32)


def sample(drawn: np.ndarray | Geometry, rng: np.random.Generator, size: int, targets: int = TARGETS):
    """Samples of a person: images (targets, CONTEXT, P, P), labels and weights (targets, P, P), as arrays.

    `drawn` is what the bank holds. The targets are neighbours in one imaginary scan. Now and then the scan ends at a
    target, which then is its own neighbour, as the outermost slices of an exam are.
    """
    import torch

    from ..model.preprocess import normalise

    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    mirrored, ends = rng.random() < 0.5, rng.random() < 0.12
    count = targets + (1 if ends else 2)
    first = int(rng.integers(0, bank.SLICES - count + 1))
    if isinstance(drawn, np.ndarray):
        whole = drawn[::-1, ::-1] if mirrored else drawn
        images, labels, weights = _imagined(whole[first : first + count], rng, generator, size)
    else:
        images, labels, weights = _scanned(scans.neighbours_of(drawn, first, count, mirrored), rng, generator, size)
    if rng.random() < 0.25:
        images, labels = _restrict(images, labels, rng, size)
    images = normalise(images)
    # Inference normalises over the exam, training over the crop: the network must bear the difference.
    images = (images * math.exp(rng.normal(0, 0.25)) + rng.normal(0, 0.25)).astype(np.float32)
    around = np.clip(np.arange(targets)[:, None] + np.arange(CONTEXT) - (0 if not ends else 1), 0, count - 1)
    centres = around[:, CONTEXT // 2]
    # Beside the bodies real anatomy differs most from the drawing: a slice must suffice without its neighbours.
    if rng.random() < ALONE:
        around = np.repeat(centres[:, None], CONTEXT, axis=1)
    return images[around], labels[centres], weights[centres]


def _imagined(stack: np.ndarray, rng: np.random.Generator, generator, size: int):
    """Images, labels and weights (S, P, P) of tissue (S, LAYERS, rows, columns), in a contrast that nobody has seen."""
    middle = label_table()[stack[len(stack) // 2, 1, ::8, ::8]]
    row, column = _sampling(rng, generator, middle, size, (bank.ROWS, bank.COLUMNS), bank.SPACING)
    if rng.random() < EMPTY:
        stack = np.zeros_like(stack)
    shifts = rng.normal(0, 0.5, (len(stack), 2)) if rng.random() < 0.3 else None
    tissue = _lookup(stack, row, column, shifts)
    labels, weights = _labels(tissue)
    return artefacts.scan(contrast.paint(tissue, rng, generator), rng, generator, SPACING), labels, weights


def _scanned(geometry: Geometry, rng: np.random.Generator, generator, size: int):
    """Images, labels and weights (S, P, P) of a traced person, scanned anew."""
    import torch
    from torch.nn.functional import grid_sample

    image, pixel = scans.scan(geometry, rng), float(geometry.grid.spacing[1])
    sides = image.shape[1:]
    middle = geometry.mask[len(image) // 2, ::8, ::8]
    row, column = _sampling(rng, generator, middle, size, sides, pixel)
    grid = torch.stack([(2 * column + 1) / sides[1] - 1, (2 * row + 1) / sides[0] - 1], -1).float()
    truth = [geometry.mask == 1, geometry.mask == 2, geometry.spared]
    maps = torch.from_numpy(np.stack([image, *truth], axis=1).astype(np.float32))
    maps = grid_sample(maps, grid[None].expand(len(image), -1, -1, -1), padding_mode="zeros", align_corners=False)
    images, bodies, discs, spared = maps.numpy().transpose(1, 0, 2, 3)
    labels = np.stack([1 - bodies - discs, bodies, discs]).argmax(0)
    return np.ascontiguousarray(images), labels.astype(np.int64), (spared < 0.25).astype(np.float32)


def _restrict(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator, size: int):
    """A smaller field of view: zeros beyond it, as scanners pad."""
    inside = np.zeros((size, size), bool)
    height, width = rng.integers(int(0.5 * size), size, 2)
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    inside[top : top + height, left : left + width] = True
    return images * inside, labels * inside


def patch_of(seed: int, step: int, patches: Sequence[tuple[int, int]] = PATCHES) -> tuple[int, int]:
    """Patch size (pixels) and stacks of a training step, one of `patches`."""
    return patches[np.random.default_rng([seed, 5, step]).integers(len(patches))]


def batch(people: bank.Bank, seeds: range, seed: int, step: int, patches=PATCHES) -> Batch:
    """The batch of a step: it depends on nothing but the arguments, so that a resumed run sees the same."""
    size, count = patch_of(seed, step, patches)
    rng = np.random.default_rng([seed, 6, step])
    drawn = [sample(people.get(int(rng.integers(seeds.start, seeds.stop))), rng, size) for _ in range(count)]
    images, labels, weights = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    return Batch(images, labels, weights)
