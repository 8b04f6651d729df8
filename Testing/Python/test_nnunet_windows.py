"""Windows lie, weigh and add up as nnU-Net's do, bit for bit; batches, memory and cancelling change nothing of that."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from CSpineSegLib.errors import Cancelled, GraphicsMemoryError, ModelError
from CSpineSegLib.model.nnunet import windows
from CSpineSegLib.model.nnunet.windows import OutOfMemory, Windows

CASES = {
    "slices larger than the patch": ((5, 40, 50), (32, 48)),
    "slices smaller than the patch": ((4, 19, 20), (32, 24)),
    "a stack larger than the patch": ((11, 40, 30), (8, 32, 16)),
    "a stack smaller than the patch along one axis": ((3, 20, 41), (8, 32, 16)),
}


class Fake:
    """A runner: one convolution, a window at a time; `memory` windows are all that it has room for."""

    name, device, precision, notes = "torch", "cpu", "float32", ()

    def __init__(self, patch, batch=1, memory=99, scale=1.0):
        import torch

        torch.manual_seed(0)
        kind = torch.nn.Conv2d if len(patch) == 2 else torch.nn.Conv3d
        self.network = kind(1, 3, 3, padding=1).requires_grad_(False)
        self.batch, self.memory, self.scale, self.calls = batch, memory, scale, []

    def __call__(self, inputs, check=None):
        import torch

        self.calls.append(len(inputs))
        if len(inputs) > self.memory:
            raise RuntimeError("not enough memory: you tried to allocate it")
        if check is not None:
            check()
        return np.concatenate([self.network(torch.from_numpy(one[None])).numpy() for one in inputs]) * self.scale

    def release(self):
        self.released = True


def drawn(shape):
    return np.random.default_rng(1).normal(0, 3, shape).astype(np.float32)


def stock(image, patch, axes):
    """nnU-Net's own logits of the fake network, float16."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, use_mirroring=bool(axes))
    predictor.network = Fake(patch).network
    predictor.configuration_manager = SimpleNamespace(patch_size=list(patch))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=3)
    predictor.allowed_mirroring_axes = axes
    return predictor.predict_sliding_window_return_logits(torch.from_numpy(image[None])).numpy()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("shape", "patch"), CASES.values(), ids=CASES)
def test_logits_are_those_of_nnunet_bit_for_bit(shape, patch, mirrored):
    axes = tuple(range(len(patch))) if mirrored else ()
    image = drawn(shape)
    expected = stock(image, patch, axes)
    found = Windows(shape, patch).logits(Fake(patch), image, axes)
    assert found.dtype == np.float16 and np.array_equal(found, expected)
    # A window's views may come in different batches.
    for batch in (3, 64):
        assert np.array_equal(Windows(shape, patch).logits(Fake(patch, batch), image, axes), expected)


def test_mirroring_along_one_axis_alone_is_taken_from_the_checkpoint():
    shape, patch = CASES["a stack larger than the patch"]
    image = drawn(shape)
    assert np.array_equal(Windows(shape, patch).logits(Fake(patch), image, (2,)), stock(image, patch, (2,)))


@pytest.mark.parametrize("patch", [(64, 64), (37, 51), (8, 48, 40), (5, 7, 9)])
def test_weights_are_those_of_nnunet_bit_for_bit(patch):
    import torch
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian

    expected = compute_gaussian(patch, value_scaling_factor=10, device=torch.device("cpu")).numpy()
    assert np.array_equal(windows.gaussian(patch), expected)


sides = st.tuples(*[st.integers(4, 60)] * 3)


@settings(max_examples=80, deadline=None)
@given(sides, sides, st.sampled_from([0.5, 0.75, 1.0]), st.booleans())
def test_windows_and_padding_are_those_of_nnunet(shape, patch, step, flat):
    from acvl_utils.cropping_and_padding.padding import pad_nd_image
    from nnunetv2.inference.sliding_window_prediction import compute_steps_for_sliding_window

    patch = patch[1:] if flat else patch
    layout = Windows(shape, patch, step)
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    padded = pad_nd_image(image[None], patch, "constant", {"constant_values": 0})
    assert np.array_equal(np.pad(image, layout.padding), padded[0])
    assert layout.padded == padded.shape[1:]
    expected = compute_steps_for_sliding_window(layout.padded[-len(patch) :], patch, step)
    assert windows.steps(layout.padded[-len(patch) :], patch, step) == expected
    # Every voxel is seen, and every window is inside.
    assert layout.mass().min() > 0
    assert {image[place].size for place in layout.places} == {np.prod(patch)} or layout.padded != shape


def test_without_weights_a_single_window_gives_the_networks_own_logits():
    shape = (3, 32, 32)
    image, runner = drawn(shape), Fake((32, 32))
    found = Windows(shape, (32, 32), weighted=False).logits(runner, image)
    expected = np.moveaxis(runner(image[:, None]), 1, 0)
    assert np.array_equal(found, expected.astype(np.float16))


def test_batches_that_do_not_fit_are_halved_and_told():
    shape, patch = CASES["slices larger than the patch"]
    image, notes = drawn(shape), []
    runner = Fake(patch, batch=8, memory=3)
    found = Windows(shape, patch).logits(runner, image, (0, 1), notes=notes)
    assert np.array_equal(found, stock(image, patch, (0, 1)))
    assert runner.calls[:3] == [8, 4, 2] and set(runner.calls[2:]) == {2} and runner.released
    assert [note.split(";")[0] for note in notes] == [
        f"The memory of cpu did not suffice for {count} windows at once" for count in (8, 4)
    ]


def test_without_memory_for_a_single_window_the_error_says_what_to_do():
    runner = Fake((32, 48), batch=2, memory=0)
    with pytest.raises(OutOfMemory, match="for a window of 32 x 48 voxels; close other programs") as caught:
        Windows((5, 40, 50), (32, 48)).logits(runner, drawn((5, 40, 50)))
    assert not isinstance(caught.value, GraphicsMemoryError)
    runner.device = "cuda"
    with pytest.raises(OutOfMemory, match="--device cpu") as caught:
        Windows((5, 40, 50), (32, 48)).logits(runner, drawn((5, 40, 50)))
    assert isinstance(caught.value, GraphicsMemoryError)


@pytest.mark.parametrize("scale", [1e6, np.nan])
def test_logits_that_half_precision_cannot_hold_are_an_error_and_no_mask(scale):
    with pytest.raises(ModelError, match="too large for half precision"):
        Windows((2, 32, 48), (32, 48)).logits(Fake((32, 48), scale=scale), drawn((2, 32, 48)))


def test_another_error_of_the_network_is_not_taken_for_a_lack_of_memory():
    runner = Fake((32, 48))
    runner.network = None
    with pytest.raises(TypeError):
        Windows((2, 32, 48), (32, 48)).logits(runner, drawn((2, 32, 48)))


def test_cancelling_ends_the_work_at_the_next_batch_or_within_it():
    shape, patch = CASES["a stack larger than the patch"]
    runner, fractions = Fake(patch), []

    def tick(fraction):
        fractions.append(fraction)
        if len(fractions) > 4:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        Windows(shape, patch).logits(runner, drawn(shape), tick=tick)
    assert len(runner.calls) == 4 and fractions == sorted(fractions)
    runner = Fake(patch)

    def check():
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        Windows(shape, patch).logits(runner, drawn(shape), check=check)
    assert len(runner.calls) == 1
