"""Torch: the engine of any device. A bundle's weights are loaded as data, and nothing in them is executed."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import pickle
from typing import Any

import numpy as np

from ..errors import ModelError
from . import networks
from .bundle import Bundle
from .devices import import_torch, place
from .exporting import WEIGHTS

# Slices at a time. On a CPU more are no faster and take memory; a GPU wants enough to fill it.
BATCH = {"cpu": 1, "cuda": 16, "mps": 8}


class TorchEngine:
    """A network on a device.

    Parameters
    ----------
    network : takes (b, C, H, W) float32 and gives logits (b, 3, H, W), see :func:`network_of`.
    device : where it is, "cuda", "mps" or "cpu".
    """

    name = "torch"

    def __init__(self, network: Any, device: Any) -> None:
        self._torch = import_torch()
        self._where = self._torch.device(device)
        self._network = network
        self.device = self._where.type
        self.batch = BATCH[self.device]

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Class probabilities (b, 3, H, W) float32 of slices with their neighbours, (b, C, H, W) float32."""
        torch = self._torch
        # TF32 and autotuned kernels would make results depend on the card and on the run.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            batch = torch.from_numpy(np.ascontiguousarray(inputs)).to(self._where)
            return self._network(batch).float().softmax(1).cpu().numpy()

    def release(self) -> None:
        """Give back what torch keeps for its next batch."""
        if self.device == "cuda":
            self._torch.cuda.empty_cache()


def network_of(bundle: Bundle, device: Any) -> Any:
    """The bundle's network with its weights, float32, ready on `device`; the last one is kept for the next exam.

    Raises
    ------
    ModelError : the weights changed since the bundle was opened, hold anything but tensors, or do not fit.
    """
    return _network(str(bundle.folder / WEIGHTS), bundle.sha256, json.dumps(bundle.definition), str(device))


def weights_of(bundle: Bundle) -> dict[str, Any]:
    """The bundle's weights under every name that its network knows them by, float32; ModelError as `network_of`."""
    return dict(network_of(bundle, "cpu").state_dict())


@functools.lru_cache(maxsize=1)
def _network(path: str, sha256: str, definition: str, device: str) -> Any:
    network = networks.build(json.loads(definition))
    weights = read_weights(path, sha256)
    try:
        network.load_state_dict(networks.spread(network, weights))
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"The weights in {path} do not fit the network that the model describes: {first}") from error
    network.eval().requires_grad_(False)
    return place(network, device)


def read_weights(path: str, sha256: str) -> dict[str, Any]:
    """{name: tensor} of a weights file whose SHA-256 is known, as it was stored; nothing in the file is executed."""
    torch = import_torch()
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error}).") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ModelError(f"{path} was changed after the model was opened; install the model again.")
    try:
        weights = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError):
        raise ModelError(f"{path} is damaged or holds more than weights, and is refused unread.") from None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ModelError(f"{path} holds something else than a table of weights, and is refused.")
    return weights
