"""From a mask to levels, on spines drawn from cylinders: names, blocks, what is kept quiet, anchors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from spine_cases import Drawn, named, spine

from CSpineSegLib import phantom, volume
from CSpineSegLib.anatomy import BODY, DISC
from CSpineSegLib.errors import InputError
from CSpineSegLib.phantom.grids import turned
from CSpineSegLib.spine import label, outputs


@pytest.fixture(scope="module")
def whole() -> Drawn:
    return spine("C2", "T2")


@pytest.fixture(scope="module")
def headless() -> Drawn:
    """C4 to T2 in an image that begins in the disc above."""
    return spine("C4", "T2", above=-1.0)


def agrees(found, drawn: Drawn) -> None:
    """Every element bears the names of what it holds, to the voxel."""
    names = named(found)
    assert "+".join(names).split("+") == drawn.names
    for element, name in zip(found.elements, names, strict=True):
        assert np.array_equal(found.mask_of(element), drawn.voxels(*name.split("+"))), name


def test_bodies_and_discs_are_named_from_c2_down_to_the_voxel(whole):
    found = label(whole.mask)
    agrees(found, whole)
    assert found.absolute and found.confidence > 0.99 and "C2" in found.reason
    assert [element.ordinal for element in found.bodies] == list(range(1, 9))
    assert [element.ordinal for element in found.discs] == list(range(1, 8))
    assert not found.blocks and not found.specks
    assert min(element.confidence for element in found.elements) > 0.99


@pytest.mark.parametrize("scale", [0.6, 0.8, 1.25])
def test_children_and_tall_people_are_named_alike(scale):
    drawn = spine("C2", "C7", scale=scale)
    agrees(label(drawn.mask), drawn)


def test_a_bent_and_leaning_spine_is_named():
    drawn = spine("C2", "T4", bend=18.0, lean=-25.0)
    assert named(label(drawn.mask)) == drawn.names


@pytest.mark.parametrize(
    "fused",
    [
        [("C2", "C3")],
        [("C5", "C6")],
        [("C4", "C5"), ("C5", "C6")],
        [("C2", "C3"), ("C6", "C7")],
        [("T1", "T2")],
    ],
)
def test_blocks_are_named_with_all_their_levels_and_shift_nothing_below(fused):
    drawn = spine("C2", "T2", fused=fused)
    found = label(drawn.mask)
    agrees(found, drawn)
    blocks = [set(element.levels) for element in found.blocks]
    assert set().union(*blocks) == {name for pair in fused for name in pair}
    assert all(element.spans == len(element.levels) > 1 and element.note for element in found.blocks)


def test_what_else_a_block_might_be_is_told_with_its_score():
    found = label(spine("C2", "C7", fused=[("C4", "C5")]).mask)
    told = dict(found.alternatives)
    assert told["what is read as C4 to C5 is one vertebra"] < -2
    assert sorted(told.values(), reverse=True) == list(told.values())


def test_levels_stay_relative_where_c2_is_not_seen(headless):
    found = label(headless.mask)
    assert not found.absolute and "anchor" in found.reason and found.confidence < 0.95
    assert all(element.levels == () for element in found.elements)
    assert [element.ordinal for element in found.bodies] == list(range(1, len(found.bodies) + 1))


def test_a_mask_that_begins_with_a_disc_counts_the_body_below_it_first(whole):
    array = np.where(whole.voxels("C2"), 0, whole.mask.array).astype(np.uint8)
    found = label(volume.like(whole.mask, array))
    assert not found.absolute
    assert [(element.kind, element.ordinal) for element in found.elements[:2]] == [("disc", 0), ("body", 1)]


def test_a_topmost_body_without_dens_is_not_called_c2():
    assert not label(spine("C2", "C7", dens=0.0).mask).absolute
    assert not label(spine("C3", "C7").mask).absolute


def test_four_vertebrae_are_named_only_if_c2_is_one_of_them():
    assert label(spine("C2", "C5").mask).absolute
    assert not label(spine("C4", "C7", above=-4.0, below=-4.0).mask).absolute


def test_an_anchor_names_everything(headless):
    for name in ("C5", "T1", "C5-C6"):
        found = label(headless.mask, anchor=(name, headless.centre(name)))
        assert found.absolute and found.confidence == 1.0 and name in found.reason
        assert found.element_of("C7") is not None and named(found)[-1] == "T2"


def test_an_anchor_in_a_block_means_the_vertebra_at_that_height():
    drawn = spine("C4", "T1", fused=[("C5", "C6")], above=-1.0)
    upper, lower = (drawn.centre(name) for name in ("C5", "C6"))
    expected = ["C5+C6", "C6-C7", "C7", "C7-T1", "T1"]
    assert named(label(drawn.mask, anchor=("C5", upper)))[-5:] == expected
    assert named(label(drawn.mask, anchor=("C6", lower)))[-5:] == expected


def test_what_an_anchor_says_is_not_told_as_doubtful(headless):
    assert any("first vertebra is" in what for what, _ in label(headless.mask).alternatives)
    found = label(headless.mask, anchor=("C5", headless.centre("C5")))
    assert not any("first vertebra is" in what for what, _ in found.alternatives)


def test_an_anchor_overrules_what_the_mask_suggests(whole):
    assert named(label(whole.mask, anchor=("C4", whole.centre("C3"))))[0] == "C3"


def test_anchors_that_cannot_be_are_refused_in_a_sentence(whole):
    centre = whole.centre("C3")
    with pytest.raises(InputError, match="Nothing of the mask lies at the anchor"):
        label(whole.mask, anchor=("C3", np.add(centre, (0, 60, 0))))
    with pytest.raises(InputError, match="lies a vertebral body, which cannot be C3-C4"):
        label(whole.mask, anchor=("C3-C4", centre))
    with pytest.raises(InputError, match="lies a disc, which cannot be C3"):
        label(whole.mask, anchor=("C3", whole.centre("C3-C4")))
    with pytest.raises(InputError, match="C2 cannot be there: 1 vertebrae"):
        label(whole.mask, anchor=("C2", centre))
    for name in ("C1", "C9", "L1"):
        with pytest.raises(InputError, match="not a level that an anchor can have"):
            label(whole.mask, anchor=(name, centre))
    for point in ((1.0, 2.0), (np.nan, 0, 0)):
        with pytest.raises(InputError, match="three coordinates"):
            label(whole.mask, anchor=("C3", point))


@pytest.mark.parametrize("codes", ["RAS", "LPI", "ASR", "IPL"])
def test_the_order_of_the_axes_changes_nothing(whole, codes):
    found, plain = label(volume.reorient(whole.mask, codes)), label(whole.mask)
    assert named(found) == named(plain)
    for one, other in zip(found.instances, plain.instances, strict=True):
        assert np.allclose(one.centroid_mm, other.centroid_mm) and one.voxels == other.voxels
        assert one.slices[1] - one.slices[0] == other.slices[1] - other.slices[0]


def test_an_oblique_grid_changes_nothing():
    grid = phantom.grid_around((140, 260, 22), (0.8, 0.8, 4.0), "PSR", (0.0, 0.0, 0.0))
    drawn = spine("C2", "C7", grid=turned(grid, np.deg2rad([12.0, 8.0, -10.0])))
    agrees(label(drawn.mask), drawn)


def test_below_t12_there_are_no_names():
    names = named(label(spine("C2", "L2", grid=None).mask))
    assert names[-5:] == ["T12", "disc 18", "body 19", "disc 19", "body 20"]


def test_a_mask_without_a_spine_is_told():
    nothing = volume.from_array(np.zeros((20, 20, 5), np.uint8), np.diag([1.0, 1.0, 4.0, 1.0]))
    found = label(nothing)
    assert found.elements == () and not found.absolute and "too little of a spine" in found.reason
    assert found.instances_volume.shape == nothing.shape and found.instances_volume.dtype == np.uint16


@pytest.mark.parametrize("shape", [(1, 1, 1), (9, 1, 1), (1, 9, 1), (1, 1, 9), (64, 64, 1), (3, 9, 2)])
@pytest.mark.parametrize("value", [BODY, DISC])
@pytest.mark.parametrize("size", [0.05, 1.0, 20.0])
def test_blocks_of_voxels_that_are_no_spine_have_no_names_and_keep_their_voxels(shape, value, size):
    affine = np.diag([size, 1.0, 1.0, 1.0])
    found = label(volume.from_array(np.full(shape, value, np.uint8), affine))
    assert not found.absolute and found.reason and (found.instances_volume > 0).all()
    assert sum(instance.voxels for instance in (*found.instances, *found.specks)) == np.prod(shape)
    content = outputs.to_json(found)
    assert outputs.from_json(json.loads(json.dumps(content, allow_nan=False)), found.instances_volume).reason


def test_a_single_slice_and_a_fine_grid_in_three_dimensions_are_named(whole):
    middle = whole.mask.shape[2] // 2
    slab = np.ascontiguousarray(whole.mask.array[:, :, middle : middle + 1])
    assert named(label(volume.from_array(slab, whole.mask.affine))) == whole.names
    grid = phantom.grid_around((40, 60, 210), (1.0, 1.0, 1.0), "RAS", (0.0, 0.0, 0.0))
    fine = spine("C2", "T1", grid=grid)
    agrees(label(fine.mask), fine)


def test_one_part_as_tall_as_a_whole_neck_has_no_names(whole):
    found = label(volume.like(whole.mask, (whole.mask.array > 0).astype(np.uint8)))
    assert not found.absolute and "how many vertebrae" in found.reason and found.confidence <= 0.5


def test_a_neck_of_six_or_eight_is_told_and_counted_against_what_lies_from_c7_down(whole):
    found = label(whole.mask)
    told = [(what, score) for what, score in found.alternatives if "transitional" in what]
    assert len(told) == 2 and all(-9 < score < -3 for _, score in told)
    above, below = found.element_of("C6"), found.element_of("C7")
    assert above.confidence > below.confidence > 0.98 and above.confidence > found.element_of("C6-C7").confidence
    short = label(spine("C2", "C6").mask)
    assert not any("transitional" in what for what, _ in short.alternatives)


def test_other_masks_are_refused(whole):
    with pytest.raises(InputError, match="holds 7"):
        label(volume.like(whole.mask, np.where(whole.voxels("C3"), 7, whole.mask.array).astype(np.uint8)))


def test_the_line_runs_from_head_to_foot_through_the_bodies(whole):
    line = label(whole.mask).line_mm
    assert (np.diff(line[:, 2]) < 0).all()
    for name in ("C3", "C6", "T1"):
        assert np.linalg.norm(line - whole.centre(name), axis=1).min() < 3.0


def test_labels_of_elements_are_those_of_the_mask(whole):
    found = label(whole.mask)
    for element in found.elements:
        values = np.unique(whole.mask.array[found.mask_of(element)])
        assert values.tolist() == [DISC if element.kind == "disc" else BODY]
