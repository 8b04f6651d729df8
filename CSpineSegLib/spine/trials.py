"""Compares a labelling with the true levels of a trial, level by level.

A vertebra lies in the element that holds most of its voxels. An element is right if it bears the names of the
vertebrae, or of the disc, that lie in it, no more and no fewer. What the edge of the image cuts at either end of the
spine to less than half of its neighbour's size may be missing or belong to its neighbour, but not bear another's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..anatomy import level_value
from ..errors import InputError
from ..phantom.geometry import names_of
from ..phantom.shape import VERTEBRAE
from .labelling import Element, Labelling
from .trials_cases import GROUPS, KINDS, Trial, make

__all__ = ["GROUPS", "KINDS", "Outcome", "Score", "Trial", "anchor_of", "make", "run", "score"]

RIGHT, RELATIVE, WRONG = "right", "relative", "wrong"
# Share of a neighbour's voxels under which what the edge cuts is left out, and of its own that make a place its own.
_CUT, _MOST = 0.5, 0.5

Labeller = Callable[..., Labelling]


@dataclass(frozen=True)
class Score:
    """How a labelling stands to the truth.

    Parameters
    ----------
    outcome : "right" (named, and all right), "relative" (not named, but all in the right order), else "wrong".
    false_names : it bears names of which at least one is another's.
    blocks : blocks of two or more vertebrae in sight.
    named_blocks : of these, called a block with exactly their levels (relative: spanning as many).
    faults : what is wrong, a phrase each.
    """

    outcome: str
    false_names: bool
    blocks: int
    named_blocks: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of one trial: the score, and that after one click where the levels were relative at first."""

    trial: str
    kind: str
    score: Score
    anchored: Score | None
    reason: str
    confidence: float


def run(trial: Trial, label: Labeller) -> Outcome:
    """Label a trial, and once more with the true place of one body where the levels were only relative."""
    found = label(trial.mask)
    first, anchored = score(found, trial), None
    if not found.absolute:
        anchored = _anchored(trial, label)
    return Outcome(trial.name, trial.kind, first, anchored, found.reason, found.confidence)


def _anchored(trial: Trial, label: Labeller) -> Score:
    try:
        return score(label(trial.mask, anchor=anchor_of(trial)), trial)
    except InputError as error:
        # The true place of a level contradicts the order that was found.
        return Score(WRONG, False, len(_blocks(trial, Truth(trial))), 0, (str(error),))


def anchor_of(trial: Trial) -> tuple[str, tuple[float, float, float]]:
    """A click: the name of a body near the middle, not in a block if another can be had, and its centre, RAS mm."""
    needed = [name for name in Truth(trial).needed if name in VERTEBRAE]
    free = [name for name in needed if not any(name in block for block in trial.blocks)] or needed
    name = min(free, key=lambda one: abs(needed.index(one) - (len(needed) - 1) / 2))
    index = np.argwhere(trial.levels == level_value(name))
    # The voxel of the body next to its centre, which a hole may have taken.
    spaced = (index - index.mean(axis=0)) * trial.mask.spacing
    nearest = index[np.argmin(np.square(spaced).sum(axis=1))]
    place = trial.mask.affine[:3, :3] @ nearest + trial.mask.affine[:3, 3]
    return name, tuple(float(mm) for mm in place)


class Truth:
    """The levels in a trial's mask: names from head to foot, their voxels, and which must be found."""

    def __init__(self, trial: Trial):
        self.names = names_of(trial.levels)
        self.values = [level_value(name) for name in self.names]
        self.voxels = np.bincount(trial.levels.reshape(-1), minlength=256)[self.values]
        faces = [np.take(trial.levels, (0, -1), axis) for axis in range(3)]
        self._at_edge = {int(value) for face in faces for value in np.unique(face)}
        self._blocks = trial.blocks
        self.needed = self._needed()

    def grown(self, names: list[str]) -> bool:
        """Whether these vertebrae belong to one block."""
        return any(set(names) <= set(block) for block in self._blocks)

    def _needed(self) -> list[str]:
        """All but what is cut at the ends."""
        first, last = 0, len(self.names)
        while last - first > 2 and self._is_cut(first, 1):
            first += 1
        while last - first > 2 and self._is_cut(last - 1, -1):
            last -= 1
        return self.names[first:last]

    def _is_cut(self, at: int, step: int) -> bool:
        if self.values[at] not in self._at_edge:
            return False
        disc = "-" in self.names[at]
        others = range(at + step, len(self.names) if step > 0 else -1, step)
        alike = [k for k in others if ("-" in self.names[k]) == disc]
        return bool(alike) and self.voxels[at] < _CUT * self.voxels[alike[0]]


