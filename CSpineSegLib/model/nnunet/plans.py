"""nnU-Net's plans.json and dataset.json read as data: what is on the lists here is kept, everything else is refused.

nnU-Net looks up the classes and functions that its plans name. Here a name is only ever compared with a list, so that
plans from anywhere can be read safely, and a model that would be run differently from nnU-Net is refused instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import ModelError
from . import architecture, unets
from .architecture import mapping, number, sequence, truth, whole

CONFIGURATIONS = {"2d": 2, "3d_fullres": 3}
READERS = ("SimpleITKIO", "NibabelIO", "NibabelIOWithReorient", "SimpleITKIOWithReorient")
NORMALIZATIONS = (
    "ZScoreNormalization",
    "CTNormalization",
    "NoNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
)
RESAMPLING = "resample_data_or_seg_to_shape"
_RESAMPLING_ARGUMENTS = {"is_seg", "order", "order_z", "force_separate_z", "separate_z_anisotropy_threshold"}
_ANISOTROPY = 3
_INTENSITIES = ("mean", "std", "percentile_00_5", "percentile_99_5")
_MOST_PIXELS = 2**27


@dataclass(frozen=True)
class Configuration:
    """A configuration of the plans; all axes are the transposed ones, see `Plans.transpose_forward`.

    Parameters
    ----------
    name : "2d" or "3d_fullres".
    patch_size : voxels, 2 or 3 numbers. spacing : mm, 2 or 3 numbers.
    normalization, use_mask_for_norm : for each channel, of :data:`NORMALIZATIONS`.
    network : see :func:`unets.build`.
    order, order_z, force_separate_z : of the splines by which images are resampled.
    order_probabilities, order_z_probabilities, force_separate_z_probabilities : by which logits are resampled back.
    """

    name: str
    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    normalization: tuple[str, ...]
    use_mask_for_norm: tuple[bool, ...]
    network: dict[str, Any]
    order: int = 3
    order_z: int = 0
    force_separate_z: bool | None = None
    order_probabilities: int = 1
    order_z_probabilities: int = 0
    force_separate_z_probabilities: bool | None = None


@dataclass(frozen=True)
class Plans:
    """What inference needs of plans.json and dataset.json.

    Parameters
    ----------
    reader : nnU-Net's class that read the images, of :data:`READERS`.
    transpose_forward, transpose_backward : axes; nnU-Net's arrays are (k, j, i) of a NIfTI file before.
    intensities : {"mean", "std", "percentile_00_5", "percentile_99_5"} of the foreground for each channel, only where
        a configuration normalises by them.
    configurations : {name: Configuration}, those that were asked for.
    label_names : {0, 1, 2: the name in dataset.json}; masks are matched by value, never by name.
    channel : the name of the one channel in dataset.json.
    """

    dataset_name: str
    plans_name: str
    reader: str
    transpose_forward: tuple[int, ...]
    transpose_backward: tuple[int, ...]
    intensities: tuple[dict[str, float], ...]
    configurations: dict[str, Configuration]
    label_names: dict[int, str]
    channel: str


def read(plans: Mapping[str, Any], dataset: Mapping[str, Any], configurations: tuple[str, ...] | None = None) -> Plans:
    """The plans that nnU-Net 2 would follow.

    Parameters
    ----------
    plans, dataset : contents of plans.json (of any nnU-Net 2) and dataset.json.
    configurations : names; by default those of :data:`CONFIGURATIONS` that the plans have.

    Raises
    ------
    ModelError : something that is not on the allow-lists, in one sentence.
    """
    where = "The plans"
    mapping(plans, where, "plans.json")
    labels, channel = _labels(dataset), _channel(dataset)
    manager = plans.get("label_manager", "LabelManager")
    if manager != "LabelManager":
        raise ModelError(f"{where} name the label manager {manager!r}, which is not known here; LabelManager is.")
    reader = plans.get("image_reader_writer")
    if reader not in READERS:
        raise ModelError(f"{where} name the image reader {reader!r}, which is not known here; {_or(READERS)} is.")
    forward, backward = _axes(plans, "transpose_forward"), _axes(plans, "transpose_backward")
    if tuple(forward[axis] for axis in backward) != (0, 1, 2):
        raise ModelError(f"{where} have transposes that do not undo each other, {forward} and {backward}.")
    present = mapping(plans.get("configurations"), where, "configurations")
    wanted = tuple(name for name in CONFIGURATIONS if name in present) if configurations is None else configurations
    found = {name: _configuration(present, name) for name in wanted}
    if not found:
        raise ModelError(f"{where} have no configuration {_or(CONFIGURATIONS)}, only {_or(sorted(present)) or 'none'}.")
    by_intensity = any("CTNormalization" in configuration.normalization for configuration in found.values())
    return Plans(
        _text(plans.get("dataset_name"), "dataset_name"),
        _text(plans.get("plans_name"), "plans_name"),
        reader,
        forward,
        backward,
        _intensities(plans) if by_intensity else (),
        found,
        labels,
        channel,
    )


def describe(plans: Plans) -> tuple[dict[str, Any], dict[str, Any]]:
    """plans.json and dataset.json, as small as they can be, from which :func:`read` makes `plans` again."""
    tables = {}
    for name, one in plans.configurations.items():
        tables[name] = {
            "preprocessor_name": "DefaultPreprocessor",
            "patch_size": list(one.patch_size),
            "spacing": list(one.spacing),
            "normalization_schemes": list(one.normalization),
            "use_mask_for_norm": list(one.use_mask_for_norm),
            "architecture": architecture.describe(one.network),
            "resampling_fn_data": RESAMPLING,
            "resampling_fn_data_kwargs": {
                "is_seg": False,
                "order": one.order,
                "order_z": one.order_z,
                "force_separate_z": one.force_separate_z,
            },
            "resampling_fn_probabilities": RESAMPLING,
            "resampling_fn_probabilities_kwargs": {
                "is_seg": False,
                "order": one.order_probabilities,
                "order_z": one.order_z_probabilities,
                "force_separate_z": one.force_separate_z_probabilities,
            },
        }
    content = {
        "dataset_name": plans.dataset_name,
        "plans_name": plans.plans_name,
        "image_reader_writer": plans.reader,
        "transpose_forward": list(plans.transpose_forward),
        "transpose_backward": list(plans.transpose_backward),
        "label_manager": "LabelManager",
        "configurations": tables,
    }
    if plans.intensities:
        numbered = enumerate(plans.intensities)
        content["foreground_intensity_properties_per_channel"] = {str(index): dict(one) for index, one in numbered}
    labels = {("background" if value == 0 else name): value for value, name in plans.label_names.items()}
    return content, {"channel_names": {"0": plans.channel}, "labels": labels}


def _configuration(present: Mapping[str, Any], name: str) -> Configuration:
    where = f"The plans of {name!r}"
    if name not in CONFIGURATIONS:
        raise ModelError(f"The configuration {name!r} cannot be run here; {_or(CONFIGURATIONS)} can.")
    table, dims = _inherited(present, name), CONFIGURATIONS[name]
    if table.get("previous_stage") is not None:
        raise ModelError(f"{where} are a stage of a cascade, which cannot be run here; 2d and 3d_fullres can.")
    preparer = table.get("preprocessor_name", "DefaultPreprocessor")
    if preparer != "DefaultPreprocessor":
        raise ModelError(f"{where} name the preprocessor {preparer!r}, which is not known here.")
    sides = sequence(table.get("patch_size"), where, "patch_size", dims)
    patch = tuple(whole(size, where, "patch_size", 1, 4096) for size in sides)
    if math.prod(patch) > _MOST_PIXELS:
        raise ModelError(f"{where} have patches of {' x '.join(map(str, patch))}, larger than any that nnU-Net plans.")
    spacing = sequence(table.get("spacing"), where, "spacing", dims)
    schemes = tuple(sequence(table.get("normalization_schemes"), where, "normalization_schemes", 1))
    if schemes[0] not in NORMALIZATIONS:
        raise ModelError(f"{where} name the normalisation {schemes[0]!r}, which is not known here.")
    masked = sequence(table.get("use_mask_for_norm"), where, "use_mask_for_norm", 1)
    parts = table["architecture"] if "architecture" in table else architecture.from_old(table, dims, where)
    network = architecture.read(parts, dims, where)
    for size, step in zip(patch, unets.divisors(network), strict=True):
        if size % step:
            raise ModelError(f"{where} have a patch side of {size}, which the strides, {step}, do not divide.")
    return Configuration(
        name,
        patch,
        tuple(number(size, where, "spacing", 1e-3, 1e3) for size in spacing),
        schemes,
        tuple(truth(value, where, "use_mask_for_norm") for value in masked),
        network,
        *_resampling(table, "resampling_fn_data", where),
        *_resampling(table, "resampling_fn_probabilities", where),
    )


def _inherited(present: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A configuration with what it leaves to others by "inherits_from"."""
    chain: list[str] = []
    while name is not None:
        if name in chain or not isinstance(name, str) or name not in present:
            raise ModelError(f"The plans have a configuration that inherits from {name!r}, which leads nowhere.")
        chain.append(name)
        name = mapping(present[name], f"The plans of {name!r}", "configuration").get("inherits_from")
    merged: dict[str, Any] = {}
    for one in reversed(chain):
        merged |= present[one]
    return merged


