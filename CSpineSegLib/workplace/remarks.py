"""Remarks on a mask in words: what is unusual about it, and where to look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from .. import volume
from ..anatomy import BODY, DISC, STRUCTURES
from ..model import postprocess
from ..model.preprocess import ORIENTATION
from ..spine import morphology, order
from ..volume import Volume

# mm3. The smallest disc of a neck has about 700, so that a piece of 2 % of it is nothing that anybody drew as a whole;
# in voxels of 0.7 x 0.7 x 4 mm these are seven.
CRUMB = 15.0
# mm3 that pieces as small as that have to have in all, and mm2 that a hole has to have, to be worth a word: less is in
# every mask, by people too, where a border runs between two voxels, and is under a hundredth of any structure.
_WORTH_MM3, _WORTH_MM2 = 10.0, 5.0
# A body, other than the uppermost with the dens on it, that is this much taller than the usual one of its neck is two:
# neighbours differ by a fifth (Panjabi 1991), and two of them with their disc measure 2.3 times as much.
_TALL = 1.7
# A stretch of slices with less than this share of the mask is a stray label; with more, slices between were forgotten.
_STRAY = 0.1
# Of a kind, this many are told one by one.
_MOST = 4
_ONE = {"bodies": "body", "discs": "disc", "both": "body and disc"}
_ORDINALS = ("uppermost", "second", "third")


@dataclass(frozen=True)
class Remark:
    """A sentence for the reviewer, and the place to look at: RAS, mm; None if it has none."""

    sentence: str
    place: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """A mask as remarks look at it.

    Parameters
    ----------
    labels : (n, rows, columns) uint8, the part of it that holds labels, oriented as :data:`preprocess.ORIENTATION`.
    spacing : (3,) mm along its axes.
    affine : (4, 4) from its indices to RAS, mm.
    first : number of its first slice, from the patient's left; slices : how many the image has.
    ascending : True if the image counts its sagittal slices from left to right, as here.
    """

    labels: np.ndarray
    spacing: np.ndarray
    affine: np.ndarray
    first: int
    slices: int
    ascending: bool

    @classmethod
    def of(cls, mask: Volume) -> Seen:
        turned = volume.reorient(mask, ORIENTATION)
        box = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            used = np.flatnonzero(turned.array.any(axis=others))
            box.append(slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 0))
        shift = np.eye(4)
        shift[:3, 3] = [part.start for part in box]
        ascending = mask.orientation[mask.sagittal_axis] == "R"
        labels = np.ascontiguousarray(turned.array[tuple(box)])
        return cls(labels, turned.spacing, turned.affine @ shift, box[0].start, turned.shape[0], ascending)

    @property
    def is_empty(self) -> bool:
        return self.labels.size == 0

    @property
    def voxel(self) -> float:
        """mm3."""
        return float(np.prod(self.spacing))

    @cached_property
    def pieces(self) -> dict[str, list[np.ndarray]]:
        """Indices (N, 3) of each connected part of "bodies", "discs" and the whole "mask"."""
        return {
            **{structure.key: connected(self.labels == structure.label, self.spacing) for structure in STRUCTURES},
            "mask": connected(self.labels > 0, self.spacing),
        }

    def place(self, index: np.ndarray) -> tuple[float, float, float]:
        """RAS, mm, rounded, of the voxel among `index` (N, 3) that is nearest to their middle."""
        middle = index[np.square((index - index.mean(axis=0)) * self.spacing).sum(axis=1).argmin()]
        return self.point(middle)

    def point(self, index: np.ndarray) -> tuple[float, float, float]:
        """RAS, mm, rounded, of an index (3,)."""
        return tuple(round(float(value), 1) for value in (self.affine @ [*index, 1.0])[:3])

    def own(self, number: int) -> int:
        """The image's own number, from 1, of the slice `number` from the patient's left, from 0."""
        return number + 1 if self.ascending else self.slices - number


def connected(mask: np.ndarray, spacing: np.ndarray) -> list[np.ndarray]:
    """Indices (N, 3) of each of :func:`postprocess.components` of a mask (n, rows, columns)."""
    parts, count = postprocess.components(mask, spacing)
    index = np.argwhere(parts)
    owner = parts[tuple(index.T)]
    ordered = index[np.argsort(owner, kind="stable")]
    return np.split(ordered, np.cumsum(np.bincount(owner, minlength=count + 1)[1:])[:-1]) if count else []


def of(seen: Seen, blank: np.ndarray) -> list[Remark]:
    """All remarks, the weightiest first.

    Parameters
    ----------
    blank : (n,) bool, sagittal slices that show nothing, along the image's own axis.
    """
    if seen.is_empty:
        return [Remark("The mask is empty.")]
    missing = [structure.name.lower() for structure in STRUCTURES if not seen.pieces[structure.key]]
    cleaned = postprocess.clean(seen.labels, seen.spacing, affine=seen.affine)
    return [
        *(Remark(f"No {name} are marked.") for name in missing),
        *_far(cleaned.removed),
        *_slices(seen, cleaned.labels, blank),
        *([] if missing else _order(seen)),
        *_holes(seen),
        *_crumbs(seen, cleaned.labels),
        *_border(seen, cleaned.labels),
    ]


def _far(removed: list[dict[str, Any]]) -> Iterator[Remark]:
    """Specks far from the spine: :data:`postprocess.SPECKS` says from which size and distance."""
    removed = sorted(removed, key=lambda entry: -entry["mm3"])
    for entry in removed[:_MOST]:
        size, far = _mm3(entry["mm3"]), entry["mm_from_spine"]
        text = f"A speck of {_ONE[entry['structure']]} ({size}) lies {far:.0f} mm away from the spine."
        yield Remark(text, tuple(entry["centroid"]))
    if rest := removed[_MOST:]:
        total = _mm3(sum(entry["mm3"] for entry in rest))
        more = f"{len(rest)} more specks ({total} in all) lie" if len(rest) > 1 else f"One more speck ({total}) lies"
        yield Remark(f"{more} away from the spine.", tuple(rest[0]["centroid"]))


def _slices(seen: Seen, cleaned: np.ndarray, blank: np.ndarray) -> Iterator[Remark]:
    """Labels on slices apart from the others, slices that were left out, labels where the image shows nothing.

    What was told as a speck already, is not counted again here and at the border.
    """
    counts = np.count_nonzero(cleaned, axis=(1, 2))
    filled = np.flatnonzero(counts)
    stretches = np.split(filled, np.flatnonzero(np.diff(filled) > 1) + 1)
    main = max(stretches, key=lambda stretch: counts[stretch].sum())
    for stretch in stretches:
        count = int(counts[stretch].sum())
        if stretch is not main and count < _STRAY * counts.sum():
            text = f"{_named(seen, stretch)} {_many(count, 'labelled voxel')}, apart from all other labels."
            yield Remark(text, seen.place(_within(cleaned, stretch[0], stretch[-1])))
    kept = [part for part in stretches if part is main or counts[part].sum() >= _STRAY * counts.sum()]
    for one, other in pairwise(kept):
        between = np.arange(one[-1] + 1, other[0])
        where = _within(cleaned, one[-1], one[-1]) + np.array([1, 0, 0])
        text = f"{_named(seen, between)} no label, but there are labels on both sides; it may have been left out."
        yield Remark(text, seen.place(where))
    own = blank if seen.ascending else blank[::-1]
    nothing = [number for number in filled if own[seen.first + number]]
    for number in nothing:
        text = f"{_named(seen, np.array([number]))} {_many(int(counts[number]), 'labelled voxel')}, but the image is"
        yield Remark(f"{text} empty there.", seen.place(_within(cleaned, number, number)))


def _order(seen: Seen) -> Iterator[Remark]:
    """Bodies without a disc between them, discs without a body, bodies as tall as two: along the line of the spine."""
    found = order.along(seen.labels, seen.spacing)
    if found is None:
        return
    ends = np.cumsum([length for _, length in found.runs])
    runs = [
        (label, length, end - length / 2)
        for (label, length), end in zip(found.runs, ends, strict=True)
        if label in (BODY, DISC)
    ]

    def place(along: float) -> tuple[float, float, float]:
        return seen.point(found.line.at(found.line.start + along - order.BEFORE) / seen.spacing)

    if runs and runs[0][0] == DISC:
        yield Remark("No body is marked above the uppermost disc.", place(runs[0][2]))
    number = {BODY: 0, DISC: 0}
    for index, (label, _, middle) in enumerate(runs):
        if index and runs[index - 1][0] == label:
            halfway = (runs[index - 1][2] + middle) / 2
            pair = f"between the {_ordinal(number[label] - 1)} and the {_ordinal(number[label])}"
            if label == BODY:
                yield Remark(f"No disc is marked {pair} body from the top.", place(halfway))
            else:
                yield Remark(f"No body is marked {pair} disc from the top.", place(halfway))
        number[label] += 1
    bodies = [(length, middle) for label, length, middle in runs if label == BODY]
    if len(bodies) < 3:
        return
    usual = float(np.median([length for length, _ in bodies]))
    for index, (length, middle) in enumerate(bodies[1:], 1):
        if length > _TALL * usual:
            text = (
                f"The {_ordinal(index)} body from the top is {length:.0f} mm tall, where {usual:.0f} mm is usual here; "
                "a disc may be missing, or the vertebrae have grown together."
            )
            yield Remark(text, place(middle))


def _holes(seen: Seen) -> Iterator[Remark]:
    """What a slice's labels enclose wholly."""
    found = []
    for number, plane in enumerate(seen.labels):
        holes = morphology.fill_holes(plane > 0) & (plane == 0)
        if holes.any():
            parts, count = morphology.label(holes)
            for part in range(1, count + 1):
                rows = np.argwhere(parts == part)
                if len(rows) * seen.spacing[1] * seen.spacing[2] >= _WORTH_MM2:
                    found.append(np.column_stack([np.full(len(rows), number), rows]))
    if not found:
        return
    found.sort(key=len, reverse=True)
    numbers = np.unique([part[0, 0] for part in found])
    where = ", ".join(str(own) for own in sorted(seen.own(seen.first + number) for number in numbers))
    size = _mm3(len(found[0]) * seen.voxel)
    text = f"A hole of {size}" if len(found) == 1 else f"{len(found)} holes, the largest of {size}"
    yield Remark(f"{text}, in slice{'s' if len(numbers) > 1 else ''} {where}.", seen.place(found[0]))


