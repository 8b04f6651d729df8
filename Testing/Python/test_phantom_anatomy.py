"""The people behind the phantoms: their variety, their pathology, and what lies beside the bodies."""

from __future__ import annotations

import numpy as np
import pytest

from CSpineSegLib import phantom
from CSpineSegLib.anatomy import level_value
from CSpineSegLib.phantom.ranges import KEYS, Ranges
from CSpineSegLib.phantom.shape import draw
from CSpineSegLib.phantom.tissue import Tissue, label_table, spared_table

PEOPLE = range(2000, 2250)


@pytest.fixture(scope="module")
def shapes():
    return [draw(seed) for seed in PEOPLE]


@pytest.fixture(scope="module")
def strangers():
    return [draw(seed, beyond=True) for seed in PEOPLE[:100]]


def around(anatomy, index, half=(14, 16, 14), step=1.0, centre=(0, 0, 0)):
    """Local points (N, 3) about a vertebra's centre, and what the anatomy has there."""
    axes = [np.arange(-h, h + step / 2, step) + c for h, c in zip(half, centre, strict=True)]
    local = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    tissue, level = anatomy.classify(anatomy.shape.turn.apply(anatomy.shape.world(index, local)))
    return local, tissue, level


def person(shapes, wanted):
    """The seed of the first person whose shape is as wanted."""
    return next(seed for seed, shape in zip(PEOPLE, shapes, strict=True) if wanted(shape))


def test_people_are_as_often_fused_as_documented(shapes):
    congenital = np.mean([s.fused.any() and not s.surgical.any() for s in shapes])
    surgical = np.mean([s.surgical.any() for s in shapes])
    assert 0.02 < congenital < 0.09
    assert 0.035 < surgical < 0.115
    runs = {int(s.fused.sum()) for s in shapes}
    assert runs == {0, 1, 2}


def test_an_explicit_block_overrides_the_one_that_chance_would_fuse(shapes):
    seed = person(shapes, lambda s: s.fused.any() and not s.fused[3])
    named = draw(seed, fused=(("C5", "C6"),))
    np.testing.assert_array_equal(np.flatnonzero(named.fused), [3])
    assert not named.surgical.any()


def test_a_congenital_block_joins_two_levels_without_a_disc_between_them(shapes):
    seed = person(shapes, lambda s: s.fused[3] and not s.fused[2] and not s.surgical.any())
    anatomy = phantom.Anatomy(seed)
    level = around(anatomy, 3, half=(3, 3, 24))[2]
    assert level_value("C5-C6") not in level
    assert level_value("C4-C5") in level
    _, middle_tissue, middle_level = around(anatomy, 3, half=(2, 2, 2), centre=(0, 0, -anatomy.shape.height[3] / 2))
    assert set(np.unique(middle_level)) <= {level_value("C5"), level_value("C6")}
    assert set(np.unique(label_table()[middle_tissue])) == {1}


def test_a_surgical_block_holds_a_graft_and_most_have_metal_before_it(shapes):
    operated = [seed for seed, shape in zip(PEOPLE, shapes, strict=True) if shape.surgical.any()][:6]
    metal = []
    for seed in operated:
        anatomy = phantom.Anatomy(seed)
        index = int(np.flatnonzero(anatomy.shape.surgical)[0])
        local, tissue, level = around(anatomy, index, half=(9, 14, 18), step=2.0)
        assert (tissue == Tissue.GRAFT).sum() > 2
        assert set(np.unique(label_table()[tissue[tissue == Tissue.GRAFT]])) == {1}
        assert not level[tissue == Tissue.METAL].any()
        plate = (tissue == Tissue.METAL) & (local[:, 1] > anatomy.shape.depth[index] / 2)
        metal.append(plate.sum() > 5)
    assert 0.3 < np.mean(metal) <= 1
    assert spared_table()[[Tissue.METAL, Tissue.GRAFT]].all()
    _, tissue, _ = around(phantom.Anatomy(person(shapes, lambda s: not s.surgical.any())), 3)
    assert not np.isin(tissue, [Tissue.METAL, Tissue.GRAFT]).any()


