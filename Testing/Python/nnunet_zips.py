"""Exports of nnU-Net made by hand: every member of the zip, and every entry of its JSON, for a test to change.

Checkpoints have nnU-Net's structure and the state dicts of its own package of networks, tiny ones with random weights.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.model.nnunet import importing

DATASET = "Dataset108_CSpineSeg"
# What the zip of one 2d fold holds, and the file that a program in it would leave if it were run.
TOP = f"{DATASET}/nnUNetTrainer__nnUNetPlans__2d"
CHECKPOINT = f"{TOP}/fold_0/checkpoint_final.pth"
PROOF = "proof-that-it-was-run"
FEATURES = [4, 8, 8]
RESAMPLING = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
TITLES = {
    "PlainConvUNet": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "ResidualEncoderUNet": "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet",
}


def dataset(**changes: Any) -> dict[str, Any]:
    """dataset.json as the dataset's authors write it."""
    return {
        "channel_names": {"0": "T2"},
        "labels": {"background": 0, "vertebrae": 1, "inter-vetebral disc": 2},
        "numTraining": 4,
        "file_ending": ".nii.gz",
        **changes,
    }


def architecture(dims: int, name: str = "PlainConvUNet") -> dict[str, Any]:
    first, later = [1] * dims, [2] * dims
    return {
        "network_class_name": TITLES[name],
        "arch_kwargs": {
            "n_stages": 3,
            "features_per_stage": FEATURES,
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": [[3] * dims] * 3,
            "strides": [first, later, later],
            "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage": [1, 2, 1],
            "n_conv_per_stage_decoder": [1, 1],
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def configuration(dims: int, name: str = "PlainConvUNet", **changes: Any) -> dict[str, Any]:
    return {
        "data_identifier": f"nnUNetPlans_{dims}d",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [8, 32, 32][-dims:],
        "median_image_size_in_voxels": [10.0, 40.0, 40.0][-dims:],
        "spacing": [4.0, 0.8, 0.8][-dims:],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": dict(RESAMPLING),
        "resampling_fn_seg_kwargs": {**RESAMPLING, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**RESAMPLING, "order": 1},
        "architecture": architecture(dims, name),
        "batch_dice": True,
        **changes,
    }


def plans(name: str = "PlainConvUNet", **changes: Any) -> dict[str, Any]:
    """plans.json with 2d and 3d_fullres, and a 3d_lowres with its cascade as the planner makes them."""
    low = {**configuration(3, name), "next_stage": "3d_cascade_fullres"}
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans" if name == "PlainConvUNet" else "nnUNetResEncUNetLPlans",
        "original_median_spacing_after_transp": [4.0, 0.8, 0.8],
        "original_median_shape_after_transp": [10, 40, 40],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {"mean": 100.0, "std": 20.0, "percentile_00_5": 10.0, "percentile_99_5": 300.0, "max": 999.0}
        },
        "configurations": {
            "2d": configuration(2, name),
            "3d_lowres": low,
            "3d_fullres": configuration(3, name),
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
        **changes,
    }


@functools.cache
def _network(dims: int, name: str, seed: int):
    import torch
    from dynamic_network_architectures.architectures import unet
    from torch import nn

    torch.manual_seed(seed)
    conv, norm = ((nn.Conv2d, nn.InstanceNorm2d), (nn.Conv3d, nn.InstanceNorm3d))[dims - 2]
    given = [1, 3, FEATURES, conv, 3, [1, 2, 2], [1, 2, 1], 3, [1, 1], True, norm, {"eps": 1e-5, "affine": True}]
    made = getattr(unet, name)(*given, None, None, nn.LeakyReLU, {"inplace": True}, deep_supervision=True)
    return made.eval()


def state(dims: int, name: str = "PlainConvUNet", seed: int = 0) -> dict[str, Any]:
    """The state dict of nnU-Net's own network for :func:`plans`, every tensor under all of its names."""
    return _network(dims, name, seed).state_dict()


def checkpoint(dims: int = 2, name: str = "PlainConvUNet", fold: int | str = 0, **changes: Any) -> dict[str, Any]:
    """What nnUNetTrainer.save_checkpoint saves: optimiser, NumPy scalars in the log, a device in the arguments."""
    import torch

    weights = state(dims, name, fold if isinstance(fold, int) else 99)
    named = {"2": "2d", "3": "3d_fullres"}[str(dims)]
    log = {"ema_fg_dice": [np.float64(0.5)], "lrs": [0.01, np.float32(0.009)], "epoch": [np.int64(1), np.bool_(True)]}
    return {
        "network_weights": weights,
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.zeros(1000)}}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": log,
        "_best_ema": np.float64(0.5),
        "current_epoch": 7,
        "init_args": {
            "plans": plans(name),
            "configuration": named,
            "fold": fold,
            "dataset_json": dataset(),
            "device": torch.device("cuda"),
        },
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": tuple(range(dims)),
        **changes,
    }


def saved(content: Any) -> bytes:
    """As torch.save writes it."""
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def training(
    configured: str = "2d",
    folds: tuple[int | str, ...] = (0,),
    name: str = "PlainConvUNet",
    *,
    trainer: str = "nnUNetTrainer",
    folder: str = DATASET,
    plan: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
    file: str = "checkpoint_final.pth",
    **changes: Any,
) -> dict[str, bytes]:
    """{path in the zip: bytes} of one configuration; `changes` are of its checkpoints."""
    plan, about = plan or plans(name), about or dataset()
    top = f"{folder}/{trainer}__{plan['plans_name']}__{configured}"
    members = {
        f"{top}/{part}.json": json.dumps(content).encode()
        for part, content in {"plans": plan, "dataset": about, "dataset_fingerprint": {"spacings": []}}.items()
    }
    dims = 2 if configured == "2d" else 3
    for fold in folds:
        content = checkpoint(dims, name, fold, **{"trainer_name": trainer, **changes})
        if configured not in ("2d", "3d_fullres"):
            content["init_args"]["configuration"] = configured
        members[f"{top}/fold_{fold}/{file}"] = saved(content)
        members[f"{top}/fold_{fold}/validation/summary.json"] = b"{}"
        members[f"{top}/fold_{fold}/progress.png"] = b"no picture"
    return members


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def write_folder(folder: Path, members: dict[str, bytes]) -> Path:
    for name, data in members.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def both(folder: Path) -> Path:
    """A zip with 2d in folds 0, 1 and all, and 3d_fullres in fold 0."""
    return write_zip(folder / "both.zip", {**training("2d", (0, 1, "all")), **training("3d_fullres", (0,))})


def refusal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function that imports a zip's members, or a file, that must be refused, and gives the sentence.

    The user's models are in `folder`, which is also where a program in the zip would run: neither may leave anything.
    """
    models = folder / "Models"
    monkeypatch.setenv("CSPINESEG_MODELS", str(models))
    monkeypatch.chdir(folder)

    def run(source: dict[str, bytes] | Path, **options: Any) -> str:
        if isinstance(source, dict):
            source = write_zip(folder / "model.zip", source)
        with pytest.raises(CSpineSegError) as caught:
            importing.import_model(source, **options)
        said = str(caught.value)
        assert said.endswith(".") and "\n" not in said and len(said) < 600
        assert not models.exists() and not (folder / PROOF).exists()
        return said

    return run
