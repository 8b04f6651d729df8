"""The mask alone is the mask of the whole person."""

from __future__ import annotations

import numpy as np
import pytest

from CSpineSegLib import phantom
from CSpineSegLib.phantom import grids

SMALL = phantom.grid_around((72, 88, 13), (2.0, 2.0, 4.0), "PSR")
CASES = [
    (0, SMALL, {}),
    (3, SMALL, {"fused": (("C5", "C6"),)}),
    (5, grids.turned(SMALL, np.deg2rad((9, -7, 12))), {"thickness": 3.2}),
    (8, phantom.grid_around((26, 72, 88), (2.0, 2.0, 2.0), "RAS"), {"beyond": True}),
]


@pytest.mark.parametrize(("seed", "grid", "more"), CASES)
def test_mask_and_levels_alone_are_those_of_the_whole_person(seed, grid, more):
    whole = phantom.trace(seed, grid, **more)
    mask, levels = phantom.truth(seed, grid, **more)
    inside = np.count_nonzero(whole.mask)
    assert inside > 1000 and mask.dtype == levels.dtype == np.uint8
    # One in a thousand: where only a sub-sample between two that agree touches the spine, the whole draws no more.
    assert np.count_nonzero(mask != whole.mask) <= 0.001 * inside
    assert np.count_nonzero(levels != whole.levels) <= 0.001 * inside


def test_a_grid_beside_the_spine_has_an_empty_mask():
    mask, levels = phantom.truth(0, phantom.grid_around((20, 20, 5), (2, 2, 4), centre=(0, 400, 0)))
    assert not mask.any() and not levels.any()
