"""Metrics against cases that were worked out by hand, and against another implementation."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from CSpineSegLib.errors import GeometryError
from CSpineSegLib.evaluation import compare, measure, metrics
from CSpineSegLib.volume import from_array, reorient

SPACING = np.array([0.5, 0.7, 4.0])


def mask(array: np.ndarray, spacing=SPACING):
    return from_array(np.asarray(array, np.uint8), np.diag([*spacing, 1.0]))


def box(shape, *ranges, label=1):
    array = np.zeros(shape, np.uint8)
    array[tuple(slice(*part) for part in ranges)] = label
    return array


def blob(rng: np.random.Generator, shape=(24, 30, 9)) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(rng.standard_normal(shape), (3, 3, 1)) > 0.02


def test_a_box_moved_by_one_voxel_has_the_dice_that_one_counts_by_hand():
    reference = box((10, 10, 4), (2, 6), (2, 6), (1, 3))
    candidate = box((10, 10, 4), (3, 7), (2, 6), (1, 3))
    result = compare(mask(reference), mask(candidate))["bodies"]
    # 4 x 4 x 2 = 32 voxels each, 3 x 4 x 2 = 24 shared.
    assert result["dice"] == 2 * 24 / 64
    assert result["voxels_added"] == result["voxels_removed"] == 8
    assert result["volume_mm3"]["reference"] == pytest.approx(32 * 0.5 * 0.7 * 4.0)
    assert result["voxels"] == {"reference": 32, "candidate": 32}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_voxel_moved_along_one_axis_lies_at_that_axis_spacing(axis):
    reference, candidate = np.zeros((5, 5, 5), np.uint8), np.zeros((5, 5, 5), np.uint8)
    reference[2, 2, 2] = 1
    place = [2, 2, 2]
    place[axis] += 2
    candidate[tuple(place)] = 1
    assert compare(mask(reference), mask(candidate))["bodies"]["hd95_mm"] == pytest.approx(2 * SPACING[axis])


def test_hd95_is_the_larger_of_the_two_directed_percentiles():
    # Reference: one voxel. Candidate: a row of 21 voxels that begins with it, 0.7 mm apart.
    reference, candidate = np.zeros((3, 21, 3), bool), np.zeros((3, 21, 3), bool)
    reference[1, 0, 1] = True
    candidate[1, :, 1] = True
    there, back = metrics.surface_distances(reference, candidate, SPACING)
    assert list(there) == [0.0]
    np.testing.assert_allclose(np.sort(back), np.arange(21) * 0.7)
    # The 95th percentile of 0..20 steps is step 19; the other direction is 0.
    assert metrics.hd95(reference, candidate, SPACING) == pytest.approx(19 * 0.7)
    assert metrics.hd95(candidate, reference, SPACING) == pytest.approx(19 * 0.7)


def test_the_inside_of_a_structure_is_not_its_surface_and_the_image_border_is():
    solid = np.ones((4, 4, 4), bool)
    assert metrics.surface(solid).sum() == 4**3 - 2**3
    # A diagonal gap does not open the surface: only the 6 face neighbours count.
    block = np.zeros((7, 7, 7), bool)
    block[1:6, 1:6, 1:6] = True
    block[1, 1, 1] = False
    assert not metrics.surface(block)[2, 2, 2]


def test_a_relabelled_voxel_is_removed_from_one_structure_and_added_to_the_other():
    reference = box((6, 6, 4), (1, 4), (1, 4), (1, 3))
    candidate = reference.copy()
    candidate[1, 1, 1] = 2
    result = compare(mask(reference), mask(candidate))
    assert (result["bodies"]["voxels_removed"], result["bodies"]["voxels_added"]) == (1, 0)
    assert (result["discs"]["voxels_removed"], result["discs"]["voxels_added"]) == (0, 1)


def test_empty_masks_follow_the_stated_policy_and_json_holds_no_nan():
    nothing, something = np.zeros((6, 6, 4), np.uint8), box((6, 6, 4), (1, 4), (1, 4), (1, 3))
    cases = {
        "both": (nothing, nothing, 1.0),
        "reference": (nothing, something, 0.0),
        "candidate": (something, nothing, 0.0),
    }
    for empty, (reference, candidate, expected) in cases.items():
        result = compare(mask(reference), mask(candidate))
        text = json.dumps(result, allow_nan=False)
        assert "empty" in json.loads(text)["definitions"]["empty_masks"]
        assert result["bodies"]["dice"] == expected
        assert result["bodies"]["empty"] == empty
        assert result["bodies"]["hd95_mm"] is None
        assert result["bodies"]["hd95_reason"]
    full = compare(mask(something), mask(something))["bodies"]
    assert (full["dice"], full["hd95_mm"], full["empty"]) == (1.0, 0.0, None)
    assert "hd95_reason" not in full


def test_distances_are_symmetric_and_do_not_depend_on_the_empty_space_around():
    rng = np.random.default_rng(3)
    first, second = blob(rng), blob(rng)
    padded = [np.pad(array, ((5, 9), (0, 4), (2, 1))) for array in (first, second)]
    value = metrics.hd95(first, second, SPACING)
    assert metrics.hd95(second, first, SPACING) == value
    assert metrics.hd95(*padded, SPACING) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spacing", [SPACING, np.ones(3), np.array([4.0, 0.33, 0.33])], ids=str)
def test_dice_and_hd95_agree_with_monai(seed, spacing):
    """The same definition there: surface by 6-connected erosion, linear percentiles, the larger direction."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("monai")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.metrics import compute_dice, compute_hausdorff_distance

        rng = np.random.default_rng(seed)
        first, second = blob(rng), blob(rng)
        pair = [torch.as_tensor(array)[None, None] for array in (second, first)]
        their_hd95 = compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(spacing))
        their_dice = compute_dice(*pair)
    # The only difference is theirs in float32, ours in float64.
    assert metrics.hd95(first, second, spacing) == pytest.approx(float(their_hd95), rel=1e-6)
    assert metrics.dice(first, second) == pytest.approx(float(their_dice), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_surface_distances_are_those_of_an_exact_distance_transform(seed):
    from scipy.ndimage import distance_transform_edt

    rng = np.random.default_rng(seed)
    first, second = blob(rng), blob(rng)
    second[:12] = first[:12]
    edges = metrics.surface(first), metrics.surface(second)
    for distances, start, goal in zip(
        metrics.surface_distances(first, second, SPACING), edges, edges[::-1], strict=True
    ):
        np.testing.assert_allclose(distances, distance_transform_edt(~goal, sampling=SPACING)[start], atol=1e-9)


def test_a_flipped_export_of_the_same_mask_is_no_difference():
    rng = np.random.default_rng(7)
    volume = mask(blob(rng))
    result = compare(volume, reorient(volume, "PIL"))
    assert (result["bodies"]["dice"], result["bodies"]["hd95_mm"]) == (1.0, 0.0)


def test_masks_on_other_voxels_are_refused():
    with pytest.raises(GeometryError, match="mm"):
        compare(mask(np.ones((6, 6, 4))), mask(np.ones((6, 6, 4)), spacing=(0.5, 0.8, 4.0)))


def test_measure_gives_counts_and_cubic_millimetres():
    array = box((10, 10, 4), (2, 6), (2, 6), (1, 3))
    array[7:9, 7:9, 1] = 2
    result = measure(mask(array))
    assert result["bodies"] == {"voxels": 32, "volume_mm3": pytest.approx(32 * 1.4)}
    assert result["discs"] == {"voxels": 4, "volume_mm3": pytest.approx(4 * 1.4)}
    json.dumps(result, allow_nan=False)
