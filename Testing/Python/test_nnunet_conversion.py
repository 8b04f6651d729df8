"""Weights are kept in the form that OpenVINO takes: without torch, checked, and made again when they are damaged."""

import subprocess
import sys
from pathlib import Path

import nnunet_zips as zips
import numpy as np
import pytest
from runner_cases import OPENVINO, SIZES, TORCH, expected, forget, imported, windows

from CSpineSegLib import files
from CSpineSegLib.model import checksums
from CSpineSegLib.model.nnunet import conversion, store
from CSpineSegLib.model.nnunet.runners import open_runner

pytest.importorskip("torch")
pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def nothing_kept():
    forget()


@pytest.fixture
def plain(tmp_path):
    return imported(tmp_path, "PlainConvUNet")


def test_a_conversion_is_kept_beside_the_model_which_stays_whole(plain):
    before = plain.sums
    assert not conversion.is_converted(plain, "2d", 0)
    open_runner(plain, "2d", 0, OPENVINO, exact=True)
    assert conversion.is_converted(plain, "2d", 0)
    folder = conversion.folder_of(plain, "2d", 0)
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "weights.bin"]
    assert folder.parent == plain.folder / "cache"
    assert plain.sums[plain.weights["2d", 0]].startswith(folder.name.split("-")[0])
    assert store.load(plain.folder).sums == before


def test_a_kept_conversion_needs_no_torch(plain):
    for configuration in SIZES:
        open_runner(plain, configuration, 0, OPENVINO, exact=True)
    script = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "monai", "nnunetv2", "dynamic_network_architectures"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import numpy as np
from CSpineSegLib.model import devices
from CSpineSegLib.model.nnunet import store
from CSpineSegLib.model.nnunet.runners import open_runner
model = store.load({str(plain.folder)!r})
for name, size in {SIZES!r}.items():
    runner = open_runner(model, name, 0, devices.Choice("openvino", "cpu", ""), exact=False)
    assert runner(np.ones((1, 1, *size), np.float32)).shape == (1, 3, *size)
assert "torch" not in sys.modules
"""
    root = Path(conversion.__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def rewritten(path, change):
    path.write_bytes(change(path.read_bytes()))


SPOILED = {
    "weights changed": lambda folder: rewritten(folder / "weights.bin", lambda data: data[:-4] + b"\0\0\x80\x3f"),
    "weights cut": lambda folder: rewritten(folder / "weights.bin", lambda data: data[:-1000]),
    "no checksums": lambda folder: (folder / "SHA256SUMS").unlink(),
    "a further file": lambda folder: (folder / "more.xml").write_text("<net/>", encoding="utf-8"),
    "a file is missing": lambda folder: (folder / "weights.bin").unlink(),
    "nothing there": lambda folder: [path.unlink() for path in folder.iterdir()],
    "cut and sealed again": lambda folder: (
        rewritten(folder / "weights.bin", lambda data: data[: len(data) // 2]),
        checksums.seal(folder),
    ),
    "emptied and sealed again": lambda folder: (
        rewritten(folder / "weights.bin", lambda data: b""),
        checksums.seal(folder),
    ),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_damaged_conversion_is_made_again(plain, spoil):
    inputs = windows("2d")
    wanted = open_runner(plain, "2d", 0, OPENVINO, exact=True)(inputs)
    forget()
    folder = conversion.folder_of(plain, "2d", 0)
    spoil(folder)
    assert np.array_equal(open_runner(plain, "2d", 0, OPENVINO, exact=True)(inputs), wanted)
    assert sorted(path.name for path in folder.iterdir()) == ["SHA256SUMS", "weights.bin"]
    assert conversion._read(folder, plain.plans.configurations["2d"].network) is not None


def test_the_conversion_of_another_network_is_made_again(plain):
    open_runner(plain, "3d_fullres", 0, OPENVINO, exact=True)
    folder = conversion.folder_of(plain, "2d", 0)
    conversion.folder_of(plain, "3d_fullres", 0).rename(folder)
    inputs = windows("2d")
    found = open_runner(plain, "2d", 0, OPENVINO, exact=True)(inputs)
    assert np.abs(found - expected("PlainConvUNet", "2d", inputs)).max() < 1e-4


def test_a_former_form_of_a_conversion_goes_and_others_stay(plain, monkeypatch):
    monkeypatch.setattr(conversion, "_FORM", 0)
    for configuration in SIZES:
        open_runner(plain, configuration, 0, OPENVINO, exact=True)
    monkeypatch.undo()
    forget()
    open_runner(plain, "2d", 0, OPENVINO, exact=True)
    forms = sorted(folder.name.split("-")[1] for folder in (plain.folder / "cache").iterdir())
    assert forms == ["0", "1"]


def test_a_folder_that_cannot_be_written_is_said_and_the_network_still_runs(plain, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_sync_folder", full)
    inputs = windows("2d")
    runner = open_runner(plain, "2d", 0, OPENVINO, exact=True)
    assert np.abs(runner(inputs) - expected("PlainConvUNet", "2d", inputs)).max() < 1e-4
    assert "could not be kept" in runner.notes[0]
    assert runner.notes[0].endswith(").")


def test_weights_in_half_precision_become_single(tmp_path):
    half = {name: tensor.half() for name, tensor in zips.state(2).items()}
    whole = {name: tensor.float() for name, tensor in half.items()}
    models = [
        store.write(tmp_path / name, "mine", zips.plans(), zips.dataset(), {("2d", 0): weights}, orientation="PSR")
        for name, weights in (("half", half), ("whole", whole))
    ]
    inputs = windows("2d")
    for choice in (TORCH, OPENVINO):
        found = [open_runner(model, "2d", 0, choice, exact=True)(inputs) for model in models]
        assert np.array_equal(*found)
