"""What MONAI wants to find in a bundle: the description of the data and a configuration that its runner reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import networks
from .preprocess import ORIENTATION, PERCENTILE

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"


def data_format(definition: Mapping[str, Any]) -> dict[str, Any]:
    """`network_data_format` of the metadata: one sagittal slice in, three class maps out."""
    step = networks.stride(definition)
    plane = [f"{step}*n", f"{step}*n"]
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": 1,
        "spatial_shape": plane,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {"0": "image"},
    }
    prediction = {
        "type": "image",
        "format": "segmentation",
        "num_channels": 3,
        "spatial_shape": plane,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {"0": "background", "1": "vertebral bodies", "2": "intervertebral discs"},
    }
    return {"inputs": {"image": image}, "outputs": {"pred": prediction}}


def inference(definition: Mapping[str, Any], preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """`inference.json` for MONAI's own runner: the same steps in MONAI's transforms.

    The expressions ("$...") are for MONAI alone; this project reads only `network_def`, as data.
    """
    spacing = preprocessing["in_plane_spacing_mm"]
    step = networks.stride(definition)
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "images": [],
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": networks.to_monai(definition),
        "stored": "$torch.load(@bundle_root + '/models/model.pt', map_location='cpu', weights_only=True)",
        "weights": (
            "$(lambda stored, all: {name: next(stored[other] for other in all if all[other] is all[name])"
            " for name in all})(@stored, @network_def.state_dict(keep_vars=True))"
        ),
        "network": "$(@network_def.load_state_dict(@weights), @network_def.eval().to(@device))[1]",
        "preprocessing": {"_target_": "Compose", "transforms": _preprocessing(spacing, step)},
        # Slices run one by one; -1 stands for the whole padded side.
        "inferer": {"_target_": "SliceInferer", "roi_size": [-1, -1], "spatial_dim": 0, "sw_batch_size": 1},
        "postprocessing": {"_target_": "Compose", "transforms": _postprocessing()},
        "segment": (
            "$lambda path: (lambda item: @postprocessing({**item, 'pred': "
            "@inferer(item['image'][None].to(@device), @network)[0].cpu()}))(@preprocessing({'image': path}))"
        ),
        "run": ["$torch.set_grad_enabled(False)", "$[@segment(path)['pred'].shape for path in @images]"],
    }


def _preprocessing(spacing: float, step: int) -> list[dict[str, Any]]:
    percentiles = {"lower": 0, "upper": PERCENTILE, "b_min": 0, "b_max": 1, "clip": True}
    return [
        {"_target_": "LoadImaged", "keys": "image", "reader": "NibabelReader"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": ORIENTATION, "labels": None},
        {"_target_": "Spacingd", "keys": "image", "pixdim": [-1, spacing, spacing], "mode": "bilinear"},
        {"_target_": "ScaleIntensityRangePercentilesd", "keys": "image", **percentiles},
        {"_target_": "NormalizeIntensityd", "keys": "image"},
        {"_target_": "DivisiblePadd", "keys": "image", "k": [1, step, step]},
    ]


def _postprocessing() -> list[dict[str, Any]]:
    saved = {"output_dir": "@output_dir", "output_postfix": "SEG", "separate_folder": False, "resample": False}
    return [
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "image",
            "nearest_interp": False,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {"_target_": "SaveImaged", "keys": "pred", "output_dtype": "$torch.uint8", **saved},
    ]