def _resampling(table: Mapping[str, Any], key: str, where: str) -> tuple[int, int, bool | None]:
    """(order, order along the coarse axis, whether that is apart) of a resampling; nnU-Net's defaults if not told."""
    if table.get(key) != RESAMPLING:
        raise ModelError(f"{where} name {table.get(key)!r} for {key!r}, which is not known here; {RESAMPLING} is.")
    given = mapping(table.get(f"{key}_kwargs", {}), where, f"{key}_kwargs")
    unknown = sorted(set(map(str, given)) - _RESAMPLING_ARGUMENTS)
    if unknown or given.get("is_seg", False) is not False:
        raise ModelError(f"{where} resample with {(unknown or ['is_seg'])[0]!r} in {key!r}, which is not known here.")
    if given.get("separate_z_anisotropy_threshold", _ANISOTROPY) != _ANISOTROPY:
        raise ModelError(f"{where} have another threshold of anisotropy than {_ANISOTROPY}, which is not known here.")
    apart = given.get("force_separate_z", False)
    return (
        whole(given.get("order", 3), where, f"{key} order", 0, 5),
        whole(given.get("order_z", 0), where, f"{key} order_z", 0, 5),
        None if apart is None else truth(apart, where, "force_separate_z"),
    )


def _labels(dataset: Mapping[str, Any]) -> dict[int, str]:
    """{0, 1, 2: name in dataset.json}; ModelError for regions, other labels, or names and values swapped."""
    labels = mapping(mapping(dataset, "The description", "dataset.json").get("labels"), "dataset.json", "labels")
    found: dict[int, str] = {}
    for name, value in labels.items():
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if isinstance(value, (list, tuple)):
            raise ModelError(f"The model was trained on regions ({name!r}: {list(value)}), which are not supported.")
        if isinstance(value, str) and value.isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ModelError(f"dataset.json gives the label {name!r} the value {value!r}, which is not a whole number.")
        # Voxels with the ignore label were left out of training; the network has no output for it.
        if name != "ignore":
            found[value] = str(name)
    if sorted(found) != [0, 1, 2] or len(found) != len(labels) - ("ignore" in labels):
        raise ModelError(
            f"The model's labels are {sorted(found)}; one that can be imported has 0, 1 (vertebral bodies) and "
            "2 (discs), and no others."
        )
    if found[0] != "background":
        raise ModelError(f"dataset.json gives the background's value 0 to {found[0]!r}; export the model again.")
    return dict(sorted(found.items()))