def test_children_have_smaller_and_lower_bodies_and_relatively_taller_discs(shapes):
    young = [s for s in shapes if s.scale < 0.7]
    grown = [s for s in shapes if s.scale > 0.86]
    assert 0.03 < len(young) / len(shapes) < 0.15

    def mean(people, figure):
        return np.mean([figure(s) for s in people])

    assert mean(young, lambda s: s.depth[3]) < 0.75 * mean(grown, lambda s: s.depth[3])
    assert mean(young, lambda s: s.height[3] / s.depth[3]) < 0.95 * mean(grown, lambda s: s.height[3] / s.depth[3])
    ratio = [mean(people, lambda s: (s.disc_height / s.height[:-1])[~s.fused].mean()) for people in (young, grown)]
    assert ratio[0] > 1.1 * ratio[1]
    assert not any(s.wear.any() for s in young)


def test_necks_are_lordotic_straight_and_kyphotic_and_heads_stay_level(shapes):
    angle = np.rad2deg([s.tilt[6] - s.tilt[0] for s in shapes])
    assert (angle < -8).mean() > 0.04
    assert (angle > 35).mean() > 0.04
    assert abs(np.median(np.rad2deg([s.tilt[0] for s in shapes]))) < 12


def test_some_people_lie_turned_and_points_find_the_way_back(shapes):
    turned = np.abs(np.rad2deg([s.turn.head for s in shapes]))
    assert 0.03 < (turned > 10).mean() < 0.3
    points = np.random.default_rng(0).uniform(-100, 100, (500, 3)).astype(np.float32)
    turn = max((s.turn for s in shapes), key=lambda t: abs(t.head))
    assert np.abs(turn.apply(points) - points).max() > 5
    np.testing.assert_allclose(turn.apply(turn.apply(points), back=True), points, atol=1e-3)


def outside(shape):
    """Which keys a shape's own figures show to lie outside what `Ranges` says of training."""
    found = set()
    if not 0.58 <= shape.scale <= 1.18:
        found.add("scale")
    young = np.clip((0.84 - shape.scale) / 0.26, 0, 1)
    canal = shape.canal / shape.scale ** (1 - 0.4 * young)
    if not 9.5 <= canal <= 16.5:
        found.add("canal")
    if np.abs(np.diff(shape.centre[:, 0])).max() > 3.5:
        found.add("bent")
    return found


def test_people_beyond_differ_from_those_of_training_in_what_they_say_and_in_what_is_drawn(shapes, strangers):
    assert not any(s.ranges.beyond for s in shapes)
    assert not any({"scale", "canal"} & outside(s) for s in shapes)
    counts = dict.fromkeys(KEYS, 0)
    for shape in strangers:
        assert 2 <= len(shape.ranges.beyond) <= 4
        for key in shape.ranges.beyond:
            counts[key] += 1
        assert {"scale", "canal"} & outside(shape) == {"scale", "canal"} & shape.ranges.beyond
    assert min(counts.values()) > 0.3 * len(strangers)
    aspect = [[np.mean(s.height / s.depth) for s in people if s.scale > 0.84] for people in (shapes, strangers)]
    assert np.std(aspect[1]) > 1.5 * np.std(aspect[0])
    assert draw(2000).scale != draw(2000, beyond=True).scale


@pytest.mark.parametrize("key", ["lordosis", "disc", "aspect", "scale", "canal"])
def test_what_is_drawn_beyond_never_falls_in_the_range_of_training(key):
    rng = np.random.default_rng(1)
    inside = [getattr(Ranges(), key)(rng) for _ in range(2000)]
    beyond = [getattr(Ranges(frozenset([key])), key)(rng) for _ in range(2000)]
    low, high = min(inside), max(inside)
    assert all(value < low or value > high for value in beyond)
    assert min(beyond) < low and max(beyond) > high


