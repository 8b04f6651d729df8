"""The paper's own figures: slices that are empty in both count 1, and discs are counted on one slice."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_cases import mask

from CSpineSegLib.evaluation import compare
from CSpineSegLib.evaluation.metrics import zhou2025
from CSpineSegLib.volume import from_array, reorient

NAMES = ("C2-C3", "C3-C4", "C4-C5", "C5-C6", "C6-C7", "C7-T1")


def paper(reference, candidate):
    return compare(mask(reference), mask(candidate), convention="zhou2025")


def test_dice_is_the_mean_over_slices_and_a_slice_that_is_empty_in_both_counts_one():
    reference, candidate = np.zeros((8, 8, 10), np.uint8), np.zeros((8, 8, 10), np.uint8)
    reference[2:6, 2:6, 3:5] = 1
    candidate[2:6, 2:6, 3] = 1
    candidate[2:6, 2:4, 4] = 1
    found = paper(reference, candidate)
    # Eight empty slices, one that is right, one with 2 x 8 / (16 + 8).
    assert found["bodies"]["dice"] == pytest.approx((9 + 2 / 3) / 10)
    assert found["discs"]["dice"] == 1.0
    assert found["macro"] == pytest.approx((found["bodies"]["dice"] + 1) / 2)
    assert compare(mask(reference), mask(candidate))["bodies"]["dice"] == pytest.approx(2 * 24 / 56)


def test_one_stray_voxel_costs_a_whole_slice():
    reference = np.zeros((8, 8, 10), np.uint8)
    reference[2:6, 2:6, 3:5] = 1
    candidate = reference.copy()
    candidate[0, 0, 9] = 1
    assert paper(reference, candidate)["bodies"]["dice"] == pytest.approx(0.9)


def test_it_is_the_last_axis_of_the_array_whatever_it_means():
    reference, candidate = np.zeros((4, 6, 10), np.uint8), np.zeros((4, 6, 10), np.uint8)
    reference[1:3, 1:5, 2:4] = candidate[1:3, 1:5, 2] = 1
    turned = [array.transpose(2, 0, 1) for array in (reference, candidate)]
    assert paper(reference, candidate)["bodies"]["dice"] == pytest.approx(0.9)
    assert paper(*turned)["bodies"]["dice"] == pytest.approx((2 + 4 * 2 / 3) / 6)


def discs(*rows: int, size: int = 2) -> np.ndarray:
    """Discs on the middle of nine slices, each at some rows of the second axis, which grows towards the head."""
    array = np.zeros((12, 60, 9), np.uint8)
    for row in rows:
        array[3:9, row : row + size, 3:6] = 2
    return array


def test_discs_are_named_from_the_head_down_and_compared_in_the_middle_slice():
    reference = discs(50, 44, 38, 32, 26, 20, 14)
    candidate = reference.copy()
    candidate[:, 44, :] = 0  # half of the second
    candidate[3:9, 32:34, 3] = 0  # beside the middle slice
    found = paper(reference, candidate)
    assert tuple(found["disc_levels"]) == NAMES
    assert found["disc_levels"]["C3-C4"] == pytest.approx(2 * 6 / (12 + 6))
    assert [found["disc_levels"][name] for name in NAMES if name != "C3-C4"] == [1.0] * 5
    assert found["disc_levels_reason"] is None


def test_a_missed_disc_renames_all_below_and_too_few_leave_the_exam_out():
    found = paper(discs(50, 44, 38, 32, 26, 20, 14), discs(50, 38, 32, 26, 20, 14))
    assert list(found["disc_levels"].values()) == [1.0, 0, 0, 0, 0, 0]
    few = paper(discs(50, 44, 38, 32, 26, 20), discs(50, 44, 38, 32, 26))
    assert few["disc_levels"] is None
    assert few["disc_levels_reason"] == "fewer than six discs in the middle slice of the candidate"
    assert "reference and of the candidate" in paper(discs(), discs())["disc_levels_reason"]
    json.dumps([found, few], allow_nan=False)


def test_parts_that_touch_at_a_corner_are_one_disc():
    reference = discs(50, 44, 38, 32, 26, 20)
    reference[:, 20:22] = 0
    reference[3:6, 20:22, 3:6] = reference[6:9, 22:24, 3:6] = 2  # touching at a corner in the slice
    assert paper(reference, reference)["disc_levels"] is not None
    reference[6:9, 24:26, 3:6] = reference[6:9, 22:24, 3:6]
    reference[6:9, 22:24, 3:6] = 0
    assert paper(reference, discs(50, 44, 38, 32, 26, 20))["disc_levels"]["C7-T1"] < 0.9


def test_the_candidate_is_put_on_the_voxels_of_the_reference_first():
    psr = np.array([[0, 0, -4.0, 28], [-1.0, 0, 0, 110], [0, 1.0, 0, -110], [0, 0, 0, 1.0]])
    one = from_array(discs(50, 44, 38, 32, 26, 20), psr)
    found = compare(one, reorient(one, "RAS"), convention="zhou2025")
    assert found["discs"]["dice"] == 1.0
    assert set(found["disc_levels"].values()) == {1.0}


def test_the_table_of_the_paper_has_the_spread_of_exams_and_for_macro_that_of_the_two_structures():
    exams = [
        {"bodies": {"dice": 0.9}, "discs": {"dice": 0.8}, "disc_levels": dict.fromkeys(NAMES, 0.5)},
        {"bodies": {"dice": 1.0}, "discs": {"dice": 0.6}, "disc_levels": None},
        {"bodies": {"dice": 0.8}, "discs": {"dice": 0.7}, "disc_levels": dict.fromkeys(NAMES, 0.7)},
    ]
    found = zhou2025.summarise(exams)
    assert found["bodies"] == pytest.approx({"mean": 0.9, "sd": np.sqrt(0.02 / 3), "median": 0.9})
    assert found["macro"] == pytest.approx({"mean": 0.8, "sd": 0.1})
    assert (found["exams"], found["levels_exams"]) == (3, 2)
    assert found["disc_levels"]["C7-T1"] == pytest.approx(0.6)
    assert zhou2025.summarise([]) == {"exams": 0}
    json.dumps(zhou2025.summarise(exams[1:2]), allow_nan=False)
