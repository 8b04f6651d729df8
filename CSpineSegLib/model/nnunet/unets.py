"""nnU-Net's two U-Nets from plain data: their course written once, for torch, for OpenVINO and for counting weights.

:func:`follow` leads an input through the network by means of an :class:`Operations`: torch's are here, OpenVINO's are
in :mod:`conversion`. Weights keep the names of nnU-Net's checkpoints. There every tensor is listed up to four times
(a layer by its role and by its place in a list, the encoder again within the decoder) and the layers of deep
supervision are kept; here each tensor that inference needs has one name. nnU-Net: Isensee et al., Nature Methods 18,
203 (2021); the residual encoder: Isensee et al., MICCAI 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ...errors import ModelError

NAMES = ("PlainConvUNet", "ResidualEncoderUNet")
# nnU-Net's largest plans, for GPUs of 40 GB, ask for 140 million.
MOST_WEIGHTS = 400_000_000


class Operations(Protocol):
    """What a U-Net consists of. `name` leads to the weights, `<name>.weight` and `<name>.bias`."""

    def conv(
        self, x: Any, name: str, channels: tuple[int, int], kernel: Sequence[int], stride: Sequence[int], bias: bool
    ) -> Any:
        """Convolution with zeros around that keep the size (of an odd kernel); channels: (in, out)."""

    def upsample(self, x: Any, name: str, channels: tuple[int, int], stride: Sequence[int], bias: bool) -> Any:
        """Transposed convolution whose kernel is its stride."""

    def norm(self, x: Any, name: str, channels: int, eps: float, affine: bool) -> Any:
        """Instance normalisation. The input is not used again."""

    def activate(self, x: Any, slope: float) -> Any:
        """Leaky ReLU. The input is not used again."""

    def add(self, x: Any, y: Any) -> Any:
        """Sum. The first input is not used again."""

    def pool(self, x: Any, stride: Sequence[int]) -> Any:
        """Average over boxes as large as the stride."""

    def join(self, x: Any, y: Any) -> Any:
        """One behind the other along the channels."""


def follow(definition: Mapping[str, Any], do: Operations, x: Any) -> Any:
    """Logits of the input, by the operations of `do`; the definition is one that :func:`check` returned."""
    residual, features = definition["name"] == "ResidualEncoderUNet", definition["features_per_stage"]
    kernels, strides = definition["kernel_sizes"], definition["strides"]
    one, channels, skips = (1,) * definition["dims"], definition["input_channels"], []
    if residual:
        x = _block(definition, do, x, "encoder.stem.convs.0", (channels, features[0]), kernels[0], one)
        channels = features[0]
    for stage, (width, kernel, stride) in enumerate(zip(features, kernels, strides, strict=True)):
        for index in range(definition["n_blocks_per_stage" if residual else "n_conv_per_stage"][stage]):
            step = stride if index == 0 else one
            if residual:
                name = f"encoder.stages.{stage}.blocks.{index}"
                x = _residual(definition, do, x, name, (channels, width), kernel, step)
            else:
                name = f"encoder.stages.{stage}.0.convs.{index}"
                x = _block(definition, do, x, name, (channels, width), kernel, step)
            channels = width
        skips.append(x)
    skips.pop()
    for stage, convolutions in enumerate(definition["n_conv_per_stage_decoder"]):
        width, kernel, stride = features[-stage - 2], kernels[-stage - 2], strides[-stage - 1]
        pair = (channels, width)
        x = do.upsample(x, f"decoder.transpconvs.{stage}", pair, stride, definition["conv_bias"])
        x, channels = do.join(x, skips.pop()), 2 * width
        for index in range(convolutions):
            x = _block(definition, do, x, f"decoder.stages.{stage}.convs.{index}", (channels, width), kernel, one)
            channels = width
    return do.conv(x, _last(definition), (channels, definition["num_classes"]), one, one, True)


def _block(
    definition: Mapping[str, Any],
    do: Operations,
    x: Any,
    name: str,
    channels: tuple[int, int],
    kernel: Sequence[int],
    stride: Sequence[int],
    *,
    bias: bool | None = None,
    active: bool = True,
) -> Any:
    """Convolution, instance normalisation and, if `active`, leaky ReLU."""
    x = do.conv(x, f"{name}.conv", channels, kernel, stride, definition["conv_bias"] if bias is None else bias)
    x = do.norm(x, f"{name}.norm", channels[1], definition["norm_eps"], definition["norm_affine"])
    return do.activate(x, definition["negative_slope"]) if active else x


def _residual(
    definition: Mapping[str, Any],
    do: Operations,
    x: Any,
    name: str,
    channels: tuple[int, int],
    kernel: Sequence[int],
    stride: Sequence[int],
) -> Any:
    """Two convolutions and a way around them, pooled where they stride and projected where they widen (ResNet-D)."""
    one, width, around, index = (1,) * definition["dims"], channels[1], x, 0
    if any(step != 1 for step in stride):
        around, index = do.pool(around, stride), 1
    if channels[0] != width:
        skip = f"{name}.skip.{index}"
        around = _block(definition, do, around, skip, channels, one, one, bias=False, active=False)
    x = _block(definition, do, x, f"{name}.conv1", channels, kernel, stride)
    x = _block(definition, do, x, f"{name}.conv2", (width, width), kernel, one, active=False)
    return do.activate(do.add(x, around), definition["negative_slope"])


def _last(definition: Mapping[str, Any]) -> str:
    return f"decoder.seg_layers.{definition['n_stages'] - 2}"


class Shapes:
    """Operations that write down which weights they would use."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, ...]] = {}

    def conv(self, x: Any, name: str, channels: Any, kernel: Any, stride: Any, bias: bool) -> None:
        self._keep(name, (channels[1], channels[0], *kernel), channels[1] if bias else 0)

    def upsample(self, x: Any, name: str, channels: Any, stride: Any, bias: bool) -> None:
        self._keep(name, (channels[0], channels[1], *stride), channels[1] if bias else 0)

    def norm(self, x: Any, name: str, channels: int, eps: float, affine: bool) -> None:
        if affine:
            self._keep(name, (channels,), channels)

    def _keep(self, name: str, shape: tuple[int, ...], biases: int) -> None:
        self.found[f"{name}.weight"] = shape
        if biases:
            self.found[f"{name}.bias"] = (biases,)

    def activate(self, x: Any, slope: float) -> None:
        """Needs no weights, like those below."""

    def add(self, x: Any, y: Any) -> None: ...

    def pool(self, x: Any, stride: Any) -> None: ...

    def join(self, x: Any, y: Any) -> None: ...


