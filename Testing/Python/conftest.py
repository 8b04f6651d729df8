"""Fixtures that every test file may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from CSpineSegLib.dataset import Dataset

ROOT = Path(__file__).resolve().parents[2]

# As the library does before it imports torch, for tests that import torch themselves: see model/devices.py.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@pytest.fixture(scope="session", autouse=True)
def _nobodys_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test, and no process that a test starts, reads or writes the models in the data folder of who runs it."""
    folder = tmp_path_factory.mktemp("user") / "Models"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CSPINESEG_MODELS", str(folder))
        patch.setenv("XDG_DATA_HOME", str(folder.parent))
        patch.setenv("LOCALAPPDATA", str(folder.parent))
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images, which are never part of the project; tests that need them skip where it is absent."""
    folder = Path(os.environ.get("CSPINESEG_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real test images are not in {folder}; set CSPINESEG_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def real_t2(shared_data: Path) -> Path:
    """A real sagittal T2 exam: 320 x 320 x 13, 0.6875 x 0.6875 x 4 mm, PSR."""
    return shared_data / "cervical_t2" / "cervical_t2_320x320x13.nii.gz"


@pytest.fixture(scope="session")
def _tiny_sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from CSpineSegLib.dataset import sample

    return sample.make(tmp_path_factory.mktemp("sample") / "tiny", tiny=True).root


@pytest.fixture
def sample_dataset(_tiny_sample: Path, tmp_path: Path) -> Dataset:
    """The sample dataset for a test to change: 8 exams on small grids, in a path with spaces and accents."""
    from CSpineSegLib.dataset import Dataset

    root = tmp_path / "jeu de données"
    shutil.copytree(_tiny_sample, root)
    return Dataset.open(root)
