"""The mathematics of calibration: a temperature, the calibration error, a bounded line, rank correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..model.calibration import Line
from ..model.quality import tempered

BINS = 15
# Strength of the ridge, in exams: what few exams suggest counts little.
_RIDGE = 3.0
_FLOOR, _CEILING = 0.01, 0.995


def dice(truth: np.ndarray, mask: np.ndarray, counted: np.ndarray | None = None) -> dict[str, float | None]:
    """Volumetric Dice of bodies and discs over the voxels that count, pooled over the exam.

    None where truth and mask both hold none of the structure: nothing was asked, nothing was answered.
    """
    figures: dict[str, float | None] = {}
    for key, value in (("bodies", 1), ("discs", 2)):
        one, other = truth == value, mask == value
        if counted is not None:
            one, other = one & counted, other & counted
        total = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
        figures[key] = 2 * int(np.count_nonzero(one & other)) / total if total else None
    return figures


def loss(probabilities: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Mean negative log likelihood of labels (N,) under probabilities (3, N) at a temperature."""
    own = np.take_along_axis(tempered(probabilities, temperature), labels[None].astype(np.intp), axis=0)[0]
    return float(-np.log(np.maximum(own, 1e-6)).mean(dtype=np.float64))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray, low: float = 0.25, high: float = 8.0) -> float:
    """The temperature with the least negative log likelihood, by golden section on its logarithm.

    Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.
    """
    ratio = (math.sqrt(5) - 1) / 2
    ends = [math.log(low), math.log(high)]
    inner = [ends[1] - ratio * (ends[1] - ends[0]), ends[0] + ratio * (ends[1] - ends[0])]
    losses = [loss(probabilities, labels, math.exp(x)) for x in inner]
    while ends[1] - ends[0] > 1e-3:
        if losses[0] < losses[1]:
            ends[1], inner[1], losses[1] = inner[1], inner[0], losses[0]
            inner[0] = ends[1] - ratio * (ends[1] - ends[0])
            losses[0] = loss(probabilities, labels, math.exp(inner[0]))
        else:
            ends[0], inner[0], losses[0] = inner[0], inner[1], losses[1]
            inner[1] = ends[0] + ratio * (ends[1] - ends[0])
            losses[1] = loss(probabilities, labels, math.exp(inner[1]))
    return math.exp(sum(ends) / 2)


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Table (BINS, 3): voxels, sum of confidences and number of right answers by confidence of the likeliest class."""
    confidence = probabilities.max(axis=0)
    right = probabilities.argmax(axis=0) == labels
    place = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    parts = [np.bincount(place, weights=w, minlength=BINS) for w in (np.ones(len(right)), confidence, right)]
    return np.stack(parts, axis=1)


def calibration_error(table: np.ndarray) -> float:
    """Expected calibration error of a table of :func:`reliability`: mean gap between confidence and share right."""
    return float(np.abs(table[:, 1] - table[:, 2]).sum() / max(table[:, 0].sum(), 1))


def rows(table: np.ndarray) -> list[str]:
    """A table of :func:`reliability` for people: "mean confidence: share right (voxels)" of each bin that has any."""
    return [f"{confidence / n:.3f}: {right / n:.3f} ({n:.0f})" for n, confidence, right in table if n]


def fit_line(features: Sequence[dict[str, float]], values: Sequence[float], names: Sequence[str]) -> Line:
    """A line with weights that are not negative, on the logit of Dice, by ridge regression.

    Exams count by the slope of the logistic curve, so that errors of Dice and not of its logit are made small.
    """
    from scipy.optimize import nnls

    table = np.array([[one[name] for name in names] for one in features], float)
    dices = np.clip(np.asarray(values, float), _FLOOR, _CEILING)
    target = np.log(dices / (1 - dices))
    weight = dices * (1 - dices)
    weight /= weight.sum()
    centre, middle = weight @ table, float(weight @ target)
    spread = np.sqrt(weight @ np.square(table - centre))
    spread[spread < 1e-9] = 1.0
    root = np.sqrt(weight)[:, None]
    scaled = (table - centre) / spread * root
    ridge = np.sqrt(_RIDGE / len(table)) * np.eye(len(names))
    solved, _ = nnls(np.vstack([scaled, ridge]), np.append(root[:, 0] * (target - middle), np.zeros(len(names))))
    slopes = solved / spread
    ranges = zip(names, table.min(axis=0).tolist(), table.max(axis=0).tolist(), strict=True)
    return Line(
        intercept=middle - float(slopes @ centre),
        weights=dict(zip(names, slopes.tolist(), strict=True)),
        ranges={name: (low, high) for name, low, high in ranges},
    )


def left_out(
    features: Sequence[dict[str, float]], values: Sequence[float], names: Sequence[str], people: Sequence[int]
) -> np.ndarray:
    """Predicted Dice (N,) of each exam by a line fitted without its person, in five parts."""
    people, values = np.asarray(people), np.asarray(values, float)
    part = np.searchsorted(np.unique(people), people) % 5
    predicted = np.empty(len(values))
    for fold in np.unique(part):
        rest, own = np.flatnonzero(part != fold), np.flatnonzero(part == fold)
        line = fit_line([features[i] for i in rest], values[rest], names)
        predicted[own] = [line.value(features[i]) for i in own]
    return predicted


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None for fewer than three pairs or a constant."""
    from scipy.stats import rankdata

    if len(one) < 3:
        return None
    ranks = rankdata(one), rankdata(other)
    if min(rank.std() for rank in ranks) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def summary(values: Sequence[float | None]) -> dict[str, float | int | None]:
    """Count, mean, standard deviation and worst of figures of which more is better; Nones are left out."""
    known = np.array([value for value in values if value is not None], float)
    if not len(known):
        return {"exams": 0, "mean": None, "sd": None, "worst": None}
    parts = {"mean": known.mean(), "sd": known.std(ddof=1) if len(known) > 1 else 0.0, "worst": known.min()}
    return {"exams": len(known), **{name: round(float(value), 4) for name, value in parts.items()}}
