"""A remark comes when it should, names the place, and only then."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from check_cases import ORIENTATIONS, RIP, SHAPE, mask_of, neck, top_of

from CSpineSegLib.anatomy import BODY, DISC
from CSpineSegLib.workplace import check


def said(labels, codes="RIP", blank=None):
    """The remarks on a mask on axes of these letters."""
    mask = mask_of(labels, codes)
    return check.findings(mask, mask.array, blank).remarks


def only(labels, codes="RIP", blank=None):
    (remark,) = said(labels, codes, blank)
    return remark


def label_at(labels, remark):
    """The label at a remark's place."""
    index = np.rint(np.linalg.solve(RIP, [*remark.place, 1.0])[:3]).astype(int)
    return labels[tuple(index)], index


def test_a_sound_mask_has_no_remark():
    for codes in ORIENTATIONS:
        assert said(neck(), codes) == ()


def test_an_empty_mask_is_said_to_be_empty_and_nothing_else():
    assert only(np.zeros(SHAPE, np.uint8)).sentence == "The mask is empty."
    found = check.findings(mask_of(np.zeros(SHAPE, np.uint8)), neck())
    assert [row.pieces for row in found.figures] == [0, 0, 0]
    assert found.figures[2].removed == np.count_nonzero(neck())


def test_a_structure_that_is_missing_wholly_is_named():
    labels = neck()
    labels[labels == DISC] = 0
    assert "No intervertebral discs are marked." in [remark.sentence for remark in said(labels)]


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_speck_far_from_the_spine_is_found_with_its_size_distance_and_place(codes):
    labels = neck()
    labels[4, 50:53, 52:54] = DISC
    speck = only(labels, codes)
    assert speck.sentence.startswith("A speck of disc (24 mm3) lies 1")
    assert speck.sentence.endswith("mm away from the spine.")
    assert speck.place == pytest.approx((RIP @ [4, 51, 52.5, 1])[:3], abs=0.6)


def test_many_specks_are_told_one_by_one_only_for_the_largest():
    labels = neck()
    for number in range(7):
        labels[4, 10 + 12 * number, 52 : 54 + number % 3] = BODY
    remarks = [remark.sentence for remark in said(labels)]
    assert len(remarks) == 5 and remarks[-1].startswith("3 more specks (")


def test_a_speck_is_told_once_also_if_it_lies_on_a_slice_of_its_own_or_on_the_outermost():
    labels = neck()
    labels[0, 100:102, 50:54] = BODY
    assert only(labels).sentence.startswith("A speck of body (32 mm3) lies ")


@pytest.mark.parametrize(("codes", "number"), [("RIP", 2), ("LPS", 8), ("PSR", 2)])
def test_labels_on_a_slice_apart_from_the_others_are_found_as_the_image_counts(codes, number):
    labels = neck()
    labels[2:4] = 0
    labels[1, 30:34, 24:28] = BODY
    (remark,) = [item for item in said(labels, codes) if "Slice" in item.sentence]
    assert remark.sentence == f"Slice {number} has 16 labelled voxels, apart from all other labels."
    assert label_at(labels, remark)[0] == BODY


def test_a_slice_that_was_left_out_is_named():
    labels = neck()
    labels[4] = 0
    (remark,) = [item for item in said(labels) if "Slice" in item.sentence]
    assert remark.sentence.startswith("Slice 5 has no label, but there are labels on both sides")
    assert label_at(labels, remark)[1][0] == 4


@pytest.mark.parametrize("codes", ["RIP", "LPS"])
def test_labels_where_the_image_shows_nothing_are_found(codes):
    blank = np.arange(9) == (2 if codes == "RIP" else 6)
    remark = only(neck(), codes, blank)
    assert remark.sentence.startswith(f"Slice {3 if codes == 'RIP' else 7} has ")
    assert remark.sentence.endswith("but the image is empty there.")
    assert label_at(neck(), remark)[1][0] == 2
    assert said(neck(), codes, np.arange(9) == 0) == ()


def test_a_body_without_a_disc_above_it_is_found():
    labels = neck()
    labels[:, top_of(2) + 14 : top_of(3)] = 0
    remark = only(labels)
    assert remark.sentence == "No disc is marked between the third and the 4th body from the top."
    assert top_of(2) + 12 <= label_at(labels, remark)[1][1] <= top_of(3) + 2


