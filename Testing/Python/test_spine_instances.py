"""Single bodies and discs in masks with the faults that masks have, and what each instance says of itself."""

from __future__ import annotations

import numpy as np
import pytest
from spine_cases import Drawn, named, spine

from CSpineSegLib import volume
from CSpineSegLib.anatomy import BODY, DISC
from CSpineSegLib.spine import frame, instances, label, sheets


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return spine("C2", "T1")


def changed(drawn: Drawn, change) -> volume.Volume:
    """The mask with `change(array)` made to it, in place."""
    array = drawn.mask.array.copy()
    change(array)
    return volume.like(drawn.mask, array)


def at(drawn: Drawn, name: str, offset=(0, 0, 0)) -> tuple[int, ...]:
    """Index of the middle of a level (columns towards the back, rows to the head, slices to the right)."""
    return tuple(np.rint(np.argwhere(drawn.voxels(name)).mean(axis=0)).astype(int) + offset)


def test_an_instance_says_where_it_is_and_how_large(drawn):
    found = label(drawn.mask)
    (number,) = found.element_of("C5").instances
    instance, own = found.instance(number), drawn.voxels("C5")
    index = np.argwhere(own)
    assert instance.voxels == len(index) and instance.volume_mm3 == pytest.approx(len(index) * 0.8 * 0.8 * 4)
    assert np.allclose(instance.centroid_mm, drawn.centre("C5"))
    assert instance.slices == (index[:, 2].min(), index[:, 2].max()) and not instance.touches_border
    extent = (np.ptp(index, axis=0) + 1) * drawn.mask.spacing
    assert np.allclose(instance.box_mm[1] - instance.box_mm[0], extent[[2, 0, 1]])
    assert (instance.box_mm[0] < instance.centroid_mm).all() and (instance.centroid_mm < instance.box_mm[1]).all()


def test_what_the_image_cuts_touches_the_border():
    found = label(spine("C2", "T1", below=-6.0).mask)
    assert [instance.touches_border for instance in found.instances] == [False] * (len(found.instances) - 1) + [True]


def test_every_voxel_of_a_mask_has_exactly_one_instance(drawn):
    found = label(drawn.mask)
    assert np.array_equal(found.instances_volume > 0, drawn.mask.array > 0)
    counts = np.bincount(found.instances_volume.reshape(-1))[1:]
    assert counts.tolist() == [instance.voxels for instance in found.instances]
    assert [instance.number for instance in found.instances] == list(range(1, len(found.instances) + 1))


def test_specks_are_set_aside_and_keep_their_voxels(drawn):
    def spot(array):
        array[5:8, 20:23, 2] = BODY
        array[60:62, 200:203, 12] = DISC
        array[at(drawn, "C2", (0, 30, 0))] = BODY

    found = label(changed(drawn, spot))
    assert named(found) == drawn.names and found.absolute
    assert sorted((speck.label, speck.voxels) for speck in found.specks) == [(BODY, 1), (BODY, 9), (DISC, 6)]
    assert (found.instances_volume[5:8, 20:23, 2] == found.specks[0].number).sum() in (0, 9)
    assert not {speck.number for speck in found.specks} & {n for e in found.elements for n in e.instances}


def test_a_missing_slice_parts_no_vertebra(drawn):
    middle = at(drawn, "C5")[2]

    def wipe(array):
        array[:, :, middle] = 0

    assert named(label(changed(drawn, wipe))) == drawn.names


def test_a_missing_slice_parts_no_block():
    block = spine("C2", "T1", fused=[("C4", "C5")])
    middle = at(block, "C4")[2]

    def wipe(array):
        array[:, :, middle] = 0

    found = label(changed(block, wipe))
    assert [element.levels for element in found.blocks] == [("C4", "C5")]
    assert "+".join(named(found)).split("+") == block.names


def test_a_disc_in_two_parts_is_one_disc(drawn):
    column = at(drawn, "C4-C5")[0]

    def part(array):
        gap = drawn.voxels("C4-C5")
        gap[: column - 2] = gap[column + 2 :] = False
        array[gap] = 0

    found = label(changed(drawn, part))
    assert named(found) == drawn.names
    (number,) = found.element_of("C4-C5").instances
    assert found.instance(number).voxels == np.count_nonzero(drawn.voxels("C4-C5") & (found.instances_volume > 0))


def test_bodies_that_touch_around_a_disc_are_no_block(drawn):
    column = at(drawn, "C5-C6")[0]

    def bridge(array):
        front = drawn.voxels("C5-C6")
        front[column - 3 :] = False
        array[front] = BODY

    found = label(changed(drawn, bridge))
    assert named(found) == drawn.names and not found.blocks
    for name in ("C5", "C6"):
        own = found.mask_of(found.element_of(name))
        assert own[drawn.voxels(name)].mean() > 0.99


def test_two_bodies_with_an_unlabelled_disc_between_them_are_two_bodies(drawn):
    def wipe(array):
        array[drawn.voxels("C5-C6")] = 0

    found = label(changed(drawn, wipe))
    assert named(found) == [name for name in drawn.names if name != "C5-C6"]
    assert not found.blocks and "no disc" in found.element_of("C6").note


