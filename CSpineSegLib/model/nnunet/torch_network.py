"""nnU-Net's U-Nets for torch: the course of :mod:`unets` through torch's own functions, bit for bit as nnU-Net's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..devices import import_torch
from . import unets


class TorchOperations:
    """:class:`unets.Operations` on tensors.

    Parameters
    ----------
    weights : {name: tensor}. check : called before each convolution; what it raises ends the course.
    """

    def __init__(self, dims: int, weights: Mapping[str, Any], check: Callable[[], None]) -> None:
        self._torch, self._weights, self._check = import_torch(), weights, check
        functions = self._torch.nn.functional
        self._functions = functions
        self._conv = (functions.conv2d, functions.conv3d)[dims - 2]
        self._transposed = (functions.conv_transpose2d, functions.conv_transpose3d)[dims - 2]
        self._pool = (functions.avg_pool2d, functions.avg_pool3d)[dims - 2]

    def conv(self, x: Any, name: str, channels: Any, kernel: Sequence[int], stride: Sequence[int], bias: bool) -> Any:
        self._check()
        padding = [side // 2 for side in kernel]
        return self._conv(x, *self._pair(name), stride=stride, padding=padding)

    def upsample(self, x: Any, name: str, channels: Any, stride: Sequence[int], bias: bool) -> Any:
        self._check()
        return self._transposed(x, *self._pair(name), stride=stride)

    def norm(self, x: Any, name: str, channels: int, eps: float, affine: bool) -> Any:
        weight, bias = self._pair(name)
        return self._functions.instance_norm(x, weight=weight, bias=bias, eps=eps)

    def activate(self, x: Any, slope: float) -> Any:
        return self._functions.leaky_relu_(x, slope)

    def add(self, x: Any, y: Any) -> Any:
        return x.add_(y)

    def pool(self, x: Any, stride: Sequence[int]) -> Any:
        return self._pool(x, stride, stride)

    def join(self, x: Any, y: Any) -> Any:
        return self._torch.cat((x, y), 1)

    def _pair(self, name: str) -> tuple[Any, Any]:
        return self._weights.get(f"{name}.weight"), self._weights.get(f"{name}.bias")


def network(checked: Mapping[str, Any]) -> Any:
    """The network of a checked definition with random weights; see :func:`unets.build`."""
    return _class()(checked)


def unchecked() -> None:
    """Asks for nothing."""


@functools.cache
def _class() -> type:
    """The class of networks; made on first use, because torch is imported only then."""
    torch = import_torch()

    class UNet(torch.nn.Module):
        """A U-Net of :mod:`unets` for inference."""

        def __init__(self, definition: Mapping[str, Any]) -> None:
            super().__init__()
            self.definition = dict(definition)
            for name, shape in unets.shapes(definition).items():
                *path, last = name.split(".")
                module = self
                for part in path:
                    if part not in module._modules:
                        module.add_module(part, torch.nn.Module())
                    module = module._modules[part]
                module.register_parameter(last, torch.nn.Parameter(_random(torch, name, shape), requires_grad=False))
            self.eval()

        def forward(self, x: Any, check: Callable[[], None] = unchecked) -> Any:
            """Logits; `check` is called between the layers, and what it raises ends the course."""
            operations = TorchOperations(self.definition["dims"], dict(self.named_parameters()), check)
            return unets.follow(self.definition, operations, x)

    return UNet


def _random(torch: Any, name: str, shape: tuple[int, ...]) -> Any:
    """A weight to begin with: convolutions that keep the variance, normalisations that change nothing."""
    if ".norm." in name or name.endswith(".bias"):
        return torch.full(shape, float(name.endswith("norm.weight")))
    inputs = shape[0] if ".transpconvs." in name else torch.Size(shape[1:]).numel()
    return torch.randn(shape) * (2.0 / inputs) ** 0.5
