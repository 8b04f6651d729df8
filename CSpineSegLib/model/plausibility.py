"""Is this a cervical spine? Judged from the mask: a network that knows only necks finds something in every image.

What is asked is anatomy: bodies and discs taking turns along one line, everything that was found on that line, bodies
as deep and discs as far apart as in a neck (a lumbar vertebra is twice the size), and a network that was sure of it.
A logistic line with few features, each bounded and each with a weight of a sign known beforehand, makes one number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError, ModelError
from ..spine import order
from .calibration import Line

# Below this an exam is refused. The fit counts necks and other images as equally common; in a folder of cervical
# exams others are rare, and to refuse a neck is worse than to segment something else.
LEAST = 0.25

# mm. Discs are 17 to 20 mm apart from C3 to C7 and bodies 15 to 18 mm deep in adults (Panjabi 1991, Busscher 2010), so
# up to here all is well even for a large man; a child of four has about 60 % of that. The smaller quarter of the bodies
# is looked at, as a field of view may reach down to the lumbar spine.
PERIOD, DEPTH = 20.0, 17.0
_CHILD = 10.5
_SMALLER = 0.25
# Octaves by which spacing may exceed what goes with the depth: where fusion leaves few discs, they are far apart
# between bodies as shallow as any in a neck.
_FUSED = 0.2

# {feature: (lowest, highest value that counts)}; more is always better.
RANGES = {
    "discs": (0.0, 4.0),
    "on_line": (0.3, 1.0),
    "unbroken": (0.3, 1.0),
    "regular": (0.0, 1.0),
    "size": (-0.6, 0.0),
    "not_tiny": (-1.0, 0.0),
    "sure": (0.6, 0.95),
}

# Fitted to a first model; a bundle's own calibration goes first.
_DEFAULT = Line(
    intercept=-21.1,
    weights={
        "discs": 0.07, "on_line": 7.4, "unbroken": 4.1, "regular": 1.5, "size": 11.8, "not_tiny": 8.9, "sure": 11.8,
    },
    ranges=RANGES,
)  # fmt: skip


class NotCervicalError(InputError):
    """An image that does not look like a cervical spine exam."""


@dataclass(frozen=True)
class Verdict:
    """How likely an image is a cervical spine exam.

    Parameters
    ----------
    probability : 0 to 1.
    sentence : for the user, without the file's name.
    features : see :func:`features`.
    """

    probability: float
    sentence: str
    features: dict[str, float] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        return self.probability >= LEAST


def features(labels: np.ndarray, probabilities: np.ndarray | None, spacing: Sequence[float]) -> dict[str, float]:
    """What is asked about a mask, each as a number of which more is better.

    Parameters
    ----------
    labels : (n, rows, columns), oriented as :data:`preprocess.ORIENTATION`, before any cleaning.
    probabilities : (3, n, rows, columns) of the plain view; None: taken as sure.
    spacing : mm along the three axes.

    Returns
    -------
    discs : discs that lie between two bodies along the line.
    on_line : share of the mask about the line.
    unbroken : share of the line on which there is a body or a disc.
    regular : share of neighbouring periods that differ by less than 40 %; less than 1 where there are no two.
    size : octaves by which the smaller vertebrae exceed a large neck's, negative: the mean of those by which periods
        exceed :data:`PERIOD` and bodies :data:`DEPTH`. A lumbar spine has -0.5 and less.
    not_tiny : octaves that the larger periods fall short of a child's, negative.
    sure : mean probability of the labels of the mask.
    """
    found = order.along(labels, spacing) if np.count_nonzero(labels) >= 10 else None
    if found is None or not len(found.depths) or not found.discs:
        # Without a disc between two bodies there is nothing to call a spine.
        return {name: low for name, (low, _) in RANGES.items()}
    small = float(np.quantile(found.depths, _SMALLER))
    periods = single(found.periods, float(np.median(found.depths)))
    ratios = np.abs(np.diff(np.log(periods)))
    steady = float(np.mean(ratios < math.log(1.4))) if len(ratios) else (0.5, 0.75)[found.discs > 1]
    if not len(periods):
        # Without two discs in a row, bodies are taken as tall for their depth as they are anywhere in the spine.
        periods = np.array([small * PERIOD / DEPTH])
    gaps = [length for label, length in found.runs[1:-1] if label == 0]
    whole = sum(length for _, length in found.runs)
    deep = math.log2(max(small, 1.0) / DEPTH)
    apart = min(math.log2(float(np.quantile(periods, _SMALLER)) / PERIOD), deep + _FUSED)
    sure = 1.0
    if probabilities is not None:
        own = sum(float(probabilities[label][labels == label].sum(dtype=np.float64)) for label in (1, 2))
        sure = float(own / np.count_nonzero(labels))
    return {
        "discs": float(found.discs),
        "on_line": found.on_line,
        "unbroken": 1.0 - sum(gaps) / whole,
        "regular": steady,
        "size": -max(0.0, (deep + apart) / 2),
        "not_tiny": min(0.0, math.log2(float(np.quantile(periods, 1 - _SMALLER)) / _CHILD)),
        "sure": sure,
    }


def single(periods: np.ndarray, depth: float) -> np.ndarray:
    """Periods of single vertebrae, mm. From neck to loin they are about as long as bodies are deep, so that one of
    twice that is a block of two, grown together or fused by a surgeon, or a disc was missed."""
    usual = max(depth, 1.0) * PERIOD / DEPTH
    return periods / np.maximum(1.0, np.round(periods / usual))


def judge(
    labels: np.ndarray,
    probabilities: np.ndarray | None,
    spacing: Sequence[float],
    coefficients: Mapping[str, Any] | None = None,
) -> Verdict:
    """How likely a mask is that of a cervical spine with a usable field of view.

    Parameters
    ----------
    labels, probabilities, spacing : see :func:`features`.
    coefficients : of the model's own calibration; None: those of this file.

    Raises
    ------
    ModelError : coefficients that this version does not know.
    """
    line = _DEFAULT if coefficients is None else read(coefficients)
    found = features(labels, probabilities, spacing)
    probability = line.value(found)
    percent = "under 1" if probability < 0.01 else "over 99" if probability > 0.99 else f"{100 * probability:.0f}"
    if probability < LEAST:
        sentence = f"this does not look like a cervical spine exam (probability {percent} %)"
    else:
        sentence = f"this looks like a cervical spine exam (probability {percent} %)"
    return Verdict(probability, sentence, found)


def read(coefficients: Mapping[str, Any]) -> Line:
    """Coefficients from a calibration file; ModelError if they are anything but the numbers expected."""
    try:
        intercept = float(coefficients["intercept"])
        weights = {str(name): float(value) for name, value in coefficients["weights"].items()}
        usable = abs(intercept) <= 200.0 and all(0.0 <= value <= 150.0 for value in weights.values())
    except (KeyError, TypeError, ValueError, AttributeError):
        usable = False
    if not usable or not set(weights) <= set(RANGES):
        raise ModelError(
            "The model's coefficients of plausibility cannot be used; "
            "fit them again with: python -m CSpineSegLib.training.calibrate"
        )
    return Line(intercept, weights, RANGES)


def fit(
    cases: Sequence[Mapping[str, float]],
    truth: Sequence[bool],
    kinds: Sequence[str] | None = None,
    steadiness: float = 0.002,
) -> dict[str, Any]:
    """Coefficients for :func:`judge` from features of cervical exams and of other images.

    A logistic regression, both groups counting the same, and within each every kind, if these are named. Weights are
    not negative, and held small by `steadiness` (of squared weights of features scaled to their ranges), so that a few
    dozen cases suffice.

    Raises
    ------
    InputError : cases of one group only.
    """
    from scipy import optimize

    wanted = np.asarray(truth, bool)
    if len(cases) != len(wanted) or wanted.all() or not wanted.any():
        raise InputError("Coefficients of plausibility are fitted to cervical exams and to other images, both.")
    _, kind, counts = np.unique(list(kinds or wanted.astype(str)), return_inverse=True, return_counts=True)
    shares = 1.0 / counts[kind]
    shares *= np.where(wanted, 0.5 / shares[wanted].sum(), 0.5 / shares[~wanted].sum())
    names = list(RANGES)
    low, high = np.array([RANGES[name] for name in names]).T
    table = (np.clip([[case[name] for name in names] for case in cases], low, high) - low) / (high - low)
    sign = np.where(wanted, -1.0, 1.0)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (values[0] + table @ values[1:])
        slope = shares * sign / (1 + np.exp(-margin))
        gradient = np.concatenate([[slope.sum()], table.T @ slope])
        gradient[1:] += 2 * steadiness * values[1:] / len(names)
        value = shares @ np.logaddexp(0, margin) + steadiness * np.square(values[1:]).sum() / len(names)
        return float(value), gradient

    start = np.concatenate([[-1.0 * len(names)], np.full(len(names), 2.0)])
    bounds = [(-100.0, 50.0)] + [(0.0, 40.0)] * len(names)
    best = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = best[1:] / (high - low)
    return {
        "intercept": round(float(best[0] - weights @ low), 4),
        "weights": {name: round(float(weight), 4) for name, weight in zip(names, weights, strict=True)},
    }
