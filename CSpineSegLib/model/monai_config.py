"""What MONAI wants to find in a bundle: the description of the data and a configuration that its runner reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import networks, preprocess


def data_format(definition: Mapping[str, Any]) -> dict[str, Any]:
    """`network_data_format` of the metadata: a sagittal slice, maybe between two others, in; three class maps out."""
    step, channels = networks.stride(definition), definition["in_channels"]
    plane = [f"{step}*n", f"{step}*n"]
    seen = ["image"] if channels == 1 else ["slice to the left", "image", "slice to the right"]
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": channels,
        "spatial_shape": plane,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(index): name for index, name in enumerate(seen)},
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
    """`inference.json` for MONAI's own runner: the steps of :mod:`preprocess`, with which it writes the same mask.

    The expressions ("$...") are for MONAI alone; this project reads only `network_def`, as data. They run whole slices
    of any size, and make no use of the calibration.
    """
    slices, distance = preprocess.context_of(preprocessing)
    return {
        "imports": ["$import numpy as np", "$import torch"],
        "bundle_root": ".",
        "images": [],
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": networks.to_monai(definition),
        "stored": "$torch.load(@bundle_root + '/models/model.pt', map_location='cpu', weights_only=True)",
        # A DynUNet lists its layers twice, and the file holds each once.
        "weights": (
            "$(lambda stored, all: {name: next(stored[other] for other in all if all[other] is all[name])"
            " for name in all})(@stored, @network_def.state_dict(keep_vars=True))"
        ),
        "network": "$(@network_def.load_state_dict(@weights), @network_def.eval().to(@device))[1]",
        "inferer": {"_target_": "SimpleInferer"},
        "preprocessing": {"_target_": "Compose", "transforms": _preprocessing()},
        **_steps(float(preprocessing["in_plane_spacing_mm"]), networks.stride(definition), slices, distance),
        "postprocessing": {"_target_": "Compose", "transforms": _postprocessing()},
        "segment": (
            "$lambda path: (lambda item: @postprocessing({**item, 'pred': monai.data.MetaTensor("
            "torch.from_numpy(@labels(item['image'])[None]), meta=item['image'].meta,"
            " applied_operations=item['image'].applied_operations)}))(@preprocessing({'image': path}))"
        ),
        "run": ["$torch.set_grad_enabled(False)", "$[@segment(path)['pred'].shape for path in @images]"],
    }


def _steps(spacing: float, step: int, slices: int, distance: float) -> dict[str, Any]:
    """The functions of :mod:`preprocess` and :mod:`running` as expressions. A line is (samples, mm between them)."""
    return {
        "spacing": spacing,
        "step": step,
        "context": [0] if slices == 1 else [-1, 0, 1],
        "distance": distance,
        "line": (
            f"$lambda size, mm: (size, mm) if abs(mm / @spacing - 1.0) <= {preprocess.SAME_SPACING}"
            " else (max(1, round(size * mm / @spacing)), @spacing)"
        ),
        "weighted": "$lambda weights: (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)",
        "interpolation": (
            "$lambda size, mm, new_size, new_mm: @weighted(np.maximum(0.0, 1.0 - np.abs(np.clip("
            "((np.arange(new_size) - (new_size - 1) / 2.0) * new_mm / mm) + (size - 1) / 2.0, 0.0, size - 1.0)"
            "[:, None] - np.arange(size)[None, :]) / max(1.0, new_mm / mm)))"
        ),
        "resize": (
            "$lambda maps, old, new: maps if old == new else np.matmul(np.matmul("
            "@interpolation(*old[0], *new[0]), maps), @interpolation(*old[1], *new[1]).T)"
        ),
        "clip": f"$lambda values: np.minimum(values, np.quantile(values, {preprocess.PERCENTILE / 100.0}))",
        "scale": "$lambda values: values / np.float32(float(np.abs(values).max()) or 1.0)",
        "centre": "$lambda values: values - np.float32(values.mean(dtype=np.float64))",
        "unit": (
            "$lambda values: (lambda deviation: values / np.float32(deviation) if deviation >= 1e-6"
            " else np.zeros_like(values))(float(np.sqrt(np.square(values).mean(dtype=np.float64))))"
        ),
        "normalise": "$lambda values: @unit(@centre(@scale(@clip(values).astype(np.float32))))",
        "margin": (
            "$lambda size: (lambda extra: (extra // 2, extra - extra // 2))"
            "(max(2 * @step, -(-size // @step) * @step) - size)"
        ),
        "slice": (
            "$lambda seen: (lambda rows, columns: @inferer(torch.from_numpy(np.pad(seen, ((0, 0), rows, columns)))"
            "[None].to(@device), @network).float().softmax(1)[0, :, rows[0]:rows[0] + seen.shape[1],"
            " columns[0]:columns[0] + seen.shape[2]].cpu().numpy())(@margin(seen.shape[1]), @margin(seen.shape[2]))"
        ),
        "around": (
            "$lambda index, count, across: np.clip(index + np.array(@context) * max(1, round(@distance / across)),"
            " 0, count - 1)"
        ),
        "maps": (
            "$lambda slices, across: np.stack([@slice(slices[@around(index, len(slices), across)])"
            " for index in range(len(slices))], axis=1)"
        ),
        "lines": "$lambda image: [(image.shape[axis + 1], float(image.pixdim[axis])) for axis in (1, 2)]",
        "between": (
            "$lambda voxels, across, old, new: @resize(@maps(@normalise(@resize(voxels, old, new)), across), new, old)"
            ".argmax(axis=0).astype(np.uint8)"
        ),
        "labels": (
            "$lambda image: @between(np.ascontiguousarray(image[0].numpy()), float(image.pixdim[0]), @lines(image),"
            " [@line(*one) for one in @lines(image)])"
        ),
    }


def _preprocessing() -> list[dict[str, Any]]:
    return [
        {"_target_": "LoadImaged", "keys": "image", "reader": "NibabelReader"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": preprocess.ORIENTATION, "labels": None},
    ]


def _postprocessing() -> list[dict[str, Any]]:
    saved = {"output_dir": "@output_dir", "output_postfix": "SEG", "separate_folder": False, "resample": False}
    return [
        {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"},
        {"_target_": "SaveImaged", "keys": "pred", "output_dtype": "$torch.uint8", **saved},
    ]
