"""Discs as sheets across the spine: which parts of the disc label make one disc, and where each one cuts the line."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ..anatomy import DISC
from .frame import Frame
from .morphology import gaussian

# mm from the line: what lies further out is no part of a disc, in a large man either, with what it bulges.
ASIDE, BEFORE = 26.0, 22.0
# mm from the line within which a sheet's place is measured, and beyond which it goes on level.
_FLAT = 12.0
# mm. Parts of the disc label closer than this along the spine, and their own thickness, are parts of one disc: no
# vertebra is as low. A part thicker than `_TALL` is two discs that touch, or a bridge between them.
_SAME, _TALL = 3.5, 13.0
# How strongly a sheet is held level: mm2 of residual against slopes; a disc of three slices shows no slope sideways.
STIFF = 0.02
# mm3 of the smallest part that counts as a disc, or as a part of a body, at all.
LEAST = 12.0


@dataclass(frozen=True, eq=False)
class Sheet:
    """A disc, or what may be one; without voxels, a gap where a disc must have been (see `gaps`).

    Parameters
    ----------
    members : positions (M,) of its voxels in the frame.
    place : mm along the line where it crosses it.
    slopes : (2,) mm along the line per mm to the right and to the back.
    thickness : mm along the line.
    volume : mm3.
    cut : it reaches the end of the field of view, above or below.
    parts : connected parts it was put together from.
    gap : mm along the line without any label, if it has no voxels.
    """

    members: np.ndarray
    place: float
    slopes: np.ndarray
    thickness: float
    volume: float
    cut: bool
    parts: int = 1
    gap: float = 0.0

    @property
    def labelled(self) -> bool:
        """The mask holds voxels of it."""
        return len(self.members) > 0

    def along(self, right: np.ndarray, behind: np.ndarray) -> np.ndarray:
        """(M,) mm along the line of the sheet's middle, at points beside the line."""
        return self.place + near(right, behind) @ self.slopes


def near(right: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """(M, 2) places beside the line, mm, no further out than a sheet is inclined."""
    return np.clip(np.stack([right, behind], axis=1), -_FLAT, _FLAT)


def find(frame: Frame) -> list[Sheet]:
    """All that may be discs, from head to foot; specks of the disc label far from the line are not among them."""
    close = (np.abs(frame.right) <= ASIDE) & (np.abs(frame.behind) <= BEFORE)
    discs = np.flatnonzero((frame.labels == DISC) & close)
    parts = [part for whole in connected(frame, discs) for part in _apart(frame, whole)]
    parts = [part for part in parts if len(part) * frame.voxel >= LEAST]
    sheets: list[Sheet] = []
    for part in sorted(parts, key=len, reverse=True):
        sheet = _fitted(frame, part)
        near_ones = [k for k, other in enumerate(sheets) if _one(frame, other, part)]
        if near_ones:
            k = min(near_ones, key=lambda k: abs(sheets[k].place - sheet.place))
            whole = np.concatenate([sheets[k].members, part])
            sheets[k] = _fitted(frame, whole, sheets[k].parts + 1)
        else:
            sheets.append(sheet)
    return sorted(sheets, key=lambda sheet: sheet.place)


def connected(frame: Frame, members: np.ndarray) -> list[np.ndarray]:
    """Connected parts (by faces) of some voxels of the frame, each as positions in the frame."""
    from scipy.ndimage import label

    if not len(members):
        return []
    # One row an axis: the lowest and highest of long rows are found faster than those of short ones.
    index = np.ascontiguousarray(frame.index[members].T)
    low = index.min(axis=1, keepdims=True)
    block = np.zeros((index.max(axis=1, keepdims=True) - low + 1).ravel(), bool)
    places = tuple(index - low)
    block[places] = True
    found = label(block)[0][places]
    order = np.argsort(found, kind="stable")
    return np.split(members[order], np.flatnonzero(np.diff(found[order])) + 1)


def _fitted(frame: Frame, members: np.ndarray, parts: int = 1) -> Sheet:
    """The sheet through voxels: a plane near the line, held level where little of it is seen."""
    beside = near(frame.right[members], frame.behind[members])
    along = frame.along[members]
    inner = (np.abs(frame.right[members]) <= _FLAT) & (np.abs(frame.behind[members]) <= _FLAT)
    if np.count_nonzero(inner) < 5:
        inner = np.ones(len(members), bool)
    design = np.column_stack([np.ones(len(beside)), beside])[inner]
    held = len(design) * np.diag([0.0, STIFF * 100, STIFF * 100])
    flat = design.T @ design + held + 1e-9 * np.eye(3)
    place, *slopes = np.linalg.solve(flat, design.T @ along[inner])
    slopes = np.clip(slopes, -0.7, 0.7)
    rest = along - place - beside @ slopes
    thickness = float(np.subtract(*np.quantile(rest, (0.95, 0.05)))) + frame.row
    place += float(np.median(rest[inner]))
    volume, cut = len(members) * frame.voxel, bool(frame.cut[members].any())
    return Sheet(members, float(place), slopes, thickness, volume, cut, parts)


def _one(frame: Frame, sheet: Sheet, part: np.ndarray) -> bool:
    """Whether a part lies in the sheet of a larger one."""
    off = frame.along[part] - sheet.along(frame.right[part], frame.behind[part])
    return bool(abs(np.median(off)) <= _SAME + sheet.thickness / 4)


def _apart(frame: Frame, part: np.ndarray) -> list[np.ndarray]:
    """The discs of a connected part: more than one where they touch at a rim or a bridge was drawn between them."""
    sheet = _fitted(frame, part)
    if sheet.thickness < _TALL:
        return [part]
    along = frame.along[part] - near(frame.right[part], frame.behind[part]) @ sheet.slopes
    low = along.min()
    filled = gaussian(np.bincount(((along - low) / 1.0).astype(int)).astype(float), (1.5,), "constant")
    peaks = [k for k in range(1, len(filled) - 1) if filled[k - 1] < filled[k] >= filled[k + 1]]
    peaks = [k for k in peaks if filled[k] >= 0.25 * filled.max()]
    kept: list[int] = []
    for k in sorted(peaks, key=lambda k: -filled[k]):
        valleys = [filled[min(k, other) : max(k, other)].min() for other in kept]
        deep = all(v < 0.5 * min(filled[k], filled[o]) for v, o in zip(valleys, kept, strict=True))
        if deep and all(abs(k - other) >= 7 for other in kept):
            kept.append(k)
    if len(kept) < 2:
        return [part]
    kept.sort()
    cuts = [low + a + filled[a:b].argmin() + 0.5 for a, b in pairwise(kept)]
    group = np.searchsorted(cuts, along)
    return [part[group == k] for k in range(len(kept))]
