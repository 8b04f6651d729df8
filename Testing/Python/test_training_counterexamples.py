"""What is made of a phantom to be told from a neck has the sizes that it should, and no spine where that is gone."""

from __future__ import annotations

import numpy as np
import pytest
from training_cases import tiny_bundle, tiny_exam

from CSpineSegLib.model import plausibility
from CSpineSegLib.training import counterexamples as made
from CSpineSegLib.training import exams


@pytest.fixture(scope="module")
def scene() -> made.Scene:
    return made.scene_of(tiny_exam(number=3, shape=(80, 130, 9), spacing=(1.5, 1.5, 4.0)))


@pytest.mark.parametrize(
    ("make", "sizes"),
    [(made.lumbar, (26, 37)), (made.thoracic, (24, 30)), (made.animal, (3.8, 6.2)), (made.child, (9.8, 13.6))],
)
def test_vertebrae_are_given_the_size_of_another_part_or_person(scene, make, sizes):
    changed = make(scene, np.random.default_rng(1))
    # A crop has other vertebrae than the whole, so that the median moves a little.
    assert sizes[0] * 0.93 < changed.size() < sizes[1] * 1.07
    assert changed.image.shape == changed.mask.shape and changed.spacing[0] == scene.spacing[0]


def test_small_fields_of_view_show_three_vertebrae_at_least(scene):
    found = [made.window(scene, np.random.default_rng(seed)) for seed in range(20)]
    shown = [part for part in found if part is not None]
    assert len(shown) >= 10
    for part in shown:
        rows = np.flatnonzero(part.mask.any(axis=(0, 2)))
        assert len(rows) * part.spacing[1] >= 45 and (part.mask == 2).any()
        assert part.image.shape[1] * part.spacing[1] <= 125


def test_the_erased_spine_leaves_the_rest_and_takes_the_bodies(scene):
    gone = made.erased(scene, np.random.default_rng(2))
    inside = scene.mask > 0
    assert not gone.mask.any()
    assert np.mean(gone.image[inside] == scene.image[inside]) < 0.1
    assert np.mean(gone.image[~inside] == scene.image[~inside]) > 0.6


@pytest.mark.parametrize("make", made.OTHER, ids=lambda make: make.__name__)
def test_every_counterexample_is_an_image_and_comes_again(scene, make):
    first, again = (make(scene, np.random.default_rng(5)) for _ in range(2))
    if first is None:
        pytest.skip("the exam does not allow it")
    assert np.isfinite(first.image).all() and first.image.std() > 0 and first.image.dtype == np.float32
    assert np.array_equal(first.image, again.image) and first.mask.shape == first.image.shape


def test_a_fit_takes_kept_exams_and_tells_what_it_would_accept(tmp_path):
    paths = [exams.save(tmp_path, tiny_exam(number=number)) for number in range(2)]
    coefficients, told = made.fit(tiny_bundle(tmp_path), paths)
    assert set(coefficients["weights"]) == set(plausibility.RANGES)
    plausibility.read(coefficients)
    assert "whole" in told and told["whole"].endswith("of 2 accepted")
