"""A network gives the same logits by either engine, stops when told, and needs torch only until it is converted."""

import threading
import time

import numpy as np
import pytest
from runner_cases import OPENVINO, SIZES, TORCH, expected, forget, imported, windows

from CSpineSegLib.errors import Cancelled, ModelError
from CSpineSegLib.model import devices
from CSpineSegLib.model.nnunet import conversion, openvino_runner, runners, torch_runner
from CSpineSegLib.model.nnunet.runners import open_runner
from CSpineSegLib.model.nnunet.windows import Windows

torch = pytest.importorskip("torch")
pytest.importorskip("openvino")


@pytest.fixture(autouse=True)
def nothing_kept():
    forget()


@pytest.fixture(params=["PlainConvUNet", "ResidualEncoderUNet"])
def model(request, tmp_path):
    return imported(tmp_path, request.param)


@pytest.fixture
def plain(tmp_path):
    return imported(tmp_path, "PlainConvUNet")


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
    # OpenVINO's own sums over a million pixels would be wrong by a thousandth.
    assert np.abs(found - expected("PlainConvUNet", "2d", inputs[:1])).max() < 2e-5


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


@pytest.mark.parametrize("most", [4, 2, 1, 0])
def test_a_batch_that_the_memory_does_not_hold_is_halved_down_to_one_and_it_is_said(plain, most):
    runner = open_runner(plain, "2d", 0, TORCH, exact=True)
    runner.batch, forward, image = 8, runner._network.forward, np.random.default_rng(5).standard_normal((9, 32, 32))
    image = image.astype(np.float32)
    wanted = Windows(image.shape, (32, 32)).logits(runner, image)

    def narrow(inputs, check):
        if len(inputs) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(inputs, check)

    runner._network.forward, notes = narrow, []
    if most == 0:
        with pytest.raises(ModelError, match="not enough memory for a window of 32 x 32"):
            Windows(image.shape, (32, 32)).logits(runner, image, notes=notes)
        return
    # Torch rounds a batch of one in another way, which half precision shows here and there.
    assert np.allclose(Windows(image.shape, (32, 32)).logits(runner, image, notes=notes), wanted, atol=2e-3)
    assert len(notes) == {4: 1, 2: 2, 1: 3}[most]
    assert all("did not suffice" in note for note in notes)


def test_weights_that_the_device_does_not_hold_are_told_with_the_way_out(plain, monkeypatch):
    def full(*_arguments, **_options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(ModelError, match="use --device cpu"):
        open_runner(plain, "2d", 0, TORCH, exact=True)


def test_the_last_networks_of_each_configuration_are_kept_and_others_go_first():
    made, kept = [], runners.Kept(2)
    for key in "aabacab":
        kept.get("2d", key, lambda key=key: made.append(key) or key)
    assert "".join(made) == "abcb"
    kept.get("3d_fullres", "a", lambda: made.append("other") or "other")
    assert kept.get("2d", "a", lambda: made.append("again")) == "a"
    assert made[-1] == "other"
    kept.clear()
    kept.get("2d", "a", lambda: made.append("again"))
    assert made[-1] == "again"


def test_half_precision_is_what_the_device_computes_faster_in(monkeypatch):
    assert devices.half_precision("torch", "cuda") == "float16"
    assert devices.half_precision("torch", "mps") is None
    for has, found in ((True, "bfloat16"), (False, None)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
        assert devices.half_precision("torch", "cpu") == found
    openvino = devices.import_openvino()
    for kind, found in ((openvino.Type.bf16, "bfloat16"), (openvino.Type.f32, None), (openvino.Type.f16, None)):
        core = type("Core", (), {"get_property": lambda self, device, name, kind=kind: kind})
        monkeypatch.setattr(openvino, "Core", core)
        assert devices.half_precision("openvino", "cpu") == found
