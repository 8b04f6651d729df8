"""How far a mask can be trusted: its predicted Dice, and for each voxel the probability that its label is wrong.

The network looks at the exam again in other views (mirrored, coarser, in another contrast), in which a mask that rests
on what is really there comes out the same. Probabilities are averaged over the views and softened by a temperature
(Guo et al., On calibration of modern neural networks, ICML 2017), and a line that was fitted to phantoms predicts Dice
from how sure and how much of one opinion the views are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .. import progress as progressing
from ..errors import ModelError
from ..progress import Progress
from . import preprocess
from .calibration import STRUCTURES, Calibration

# From slices as the network sees them, (n, H, W) float32, to class probabilities (3, n, H, W).
Forward = Callable[[np.ndarray], np.ndarray]

# mm2 of agreed structure that every slice is taken to have, so that a stray voxel on an empty one is no alarm.
_STEADY_AREA = 100.0
# Less likely than this at a pixel, a structure is no doubt: over a whole slice such traces would add up to one.
_TRACE = 0.05
_LEAST = 1e-6
_SUREST = 0.999


@dataclass(frozen=True, eq=False)
class Quality:
    """What is known about a mask without knowing the truth.

    Parameters
    ----------
    score : predicted Dice, mean over both structures, 0 to 1.
    dice_bodies, dice_discs : predicted Dice, 0 where the mask holds none.
    per_slice : (n,) float32, doubt of each sagittal slice from left to right, 0 to 1: one minus its expected Dice.
    doubt : (n, rows, columns) uint8, axes as :data:`preprocess.ORIENTATION`: the probability in percent, 0 to 100,
        that the voxel's label is wrong.
    features : what the prediction was made from.
    """

    score: float
    dice_bodies: float
    dice_discs: float
    per_slice: np.ndarray
    doubt: np.ndarray
    features: dict[str, float]


def _mirror(slices: np.ndarray, way: preprocess.Way, forward: Forward) -> np.ndarray:
    return forward(np.ascontiguousarray(slices[::-1]))[:, ::-1]


def _scaled(spacing: float) -> Callable[[np.ndarray, preprocess.Way, Forward], np.ndarray]:
    """A view at another in-plane spacing, as a larger or smaller person would look."""

    def view(slices: np.ndarray, way: preprocess.Way, forward: Forward) -> np.ndarray:
        fine, mm = way.network_shape, way.network_spacing
        coarse = tuple(max(1, round(size * step / spacing)) for size, step in zip(fine, mm, strict=True))
        there = preprocess.resize(slices, fine, mm, coarse, (spacing, spacing))
        return preprocess.resize(forward(there), coarse, (spacing, spacing), fine, mm)

    return view


def _gamma(exponent: float) -> Callable[[np.ndarray, preprocess.Way, Forward], np.ndarray]:
    """A view in another contrast: the intensities, between their extremes, to a power."""

    def view(slices: np.ndarray, way: preprocess.Way, forward: Forward) -> np.ndarray:
        low = float(slices.min(initial=0.0))
        span = max(float(slices.max(initial=0.0)) - low, _LEAST)
        return forward(preprocess.normalise(np.power((slices - low) / np.float32(span), np.float32(exponent))))

    return view


VIEWS: dict[str, Callable[[np.ndarray, preprocess.Way, Forward], np.ndarray]] = {
    "mirror": _mirror,
    "coarse": _scaled(0.85),
    "coarser": _scaled(1.0),
    "dark": _gamma(1.5),
    "bright": _gamma(0.67),
}


def look_again(
    names: Sequence[str], slices: np.ndarray, way: preprocess.Way, forward: Forward
) -> Iterator[tuple[str, np.ndarray]]:
    """Names of views and their probabilities (3, n, rows, columns) on the image's own pixels.

    Parameters
    ----------
    names : of :data:`VIEWS`; ModelError for another.
    slices, way : from :func:`preprocess.to_network`.
    """
    if unknown := sorted(set(names) - set(VIEWS)):
        raise ModelError(f"The model's calibration asks for the views {', '.join(unknown)}, which are not known here.")
    for name in names:
        yield name, preprocess.from_network(VIEWS[name](slices, way, forward), way)


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (3, ...) as a softmax of logits divided by `temperature` would give them, float32."""
    if temperature == 1.0:
        return probabilities
    logits = np.log(np.maximum(probabilities, np.float32(_LEAST)))
    logits -= logits.max(axis=0)
    logits /= np.float32(temperature)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=0)
    return logits


