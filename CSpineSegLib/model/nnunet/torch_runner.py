"""Torch: the engine of any device."""

from __future__ import annotations

import functools
import math
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np

from ..devices import half_precision, import_torch, place, threads
from . import unets, weights
from .runners import Check, Kept, poll
from .store import Fold, Imported

# Voxels of a batch on a GPU, which wants enough to fill it: 16 slices of 512 x 512, or two stacks of 16 x 320 x 320.
# On a CPU more than one window is no faster and takes memory.
_VOXELS = {"cuda": 2**22, "mps": 2**20}
_MOST = 32


class _Stopped(Exception):
    """A course that nobody waits for any more ends between two layers."""


class TorchRunner:
    """A network on a device; see :class:`runners.Runner`.

    It computes in a thread of its own, so that the caller can leave at any moment. The thread then ends its course
    before the next layer.

    Parameters
    ----------
    network : of :func:`unets.build`. device : where it is. precision : "float32", "bfloat16" or "float16".
    size : of the windows, for the size of a batch.
    """

    name = "torch"
    notes: tuple[str, ...] = ()

    def __init__(self, network: Any, device: str, precision: str, size: tuple[int, ...]) -> None:
        self._torch, self._network = import_torch(), network
        self.device, self.precision = device, precision
        self.batch = max(1, min(_MOST, _VOXELS.get(device, 0) // math.prod(size)))

    def __call__(self, inputs: np.ndarray, check: Check | None = None) -> np.ndarray:
        """See :class:`runners.Runner`."""
        stop = threading.Event()
        # Behind the layer that a cancelled call may have left in work.
        future = _thread().submit(self._forward, np.ascontiguousarray(inputs, np.float32), stop)
        try:
            poll(functools.partial(_done, future), check)
        except BaseException:
            stop.set()
            raise
        return future.result()

    def _forward(self, inputs: np.ndarray, stop: threading.Event) -> np.ndarray:
        torch = self._torch

        def check() -> None:
            if stop.is_set():
                raise _Stopped

        if self.device == "cpu":
            torch.set_num_threads(threads())
        with ExitStack() as stack:
            for setting in self._settings():
                stack.enter_context(setting)
            batch = torch.from_numpy(inputs).to(self.device)
            return self._network(batch, check).float().cpu().numpy()

    def _settings(self) -> list[AbstractContextManager[Any]]:
        torch = self._torch
        settings = [torch.inference_mode()]
        if self.device == "cuda":
            # TF32 and autotuned kernels would make results depend on the card and on the run.
            exact = {"benchmark": False, "deterministic": True, "allow_tf32": False}
            settings.append(torch.backends.cudnn.flags(enabled=True, **exact))
        if self.precision != "float32":
            settings.append(torch.autocast(self.device, dtype=getattr(torch, self.precision)))
        return settings

    def release(self) -> None:
        """Give back the other networks that are kept for the next exam, and what torch keeps for its next batch."""
        _kept[self.device].clear()
        if self.device != "cpu":
            getattr(self._torch, self.device).empty_cache()


@functools.cache
def _thread() -> ThreadPoolExecutor:
    """The one thread in which torch computes; its own helpers stay with it."""
    return ThreadPoolExecutor(1, thread_name_prefix="torch")


# A GPU has room for the folds of a cross-validation, 0.12 to 0.6 GB each. Beside the seconds that a fold takes on a CPU
# it does not matter that it is loaded anew.
_kept = {"cuda": Kept(5), "mps": Kept(5), "cpu": Kept(1)}


def open_torch(
    model: Imported, configuration: str, fold: Fold, device: str, exact: bool, size: tuple[int, ...]
) -> TorchRunner:
    """See :func:`runners.open_runner`."""
    precision = None if exact else half_precision("torch", device)
    return TorchRunner(network_of(model, configuration, fold, device), device, precision or "float32", size)


def network_of(model: Imported, configuration: str, fold: Fold, device: str) -> Any:
    """The network of one configuration and fold with its weights, float32, ready on `device`.

    Raises
    ------
    ModelError : there is no such fold, its weights are damaged, or the device has no memory left for them.
    """
    key = (str(model.folder), model.sha256, fold)
    return _kept[device].get(configuration, key, functools.partial(_load, model, configuration, fold, device))


def _load(model: Imported, configuration: str, fold: Fold, device: str) -> Any:
    torch = import_torch()
    with torch.device("meta"):
        network = unets.build(model.plans.configurations[configuration].network)
    # Copied, so that the file may be replaced while the network is kept.
    loaded = {name: tensor.float().clone() for name, tensor in weights.load(model, configuration, fold).items()}
    network.load_state_dict(loaded, assign=True)
    return place(network, device)


def _done(future: Future[Any], seconds: float) -> bool:
    """Whether it is done, after so many seconds at most; its exception is not raised here."""
    return bool(wait((future,), timeout=seconds).done)
