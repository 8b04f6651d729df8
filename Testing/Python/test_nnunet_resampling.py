"""Volumes are resampled to nnU-Net's own values: its splines, its rounding of shapes, its rule for coarse axes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from CSpineSegLib.errors import Cancelled
from CSpineSegLib.model import devices
from CSpineSegLib.model.nnunet import resampling
from CSpineSegLib.progress import Progress

THICK, THIN, EVEN = (4.0, 0.7, 0.7), (4.0, 0.43, 0.43), (1.0, 1.0, 1.0)


def stock(array, shape, spacing, wanted, order, order_z, force=None):
    """nnU-Net's own function for one channel."""
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    given = {"order": order, "order_z": order_z, "force_separate_z": force}
    return resample_data_or_seg_to_shape(array[None], shape, spacing, wanted, is_seg=False, **given)[0]


def ours(array, shape, spacing, wanted, order, order_z, force=None, **options):
    axis = resampling.separate_axis(force, spacing, wanted)
    return resampling.resample(array, shape, axis, order, order_z, **options)


def drawn(shape, dtype, seed=0):
    """Smooth along one axis, noisy along the others."""
    return np.random.default_rng(seed).normal(size=shape).cumsum(1).astype(dtype)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
@pytest.mark.parametrize(
    ("spacing", "wanted", "order_z", "shape"),
    [
        (THICK, THIN, 0, (6, 33, 41)),
        (THICK, (2.5, 0.43, 0.43), 0, (10, 33, 41)),
        (THICK, (7.0, 1.43, 0.93), 1, (4, 13, 17)),
        (THICK, (2.5, 0.43, 0.43), 3, (10, 33, 41)),
        ((0.7, 4.0, 0.7), (0.43, 2.0, 0.43), 0, (10, 33, 41)),
        ((0.7, 0.7, 4.0), (0.43, 0.9, 2.0), 1, (10, 17, 41)),
        (EVEN, (0.8, 0.7, 1.3), 0, (7, 31, 19)),
        (EVEN, (1.0, 0.7, 0.7), 0, (6, 31, 35)),
    ],
)
def test_values_are_those_of_nnunet(order, spacing, wanted, order_z, shape):
    array = drawn((6, 22, 25), np.float64)
    expected = stock(array, shape, spacing, wanted, order, order_z)
    found = ours(array, shape, spacing, wanted, order, order_z)
    assert np.abs(found - expected).max() < 1e-13 * np.abs(array).max()
    if order < 2 and order_z < 2:
        assert np.array_equal(found, expected)
    single = array.astype(np.float32)
    found, expected = (how(single, shape, spacing, wanted, order, order_z) for how in (ours, stock))
    assert found.dtype == expected.dtype and np.mean(found != expected) < 5e-3


@pytest.mark.parametrize(("spacing", "wanted"), [(THIN, THICK), (EVEN, (0.8, 1.6, 1.3)), (THIN, (3.0, 0.7, 0.7))])
@pytest.mark.parametrize("shape", [(6, 20, 32), (8, 32, 20), (5, 50, 61)])
def test_logits_in_half_precision_are_those_of_nnunet_bit_for_bit(spacing, wanted, shape):
    array = drawn((6, 32, 40), np.float16)
    found = ours(array, shape, spacing, wanted, 1, 0)
    assert found.dtype == np.float16
    assert np.array_equal(found, stock(array, shape, spacing, wanted, 1, 0))


spacings = st.tuples(*[st.sampled_from([0.31, 0.43, 0.5, 0.6875, 1.0, 1.5, 3.0, 3.3, 4.0, 5.2])] * 3)
shapes = st.tuples(*[st.integers(1, 12)] * 3)


@settings(max_examples=60, deadline=None)
@given(spacings, spacings, shapes, shapes, st.sampled_from([1, 3]), st.sampled_from([None, True, False]))
def test_any_grids_are_resampled_as_in_nnunet(spacing, wanted, old, new, order, force):
    array = drawn(old, np.float32, seed=sum(old))
    expected = stock(array, new, list(spacing), list(wanted), order, 0, force)
    assert np.allclose(ours(array, new, spacing, wanted, order, 0, force), expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(spacings, spacings, shapes, st.sampled_from([None, True, False]))
def test_shapes_and_coarse_axes_are_those_of_nnunet(spacing, wanted, shape, force):
    from nnunetv2.preprocessing.resampling import default_resampling as theirs

    assert resampling.new_shape(shape, spacing, wanted) == tuple(theirs.compute_new_shape(shape, spacing, wanted))
    apart, axis = theirs.determine_do_sep_z_and_axis(force, list(spacing), list(wanted))
    assert resampling.separate_axis(force, spacing, wanted) == (axis if apart else None)


def test_half_a_voxel_goes_to_the_even_number():
    assert resampling.new_shape((33, 35), (0.5, 0.5), (1.0, 1.0)) == (16, 18)


def test_results_stay_within_the_range_of_each_slice():
    array = np.zeros((4, 16, 16), np.float32)
    array[:, 4:12, 4:12] = np.arange(1, 5)[:, None, None]
    found = ours(array, (4, 40, 40), THICK, THIN, 3, 0)
    assert [one.max() for one in found] == [1, 2, 3, 4] and found.min() == 0
    whole = ours(array, (9, 40, 40), EVEN, (0.5, 0.4, 0.4), 3, 0)
    assert whole.min() >= 0 and whole.max() <= 4


def test_the_same_shape_is_not_touched():
    array = drawn((3, 4, 5), np.float32)
    assert resampling.resample(array, (3, 4, 5), 0, 3) is array
    out = np.empty_like(array)
    assert resampling.resample(array, (3, 4, 5), 0, 3, out=out) is out and np.array_equal(out, array)


def test_the_number_of_threads_does_not_change_the_values(monkeypatch):
    array = drawn((6, 32, 40), np.float32)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(devices, "threads", lambda threads=threads: threads)
        found += [ours(array, (9, 50, 50), *pair, 3, 0) for pair in ((THICK, THIN), (EVEN, EVEN))]
    assert np.array_equal(found[0], found[2]) and np.array_equal(found[1], found[3])


@pytest.mark.parametrize("spacing", [THICK, EVEN])
def test_every_portion_tells_its_fraction_and_cancelling_leaves_the_rest_undone(spacing, monkeypatch):
    monkeypatch.setattr(devices, "threads", lambda: 2)
    monkeypatch.setattr(resampling, "_PORTION", 1 << 12)
    array, shape, fractions = drawn((30, 40, 40), np.float32), (34, 80, 80), []
    ours(array, shape, spacing, spacing, 3, 0, tick=fractions.append)
    assert fractions == sorted(fractions) and fractions[0] == 0 and 0.8 < fractions[-1] <= 1
    assert len(fractions) > 30
    asked = []

    def cancelled():
        asked.append(True)
        return len(asked) > 10

    out = np.full(shape, np.nan, np.float32)
    with pytest.raises(Cancelled):
        ours(array, shape, spacing, spacing, 3, 0, tick=lambda at: Progress(None, cancelled).update("a", at), out=out)
    assert len(asked) == 11 and np.isnan(out).any()
