"""Tiny imported models, windows for them, and what nnU-Net's own networks make of these."""

import nnunet_zips as zips
import numpy as np

from CSpineSegLib.model import devices
from CSpineSegLib.model.nnunet import openvino_runner, store, torch_runner

TORCH, OPENVINO = (devices.Choice(engine, "cpu", "") for engine in ("torch", "openvino"))
SIZES = {"2d": (32, 32), "3d_fullres": (8, 32, 32)}


def forget():
    """Every test opens its networks itself."""
    torch_runner._kept["cpu"].clear()
    openvino_runner._kept.clear()


def imported(folder, kind, folds=(0,)):
    keys = [(key, fold) for key in SIZES for fold in folds]
    weights = {(key, fold): zips.state(len(SIZES[key]), kind, fold) for key, fold in keys}
    return store.write(folder, "mine", zips.plans(kind), zips.dataset(), weights, orientation="PSR")


def windows(configuration, count=3, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 1, *SIZES[configuration]), dtype=np.float32)


def expected(kind, configuration, inputs, fold=0):
    """Logits of nnU-Net's own network."""
    import torch

    network = zips._network(len(SIZES[configuration]), kind, fold)
    network.decoder.deep_supervision = False
    with torch.inference_mode():
        return network(torch.from_numpy(inputs)).numpy()