def score(found: Labelling, trial: Trial) -> Score:
    """Compare a labelling of a trial's mask with its truth."""
    truth = Truth(trial)
    shared = _shared(found, trial, truth)
    home = {}
    for column, name in enumerate(truth.names):
        best = int(shared[:, column].argmax()) if len(shared) else 0
        if len(shared) and shared[best, column] >= _MOST * truth.voxels[column]:
            home[name] = best
    faults = [f"{name} not found" for name in truth.needed if name not in home]
    false_names = False
    shifts = set()
    for row, element in enumerate(found.elements):
        within = [name for name in truth.names if home.get(name) == row]
        told = _fault(element, within, truth, shared[row])
        faults += told
        if found.absolute and told:
            main = truth.names[int(shared[row].argmax())] if shared[row].any() else None
            false_names |= bool(set(element.levels) - {main, *within})
        if not found.absolute and within and element.kind != "disc" and within[0] in truth.needed:
            shifts.add(element.ordinal - VERTEBRAE.index(within[0]))
    if len(shifts) > 1:
        faults.append(f"ordinals differ by {max(shifts) - min(shifts)} along the spine")
    blocks = _blocks(trial, truth)
    named = sum(_is_named(found, block, home) for block in blocks)
    outcome = WRONG if faults or not found.elements else RIGHT if found.absolute else RELATIVE
    return Score(outcome, bool(false_names), len(blocks), named, tuple(faults))


def _shared(found: Labelling, trial: Trial, truth: Truth) -> np.ndarray:
    """(elements, true levels) voxels that both hold."""
    inside = np.flatnonzero(trial.levels)
    instances = found.instances_volume.reshape(-1)[inside].astype(np.int64)
    count = int(found.instances_volume.max()) + 1
    table = np.bincount(instances * 256 + trial.levels.reshape(-1)[inside], minlength=count * 256).reshape(count, 256)
    table = table[:, truth.values]
    rows = [table[list(element.instances)].sum(axis=0) for element in found.elements]
    return np.array(rows, np.int64).reshape(len(rows), len(truth.values))


def _fault(element: Element, within: list[str], truth: Truth, shared: np.ndarray) -> list[str]:
    """What is wrong with an element that holds some true levels."""
    told = "-".join(element.levels) or f"{element.kind} {element.ordinal}"
    needed = [name for name in within if name in truth.needed]
    if not within:
        main = truth.names[int(shared.argmax())] if shared.any() else None
        if main is not None and main not in truth.needed and (not element.levels or element.levels == (main,)):
            return []
        return [f"{told} is {f'a part of {main}' if main else 'nothing'}"]
    kinds = {"disc" if "-" in name else "body" for name in needed or within}
    if kinds != {"disc" if element.kind == "disc" else "body"}:
        return [f"{told} is {' and '.join(within)}"]
    if element.levels:
        # What is cut at the ends may share its neighbour's name or not.
        if not set(needed) <= set(element.levels) <= set(within):
            return [f"{told} is {' and '.join(within)}"]
    elif element.kind != "disc" and not max(1, len(needed)) <= element.spans <= len(within):
        return [f"{told} spans {element.spans} and is {' and '.join(within)}"]
    if element.kind == "block" and not truth.grown(within):
        return [f"{told} is no block"]
    return []


def _blocks(trial: Trial, truth: Truth) -> list[tuple[str, ...]]:
    """The vertebrae in sight of each block that has two or more of them."""
    seen = (tuple(name for name in block if name in truth.needed) for block in trial.blocks)
    return [block for block in seen if len(block) > 1]


def _is_named(found: Labelling, block: tuple[str, ...], home: dict[str, int]) -> bool:
    homes = {home.get(name) for name in block}
    if len(homes) != 1 or None in homes:
        return False
    element = found.elements[homes.pop()]
    if element.kind != "block":
        return False
    return set(block) <= set(element.levels) if found.absolute else element.spans >= len(block)
