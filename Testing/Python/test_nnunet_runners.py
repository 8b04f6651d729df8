"""A network gives the same logits by either engine, stops when told, and needs torch only until it is converted."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import nnunet_zips as zips
import numpy as np
import pytest

from CSpineSegLib import files
from CSpineSegLib.errors import Cancelled, ModelError
from CSpineSegLib.model import devices
from CSpineSegLib.model.nnunet import conversion, openvino_runner, runners, store, torch_runner
from CSpineSegLib.model.nnunet.runners import open_runner

torch = pytest.importorskip("torch")
pytest.importorskip("openvino")

TORCH, OPENVINO = (devices.Choice(engine, "cpu", "") for engine in ("torch", "openvino"))
SIZES = {"2d": (32, 32), "3d_fullres": (8, 32, 32)}


@pytest.fixture(autouse=True)
def nothing_kept():
    """Every test opens its networks itself."""
    torch_runner._kept["cpu"].clear()
    openvino_runner._kept.clear()


@pytest.fixture(params=["PlainConvUNet", "ResidualEncoderUNet"])
def model(request, tmp_path):
    return imported(tmp_path, request.param)


@pytest.fixture
def plain(tmp_path):
    return imported(tmp_path, "PlainConvUNet")


def imported(folder, kind, folds=(0,)):
    keys = [(key, fold) for key in SIZES for fold in folds]
    weights = {(key, fold): zips.state(len(SIZES[key]), kind, fold) for key, fold in keys}
    return store.write(folder, "mine", zips.plans(kind), zips.dataset(), weights, orientation="PSR")


def windows(configuration, count=3, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 1, *SIZES[configuration]), dtype=np.float32)


def expected(kind, configuration, inputs, fold=0):
    """Logits of nnU-Net's own network."""
    network = zips._network(len(SIZES[configuration]), kind, fold)
    network.decoder.deep_supervision = False
    with torch.inference_mode():
        return network(torch.from_numpy(inputs)).numpy()


@pytest.mark.parametrize("configuration", SIZES)
def test_torch_gives_nnunets_own_logits_bit_for_bit(model, configuration):
    inputs = windows(configuration)
    runner = open_runner(model, configuration, 0, TORCH, exact=True)
    kind = model.plans.configurations[configuration].network["name"]
    assert np.array_equal(runner(inputs), expected(kind, configuration, inputs))
    assert (runner.name, runner.device, runner.precision) == ("torch", "cpu", "float32")


@pytest.mark.parametrize("configuration", SIZES)
def test_openvino_gives_the_same_logits_in_single_precision(model, configuration):
    inputs = windows(configuration, 5)
    runner = open_runner(model, configuration, 0, OPENVINO, exact=True)
    found = runner(inputs)
    kind = model.plans.configurations[configuration].network["name"]
    wanted = expected(kind, configuration, inputs)
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 2e-5 * np.abs(wanted).max()
    assert (runner.name, runner.device, runner.precision) == ("openvino", "cpu", "float32")


@pytest.mark.parametrize("choice", [TORCH, OPENVINO], ids=lambda choice: choice.engine)
def test_each_fold_has_its_own_weights_and_windows_do_not_mix(tmp_path, choice):
    model, inputs = imported(tmp_path, "PlainConvUNet", (0, 1)), windows("2d", 5)
    first, second = (open_runner(model, "2d", fold, choice, exact=True) for fold in (0, 1))
    together = first(inputs)
    assert not np.allclose(together, second(inputs), atol=1e-2)
    for index in range(len(inputs)):
        alone = first(inputs[index : index + 1])[0]
        assert np.abs(alone - together[index]).max() < 1e-5


def test_a_network_is_loaded_once(plain, monkeypatch):
    for choice, where in ((TORCH, torch_runner), (OPENVINO, conversion)):
        read = []
        from CSpineSegLib.model.nnunet import weights

        monkeypatch.setattr(weights, "load", counted(weights.load, read))
        for _ in range(3):
            open_runner(plain, "2d", 0, choice, exact=True)(windows("2d", 1))
        assert len(read) == 1, where


def counted(function, calls):
    def call(*arguments, **options):
        calls.append(arguments)
        return function(*arguments, **options)

    return call


@pytest.mark.parametrize("choice", [TORCH, OPENVINO], ids=lambda choice: choice.engine)
def test_a_whole_image_may_be_larger_than_the_patch(plain, choice):
    inputs = np.random.default_rng(3).standard_normal((1, 1, 48, 64), dtype=np.float32)
    found = open_runner(plain, "2d", 0, choice, exact=True, size=(48, 64))(inputs)
    assert np.abs(found - expected("PlainConvUNet", "2d", inputs)).max() < 1e-4


@pytest.mark.parametrize("size", [(30, 32), (32, 32, 32), (4, 4), (0, 32)])
def test_a_size_that_the_network_does_not_take_is_refused(plain, size):
    for choice in (TORCH, OPENVINO):
        with pytest.raises(ModelError, match=r"takes no windows of .* multiples of 4, 4"):
            open_runner(plain, "2d", 0, choice, exact=True, size=size)


