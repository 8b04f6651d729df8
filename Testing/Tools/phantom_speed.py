"""Measures how fast phantoms are drawn: `OMP_NUM_THREADS=1 python Testing/Tools/phantom_speed.py`.

A slab is one slice of 224 x 224 pixels of 0.7 mm, 4 mm thick. Figures are slabs a second of processor time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from CSpineSegLib import phantom

SIZE, PIXEL, DISTANCE, SLICES = 224, 0.7, 4.0, 15
PEOPLE, IMAGES = 4, 40


def seconds(function, repeats: int) -> float:
    """Processor time of one call, mean over `repeats`; the function gets the number of the call."""
    start = time.process_time()
    for number in range(repeats):
        function(number)
    return (time.process_time() - start) / repeats


def main() -> None:
    slab, exam = (phantom.grid_around((SIZE, SIZE, n), (PIXEL, PIXEL, DISTANCE), "PSR") for n in (1, SLICES))
    kept, whole = phantom.trace(0, slab), phantom.trace(0, exam)
    lines = [
        ("new person for every slab", 1, seconds(lambda n: phantom.trace(n, slab), PEOPLE)),
        (f"new person for every {SLICES} slices", SLICES, seconds(lambda n: phantom.trace(n, exam), PEOPLE)),
        ("new image of a kept slab", 1, seconds(lambda n: phantom.render(kept, n), IMAGES)),
        (f"new image of {SLICES} kept slices", SLICES, seconds(lambda n: phantom.render(whole, n), IMAGES // 10)),
    ]
    for name, count, taken in lines:
        print(f"{name:34} {count / taken:7.1f} slabs/s")


if __name__ == "__main__":
    main()
