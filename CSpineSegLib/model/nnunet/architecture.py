"""The network that nnU-Net's plans describe, as plain data: every name is compared with a list, none is looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ModelError
from . import unets

OUTPUTS = 3

# nnU-Net itself finds a class by the last part of its name if the module has moved since.
_CLASSES = {
    "dynamic_network_architectures.architectures.unet.PlainConvUNet": "PlainConvUNet",
    "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet": "ResidualEncoderUNet",
    "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet": "ResidualEncoderUNet",
    "PlainConvUNet": "PlainConvUNet",
    "ResidualEncoderUNet": "ResidualEncoderUNet",
}
_BLOCKS = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
_CONVOLUTIONS = {f"{module}.Conv{dims}d": dims for module in ("torch.nn.modules.conv", "torch.nn") for dims in (2, 3)}
_NORMALIZATIONS = {
    f"{module}.InstanceNorm{dims}d": dims for module in ("torch.nn.modules.instancenorm", "torch.nn") for dims in (2, 3)
}
_ACTIVATIONS = ("torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU")
_BASIC_BLOCKS = (None, "dynamic_network_architectures.building_blocks.residual.BasicBlockD")

_STAGES = ("n_stages", "features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage_decoder")
_PARTS = ("conv_op", "norm_op", "dropout_op", "nonlin", "nonlin_first", "block", "bottleneck_channels", "stem_channels")
_FURTHER = ("conv_bias", "norm_op_kwargs", "dropout_op_kwargs", "nonlin_kwargs", "deep_supervision")
_MOST_STAGES, _MOST_FEATURES = 32, 4096


def read(architecture: Any, dims: int, where: str) -> dict[str, Any]:
    """What :func:`unets.build` takes, from the "architecture" of a configuration.

    Parameters
    ----------
    architecture : {"network_class_name": dotted name, "arch_kwargs": {...}} as nnU-Net writes it.
    dims : 2 or 3, of the patches. where : begins the sentence of an error, for instance "The plans of '2d'".

    Raises
    ------
    ModelError : a class, an argument or a value that is not on the lists here.
    """
    table = mapping(architecture, where, "architecture")
    given = table.get("network_class_name")
    name = _CLASSES.get(given) if isinstance(given, str) else None
    if name is None:
        raise ModelError(
            f"{where} name the network class {given!r}, which is not one that can be run here; "
            "PlainConvUNet and ResidualEncoderUNet are."
        )
    kwargs = mapping(table.get("arch_kwargs"), where, "arch_kwargs")
    unknown = sorted(set(map(str, kwargs)) - {*_STAGES, *_PARTS, *_FURTHER, _BLOCKS[name]})
    if unknown:
        raise ModelError(f"{where} give the network the argument {unknown[0]!r}, which is not known here.")
    _check_parts(kwargs, dims, where)
    norm = mapping(kwargs.get("norm_op_kwargs") or {}, where, "norm_op_kwargs")
    nonlin = mapping(kwargs.get("nonlin_kwargs") or {}, where, "nonlin_kwargs")
    found = {
        "name": name,
        "dims": dims,
        "input_channels": 1,
        "num_classes": OUTPUTS,
        **{key: kwargs[key] for key in (*_STAGES, _BLOCKS[name]) if key in kwargs},
        "conv_bias": kwargs.get("conv_bias", False),
        "norm_affine": norm.get("affine", False),
        "norm_eps": norm.get("eps", 1e-5),
        "negative_slope": nonlin.get("negative_slope", 0.01),
    }
    try:
        return unets.check(found)
    except ModelError as error:
        raise ModelError(f"{where} describe a network that cannot be run here: {error}") from None


def describe(network: Mapping[str, Any]) -> dict[str, Any]:
    """The "architecture" from which :func:`read` makes `network` again."""
    dims, name = network["dims"], network["name"]
    return {
        "network_class_name": name,
        "arch_kwargs": {
            **{key: network[key] for key in (*_STAGES, _BLOCKS[name], "conv_bias")},
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": network["norm_eps"], "affine": network["norm_affine"]},
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"negative_slope": network["negative_slope"]},
        },
    }


def from_old(configuration: Mapping[str, Any], dims: int, where: str) -> dict[str, Any]:
    """The "architecture" of a configuration of nnU-Net before 2.5, which wrote its parts side by side."""
    try:
        name = configuration["UNet_class_name"]
        blocks = list(configuration["n_conv_per_stage_encoder"])
        base, most = configuration["UNet_base_num_features"], configuration["unet_max_num_features"]
        kernels, strides = configuration["conv_kernel_sizes"], configuration["pool_op_kernel_sizes"]
        decoder = configuration["n_conv_per_stage_decoder"]
    except (KeyError, TypeError) as error:
        raise ModelError(f"{where} lack the network ({error}); export the model again with nnU-Net 2.") from None
    base = whole(base, where, "UNet_base_num_features", 1, _MOST_FEATURES)
    most = whole(most, where, "unet_max_num_features", 1, _MOST_FEATURES)
    if len(blocks) > _MOST_STAGES:
        raise ModelError(f"{where} have {len(blocks)} stages, more than any network of nnU-Net.")
    return {
        "network_class_name": name,
        "arch_kwargs": {
            "n_stages": len(blocks),
            "features_per_stage": [min(base * 2**stage, most) for stage in range(len(blocks))],
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": kernels,
            "strides": strides,
            _BLOCKS["PlainConvUNet" if name == "PlainConvUNet" else "ResidualEncoderUNet"]: blocks,
            "n_conv_per_stage_decoder": decoder,
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "torch.nn.LeakyReLU",
        },
    }


def _check_parts(kwargs: Mapping[str, Any], dims: int, where: str) -> None:
    """ModelError unless the layers are convolutions, instance normalisations and leaky ReLUs without dropout."""
    permitted = {
        "conv_op": [name for name, count in _CONVOLUTIONS.items() if count == dims],
        "norm_op": [name for name, count in _NORMALIZATIONS.items() if count == dims],
        "nonlin": _ACTIVATIONS,
        "dropout_op": (None,),
        "nonlin_first": (None, False),
        "block": _BASIC_BLOCKS,
        "bottleneck_channels": (None,),
        "stem_channels": (None,),
    }
    for key, values in permitted.items():
        value = kwargs.get(key)
        if not any(value is one or (isinstance(value, str) and value == one) for one in values):
            raise ModelError(f"{where} give the network {key} {_short(value)}, which is not known here.")
    inner = {
        "norm_op_kwargs": {"eps", "affine"},
        "nonlin_kwargs": {"inplace", "negative_slope"},
    }
    for key, names in inner.items():
        unknown = sorted(set(map(str, mapping(kwargs.get(key) or {}, where, key))) - names)
        if unknown:
            raise ModelError(f"{where} give the network {key} with {unknown[0]!r}, which is not known here.")


def mapping(value: Any, where: str, key: str) -> Mapping[str, Any]:
    """`value` if it is a table; ModelError otherwise."""
    if not isinstance(value, Mapping):
        raise ModelError(f"{where} have no usable {key!r}: {_short(value)}; export the model again.")
    return value


def sequence(value: Any, where: str, key: str, count: int | None = None) -> Sequence[Any]:
    """`value` if it is a list, of `count` items; ModelError otherwise."""
    if not isinstance(value, (list, tuple)) or (count is not None and len(value) != count):
        many = "" if count is None else f" of {count}"
        raise ModelError(f"{where} have {key!r} {_short(value)}, which is not a list{many}; export the model again.")
    return value


def whole(value: Any, where: str, key: str, least: int, most: int) -> int:
    """`value` if it is a whole number within the limits; ModelError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        raise ModelError(f"{where} have {key!r} {_short(value)}, which is not a whole number; export the model again.")
    if not least <= value <= most:
        raise ModelError(f"{where} have {key!r} {_short(value)}, which is not between {least} and {most}.")
    return int(value)


def number(value: Any, where: str, key: str, least: float, most: float) -> float:
    """`value` as a float if it is a number within the limits; ModelError otherwise, also for NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ModelError(f"{where} have {key!r} {_short(value)}, which is not a number between {least:g} and {most:g}.")
    return float(value)


def truth(value: Any, where: str, key: str) -> bool:
    """`value` if it is true or false; ModelError otherwise."""
    if not isinstance(value, bool):
        raise ModelError(f"{where} have {key!r} {_short(value)}, which is neither true nor false.")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
