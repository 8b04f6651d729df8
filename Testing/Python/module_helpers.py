"""What the tests of the Slicer module and of its child process share: a model of a second, and who still runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = {"kernel_size": [3] * 3, "strides": [1, 2, 2], "upsample_kernel_size": [2] * 2, "filters": [4, 4, 4]}

# Takes anything for a neck, and is half sure of its mask.
_HALF = {"intercept": 0.0, "weights": {}, "ranges": {}}
CALIBRATION = {
    "format": 1,
    "temperature": {"plain": 1.0, "averaged": 1.0},
    "quality": {"views": [], "bodies": _HALF, "discs": _HALF},
    "plausibility": {"intercept": 100.0, "weights": {}},
}


@pytest.fixture(scope="session")
def quick_models(tmp_path_factory) -> Path:
    """A folder with a network under the default model's name, with random weights: any mask, at once."""
    torch = pytest.importorskip("torch", reason="segmentation needs torch")
    from CSpineSegLib import jobs, model
    from CSpineSegLib.model import networks, preprocess

    torch.manual_seed(0)
    definition = {**networks.DYNUNET_2D, **SMALL, "res_block": False}
    weights = networks.build(definition).state_dict()
    folder = tmp_path_factory.mktemp("modèles")
    model.export(
        folder, jobs.DEFAULT_MODEL, weights, definition, preprocess.describe(), {}, {}, calibration=CALIBRATION
    )
    return folder


@pytest.fixture
def quick_model(quick_models, monkeypatch) -> None:
    """Makes that model the default one, also of child processes."""
    monkeypatch.setenv("CSPINESEG_MODELS", str(quick_models))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def wait_until(happened: Callable[[], bool], seconds: float) -> bool:
    """Wait for something; False if it has not happened after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.02)
    return happened()


def is_alive(pid: int) -> bool:
    """True if a process runs; one that ended and waits to be collected does not."""
    status = Path(f"/proc/{pid}/stat")
    if status.parent.parent.is_dir():
        try:
            return status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