def _crumbs(seen: Seen, cleaned: np.ndarray) -> Iterator[Remark]:
    """Small pieces of a structure beside the spine, or within the other structure."""
    for structure in STRUCTURES:
        pieces = seen.pieces[structure.key]
        small = [piece for piece in pieces if len(piece) * seen.voxel < CRUMB and cleaned[tuple(piece[0])]]
        size = sum(map(len, small)) * seen.voxel
        if size >= _WORTH_MM3 and len(small) < len(pieces):
            one, total = _ONE[structure.key], _mm3(size)
            subject = f"A small piece ({total}) is"
            if len(small) > 1:
                subject = f"{len(small)} small pieces ({total} in all) are"
            text = f"{subject} marked as {one}, apart from every other {one}."
            yield Remark(text, seen.place(max(small, key=len)))


def _border(seen: Seen, cleaned: np.ndarray) -> Iterator[Remark]:
    """Labels on the outermost slices: a neck is narrower than the image, so they strayed or the image is cut."""
    last = len(seen.labels) - 1
    for side, layer, number in (("left", 0, 0), ("right", last, seen.slices - 1)):
        if seen.first + layer == number and cleaned[layer].any():
            text = f"The mask reaches the image's outermost slice on the patient's {side} (slice {seen.own(number)})."
            yield Remark(text, seen.place(_within(cleaned, layer, layer)))


def _within(labels: np.ndarray, first: int, last: int) -> np.ndarray:
    """Indices (N, 3) of the labels in slices `first` to `last`."""
    index = np.argwhere(labels[first : last + 1])
    index[:, 0] += first
    return index


def _named(seen: Seen, numbers: np.ndarray) -> str:
    """ "Slice 3 has" or "Slices 3 to 5 have", as the image counts them."""
    own = sorted(seen.own(seen.first + int(number)) for number in (numbers[0], numbers[-1]))
    return f"Slice {own[0]} has" if len(numbers) == 1 else f"Slices {own[0]} to {own[1]} have"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _mm3(size: float) -> str:
    return f"{size:.0f} mm3" if size >= 1 else "under 1 mm3"


def _ordinal(index: int) -> str:
    return _ORDINALS[index] if index < len(_ORDINALS) else f"{index + 1}th"
