"""What both sides of the benchmark run: nnU-Net's networks for a cervical exam, with random weights, and an exam."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from CSpineSegLib import phantom, volume

SHAPE, SPACING = (384, 384, 20), (0.6, 0.6, 4.0)
DATASET = "Dataset108_CSpineSeg"
PLANS = {
    "2d": {
        "patch_size": [384, 384],
        "spacing": [0.6, 0.6],
        "kernel_sizes": [[3, 3]] * 7,
        "strides": [[1, 1]] + [[2, 2]] * 6,
        "features_per_stage": [32, 64, 128, 256, 512, 512, 512],
    },
    "3d_fullres": {
        "patch_size": [16, 320, 320],
        "spacing": [4.0, 0.6, 0.6],
        "kernel_sizes": [[1, 3, 3]] * 2 + [[3, 3, 3]] * 5,
        "strides": [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2], [1, 2, 2]],
        "features_per_stage": [32, 64, 128, 256, 320, 320, 320],
    },
}


def plans() -> dict[str, Any]:
    """plans.json as nnU-Net writes it."""
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [4.0, 0.6, 0.6],
        "original_median_shape_after_transp": [20, 384, 384],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {name: configuration(name) for name in PLANS},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": dict.fromkeys(("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std"), 1.0)
        },
    }


def configuration(name: str) -> dict[str, Any]:
    planned, dims = PLANS[name], len(PLANS[name]["patch_size"])
    stages = len(planned["strides"])
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": f"nnUNetPlans_{name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": planned["patch_size"],
        "median_image_size_in_voxels": [384.0, 384.0] if dims == 2 else [20.0, 384.0, 384.0],
        "spacing": planned["spacing"],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": planned["features_per_stage"],
                "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
                "kernel_sizes": planned["kernel_sizes"],
                "strides": planned["strides"],
                "n_conv_per_stage": [2] * stages,
                "n_conv_per_stage_decoder": [2] * (stages - 1),
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": dims == 2,
    }


def network_of(name: str, deep: bool = True) -> Any:
    """nnU-Net's own network, with random weights; `deep`: with the outputs that only training uses."""
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    torch.manual_seed(1)
    network = get_network_from_plans(*configuration(name)["architecture"].values(), 1, 3, True, deep)
    _lean(network, [side if side <= 16 else 128 for side in PLANS[name]["patch_size"]])
    return network


def _lean(network: Any, size: Sequence[int]) -> None:
    """Let each class take about one voxel in fifty, as in a neck: a mask of noise is odd to judge and to write."""
    import torch

    network.eval()
    with torch.inference_mode():
        logits = network(torch.randn(1, 1, *size))
        logits = (logits[0] if isinstance(logits, (list, tuple)) else logits)[0].flatten(1)
    with torch.no_grad():
        head = network.decoder.seg_layers[-1]
        for label in (1, 2):
            head.bias[label] -= torch.quantile((logits[label] - logits[0])[:: len(logits[0]) // 10_000], 0.98)


def results(folder: Path) -> Path:
    """nnU-Net's results folder with one fold of both networks, with random weights."""
    import torch

    dataset = {
        "channel_names": {"0": "T2"},
        "labels": {"background": 0, "vertebrae": 1, "inter-vetebral disc": 2},
        "numTraining": 10,
        "file_ending": ".nii.gz",
    }
    for name in PLANS:
        network = network_of(name)
        here = folder / DATASET / f"nnUNetTrainer__nnUNetPlans__{name}"
        (here / "fold_0").mkdir(parents=True)
        (here / "plans.json").write_text(json.dumps(plans()), encoding="utf-8")
        (here / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
        (here / "dataset_fingerprint.json").write_text("{}", encoding="utf-8")
        checkpoint = {
            "network_weights": network.state_dict(),
            "optimizer_state": {},
            "grad_scaler_state": None,
            "logging": {},
            "_best_ema": 0.0,
            "current_epoch": 1,
            "init_args": {"configuration": name, "fold": 0},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": tuple(range(len(PLANS[name]["patch_size"]))),
        }
        torch.save(checkpoint, here / "fold_0" / "checkpoint_final.pth")
    return folder


def exam(folder: Path, shape: tuple[int, int, int] = SHAPE) -> Path:
    """One exam, int16, PSR, as both sides read it."""
    affine = np.array([[0, 0, SPACING[2], -38.0], [-SPACING[0], 0, 0, 100], [0, SPACING[1], 0, -110], [0, 0, 0, 1.0]])
    drawn = phantom.make(11, volume.Grid(shape, affine))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cspine_1_0000.nii.gz"
    volume.write(volume.from_array(np.rint(drawn.image).astype(np.int16), affine), path)
    return path
