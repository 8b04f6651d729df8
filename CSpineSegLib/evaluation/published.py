"""The figures of the dataset's paper (Zhou 2025), by its own convention, to be set beside one's own by the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Spread(NamedTuple):
    """Mean, standard deviation and median over 100 test exams."""

    mean: float
    sd: float
    median: float


@dataclass(frozen=True)
class Published:
    """One model of the paper: Dice of bodies and discs, and `macro`, the mean of the two means."""

    name: str
    bodies: Spread
    discs: Spread
    macro: float

    def macro_of_means(self) -> float:
        return (self.bodies.mean + self.discs.mean) / 2

    def macro_sd(self) -> float:
        """The spread that the paper gives to macro: of the two structures' means, dividing by 2."""
        return abs(self.bodies.mean - self.discs.mean) / 2


MODELS = (
    Published("2D", Spread(0.928, 0.050, 0.951), Spread(0.901, 0.047, 0.916), 0.915),
    Published("3D full resolution", Spread(0.925, 0.047, 0.943), Spread(0.900, 0.047, 0.913), 0.912),
    Published("ensemble", Spread(0.929, 0.048, 0.950), Spread(0.904, 0.045, 0.917), 0.916),
)
EXAMS, LEFT_OUT = 100, 13
# Discs by level, of the ensemble, without the exams whose discs had to be left out.
LEVELS = {
    "C2-C3": 0.915,
    "C3-C4": 0.900,
    "C4-C5": 0.894,
    "C5-C6": 0.871,
    "C6-C7": 0.879,
    "C7-T1": 0.907,
}
LEVEL_EXAMS = 87
# Lowest and highest mean of the five folds of the 2D model.
FOLDS = {"bodies": (0.911, 0.934), "discs": (0.891, 0.906)}
# What three decimals can hide: half of the last one.
ROUNDING = 0.0005
