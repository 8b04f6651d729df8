"""Small exams and a small network for the tests of calibration and validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CSpineSegLib import model, phantom, volume
from CSpineSegLib.model import networks, preprocess
from CSpineSegLib.training import exams

TINY = {
    **networks.DYNUNET_2D,
    "in_channels": 3,
    "kernel_size": [3] * 3,
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2] * 2,
    "filters": [4, 8, 8],
    "res_block": False,
}


def tiny_bundle(folder: Path) -> model.Bundle:
    """A bundle whose network knows nothing: every class turns up somewhere."""
    import torch

    torch.manual_seed(3)
    state = networks.build(TINY).state_dict()
    made = model.export(folder, "tiny", state, TINY, preprocess.describe(2.0, 3), {}, {}, convert=False)
    return model.load(made)


def tiny_exam(kind: str = "t2", number: int = 0, shape=(64, 72, 7), spacing=(2.6, 2.6, 4.0), codes="PSR") -> exams.Exam:
    """A phantom exam on few voxels."""
    seed = exams.kind_of(kind).first + number
    made = phantom.make(seed, phantom.grid_around(shape, spacing, codes))
    affine = phantom.grid_around(shape, spacing, codes).affine
    parts = (volume.from_array(part, affine) for part in (made.image, made.mask, made.spared.astype(np.uint8)))
    about = {"seed": seed, "style": "t2", "beyond": False, "generator": exams.generator()}
    return exams.Exam(f"{kind}-{number:04d}", *parts, about)
