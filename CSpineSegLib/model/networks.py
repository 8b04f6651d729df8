"""Networks from a definition in plain data: names and arguments on an allow-list, nothing evaluated.

A MONAI configuration can hold expressions that MONAI runs ("$..."). Here a definition is read as data alone, so that
a model that came from somewhere else can be opened without trusting it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ModelError

# The network of the first bundle: a residual 2D U-Net of 5 resolutions below full, 0.7 mm in plane.
DYNUNET_2D: dict[str, Any] = {
    "name": "DynUNet",
    "spatial_dims": 2,
    "in_channels": 1,
    "out_channels": 3,
    "kernel_size": [3, 3, 3, 3, 3, 3],
    "strides": [1, 2, 2, 2, 2, 2],
    "upsample_kernel_size": [2, 2, 2, 2, 2],
    "filters": [16, 32, 64, 128, 192, 192],
    "norm_name": ["INSTANCE", {"affine": True}],
    "res_block": True,
}

_TARGETS = {
    "DynUNet": "DynUNet",
    "monai.networks.nets.DynUNet": "DynUNet",
    "monai.networks.nets.dynunet.DynUNet": "DynUNet",
}


def build(definition: Mapping[str, Any]) -> Any:
    """A network with random weights from its definition.

    Parameters
    ----------
    definition : "name" and the arguments of the network, for instance :data:`DYNUNET_2D`.
        2D networks take (N, 1, H, W) float32, H and W multiples of :func:`stride`, and give (N, 3, H, W) logits.

    Returns
    -------
    torch.nn.Module, in training mode, on the CPU.

    Raises
    ------
    ModelError : a name, argument or value that is not allowed, or an expression.
    """
    arguments = check(definition)
    del arguments["name"]
    from monai.networks.nets import DynUNet

    try:
        return DynUNet(**arguments)
    except (ValueError, TypeError, AssertionError, KeyError, IndexError) as error:
        raise ModelError(f"The network definition does not describe a {definition['name']}: {error}.") from error


def names(network: Any) -> dict[str, str]:
    """{every name of a weight: the one under which it is stored}.

    A DynUNet lists each of its layers twice, once on its own and once within the nest of its skip connections.
    """
    first: dict[int, str] = {}
    tensors = network.state_dict(keep_vars=True)
    return {name: first.setdefault(id(tensor), name) for name, tensor in tensors.items()}


def spread(network: Any, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights that were stored once each, under all their names; other weights as they are."""
    known = names(network)
    if set(weights) != set(known.values()):
        return dict(weights)
    return {name: weights[stored] for name, stored in known.items()}


def check(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the definition after every name and value was found on the allow-list; ModelError otherwise."""
    if not isinstance(definition, Mapping):
        raise ModelError("The network definition is not a table of names and values.")
    _refuse_expressions(definition, "the network definition")
    name = definition.get("name")
    if not isinstance(name, str) or name not in _ALLOWED:
        raise ModelError(f"The network {name!r} is not known; this version builds {', '.join(_ALLOWED)}.")
    allowed = _ALLOWED[name]
    for key, value in definition.items():
        if key == "name":
            continue
        if key not in allowed:
            raise ModelError(f"The argument {key!r} is not allowed for the network {name}.")
        if not allowed[key](value):
            raise ModelError(f"The value {value!r} is not allowed for {key!r} of the network {name}.")
    missing = sorted(_REQUIRED - set(definition))
    if missing:
        raise ModelError(f"The definition of the network {name} lacks {', '.join(missing)}.")
    lengths = len(definition["strides"]), len(definition["kernel_size"]), len(definition["filters"])
    if len(set(lengths)) > 1 or lengths[0] < 3 or len(definition["upsample_kernel_size"]) != lengths[0] - 1:
        raise ModelError(
            f"The definition of the network {name} needs kernel_size, strides and filters of one length, at least 3, "
            "and upsample_kernel_size one shorter."
        )
    return dict(definition)


def stride(definition: Mapping[str, Any]) -> int:
    """The number that the rows and columns of an input must be multiples of: the product of the strides."""
    product = 1
    for step in definition["strides"]:
        product *= step
    return product


def to_monai(definition: Mapping[str, Any]) -> dict[str, Any]:
    """The same definition as MONAI's configurations write it, with `_target_`."""
    arguments = check(definition)
    return {"_target_": f"monai.networks.nets.{arguments.pop('name')}", **arguments}


def from_monai(config: Any) -> dict[str, Any]:
    """The definition in a `network_def` of a MONAI configuration, read as data; ModelError if it is not allowed."""
    if not isinstance(config, Mapping):
        raise ModelError("The network_def is not a table of names and values; expressions are not evaluated.")
    _refuse_expressions(config, "the network_def")
    arguments = dict(config)
    target = arguments.pop("_target_", None)
    if not isinstance(target, str) or target not in _TARGETS:
        raise ModelError(f"The network {target!r} is not known; this version builds {', '.join(_ALLOWED)}.")
    return check({"name": _TARGETS[target], **arguments})


def _refuse_expressions(value: Any, where: str) -> None:
    """ModelError for any text that MONAI would evaluate ("$"), follow ("@") or read from elsewhere ("%")."""
    if isinstance(value, str) and value.lstrip()[:1] in ("$", "@", "%"):
        raise ModelError(f"{where[0].upper()}{where[1:]} holds the expression {value!r}; expressions are refused.")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_expressions(key, where)
            _refuse_expressions(item, where)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_expressions(item, where)


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _wholes(low: int, high: int) -> Callable[[Any], bool]:
    one = _whole(low, high)
    return lambda value: isinstance(value, (list, tuple)) and 2 <= len(value) <= 9 and all(map(one, value))


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _norm(value: Any) -> bool:
    """A normalisation by name, or by name and whether it is affine, as MONAI writes it."""
    if isinstance(value, str):
        return value.upper() in ("INSTANCE", "BATCH")
    pair = isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], str)
    return bool(pair) and _norm(value[0]) and isinstance(value[1], Mapping) and set(value[1]) <= {"affine"}


# Upper limits keep a wrong definition from asking for more memory than any spine needs.
_ALLOWED: dict[str, dict[str, Callable[[Any], bool]]] = {
    "DynUNet": {
        "spatial_dims": _whole(2, 2),
        "in_channels": _whole(1, 9),
        "out_channels": _whole(3, 3),
        "kernel_size": _wholes(1, 7),
        "strides": _wholes(1, 4),
        "upsample_kernel_size": _wholes(1, 4),
        "filters": _wholes(1, 512),
        "norm_name": _norm,
        "res_block": _flag,
        "trans_bias": _flag,
    },
}
_REQUIRED = {
    "spatial_dims", "in_channels", "out_channels", "kernel_size", "strides", "upsample_kernel_size", "filters"
}  # fmt: skip
