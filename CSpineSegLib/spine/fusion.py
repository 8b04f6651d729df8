"""The scored model of a sequence: which discs are real, how many vertebrae each stretch between them holds, and from
which level the mask starts.

A reading of a mask is a path through its discs from head to foot. Every step from one disc to the next says how many
vertebrae lie between; every disc that is not stepped on is called a remnant or an error. Steps are scored by heights
against those of the levels that they would be (`sizes`), at one size of person for the whole path; vertebrae without a
disc between them, discs left out and vertebrae that the mask lacks cost what they are rare. Scores are logarithms of
odds, so that the sum over all paths says how sure one of them is. Paths are counted by dynamic programming over
(disc, vertebrae above it, level of the first vertebra, size of the person).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import sizes
from .sheets import Sheet
from .stretches import End

# The levels that a mask may begin with: C2 to T8.
STARTS = 13
# A stretch holds at most so many vertebrae, and at most so many discs in a row are not real.
MOST, PASSED = 5, 3
# Sizes of a person that are tried, relative to the one expected from depths; its log has this spread.
SCALES = np.exp(np.linspace(-0.5, 0.5, 15))
_SCALE_SPREAD = 0.16
# Spread of the log of a stretch's height about the expected: taller is rarer than lower (worn discs, compression).
_TALLER, _LOWER, _MEASURED = 0.09, 0.16, 0.8
# Costs (log odds) of two vertebrae without a disc between them: blocks and missing labels; of each further one in a
# block; of a vertebra without bone, and of each further one below it.
_JOINED, _JOINED_MORE, _ABSENT, _ABSENT_MORE = 4.0, 1.5, 5.0, 2.0
# Log odds against a neck of six or of eight vertebrae, before heights are seen: one in several hundred people.
_TRANSITIONAL = 6.0
# mm3. Less bone than this beyond the last disc is no part of another vertebra.
_CRUMB = 8.0
# How often a mask begins with C2, before anything is seen of it; and mm from the border within which it may be cut.
_FROM_C2 = 0.7
_CUT = 3.0
# No residual costs more than this: what is odd is odd only so far.
_WORST = 30.0


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is measured of a mask, and all that the model sees of it.

    Parameters
    ----------
    sheets : K candidates of discs, from head to foot, with a label or without.
    volume : (K + 1,) mm3 of bodies in the core between neighbours.
    depth : (K + 1,) mm from front to back, or NaN.
    upper, lower : per number of sheets passed over (0 to :data:`PASSED`), how the spine ends beyond the next.
    """

    sheets: list[Sheet]
    volume: np.ndarray
    depth: np.ndarray
    upper: list[End | None]
    lower: list[End | None]


@dataclass(frozen=True)
class Step:
    """From one disc (its position among the candidates, -1 above all, K below all) to the next, over `spans` vertebrae
    of which the first is the `above`-th of the mask, from 0."""

    upper: int
    lower: int
    above: int
    spans: int


@dataclass(frozen=True, eq=False)
class Reading:
    """The best path and what speaks for and against it.

    Parameters
    ----------
    steps : from head to foot; the first and last may span nothing.
    first : index in `sizes.NAMES` of the first vertebra.
    scale : size of the person against a mean adult's, along the spine.
    firsts : (STARTS,) probability of each first level.
    sure : per step, the probability that so many vertebrae lie above it and in it, whatever their names.
    counted : per step but the last, the probability that so many vertebrae lie above the disc that it ends with, given
        that this is a disc.
    others : (step, spans) -> how much lower (log odds) the best path is that counts that step so.
    necks : 6 and 8 -> log odds of a neck of so many vertebrae, with a transitional one at the chest, against seven;
        only where the mask reaches down to it.
    """

    steps: list[Step]
    first: int
    scale: float
    firsts: np.ndarray
    sure: list[float]
    counted: list[float]
    others: dict[tuple[Step, int], float]
    necks: dict[int, float]


