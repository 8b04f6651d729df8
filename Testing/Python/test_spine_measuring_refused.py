"""What the geometry does not allow is not measured, and the reason is told; everything else still is."""

from __future__ import annotations

import numpy as np
import pytest
from measuring_cases import Body, draw, fused, grown, relative, stack

from CSpineSegLib import volume
from CSpineSegLib.errors import InputError
from CSpineSegLib.spine import measuring

HEIGHTS = ("anterior_height", "middle_height", "posterior_height")


def neck(dens: float = 14.0) -> list[Body]:
    """C2 to C7."""
    return [Body((0.0, 45 - 17.0 * k), dens=dens * (k == 0)) for k in range(6)]


def assert_refused(found: measuring.Measurements, of: str, reason: str, *keys: str) -> None:
    for key in keys:
        row = found.get(key, of)
        assert row.value is None and reason in row.reason, (key, row)


def assert_told(found: measuring.Measurements, of: str, *keys: str) -> None:
    for key in keys:
        assert found.get(key, of).value is not None, found.get(key, of)


def test_c2_has_no_height_as_the_dens_stands_on_it_but_a_depth_and_a_lower_endplate():
    found = measuring.measure(*draw(neck(), "C2"))
    assert_refused(found, "C2", "dens", *HEIGHTS, "wedge_angle")
    assert_told(found, "C2", "depth", "body_volume")
    assert_told(found, "C2-C3", "disc_middle_height", "disc_height_index", "segmental_angle", "listhesis")
    assert found.get("disc_height_index", "C2-C3").note == "over the body below alone"
    assert found.get("depth", "C2").value == pytest.approx(15, abs=0.3)


def test_what_the_edge_of_the_image_cuts_is_not_measured_beyond_it():
    labelling, mask = draw(stack(3))
    # The image ends in the middle of the lowest body.
    cut = slice(np.flatnonzero(labelling.mask_of(labelling.elements[-1]).any(axis=(0, 2)))[0] + 10, None)
    grid = np.eye(4)
    grid[1, 3] = cut.start
    shorter = volume.from_array(mask.array[:, cut], mask.affine @ grid)
    part = type(labelling)(
        *(
            labelling.instances_volume[:, cut] if name == "instances_volume" else getattr(labelling, name)
            for name in FIELDS
        )
    )
    found = measuring.measure(part, shorter)
    assert_refused(found, "C5", "edge of the image", *HEIGHTS, "wedge_angle", "body_volume")
    assert_told(found, "C5", "depth")
    assert_told(found, "C4-C5", "disc_middle_height", "posterior_bulge", "listhesis", "disc_angle")
    assert_refused(found, "C4-C5", "edge of the image", "segmental_angle")
    assert_refused(found, "C4-C5", "body below", "disc_height_index")
    assert_told(found, "C4", *HEIGHTS, "body_volume")


FIELDS = (
    *("instances_volume", "instances", "elements", "specks", "absolute", "reason", "confidence", "line_mm"),
    "alternatives",
)


def test_a_body_at_the_outermost_slice_has_heights_but_no_volume():
    found = measuring.measure(*draw(stack(2), size=(60.0, None, 20.0), shift=(4.0, 0, 0)))
    assert_refused(found, "C3", "edge of the image", "body_volume")
    assert_told(found, "C3", *HEIGHTS)


def test_relative_levels_allow_everything_but_what_needs_a_name():
    labelling, mask = draw(neck(), "C2")
    found = measuring.measure(relative(labelling), mask)
    assert_refused(found, "C2-C7", "relative", "cobb_c2_c7", "lordosis_type")
    assert_refused(found, "body 1", "dens", *HEIGHTS)
    assert_told(found, "body 3", *HEIGHTS, "depth")
    assert_told(found, "disc 2", "disc_middle_height")
    assert_told(found, "body 2-body 3", "listhesis", "segmental_angle")


def test_an_upper_body_without_a_name_and_without_a_dens_keeps_its_height():
    labelling, mask = draw(stack(3))
    assert_told(measuring.measure(relative(labelling), mask), "body 1", *HEIGHTS)


def test_a_block_is_measured_as_a_whole_and_its_vertebrae_are_not():
    labelling, mask = draw(grown(neck(), 3), "C2", without=[3])
    found = measuring.measure(fused(labelling, "C5", "C6"), mask)
    block = "C5-C6 block"
    assert found.get("middle_height", block).value == pytest.approx(12 + 5 + 12, abs=0.3)
    assert_told(found, block, "depth", "wedge_angle", "body_volume")
    for level in ("C5", "C6"):
        assert_refused(found, level, "grown together", *HEIGHTS, "depth", "wedge_angle", "body_volume")
    # Between C4 and the block there is a disc, but no lower endplate of C5; that of the block is C6's.
    assert_told(found, "C4-C5", "disc_middle_height", "disc_angle", "listhesis")
    assert_refused(found, "C4-C5", "lower endplate", "segmental_angle")
    assert_refused(found, "C4-C5", "block", "disc_height_index")
    assert_told(found, "C6-C7", "segmental_angle", "listhesis")
    assert_told(found, "C2-C7", "cobb_c2_c7")
    assert_refused(found, "C2-C7", "block", "lordosis_type")
    assert not any(row.of == "C5-C6" for row in found.rows)


