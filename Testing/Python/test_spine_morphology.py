"""Operations on masks: exactly those of scipy.ndimage, which takes too long to import."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from CSpineSegLib.spine import morphology


def masks():
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (7, 9), (40, 31), (3, 5, 4), (5, 40, 30)]:
        for share in (0.0, 0.1, 0.4, 0.6, 1.0):
            yield rng.random(shape) < share
    spiral = np.zeros((41, 41), bool)
    for start in range(0, 20, 2):
        spiral[start, start : 41 - start] = spiral[start : 41 - start, 40 - start] = True
        spiral[40 - start, start : 41 - start] = spiral[start + 2 : 41 - start, start] = True
        spiral[start + 2, start : start + 2] = True
    yield spiral
    yield spiral.T[None].repeat(3, axis=0)


@pytest.mark.parametrize("full", [False, True])
def test_connected_parts_are_those_of_scipy(full):
    for mask in masks():
        structure = np.ones((3,) * mask.ndim, bool) if full else None
        ours, count = morphology.label(mask, structure)
        theirs, expected = ndimage.label(mask, structure)
        assert ours.dtype == np.int32 and count == expected
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(("count", "reach"), [(0, 5), (1, 5), (2000, 7), (50, 400)])
def test_distinct_places_are_those_of_numpy(count, reach):
    places = np.random.default_rng(1).integers(-reach, reach, (count, 2))
    ours, which = morphology.distinct(places)
    theirs, expected = np.unique(places, axis=0, return_inverse=True)
    assert np.array_equal(ours, theirs) and np.array_equal(which, expected.reshape(-1))


def test_holes_are_those_of_scipy():
    for mask in masks():
        assert np.array_equal(morphology.fill_holes(mask), ndimage.binary_fill_holes(mask))


@pytest.mark.parametrize("mode", ["reflect", "nearest", "constant"])
@pytest.mark.parametrize("sigma", [0.4, 1.0, 7.3])
def test_smoothing_is_that_of_scipy(mode, sigma):
    values = np.random.default_rng(1).random((12, 5))
    for sigmas in ((sigma, 2.0), (sigma, 0.0)):
        assert np.allclose(
            morphology.gaussian(values, sigmas, mode), ndimage.gaussian_filter(values, sigmas, mode=mode), atol=1e-12
        )


def test_the_given_mask_is_not_changed():
    mask = np.pad(np.zeros((1, 1), bool), 1, constant_values=True)
    filled = morphology.fill_holes(mask)
    assert filled.all() and not mask.all()
