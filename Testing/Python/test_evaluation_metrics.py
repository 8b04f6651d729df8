"""Figures of two masks against cases that were worked out by hand, and the policy for empty masks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_cases import SPACING, blob, box, mask

from CSpineSegLib.errors import GeometryError, InputError
from CSpineSegLib.evaluation import DEFINITIONS, compare, measure
from CSpineSegLib.evaluation.metrics import overlap
from CSpineSegLib.volume import from_array, reorient

STRUCTURES = ("bodies", "discs", "pooled")


def test_a_box_moved_by_one_voxel_has_the_figures_that_one_counts_by_hand():
    reference = box((10, 10, 4), (2, 6), (2, 6), (1, 3))
    candidate = box((10, 10, 4), (3, 7), (2, 5), (1, 3))
    result = compare(mask(reference), mask(candidate))["bodies"]
    # 4 x 4 x 2 = 32 and 4 x 3 x 2 = 24 voxels, 3 x 3 x 2 = 18 shared, of 1.4 mm3.
    assert result["dice"] == 2 * 18 / 56
    assert result["iou"] == 18 / 38
    assert result["precision"] == 18 / 24
    assert result["recall"] == 18 / 32
    assert (result["voxels_removed"], result["voxels_added"]) == (14, 6)
    assert result["voxels"] == {"reference": 32, "candidate": 24}
    assert result["volume_mm3"] == {"reference": pytest.approx(44.8), "candidate": pytest.approx(33.6)}
    assert result["volume_difference_mm3"] == pytest.approx(-11.2)
    assert result["volume_difference_relative"] == pytest.approx(-0.25)
    # A share of 32 / 400 where 0.017 is usual: a false positive counts 32 / 368 x 0.983 / 0.017 times.
    assert result["ndsc"] == pytest.approx(2 * 18 / (2 * 18 + 32 / 368 * 0.983 / 0.017 * 6 + 14))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_voxel_moved_along_one_axis_lies_at_that_axis_spacing(axis):
    reference, candidate = np.zeros((5, 5, 5), np.uint8), np.zeros((5, 5, 5), np.uint8)
    reference[2, 2, 2] = 1
    place = [2, 2, 2]
    place[axis] += 2
    candidate[tuple(place)] = 1
    result = compare(mask(reference), mask(candidate), surface="voxels")["bodies"]
    assert result["hd_mm"] == result["hd95_mm"] == result["assd_mm"] == pytest.approx(2 * SPACING[axis])
    # Pieces of surface lie half a voxel out on every side: the near ones are one voxel apart, the far ones two.
    result = compare(mask(reference), mask(candidate))["bodies"]
    assert result["hd_mm"] == result["hd95_mm"] == pytest.approx(2 * SPACING[axis])
    assert result["assd_mm"] == pytest.approx(1.5 * SPACING[axis])


def test_the_tolerance_of_one_voxel_is_that_of_the_sagittal_plane():
    reference, candidate = np.zeros((5, 9, 9), np.uint8), np.zeros((5, 9, 9), np.uint8)
    reference[2, 2:6, 2:6] = 1
    candidate[2, 3:7, 2:6] = 1
    # The first axis runs left to right; the larger spacing of the other two counts.
    found = compare(mask(reference, (4.0, 1.3, 0.5)), mask(candidate, (4.0, 1.3, 0.5)))
    assert found["tolerances_mm"] == {"nsd_1mm": 1.0, "nsd_voxel": 1.3}
    assert found["bodies"]["nsd_voxel"] == 1.0
    assert found["bodies"]["nsd_1mm"] < 1.0


def test_a_relabelled_voxel_is_removed_from_one_structure_and_added_to_the_other_and_wrong_when_pooled():
    reference = box((6, 6, 4), (1, 4), (1, 4), (1, 3))
    candidate = reference.copy()
    candidate[1, 1, 1] = 2
    result = compare(mask(reference), mask(candidate))
    assert (result["bodies"]["voxels_removed"], result["bodies"]["voxels_added"]) == (1, 0)
    assert (result["discs"]["voxels_removed"], result["discs"]["voxels_added"]) == (0, 1)
    assert result["pooled"]["dice"] == 2 * 17 / 36
    # Discs are in one mask alone: there is no distance that one could pool, and their surface is far from any.
    assert result["pooled"]["hd95_mm"] is None
    assert result["pooled"]["nsd_1mm"] < result["bodies"]["nsd_1mm"]


def test_pooled_figures_weigh_structures_by_their_size():
    reference = box((12, 12, 4), (1, 5), (1, 5), (1, 3)) + box((12, 12, 4), (7, 9), (1, 3), (1, 3), label=2)
    candidate = reference.copy()
    candidate[8, 1:3, 1:3] = 0
    result = compare(mask(reference), mask(candidate))
    assert result["discs"]["dice"] == 2 * 4 / 12
    assert result["pooled"]["dice"] == 2 * 36 / 76
    areas = [compare(mask(part), mask(part)) for part in (reference, candidate)]
    assert all(found["pooled"]["nsd_1mm"] == 1.0 for found in areas)
    assert result["discs"]["assd_mm"] > result["pooled"]["assd_mm"] > result["bodies"]["assd_mm"] == 0


def empty_cases():
    nothing, something = np.zeros((6, 6, 4), np.uint8), box((6, 6, 4), (1, 4), (1, 4), (1, 3))
    return {
        "both": (nothing, nothing),
        "reference": (nothing, something),
        "candidate": (something, nothing),
        None: (something, something),
    }


@pytest.mark.parametrize("surface", ["elements", "voxels"])
@pytest.mark.parametrize(
    ("empty", "overlap_figures", "precision", "recall", "relative", "distance"),
    [
        ("both", 1.0, 1.0, 1.0, 0.0, None),
        ("reference", 0.0, 0.0, None, None, None),
        ("candidate", 0.0, None, 0.0, -1.0, None),
        (None, 1.0, 1.0, 1.0, 0.0, 0.0),
    ],
)
def test_empty_masks_follow_the_stated_policy(empty, overlap_figures, precision, recall, relative, distance, surface):
    reference, candidate = empty_cases()[empty]
    result = compare(mask(reference), mask(candidate), surface=surface)
    assert "both empty" in result["definitions"]["empty_masks"]
    for part in ("bodies", "pooled"):
        found = result[part]
        for key in ("dice", "iou", "ndsc", "nsd_1mm", "nsd_voxel"):
            assert found[key] == overlap_figures, key
        assert (found["precision"], found["recall"]) == (precision, recall)
        assert found["volume_difference_relative"] == relative
        for key in ("hd_mm", "hd95_mm", "assd_mm"):
            assert found[key] == distance
        assert found["empty"] == empty
        assert bool(found["empty_reason"]) == bool(empty)
    json.dumps(result, allow_nan=False)


def test_every_structure_has_the_same_keys_whatever_is_empty_and_every_figure_is_defined():
    reference = box((6, 6, 4), (1, 4), (1, 4), (1, 3))
    result = compare(mask(reference), mask(np.zeros_like(reference)))
    keys = {tuple(result[part]) for part in STRUCTURES}
    assert len(keys) == 1
    assert set(keys.pop()) - set(DEFINITIONS) == {"voxels", "empty", "empty_reason"}


def test_ndsc_is_dice_where_the_structure_is_as_frequent_as_usual():
    counts = overlap.Counts(shared=60, added=10, removed=40, image=10_000)
    assert overlap.normalised_dice(counts, 0.01) == pytest.approx(overlap.dice(counts))
    # Twice as frequent as usual: false positives count about double.
    assert overlap.normalised_dice(counts, 0.005) == pytest.approx(120 / (120 + 10 * (100 / 9900) * 0.995 / 0.005 + 40))
    whole = overlap.Counts(shared=8, added=0, removed=0, image=8)
    assert overlap.normalised_dice(whole, 0.01) == 1.0


def test_a_flipped_export_of_the_same_mask_is_no_difference():
    rng = np.random.default_rng(7)
    volume = mask(blob(rng))
    result = compare(volume, reorient(volume, "PIL"))
    assert (result["bodies"]["dice"], result["bodies"]["hd_mm"]) == (1.0, 0.0)


def test_the_order_of_axes_in_memory_changes_nothing():
    rng = np.random.default_rng(8)
    first, second = mask(blob(rng)), mask(blob(rng))
    expected = compare(first, second)
    assert compare(mask(np.asfortranarray(first.array)), mask(np.asfortranarray(second.array))) == expected
    assert compare(mask(np.asfortranarray(first.array)), second) == expected


def test_masks_on_other_voxels_and_unknown_options_are_refused():
    with pytest.raises(GeometryError, match="mm"):
        compare(mask(np.ones((6, 6, 4))), mask(np.ones((6, 6, 4)), spacing=(0.5, 0.8, 4.0)))
    one = mask(np.ones((6, 6, 4)))
    with pytest.raises(ValueError, match="zhou2025"):
        compare(one, one, convention="paper")
    with pytest.raises(ValueError, match="'voxels'"):
        compare(one, one, surface="points")


@pytest.mark.parametrize("value", [3, 13, 0.5])
def test_labels_other_than_bodies_and_discs_are_refused_and_not_taken_for_background(value):
    good = box((6, 6, 4), (1, 4), (1, 4), (1, 3))
    bad = good.astype(np.float32)
    bad[bad > 0] = value
    strange = from_array(bad, mask(good).affine)
    for pair in ((strange, mask(good)), (mask(good), strange), (strange, strange)):
        with pytest.raises(InputError, match="holds"):
            compare(*pair)
    with pytest.raises(InputError, match="holds"):
        measure(strange)


def test_whole_labels_of_any_type_are_the_same_masks():
    good = box((6, 6, 4), (1, 4), (1, 4), (1, 3))
    expected = compare(mask(good), mask(good))
    for kind in (np.int16, np.float32, np.int64):
        assert compare(from_array(good.astype(kind), mask(good).affine), mask(good)) == expected


def test_measure_gives_counts_and_cubic_millimetres():
    array = box((10, 10, 4), (2, 6), (2, 6), (1, 3))
    array[7:9, 7:9, 1] = 2
    result = measure(mask(array))
    assert result["bodies"] == {"voxels": 32, "volume_mm3": pytest.approx(32 * 1.4)}
    assert result["discs"] == {"voxels": 4, "volume_mm3": pytest.approx(4 * 1.4)}
    json.dumps(result, allow_nan=False)
