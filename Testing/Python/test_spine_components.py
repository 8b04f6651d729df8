"""Discs numbered as the dataset's authors did: components of the middle slice, from the top."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from CSpineSegLib.spine import components

NAMES = ["C2-C3", "C3-C4", "C4-C5", "C5-C6", "C6-C7", "C7-T1"]


def mask_with(*discs: tuple[int, int], slices: int = 4) -> np.ndarray:
    """Discs of 3 x 2 pixels at (I, J) in the middle slice of an exam."""
    mask = np.zeros((40, 80, slices), np.uint8)
    for i, j in discs:
        mask[i : i + 3, j : j + 2, slices // 2] = 2
    return mask


def test_the_six_highest_along_the_second_axis_are_named_from_the_top_down():
    places = [(10, 12), (9, 60), (14, 50), (11, 40), (20, 30), (5, 20), (12, 5)]
    found = components.zhou2025(mask_with(*places))
    assert list(found) == NAMES
    heights = [int(np.argwhere(part)[:, 1].min()) for part in found.values()]
    assert heights == [60, 50, 40, 30, 20, 12]
    assert all(part.shape == (40, 80) and part.sum() == 6 for part in found.values())


def test_an_exam_with_five_components_is_left_out():
    assert components.zhou2025(mask_with(*[(10, 10 * k) for k in range(1, 6)])) is None


def test_only_the_middle_slice_counts_and_of_an_even_number_the_later_one():
    mask = mask_with(*[(10, 10 * k) for k in range(1, 7)], slices=4)
    assert components.zhou2025(mask) is not None
    assert components.zhou2025(mask[:, :, :3]) is None  # slice 1 of three is empty
    mask[:, :, (0, 1, 3)] = 2
    assert [int(part.sum()) for part in components.zhou2025(mask).values()] == [6] * 6


def test_corners_connect_and_bodies_do_not():
    mask = mask_with(*[(10, 10 * k) for k in range(1, 7)])
    mask[13, 22, 2] = 2  # touches the disc at (10..12, 20..21) by a corner
    mask[20:30, 5:70, 2] = 1
    found = components.zhou2025(mask)
    assert int(found["C6-C7"].sum()) == 7


def test_one_stray_pixel_above_shifts_every_name():
    mask = mask_with(*[(10, 10 * k) for k in range(1, 7)])
    before = components.zhou2025(mask)
    mask[2, 75, 2] = 2
    after = components.zhou2025(mask)
    assert int(after["C2-C3"].sum()) == 1
    for upper, lower in pairwise(NAMES):
        assert np.array_equal(before[upper], after[lower])
