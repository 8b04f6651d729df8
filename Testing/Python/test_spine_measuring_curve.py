"""The curve of the neck in the sagittal and in the coronal plane, of bodies whose places are known."""

from __future__ import annotations

import numpy as np
import pytest
from measuring_cases import Body, draw

from CSpineSegLib.spine import measuring
from CSpineSegLib.spine.measuring_spine import kind_of


def neck(forward=(0.0,) * 6, tilts=(0.0,) * 6, sides=(0.0,) * 6) -> list[Body]:
    """C2 to C7, each so many mm to the front and to the right and tilted by so many degrees."""
    places = zip(forward, tilts, sides, strict=True)
    return [
        Body((a, 45 - 17.0 * k), tilt=tilt, side=side, dens=14.0 * (k == 0)) for k, (a, tilt, side) in enumerate(places)
    ]


@pytest.mark.parametrize(
    ("distances", "kind"),
    [
        ([1.9, 1.0, 0.0, -1.9], "straight"),
        ([2.1, 3.0, 2.0, 0.5], "lordotic"),
        ([2.1, 3.0, 2.0, -1.9], "lordotic"),
        ([-1.0, -3.0, -2.0, 1.0], "kyphotic"),
        ([3.0, 1.0, -1.0, -3.0], "sigmoid"),
    ],
)
def test_the_type_of_a_curve_follows_its_farthest_bodies(distances, kind):
    assert kind_of(np.array(distances)) == kind


@pytest.mark.parametrize(
    ("forward", "kind", "farthest"),
    [
        ((0, 3, 5, 5, 3, 0), "lordotic", 5),
        ((0, -3, -5, -5, -3, 0), "kyphotic", -5),
        ((0, 1, 0, -1, 0, 0), "straight", None),
        ((0, 4, 3, -3, -4, 0), "sigmoid", None),
    ],
)
def test_the_type_is_found_in_a_mask_with_its_farthest_body(forward, kind, farthest):
    row = measuring.measure(*draw(neck(forward), "C2")).get("lordosis_type", "C2-C7")
    assert row.category == kind and row.note.endswith("probability")
    if farthest is not None:
        # The line's ends lie half a body below C2's centre and above C7's, where these bodies stand on it.
        assert row.value == pytest.approx(farthest, abs=0.4)


def test_a_leaning_neck_has_the_type_of_an_upright_one():
    lean = np.tan(np.deg2rad(15)) * 17 * np.arange(6)
    arc = np.array([0, 3, 5, 5, 3, 0])
    row = measuring.measure(*draw(neck(arc - lean), "C2", size=(100.0, None, 48.0))).get("lordosis_type", "C2-C7")
    assert row.category == "lordotic" and row.value == pytest.approx(5 * np.cos(np.deg2rad(15)), abs=0.8)


def test_a_curve_on_the_verge_of_two_types_says_how_sure_it_is():
    rows = [
        measuring.measure(*draw(neck((0, peak / 2, peak, peak, peak / 2, 0)), "C2")).get("lordosis_type", "C2-C7")
        for peak in (2.1, 6.0)
    ]
    shares = [int(row.note.split("%")[0].split()[-1]) for row in rows]
    assert shares[0] < 85 and shares[1] == 100


@pytest.mark.parametrize(("height", "verdict"), [(0.0, "none"), (14.0, "likely")])
def test_an_arc_to_the_side_is_a_scoliosis_by_its_tangents(height, verdict):
    places = np.linspace(-1, 1, 6)
    sides = height * (1 - places**2)
    row = measuring.measure(*draw(neck(sides=sides), "C2", size=(60.0, None, 70.0))).get("coronal_angle", "C2 to C7")
    # Tangents at the ends of a parabola of that height over a length of 85 mm; centres in slices of 4 mm are known to
    # half a millimetre, a degree or two of tangent.
    expected = 2 * np.degrees(np.arctan(2 * height / 42.5))
    assert row.value == pytest.approx(expected, abs=3 * row.sigma + 1)
    assert row.category == verdict


def test_a_straight_neck_that_leans_to_the_side_is_no_scoliosis():
    sides = np.linspace(-10, 10, 6)
    row = measuring.measure(*draw(neck(sides=sides), "C2", size=(60.0, None, 70.0))).get("coronal_angle", "C2 to C7")
    assert row.value < 6 and row.category != "likely"
