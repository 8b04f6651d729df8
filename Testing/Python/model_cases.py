"""Models for tests: the packaged weights as a network of three slices, and a small phantom exam to run them on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CSpineSegLib import jobs, model, phantom, volume
from CSpineSegLib.model import engine, networks, preprocess

TINY = {
    **networks.DYNUNET_2D,
    "in_channels": 3,
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
    "filters": [4, 8, 8],
}


def tiny(folder: Path, name: str = "tiny", **options) -> Path:
    """A bundle of a very small network of three slices with random weights."""
    import torch

    torch.manual_seed(0)
    weights = networks.build(TINY).state_dict()
    return model.export(folder, name, weights, TINY, preprocess.describe(slices=3), {}, {}, **options)


def with_neighbours(folder: Path) -> model.Bundle:
    """The packaged weights in a bundle of three slices; a network of single slices gets weights for its neighbours."""
    import torch

    packaged = model.load(jobs.DEFAULT_MODEL)
    definition = {**packaged.definition, "in_channels": 3}
    weights = engine.weights_of(packaged)
    torch.manual_seed(0)
    for name, wanted in networks.build(definition).state_dict().items():
        if weights[name].shape != wanted.shape:
            # Not zeros: a neighbour on the wrong side must change something.
            wide = 0.2 * weights[name] * torch.rand(1, 3, 1, 1)
            wide[:, 1:2] = weights[name]
            weights[name] = wide
    described = preprocess.describe(packaged.spacing, 3)
    return model.load(model.export(folder, "neighbours", weights, definition, described, {}, {}))


def exam(shape: tuple[int, int, int], spacing: tuple[float, float, float], seed: int = 7) -> volume.Volume:
    """A phantom of left-handed PSR slices (n, rows, columns); `spacing` in mm; int16 as in a scanner's files."""
    plain = volume.from_array(np.zeros(shape, np.uint8), np.diag([*spacing, 1.0]))
    grid = volume.reorient(plain, "PSR").grid
    middle = grid.corners().mean(axis=0)
    affine = grid.affine.copy()
    affine[:3, 3] -= middle
    drawn = phantom.make(seed, volume.Grid(grid.shape, affine))
    return volume.from_array(np.rint(drawn.image).astype(np.int16), affine)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """The lower of the two classes' Dice; both must hold both."""
    overlaps = [2 * np.sum((first == k) & (second == k)) / np.sum((first == k) + 1 * (second == k)) for k in (1, 2)]
    return float(min(overlaps))
