"""OpenVINO: the fast engine of a CPU, which needs no torch once a network is converted."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ...errors import ModelError
from ..devices import half_precision, import_openvino, is_out_of_memory, threads
from . import conversion, openvino_network
from .runners import Check, Kept, poll
from .store import Fold, Imported

# Between two looks at which window is done, in milliseconds.
_LOOK = 5


class OpenVinoRunner:
    """A converted network on the CPU; see :class:`runners.Runner`.

    Of small windows several are computed at a time, each by one thread; a large one is computed by all threads.

    Parameters
    ----------
    compiled : openvino.CompiledModel for (1, 1, *size). streams : windows at a time.
    """

    name, device = "openvino", "cpu"

    def __init__(self, compiled: Any, precision: str, streams: int, notes: tuple[str, ...] = ()) -> None:
        self._compiled, self._streams = compiled, streams
        self._idle: list[Any] = []
        self._left: list[Any] = []
        self.precision, self.notes = precision, notes
        # Several for each stream, so that none waits long for another.
        self.batch = 4 * streams if streams > 1 else 1

    def __call__(self, inputs: np.ndarray, check: Check | None = None) -> np.ndarray:
        """See :class:`runners.Runner`."""
        shape = tuple(self._compiled.input(0).shape[1:])
        if inputs.shape[1:] != shape:
            raise ModelError(f"The network was made ready for windows {shape}, not {inputs.shape[1:]}.")
        inputs = np.ascontiguousarray(inputs, np.float32)
        outputs = np.empty((len(inputs), *self._compiled.output(0).shape[1:]), np.float32)
        # What a cancelled call left behind ends first.
        while self._left:
            poll(functools.partial(_ended, self._left[-1]), check)
            self._idle.append(self._left.pop())
        while len(self._idle) < min(self._streams, len(inputs)):
            self._idle.append(self._compiled.create_infer_request())
        running: dict[int, Any] = {}
        try:
            for index in range(len(inputs)):
                if not self._idle:
                    self._take(running, outputs, check)
                running[index] = self._idle.pop()
                # It gets a copy, because a cancelled one may still read it when this call is over.
                running[index].start_async({0: inputs[index : index + 1]})
            while running:
                self._take(running, outputs, check)
        except BaseException:
            for request in running.values():
                request.cancel()
            self._left += running.values()
            raise
        return outputs

    def _take(self, running: dict[int, Any], outputs: np.ndarray, check: Check | None) -> None:
        """Wait until one of those that run is done, and take its logits."""

        def done(seconds: float) -> bool:
            next(iter(running.values())).wait_for(_LOOK)
            return any(request.wait_for(0) for request in running.values())

        poll(done, check)
        for index in [index for index, request in running.items() if request.wait_for(0)]:
            request = running.pop(index)
            np.copyto(outputs[index], request.get_output_tensor(0).data[0])
            self._idle.append(request)

    def release(self) -> None:
        """Give back the other networks that are kept for the next exam."""
        _kept.clear()


# One for 3D windows takes most of a gigabyte. Another fold is ready in half a second, which is little beside its work.
_kept = Kept(1)


def open_openvino(
    model: Imported, configuration: str, fold: Fold, exact: bool, size: tuple[int, ...]
) -> OpenVinoRunner:
    """See :func:`runners.open_runner`."""
    precision = None if exact else half_precision("openvino", "cpu")
    precision, count = precision or "float32", threads()
    key = (str(model.folder), model.sha256, fold, precision, size, count)
    make = functools.partial(_compile, model, configuration, fold, precision, size, count)
    return _kept.get(configuration, key, make)


def _compile(
    model: Imported, configuration: str, fold: Fold, precision: str, size: tuple[int, ...], count: int
) -> OpenVinoRunner:
    found = conversion.open_converted(model, configuration, fold)
    streams = count if len(size) == 2 else 1
    settings = {
        "INFERENCE_NUM_THREADS": count,
        "NUM_STREAMS": streams,
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
    }
    try:
        definition = model.plans.configurations[configuration].network
        network = openvino_network.network(definition, found.arrays, size, half=precision != "float32")
        compiled = import_openvino().Core().compile_model(network, "CPU", settings)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise ModelError(
                f"There is not enough main memory for a network on windows of {_words(size)} voxels; "
                "close other programs."
            ) from error
        raise ModelError(f"OpenVINO cannot run {model.name} on windows of {_words(size)} voxels: {error}") from None
    found.leave()
    return OpenVinoRunner(compiled, precision, streams, found.notes)


def _ended(request: Any, seconds: float) -> bool:
    """Whether a cancelled request no longer computes."""
    try:
        return request.wait_for(round(1000 * seconds))
    except RuntimeError:
        # It says so that it was cancelled.
        return True


def _words(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