def read(evidence: Evidence) -> Reading:
    """The reading of a mask."""
    lattice = _Lattice(evidence)
    best, total = lattice.passes(np.maximum), lattice.passes(np.logaddexp)
    steps, first, size = lattice.trace(best)
    whole = np.logaddexp.reduce(total.forward[-1].reshape(-1))
    firsts = np.exp(np.logaddexp.reduce(np.logaddexp.reduce(total.forward[-1], axis=0), axis=1) - whole)
    top = best.forward[-1].max()
    sure, others = [], {}
    for step in steps:
        through = lattice.through(total, step)
        sure.append(float(np.exp(np.logaddexp.reduce(through.reshape(-1)) - whole)))
        for spans in range(0, MOST + 1):
            if spans != step.spans and (step.upper, step.lower, spans) in lattice.weights:
                other = lattice.through(best, Step(step.upper, step.lower, step.above, spans)).max()
                if np.isfinite(other):
                    others[step, spans] = float(top - other)
    counted = [lattice.counted(total, step) for step in steps[:-1]]
    necks = {count: lattice.neck(steps, first, count) for count in (6, 8)}
    necks = {count: odds for count, odds in necks.items() if odds is not None}
    return Reading(steps, first, lattice.scale_of(first, size), firsts, sure, counted, others, necks)


@dataclass(frozen=True, eq=False)
class _Passes:
    """Scores from above and from below: one (C, STARTS, scales) a node, for C counts of vertebrae above it."""

    forward: list[np.ndarray]
    backward: list[np.ndarray]


