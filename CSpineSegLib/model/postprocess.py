"""What a mask is freed of: specks that lie where no spine is, and small holes. All of it is recorded.

A speck is told by its size and by its distance from the spine, never by being small alone: the tip of the dens, the
last sliver of a vertebra at the edge of the field of view and what is left of a worn disc are small, too. Nothing is
ever moved from one label to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..anatomy import STRUCTURES
from ..spine import curve, morphology
from ..spine.curve import Curve

# mm3. A cervical body has 2500 to 5000, a disc 700 to 1500: components from here on say where the spine is.
LARGE = 300.0
# How far from the tube around the spine, mm, a component of less than so many mm3 is a speck.
SPECKS = ((2.0, 30.0), (5.0, 150.0), (10.0, 500.0), (15.0, 1500.0))
# Whatever lies far from the spine, but is more than this share of it, is left for a person to judge.
_LARGEST_SHARE = 0.2
# mm beyond the last vertebra that a part of the next, or the tip of the dens, may lie.
_BEYOND = 10.0
# mm further out than elsewhere, at the edge of the mask, where most of a vertebra may lie outside the image.
_EDGE = 4.0
# mm. What a vertebra 15 mm further up or down tells about this one's size; and the least half size of any.
_WINDOW, _LEAST, _MARGIN = 15.0, 5.0, 2.0
# mm2. The largest hole of a slice that is filled: the vein at the back of a body, a spot in the nucleus.
HOLE = 20.0
# With slices thicker than this, parts that touch only at a corner across slices are two parts.
_THICK = 2.5


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A mask after cleaning.

    Parameters
    ----------
    labels : (n, rows, columns) uint8, a new array.
    removed, filled : one entry a speck and hole: "structure" ("bodies", "discs", "both"), "mm3", "centroid" (mm: RAS
        if the affine was given, else along the array's axes), for specks also "mm_from_spine" and, if probabilities
        were given, "probability" (mean of the label's own).
    notes : sentences for the record.
    """

    labels: np.ndarray
    removed: list[dict[str, Any]] = field(default_factory=list)
    filled: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def clean(
    labels: np.ndarray,
    spacing: Sequence[float],
    probabilities: np.ndarray | None = None,
    affine: np.ndarray | None = None,
) -> Cleaned:
    """Fill small holes and remove specks. Cleaning a cleaned mask changes nothing.

    Parameters
    ----------
    labels : (n, rows, columns), oriented as :data:`preprocess.ORIENTATION`: 0, 1 bodies, 2 discs.
    spacing : mm along the three axes.
    probabilities : (3, n, rows, columns), for the record only.
    affine : (4, 4) from indices of the array to RAS mm, for the record only.
    """
    labels = np.array(labels, np.uint8)
    spacing = np.asarray(spacing, np.float64)
    place = np.diag([*spacing, 1.0]) if affine is None else np.asarray(affine, np.float64)
    inside = np.nonzero(labels)
    if not len(inside[0]):
        return Cleaned(labels, notes=["The mask is empty."])
    box = tuple(slice(int(line.min()), int(line.max()) + 1) for line in inside)
    low = np.array([part.start for part in box])
    filled = [_entry(*hole, low, spacing, place) for hole in _fill(labels[box], spacing)]
    removed, notes = [], []
    parts, count = components(labels[box] > 0, spacing)
    if count > 1:
        for index, distance in _specks(parts, count, spacing, notes):
            values = labels[box][tuple(index.T)]
            entry = _entry(index, values, low, spacing, place)
            entry["mm_from_spine"] = round(distance, 1)
            if probabilities is not None:
                own = probabilities[(values, *(index + low).T)]
                entry["probability"] = round(float(own.mean(dtype=np.float64)), 3)
            removed.append(entry)
            labels[tuple((index + low).T)] = 0
    told = (filled, "hole", "", "filled"), (removed, "speck", " outside the spine", "removed")
    for entries, noun, rest, verb in told:
        if entries:
            total, many = sum(entry["mm3"] for entry in entries), len(entries) > 1
            subject = f"{len(entries)} {noun}{'s' if many else ''}{rest} ({total:.0f} mm3)"
            notes.append(f"{subject} {'were' if many else 'was'} {verb}.")
    return Cleaned(labels, removed, filled, notes)


def components(mask: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, int]:
    """Connected parts of a mask (n, rows, columns), int32, and their number: 0 outside, 1, 2, ... in the parts.

    Parts touch by faces, edges or corners; across thick slices, only where one lies on the other.
    """
    neighbours = np.ones((3, 3, 3), bool)
    if spacing[0] > _THICK:
        neighbours[[0, 2]] = False
        neighbours[[0, 2], 1, 1] = True
    return morphology.label(mask, neighbours)


