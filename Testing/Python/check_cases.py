"""A neck in boxes, as bodies and discs are marked in a sound mask."""

from __future__ import annotations

import numpy as np

from CSpineSegLib import volume
from CSpineSegLib.anatomy import BODY, DISC

# Voxels of 1 x 1 mm in slices of 4 mm; axis 0 to the right, rows downwards, columns backwards.
RIP = np.array([[4.0, 0, 0, -18], [0, 0, -1, 30], [0, -1, 0, 55], [0, 0, 0, 1]])
SHAPE = (9, 120, 60)
SLICES, DEPTH = slice(2, 7), slice(20, 36)
BODIES = 5
ORIENTATIONS = ["RIP", "PSR", "LPS", "RAS", "SAL"]


def top_of(number):
    """First row of a body, counted from 0: bodies of 14 mm, discs of 5 mm, from row 8."""
    return 8 + 19 * number


def neck():
    """Five bodies with their discs."""
    labels = np.zeros(SHAPE, np.uint8)
    for number in range(BODIES):
        labels[SLICES, top_of(number) : top_of(number) + 14, DEPTH] = BODY
        labels[SLICES, top_of(number) + 14 : top_of(number) + 19, DEPTH] = DISC
    labels[:, top_of(BODIES) - 5 :] = 0
    return labels


def mask_of(labels, codes="RIP"):
    return volume.reorient(volume.from_array(labels, RIP), codes)


def large_neck():
    """A neck as it fills an image of 512 x 512 x 15 voxels of 0.5 x 0.5 x 4 mm."""
    small = neck()[:, 8:101, 20:36]
    labels = np.zeros((15, 512, 512), np.uint8)
    labels[3:12, 140:326, 240:272] = small.repeat(2, axis=1).repeat(2, axis=2)
    return volume.reorient(volume.from_array(labels, RIP @ np.diag([1, 0.5, 0.5, 1])), "PSR")