def shapes(definition: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """{name of each weight that inference needs: its shape}; needs no torch. ModelError as :func:`check`."""
    counting = Shapes()
    follow(check(definition), counting, None)
    return counting.found


def divisors(definition: Mapping[str, Any]) -> tuple[int, ...]:
    """What the sides of an input must be multiples of: the products of the strides, one for each axis."""
    checked = check(definition)
    return tuple(math.prod(steps) for steps in zip(*checked["strides"], strict=True))


def strip(definition: Mapping[str, Any], weights: Mapping[str, Any]) -> dict[str, Any]:
    """Each weight that inference needs, once, under its one name.

    Parameters
    ----------
    definition : of the network.
    weights : {name: tensor}, a checkpoint's whole `network_weights`, also from a compiled or distributed training
        ("_orig_mod.", "module."), or what this function returned before.

    Raises
    ------
    ModelError : a weight is missing, has another shape, is not a real number throughout, or belongs to no such
        network; or one weight is stored twice with different values.
    """
    import torch

    checked, found, wanted = check(definition), {}, shapes(definition)
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ModelError("The weights are not a table of names and tensors; export the model again.")
        one = _one_name(name)
        if one not in wanted:
            if _of_deep_supervision(checked, one):
                continue
            raise ModelError(f"The weights hold {name!r}, which no such network has; they belong to another one.")
        if tuple(tensor.shape) != wanted[one]:
            sizes = (" x ".join(map(str, shape)) for shape in (tensor.shape, wanted[one]))
            raise ModelError("The weights {!r} are {} numbers where the plans ask for {}.".format(name, *sizes))
        if one in found:
            if found[one].data_ptr() != tensor.data_ptr() and not torch.equal(found[one], tensor):
                raise ModelError(f"The weights hold {one!r} twice with different values; export the model again.")
            continue
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"The weights {name!r} are not finite numbers; the training diverged.")
        found[one] = tensor
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ModelError(f"The weights lack {missing[0]!r}; they belong to another network than the plans describe.")
    return {name: found[name] for name in wanted}


def _one_name(name: str) -> str:
    """The name under which a weight is stored once."""
    for prefix in ("module.", "_orig_mod.", "module."):
        name = name.removeprefix(prefix)
    if name.startswith("decoder.encoder."):
        name = name.removeprefix("decoder.")
    place, listed, rest = name.partition(".all_modules.")
    if not listed:
        return name
    # A block lists its convolution, then dropout if it has one, which has no weights, and its normalisation.
    index, _, kind = rest.partition(".")
    return f"{place}.{({'0': 'conv', '1': 'norm', '2': 'norm'}).get(index, index)}.{kind}"


