"""OpenVINO: the fast engine of a CPU, which needs no torch; and the conversion of a network into the form it reads."""

from __future__ import annotations

import functools
import hashlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError
from . import networks
from .bundle import Bundle
from .devices import import_openvino, is_out_of_memory, threads
from .exporting import CONVERTED, CONVERTED_WEIGHTS

# The operations that the networks of `networks` consist of. Anything else in a file did not come from there.
OPERATIONS = {
    *("Parameter", "Constant", "Convert", "Convolution", "ConvolutionBackpropData", "MVN", "Multiply", "Add"),
    *("PRelu", "LeakyRelu", "Concat", "Softmax", "Result"),
}


class OpenVinoEngine:
    """A bundle's converted network on the CPU: several slices at a time, each by one thread.

    As no slice is shared among threads, their number does not change the voxels.

    Parameters
    ----------
    streams : slices at a time; by default one for every thread of :func:`devices.threads`.

    Raises
    ------
    ModelError : the converted form is damaged, or was changed since the bundle was opened.
    """

    name, device = "openvino", "cpu"

    def __init__(self, bundle: Bundle, streams: int | None = None) -> None:
        self.streams = streams or threads()
        self.batch = 2 * self.streams
        self._bundle = bundle
        _read(*self._source())

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Class probabilities (b, 3, H, W) float32 of slices with their neighbours, (b, C, H, W) float32."""
        queue = _compiled(*self._source(), inputs.shape[1:], self.streams)
        outputs = np.empty((len(inputs), 3, *inputs.shape[2:]), np.float32)
        queue.set_callback(lambda request, index: np.copyto(outputs[index], request.get_output_tensor(0).data[0]))
        for index in range(len(inputs)):
            queue.start_async({0: np.ascontiguousarray(inputs[index : index + 1])}, index)
        queue.wait_all()
        return outputs

    def release(self) -> None:
        """Give back what is kept for the next exam."""
        _compiled.cache_clear()

    def _source(self) -> tuple[str, str, str, int]:
        bundle = self._bundle
        return str(bundle.folder), bundle.sums[CONVERTED], bundle.sums[CONVERTED_WEIGHTS], bundle.slices


# Compiling takes a quarter of a second and is bound to one size of slices: the last few sizes are kept.
@functools.lru_cache(maxsize=3)
def _compiled(folder: str, xml: str, weights: str, channels: int, shape: tuple[int, int, int], streams: int) -> Any:
    openvino = import_openvino()
    model = _read(folder, xml, weights, channels)
    try:
        model = model.clone()
        model.reshape([1, *shape])
        settings = {
            "INFERENCE_NUM_THREADS": streams,
            "NUM_STREAMS": streams,
            # A processor with bfloat16 would otherwise use it, and give other voxels than the next one.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        return openvino.AsyncInferQueue(compiled, streams)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        size = " x ".join(map(str, shape[1:]))
        raise ModelError(f"OpenVINO cannot run {Path(folder, CONVERTED)} on slices of {size} pixels: {error}") from None


@functools.lru_cache(maxsize=1)
def _read(folder: str, xml: str, weights: str, channels: int) -> Any:
    """The model in OpenVINO's form, after its bytes and its operations were found to be what they should be."""
    path = Path(folder, CONVERTED)
    description, numbers = _bytes(path, xml), _bytes(Path(folder, CONVERTED_WEIGHTS), weights)
    try:
        model = import_openvino().Core().read_model(description, numbers)
        foreign = {operation.get_type_name() for operation in model.get_ops()} - OPERATIONS
        shapes = [list(port.partial_shape) for port in (*model.inputs, *model.outputs)]
        known = [None if length.is_dynamic else length.get_length() for shape in shapes for length in shape[1:2]]
    except (RuntimeError, ValueError, TypeError) as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(f"{path} is damaged or holds no network; export the model again.") from None
    if foreign:
        raise ModelError(f"{path} holds operations that no model has ({', '.join(sorted(foreign))}); it is refused.")
    if known != [channels, 3]:
        raise ModelError(f"{path} does not fit the network that the model describes; export the model again.")
    return model


def _bytes(path: Path, sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}).") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(f"{path} was changed after the model was opened; install the model again.")
    return data


def convert(network: Any, definition: dict[str, Any]) -> tuple[bytes, bytes]:
    """A network of :func:`networks.build` in OpenVINO's form: description (XML) and weights, in half precision.

    It takes (N, C, H, W) float32, H and W multiples of the network's stride, and gives probabilities (N, 3, H, W).
    The same network gives the same bytes. Raises ModelError if OpenVINO is missing.
    """
    import torch

    openvino = import_openvino()
    from openvino._offline_transformations import apply_moc_transformations
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    side, channels = 2 * networks.stride(definition), definition["in_channels"]
    whole = torch.nn.Sequential(network, torch.nn.Softmax(dim=1)).eval().requires_grad_(False)
    example = torch.zeros(1, channels, side, side)
    # The front end itself, because the usual convert_model reports its use over the network.
    front_end = FrontEndManager().load_by_framework("pytorch")
    with torch.inference_mode(), warnings.catch_warnings():
        # Torch warns that it is about to replace what OpenVINO uses, and that tracing fixes tests of the input's shape.
        warnings.simplefilter("ignore")
        # Kept by name: the front end does not keep it, and reads from it until the model is converted.
        decoder = TorchScriptPythonDecoder(whole, example_input=(example,))
        model = front_end.convert(front_end.load(decoder))
    model.reshape(openvino.PartialShape([-1, channels, -1, -1]))
    apply_moc_transformations(model, False)
    model.set_friendly_name(definition["name"])
    # Names that the conversion made up count on from one model to the next.
    for index, operation in enumerate(model.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{index}")
    with tempfile.TemporaryDirectory(prefix="cspineseg-") as folder:
        path = Path(folder, "model.xml")
        openvino.save_model(model, path, compress_to_fp16=True)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()
