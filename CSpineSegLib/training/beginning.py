"""Where a run that does not begin from nothing takes its weights: a packaged model, and what was spent on it."""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..model import engine
from ..model.bundle import Bundle
from .synthesis import CONTEXT


def weights(bundle: Bundle, fresh: dict[str, Any]) -> dict[str, Any]:
    """Weights of a packaged model to continue from, for a network whose own are `fresh`.

    A model that was trained on single slices may be continued with their neighbours: its first weights go to the middle
    slice and zeros to the others, so that both give the same masks.

    Raises
    ------
    InputError : the model is of another architecture. ModelError : its weights are damaged.
    """
    import torch

    stored = engine.weights_of(bundle)
    if set(stored) != set(fresh):
        raise InputError(f"The model {bundle.name} is another network than the one to train; start without it.")
    result = {}
    for name, wanted in fresh.items():
        value = stored[name]
        if value.ndim == 4 and value.shape[1] == 1 and wanted.shape[1] == CONTEXT:
            spread = torch.zeros_like(wanted)
            spread[:, CONTEXT // 2] = value[:, 0].to(spread.dtype)
            value = spread
        if value.shape != wanted.shape:
            raise InputError(f"The model {bundle.name} is another network than the one to train; start without it.")
        result[name] = value.to(wanted.dtype).clone()
    return result


def spent(bundle: Bundle) -> dict[str, Any]:
    """Which model a run continues, and what had been spent on it and on those before it."""
    known = bundle.metadata["training"]
    told = {key: known[key] for key in ("continues", "samples", "minutes", "phantoms", "device") if key in known}
    return {"name": bundle.name, "sha256": bundle.sha256, **told}