class _Lattice:
    """The steps between candidates and their scores; node 0 is above all discs, K + 1 below all."""

    def __init__(self, evidence: Evidence):
        self.evidence = evidence
        count = len(evidence.sheets)
        self.last = count + 1
        self.counts = min(2 * count + MOST + 1, sizes.COUNT + 6)
        self.usual = _usual_depth(evidence.depth)
        self.expected = self.usual / np.array([sizes.DEPTH[u : u + 6].mean() for u in range(STARTS)])
        self.real, self.passed = _reality(evidence)
        self.weights: dict[tuple[int, int, int], np.ndarray] = {}
        for upper in range(-1, count):
            for lower in range(upper + 1, min(upper + PASSED + 1, count) + 1):
                for spans in range(0 if upper == -1 or lower == count else 1, MOST + 1):
                    scores = self._weigh(upper, lower, spans)
                    if scores is not None:
                        self.weights[upper, lower, spans] = scores

    def scale_of(self, first: int, size: int) -> float:
        return float(self.expected[first] * SCALES[size])

    def _weigh(self, upper: int, lower: int, spans: int) -> np.ndarray | None:
        """(counts, STARTS, scales) score of a step, by the number of vertebrae above it."""
        evidence, count = self.evidence, len(self.evidence.sheets)
        whole = evidence.volume[upper + 1 : lower + 1].sum()
        score = self.passed[upper + 1 : lower].sum() + (self.real[lower] if lower < count else 0.0)
        if upper == -1 and lower == count and (not spans or count):
            return None
        if not spans:
            end = evidence.upper[lower] if upper == -1 else evidence.lower[count - 1 - upper]
            beyond = end.volume if end is not None else 0.0
            score -= min(2.0 + beyond / 40.0, 12.0) if beyond >= _CRUMB else 0.0
            score = np.full((self.counts, STARTS, len(SCALES)), score)
            return score + start_with_disc()[:, None] if upper == -1 else score
        score -= _joined(spans)
        first, last = upper == -1, lower == count
        end = self._end(upper, lower)
        if (first or last) and (end is None or end.volume < _CRUMB):
            return None
        height, cut = self.height(upper, lower)
        if first:
            score = score + start_with_body(end)[:, None]
        elif not last and whole < 0.25 * height * self.usual:
            # Vertebrae without label; not also without a disc between them.
            score -= _ABSENT + _ABSENT_MORE * (spans - 1) - _joined(spans)
        table = sizes.stretch(spans, not first, not last)
        level = np.arange(self.counts)[:, None] + np.arange(STARTS)[None, :]
        expected = table[np.minimum(level, sizes.COUNT - 1)][:, :, None] * (self.expected[:, None] * SCALES)[None]
        return score - _misfit(height, expected, cut, spans)

    def _end(self, upper: int, lower: int) -> End | None:
        """How the mask ends in a stretch; None for one between two discs."""
        count = len(self.evidence.sheets)
        if upper == -1:
            return self.evidence.upper[lower if lower < count else 0]
        return self.evidence.lower[count - 1 - upper] if lower == count else None

    def height(self, upper: int, lower: int) -> tuple[float, float]:
        """mm of a stretch, and what it costs at most that a single vertebra is lower than expected."""
        end = self._end(upper, lower)
        if end is not None:
            return end.height, 0.3 if end.room <= _CUT else 2.5
        return self.evidence.sheets[lower].place - self.evidence.sheets[upper].place, _WORST

    def passes(self, join: Callable) -> _Passes:
        """Forward and backward scores, joined by `np.maximum` (the best path) or `np.logaddexp` (all)."""
        nothing = np.full((self.counts, STARTS, len(SCALES)), -np.inf)
        prior = -0.5 * np.square(np.log(SCALES) / _SCALE_SPREAD)
        forward = [nothing.copy() for _ in range(self.last + 1)]
        forward[0][0] = prior
        for (upper, lower, spans), score in sorted(self.weights.items()):
            kept = slice(None, self.counts - spans)
            target = forward[lower + 1][spans:]
            join(target, forward[upper + 1][kept] + score[kept], out=target)
        backward = [nothing.copy() for _ in range(self.last + 1)]
        backward[-1][:] = 0.0
        for (upper, lower, spans), score in sorted(self.weights.items(), reverse=True):
            kept = slice(None, self.counts - spans)
            target = backward[upper + 1][kept]
            join(target, backward[lower + 1][spans:] + score[kept], out=target)
        return _Passes(forward, backward)

    def through(self, passes: _Passes, step: Step) -> np.ndarray:
        """(STARTS, scales) score of all paths that take a step."""
        score = self.weights[step.upper, step.lower, step.spans][step.above]
        after = step.above + step.spans
        if after >= self.counts:
            return np.full_like(score, -np.inf)
        return passes.forward[step.upper + 1][step.above] + score + passes.backward[step.lower + 1][after]

    def counted(self, passes: _Passes, step: Step) -> float:
        """Share of the paths through the disc below a step that count as many vertebrae above it as the step does."""
        node = step.lower + 1
        scores = (passes.forward[node] + passes.backward[node]).reshape(self.counts, -1)
        return float(
            np.exp(np.logaddexp.reduce(scores[step.above + step.spans]) - np.logaddexp.reduce(scores, axis=None))
        )

    def neck(self, steps: list[Step], first: int, count: int) -> float | None:
        """Log odds of a neck of six or eight vertebrae against seven, on one path; None if that changes no level."""
        # The last that keeps its name is C6 of six, C7 of eight.
        last, move = sizes.NAMES.index("C6" if count == 6 else "C7"), 7 - count
        lowest = first + steps[-1].above + steps[-1].spans - 1
        if first > last or lowest <= last or lowest + move >= sizes.COUNT:
            return None
        scores = []
        for moved in (0, move):
            score = -0.5 * np.square(np.log(SCALES) / _SCALE_SPREAD)
            for step in (step for step in steps if step.spans):
                levels = range(first + step.above, first + step.above + step.spans)
                levels = [level + moved * (level > last) for level in levels]
                expected = sizes.height_of(levels, step.upper >= 0, step.lower < len(self.evidence.sheets))
                height, cut = self.height(step.upper, step.lower)
                score = score - _misfit(height, expected * self.expected[first] * SCALES, cut, step.spans)
            scores.append(score.max())
        return float(scores[1] - scores[0] - _TRANSITIONAL)

    def trace(self, best: _Passes) -> tuple[list[Step], int, int]:
        """The best path, its first level and size."""
        node = self.last
        count, first, size = (int(k) for k in np.unravel_index(best.forward[node].argmax(), best.forward[node].shape))
        start, steps = first, []
        while node:
            options = [
                (best.forward[upper + 1][count - spans, first, size] + score[count - spans, first, size], upper, spans)
                for (upper, lower, spans), score in self.weights.items()
                if lower + 1 == node and spans <= count
            ]
            _, upper, spans = max(options)
            steps.append(Step(upper, node - 1, count - spans, spans))
            node, count = upper + 1, count - spans
        return steps[::-1], start, size


