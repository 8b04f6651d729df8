"""How values are written for people."""

from __future__ import annotations

import pytest

from CSpineSegLib.cli.output import rounded


@pytest.mark.parametrize(
    ("value", "spread", "written"),
    [
        (3612.34, 364.2, ("3600", "400")),
        (3612.34, 353.9, ("3610", "350")),
        (3612.34, 354.6, ("3600", "400")),
        (14.0261, 0.5812, ("14.0", "0.6")),
        (14.0261, 0.2812, ("14.03", "0.28")),
        (-11.96, 4.71, ("-12", "5")),
        (0.3912, 0.0471, ("0.39", "0.05")),
        # Nine and a half of a place are ten of it, with the same last place as eleven would have.
        (5.0, 0.0949, ("5.00", "0.09")),
        (5.0, 0.0951, ("5.00", "0.10")),
        (5.0, 9.7, ("5", "10")),
        # A value far below its uncertainty is nothing, and not minus nothing.
        (-0.03, 0.41, ("0.0", "0.4")),
        (123456.0, 98765.0, ("120000", "100000")),
        (12.34567, 0.0, ("12.35", "0.00")),
        (0.0, 0.0, ("0.000", "0.000")),
        # An uncertainty has no sign.
        (7.2, -1.23, ("7.2", "1.2")),
    ],
)
def test_a_value_and_its_uncertainty_end_at_the_same_place_and_have_no_powers_of_ten(value, spread, written):
    assert rounded(value, spread) == written
