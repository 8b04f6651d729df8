"""OpenVINO: the same mask as torch, without torch, without a word to anybody, and never a silent substitute."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import model_cases
import numpy as np
import pytest

from CSpineSegLib import model, resources, volume
from CSpineSegLib.errors import ModelError
from CSpineSegLib.model import checksums, devices, exporting, openvino_engine, running

pytest.importorskip("torch", reason="conversion needs torch")
# Not by importorskip, which imports it: OpenVINO's own import would report itself over the network.
if importlib.util.find_spec("openvino") is None:
    pytest.skip("the engine is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> model.Bundle:
    return model_cases.with_neighbours(tmp_path_factory.mktemp("modèles"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    return model_cases.tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "tiny"))


@pytest.fixture(scope="module")
def small() -> volume.Volume:
    return model_cases.exam((3, 200, 180), (4.0, 0.6875, 0.6875))


def predict(*arguments, **options) -> model.Prediction:
    return model.predict(*arguments, **{"anyway": True, "clean": False, "quality": False, **options})


# --- the same mask ---


def test_masks_of_a_phantom_are_those_of_torch(bundle, small):
    ours, theirs = (predict(bundle, small, "cpu", engine=name) for name in ("openvino", "torch"))
    assert (ours.engine, theirs.engine) == ("openvino", "torch")
    assert model_cases.dice(ours.mask.array, theirs.mask.array) >= 0.999


def test_masks_of_the_real_exam_are_those_of_torch(bundle, real_t2):
    image = volume.read(real_t2)
    ours, theirs = (predict(bundle, image, "cpu", engine=name).mask.array for name in ("openvino", "torch"))
    assert model_cases.dice(ours, theirs) >= 0.999


def test_the_number_of_threads_does_not_change_a_voxel(bundle, small, monkeypatch):
    masks = []
    for count in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", count)
        result = predict(bundle, small, "cpu", engine="openvino", probabilities=True)
        assert f"{min(int(count), os.cpu_count())} thread" in result.notes[0]
        masks.append(result.probabilities)
    assert np.array_equal(*masks)


def test_windows_run_on_it_too(bundle, small):
    step = 64
    ours, theirs = (predict(bundle, small, "cpu", engine=name, window=step) for name in ("openvino", "torch"))
    assert any(f"windows of {step} x {step}" in note for note in ours.notes)
    assert np.mean(ours.mask.array == theirs.mask.array) > 0.999


def test_the_network_sees_the_neighbours_of_a_slice_at_its_own_side(bundle, small):
    """In a mirrored exam the left neighbour is the right one, and a network that was trained knows the difference."""
    turned = volume.from_array(small.array[:, :, ::-1].copy(), small.affine)
    plain = predict(bundle, small, "cpu", engine="openvino", probabilities=True).probabilities
    mirrored = predict(bundle, turned, "cpu", engine="openvino", probabilities=True).probabilities[..., ::-1]
    assert not np.array_equal(plain, mirrored) and np.abs(plain.astype(np.float32) - mirrored).mean() < 0.1


def test_a_bundle_converts_to_the_same_bytes_and_stays_small(pristine, bundle, tmp_path):
    again = model_cases.tiny(tmp_path)
    for name in (exporting.CONVERTED, exporting.CONVERTED_WEIGHTS):
        assert (again / name).read_bytes() == (pristine / name).read_bytes(), name
    assert sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file()) < 8e6


# --- without torch, without telemetry ---

ALONE = """
import sys
sent = []
sys.addaudithook(lambda event, arguments: sent.append(event) if event.startswith("socket.") else None)
from CSpineSegLib import model, volume
from CSpineSegLib.cli import main
code = main(["segment", sys.argv[1], "--output", sys.argv[2], "--model", sys.argv[3], "--device", "cpu", "--anyway",
             "--json"])
heavy = [n for n in ("torch", "monai", "pandas", "scipy.ndimage", "openvino_telemetry", "openvino.tools.ovc")
         if n in sys.modules]
