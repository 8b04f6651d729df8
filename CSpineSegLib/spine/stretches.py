"""What lies between discs: how tall, how deep and how filled each stretch of the spine is, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..anatomy import BODY
from ..volume import Volume
from .frame import Frame
from .morphology import distinct
from .sheets import ASIDE, BEFORE, LEAST, Sheet, connected

# mm from the line: the core of a body, in which its height and filling are measured.
CORE_SIDE, CORE_DEPTH = 7.0, 6.0
# A connected part of bodies is cut at a disc if so much of it lies on either side, mm3 and share.
_CUT_VOLUME, _CUT_SHARE = 120.0, 0.06
# Parts smaller than this share of a stretch's largest do not tell where it ends: a tip of the dens, a speck.
_PART = 0.2
# Parts of one stretch that lie one below the other are bodies of their own if so large a share of the largest.
BODY_SHARE = 0.3
# mm from a disc's middle within which the next body begins.
_NEXT = 8.0


@dataclass(frozen=True, eq=False)
class End:
    """The first or last stretch of the mask, beyond a disc or, without any disc, all of it.

    Parameters
    ----------
    height : mm from the disc's middle to the edges of the end plate, in front and at the back; of C2 without the dens.
    peak : mm by which the middle stands out over the edges: the dens, or below zero the hollow of an end plate.
    taper : share of the end plate that lies well below its middle: most of it around a dens, the rims of others.
    half : mm, half of the depth of the vertebra at the end.
    room : mm from the end to the border of the volume, along the axis nearest to the spine; 0 if it touches.
    volume : mm3 of bodies, without what lies far from the disc.
    """

    height: float
    peak: float
    taper: float
    half: float
    room: float
    volume: float


@dataclass(frozen=True, eq=False)
class Stretches:
    """Bodies between the sheets of a mask.

    Parameters
    ----------
    bodies : positions (M,) of the body voxels about the line, in the frame.
    cell : (M,) number of sheets above each.
    volume : (K + 1,) mm3 of bodies between neighbouring sheets, in the core.
    depth : (K + 1,) mm from front to back of what lies there, or NaN.
    """

    bodies: np.ndarray
    cell: np.ndarray
    volume: np.ndarray
    depth: np.ndarray


def near_line(frame: Frame) -> np.ndarray:
    """Positions of the body voxels about the line, without crumbs that no body is made of."""
    near = (np.abs(frame.right) <= ASIDE) & (np.abs(frame.behind) <= BEFORE) & (frame.labels == BODY)
    parts = connected(frame, np.flatnonzero(near))
    return np.sort(np.concatenate([np.zeros(0, np.int64), *(p for p in parts if len(p) * frame.voxel >= LEAST)]))


def measure(frame: Frame, sheets: list[Sheet]) -> Stretches:
    """Fill and depth of every stretch."""
    bodies = near_line(frame)
    right, behind, along = frame.right[bodies], frame.behind[bodies], frame.along[bodies]
    cell = np.zeros(len(bodies), np.int64)
    for sheet in sheets:
        cell += along > sheet.along(right, behind)
    cell = settled(frame, bodies, cell)
    count = len(sheets) + 1
    side = max(CORE_SIDE, 1.01 * frame.slices)
    inner = np.abs(right) <= side
    core = inner & (np.abs(behind) <= CORE_DEPTH)
    volume = np.bincount(cell[core], minlength=count) * frame.voxel
    depth = np.full(count, np.nan)
    for k in range(count):
        of = inner & (cell == k)
        if np.count_nonzero(of) >= 20:
            low, high = np.quantile(along[of], (0.25, 0.75))
            middle = of & (along >= low) & (along <= high)
            depth[k] = np.ptp(np.quantile(behind[middle], (0.04, 0.96))) / 0.92
    return Stretches(bodies, cell, volume, depth)


def settled(frame: Frame, members: np.ndarray, side: np.ndarray) -> np.ndarray:
    """(M,) on which side of the discs body voxels lie, where rims that hang over a disc go with their body.

    A connected part is cut at a disc only if much of it lies on either side.
    """
    result, position = side.copy(), np.full(len(frame.labels), -1)
    position[members] = np.arange(len(members))
    for part in connected(frame, members):
        own = side[position[part]]
        counts = np.bincount(own)
        large = np.flatnonzero((counts * frame.voxel >= _CUT_VOLUME) & (counts >= _CUT_SHARE * len(part)))
        kept = large if len(large) else np.array([counts.argmax()])
        result[position[part]] = kept[np.abs(own[:, None] - kept).argmin(axis=1)]
    return result


def stacked(frame: Frame, parts: list[np.ndarray]) -> list[np.ndarray]:
    """Parts of a stretch put together to bodies that lie one below the other, from head to foot; halves side by side
    and crumbs go with the body that they follow."""
    largest = max((len(part) for part in parts), default=0)
    bodies: list[np.ndarray] = []
    for part in sorted(parts, key=lambda part: np.median(frame.along[part])):
        if bodies and not _below(frame, bodies[-1], part, largest):
            bodies[-1] = np.concatenate([bodies[-1], part])
        else:
            bodies.append(part)
    return bodies


def _below(frame: Frame, upper: np.ndarray, lower: np.ndarray, largest: int) -> bool:
    """Whether two parts are vertebrae one below the other, not halves side by side or crumbs."""
    if min(len(upper), len(lower)) < BODY_SHARE * largest:
        return False
    end, start = np.quantile(frame.along[upper], 0.9), np.quantile(frame.along[lower], 0.1)
    return bool(start >= end - 2.0)


def end(frame: Frame, mask: Volume, members: np.ndarray, sheet: Sheet | None, upper: bool) -> End | None:
    """How the spine ends above or below a sheet; `members` are the positions of the body voxels there."""
    if not len(members):
        return None
    parts = connected(frame, members)
    volume = frame.voxel * sum(_beyond(frame, sheet, part) for part in parts)
    largest = max(len(part) for part in parts)
    members = np.concatenate([part for part in parts if len(part) >= _PART * largest])
    right, behind, along = frame.right[members], frame.behind[members], frame.along[members]
    sign = 1.0 if upper else -1.0
    if sheet is None:
        out = sign * -along
        out = out - np.quantile(out, 0.02)
    else:
        out = sign * (sheet.along(right, behind) - along)
    reach = float(np.quantile(out, 0.98))
    lower = (out > 0) & (out < 0.5 * reach)
    if np.count_nonzero(lower) < 10:
        lower = np.ones(len(out), bool)
    half = max(np.ptp(np.quantile(behind[lower], (0.04, 0.96))) / 1.84, 3.0)
    # A block leans and bends: the middle is that of the vertebra at its end.
    last = (out > reach - 2.6 * half) & (out < reach - half)
    last = last if np.count_nonzero(last) >= 10 else lower
    beside = np.stack([right - np.median(right[last]), behind - np.median(behind[last])], axis=1)
    columns, tops = _columns(beside, out, frame)
    plate = np.abs(columns[:, 1]) <= 0.85 * half
    columns, tops = columns[plate], tops[plate]
    if len(tops) < 8:
        return End(reach + frame.row / 2, 0.0, 0.0, half, _room(frame, mask, members, upper), volume)
    # The end plate's own tilt, against that of the disc at the other end.
    design = np.column_stack([np.ones(len(tops)), columns])
    tilt = np.linalg.lstsq(design, tops, rcond=None)[0][1:]
    tops = tops - columns @ np.clip(tilt, -0.5, 0.5)
    centre = _centre(columns, tops, half, frame.slices)
    shoulders = np.abs(columns[:, 1]) >= 0.6 * half
    edge = float(np.quantile(tops[shoulders], 0.35)) if shoulders.any() else centre
    below = float(np.mean(tops < centre - 0.25 * half))
    room = _room(frame, mask, members, upper)
    return End(min(edge, centre) + frame.row / 2, centre - edge, below, half, room, volume)


def _beyond(frame: Frame, sheet: Sheet | None, part: np.ndarray) -> int:
    """How many voxels of a part make a body beyond a sheet: none if it begins elsewhere, nor what lies in the disc."""
    if sheet is None:
        return len(part)
    off = np.abs(sheet.along(frame.right[part], frame.behind[part]) - frame.along[part])
    if off.min() > _NEXT:
        return 0
    return int(np.count_nonzero(off > sheet.thickness / 2 - frame.row))


def _centre(columns: np.ndarray, tops: np.ndarray, half: float, slices: float) -> float:
    """mm, the median reach of the columns in the middle, where the dens stands, or a little before it; of the slices
    beside it if there are none."""
    for wide in (0.6, 1.2):
        middle = np.abs(columns[:, 0]) <= max(wide * slices, 0.35 * half)
        near = [middle & (np.abs(columns[:, 1] - behind * half) <= 0.35 * half) for behind in (-0.3, 0.1)]
        found = [float(np.median(tops[columns])) for columns in near if columns.any()]
        if found:
            return max(found)
    return float(np.quantile(tops, 0.9))


def _columns(beside: np.ndarray, out: np.ndarray, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Mean place (C, 2) and reach (C,) of columns of voxels along the spine, one slice wide and 1 mm or more deep."""
    deep = max(1.0, frame.row)
    _, which = distinct(np.rint(beside / [frame.slices, deep]).astype(np.int64))
    count = np.bincount(which)
    tops = np.full(len(count), -np.inf)
    np.maximum.at(tops, which, out)
    places = np.stack([np.bincount(which, beside[:, axis]) / count for axis in (0, 1)], axis=1)
    tall = tops > 0.4 * np.quantile(tops, 0.9)
    return places[tall], tops[tall]


def _room(frame: Frame, mask: Volume, members: np.ndarray, upper: bool) -> float:
    """mm from voxels to the border above or below."""
    axis = int(np.argmax(np.abs(mask.affine[2, :3]) / mask.spacing))
    grows = mask.affine[2, axis] > 0
    index = frame.index[members, axis]
    free = mask.shape[axis] - 1 - index.max() if grows == upper else index.min()
    return float(free * mask.spacing[axis])
