"""The voxels of a mask, laid out along the spine: how far down, how far to the right, how far behind its line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..volume import Volume
from ..volume.grid import apply
from . import curve

# RAS mm to the axes of `curve`: to the right, down, to the back.
_TURN = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]])


@dataclass(frozen=True, eq=False)
class Frame:
    """A mask's voxels along its spine.

    Parameters
    ----------
    index : (N, 3) of each labelled voxel.
    labels : (N,) 1 or 2.
    points : (N, 3) RAS mm.
    along, right, behind : (N,) mm from the upper end of the line, to the right of it, behind it.
    line : the line, in the axes of `curve`; None if there is too little for one, and then all places are 0.
    voxel : volume of a voxel, mm3.
    row : mm, the voxel's side that runs most nearly along the spine.
    slices : mm from one sagittal slice to the next.
    cut : (N,) bool, in the first or last row of the volume, where the field of view ends above or below.
    """

    index: np.ndarray
    labels: np.ndarray
    points: np.ndarray
    along: np.ndarray
    right: np.ndarray
    behind: np.ndarray
    line: curve.Curve | None
    voxel: float
    row: float
    slices: float
    cut: np.ndarray

    def line_points(self) -> np.ndarray:
        """(M, 3) points of the line, RAS mm, from head to foot, a few mm apart."""
        line = self.line
        if line is None:
            return np.zeros((0, 3))
        return np.stack([line.side, line.height, line.depth], axis=1) @ _TURN.T

    def place(self, points: np.ndarray) -> np.ndarray:
        """(M, 3) along, right, behind of points (M, 3) RAS mm."""
        return self.line.place(np.asarray(points, np.float64) @ _TURN.T)


def build(mask: Volume) -> Frame:
    """The frame of a mask of 0, 1 and 2."""
    index = np.argwhere(mask.array)
    points = apply(mask.affine, index.astype(np.float64))
    line = curve.through(points @ _TURN.T)
    along, right, behind = (line.place(points @ _TURN.T) if line else np.zeros((len(index), 3))).T
    steps = mask.affine[:3, :3]
    upright = int(np.argmax(np.abs(steps[2]) / mask.spacing))
    row = float(mask.spacing[upright])
    cut = np.isin(index[:, upright], (0, mask.shape[upright] - 1))
    labels = mask.array[tuple(index.T)].astype(np.uint8)
    volume, slices = mask.grid.voxel_volume, float(mask.spacing[mask.sagittal_axis])
    return Frame(index, labels, points, along, right, behind, line, volume, row, slices, cut)