def _of_deep_supervision(checked: Mapping[str, Any], name: str) -> bool:
    """Whether a weight makes one of the coarser outputs, which exist for training only."""
    head, _, kind = name.rpartition(".")
    coarser = {f"decoder.seg_layers.{stage}" for stage in range(checked["n_stages"] - 2)}
    return head in coarser and kind in ("weight", "bias")


def build(definition: Mapping[str, Any]) -> Any:
    """A network with random weights, on the CPU, for inference.

    It takes (b, 1, *size) float32, sizes as :func:`divisors` says, and gives logits (b, 3, *size). Its state dict has
    the names and shapes of :func:`shapes`; to load a checkpoint, :func:`strip` it first. ModelError as :func:`check`.
    """
    from .torch_network import network

    return network(check(definition))


def check(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the definition in which every value was found on the allow-list; ModelError otherwise.

    One number that stands for every stage, or every axis, as in nnU-Net's plans, is written out.

    Parameters
    ----------
    definition : "name" (of :data:`NAMES`), "dims" (2 or 3), "input_channels" (1), "num_classes" (3), "n_stages",
        "features_per_stage", "kernel_sizes", "strides" (each for all stages, the last two for each axis),
        "n_conv_per_stage" or, for ResidualEncoderUNet, "n_blocks_per_stage", "n_conv_per_stage_decoder" (one stage
        fewer), "conv_bias", "norm_affine", "norm_eps" and "negative_slope".
    """
    if not isinstance(definition, Mapping):
        raise ModelError("The network definition is not a table of names and values.")
    name = definition.get("name")
    if not isinstance(name, str) or name not in NAMES:
        raise ModelError(f"The network {name!r} is not known; this version builds {' and '.join(NAMES)}.")
    depth = "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage"
    known = {"name", *_ONCE, *_PER_STAGE, depth, "n_conv_per_stage_decoder"}
    unknown, missing = sorted(map(str, set(definition) - known)), sorted(known - set(definition))
    if unknown or missing:
        what = f"the unknown argument {unknown[0]!r}" if unknown else f"no {missing[0]!r}"
        raise ModelError(f"The definition of the network {name} has {what}; it is refused.")
    for key, allowed in _ONCE.items():
        _allow(name, key, definition[key], allowed)
    stages, dims = definition["n_stages"], definition["dims"]
    checked = {key: definition[key] for key in ("name", *_ONCE)}
    counts = {**dict.fromkeys((*_PER_STAGE, depth), stages), "n_conv_per_stage_decoder": stages - 1}
    for key, count in counts.items():
        checked[key] = _listed(name, key, definition[key], count)
        if key in _PER_AXIS:
            checked[key] = [_listed(name, key, value, dims) for value in checked[key]]
        for value in checked[key]:
            for number in value if key in _PER_AXIS else (value,):
                _allow(name, key, number, _PER_STAGE.get(key, _whole(1, 12)))
    if any(step != 1 for step in checked["strides"][0]):
        raise ModelError(f"The network {name} strides in its first stage, and would give a smaller mask; refused.")
    counting = Shapes()
    follow(checked, counting, None)
    total = sum(map(math.prod, counting.found.values()))
    if total > MOST_WEIGHTS:
        raise ModelError(f"The network {name} would have {total:,} weights, over the limit of {MOST_WEIGHTS:,}.")
    return checked


def _listed(name: str, key: str, value: Any, count: int) -> list[Any]:
    """`count` values; one number stands for as many."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ModelError(f"The network {name} lists {len(values)} values for {key!r} where it needs {count}.")
    return values


def _allow(name: str, key: str, value: Any, allowed: Callable[[Any], bool]) -> None:
    if not allowed(value):
        raise ModelError(f"The value {value!r} is not allowed for {key!r} of the network {name}.")


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _real(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


_ONCE: dict[str, Callable[[Any], bool]] = {
    "dims": _whole(2, 3),
    "input_channels": _whole(1, 1),
    "num_classes": _whole(3, 3),
    "n_stages": _whole(2, 12),
    "conv_bias": _flag,
    "norm_affine": _flag,
    "norm_eps": _real(1e-8, 1e-1),
    "negative_slope": _real(0.0, 1.0),
}
_PER_STAGE: dict[str, Callable[[Any], bool]] = {
    "features_per_stage": _whole(1, 2048),
    "kernel_sizes": lambda value: _whole(1, 7)(value) and value % 2 == 1,
    "strides": _whole(1, 4),
}
_PER_AXIS = ("kernel_sizes", "strides")
