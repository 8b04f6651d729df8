"""Each artefact on its own: what it changes, where, by how much, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from CSpineSegLib import phantom
from CSpineSegLib.phantom import artefacts


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def grid():
    return phantom.grid_around((40, 48, 5), (2.0, 2.0, 4.0), "PSR", centre=(0, 0, 0))


def step_edge():
    image = np.zeros((64, 32, 3), np.float32)
    image[20:44] = 100
    return image


def test_smooth_noise_has_its_length_and_about_unit_variance(rng):
    noise = artefacts.smooth_noise((60, 60, 60), (1, 1, 1), (4, 4, 20), rng)
    assert noise.shape == (60, 60, 60) and noise.dtype == np.float32
    assert 0.3 < noise.std() < 1.1 and abs(noise.mean()) < 0.15
    steps = [np.abs(np.diff(noise, axis=axis)).mean() for axis in range(3)]
    assert steps[0] > 2 * steps[2]
    # Across slices thicker than its length, neighbours are independent.
    coarse = artefacts.smooth_noise((40, 40, 30), (1, 1, 4), 2, rng)
    assert abs(np.corrcoef(coarse[:, :, 10].ravel(), coarse[:, :, 12].ravel())[0, 1]) < 0.15


def test_ghosts_keep_the_total_and_lie_where_they_are_sent():
    moving = np.zeros((40, 30, 2), np.float32)
    moving[20, 10] = 50
    made = artefacts.ghosts(moving + 7, moving, 8, 0.1, 0)
    np.testing.assert_allclose(made.sum(), (moving + 7).sum(), rtol=1e-6)
    np.testing.assert_allclose(made[[12, 20, 28], 10, 0] - 7, [2.5, 45, 2.5], rtol=1e-5)
    np.testing.assert_array_equal(made[:, 11:], 7)


def test_swallowing_changes_nothing_without_movement_and_keeps_the_mean_with_it(rng):
    image = rng.uniform(0, 100, (32, 40, 2)).astype(np.float32)
    throat = np.zeros((32, 1, 1), np.float32)
    lines = rng.random(40) < 0.3
    np.testing.assert_allclose(artefacts.swallow(image, throat, 3, lines, 1, 0), image, atol=1e-3)
    throat[:8] = 1
    np.testing.assert_allclose(artefacts.swallow(image, throat, 3, np.zeros(40, bool), 1, 1), image, atol=1e-3)
    made = artefacts.swallow(image, throat, 3, lines, 1, 1)
    changed = np.abs(made - image).max(axis=(1, 2))
    assert changed[:8].min() > 1 and changed[8:].max() < 1e-2
    np.testing.assert_allclose(made.mean(), image.mean(), rtol=0.01)


def test_a_cut_k_space_rings_and_a_rounded_one_does_not(rng):
    image = step_edge()
    sharp = artefacts.acquire(image, {0: 0.5}, 0.0, 0.0, rng)
    soft = artefacts.acquire(image, {0: 0.5}, 1.0, 0.0, rng)
    assert sharp.max() > 106
    assert sharp[:14].max() > 2 * soft[:14].max()
    # The signal is a magnitude: what rings below zero is folded up, and adds a little.
    np.testing.assert_allclose([sharp.mean(), soft.mean()], image.mean(), rtol=0.06)
    # Nothing below half of the frequencies is lost.
    spectrum, kept = (np.abs(np.fft.fft(part[:, 0, 0])) for part in (image, sharp))
    np.testing.assert_allclose(kept[1:4], spectrum[1:4], rtol=0.1, atol=60)


def test_a_full_matrix_without_noise_changes_nothing(rng):
    image = rng.uniform(0, 900, (20, 24, 3)).astype(np.float32)
    np.testing.assert_allclose(artefacts.acquire(image, {0: 1.0, 1: 1.0}, 0.0, 0.0, rng), image, atol=0.05)


@pytest.mark.parametrize(("kept", "edge"), [(1.0, 0.0), (0.6, 0.0), (0.7, 0.8)])
def test_noise_is_rician_and_of_the_size_asked_for(rng, kept, edge):
    image = np.zeros((128, 128, 3), np.float32)
    image[:, 64:] = 500
    made = artefacts.acquire(image, {0: kept}, edge, 10.0, rng)
    assert made.min() >= 0
    # Rayleigh in air: mean sigma sqrt(pi / 2).
    assert made[:, :60].mean() == pytest.approx(12.53, rel=0.05)
    assert made[:, 68:].std() == pytest.approx(10, rel=0.07)


def test_interpolation_correlates_the_noise_of_neighbours(rng):
    image = np.full((128, 64, 2), 500, np.float32)
    full, half = (artefacts.acquire(image, {0: kept}, 0.0, 10.0, rng) for kept in (1.0, 0.5))
    neighbours = [np.corrcoef(part[:-1].ravel(), part[1:].ravel())[0, 1] for part in (full, half)]
    assert abs(neighbours[0]) < 0.05 and neighbours[1] > 0.4


def test_a_saturation_band_darkens_what_lies_before_it_only(grid):
    gain = artefacts.saturation(grid, (0.1, 0.0), 10.0, 0.8)
    ahead = artefacts.coordinate(grid, 1) - 0.1 * artefacts.coordinate(grid, 2)
    assert gain[ahead < 4].min() > 0.98
    np.testing.assert_allclose(gain[ahead > 18], 0.2, atol=0.02)


def test_a_coil_behind_the_neck_is_strongest_there_and_weak_towards_head_and_chest(grid):
    gain = artefacts.coil(grid, 80, 120, middle=0.0)
    y, z = artefacts.coordinate(grid, 1), artefacts.coordinate(grid, 2)
    level = np.abs(z + 1) < 1.1
    assert gain[level & (y < -30)].mean() > 1.5 * gain[level & (y > 30)].mean()
    assert gain[np.abs(z) < 10].mean() > 1.08 * gain[np.abs(z) > 40].mean()
    both = artefacts.coil(grid, 80, 120, middle=0.0, front=0.5)
    ratios = [part[level & (y < -30)].mean() / part[level & (y > 30)].mean() for part in (gain, both)]
    assert ratios[1] < ratios[0]


def test_the_ends_of_the_view_fade_and_its_middle_does_not():
    gain = artefacts.fade_ends((4, 50, 3), 1, 0.8, 0.3)
    assert gain.shape == (1, 50, 1)
    np.testing.assert_allclose(gain[0, [0, -1], 0], 0.3, atol=1e-6)
    np.testing.assert_allclose(gain[0, 6:44, 0], 1)


def test_interleaving_makes_odd_slices_brighter_or_darker(rng):
    gain = artefacts.interleave((3, 4, 40), 2, 0.2, 0.01, rng)
    assert gain.shape == (1, 1, 40)
    assert gain[..., 1::2].mean() / gain[..., ::2].mean() == pytest.approx(np.exp(0.2), rel=0.02)


def test_metal_blackens_beyond_itself_and_brightens_a_rim(rng):
    image = np.full((60, 60, 3), 100, np.float32)
    none = np.zeros_like(image)
    np.testing.assert_array_equal(artefacts.metal(image, none, (2, 2, 0.3), 0.8, 0), image)
    share = none.copy()
    share[28:32, 25:35, 1] = 1
    made = artefacts.metal(image, share, (2, 2, 0.3), 0.8, 0)
    assert made[share > 0].max() < 10
    assert (made[:, :, 1] < 50).sum() > 1.5 * share.sum()
    assert made.max() > 120 and made[:, :, 1].argmax() // 60 > 31
    np.testing.assert_allclose(made[:10], 100, atol=1e-3)


def test_shifts_move_by_parts_of_voxels_and_lose_nothing():
    image = step_edge()
    np.testing.assert_array_equal(artefacts.shifted(image, 3.0, 0), np.roll(image, 3, 0))
    half = artefacts.shifted(image, -1.5, 0)
    np.testing.assert_allclose(half.sum(), image.sum(), rtol=1e-6)
    np.testing.assert_allclose(half[[17, 18, 19], 0, 0], [0, 50, 100])


def test_a_blur_keeps_the_sum_and_spreads_by_its_size():
    image = np.zeros((41, 41, 3), np.float32)
    image[20, 20, 1] = 1
    made = artefacts.blurred(image, (2.0, 0.0, 0.0))
    np.testing.assert_allclose(made.sum(), 1, rtol=1e-5)
    spread = np.sqrt((made[:, 20, 1] * np.square(np.arange(41) - 20)).sum())
    assert spread == pytest.approx(2.0, rel=0.1)
    assert np.count_nonzero(made[:, :, [0, 2]]) == 0 and np.count_nonzero(made[20]) == 1
