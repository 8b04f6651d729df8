"""Made tables of scores, patterned on the dataset's patients and scanners, in which the truth about groups is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .scores import Scores, settle

if TYPE_CHECKING:
    import pandas

# Counts of the release: patients by sex, race and ethnicity, exams by manufacturer and field strength (T).
_SEX = {"F": 675, "M": 557}
_RACE = {
    "White": 795,
    "Black or African American": 342,
    "Not Reported": 33,
    "Other": 28,
    "Asian": 24,
    "American Indian or Alaska Native": 9,
    "Native Hawaiian or other Pacific Islander": 1,
}
_ETHNICITY = {"Not Hispanic or Latino": 1141, "Hispanic or Latino": 58, "Not Reported": 33}
_MANUFACTURER = {"Siemens": 789, "GE MEDICAL SYSTEMS": 466}
_FIELD = {1.5: 747, 3.0: 508}
_AGE = (54.5, 16.4)
_YOUNGEST, _OLDEST = 18, 89
# Patients with one, two and three exams.
ALL, GOLD = (1213, 15, 4), (472, 8, 1)
# Medians in mm3; men's structures are larger by this factor, each person's spread is the logarithm's SD.
_VOLUMES = {"bodies": 48_000.0, "discs": 11_200.0}
_MEN, _SPREAD = 1.23, 0.13


@dataclass(frozen=True)
class Errors:
    """How predictions err: the loss 1 - Dice is lognormal.

    Parameters
    ----------
    loss : median loss by structure.
    spread : SD of the logarithm of the loss, between exams.
    alike : share of that variance that the exams of a patient have in common.
    normal : losses follow a normal curve of the same mean and SD instead, without an end at 0.
    size : exponent with which the loss falls with the structure's volume; 0: size does not matter.
    """

    loss: Mapping[str, float]
    spread: float = 0.4
    alike: float = 0.8
    normal: bool = False
    size: float = 0.0

    def sd(self, structure: str) -> float:
        """Standard deviation of the loss of a structure, as computed, without the part that size explains."""
        variance = self.spread**2
        return self.loss[structure] * np.exp(variance / 2) * float(np.sqrt(np.expm1(variance)))


# Volumetric Dice about .92 and .875 against experts' masks, and .981 and .972 against near-twins.
AGAINST_GOLD = Errors({"bodies": 0.07, "discs": 0.115})
AGAINST_TWIN = Errors({"bodies": 0.018, "discs": 0.027}, spread=0.35)


def exams(rng: np.random.Generator, patients: tuple[int, ...] = GOLD) -> pandas.DataFrame:
    """A table of exams as `Results.exams` has it; `patients` counts those with one, two, ... exams.

    All properties are drawn independently of each other, those of the patient once for all exams of a patient.
    """
    import pandas

    count = sum(patients)
    repeats = rng.permutation(np.repeat(np.arange(1, len(patients) + 1), patients))
    age = np.round(rng.normal(*_AGE, count))
    age = np.where(age < _YOUNGEST, rng.integers(_YOUNGEST, 60, count), age)
    sex = _drawn(rng, _SEX, count)
    person = {
        "patient": [f"593973-{number:06d}" for number in range(count)],
        "sex": sex,
        "race": _drawn(rng, _RACE, count),
        "ethnicity": _drawn(rng, _ETHNICITY, count),
        "age": np.where(age > _OLDEST, np.nan, age),
        "age_over_89": age > _OLDEST,
    }
    larger = np.where(sex == "M", _MEN, 1.0)
    for structure, volume in _VOLUMES.items():
        person[f"{structure}_mm3"] = volume * larger * np.exp(rng.normal(0, _SPREAD, count))
    frame = pandas.DataFrame(person).loc[np.repeat(np.arange(count), repeats)].reset_index(drop=True)
    frame["manufacturer"] = _drawn(rng, _MANUFACTURER, len(frame))
    frame["field_strength"] = _drawn(rng, _FIELD, len(frame)).astype(float)
    frame.index = [f"{patient}_Study-MR-{number}_Series-1" for number, patient in enumerate(frame["patient"], 1)]
    return frame.rename_axis("exam").assign(status="ok", source="gold")


def _drawn(rng: np.random.Generator, counts: Mapping[object, int], size: int) -> np.ndarray:
    shares = np.array([*counts.values()], float)
    return rng.choice(np.array([*counts], object), size, p=shares / shares.sum())


def losses(
    rng: np.random.Generator, table: pandas.DataFrame, errors: Errors, draws: int | None = None
) -> dict[str, np.ndarray]:
    """Loss of Dice per exam, (exams,) or (exams, draws), by structure; the structures of an exam err alike by half."""
    person, first = np.unique(table["patient"].to_numpy(str), return_inverse=True)
    found = {}
    beyond = () if draws is None else (draws,)
    common = _latent(rng, len(person), first, errors.alike, beyond)
    for structure, median in errors.loss.items():
        latent = np.sqrt(0.5) * common + np.sqrt(0.5) * _latent(rng, len(person), first, errors.alike, beyond)
        if errors.normal:
            mean = median * np.exp(errors.spread**2 / 2)
            found[structure] = mean + errors.sd(structure) * latent
            continue
        volume = table[f"{structure}_mm3"].to_numpy(float) / _VOLUMES[structure]
        smaller = (volume ** (-errors.size)).reshape(-1, *[1] * len(beyond))
        found[structure] = median * np.exp(errors.spread * latent) * smaller
    return found


def _latent(rng: np.random.Generator, people: int, of: np.ndarray, alike: float, beyond: tuple[int, ...]) -> np.ndarray:
    """Standard normal per exam, of which the exams of a patient share a part."""
    shared = rng.normal(size=(people, *beyond))[of]
    return np.sqrt(alike) * shared + np.sqrt(1 - alike) * rng.normal(size=(len(of), *beyond))


def scores(
    rng: np.random.Generator,
    table: pandas.DataFrame,
    loss: Mapping[str, np.ndarray],
    ruler: str = "gold",
    predictions: str = "made",
) -> Scores:
    """All figures of an audit, following the losses of Dice, each with some noise of its own.

    Parameters
    ----------
    loss : (exams,) or (exams, draws) by structure; added effects are part of it. The scores are of the same shape.
    """
    count = next(iter(loss.values())).shape
    raw: dict[tuple[str, str], np.ndarray] = {}
    for structure, lost in loss.items():
        clipped = np.clip(lost, 0.002, 1.0)
        raw[structure, "dice"] = 1 - lost
        raw[structure, "ndsc"] = 1 - np.clip(clipped * np.exp(rng.normal(0, 0.15, count)), 0, 1)
        raw[structure, "nsd_1mm"] = 1 - np.clip(0.6 * clipped * np.exp(rng.normal(0, 0.3, count)), 0, 1)
        raw[structure, "hd95_mm"] = 25 * clipped * np.exp(rng.normal(0, 0.4, count))
        raw[structure, "volume_difference_relative"] = clipped * rng.normal(0, 1, count)
    weights = {"bodies": 0.81, "discs": 0.19}
    for measure in ("dice", "ndsc", "nsd_1mm", "volume_difference_relative"):
        raw["pooled", measure] = sum(weights[structure] * raw[structure, measure] for structure in loss)
    raw["pooled", "hd95_mm"] = np.max([raw[structure, "hd95_mm"] for structure in loss], axis=0)
    return settle(ruler, predictions, table, raw)
