"""Which voxel belongs to which body or disc, and what is set aside."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..anatomy import BODY, DISC
from ..volume import Volume
from .frame import Frame
from .fusion import Reading, Step
from .labelling import Instance
from .sheets import ASIDE, BEFORE, LEAST, Sheet, connected
from .stretches import settled, stacked

# A part smaller than this share of its body, and further than so many mm from it, is a speck.
_SMALL, _FAR = 0.15, 3.0
# Of more parts than this of one label that belong to nothing, the smallest count as one: such a mask is noise.
MOST_SPECKS = 1000
# mm beyond its own thickness that a bit of disc label may lie from a disc that it is counted with.
_BESIDE = 2.0


def split(frame: Frame, reading: Reading, sheets: list[Sheet]) -> tuple[dict[Step, list[np.ndarray]], np.ndarray]:
    """The voxels of every body and disc.

    Returns
    -------
    bodies : for each step, its bodies from head to foot, each as positions in the frame; none where the mask has none.
    owner : (N,) for every voxel of the frame -1, or the candidate disc that it belongs to.
    """
    used = [sheets[step.lower] for step in reading.steps[:-1]]
    members = np.flatnonzero(frame.labels == BODY)
    side = np.zeros(len(frame.labels), np.int64)
    for sheet in used:
        side[members] += frame.along[members] > sheet.along(frame.right[members], frame.behind[members])
    near = (np.abs(frame.right) <= ASIDE) & (np.abs(frame.behind) <= BEFORE)
    members = np.concatenate(
        [part for part in connected(frame, members) if _counts(frame, part, near)] or [members[:0]]
    )
    own = settled(frame, members, side[members])
    groups = [connected(frame, members[own == k]) for k in range(len(reading.steps))]
    bodies = {}
    for step, parts in zip(reading.steps, groups, strict=True):
        bodies[step] = _bodies(frame, step, _kept(frame, parts)) if step.spans else []
    return bodies, _discs(frame, reading, sheets)


def _counts(frame: Frame, part: np.ndarray, near: np.ndarray) -> bool:
    """Whether a part of the bodies' label may belong to a vertebra: it reaches the spine, and is no crumb."""
    return len(part) * frame.voxel >= LEAST and bool(near[part].any())


def _kept(frame: Frame, parts: list[np.ndarray]) -> list[np.ndarray]:
    """The parts of a stretch without specks: small ones that lie apart from the larger."""
    kept: list[np.ndarray] = []
    for part in sorted(parts, key=len, reverse=True):
        if kept and len(part) < _SMALL * len(kept[0]):
            main = frame.points[np.concatenate(kept)]
            low, high = main.min(axis=0) - _FAR, main.max(axis=0) + _FAR
            if not ((frame.points[part] >= low) & (frame.points[part] <= high)).all(axis=1).any():
                continue
        kept.append(part)
    return kept


def _bodies(frame: Frame, step: Step, parts: list[np.ndarray]) -> list[np.ndarray]:
    """The bodies of a stretch: one, or several one below the other where a disc was not labelled."""
    if step.spans < 2 or len(parts) < 2:
        return [np.concatenate(parts)] if parts else []
    bodies = stacked(frame, parts)
    # As many as there are vertebrae; what is more goes with the larger one above it.
    large = sorted(sorted(range(len(bodies)), key=lambda k: len(bodies[k]), reverse=True)[: step.spans])
    starts = [0, *large[1:], len(bodies)]
    return [np.concatenate(bodies[a:b]) for a, b in pairwise(starts)]


def _discs(frame: Frame, reading: Reading, sheets: list[Sheet]) -> np.ndarray:
    """(N,) the candidate that a voxel of the disc label belongs to, or -1."""
    owner = np.full(len(frame.labels), -1)
    used = [step.lower for step in reading.steps[:-1] if sheets[step.lower].labelled]
    for k in used:
        owner[sheets[k].members] = k
    taken = np.zeros(len(owner), bool)
    for sheet in sheets:
        taken[sheet.members] = True
    # Crumbs beside a disc belong to it.
    for part in connected(frame, np.flatnonzero((frame.labels == DISC) & ~taken)):
        for k in used:
            off = np.median(frame.along[part] - sheets[k].along(frame.right[part], frame.behind[part]))
            main = frame.points[sheets[k].members]
            low, high = main.min(axis=0) - _FAR, main.max(axis=0) + _FAR
            inside = ((frame.points[part] >= low) & (frame.points[part] <= high)).all(axis=1).any()
            if abs(off) <= sheets[k].thickness / 2 + _BESIDE and inside:
                owner[part] = k
                break
    return owner


def describe(mask: Volume, frame: Frame, members: np.ndarray, label: int, number: int) -> Instance:
    """The instance of some voxels of the frame, which get this label and number."""
    index = frame.index[members]
    corners = np.array(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij")).reshape(3, -1).T @ mask.affine[:3, :3].T
    points = frame.points[members]
    slices = index[:, mask.sagittal_axis]
    return Instance(
        number=number,
        label=label,
        voxels=len(members),
        volume_mm3=float(len(members) * mask.grid.voxel_volume),
        centroid_mm=points.mean(axis=0),
        box_mm=np.stack([points.min(axis=0) + corners.min(axis=0), points.max(axis=0) + corners.max(axis=0)]),
        slices=(int(slices.min()), int(slices.max())),
        touches_border=bool(((index == 0) | (index == np.array(mask.shape) - 1)).any()),
    )


def specks(mask: Volume, frame: Frame, numbers: np.ndarray) -> tuple[Instance, ...]:
    """The connected parts that belong to nothing; `numbers` (N,) receives theirs, which follow those in use."""
    found = []
    for label in (BODY, DISC):
        parts = connected(frame, np.flatnonzero((numbers == 0) & (frame.labels == label)))
        if len(parts) > MOST_SPECKS:
            parts.sort(key=len, reverse=True)
            parts[MOST_SPECKS - 1 :] = [np.sort(np.concatenate(parts[MOST_SPECKS - 1 :]))]
        first = int(numbers.max(initial=0)) + 1
        for number, part in enumerate(parts, first):
            numbers[part] = number
            found.append(describe(mask, frame, part, label, number))
    return tuple(found)


def whole(mask: Volume, frame: Frame, numbers: np.ndarray) -> np.ndarray:
    """(I, J, K) uint16 from the numbers (N,) of the frame's voxels."""
    volume = np.zeros(mask.shape, np.uint16)
    volume[tuple(frame.index.T)] = numbers
    return volume


def nearest(frame: Frame, numbers: np.ndarray, point: np.ndarray) -> tuple[int, float]:
    """The number of the instance nearest to a point (3,) RAS mm, and how far its nearest voxel's centre is, mm."""
    away = np.linalg.norm(frame.points - point, axis=1)
    away[numbers == 0] = np.inf
    k = int(away.argmin())
    return int(numbers[k]), float(away[k])
