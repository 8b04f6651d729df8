"""The uncertainty that is told is the one that is met: of drawn borders, of pixels, and of slices."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from measuring_cases import Body, draw, stack

from CSpineSegLib import phantom
from CSpineSegLib.anatomy import level_value
from CSpineSegLib.spine import measuring, measuring_trials
from CSpineSegLib.spine.levels import label
from CSpineSegLib.spine.measuring_bodies import LOWER, UPPER, fit, propagate, propagate_all
from CSpineSegLib.spine.measuring_outline import CORRELATION, Noise
from CSpineSegLib.spine.measuring_sections import cut
from CSpineSegLib.spine.measuring_truth import Truth


def sigma(found: measuring.Measurements, key: str, of: str) -> float:
    row = found.get(key, of)
    assert row.sigma is not None, row.reason
    return row.sigma


def test_uncertainty_grows_with_the_border_with_the_pixel_and_with_nothing_drawn_it_is_small():
    labelling, mask = draw(stack(2))
    told = [measuring.measure(labelling, mask, boundary=boundary) for boundary in (0.0, 0.2, 0.4)]
    for key, of in (("middle_height", "C3"), ("wedge_angle", "C3"), ("listhesis", "C3-C4"), ("body_volume", "C3")):
        parts = [sigma(found, key, of) for found in told]
        assert parts[0] < parts[1] < parts[2]
    # Variances add up: what is drawn is the same again at twice the distance.
    first, second, third = (sigma(found, "middle_height", "C3") ** 2 for found in told)
    assert third - first == pytest.approx(4 * (second - first), rel=1e-3)
    coarse = measuring.measure(*draw(stack(2), spacing=(1.0, 1.0, 4.0)), boundary=0.2)
    assert sigma(coarse, "middle_height", "C3") > sigma(told[1], "middle_height", "C3")


def test_thick_slices_make_a_slanting_body_uncertain_and_a_straight_one_not():
    def middle_height(slant: float, step: float) -> float:
        labelling, mask = draw([Body((0, 0), front=24, back=24)], spacing=(0.5, 0.5, step))
        index = np.moveaxis(np.indices(mask.shape), 0, -1)
        x, _, z = np.moveaxis(index @ mask.affine[:3, :3].T + mask.affine[:3, 3], -1, 0)
        labelling.instances_volume[np.abs(z) > 7.2 + slant * x / 2] = 0
        return sigma(measuring.measure(labelling, mask, boundary=0.05), "middle_height", "C3")

    # Pixels of .5 mm make steps of 1 mm between slices of a height that changes by .5 mm per mm.
    straight, slanting = middle_height(0.0, 4.0), middle_height(0.5, 4.0)
    # The middle across slices is known to .7 / sqrt(24) of a step, .57 mm.
    assert slanting**2 - straight**2 == pytest.approx((0.5 * 0.57) ** 2, rel=0.3)
    assert middle_height(0.5, 1.0) < slanting / 2


def test_borders_drawn_again_and_again_scatter_by_what_is_told():
    """Twelve times, with half a pixel: a standard deviation of twelve values is known to a fifth, of eight
    structures' together to a tenth; correlations along the border are smooth here and exponential in the model, and
    borders round to pixels, so a factor of 1.5 either way is what is held."""
    grid = phantom.grid_around((160, 250, 15), (0.7, 0.7, 4.0), "PSR", (0, 4, -18))
    _, levels = phantom.truth(5, grid)
    kept = [level_value(name) for name in ("C4", "C4-C5", "C5", "C5-C6", "C6")]
    labelling, mask = measuring_trials.labelling_of(np.where(np.isin(levels, kept), levels, 0), grid)
    first = measuring.measure(labelling, mask)
    rng, drawn = np.random.default_rng(0), defaultdict(list)
    for _ in range(12):
        instances = measuring_trials.redrawn(labelling.instances_volume, grid, 0.35, rng)
        for row in measuring.measure(*measuring_trials.labelling_from(instances, labelling.elements, grid)).rows:
            drawn[row.key, row.of].append(row.value)
    ratios = defaultdict(list)
    for (key, of), values in drawn.items():
        if None not in values and first.get(key, of).sigma and "volume" not in key and key != "coronal_angle":
            ratios[key].append(np.var(values, ddof=1) / sigma(first, key, of) ** 2)
    assert len(ratios) >= 10
    for key, found in ratios.items():
        assert 1 / 2.5 < np.sqrt(np.mean(found)) < 1.9, key
    assert 1 / 1.5 < np.sqrt(np.mean([one for found in ratios.values() for one in found])) < 1.5


def test_redrawing_moves_borders_by_the_distance_that_is_asked_for_and_keeps_them_shared():
    rng = np.random.default_rng(3)
    grid = phantom.grid_around((300, 300, 6), (0.2, 0.2, 4.0), "PSR", (0, 0, 0))
    instances = np.ones(grid.shape, np.uint16)
    instances[:, 150:] = 2
    moved = measuring_trials.redrawn(instances, grid, 0.5, rng)
    assert moved.min() >= 1
    border = (moved == 1).sum(axis=1)[20:-20] * 0.2
    # 6 slices of 52 mm hold about 78 independent pieces of the border, so its deviation is known to a tenth.
    assert border.std() == pytest.approx(0.5, rel=0.25)
    lag = round(CORRELATION / 0.2)
    centred = border - border.mean()
    together = float((centred[lag:] * centred[:-lag]).mean() / np.square(centred).mean())
    # exp(-1) = .37 in the model, exp(-pi / 4) = .46 of the smooth field with the same integral.
    assert together == pytest.approx(0.46, abs=0.2)
    slices = np.corrcoef(border.T)
    assert np.abs(slices[~np.eye(6, dtype=bool)]).max() < 0.6


def test_propagation_is_exact_for_sums_and_keeps_what_is_shared():
    labelling, mask = draw(stack(2))
    solid = cut(labelling, mask).solids[0]
    found = fit(solid, 0.0, Noise(0.3, 0.5))
    total, spread = propagate(lambda v: v[UPPER][0] + 2 * v[LOWER][0], found)
    variance = found.covariance[0, 0] + 4 * found.covariance[5, 5] + 4 * found.covariance[0, 5]
    assert spread == pytest.approx(np.sqrt(variance), rel=1e-6)
    assert total == pytest.approx(found.values[0] + 2 * found.values[5])
    # A quantity minus itself is certain.
    _, covariance = propagate_all(lambda v: np.array([v[0], v[0], v[0] - v[0]]), found)
    assert covariance[2, 2] == pytest.approx(0, abs=1e-12)
    assert covariance[0, 1] == pytest.approx(covariance[0, 0])


@pytest.fixture(scope="module", params=[5, 12])
def person(request):
    """Truth of a person and the measurements of a mask in slices of 4 mm."""
    truth = Truth(phantom.Anatomy(request.param, [("C5", "C6")] if request.param == 12 else ()))
    grid = phantom.grid_around((170, 280, 17), (0.6, 0.6, 4.0), "PSR", (0, 4, -18))
    _, levels = phantom.truth(request.param, grid, fused=truth.fused)
    labelling, mask = measuring_trials.labelling_of(levels, grid, truth.fused)
    return truth, measuring.measure(labelling, mask), mask


def test_measurements_of_a_phantom_lie_within_four_standard_deviations_of_its_truth(person):
    truth, found, _ = person
    compared = 0
    for right in [*truth.structures(), *truth.whole()]:
        if right.value is not None:
            row = found.get(right.key, right.of)
            if row.value is not None:
                assert abs(row.value - right.value) < 4 * row.sigma, (row, right.value)
                compared += 1
    assert compared > 50
    for name, (volume, _) in truth.volumes().items():
        row = found.get(
            "disc_volume" if name in [row.of for row in found.rows if "disc" in row.key] else "body_volume", name
        )
        if row.value is not None:
            assert row.value == pytest.approx(volume, abs=4 * row.sigma)


def test_a_mask_alone_is_labelled_and_measured_as_with_its_true_levels(person):
    _, right, mask = person
    labelling = label(mask)
    found = measuring.measure(labelling, mask)
    names, others = (
        list(dict.fromkeys(row.of for row in one.rows if row.definition.kind != "spine")) for one in (right, found)
    )
    if labelling.absolute:
        assert names == others
    compared = 0
    for name, other in zip(names, others, strict=True):
        for key in (row.key for row in right.rows if row.of == name and row.definition.kind != "spine"):
            one, two = right.get(key, name), found.get(key, other)
            # Without a name, a body that the edge of the image cuts may be C2 or not, and so may have a height or not.
            assert (one.value is None) == (two.value is None) or (key == "disc_height_index" and name == "C2-C3")
            if one.value is not None and two.value is not None:
                assert two.value == pytest.approx(one.value, abs=2 * one.sigma)
                compared += 1
    assert compared > 50


@pytest.mark.parametrize("seed", [5, 21])
def test_the_truth_of_a_person_who_is_not_warped_is_that_of_the_numbers_of_the_shape(seed):
    anatomy = phantom.Anatomy(seed)
    anatomy._warp_size = np.float32(0)
    truth, shape = Truth(anatomy), anatomy.shape
    rows = {(row.key, row.of): row.value for row in truth.structures()}
    compared = 0
    for index, name in enumerate(("C2", "C3", "C4", "C5", "C6", "C7", "T1")):
        if ("depth", name) not in rows or index == 0:
            continue
        # Between rims the waist narrows the front by all of it and the back by .6, and by less away from the middle:
        # over the middle three fifths of the height by 1 - .12 of that.
        assert rows["depth", name] == pytest.approx(
            shape.depth[index] * (1 - 0.8 * 0.88 * shape.waist[index]), rel=0.02
        )
        # Endplates are concave by so much in the middle, and they belong to the disc; they are uneven by some tenths.
        expected = shape.height[index] - shape.concavity[index].sum() - 2 * shape.endplate
        pits = shape.pit[index, :, 0].sum()
        assert expected - 0.7 - pits < rows["middle_height", name] < expected + 0.7
        compared += 1
    assert compared >= 5


def test_the_plane_of_a_vertebra_goes_through_its_centre_along_its_axes():
    truth = Truth(phantom.Anatomy(9))
    for index in (0, 3, 6):
        plane = truth.plane_of(index)
        local = truth.shape.local(index, truth.anatomy.own(plane.centre[None].astype(np.float32)))
        assert local == pytest.approx(np.zeros((1, 3)), abs=1e-2)
        axes = np.stack([plane.right, plane.front, plane.up])
        assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-6) and np.linalg.det(axes) == pytest.approx(1)
        ahead = truth.shape.local(index, truth.anatomy.own((plane.centre + 3 * plane.front)[None].astype(np.float32)))[
            0
        ]
        assert ahead == pytest.approx([0, 3, 0], abs=0.6)