def test_a_block_that_ends_with_c7_has_its_lower_endplate_and_one_that_begins_with_c2_has_not():
    labelling, mask = draw(grown(neck(), 4), "C2", without=[4])
    assert_told(measuring.measure(fused(labelling, "C6", "C7"), mask), "C2-C7", "cobb_c2_c7")
    labelling, mask = draw(grown(neck(), 0), "C2", without=[0])
    found = measuring.measure(fused(labelling, "C2", "C3"), mask)
    assert_refused(found, "C2-C7", "grown together", "cobb_c2_c7")
    assert_refused(found, "C2-C3 block", "dens", *HEIGHTS)
    assert_told(found, "C3-C4", "disc_middle_height", "listhesis", "segmental_angle")


def test_a_missing_disc_leaves_angles_and_listhesis_of_its_neighbours():
    found = measuring.measure(*draw(stack(3), without=[0]))
    assert_told(found, "C3-C4", "segmental_angle", "listhesis")
    with pytest.raises(KeyError):
        found.get("disc_middle_height", "C3-C4")


def test_a_vertebra_that_is_missing_between_two_is_not_measured_across():
    labelling, mask = draw(stack(3))
    kept = tuple(element for element in labelling.elements if element.levels[0] in ("C3", "C5"))
    part = type(labelling)(*(kept if name == "elements" else getattr(labelling, name) for name in FIELDS))
    rows = measuring.measure(part, mask).rows
    assert not any(row.key in ("listhesis", "segmental_angle") for row in rows)


def test_a_disc_at_the_end_of_the_mask_has_a_volume_and_no_heights():
    labelling, mask = draw(stack(2))
    part = type(labelling)(*(labelling.elements[1:] if n == "elements" else getattr(labelling, n) for n in FIELDS))
    found = measuring.measure(part, mask)
    assert_refused(found, "C3-C4", "no body above", "disc_middle_height", "posterior_bulge", "disc_height_index")
    assert_told(found, "C3-C4", "disc_volume")


def test_c7_that_is_not_in_the_mask_is_named():
    found = measuring.measure(*draw(neck()[:5], "C2"))
    assert_refused(found, "C2-C7", "C7 is not in the mask", "cobb_c2_c7", "lordosis_type")


def test_few_bodies_make_no_scoliosis():
    found = measuring.measure(*draw(stack(4)))
    assert_refused(found, "C3 to C6", "at least 6", "coronal_angle")


@pytest.mark.parametrize(
    ("spacing", "reason"),
    [((0.5, 0.5, 8.0), "slices 8.0 mm apart"), ((2.0, 0.5, 4.0), "too coarse"), ((0.5, 4.0, 0.5), "too coarse")],
)
def test_voxels_that_are_too_coarse_are_refused_but_volumes_are_told(spacing, reason):
    found = measuring.measure(*draw(stack(2), spacing=spacing))
    assert_refused(found, "C3", reason, *HEIGHTS, "depth", "wedge_angle")
    assert_told(found, "C3", "body_volume")


def test_a_body_whose_middle_slices_were_forgotten_has_no_heights():
    labelling, mask = draw([Body((0, 0))], spacing=(0.5, 0.5, 3.0))
    slices = np.flatnonzero(labelling.instances_volume.any(axis=(0, 1)))
    labelling.instances_volume[:, :, slices[1:-1]] = 0
    assert_refused(measuring.measure(labelling, mask), "C3", "too little", *HEIGHTS, "depth")


def test_a_hole_inside_a_body_changes_none_of_its_sizes():
    labelling, mask = draw([Body((0, 0))])
    whole = measuring.measure(labelling, mask)
    inside = np.argwhere(labelling.instances_volume == 1)
    middle = inside.mean(axis=0)
    close = np.abs((np.moveaxis(np.indices(mask.shape), 0, -1) - middle) * mask.spacing).max(axis=-1) < 2.2
    labelling.instances_volume[close] = 0
    holed = measuring.measure(labelling, mask)
    for key in (*HEIGHTS, "depth"):
        assert holed.get(key, "C3").value == pytest.approx(whole.get(key, "C3").value, abs=1e-6)


def test_a_blob_is_no_body():
    labelling, mask = draw([Body((0, 0), depth=4.0, front=4.0, back=4.0)])
    assert_refused(measuring.measure(labelling, mask), "C3", "", *HEIGHTS, "depth")


def test_what_is_too_uncertain_is_not_told():
    labelling, mask = draw(stack(2))
    found = measuring.measure(labelling, mask, boundary=2.0)
    assert_refused(found, "C3", "uncertain by", *HEIGHTS, "wedge_angle")
    assert_refused(found, "C3-C4", "uncertain by", "disc_angle")


def test_an_empty_labelling_has_no_measurements_but_those_that_say_so():
    labelling, mask = draw([Body((0, 0))])
    empty = type(labelling)(*(() if name == "elements" else getattr(labelling, name) for name in FIELDS))
    rows = measuring.measure(empty, mask).rows
    assert rows and all(row.value is None for row in rows)


def test_an_element_that_the_mask_does_not_hold_is_refused():
    labelling, mask = draw(stack(2))
    labelling.instances_volume[labelling.instances_volume == 1] = 0
    assert_refused(measuring.measure(labelling, mask), "C3", "not in the mask", *HEIGHTS, "body_volume")


def test_a_labelling_of_another_mask_is_refused_in_a_sentence():
    labelling, _ = draw(stack(2))
    _, other = draw(stack(3))
    with pytest.raises(InputError, match="label the mask that is to be measured"):
        measuring.measure(labelling, other)