print(code, "openvino" in sys.modules, heavy, sent, file=sys.stderr)
"""


def test_the_command_line_segments_without_torch_and_without_telemetry(pristine, small, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    volume.write(small, tmp_path / "exam.nii.gz")
    environment = {**os.environ, "HOME": str(home), "USERPROFILE": str(home), "CI": "", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", ALONE, str(tmp_path / "exam.nii.gz"), str(tmp_path / "mask.nii.gz"), str(pristine)]
    run = subprocess.run(words, capture_output=True, text=True, cwd=resources.root().parent, env=environment)
    assert run.stderr.splitlines()[-1] == "0 True [] []", run.stderr
    assert any("OpenVINO" in note for note in json.loads(run.stdout)["notes"])
    assert list(home.rglob("*")) == []


def test_it_runs_where_torch_is_not_installed_at_all(pristine):
    code = (
        "import sys; sys.modules['torch'] = sys.modules['monai'] = None\n"
        "import numpy as np\n"
        "from CSpineSegLib import model, volume\n"
        f"bundle = model.load({str(pristine)!r})\n"
        "image = volume.from_array(np.ones((5, 40, 40), np.int16), np.diag([4, .7, .7, 1]))\n"
        "print(model.predict(bundle, image, anyway=True, quality=False).engine)\n"
        "try: model.predict(bundle, image, engine='torch')\n"
        "except ValueError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=resources.root().parent)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == "openvino" and "needs torch" in run.stdout


# --- the choice is said, and what was asked for is never replaced ---


def test_auto_takes_openvino_on_a_cpu_and_says_why(monkeypatch):
    monkeypatch.setattr(devices, "may_see_gpu", lambda: False)
    choice = devices.choose()
    assert (choice.engine, choice.device) == ("openvino", "cpu")
    assert "OpenVINO 20" in choice.sentence and "chosen by 'auto': no CUDA" in choice.sentence
    assert devices.choose("cpu").engine == "openvino"


def test_auto_takes_torch_where_openvino_cannot_run_and_says_so(monkeypatch):
    choice = devices.choose("cpu", converted=False)
    assert choice.engine == "torch" and "the model carries no form for OpenVINO" in choice.sentence
    monkeypatch.setitem(sys.modules, "openvino", None)
    choice = devices.choose("cpu")
    assert choice.engine == "torch" and "openVINO" in choice.sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"engine": "openvino", "device": "cuda"}, "runs on the CPU here"),
        ({"engine": "openvino", "converted": False}, "carries no form for OpenVINO; use --engine torch"),
        ({"engine": "onnx"}, "choose one of auto, torch, openvino"),
        ({"device": "gpu"}, "choose one of auto, cuda, mps, cpu"),
    ],
)
def test_what_cannot_be_had_is_refused(words, sentence):
    with pytest.raises(ModelError, match=sentence):
        devices.choose(**words)


def test_openvino_that_was_asked_for_and_is_missing_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match="pip install openvino"):
        devices.choose("cpu", "openvino")


# --- damage ---


def run(folder: Path) -> None:
    image = volume.from_array(np.ones((2, 20, 20), np.int16), np.diag([4, 0.7, 0.7, 1]))
    predict(model.load(folder), image, "cpu", engine="openvino")


@pytest.mark.parametrize("name", [exporting.CONVERTED, exporting.CONVERTED_WEIGHTS])
def test_a_changed_or_missing_file_is_named(folder, name):
    path = folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=f"{path.name} was changed"):
        model.load(folder)
    path.unlink()
    with pytest.raises(ModelError, match=f"{path.name} is missing"):
        model.load(folder)
    checksums.seal(folder)
    with pytest.raises(ModelError, match="only half of its converted form"):
        model.load(folder)


def test_files_exchanged_after_opening_are_refused(folder):
    bundle = model.load(folder)
    (folder / exporting.CONVERTED_WEIGHTS).write_bytes(b"other")
    with pytest.raises(ModelError, match="changed after"):
        running.open_engine(bundle, devices.Choice("openvino", "cpu", ""))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: "no xml", "is damaged or holds no network"),
        (lambda text: text[: len(text) // 2], "is damaged or holds no network"),
        (lambda text: text.replace('type="Add"', 'type="Subtract"'), r"operations that no model has \(Subtract\)"),
    ],
)
def test_a_description_that_is_no_network_of_ours_is_refused(folder, change, sentence):
    path = folder / exporting.CONVERTED
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    checksums.seal(folder)
    with pytest.raises(ModelError, match=sentence):
        run(folder)


def test_weights_that_are_too_short_are_refused(folder):
    path = folder / exporting.CONVERTED_WEIGHTS
    path.write_bytes(path.read_bytes()[:100])
    checksums.seal(folder)
    with pytest.raises(ModelError, match="damaged or holds no network"):
        run(folder)


def test_a_form_of_another_network_is_refused(folder, tmp_path):
    one = {**model_cases.TINY, "in_channels": 1}
    from CSpineSegLib.model import networks

    description, weights = openvino_engine.convert(networks.build(one), one)
    (folder / exporting.CONVERTED).write_bytes(description)
    (folder / exporting.CONVERTED_WEIGHTS).write_bytes(weights)
    checksums.seal(folder)
    with pytest.raises(ModelError, match="does not fit the network"):
        run(folder)


def test_exporting_again_without_the_form_leaves_none_behind(tmp_path):
    assert model.load(model_cases.tiny(tmp_path)).is_converted
    bundle = model.load(model_cases.tiny(tmp_path, convert=False))
    assert not bundle.is_converted and not list(bundle.folder.rglob("*.xml"))