def test_a_fold_that_is_not_there_is_refused(plain):
    for choice in (TORCH, OPENVINO):
        with pytest.raises(ModelError, match="no fold 4 of 2d"):
            open_runner(plain, "2d", 4, choice, exact=True)


# ---- the conversion


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


def resealed(folder):
    from CSpineSegLib.model import checksums

    checksums.seal(folder)


SPOILED = {
    "weights changed": lambda folder: rewritten(folder / "weights.bin", lambda data: data[:-4] + b"\0\0\x80\x3f"),
    "weights cut": lambda folder: rewritten(folder / "weights.bin", lambda data: data[:-1000]),
    "no checksums": lambda folder: (folder / "SHA256SUMS").unlink(),
    "a further file": lambda folder: (folder / "more.xml").write_text("<net/>", encoding="utf-8"),
    "a file is missing": lambda folder: (folder / "weights.bin").unlink(),
    "nothing there": lambda folder: [path.unlink() for path in folder.iterdir()],
    "cut and sealed again": lambda folder: (
        rewritten(folder / "weights.bin", lambda data: data[: len(data) // 2]),
        resealed(folder),
    ),
    "emptied and sealed again": lambda folder: (
        rewritten(folder / "weights.bin", lambda data: b""),
        resealed(folder),
    ),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_a_damaged_conversion_is_made_again(plain, spoil):
    inputs = windows("2d")
    wanted = open_runner(plain, "2d", 0, OPENVINO, exact=True)(inputs)
    openvino_runner._kept.clear()
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
    openvino_runner._kept.clear()
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


# ---- precision


def test_half_precision_is_used_by_default_where_the_processor_has_it_and_never_for_exact(plain, monkeypatch):
    inputs = windows("2d")
    monkeypatch.setattr(torch_runner, "half_precision", lambda engine, device: "bfloat16")
    exact, half = (open_runner(plain, "2d", 0, TORCH, exact=exact) for exact in (True, False))
    assert (exact.precision, half.precision) == ("float32", "bfloat16")
    wanted, found = exact(inputs), half(inputs)
    assert np.array_equal(wanted, expected("PlainConvUNet", "2d", inputs))
    assert 1e-4 < np.abs(found - wanted).max() < 0.2 * np.abs(wanted).max()


def test_openvino_is_told_its_precision(plain, monkeypatch):
    runner = open_runner(plain, "2d", 0, OPENVINO, exact=True)
    assert runner._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
    monkeypatch.setattr(openvino_runner, "half_precision", lambda engine, device: "bfloat16")
    assert open_runner(plain, "2d", 0, OPENVINO, exact=True).precision == "float32"
    half, inputs = open_runner(plain, "2d", 0, OPENVINO, exact=False), windows("2d")
    assert half.precision == "bfloat16"
    assert np.abs(half(inputs) - runner(inputs)).max() < 0.2 * np.abs(runner(inputs)).max()


# ---- cancelling


def cancelling(after):
    began = time.monotonic()

    def check():
        if time.monotonic() - began > after:
            raise Cancelled

    return check


@pytest.mark.parametrize("choice", [TORCH, OPENVINO], ids=lambda choice: choice.engine)
def test_cancelling_ends_a_long_pass_at_once_and_the_next_is_right(plain, choice):
    size = (1024, 1024)
    runner = open_runner(plain, "2d", 0, choice, exact=True, size=size)
    inputs = np.random.default_rng(4).standard_normal((6, 1, *size), dtype=np.float32)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        runner(inputs, cancelling(0.2))
    assert time.monotonic() - began < 1.2
    found = runner(inputs[:1])
    assert np.abs(found - expected("PlainConvUNet", "2d", inputs[:1])).max() < 1e-4


def test_the_layer_in_work_when_cancelled_is_torchs_last(plain):
    runner = open_runner(plain, "2d", 0, TORCH, exact=True)
    begun, go_on, layers = threading.Event(), threading.Event(), []
    forward = runner._network.forward

    def slow(inputs, check):
        def counting():
            layers.append(1)
            if len(layers) == 3:
                begun.set()
                go_on.wait(30)
            check()

        return forward(inputs, counting)

    runner._network.forward = slow

    def check():
        if begun.is_set():
            raise Cancelled

    with pytest.raises(Cancelled):
        runner(windows("2d", 1), check)
    go_on.set()
    runner._network.forward = forward
    inputs = windows("2d", 1, seed=8)
    assert np.array_equal(runner(inputs), expected("PlainConvUNet", "2d", inputs))
    assert len(layers) == 3


def test_an_error_of_torch_reaches_the_caller_with_the_memory_it_names(plain):
    runner = open_runner(plain, "2d", 0, TORCH, exact=True)

    def full(*_arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    runner._network.forward = full
    with pytest.raises(torch.OutOfMemoryError) as caught:
        runner(windows("2d", 1))
    assert devices.is_out_of_memory(caught.value)
    runner.release()


def test_what_was_expensive_is_kept_until_others_need_the_room():
    made, kept = [], runners.Kept(2)
    for key in "aabacab":
        kept.get(key, lambda key=key: made.append(key) or key)
    assert "".join(made) == "abcb"
    kept.clear()
    kept.get("b", lambda: made.append("again"))
    assert made[-1] == "again"
