"""Measurements of bodies and discs with straight edges, whose values are known by hand.

A border lies on a pixel to half of one; heights are means over bands of several pixels and two slices. Where edges run
along the pixels the whole border is off by the same part of one, so lengths are compared to half a pixel (.25 mm) on
either side, and angles to 1 degree (.25 mm over 15 mm).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from measuring_cases import HALF_WIDTH, Body, draw, stack

from CSpineSegLib import volume
from CSpineSegLib.phantom.grids import turned
from CSpineSegLib.spine import measuring, measuring_trials

MM, DEGREES = 0.3, 1.0


def measured(bodies, *args, boundary=None, **options) -> measuring.Measurements:
    return measuring.measure(*draw(bodies, *args, **options), boundary=boundary)


def value(found: measuring.Measurements, key: str, of: str) -> float:
    row = found.get(key, of)
    assert row.value is not None, row.reason
    return row.value


def test_upright_boxes_have_the_sizes_that_they_were_drawn_with():
    found = measured(stack(3, gap=5.0))
    for key in ("anterior_height", "middle_height", "posterior_height"):
        assert value(found, key, "C4") == pytest.approx(12, abs=MM)
        assert value(found, f"disc_{key}", "C3-C4") == pytest.approx(5, abs=MM)
    assert value(found, "depth", "C4") == pytest.approx(15, abs=MM)
    assert value(found, "wedge_angle", "C4") == pytest.approx(0, abs=DEGREES)
    assert value(found, "disc_angle", "C3-C4") == pytest.approx(0, abs=DEGREES)
    assert value(found, "segmental_angle", "C3-C4") == pytest.approx(0, abs=DEGREES)
    assert value(found, "listhesis", "C3-C4") == pytest.approx(0, abs=MM)
    assert value(found, "disc_height_index", "C4-C5") == pytest.approx(5 / 12, abs=0.03)


@pytest.mark.parametrize(("front", "back"), [(12.0, 9.0), (9.0, 12.0)])
def test_a_wedge_has_its_heights_where_they_are_measured_and_opens_to_the_side_where_it_is_taller(front, back):
    found = measured([Body((0, 0), front=front, back=back)])
    for key, share in (("anterior_height", 0.175), ("middle_height", 0.5), ("posterior_height", 0.825)):
        assert value(found, key, "C3") == pytest.approx(front + (back - front) * share, abs=MM)
    assert value(found, "wedge_angle", "C3") == pytest.approx(2 * np.degrees(np.arctan((front - back) / 30)), abs=1.5)


@pytest.mark.parametrize("tilt", [-35.0, -10.0, 20.0, 40.0])
def test_a_tilted_body_is_as_large_as_an_upright_one(tilt):
    upper = Body((8 * np.sin(np.deg2rad(tilt)) * -1, 18.0), tilt=tilt)
    found = measured([upper, Body((0, 0), tilt=tilt)], spacing=(0.6, 0.6, 4.0), without=[0])
    for key, size in (("anterior_height", 12), ("posterior_height", 12), ("depth", 15)):
        assert value(found, key, "C4") == pytest.approx(size, abs=MM)


def test_angles_between_bodies_are_those_that_they_were_tilted_by_and_lordosis_is_positive():
    tilts = (20.0, 12.0, 6.0, -2.0, -6.0, -10.0)
    bodies = [Body((0.0, 45 - 18.0 * k), tilt=tilt) for k, tilt in enumerate(tilts)]
    bodies[0] = Body(bodies[0].centre, tilt=20.0, dens=14.0)
    found = measured(bodies, "C2")
    assert value(found, "cobb_c2_c7", "C2-C7") == pytest.approx(30, abs=1.5)
    parts = [value(found, "segmental_angle", name) for name in ("C2-C3", "C3-C4", "C4-C5", "C5-C6", "C6-C7")]
    # Stairs of a border that runs a few degrees off the pixels are millimetres long: half a pixel over 12 mm, twice.
    assert parts == pytest.approx([8, 6, 8, 4, 4], abs=2.5)
    assert sum(parts) == pytest.approx(value(found, "cobb_c2_c7", "C2-C7"), abs=1e-6)
    assert value(found, "disc_angle", "C4-C5") == pytest.approx(8, abs=2.0)


@pytest.mark.parametrize("slip", [-3.0, 0.0, 2.0])
def test_listhesis_is_how_far_the_upper_body_stands_before_the_lower(slip):
    first, second, third = stack(3)
    found = measured([Body((slip, first.centre[1])), second, third])
    assert value(found, "listhesis", "C3-C4") == pytest.approx(slip, abs=MM)
    assert value(found, "listhesis", "C4-C5") == pytest.approx(0, abs=MM)


@pytest.mark.parametrize(("front", "back"), [(0.0, 0.0), (1.0, 3.0), (2.0, -1.5)])
def test_a_bulge_is_what_stands_out_beyond_the_bodies_and_negative_what_stays_behind(front, back):
    found = measured(stack(2), bulges={0: (front, back)})
    assert value(found, "anterior_bulge", "C3-C4") == pytest.approx(front, abs=MM)
    assert value(found, "posterior_bulge", "C3-C4") == pytest.approx(back, abs=MM)


def test_spurs_at_the_rims_neither_deepen_a_body_nor_hide_a_bulge():
    labelling, mask = draw(stack(2), bulges={0: (0.0, 2.0)})
    index = np.moveaxis(np.indices(mask.shape), 0, -1)
    points = index @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    # A spur of 2 x 2 mm behind the lower rim of the upper body, which ends 2.5 mm above the middle.
    spur = (
        (np.abs(points[..., 1] + 8.5) < 1) & (np.abs(points[..., 2] - 3.5) < 1) & (np.abs(points[..., 0]) < HALF_WIDTH)
    )
    labelling.instances_volume[spur & (labelling.instances_volume == 0)] = 1
    found = measuring.measure(labelling, mask)
    assert value(found, "depth", "C3") == pytest.approx(15, abs=MM)
    assert value(found, "posterior_bulge", "C3-C4") == pytest.approx(2, abs=MM)


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SRA", "AIL"])
def test_the_orientation_of_the_file_changes_nothing(orientation):
    labelling, mask = draw(stack(3, front=11.0, back=12.0), bulges={1: (1.0, 2.0)}, shift=(1.3, 0, 0))
    first = measuring.measure(labelling, mask)
    moved = volume.reorient(volume.like(mask, labelling.instances_volume), orientation)
    again = measuring.measure(*measuring_trials.labelling_from(moved.array, labelling.elements, moved.grid))
    assert [row.of for row in again.rows] == [row.of for row in first.rows]
    for one, two in zip(first.rows, again.rows, strict=True):
        assert (one.value is None) == (two.value is None)
        if one.value is not None:
            assert (two.value, two.sigma) == pytest.approx((one.value, one.sigma), rel=1e-6, abs=1e-6)
    for name, corners in first.landmarks.items():
        for corner, place in corners.items():
            assert again.landmarks[name][corner] == pytest.approx(place, abs=1e-6)


def test_slices_that_are_turned_in_their_plane_see_the_same_angles_and_sizes():
    bodies = [Body((0, 18), tilt=10), Body((0, 0)), Body((0, -18), tilt=-6)]
    _, mask = draw(bodies)
    grid = turned(mask.grid, (np.deg2rad(17), 0, 0))
    found = measuring.measure(*draw(bodies, grid=grid))
    assert value(found, "segmental_angle", "C3-C4") == pytest.approx(10, abs=1.5)
    assert value(found, "segmental_angle", "C4-C5") == pytest.approx(6, abs=1.5)
    assert value(found, "depth", "C4") == pytest.approx(15, abs=MM)


@pytest.mark.parametrize("degrees", [-20, 0, 20])
def test_a_neck_that_is_turned_against_the_slices_is_no_deeper_but_its_depth_less_certain(degrees):
    bodies = stack(4)
    _, mask = draw(bodies)
    found = measuring.measure(*draw(bodies, grid=turned(mask.grid, (0, 0, np.deg2rad(degrees)))))
    row, straight = found.get("depth", "C4"), measuring.measure(*draw(bodies)).get("depth", "C4")
    # Its section is 15 / cos 20 = 15.96 mm long.
    assert row.value == pytest.approx(15, abs=0.5)
    assert bool(row.note) == bool(degrees) == (row.sigma > 1.1 * straight.sigma)


def test_corners_lie_where_they_were_drawn_in_the_patient():
    found = measured(stack(3), shift=(1.0, 2.0, -3.0))
    for corner, place in (("upper back", (-7.5, 6)), ("lower front", (7.5, -6))):
        # Across, a width of 18 mm in slices of 4 mm has its middle to within half a slice.
        side, *others = found.landmarks["C4"][corner]
        assert abs(side) <= 2 and others == pytest.approx(place, abs=MM)


@pytest.mark.parametrize("step", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("shift", [0.0, 0.3, 0.7])
def test_the_middle_is_interpolated_between_slices(step, shift):
    """A body whose height grows by .4 mm per mm to the right is 12 mm high in its middle, wherever the slices lie."""
    labelling, mask = draw([Body((0, 0), front=20, back=20)], spacing=(0.5, 0.5, step), shift=(shift * step, 0, 0))
    index = np.moveaxis(np.indices(mask.shape), 0, -1)
    x, _, z = np.moveaxis(index @ mask.affine[:3, :3].T + mask.affine[:3, 3], -1, 0)
    labelling.instances_volume[np.abs(z) > 6 + 0.2 * x] = 0
    row = measuring.measure(labelling, mask).get("middle_height", "C3")
    # The body is heavier on the tall side, by .2 / 6 * 9 ** 2 / 3 = .9 mm, and flat sides are known to half a slice.
    assert row.value == pytest.approx(12 + 0.4 * 0.9, abs=MM + 0.4 * step / 2)


def test_the_volume_is_that_of_the_voxels():
    labelling, mask = draw(stack(2))
    found = measuring.measure(labelling, mask)
    voxels = np.count_nonzero(labelling.instances_volume == 1)
    assert value(found, "body_volume", "C3") == pytest.approx(voxels * mask.grid.voxel_volume)
    assert value(found, "body_volume", "C3") == pytest.approx(12 * 15 * 2 * HALF_WIDTH, rel=0.15)


def test_every_row_is_defined_finite_and_told_or_refused_with_a_reason_and_goes_into_a_file():
    bodies = [Body((0.0, 45 - 17.0 * k), dens=14.0 * (k == 0)) for k in range(6)]
    found = measured(bodies, "C2")
    assert {row.key for row in found.rows} == {one.key for one in measuring.DEFINITIONS}
    assert len({(row.key, row.of) for row in found.rows}) == len(found.rows)
    for row in found.rows:
        if row.value is None:
            assert row.reason and row.sigma is None and row.interval is None
        else:
            low, high = row.interval
            assert not row.reason and np.isfinite([row.value, row.sigma]).all() and low <= row.value <= high
    table = found.table()
    assert json.loads(json.dumps(table, allow_nan=False)) == table
    assert all(one.text and one.source and one.kind in ("body", "disc", "spine") for one in measuring.DEFINITIONS)


def test_the_page_on_measurements_holds_every_definition_as_it_stands():
    root = Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location("measuring_bench", root / "Testing/Benchmarks/measuring_bench.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    page = (root / "Docs" / "measurements.md").read_text(encoding="utf-8")
    assert bench.definitions() in page, "python Testing/Benchmarks/measuring_bench.py --people 0 --write"
