"""The faults of real scans, on stacks of synthetic slices: coil, motion, flow, matrix, noise, windowing."""

from __future__ import annotations

import math

import numpy as np


def smooth_noise(shape, cell: float, generator):
    """Smooth noise (n, H, W) of about unit variance: white noise on cells of `cell` pixels, interpolated."""
    import torch
    from torch.nn.functional import interpolate

    n, height, width = shape
    nodes = max(2, math.ceil(height / cell) + 1), max(2, math.ceil(width / cell) + 1)
    coarse = torch.randn(n, 1, *nodes, generator=generator)
    return interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)[:, 0]


def coil(images, rng: np.random.Generator, generator, spacing: float):
    """Receive sensitivity: smooth everywhere, brighter towards the coil behind the neck, dimmer at the coil's ends."""
    import torch

    _, height, width = images.shape
    bias = smooth_noise((1, height, width), max(height / 3, 1), generator) * rng.uniform(0, 0.4)
    down = torch.linspace(-1, 1, height)[:, None]
    if rng.random() < 0.75:
        back = torch.arange(width) * spacing - width * spacing / 2
        bias = bias + (back[None] + down * rng.normal(0, 20)) / rng.uniform(45, 350)
    if rng.random() < 0.4:
        bias = bias - (down * rng.uniform(0.6, 1.5) + rng.normal(0, 0.3)) ** 2 * rng.uniform(0, 1.2)
    if rng.random() < 0.2:
        bias = bias + _saturation(height, width, rng)
    return images * torch.exp(bias)


def _saturation(height: int, width: int, rng: np.random.Generator):
    """An anterior saturation band: an oblique front beyond which the signal falls, natural logarithm (H, W)."""
    import torch

    edge = width * rng.uniform(0.0, 0.35) + torch.linspace(-1, 1, height)[:, None] * width * rng.normal(0, 0.12)
    depth = rng.uniform(0.7, 2.5)
    return -depth * torch.sigmoid((edge - torch.arange(width)[None]) / rng.uniform(2, 8))


def k_space(images, rng: np.random.Generator):
    """Ghosts of swallowing and pulsation along one axis, and a matrix smaller than the reconstructed one."""
    import torch

    k = torch.fft.fftshift(torch.fft.fft2(images), dim=(-2, -1))
    axis = int(rng.integers(2))
    if rng.random() < 0.35:
        lines = torch.arange(k.shape[1 + axis])
        phase = torch.sin(lines * rng.uniform(0.1, 3.0) + rng.uniform(0, 6.28)) * rng.uniform(0.02, 0.3)
        k = k * torch.exp(1j * phase).reshape((1, -1, 1) if axis == 0 else (1, 1, -1))
    for a in (0, 1):
        kept = rng.uniform(0.5, 1.0) if rng.random() < 0.85 else rng.uniform(0.3, 0.5)
        size = k.shape[1 + a]
        distance = (torch.arange(size) - size // 2).abs() / (size / 2)
        window = (distance < kept).float() if rng.random() < 0.4 else torch.exp(-((distance / kept) ** 4))
        k = k * window.reshape((1, -1, 1) if a == 0 else (1, 1, -1))
    return torch.fft.ifft2(torch.fft.ifftshift(k, dim=(-2, -1))).abs()


def noise(images, rng: np.random.Generator, generator):
    """Rician noise, sometimes of a zero-filled matrix, so that it has a grain."""
    import torch

    level = float(images.mean()) * rng.uniform(0.005, 0.22)
    parts = [torch.randn(images.shape, generator=generator) for _ in range(2)]
    if rng.random() < 0.4:
        parts = [smooth_noise(images.shape, rng.uniform(1.2, 2.5), generator) for _ in range(2)]
    return torch.sqrt((images + level * parts[0]) ** 2 + (level * parts[1]) ** 2)


def scan(images: np.ndarray, rng: np.random.Generator, generator, spacing: float) -> np.ndarray:
    """A stack of ideal slices (S, P, P) as a scanner of `spacing` mm would deliver it, float32, mean near one."""
    import torch

    images = coil(torch.from_numpy(images), rng, generator, spacing)
    # Slices are excited in turn: each has its own small gain.
    images = images * torch.exp(torch.randn(len(images), 1, 1, generator=generator) * rng.uniform(0, 0.08))
    if rng.random() < 0.8:
        images = k_space(images, rng)
    images = noise(images, rng, generator)
    images = (images / images.mean().clamp(min=1e-6)).clamp(0, 20) ** rng.uniform(0.75, 1.3)
    return images.numpy()