def start_with_body(end: End) -> np.ndarray:
    """(STARTS,) log odds of each level for the first body of a mask, by how it ends above.

    Masks of this kind begin with C2, unless the field of view does not reach it. The dens stands out over C2 by 7 mm
    and more in a neck 15 mm deep, of whatever part of it the mask holds; other end plates, hollow or worn, by less
    than 5 mm. Where the field of view ends, a body is cut flat, 4 mm are much, and without them little is known.
    """
    peak = end.peak * 7.5 / end.half
    if end.room > _CUT:
        return _first(float(np.clip(1.6 * (peak - 5.4), -6.0, 6.0)) + 1.0)
    return _first(float(np.clip(2.0 * (peak - 3.2), -1.0, 6.0)) - 0.8)


def start_with_disc() -> np.ndarray:
    """(STARTS,) log odds of each level for the first body below a disc that a mask begins with."""
    return _first(-np.inf)


def _first(odds: float) -> np.ndarray:
    found = np.full(STARTS, np.log((1 - _FROM_C2) / (STARTS - 1)))
    found[0] = np.log(_FROM_C2) + odds
    return found


def _joined(spans: int) -> float:
    """Cost of vertebrae without a disc between them."""
    return _JOINED * (spans > 1) + _JOINED_MORE * max(spans - 2, 0)


def _misfit(height: float, expected: np.ndarray, low: float, spans: int) -> np.ndarray:
    """Cost of a height against expectations, mm; a single vertebra that is too low costs at most `low`."""
    off = np.log(max(height, 1.0) / expected)
    noise = _MEASURED / np.maximum(expected, 1.0)
    taller = np.hypot(_TALLER if spans == 1 else 0.8 * _TALLER, noise)
    lower = np.hypot(_LOWER if spans == 1 else 0.75 * _LOWER, noise)
    cost = 0.5 * np.square(off / np.where(off > 0, taller, lower))
    if spans == 1:
        cost = np.where(off < 0, np.minimum(cost, low), cost)
    return np.minimum(cost, _WORST)


def _usual_depth(depth: np.ndarray) -> float:
    """mm from front to back of the first vertebrae."""
    known = depth[~np.isnan(depth)][:7]
    return float(np.median(known)) if len(known) else float(sizes.DEPTH[:6].mean())


def _reality(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Scores (K,) of calling each candidate a disc, and of calling it a remnant or an error, by its volume."""
    sheets = evidence.sheets
    # A gap between bodies is a disc without a label; the wider, the less it is anything else.
    real = np.full(len(sheets), -_JOINED)
    passed = -np.clip([1.0 + sheet.gap for sheet in sheets], 1.0, 12.0)
    labelled = np.flatnonzero([sheet.labelled for sheet in sheets])
    if not len(labelled):
        return real, passed
    volumes = np.array([sheets[k].volume for k in labelled])
    share = np.array([volume / np.median(volumes[max(k - 3, 0) : k + 4]) for k, volume in enumerate(volumes)])
    real[labelled] = -np.clip(0.3 / np.maximum(share, 1e-3) - 0.75, 0.0, 8.0)
    passed[labelled] = -np.clip(16.0 * share, 0.5, 12.0)
    # At either end of the mask a disc may be cut, and is what it is if that is where the field of view ends. If not, it
    # is a dens that was called disc more often than another is passed over, unless a whole body lies beyond it.
    usual = np.median(evidence.volume[1:-1]) if len(sheets) > 1 else np.inf
    for k, beyond in ((0, evidence.volume[0]), (len(sheets) - 1, evidence.volume[-1])):
        if k in labelled and sheets[k].cut:
            real[k], passed[k] = 0.0, min(passed[k], -4.0)
        elif k in labelled:
            real[k], passed[k] = real[k] / 2, passed[k] / (2 if beyond < 0.5 * usual else 1)
    return real, passed
