"""From a traced person to scans: geometries of exams, truth by majority, contrast by physics."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from CSpineSegLib import phantom
from CSpineSegLib.anatomy import level_value
from CSpineSegLib.errors import InputError
from CSpineSegLib.phantom.contrasts import signals
from CSpineSegLib.phantom.grids import axes_of, turned
from CSpineSegLib.phantom.shape import VERTEBRAE, draw
from CSpineSegLib.phantom.tissue import COUNT, Tissue, label_table, spared_table
from CSpineSegLib.volume import Grid


@pytest.fixture(scope="module")
def geometry():
    return phantom.trace(11, phantom.grid_around((100, 130, 7), (1.5, 1.5, 4.0), "PSR", centre=(0, -2, 0)))


@pytest.fixture(scope="module")
def block():
    """A fine block around C4 to C6, large enough for majorities to be compared with centres."""
    return phantom.grid_around((24, 28, 4), (1.3, 1.3, 4.0), "PSR", centre=draw(11).centre[3])


def points_of(grid, offset=(0, 0, 0)):
    index = np.indices(grid.shape).reshape(3, -1).T + np.asarray(offset)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def test_an_image_is_the_same_for_the_same_seed_and_another_for_another(geometry):
    one, again, other = (phantom.render(geometry, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.image, again.image)
    assert (one.image != other.image).mean() > 0.5
    np.testing.assert_array_equal(one.mask, other.mask)


def test_rendering_leaves_the_geometry_as_it_was(geometry):
    before = [part.copy() for part in (geometry.code, geometry.samples, geometry.mask, geometry.levels)]
    phantom.render(geometry, 5, "stir")
    for part, now in zip(before, (geometry.code, geometry.samples, geometry.mask, geometry.levels), strict=True):
        np.testing.assert_array_equal(part, now)


def test_making_is_tracing_and_rendering_with_one_seed(block):
    made = phantom.make(11, block, style="t1")
    drawn = phantom.render(phantom.trace(11, block), 11, "t1")
    for name in ("image", "mask", "levels", "spared"):
        np.testing.assert_array_equal(getattr(made, name), getattr(drawn, name))
    assert made.present == drawn.present


def test_an_unknown_style_is_refused_in_one_sentence_before_anything_is_drawn(geometry):
    with pytest.raises(InputError, match=r"style 'ct' is not known; use one of t2, t1, stir, pd, t2_3d\.$"):
        phantom.make(1, geometry.grid, style="ct")
    with pytest.raises(InputError, match="style"):
        phantom.render(geometry, 1, "T2")


@pytest.mark.parametrize("style", phantom.STYLES)
def test_every_style_gives_whole_numbers_that_fit_sixteen_bits(geometry, style):
    image = phantom.render(geometry, 2, style).image
    assert image.dtype == np.float32 and image.min() >= 0 and 100 < image.max() <= 4000
    np.testing.assert_array_equal(image, np.round(image))


def medians(style, people=60):
    """Median signal over scans by name: a fresh disc, a worn one, and tissues."""
    fresh, worn = level_value("C3-C4"), level_value("C5-C6")
    scans = []
    for seed in range(people):
        rngs = np.random.default_rng([seed, 9]), np.random.default_rng([seed, 4])
        scans.append(signals(style, {fresh: 0.0, worn: 1.0}, *rngs).reshape(COUNT, 256))
    table = np.median(scans, axis=0)
    names = {"csf": Tissue.CSF, "cord": Tissue.CORD, "muscle": Tissue.MUSCLE, "fat": Tissue.SUBCUTANEOUS_FAT}
    found = {name: table[tissue, 0] for name, tissue in names.items()}
    found |= {"marrow": table[Tissue.MARROW, level_value("C5")], "oedema": table[Tissue.OEDEMA, 0]}
    return found | {"fresh": table[Tissue.NUCLEUS, fresh], "worn": table[Tissue.NUCLEUS, worn]}


def test_t2_has_bright_fluid_and_fat_grey_cord_and_dark_muscle_and_worn_discs():
    for style in ("t2", "t2_3d"):
        of = medians(style)
        assert of["csf"] > 1.3 * of["fat"] > 1.3 * of["cord"] > 1.3 * of["muscle"], style
        assert of["oedema"] > 1.3 * of["marrow"] > 1.3 * of["muscle"]
        assert of["fresh"] > 1.8 * of["worn"]


def test_t1_has_dark_fluid_and_bright_fat_and_dark_oedema():
    of = medians("t1")
    assert of["fat"] > 1.3 * of["cord"] > 1.8 * of["csf"]
    assert of["marrow"] > 1.1 * of["muscle"] and of["marrow"] > of["oedema"]


def test_stir_has_bright_fluid_and_nearly_no_fat_and_bright_oedema():
    of = medians("stir")
    assert of["csf"] > 1.8 * of["cord"] > 1.8 * of["marrow"] > 1.8 * of["fat"]
    assert of["oedema"] > 2.5 * of["marrow"]


def test_proton_density_differs_least_between_tissues():
    of = medians("pd")
    assert max(of["csf"], of["cord"]) < 1.6 * min(of["csf"], of["cord"])
    assert of["fat"] > of["cord"] > of["muscle"]


def test_the_image_shows_the_contrast_of_its_style(geometry):
    near = np.zeros(geometry.mask.shape, bool)
    near[35:65, 45:85] = True  # where the coil is about even
    plain = near.copy()
    plain.reshape(-1)[geometry.mixed] = False
    of = {}
    for style in ("t2", "t1"):
        image = phantom.render(geometry, 8, style).image
        of[style] = [np.median(image[plain & (geometry.tissue == t)]) for t in (Tissue.CSF, Tissue.CORD)]
    assert of["t2"][0] > 1.5 * of["t2"][1]
    assert of["t1"][0] < 0.8 * of["t1"][1]


def test_the_truth_holds_nearly_all_that_one_label_for_a_voxel_can_hold(block):
    anatomy, table = phantom.Anatomy(11), label_table()
    made = phantom.trace(11, block, thickness=4.0)
    inplane, across = (np.arange(3) - 1) / 3, (np.arange(4) - 1.5) / 4
    offsets = np.stack(np.meshgrid(inplane, inplane, across, indexing="ij"), -1).reshape(-1, 3)
    points = np.concatenate([points_of(block, offset) for offset in offsets])
    labels = table[anatomy.classify(points)[0]].reshape(len(offsets), -1)
    shares = np.stack([(labels == label).mean(axis=0) for label in range(3)])
    held = shares[made.mask.ravel(), np.arange(made.mask.size)].mean()
    assert 0.995 * shares.max(axis=0).mean() < held < 0.99
    # A mask that is half a slice off holds less, so the figures above can tell.
    off = table[anatomy.classify(points_of(block, (0, 0, 0.5)))[0]]
    assert shares[off, np.arange(made.mask.size)].mean() < 0.99 * held


def test_voxels_that_are_not_mixed_hold_what_lies_at_their_centre():
    grid = turned(phantom.grid_around((5, 80, 60), (4.0, 0.8, 0.8), "RSP", centre=(0, 0, 0)), (0.2, -0.15, 0.25))
    made = phantom.trace(4, grid)
    tissue, level = phantom.Anatomy(4).classify(points_of(grid))
    plain = np.ones(made.code.size, bool)
    plain[made.mixed] = False
    assert plain.mean() > 0.1 and (made.levels > 0).sum() > 200
    assert (made.tissue.ravel()[plain] != tissue[plain]).mean() < 0.02
    labelled = plain & (level > 0)
    assert labelled.sum() > 30
    assert (made.levels.ravel()[labelled] == level[labelled]).mean() > 0.97


def test_levels_go_with_the_mask_and_are_named(geometry):
    np.testing.assert_array_equal(geometry.levels > 0, geometry.mask > 0)
    values = {level_value(name) for name in geometry.present}
    assert values == set(np.unique(geometry.levels)) - {0}


def test_an_average_is_the_partial_volume_of_a_table(geometry):
    bodies = np.repeat(label_table() == 1, 256)
    share = geometry.average(bodies)
    assert share.min() == 0 and share.max() == 1
    inside = (share > 0) & (share < 1)
    assert set(np.flatnonzero(inside)) <= set(geometry.mixed)
    assert inside.sum() > 300
    np.testing.assert_allclose(geometry.average(np.full(COUNT * 256, 7)), 7)


def test_the_tip_of_the_dens_and_c1_are_spared_and_the_rest_of_the_spine_is_not(geometry):
    made = phantom.render(geometry, 1)
    assert made.spared.dtype == bool
    axis = made.levels == level_value("C2")
    z = (geometry.grid.affine @ np.vstack([np.indices(axis.shape).reshape(3, -1), np.ones(axis.size)]))[2]
    z = z.reshape(axis.shape)
    assert (made.spared & axis).sum() > 5
    assert z[made.spared & axis].min() > z[axis & ~made.spared].mean()
    assert (made.spared & (geometry.tissue == Tissue.ATLAS)).sum() > 5
    assert not made.spared[(made.levels > 0) & ~axis].any()
    plain = np.ones(made.spared.size, bool)
    plain[geometry.mixed] = False
    np.testing.assert_array_equal(made.spared.ravel()[plain], spared_table()[geometry.tissue.ravel()[plain]])


def test_slices_with_gaps_have_fewer_voxels_that_tissues_share(block):
    thick, thin = (phantom.trace(11, block, thickness=mm) for mm in (4.0, 1.0))
    shared = [(made.samples != made.samples[2]).any(axis=0).sum() for made in (thick, thin)]
    assert shared[1] < 0.9 * shared[0]
    for wrong in (0, -1, 4.2):
        with pytest.raises(InputError, match="Slices of"):
            phantom.trace(11, block, thickness=wrong)


def test_people_beyond_the_training_ranges_are_others(block):
    assert (phantom.trace(11, block).mask != phantom.trace(11, block, beyond=True).mask).any()


def test_random_grids_are_those_of_cervical_exams_and_hold_the_neck():
    flat = 0
    for number in range(60):
        grid = phantom.random_grid(np.random.default_rng(number))
        again = phantom.random_grid(np.random.default_rng(number))
        np.testing.assert_array_equal(grid.affine, again.affine)
        axes = axes_of(grid)
        inplane = [grid.spacing[a] for a in (axes.front, axes.height)]
        assert min(inplane) > 0.299 and max(inplane) <= 1.1
        directions = grid.affine[:3, :3] / grid.spacing
        np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-9)
        if grid.orientation == "PSR":
            flat += 1
            assert 12 <= grid.shape[2] <= 25 and 3 <= grid.spacing[2] <= 5.5
            assert 160 < grid.shape[1] * grid.spacing[1] < 305
        centres = draw(number).centre[1:6]
        index = (np.linalg.inv(grid.affine) @ np.c_[centres, np.ones(5)].T)[:3]
        assert index.min() > -0.5 and (np.array(grid.shape) - 0.5 > index.T).all(), number
    assert 50 <= flat < 60
    assert phantom.random_grid(np.random.default_rng(1), largest=200).shape[0] == 200


def test_axes_are_found_from_the_affine():
    for orientation, expected in (("PSR", (2, 0, 1, 2)), ("RAS", (0, 1, 2, 0)), ("IRP", (1, 2, 0, 1))):
        spacing = [4.0 if letter in "RL" else 0.7 for letter in orientation]
        assert axes_of(phantom.grid_around((9, 9, 9), spacing, orientation))[:4] == expected
    # Axial slices: the thick axis is the height.
    assert axes_of(phantom.grid_around((9, 9, 9), (0.7, 0.7, 4.0), "RAS")).slices == 2
    assert axes_of(phantom.grid_around((9, 9, 9), (1.0, 1.0, 1.0), "ASL")).slices == 2


def test_every_disc_of_a_geometry_has_its_wear(geometry):
    assert set(geometry.wear) == {level_value(f"{upper}-{lower}") for upper, lower in pairwise(VERTEBRAE)}
    assert all(0 <= worn <= 1 for worn in geometry.wear.values())


def test_a_turned_grid_keeps_its_middle_and_spacing():
    grid = phantom.grid_around((10, 12, 6), (1, 2, 3), "PSR", centre=(1, 2, 3))
    other = turned(grid, (0.1, 0.2, -0.3))
    np.testing.assert_allclose(other.spacing, grid.spacing)
    np.testing.assert_allclose(other.affine @ [4.5, 5.5, 2.5, 1], [1, 2, 3, 1], atol=1e-9)
    assert isinstance(other, Grid) and not np.allclose(other.affine, grid.affine)