def assess(
    calibration: Calibration,
    labels: np.ndarray,
    probabilities: np.ndarray,
    slices: np.ndarray,
    way: preprocess.Way,
    pixel_area: float,
    forward: Forward,
    progress: Progress | None = None,
) -> Quality:
    """The quality of a mask.

    Parameters
    ----------
    calibration : of the model, see :func:`calibration.read`.
    labels : (n, rows, columns) uint8, the mask as it is given out, axes as :data:`preprocess.ORIENTATION`.
    probabilities : (3, n, rows, columns), the plain view's on the image's own pixels.
    slices, way : from :func:`preprocess.to_network`, what the plain view was made from.
    pixel_area : mm2 of one of the image's pixels in the sagittal plane.
    forward : the network; see :data:`Forward`.

    Raises
    ------
    ModelError : a view that this version does not know. Cancelled : asked before each view.
    """
    seen = Views(probabilities)
    progress = progressing.ensure(progress)
    for index, (name, maps) in enumerate(look_again(calibration.views, slices, way, forward)):
        progress.update("check", (index + 1) / (len(calibration.views) + 1), name)
        seen.add(name, maps)
    features, per_slice, doubt = measure(seen, labels, calibration.averaged, pixel_area)
    dice = {key: predicted(calibration, key, features) for key in STRUCTURES}
    progress.update("check", 1.0)
    return Quality(sum(dice.values()) / len(dice), dice["bodies"], dice["discs"], per_slice, doubt, features)


def predicted(calibration: Calibration, key: str, features: dict[str, float]) -> float:
    """Predicted Dice of "bodies" or "discs"; 0 if the mask holds none of it."""
    if features[f"{key}_voxels"] == 0:
        return 0.0
    try:
        return calibration.lines[key].value(features)
    except KeyError as error:
        raise ModelError(f"The model's calibration needs the feature {error.args[0]!r}, not known here.") from None


class Views:
    """Running mean of the probabilities over views, and how much each view's mask agrees with the plain one's."""

    def __init__(self, plain: np.ndarray):
        self.mean = np.array(plain, np.float32)
        self.count = 1
        self.agreement: dict[str, tuple[float, float]] = {}
        self._plain = self.mean.argmax(axis=0).astype(np.uint8)

    def add(self, name: str, maps: np.ndarray) -> None:
        other = maps.argmax(axis=0)
        self.agreement[name] = tuple(_dice(self._plain == value, other == value) for value in (1, 2))
        self.count += 1
        self.mean += (maps - self.mean) / np.float32(self.count)


def measure(
    views: Views, labels: np.ndarray, temperature: float, pixel_area: float
) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Features, doubt of each slice (n,) and doubt map (n, rows, columns) uint8; see :class:`Quality`.

    The features are of the probabilities as they are, so that a line fitted to them holds for any temperature.
    """
    count = len(labels)
    doubt, per_slice = np.empty(labels.shape, np.uint8), np.empty(count, np.float32)
    agreed, expected, marked = np.zeros((3, count, 2))
    steady = _STEADY_AREA / pixel_area
    # Slice by slice: a whole-body volume must not need several copies of its probabilities.
    for index in range(count):
        raw, inside = views.mean[:, index], [labels[index] == value for value in (1, 2)]
        agreed[index], expected[index], marked[index] = _overlap(raw, inside)
        maps = tempered(raw, temperature)
        right = np.take_along_axis(maps, labels[index][None].astype(np.intp), axis=0)[0]
        doubt[index] = np.rint(100.0 * np.clip(1.0 - right, 0.0, 1.0))
        shared, total, own = (part.sum() for part in _overlap(np.where(maps < _TRACE, 0, maps), inside))
        per_slice[index] = 1.0 - (2 * shared + steady) / (total + own + steady)
    features = {}
    for column, key in enumerate(STRUCTURES):
        features[f"{key}_voxels"] = float(marked[:, column].sum())
        whole = 2 * agreed[:, column].sum() / max(expected[:, column].sum() + marked[:, column].sum(), 1.0)
        features[f"{key}_expected"] = _logit(whole)
        features[f"{key}_sure"] = _logit(agreed[:, column].sum() / max(marked[:, column].sum(), 1.0))
        for name, pair in views.agreement.items():
            features[f"{key}_{name}"] = _logit(pair[column])
    return features, np.clip(per_slice, 0.0, 1.0), doubt


def _overlap(maps: np.ndarray, inside: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of bodies and discs (2,): probability within the mask, probability in all, pixels of the mask."""
    agreed = [maps[value][mask].sum(dtype=np.float64) for value, mask in enumerate(inside, 1)]
    expected = [maps[value].sum(dtype=np.float64) for value, _ in enumerate(inside, 1)]
    return np.array(agreed), np.array(expected), np.array([np.count_nonzero(mask) for mask in inside], float)


def _logit(share: float) -> float:
    share = min(max(share, 1 - _SUREST), _SUREST)
    return float(np.log(share / (1 - share)))


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    total = int(np.count_nonzero(one)) + int(np.count_nonzero(other))
    return 2 * int(np.count_nonzero(one & other)) / total if total else 1.0
