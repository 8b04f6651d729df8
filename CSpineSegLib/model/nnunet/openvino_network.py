"""nnU-Net's U-Nets for OpenVINO: the course of :mod:`unets` as a graph, made without torch and without any file.

Two things are done in another way than nnU-Net does them, with the same result but for rounding:

- Instance normalisation. OpenVINO's own adds up all voxels of a channel one after the other in single precision. For
  16 x 320 x 320 voxels its result is wrong by .0004 (root mean square) and .003 at most, for 384 x 384 pixels by
  .00001 and .0001; torch adds up in double precision. Here sums go along one axis after the other, which is wrong by
  .000002 and .000007 at most and takes as long (with two convolutions: 102 against 99 ms and 77 against 76 ms).
- A convolution of two inputs that were joined is the sum of two convolutions. The joined input, the largest there is,
  is never made; that takes 4 to 9 % less time in a whole network, and a sixth less memory in 3D.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..devices import import_openvino
from . import unets

# Up to so many voxels OpenVINO's own normalisation is exact enough, and one operation instead of twelve.
_FEW = 4096


class Joined(NamedTuple):
    """Two inputs, one behind the other along the channels, and how many channels the first one has."""

    first: Any
    second: Any
    channels: int


class GraphOperations:
    """:class:`unets.Operations` on the nodes of a graph.

    Parameters
    ----------
    weights : as :func:`parts` names them, float32, used in place and not copied.
    half : for half precision, in which sums along the axes would be too coarse; OpenVINO's own normalisation then
        computes in single precision inside.
    """

    def __init__(self, dims: int, weights: Mapping[str, np.ndarray], half: bool) -> None:
        openvino = import_openvino()
        from openvino import opset13

        self._openvino, self._make = openvino, opset13
        self._dims, self._weights, self._half = dims, weights, half

    def conv(self, x: Any, name: str, channels: Any, kernel: Sequence[int], stride: Sequence[int], bias: bool) -> Any:
        padding = [side // 2 for side in kernel]

        def convolve(some: Any, part: str) -> Any:
            weight = self._constant(f"{name}.weight{part}")
            return self._make.convolution(some, weight, list(stride), padding, padding, [1] * self._dims)

        if not isinstance(x, Joined):
            return self._shift(convolve(x, ""), name)
        first = self._shift(convolve(x.first, FIRST), name)
        return self._make.add(first, convolve(x.second, SECOND))

    def upsample(self, x: Any, name: str, channels: Any, stride: Sequence[int], bias: bool) -> Any:
        zeros, ones = [0] * self._dims, [1] * self._dims
        weight = self._constant(f"{name}.weight")
        out = self._make.convolution_backprop_data(
            x, weight, list(stride), pads_begin=zeros, pads_end=zeros, dilations=ones
        )
        return self._shift(out, name)

    def norm(self, x: Any, name: str, channels: int, eps: float, affine: bool) -> Any:
        make, sides = self._make, list(x.get_output_shape(0))[2:]
        if self._half or math.prod(sides) <= _FEW:
            out = make.mvn(x, np.arange(2, 2 + self._dims), True, eps, "inside_sqrt")
            out = make.multiply(out, self._per_channel(f"{name}.weight")) if affine else out
            return make.add(out, self._per_channel(f"{name}.bias")) if affine else out
        row = make.reduce_l2(x, np.array([1 + self._dims]), True)
        squares = self._mean_of_rows(make.multiply(make.multiply(row, row), self._number(1 / sides[-1])), sides)
        mean = self._mean_of_rows(make.reduce_mean(x, np.array([1 + self._dims]), True), sides)
        # Rounding can make it a little less than nothing where all voxels are equal.
        variance = make.relu(make.subtract(squares, make.multiply(mean, mean)))
        scale = make.power(make.add(variance, self._number(eps)), self._number(-0.5))
        if not affine:
            return make.multiply(make.subtract(x, mean), scale)
        scale = make.multiply(scale, self._per_channel(f"{name}.weight"))
        return make.add(make.multiply(make.subtract(x, mean), scale), self._per_channel(f"{name}.bias"))

    def _mean_of_rows(self, rows: Any, sides: Sequence[int]) -> Any:
        """The mean over the axes before the last; by a sum and by a mean, as OpenVINO would unite two of a kind."""
        out = self._make.reduce_sum(rows, np.array([self._dims]), True)
        out = self._make.multiply(out, self._number(1 / sides[-2]))
        return self._make.reduce_mean(out, np.array([2]), True) if self._dims == 3 else out

    def activate(self, x: Any, slope: float) -> Any:
        return self._make.prelu(x, self._make.constant(np.full(1, slope, np.float32)))

    def add(self, x: Any, y: Any) -> Any:
        return self._make.add(x, y)

    def pool(self, x: Any, stride: Sequence[int]) -> Any:
        zeros, sides = [0] * self._dims, list(stride)
        return self._make.avg_pool(x, sides, zeros, zeros, sides, True)

    def join(self, x: Any, y: Any) -> Any:
        return Joined(x, y, x.get_output_shape(0)[1])

    def _shift(self, x: Any, name: str) -> Any:
        return self._make.add(x, self._per_channel(f"{name}.bias")) if f"{name}.bias" in self._weights else x

    def _per_channel(self, name: str) -> Any:
        return self._constant(name, (1, -1, *[1] * self._dims))

    def _constant(self, name: str, shape: Sequence[int] | None = None) -> Any:
        values = self._weights[name]
        values = values if shape is None else values.reshape(shape)
        return self._openvino.op.Constant(values, shared_memory=True)

    def _number(self, value: float) -> Any:
        return self._make.constant(np.float32(value))


# The two parts of the weights of a convolution of joined inputs.
FIRST, SECOND = "/first", "/second"


class _Joins(unets.Shapes):
    """Operations that write down which convolutions take joined inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.split: dict[str, int] = {}

    def conv(self, x: Any, name: str, channels: Any, kernel: Any, stride: Any, bias: bool) -> None:
        super().conv(x, name, channels, kernel, stride, bias)
        if x is Joined:
            self.split[f"{name}.weight"] = channels[0] // 2

    def join(self, x: Any, y: Any) -> Any:
        return Joined


def parts(definition: Mapping[str, Any]) -> dict[str, tuple[str, slice, tuple[int, ...]]]:
    """{name of each array of weights that the graph takes: (weight of :func:`unets.shapes`, its input channels that
    are meant, shape)}, in the order in which they are kept."""
    joins, found = _Joins(), {}
    unets.follow(unets.check(definition), joins, None)
    for name, shape in joins.found.items():
        middle = joins.split.get(name)
        if middle is None:
            found[name] = (name, slice(None), shape)
            continue
        for part, channels in ((FIRST, slice(middle)), (SECOND, slice(middle, None))):
            found[name + part] = (name, channels, (shape[0], len(range(shape[1])[channels]), *shape[2:]))
    return found


def network(
    definition: Mapping[str, Any], weights: Mapping[str, np.ndarray], size: Sequence[int], *, half: bool = False
) -> Any:
    """An openvino.Model that takes (1, 1, *size) float32 and gives logits (1, 3, *size); see GraphOperations."""
    openvino = import_openvino()
    from openvino import opset13

    checked = unets.check(definition)
    inputs = opset13.parameter([1, 1, *size], np.float32)
    logits = unets.follow(checked, GraphOperations(checked["dims"], weights, half), inputs)
    return openvino.Model([opset13.result(logits)], [inputs], checked["name"])
