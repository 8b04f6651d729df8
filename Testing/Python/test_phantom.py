"""The phantoms: one person per seed, whatever the grid, with a truth that keeps the rules of the dataset's masks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from CSpineSegLib import phantom, volume
from CSpineSegLib.anatomy import level_name, level_value
from CSpineSegLib.errors import InputError
from CSpineSegLib.phantom.tissue import Tissue, label_table

FUSED = (("C5", "C6"),)
FULL = np.ones((3, 3, 3))


def small_grid(orientation="PSR", size=110, slices=11, spacing=1.8, thickness=4.0):
    shape = {"P": size, "A": size, "S": size + 10, "I": size + 10, "R": slices, "L": slices}
    millimetres = {**dict.fromkeys("PASI", spacing), "R": thickness, "L": thickness}
    return phantom.grid_around([shape[a] for a in orientation], [millimetres[a] for a in orientation], orientation)


@pytest.fixture(scope="module")
def person():
    return phantom.make(11, small_grid())


@pytest.fixture(scope="module")
def fused_grid():
    return phantom.grid_around((130, 200, 15), (1.0, 1.0, 2.0), "PSR")


@pytest.fixture(scope="module")
def fused_person(fused_grid):
    return phantom.make(11, fused_grid, fused=FUSED)


def test_a_seed_is_always_the_same_person(person):
    again = phantom.make(11, small_grid())
    np.testing.assert_array_equal(again.image, person.image)
    np.testing.assert_array_equal(again.levels, person.levels)


def test_another_seed_is_another_person(person):
    assert (phantom.make(12, small_grid()).mask != person.mask).sum() > 500


def test_the_mask_holds_the_dataset_s_three_labels_in_its_own_type(person):
    assert person.mask.dtype == person.levels.dtype == np.uint8
    assert set(np.unique(person.mask)) == {0, 1, 2}


def test_the_image_holds_whole_numbers_that_fit_the_scanner_s_sixteen_bits(person):
    assert person.image.dtype == np.float32
    assert person.image.min() >= 0 and 400 < person.image.max() < 4000
    np.testing.assert_array_equal(person.image, np.round(person.image))


def test_every_voxel_of_the_mask_has_a_level_of_the_right_kind_and_no_other_voxel_has(person):
    names = {value: level_name(int(value)) for value in np.unique(person.levels) if value}
    for value, name in names.items():
        assert set(np.unique(person.mask[person.levels == value])) == {2 if "-" in name else 1}, name
    np.testing.assert_array_equal(person.levels > 0, person.mask > 0)


def test_levels_follow_each_other_from_head_to_foot(person):
    grid = small_grid()
    heights = []
    for name in person.present:
        index = np.argwhere(person.levels == level_value(name)).mean(0)
        heights.append((grid.affine @ np.append(index, 1))[2])
    assert person.present[:3] == ["C2", "C2-C3", "C3"]
    assert {"C7", "C7-T1", "T1", "T2"} <= set(person.present)
    assert heights == sorted(heights, reverse=True)


def test_unfused_bodies_are_separate_and_as_many_as_the_vertebrae(fused_grid):
    made = phantom.make(11, fused_grid)
    _, count = ndimage.label(made.mask == 1, FULL)
    assert count == sum("-" not in name for name in made.present)


def test_a_fused_block_is_one_piece_without_a_disc_and_keeps_both_levels(fused_person):
    assert "C5-C6" not in fused_person.present
    block = np.isin(fused_person.levels, [level_value("C5"), level_value("C6")])
    assert set(np.unique(fused_person.mask[block])) == {1}
    labels, _ = ndimage.label(fused_person.mask == 1, FULL)
    levels = fused_person.levels
    of = {name: np.bincount(labels[levels == level_value(name)]).argmax() for name in ("C4", "C5", "C6", "C7")}
    assert of["C5"] == of["C6"]
    assert len({of["C4"], of["C5"], of["C7"]}) == 3


def test_fusing_what_are_not_neighbours_is_refused():
    for pair in (("C5", "C7"), ("C6", "C5"), ("C1", "C2"), ("T7", "T8")):
        with pytest.raises(InputError, match="neighbours"):
            phantom.Anatomy(1, fused=(pair,))


def test_an_unknown_style_and_a_wrong_orientation_are_refused():
    with pytest.raises(InputError, match="style"):
        phantom.make(1, small_grid(), style="ct")
    with pytest.raises(InputError, match="orientation"):
        phantom.grid_around((4, 4, 4), (1, 1, 1), "PSA")


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SRA"])
def test_any_orientation_shows_the_same_person_at_the_same_points(person, orientation):
    other = phantom.make(11, small_grid(orientation))
    grid = small_grid(orientation)
    turned = volume.reorient(volume.from_array(other.levels, grid.affine), "PSR")
    np.testing.assert_array_equal(turned.array, person.levels)


def test_an_oblique_grid_meets_the_same_anatomy():
    grid = small_grid(size=60, slices=7)
    angle = 0.3
    turn = np.eye(4)
    turn[:3, :3] = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    oblique = volume.Grid(grid.shape, turn @ grid.affine)
    made = phantom.make(11, oblique)
    index = np.argwhere(made.mask >= 0)
    points = index @ oblique.affine[:3, :3].T + oblique.affine[:3, 3]
    tissue, level = phantom.Anatomy(11).classify(points)
    # The truth is that of most of a voxel, so it differs from its centre in a few that walls cross.
    labelled = made.mask.ravel() > 0
    assert (label_table()[tissue] != made.mask.ravel()).sum() < 0.08 * labelled.sum()
    assert (level != made.levels.ravel()).sum() < 0.08 * labelled.sum()


def test_the_order_of_points_changes_nothing():
    rng = np.random.default_rng(0)
    points = rng.uniform([-20, -60, -120], [20, 60, 60], (20_000, 3))
    order = rng.permutation(len(points))
    anatomy = phantom.Anatomy(5)
    tissue, level = anatomy.classify(points)
    shuffled, shuffled_level = anatomy.classify(points[order])
    np.testing.assert_array_equal(shuffled, tissue[order])
    np.testing.assert_array_equal(shuffled_level, level[order])
    assert anatomy.classify(np.zeros((0, 3)))[0].shape == (0,)


def local_box(shape, index, half=(14, 12, 10), step=1.0):
    """Points (N, 3) around a vertebra in its own frame, and in the world."""
    axes = [np.arange(-h, h + step / 2, step) for h in half]
    local = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    return local, shape.world(index, local)


@pytest.mark.parametrize("seed", [11, 5])
def test_no_body_or_disc_reaches_17_mm_beside_the_middle_of_its_vertebra(seed):
    anatomy = phantom.Anatomy(seed)
    for index in range(10):
        local, points = local_box(anatomy.shape, index, half=(26, 12, 5), step=2.0)
        level = anatomy.classify(anatomy.shape.turn.apply(points))[1]
        beside = np.abs(local[:, 0])
        assert (level[beside < 4] > 0).mean() > 0.4
        assert not level[beside > 17].any()


def test_both_sides_of_a_vertebra_are_alike():
    anatomy = phantom.Anatomy(11)
    shape = anatomy.shape
    local, points = local_box(shape, 3)
    mirrored = shape.turn.apply(shape.world(3, local * [-1, 1, 1]))
    one, other = anatomy.classify(shape.turn.apply(points))[1], anatomy.classify(mirrored)[1]
    # Endplates are uneven and the person bends a little, so walls differ by fractions of a millimetre.
    assert (one != other).mean() < 0.08
    assert (one > 0).mean() > 0.2


def test_bodies_have_the_volume_of_adults():
    for seed in range(4):
        anatomy = phantom.Anatomy(seed)
        if anatomy.shape.scale < 0.84:
            continue
        _, points = local_box(anatomy.shape, 3)
        level = anatomy.classify(anatomy.shape.turn.apply(points))[1]
        assert 1.6 < (level == level_value("C5")).sum() / 1000 < 7.0, f"cm3 of C5, seed {seed}"


def test_t2_shows_bright_fluid_grey_cord_and_dark_walls():
    grid = phantom.grid_around((160, 160, 1), (0.7, 0.7, 3.0), "PSR", centre=(0, -5, 0))
    made = phantom.make(3, grid)
    index = np.argwhere(made.mask >= 0)
    tissue, _ = phantom.Anatomy(3).classify(index @ grid.affine[:3, :3].T + grid.affine[:3, 3])
    mean = {kind: np.median(made.image.ravel()[tissue == kind]) for kind in (Tissue.CSF, Tissue.CORD, Tissue.MARROW,
                                                                            Tissue.ANNULUS)}  # fmt: skip
    assert mean[Tissue.CSF] > 1.5 * mean[Tissue.CORD] > 1.5 * mean[Tissue.ANNULUS]
    assert mean[Tissue.MARROW] > 1.3 * mean[Tissue.ANNULUS]


def test_the_default_grid_shows_c2_to_the_upper_thoracic_spine_for_many_people():
    z = np.linspace(90, -134, 113)
    y = np.linspace(60, -60, 61)
    for seed in range(6):
        points = np.stack(np.meshgrid(np.arange(-24, 25, 6), y, z, indexing="ij"), -1).reshape(-1, 3)
        _, level = phantom.Anatomy(seed).classify(points)
        found = {level_name(int(v)) for v in np.unique(level) if v}
        assert {"C2", "C2-C3", "C3", "C4", "C5", "C6", "C7", "C7-T1", "T1", "T2"} <= found, seed