def test_a_vertebra_without_label_keeps_its_place(drawn):
    def wipe(array):
        array[drawn.voxels("C5")] = 0

    found = label(changed(drawn, wipe))
    assert named(found) == [name for name in drawn.names if name != "C5"]
    assert "missing" in found.element_of("C4-C5").note


@pytest.mark.parametrize("gone", [("C4-C5", "C5", "C5-C6"), ("C4-C5", "C5"), ("C5", "C5-C6")])
def test_a_vertebra_without_label_keeps_its_place_also_without_its_discs(drawn, gone):
    def wipe(array):
        array[drawn.voxels(*gone)] = 0

    found = label(changed(drawn, wipe))
    assert named(found) == [name for name in drawn.names if name not in gone] and not found.blocks
    assert sum("1 missing below" in element.note for element in found.elements) == 1


@pytest.mark.parametrize(("first", "last", "scale"), [("C2", "C5", 1.0), ("C2", "T3", 1.2), ("C2", "T3", 0.65)])
def test_bodies_without_any_disc_are_counted_by_the_gaps_between_them(first, last, scale):
    spread = spine(first, last, scale=scale)

    def wipe(array):
        array[array == DISC] = 0

    found = label(changed(spread, wipe))
    assert named(found) == [name for name in spread.names if "-" not in name]
    assert [element.note for element in found.elements[1:]] == ["no disc labelled above"] * (len(found.elements) - 1)


def test_four_bodies_without_discs_or_names_are_four():
    middle = spine("C3", "C6", above=-3.0, below=-4.0)

    def wipe(array):
        array[array == DISC] = 0

    found = label(changed(middle, wipe))
    assert [element.ordinal for element in found.elements] == [1, 2, 3, 4] and not found.absolute


def test_a_block_without_discs_about_it_is_a_block():
    block = spine("C2", "T1", fused=[("C4", "C5")])

    def wipe(array):
        array[array == DISC] = 0

    assert named(label(changed(block, wipe))) == ["C2", "C3", "C4+C5", "C6", "C7", "T1"]


def test_noise_is_no_spine_and_the_smallest_of_its_specks_count_as_one(drawn, monkeypatch):
    monkeypatch.setattr(instances, "MOST_SPECKS", 20)
    rng = np.random.default_rng(5)
    noise = rng.integers(1, 3, drawn.mask.shape) * (rng.random(drawn.mask.shape) < 0.01)
    found = label(volume.like(drawn.mask, noise.astype(np.uint8)))
    assert not found.elements and not found.absolute and len(found.specks) == 40
    assert np.array_equal(found.instances_volume > 0, noise > 0)
    counts = np.bincount(found.instances_volume.reshape(-1))[1:]
    assert counts.tolist() == [speck.voxels for speck in found.specks]


def test_a_spot_of_disc_inside_a_body_is_a_speck(drawn):
    a, b, c = at(drawn, "C6")

    def spot(array):
        array[a - 2 : a + 3, b - 1 : b + 2, c] = DISC

    found = label(changed(drawn, spot))
    assert named(found) == drawn.names
    assert [speck.label for speck in found.specks] == [DISC]


def test_a_dens_that_is_called_disc_is_still_a_dens(drawn):
    top = np.flatnonzero(drawn.voxels("C2").any(axis=(0, 2)))[-11]

    def paint(array):
        part = array[:, top:]
        part[part > 0] = DISC

    found = label(changed(drawn, paint))
    assert found.absolute and named(found) == drawn.names
    assert [speck.label for speck in found.specks] == [DISC]


def test_below_a_tip_of_the_dens_that_is_called_disc_no_vertebra_is_missing():
    long = spine("C2", "T1", dens=16.0)
    top = np.flatnonzero(long.voxels("C2").any(axis=(0, 2)))[-5]

    def paint(array):
        part = array[:, top:]
        part[part > 0] = DISC

    found = label(changed(long, paint))
    assert found.absolute and named(found) == long.names


def test_discs_that_hang_together_behind_a_body_are_parted(drawn):
    a, b, c = at(drawn, "C5")

    def bridge(array):
        array[a + 7 : a + 10, b - 12 : b + 13, c] = DISC

    found = label(changed(drawn, bridge))
    assert named(found) == drawn.names
    for name in ("C4-C5", "C5-C6"):
        own = found.mask_of(found.element_of(name))
        assert own[drawn.voxels(name)].all() and own.sum() < 1.2 * drawn.voxels(name).sum()


def test_holes_part_nothing(drawn):
    rng = np.random.default_rng(3)

    def pierce(array):
        for a, b, c in rng.permutation(np.argwhere(array))[:12]:
            array[a - 3 : a + 4, b - 3 : b + 4, c] = 0

    assert named(label(changed(drawn, pierce))) == drawn.names


def test_sheets_lie_where_the_discs_do(drawn):
    lines = frame.build(drawn.mask)
    found = sheets.find(lines)
    names = [name for name in drawn.names if "-" in name]
    assert len(found) == len(names)
    for sheet, name in zip(found, names, strict=True):
        assert sheet.place == pytest.approx(lines.place(drawn.centre(name)[None])[0, 0], abs=0.8)
        assert len(sheet.members) == np.count_nonzero(drawn.voxels(name))