def test_scoliosis_beyond_is_stronger_than_any_of_training():
    rng = np.random.default_rng(1)
    inside = np.abs([Ranges().scoliosis(rng) for _ in range(2000)])
    beyond = np.abs([Ranges(frozenset(["scoliosis"])).scoliosis(rng) for _ in range(2000)])
    assert (beyond.min(0) > inside.max(0)).all()


def test_bodies_end_and_bone_goes_on_where_pedicles_and_pillars_begin(shapes):
    anatomy = phantom.Anatomy(person(shapes, lambda s: 0.95 < s.scale < 1.05 and not s.fused.any()))
    shape = anatomy.shape
    for index in (2, 3, 4):
        local, tissue, level = around(anatomy, index, half=(26, 30, 4), centre=(0, -8, 0))
        beside = np.abs(local[:, 0])
        assert not level[beside > shape.half_width[index] + 1].any()
        bone = np.isin(tissue, [Tissue.BONE, Tissue.CORTEX, Tissue.FATTY_MUSCLE])
        pillar = (np.abs(beside - 17 * shape.scale) < 3) & (local[:, 1] < -shape.depth[index] / 2 - 3)
        assert bone[pillar & (local[:, 1] > -shape.depth[index] / 2 - 10)].mean() > 0.5
        assert not label_table()[tissue[pillar]].any()


def test_a_vertebral_artery_runs_before_the_pillars_of_most_people_as_an_unbroken_void(shapes):
    unbroken = []
    for seed in [seed for seed, shape in zip(PEOPLE, shapes, strict=True) if 0.9 < shape.scale < 1.1][:4]:
        anatomy = phantom.Anatomy(seed)
        for sign in (-1, 1):
            centre = (sign * 15.6 * anatomy.shape.scale, -2, -4)
            local, tissue, _ = around(anatomy, 3, half=(4, 5, 9), centre=centre)
            void = tissue == Tissue.FLOW_VOID
            unbroken.append(all(void[local[:, 2] == height].sum() >= 3 for height in np.unique(local[:, 2])))
    assert sum(unbroken) >= 4, unbroken


def test_the_ring_of_c1_is_spared_before_the_dens_and_background_behind_the_canal(shapes):
    anatomy = phantom.Anatomy(person(shapes, lambda s: 0.95 < s.scale < 1.05))
    shape = anatomy.shape
    up = shape.height[0] / 2 + 8 * shape.scale
    local, tissue, level = around(anatomy, 0, half=(4, 40, 12), centre=(0, -14, up))
    before = local[:, 1] > -shape.depth[0] * 0.08 + 5 * shape.scale
    assert np.isin(tissue[before], [Tissue.ATLAS, Tissue.ATLAS_CORTEX]).sum() > 50
    behind = local[:, 1] < -shape.depth[0] / 2 - shape.canal
    assert not np.isin(tissue[behind], [Tissue.ATLAS, Tissue.ATLAS_CORTEX]).any()
    assert np.isin(tissue[behind], [Tissue.BONE, Tissue.CORTEX, Tissue.FAT]).any()
    assert not level[behind | np.isin(tissue, [Tissue.ATLAS, Tissue.ATLAS_CORTEX])].any()


def test_altered_marrow_lies_in_bodies_and_keeps_their_label(shapes):
    table = label_table()
    seen = set()
    for seed, shape in zip(PEOPLE, shapes, strict=True):
        kinds = {Tissue.OEDEMA: shape.modic > 2, Tissue.HAEMANGIOMA: shape.marrow[:-1] > 2}
        for kind, where in kinds.items():
            where = np.flatnonzero(where[:8] & ~shape.fused[:8])
            if kind in seen or not len(where):
                continue
            _, tissue, level = around(phantom.Anatomy(seed), int(where[0]), half=(10, 10, 10))
            if (tissue == kind).any():
                assert (table[tissue[tissue == kind]] == 1).all()
                assert level[tissue == kind].all()
                seen.add(kind)
        if len(seen) == 2:
            return
    raise AssertionError(f"only {seen} in {len(PEOPLE)} people")