def _specks(parts: np.ndarray, count: int, spacing: np.ndarray, notes: list[str]):
    """Indices (N, 3) of each speck and its distance from the spine, mm."""
    voxel = float(np.prod(spacing))
    index = np.argwhere(parts)
    owner = parts[tuple(index.T)]
    order = np.argsort(owner, kind="stable")
    index, sizes = index[order], np.bincount(owner, minlength=count + 1)[1:]
    ends = np.cumsum(sizes)
    pieces = [index[stop - size : stop] for stop, size in zip(ends, sizes, strict=True)]
    large = [piece for piece in pieces if len(piece) * voxel >= LARGE]
    line = curve.through(curve.positions(np.concatenate(large), spacing)) if large else None
    if line is None:
        notes.append("No spine was found in the mask, so no specks were looked for.")
        return
    tube = _Tube(line, line.place(curve.positions(np.concatenate(large), spacing)), float(spacing[0]))
    most = _LARGEST_SHARE * tube.voxels * voxel
    for piece in pieces:
        volume = len(piece) * voxel
        if volume >= min(most, SPECKS[-1][1]):
            continue
        distance = float(tube.distance(line.place(curve.positions(piece, spacing))).min())
        if (piece == 0).any() or (piece == np.array(parts.shape) - 1).any():
            distance = max(0.0, distance - _EDGE)
        if any(distance > far and volume < size for far, size in SPECKS):
            yield piece, distance


class _Tube:
    """What the vertebrae fill along the line: how far they reach to each side, to the front and to the back."""

    def __init__(self, line: Curve, places: np.ndarray, slice_spacing: float):
        near = (np.abs(places[:, 1]) < 24.0) & (np.abs(places[:, 2]) < 20.0)
        places = places[near]
        self.voxels = int(np.count_nonzero(near))
        self._along = np.arange(line.start, line.stop + 5.0, 5.0)
        self._ends = line.start, line.stop
        self._slack = np.array([0.5 * slice_spacing, 0.0])
        limits = []
        for at in self._along:
            around = places[np.abs(places[:, 0] - at) <= _WINDOW, 1:]
            if len(around) < 3:
                around = places[:, 1:]
            limits.append([np.quantile(around, share, axis=0) for share in (0.01, 0.99)])
        # (M, 2, 2): at each place the low and high end to the right and behind.
        self._limits = np.array(limits)
        self._limits[:, 0] = np.minimum(self._limits[:, 0], -_LEAST) - _MARGIN - self._slack
        self._limits[:, 1] = np.maximum(self._limits[:, 1], _LEAST) + _MARGIN + self._slack

    def distance(self, places: np.ndarray) -> np.ndarray:
        """(N,) mm from the tube, 0 inside, of places (N, 3) from :meth:`Curve.place`."""
        beyond = places[:, 0] - np.clip(places[:, 0], self._ends[0] - _BEYOND, self._ends[1] + _BEYOND)
        outside = [beyond]
        for axis in (0, 1):
            low, high = (np.interp(places[:, 0], self._along, self._limits[:, end, axis]) for end in (0, 1))
            outside.append(places[:, axis + 1] - np.clip(places[:, axis + 1], low, high))
        return np.linalg.norm(outside, axis=0)


def _fill(labels: np.ndarray, spacing: np.ndarray):
    """Fill small holes of each sagittal slice in place; yields each one's indices (N, 3) and new values (N,).

    A hole takes the labels around it, each pixel that of the nearest.
    """
    area = float(spacing[1] * spacing[2])
    for number, plane in enumerate(labels):
        holes = morphology.fill_holes(plane > 0) & (plane == 0)
        if not holes.any():
            continue
        parts, count = morphology.label(holes)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        small = [part for part in range(1, count + 1) if sizes[part] * area <= HOLE]
        if not small:
            continue
        for part in small:
            rows = np.argwhere(parts == part)
            values = _nearest(plane, rows, spacing[1:])
            plane[tuple(rows.T)] = values
            yield np.column_stack([np.full(len(rows), number), rows]), values


def _nearest(plane: np.ndarray, hole: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """(N,) the label nearest to each pixel (N, 2) of a hole, which the pixels beside it enclose."""
    low = hole.min(axis=0) - 1
    box = plane[low[0] : hole[:, 0].max() + 2, low[1] : hole[:, 1].max() + 2]
    around = np.argwhere(box)
    apart = ((hole - low)[:, None] - around[None]) * spacing
    return box[tuple(around[np.square(apart).sum(axis=2).argmin(axis=1)].T)]


def _entry(
    index: np.ndarray, values: np.ndarray, low: np.ndarray, spacing: np.ndarray, place: np.ndarray
) -> dict[str, Any]:
    kinds = np.unique(values)
    names = {structure.label: structure.key for structure in STRUCTURES}
    centre = place[:3, :3] @ (index.mean(axis=0) + low) + place[:3, 3]
    return {
        "structure": names[int(kinds[0])] if len(kinds) == 1 else "both",
        "mm3": round(len(index) * float(np.prod(spacing)), 1),
        "centroid": [round(float(mm), 1) for mm in centre],
    }
