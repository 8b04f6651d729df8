"""What was fitted to a model after its training: `configs/calibration.json` of a bundle, read as plain numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ModelError

CALIBRATION = "configs/calibration.json"
FORMAT = 1
KEYS = {"format", "temperature", "quality", "plausibility", "fitted"}
STRUCTURES = ("bodies", "discs")
AGAIN = "fit it again with: python -m CSpineSegLib.training.calibrate"


@dataclass(frozen=True)
class Line:
    """A bounded, monotone line: each feature is held within the range that it was fitted on.

    Parameters
    ----------
    intercept : of the logit of Dice.
    weights : {feature: weight, not negative}.
    ranges : {feature: (lowest, highest value seen when fitting)}.
    """

    intercept: float
    weights: dict[str, float]
    ranges: dict[str, tuple[float, float]]

    def value(self, features: Mapping[str, float]) -> float:
        """Predicted Dice, 0 to 1."""
        total = self.intercept
        for name, weight in self.weights.items():
            low, high = self.ranges[name]
            total += weight * min(max(features[name], low), high)
        return 1.0 / (1.0 + math.exp(-total))


@dataclass(frozen=True)
class Calibration:
    """Coefficients that belong to one network.

    Parameters
    ----------
    plain, averaged : temperatures of the probabilities of the plain view and of the mean of all views; 1 changes
        nothing, more makes them less sure.
    views : names of the further views that the quality score looks at, see :data:`quality.VIEWS`.
    lines : {"bodies" and "discs": predicted Dice from the features}.
    plausibility : coefficients for :mod:`plausibility`, or None for its own.
    fitted : on what all this was fitted and with what result; shown to people only.
    """

    plain: float = 1.0
    averaged: float = 1.0
    views: tuple[str, ...] = ()
    lines: dict[str, Line] = field(default_factory=dict)
    plausibility: dict[str, Any] | None = None
    fitted: dict[str, Any] = field(default_factory=dict)


def read(folder: Path | str) -> Calibration | None:
    """The calibration of a bundle's folder; None if it has none.

    Raises
    ------
    ModelError : the file holds anything but the numbers that are expected; it is named, and what is wrong with it.
    """
    path = Path(folder) / CALIBRATION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{path} is not a readable JSON file ({error}); {AGAIN}.") from None
    try:
        return parse(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelError(f"{path} cannot be used: {what}; {AGAIN}.") from None


def parse(content: Any) -> Calibration:
    """A calibration from what its JSON file holds; KeyError, TypeError or ValueError says what is wrong."""
    if not isinstance(content, Mapping):
        raise ValueError("it does not hold a table of names and values")
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}, this version reads {FORMAT}")
    if unknown := sorted(set(content) - KEYS):
        raise ValueError(f"it has the unknown entries {', '.join(map(str, unknown))}")
    temperature, quality = content["temperature"], content["quality"]
    views = tuple(quality["views"])
    if not all(isinstance(name, str) for name in views):
        raise ValueError("the names of its views are not texts")
    plain, averaged = (_number(temperature[key], f"temperature {key}", 0.05, 20.0) for key in ("plain", "averaged"))
    lines = {key: _line(quality[key], key) for key in STRUCTURES}
    return Calibration(plain, averaged, views, lines, content.get("plausibility"), dict(content.get("fitted", {})))


def compose(calibration: Calibration) -> dict[str, Any]:
    """What :func:`parse` reads, as JSON values."""
    quality: dict[str, Any] = {"views": list(calibration.views)}
    for key, line in calibration.lines.items():
        ranges = {name: list(pair) for name, pair in line.ranges.items()}
        quality[key] = {"intercept": line.intercept, "weights": dict(line.weights), "ranges": ranges}
    content = {
        "format": FORMAT,
        "temperature": {"plain": calibration.plain, "averaged": calibration.averaged},
        "quality": quality,
        "fitted": calibration.fitted,
    }
    if calibration.plausibility is not None:
        content["plausibility"] = calibration.plausibility
    return content


def _line(content: Mapping[str, Any], key: str) -> Line:
    weights = {str(k): _number(v, f"the weight of {k}", 0.0, 1e3) for k, v in content["weights"].items()}
    ranges = {}
    for name in weights:
        low, high = (_number(value, f"the range of {name}", -1e6, 1e6) for value in content["ranges"][name])
        if low > high:
            raise ValueError(f"the range of {name} ends before it begins")
        ranges[name] = (low, high)
    return Line(_number(content["intercept"], f"the intercept of {key}", -1e3, 1e3), weights, ranges)


def _number(value: Any, what: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError(f"{what} is {value!r}, not a number from {low:g} to {high:g}")
    return float(value)