def test_a_disc_without_a_body_is_found():
    labels = neck()
    labels[:, : top_of(0) + 14] = 0
    assert only(labels).sentence == "No body is marked above the uppermost disc."
    labels = neck()
    labels[:, top_of(2) : top_of(3) - 5] = 0
    assert only(labels).sentence == "No body is marked between the second and the third disc from the top."


def test_a_body_as_tall_as_two_is_found_but_not_the_uppermost_with_its_dens():
    labels = neck()
    labels[:, top_of(2) + 14 : top_of(3)][labels[:, top_of(2) + 14 : top_of(3)] == DISC] = BODY
    remark = only(labels)
    assert remark.sentence.startswith("The third body from the top is 33 mm tall, where 14 mm is usual here;")
    labels = neck()
    labels[:, top_of(0) + 14 : top_of(1)][labels[:, top_of(0) + 14 : top_of(1)] == DISC] = BODY
    assert said(labels) == ()


def test_holes_are_counted_with_their_slices_whatever_their_size():
    labels = neck()
    labels[3, 12, 24:28] = 0
    assert said(labels) == (), "a hole of 4 mm2 is in every mask"
    labels[3, 12, 28] = 0
    assert only(labels).sentence == "A hole of 20 mm3, in slice 4."
    labels[5, 50:56, 24:30] = 0
    remark = only(labels)
    assert remark.sentence == "2 holes, the largest of 144 mm3, in slices 4, 6."
    assert label_at(labels, remark)[1] == pytest.approx([5, 52.5, 26.5], abs=0.6)
    labels[5, 50:56, 20:30] = 0  # open to the front: a notch and no hole
    assert only(labels).sentence == "A hole of 20 mm3, in slice 4."


def test_small_pieces_within_the_other_structure_are_found():
    labels = neck()
    labels[4, 50, 26:28] = DISC
    assert said(labels) == (), "8 mm3 are in every mask"
    labels[4, 50, 28] = DISC
    remark = only(labels)
    assert remark.sentence == "A small piece (12 mm3) is marked as disc, apart from every other disc."
    assert label_at(labels, remark)[0] == DISC
    labels[4, 12, 30] = DISC
    assert only(labels).sentence.startswith("2 small pieces (16 mm3 in all) are marked as disc")
    labels[4, 49:52, 26:29] = DISC
    labels[4, 12, 30] = BODY
    assert said(labels) == (), "a piece of the size of a real one is left to the figures"


@pytest.mark.parametrize(("codes", "side", "number"), [("RIP", "left", 1), ("LPS", "left", 9), ("PSR", "right", 9)])
def test_labels_on_the_outermost_slice_are_found_on_the_patients_own_side(codes, side, number):
    labels = neck()
    outer = 0 if side == "left" else 8
    labels[min(outer, 2) : max(outer, 6) + 1] = labels[4]
    remark = only(labels, codes)
    assert remark.sentence == (
        f"The mask reaches the image's outermost slice on the patient's {side} (slice {number})."
    )
    assert label_at(labels, remark)[1][0] == outer


def test_what_was_tolerated_on_reading_is_a_remark_too():
    mask = mask_of(neck()).warn("3 voxels belonged to both segments; they were read as discs.")
    assert check.findings(mask, mask.array).remarks[0].sentence.startswith("3 voxels belonged to both")


def test_a_mask_of_one_voxel_or_of_noise_is_looked_at_without_falling():
    for labels in (np.zeros(SHAPE, np.uint8), np.zeros((1, 1, 1), np.uint8)):
        labels[0, 0, 0] = BODY
        assert said(labels)
    noise = np.random.default_rng(0).integers(0, 3, (5, 20, 20)).astype(np.uint8)
    assert said(noise, "PSR")


def test_every_orientation_gives_the_same_remarks_at_the_same_places():
    labels = neck()
    labels[4, 50:53, 52:54] = DISC
    labels[3, 12:14, 25:28] = 0
    labels[:, top_of(2) + 14 : top_of(3)] = 0
    expected = [(remark.sentence.split(" in slice")[0], remark.place) for remark in said(labels)]
    assert len(expected) == 3
    for number, letters in enumerate(itertools.permutations(("RL", "AP", "SI"))):
        # One of the flips of each order of axes, and all of them over the orders.
        codes = list(itertools.product(*letters))[number]
        found = said(labels, "".join(codes))
        assert [(remark.sentence.split(" in slice")[0], remark.place) for remark in found] == expected, codes
