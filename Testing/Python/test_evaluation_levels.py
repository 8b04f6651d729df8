"""Figures per level: what belongs together, what is missing, fused or shifted, counted and never dropped."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_cases import FRAME, GRID, SHAPE, spine

from CSpineSegLib.evaluation import LEVEL_DEFINITIONS, compare
from CSpineSegLib.evaluation.metrics import levels, matching, structure
from CSpineSegLib.volume import Volume, from_array, reorient

# C4, C5, C6 and the discs between them, in an array whose first axis runs down.
C4, D45, C5, D56, C6 = (
    ("body", ("C4",), (2, 12)),
    ("disc", ("C4-C5",), (13, 16)),
    ("body", ("C5",), (17, 27)),
    ("disc", ("C5-C6",), (28, 31)),
    ("body", ("C6",), (32, 42)),
)
WHOLE = spine(C4, D45, C5, D56, C6)
# C5 and C6 grown together.
GROWN = ("block", ("C5", "C6"), (17, 42))
FUSED = spine(C4, D45, GROWN)


def run(reference, candidate, **options):
    found = levels.compare(reference, candidate, FRAME, **options)
    json.dumps(found, allow_nan=False)
    return found, {row["name"]: row for row in found["rows"]}


def semantic(labelling) -> Volume:
    array = np.zeros(SHAPE, np.uint8)
    for element in labelling.elements:
        array[labelling.mask_of(element)] = 2 if element.kind == "disc" else 1
    return from_array(array, GRID.affine)


def test_the_same_anatomy_matches_level_by_level_from_head_to_foot():
    found, rows = run(WHOLE, WHOLE)
    assert list(rows) == ["C4", "C4-C5", "C5", "C5-C6", "C6"]
    for row in rows.values():
        assert (row["match"], row["shift"], row["dice"], row["hd_mm"]) == ("matched", 0, 1.0, 0.0)
    assert found["level_shift_rate"] == 0.0
    assert found["counts"]["bodies"]["matched"] == 3 and found["counts"]["discs"]["matched"] == 2
    assert found["detection"]["bodies"]["panoptic_quality"] == 1.0
    assert found["named_dice"] == dict.fromkeys(rows, 1.0)


def test_a_row_holds_the_same_figures_as_the_structure_alone():
    worn = spine(C4, D45, ("body", ("C5",), (18, 27)), D56, C6)
    _, rows = run(WHOLE, worn)
    pair = [side.mask_of(side.element_of("C5")) for side in (WHOLE, worn)]
    expected = structure.of_pair(*pair, FRAME)
    assert {key: rows["C5"][key] for key in expected} == expected
    assert rows["C5"]["dice"] == 2 * 9 / 19
    assert rows["C5"]["volume_difference_mm3"] == -12 * 4.0


def test_a_block_against_two_bodies_is_compared_with_both_and_counted():
    found, rows = run(FUSED, WHOLE)
    row = rows["C5+C6"]
    assert (row["kind"], row["match"]) == ("block", "fused in reference")
    assert (row["reference"], row["candidate"], row["shift"]) == (["C5", "C6"], ["C5", "C6"], 0)
    # 25 rows against 10 + 10.
    assert row["dice"] == 2 * 20 / 45
    assert found["counts"]["bodies"]["fused_in_reference"] == 1
    assert found["counts"]["bodies"]["missing"] == found["counts"]["bodies"]["extra"] == 0
    assert found["level_shift_rate"] == 0.0
    assert found["named_dice"]["C5+C6"] == row["dice"]
    # The disc that only the candidate has is extra, and why is said.
    assert (rows["C5-C6"]["match"], rows["C5-C6"]["within_block"]) == ("extra", True)
    assert found["counts"]["discs"] == {
        **dict.fromkeys(found["counts"]["discs"], 0),
        "matched": 1,
        "extra": 1,
        "extra_within_block": 1,
    }


def test_two_bodies_against_a_block_is_the_mirror_image():
    found, rows = run(WHOLE, FUSED)
    mirrored, there = run(FUSED, WHOLE)
    assert rows["C5+C6"]["match"] == "fused in candidate"
    assert rows["C5+C6"]["dice"] == there["C5+C6"]["dice"]
    assert (rows["C5-C6"]["match"], rows["C5-C6"]["within_block"]) == ("missing", True)
    assert (rows["C5-C6"]["dice"], rows["C5-C6"]["hd95_mm"], rows["C5-C6"]["empty"]) == (0.0, None, "candidate")
    assert found["elements"] == {
        "reference": mirrored["elements"]["candidate"],
        "candidate": mirrored["elements"]["reference"],
    }


def test_a_block_in_both_is_one_match():
    found, rows = run(FUSED, FUSED)
    assert (rows["C5+C6"]["match"], rows["C5+C6"]["dice"]) == ("matched", 1.0)
    assert found["elements"]["reference"] == {"body": 1, "block": 1, "disc": 1}


def test_a_disc_within_a_block_is_known_by_its_voxels_where_names_are_missing_and_by_its_name_where_the_block_is_open():
    nameless = [spine(*parts, absolute=False) for parts in ((C4, D45, GROWN), (C4, D45, C5, D56, C6))]
    found, rows = run(*nameless)
    assert rows["disc below vertebra 2"]["within_block"] is True
    # Two bodies in one block with room between them, as after an operation.
    apart = spine(C4, D45, C5, C6)
    block = replace(FUSED.elements[2], instances=(3, 4))
    found, rows = run(replace(apart, elements=(*apart.elements[:2], block)), WHOLE)
    assert (rows["C5+C6"]["match"], rows["C5+C6"]["dice"]) == ("fused in reference", 1.0)
    assert (rows["C5-C6"]["match"], rows["C5-C6"]["within_block"]) == ("extra", True)
    assert found["counts"]["discs"]["extra_within_block"] == 1


def test_what_no_block_explains_is_missing_or_extra():
    found, rows = run(WHOLE, spine(C4, C5, D56, C6, ("body", ("C7",), (48, 58))))
    assert (rows["C4-C5"]["match"], rows["C4-C5"]["within_block"]) == ("missing", False)
    assert (rows["C7"]["match"], rows["C7"]["dice"], rows["C7"]["empty"]) == ("extra", 0.0, "reference")
    assert found["counts"]["discs"]["missing"] == 1 and found["counts"]["discs"]["missing_within_block"] == 0
    assert found["counts"]["bodies"]["extra"] == 1
    assert list(rows)[-1] == "C7"
    assert found["detection"]["bodies"]["f1"] == 6 / 7


def test_a_body_in_two_pieces_is_split_and_not_fused():
    halves = spine(C4, D45, ("body", ("C5",), (17, 22)), ("body", ("C6",), (23, 27)))
    found, rows = run(spine(C4, D45, C5), halves)
    assert rows["C5"]["match"] == "split in candidate"
    assert rows["C5"]["dice"] == 2 * 9 / 19
    assert found["counts"]["bodies"]["split_in_candidate"] == 1


def test_several_against_several_are_regrouped():
    upper, lower = ("block", ("C4", "C5"), (2, 32)), ("block", ("C5", "C6"), (12, 42))
    found, rows = run(spine(C4, lower), spine(upper, C6))
    assert rows["C4+C5+C6"]["match"] == "regrouped"
    assert found["counts"]["bodies"]["regrouped"] == 1


def test_masks_that_lie_badly_on_each_other_still_belong_together_and_neighbours_do_not():
    shifted = spine(("body", ("C4",), (9, 16)), ("disc", ("C4-C5",), (16, 17)), C5, D56, C6)
    found, rows = run(WHOLE, shifted)
    # 3 of 10 and 7 rows: less than half of the smaller, but each has nothing that it shares more with.
    assert rows["C4"]["match"] == "matched" and rows["C4"]["dice"] == 2 * 3 / 17
    # A body that reaches into its neighbour's place is not its partner.
    long = spine(("body", ("C4",), (2, 19)), D56, C6)
    found, rows = run(WHOLE, long)
    assert rows["C5"]["match"] == "missing"
    assert found["counts"]["bodies"]["fused_in_candidate"] == 0


def test_names_off_by_one_are_a_shift_of_every_level_and_cost_no_geometry():
    later = spine(
        ("body", ("C5",), (2, 12)),
        ("disc", ("C5-C6",), (13, 16)),
        ("body", ("C6",), (17, 27)),
        ("disc", ("C6-C7",), (28, 31)),
        ("body", ("C7",), (32, 42)),
    )
    found, rows = run(WHOLE, later)
    assert found["level_shift_rate"] == 1.0
    assert {row["shift"] for row in rows.values()} == {1}
    assert all(row["dice"] == 1.0 for row in rows.values())
    assert found["named_dice"] == dict.fromkeys(["C4", "C4-C5", "C5", "C5-C6", "C6", "C6-C7", "C7"], 0.0)


def test_a_shift_across_the_neck_counts_levels_and_one_wrong_name_is_one():
    upper, lower = spine(("body", ("C7",), (2, 12))), spine(("body", ("T1",), (2, 12)))
    assert run(upper, lower)[1]["C7"]["shift"] == 1
    assert run(lower, upper)[1]["T1"]["shift"] == -1
    one_wrong = spine(C4, D45, C5, D56, ("body", ("C7",), (32, 42)))
    found, _ = run(WHOLE, one_wrong)
    assert found["level_shift_rate"] == 1 / 5


def test_a_block_whose_names_differ_from_the_bodies_that_it_holds_is_a_wrong_name():
    found, rows = run(WHOLE, spine(C4, D45, ("block", ("C6", "C7"), (17, 42))))
    assert rows["C5+C6"]["shift"] == 1
    assert found["level_shift_rate"] == 1 / 3


@pytest.mark.parametrize("which", [0, 1])
def test_relative_levels_are_matched_but_not_named(which):
    relative = spine(C4, D45, C5, D56, C6, absolute=False)
    sides = [WHOLE, WHOLE]
    sides[which] = relative
    found, rows = run(*sides)
    assert found["level_shift_rate"] is None and found["named_dice"] is None
    assert f"relative in the {('reference', 'candidate')[which]}" in found["level_shift_reason"]
    assert all(row["match"] == "matched" and row["shift"] is None and row["dice"] == 1.0 for row in rows.values())
    names = ["vertebra 1", "disc below vertebra 1", "vertebra 2", "disc below vertebra 2", "vertebra 3"]
    assert list(rows) == (names if which == 0 else ["C4", "C4-C5", "C5", "C5-C6", "C6"])


def test_a_relative_block_is_named_by_its_places():
    _, rows = run(spine(C4, D45, GROWN, absolute=False), FUSED)
    assert "vertebra 2 to 3" in rows


def test_nothing_on_one_side_or_both_is_counted():
    found, rows = run(WHOLE, spine())
    assert {row["match"] for row in rows.values()} == {"missing"}
    assert found["detection"]["discs"]["f1"] == 0.0
    assert found["level_shift_rate"] is None and found["level_shift_reason"]
    assert found["named_dice"] == dict.fromkeys(rows, 0.0)
    found, _ = run(spine(), WHOLE)
    assert found["counts"]["bodies"]["extra"] == 3
    found, _ = run(spine(), spine())
    assert found["rows"] == [] and found["detection"]["bodies"]["panoptic_quality"] == 1.0


def test_specks_are_no_element_and_a_disc_is_never_the_partner_of_a_body():
    speck = replace(WHOLE, instances_volume=WHOLE.instances_volume.copy())
    speck.instances_volume[50, 1, 1] = 9
    assert run(WHOLE, speck)[0] == run(WHOLE, WHOLE)[0]
    swapped = spine(("disc", ("C4-C5",), (2, 12)))
    found, _ = run(spine(C4), swapped)
    assert found["counts"]["bodies"]["missing"] == 1 and found["counts"]["discs"]["extra"] == 1


def test_a_comparison_of_masks_holds_the_levels_and_their_definitions():
    result = compare(semantic(WHOLE), semantic(FUSED), labellings=(WHOLE, FUSED))
    json.dumps(result, allow_nan=False)
    assert result["levels"] == run(WHOLE, FUSED)[0]
    assert set(LEVEL_DEFINITIONS) < set(result["definitions"])
    assert "levels" not in compare(semantic(WHOLE), semantic(FUSED))
    # A candidate in another orientation comes with a labelling in that orientation.
    turned = reorient(semantic(FUSED), "LPS")
    instances = reorient(from_array(FUSED.instances_volume, GRID.affine), "LPS").array
    again = compare(semantic(WHOLE), turned, labellings=(WHOLE, replace(FUSED, instances_volume=instances)))
    assert again["levels"] == result["levels"]


def test_detection_counts_pairs_one_to_one_from_the_stated_iou_on():
    # IoU 0.4 and 0.5 with the same part; only one of them can be its partner, and which is best as a whole counts.
    table = matching.Overlap(np.array([[5, 4], [0, 2]]), np.array([10, 4]), np.array([5, 6]))
    found = matching.detection(table, 0.25)
    assert (found["true_positives"], found["false_positives"], found["false_negatives"]) == (2, 0, 0)
    assert found["segmentation_quality"] == pytest.approx((0.5 + 2 / 8) / 2)
    assert matching.detection(table, 0.5)["true_positives"] == 1
    assert matching.detection(table, 0.51)["panoptic_quality"] == 0.0
    for wrong in (0, -1, 1.1):
        with pytest.raises(ValueError, match="IoU"):
            matching.detection(table, wrong)
