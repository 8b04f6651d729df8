"""What the network sees, and the way back from it."""

from __future__ import annotations

import numpy as np
import pytest

from CSpineSegLib import volume
from CSpineSegLib.errors import InputError, ModelError
from CSpineSegLib.model import preprocess


def image(array: np.ndarray, spacing=(4.0, 0.7, 0.7), codes: str = "RIP") -> volume.Volume:
    """An image whose axes point as `codes`, in memory laid out as in a file."""
    turned = volume.reorient(volume.from_array(array, np.diag([*spacing, 1.0])), codes)
    return volume.from_array(np.asfortranarray(turned.array), turned.affine)


def ramp(shape) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 900, shape).astype(np.int16)


def test_rows_go_down_and_columns_go_back():
    head_front_left = np.zeros((3, 20, 30), np.int16)
    head_front_left[0, 19, 29] = 100
    slices, _ = preprocess.to_network(volume.from_array(head_front_left, np.diag([4.0, 0.7, 0.7, 1.0])))
    assert slices.shape == (3, 30, 20)
    assert np.unravel_index(slices.argmax(), slices.shape) == (0, 0, 0)


@pytest.mark.parametrize("spacing", [(4.0, 0.9, 0.5), (4.0, 0.7, 0.7)])
@pytest.mark.parametrize("codes", ["RIP", "PSR", "LAS", "SPL", "IRA"])
def test_every_orientation_gives_the_network_the_same_bytes(codes, spacing):
    expected, _ = preprocess.to_network(image(ramp((5, 70, 61)), spacing))
    slices, _ = preprocess.to_network(image(ramp((5, 70, 61)), spacing, codes))
    assert slices.dtype == np.float32 and slices.flags.c_contiguous
    assert slices.tobytes() == expected.tobytes()


def test_intensities_are_clipped_above_and_normalised_over_the_exam():
    array = np.linspace(0.0, 1.0, 10_000, dtype=np.float32).reshape(10, 10, 100)
    array[-1, -1, -20:] = 1000.0
    values = preprocess.normalise(array)
    assert values.dtype == np.float32 and abs(values.mean()) < 1e-5 and abs(values.std() - 1) < 1e-5
    assert np.count_nonzero(values == values.max()) == 50
    assert array.max() == 1000.0


@pytest.mark.parametrize(("slope", "shift"), [(7.5, 0.0), (1.0, 300.0), (1e-30, 0.0), (1e33, 0.0)])
def test_scale_and_offset_of_the_intensities_do_not_matter(slope, shift):
    array = ramp((4, 30, 30)).astype(np.float32)
    changed = array * np.float32(slope) + np.float32(shift)
    assert np.allclose(preprocess.normalise(changed), preprocess.normalise(array), atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1000.1, -3.0e38])
def test_a_constant_image_becomes_zeros(value):
    assert not preprocess.normalise(np.full((3, 9, 9), value, np.float32)).any()


def test_intensities_beyond_single_precision_are_refused():
    huge = volume.from_array(np.full((2, 4, 4), 1.0e300), np.eye(4))
    with pytest.raises(InputError, match="single precision"), np.errstate(over="ignore"):
        preprocess.to_network(huge)


def test_slices_of_nearly_the_right_pixel_size_are_not_interpolated():
    slices, way = preprocess.to_network(image(ramp((3, 40, 50)), (4.0, 0.6875, 0.6875)))
    assert way.network_shape == way.shape == (50, 40)
    plain = ramp((3, 40, 50)).transpose(0, 2, 1)[:, ::-1, ::-1].astype(np.float32, order="C")
    assert np.array_equal(slices, preprocess.normalise(plain))
    assert preprocess.from_network(slices, way) is slices


def test_other_pixel_sizes_are_resampled_in_plane_only_each_axis_by_its_own():
    slices, way = preprocess.to_network(image(ramp((3, 40, 50)), (9.0, 0.35, 1.4)))
    assert slices.shape == (3, 100, 20) and way.network_spacing == (0.7, 0.7)
    assert preprocess.from_network(slices[None], way).shape == (1, 3, 50, 40)


@pytest.mark.parametrize("sizes", [(100, 0.5, 71, 0.7), (71, 0.7, 100, 0.5), (64, 0.3, 27, 0.7), (5, 3.0, 21, 0.7)])
def test_interpolation_keeps_constants_and_places_a_ramp_in_patient_space(sizes):
    size, spacing, new_size, new_spacing = sizes
    weights = preprocess.interpolation(*sizes)
    assert np.allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    position = (np.arange(size) - (size - 1) / 2) * spacing
    wanted = (np.arange(new_size) - (new_size - 1) / 2) * new_spacing
    inner = np.abs(wanted) < position[-1] - max(spacing, new_spacing)
    assert np.allclose((weights @ position)[inner], wanted[inner], atol=0.1 * max(spacing, new_spacing))


def test_towards_coarser_pixels_nothing_is_skipped():
    """Lines of one pixel must become grey; plain linear interpolation would keep or drop them."""
    lines = np.zeros((1, 400, 40), np.float32)
    lines[:, ::4] = 4.0
    weights = preprocess.interpolation(400, 0.175, 100, 0.7)
    grey = (weights @ lines[0])[2:-2]
    assert np.allclose(grey, 1.0, atol=0.01)


# --- neighbouring slices ---


def test_a_network_of_three_slices_sees_left_itself_and_right_with_the_ends_repeated():
    slices = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((5, 2, 3), np.float32)
    stacked = preprocess.stack(slices, 0, 5, 1)
    assert stacked.shape == (5, 3, 2, 3)
    assert stacked[:, :, 0, 0].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 4]]
    assert preprocess.stack(slices, 1, 3, 4)[:, :, 0, 0].tolist() == [[0, 1, 4], [0, 2, 4]]
    assert preprocess.stack(slices, 1, 4)[:, :, 0, 0].tolist() == [[1], [2], [3]]


@pytest.mark.parametrize(("across", "away"), [(4.0, 1), (5.5, 1), (12.0, 1), (3.0, 1), (2.0, 2), (1.0, 4), (0.8, 5)])
def test_the_neighbours_are_about_four_millimetres_away(across, away):
    assert preprocess.neighbour(across) == away


def test_the_spacing_across_slices_is_found_in_every_orientation():
    for codes in ("RIP", "PSR", "LAS", "SPL"):
        _, way = preprocess.to_network(image(ramp((5, 30, 20)), (3.3, 0.7, 0.7), codes))
        assert way.across == pytest.approx(3.3)


def test_a_description_tells_its_neighbours_and_former_ones_have_none():
    assert preprocess.context_of(preprocess.describe(0.7)) == (1, 4.0)
    assert preprocess.context_of(preprocess.describe(0.7, 3, 5.0)) == (3, 5.0)
    for wrong in ({"context_slices": 5}, {"context_slices": 3, "context_distance_mm": "4"}, {"context_slices": None}):
        with pytest.raises(ModelError, match="neighbouring slices"):
            preprocess.context_of({**preprocess.describe(), **wrong})