def _channel(dataset: Mapping[str, Any]) -> str:
    names = mapping(dataset.get("channel_names", dataset.get("modality")), "dataset.json", "channel_names")
    if len(names) != 1:
        raise ModelError(f"The model takes {len(names)} images at a time; one that can be imported takes a single one.")
    return str(next(iter(names.values())))


def _axes(plans: Mapping[str, Any], key: str) -> tuple[int, ...]:
    axes = tuple(whole(axis, "The plans", key, 0, 2) for axis in sequence(plans.get(key), "The plans", key, 3))
    if sorted(axes) != [0, 1, 2]:
        raise ModelError(f"The plans have {key!r} {list(axes)}, which does not name each axis once.")
    return axes


def _intensities(plans: Mapping[str, Any]) -> tuple[dict[str, float], ...]:
    """Of the foreground, for the one channel."""
    key = "foreground_intensity_properties_per_channel"
    table = mapping(plans.get(key, plans.get("foreground_intensity_properties_by_modality")), "The plans", key)
    given = mapping(table.get("0"), "The plans", key)
    return ({name: number(given.get(name), "The plans", f"{key} {name}", -1e12, 1e12) for name in _INTENSITIES},)


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value or len(value) > 200:
        raise ModelError(f"The plans have no usable {key!r}: {str(value)[:60]!r}; export the model again.")
    return value


def _or(names: Any) -> str:
    return " or ".join(names)
