"""Training samples: a random crop of a bank slice, deformed, with a random contrast and the faults of real scans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..phantom.tissue import Tissue, label_table
from . import bank, contrast

SPACING = 0.7
# The network meets whole slices later; several sizes keep its instance norms honest. About 0.13 M pixels each.
PATCHES = ((128, 8), (160, 5), (192, 4), (256, 2))
_VARIABLE = (Tissue.MARROW, Tissue.LESION, Tissue.DENS, Tissue.NUCLEUS, Tissue.ANNULUS, Tissue.BONE)


@dataclass(frozen=True, eq=False)
class Batch:
    """Images (B, 1, P, P) float32, labels (B, P, P) int64 of 0, 1, 2, weights (B, P, P) float32 (0: do not care)."""

    images: np.ndarray
    labels: np.ndarray
    weights: np.ndarray


def _noise(shape, cell: int, generator):
    """Smooth noise (n, H, W): white noise on cells of `cell` pixels, interpolated."""
    import torch
    from torch.nn.functional import interpolate

    n, height, width = shape
    coarse = torch.randn(n, 1, max(2, height // cell), max(2, width // cell), generator=generator)
    return interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)[:, 0]


def _sampling(rng, generator, labelled: np.ndarray, size: int):
    """Where the fine grid (2 size)^2 lies in the bank slice, as normalised coordinates (1, 2 size, 2 size, 2)."""
    import torch
    from torch.nn.functional import interpolate

    fine = 2 * size
    step = SPACING / 2 / bank.SPACING
    scale = math.exp(rng.normal(0, 0.15))
    if rng.random() < 0.06:
        scale *= rng.uniform(0.6, 0.8)
    angle = rng.normal(0, 0.15)
    stretch = 1 + rng.normal(0, 0.05)
    rows, columns = np.nonzero(labelled)
    if len(rows) and rng.random() < 0.85:
        pick = rng.integers(len(rows))
        centre = np.array([rows[pick], columns[pick]]) * 8 + rng.uniform(-70, 70, 2)
    else:
        centre = rng.uniform([60, 60], [bank.ROWS - 60, bank.COLUMNS - 60])
    axis = (torch.arange(fine) - fine / 2 + 0.5) * step * scale
    v, u = torch.meshgrid(axis * stretch, axis, indexing="ij")
    cosine, sine = math.cos(angle), math.sin(angle)
    bend = torch.randn(1, 2, 5, 5, generator=generator) * rng.uniform(0, 5) * size / 192
    bend = interpolate(bend, size=(fine, fine), mode="bicubic", align_corners=True)[0]
    row = cosine * v - sine * u + float(centre[0]) + bend[0]
    column = sine * v + cosine * u + float(centre[1]) + bend[1]
    return torch.stack([2 * column / bank.COLUMNS - 1, 2 * row / bank.ROWS - 1], -1)[None].float()


def _paint(tissue, rng, generator):
    """Signal (2, H, W) of tissue slices (2, H, W), on the fine grid."""
    import torch

    signal, texture = contrast.draw(rng)
    shape = (1, *tissue.shape[1:])
    grain = 0.9 * _noise(shape, 4, generator) + 0.7 * _noise(shape, 13, generator) + 0.5 * _noise(shape, 2, generator)
    image = torch.from_numpy(signal)[tissue] + torch.from_numpy(texture)[tissue] * grain
    varies = torch.zeros(len(signal))
    varies[list(_VARIABLE)] = float(rng.uniform(0, 0.2))
    return image * torch.exp(varies[tissue] * _noise(shape, 60, generator))


def _coil(image, rng, generator):
    """Receive bias: smooth everywhere, brighter towards the coil behind the neck, dimmer at the ends of the coil."""
    import torch

    height, width = image.shape
    bias = _noise((1, height, width), max(height // 4, 1), generator)[0] * rng.uniform(0, 0.4)
    down = torch.linspace(-1, 1, height)[:, None]
    if rng.random() < 0.75:
        back = torch.arange(width) * SPACING - width * SPACING / 2
        bias = bias + (back[None] + down * rng.normal(0, 20)) / rng.uniform(45, 350)
    if rng.random() < 0.4:
        bias = bias - (down * rng.uniform(0.6, 1.5) + rng.normal(0, 0.3)) ** 2 * rng.uniform(0, 1.2)
    return image * torch.exp(bias)


def _k_space(image, rng):
    """Ghosts of swallowing and pulsation along one axis, and a matrix smaller than the reconstructed one."""
    import torch

    k = torch.fft.fftshift(torch.fft.fft2(image))
    axis = int(rng.integers(2))
    if rng.random() < 0.35:
        lines = torch.arange(k.shape[axis])
        phase = torch.sin(lines * rng.uniform(0.1, 3.0) + rng.uniform(0, 6.28)) * rng.uniform(0.02, 0.3)
        k = k * torch.exp(1j * phase).reshape((-1, 1) if axis == 0 else (1, -1))
    for a in (0, 1):
        kept = rng.uniform(0.5, 1.0) if rng.random() < 0.85 else rng.uniform(0.3, 0.5)
        size = k.shape[a]
        distance = (torch.arange(size) - size // 2).abs() / (size / 2)
        window = (distance < kept).float() if rng.random() < 0.4 else torch.exp(-((distance / kept) ** 4))
        k = k * window.reshape((-1, 1) if a == 0 else (1, -1))
    return torch.fft.ifft2(torch.fft.ifftshift(k)).abs()


def _scan(image, rng, generator):
    """Rician noise and the contrast curve of the viewer's export."""
    import torch

    if rng.random() < 0.8:
        image = _k_space(image, rng)
    level = float(image.mean()) * rng.uniform(0.005, 0.22)
    real = image + level * torch.randn(image.shape, generator=generator)
    image = torch.sqrt(real**2 + (level * torch.randn(image.shape, generator=generator)) ** 2)
    image = image / image.mean().clamp(min=1e-6)
    return image.clamp(0, 20) ** rng.uniform(0.75, 1.3)


