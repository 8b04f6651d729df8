"""How large vertebrae and discs are: the expectations that a sequence is scored against.

Means of adults, mm, after Panjabi 1991 (C2 to T12), Busscher 2010 (discs) and Zhou 2000 (lumbar), rounded and smoothed
along the spine. Only ratios matter: the size of the person and the shape of the bodies are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

NAMES = (*(f"C{k}" for k in range(2, 8)), *(f"T{k}" for k in range(1, 13)), *(f"L{k}" for k in range(1, 6)))
COUNT = len(NAMES)
# The last vertebra that a level labelmap has a value for.
LAST_NAMED = NAMES.index("T12")

# Of C2 what lies below the dens.
HEIGHT = np.array(
    [
        *(16.5, 13.5, 13.0, 12.8, 13.0, 14.3),
        *(15.8, 17.0, 17.5, 18.0, 18.5, 19.0, 19.5, 20.0, 20.7, 21.6, 22.6, 24.0),
        *(25.5, 26.5, 27.0, 27.0, 27.0),
    ]
)
DEPTH = np.array(
    [
        *(15.0, 15.4, 15.6, 16.0, 16.6, 16.8),
        *(17.2, 18.2, 19.6, 21.0, 22.4, 23.8, 25.0, 26.5, 28.0, 29.0, 30.0, 30.5),
        *(31.5, 32.5, 33.5, 34.5, 34.5),
    ]
)
# Of the disc below each.
DISC = np.array(
    [
        *(5.0, 5.1, 5.1, 5.0, 5.0, 5.0),
        *(4.5, 4.3, 4.3, 4.4, 4.6, 4.8, 5.0, 5.3, 5.6, 6.0, 6.8, 7.8),
        *(9.0, 10.0, 11.0, 11.0, 10.5),
    ]
)
# What is left of a disc's height in a block, congenital (under half of it) or after surgery (a graft as high as it).
LEFT_OF_DISC = 0.6


@cache
def stretch(spans: int, above: bool, below: bool) -> np.ndarray:
    """(COUNT,) mm of `spans` vertebrae from each level on, with half of the discs above and below where they count."""
    found = np.full(COUNT, np.nan)
    for first in range(COUNT - spans + 1):
        found[first] = height_of(range(first, first + spans), above, below)
    # Beyond the lowest level nothing is known better.
    known = found[~np.isnan(found)]
    found[np.isnan(found)] = known[-1] if len(known) else HEIGHT.sum()
    found.flags.writeable = False
    return found


def height_of(levels: Sequence[int], above: bool, below: bool) -> float:
    """mm of vertebrae of some levels one below the other, with half of the discs above and below where they count."""
    first, last = levels[0], levels[-1]
    total = HEIGHT[list(levels)].sum() + LEFT_OF_DISC * DISC[list(levels[:-1])].sum()
    return float(total + DISC[max(first - 1, 0)] / 2 * above + DISC[last] / 2 * below)