def sample(slices: np.ndarray, rng: np.random.Generator, size: int):
    """One sample from a person's bank slices: image, label and weight tensors, (size, size) each."""
    import torch
    from torch.nn.functional import avg_pool2d, grid_sample

    from ..model.preprocess import normalise

    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    pair = slices[rng.integers(bank.NEAR) if rng.random() < 0.87 else rng.integers(bank.NEAR, len(slices))]
    table = label_table()
    grid = _sampling(rng, generator, table[pair[0, ::8, ::8]], size)
    source = torch.from_numpy(pair)[None].float()
    tissue = grid_sample(source, grid, mode="nearest", padding_mode="zeros", align_corners=False)[0].long()
    label = torch.from_numpy(table)[tissue]
    share = torch.stack([(label == value).float().mean(0) for value in range(3)])
    label = avg_pool2d(share[None], 2)[0].argmax(0)
    spared = ((tissue == Tissue.DENS) | (tissue == Tissue.DENS_CORTEX)).float().mean(0)
    weight = (avg_pool2d(spared[None, None], 2)[0, 0] < 0.25).float()
    image = avg_pool2d(_paint(tissue, rng, generator).mean(0)[None, None], 2)[0, 0]
    image = _scan(_coil(image, rng, generator), rng, generator)
    if rng.random() < 0.25:
        image, label = _restrict(image, label, rng, size)
    image = torch.from_numpy(normalise(image.numpy()))
    # Inference normalises over the exam, training over the crop: the network must bear the difference.
    return image * math.exp(rng.normal(0, 0.25)) + rng.normal(0, 0.25), label, weight


def _restrict(image, label, rng, size: int):
    """A smaller field of view: zeros beyond it, as scanners pad."""
    import torch

    inside = torch.zeros(size, size)
    height, width = rng.integers(int(0.5 * size), size, 2)
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    inside[top : top + height, left : left + width] = 1
    return image * inside, label * inside.long()


def patch_of(seed: int, step: int, patches: Sequence[tuple[int, int]] = PATCHES) -> tuple[int, int]:
    """Patch size (pixels) and batch size of a training step, one of `patches`."""
    return patches[np.random.default_rng([seed, 5, step]).integers(len(patches))]


def batch(people: bank.Bank, seeds: range, seed: int, step: int, patches=PATCHES) -> Batch:
    """The batch of a step: it depends on nothing but the arguments, so that a resumed run sees the same."""
    import torch

    size, count = patch_of(seed, step, patches)
    rng = np.random.default_rng([seed, 6, step])
    drawn = [sample(people.get(int(rng.integers(seeds.start, seeds.stop))), rng, size) for _ in range(count)]
    images, labels, weights = (torch.stack(parts).numpy() for parts in zip(*drawn, strict=True))
    return Batch(images[:, None].astype(np.float32), labels.astype(np.int64), weights)
