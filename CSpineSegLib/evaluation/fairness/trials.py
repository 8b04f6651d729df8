"""The audit tried on made scores whose truth is known: how often it finds what is there, and what is not there.

Many redraws are computed at once: some groups of patients, and for each of them many draws of the scores, in columns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .. import statistics
from . import adjusted, rates, rulers, simulate, stacked
from .differences import ALPHA
from .groups import COLUMNS, group
from .units import of_groups

if TYPE_CHECKING:
    import pandas

    from .scores import Scores

OLD = ">60"
# Draws of the scores for each drawing of patients.
DRAWS = 20


@dataclass(frozen=True)
class Rate:
    """Something that happened in `hits` of `of` redraws."""

    hits: int
    of: int

    @property
    def share(self) -> float:
        return self.hits / self.of if self.of else float("nan")

    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %."""
        return rates.wilson(self.share, self.of)


class Counts(dict[str, Rate]):
    """Rates by name."""

    def add(self, name: str, hits: np.ndarray | bool) -> None:
        known, hits = self.get(name, Rate(0, 0)), np.atleast_1d(hits)
        self[name] = Rate(known.hits + int(np.count_nonzero(hits)), known.of + hits.size)


def nothing(redraws: int, seed: int, patients: tuple[int, ...] = simulate.GOLD) -> tuple[Counts, dict[str, float]]:
    """No difference between any groups: false positives, and of each family the mean share of tests below 5 %."""
    found, shares = Counts(), defaultdict(list)
    for rng, table, draws in _blocks(seed, redraws, patients):
        scores = simulate.scores(rng, table, simulate.losses(rng, table, simulate.AGAINST_GOLD, draws))
        families = {"scores": stacked.scores(scores), "success rates": stacked.rates(scores)}
        for name, figure in (("scores", "dice"), ("success rates", "Dice > 0.8")):
            for (by, structure, what), p in families[name].items():
                if structure == "discs" and what == figure:
                    found.add(f"{figure}, discs, by {by}", p < ALPHA)
        families["adjusted terms"] = _models(scores)
        any_family = np.zeros(draws, bool)
        for name, family in families.items():
            p = np.stack([*family.values()])
            shares[name].append((p < ALPHA).mean())
            significant = stacked.significant(p).any(axis=0)
            found.add(f"any of the {name}, unadjusted", (p < ALPHA).any(axis=0))
            found.add(f"any of the {name}", significant)
            any_family |= significant if name != "adjusted terms" else False
        found.add("any of the scores or success rates", any_family)
    return found, {name: float(np.mean(values)) for name, values in shares.items()}


def effect(redraws: int, seed: int, difference: float) -> tuple[Counts, float]:
    """Men's discs lose `difference` of Dice: how often it is found, and the power as computed beforehand."""
    found, computed = Counts(), []
    errors = simulate.AGAINST_GOLD
    for rng, table, draws in _blocks(seed, redraws):
        men = (table["sex"] == "M").to_numpy()
        for name, kind in (("normal", replace(errors, normal=True)), ("skewed", errors)):
            loss = _with(simulate.losses(rng, table, kind, draws), difference * men)
            family = stacked.scores(simulate.scores(rng, table, loss))
            keys = list(family)
            p = np.stack([*family.values()])
            at = keys.index(("sex", "discs", "dice"))
            found.add(name, p[at] < ALPHA)
            found.add(f"{name}, in the audit", stacked.significant(p)[at])
        count = [int(table.loc[chosen, "patient"].nunique()) for chosen in (men, ~men)]
        computed.append(statistics.power_of(difference, errors.sd("discs"), *count))
    return found, float(np.mean(computed))


def twins(redraws: int, seed: int, difference: float) -> tuple[Counts, dict[str, float]]:
    """Old people's discs lose `difference`; the second ruler is nearly the same as the predictions."""
    found, numbers = Counts(), defaultdict(list)
    for rng, table, draws in _blocks(seed, redraws):
        verdicts, spread = {}, {}
        for ruler, errors in (("gold", simulate.AGAINST_GOLD), ("silver", simulate.AGAINST_TWIN)):
            loss = _with(simulate.losses(rng, table, errors, draws), difference * _old(table))
            scores = simulate.scores(rng, table, loss, ruler)
            family = stacked.scores(scores)
            verdicts[ruler] = stacked.significant(np.stack([*family.values()]))
            found.add(f"{ruler}: Dice, discs, by age", verdicts[ruler][list(family).index(("age", "discs", "dice"))])
            numbers[ruler].append(verdicts[ruler].sum(axis=0).mean())
            numbers["tests"].append(len(family))
            spread[ruler] = scores.values["discs", "dice"].var(axis=0, ddof=1)
        numbers["flips"].append((verdicts["gold"] != verdicts["silver"]).sum(axis=0).mean())
        numbers["ratio"].append((spread["silver"] / spread["gold"]).mean())
    return found, {name: float(np.mean(values)) for name, values in numbers.items()}


def worse_ruler(redraws: int, seed: int, difference: float, of_ruler: float) -> tuple[Counts, dict[str, float]]:
    """A model that loses `difference` in old people's discs, and a second ruler that is worse there by `of_ruler`.

    The second ruler is the mask of an independent network. Two independent masks seldom err at the same place, so that
    their losses add up.
    """
    found, gaps = Counts(), defaultdict(list)
    for rng, table, draws in _blocks(seed, redraws):
        model = _with(simulate.losses(rng, table, simulate.AGAINST_GOLD, draws), difference * _old(table))
        network = _with(simulate.losses(rng, table, simulate.AGAINST_GOLD, draws), of_ruler * _old(table))
        both = {structure: model[structure] + network[structure] for structure in model}
        pair = simulate.scores(rng, table, model, "gold"), simulate.scores(rng, table, both, "silver")
        for scores in pair:
            family = stacked.scores(scores)
            verdicts = stacked.significant(np.stack([*family.values()]))
            of_age = verdicts[list(family).index(("age", "discs", "dice"))]
            found.add(f"{scores.ruler}: Dice, discs, by age", of_age)
        grouping = group(table, COLUMNS["age"])
        for draw in range(draws):
            single = rulers.match(*(stacked.column(scores, draw) for scores in pair))
            _, rows = rulers.spread_and_gaps(single, [(grouping, grouping)], resamples=400)
            row = rows[(rows["group"] == OLD) & (rows["structure"] == "discs") & (rows["measure"] == "dice")].iloc[0]
            for ruler in ("gold", "silver"):
                gaps[ruler].append(row[f"gap_{ruler}"])
            found.add("added gap told", row["high"] < 0)
            found.add("interval holds the added gap", row["low"] <= -of_ruler <= row["high"])
    return found, {name: float(np.mean(values)) for name, values in gaps.items()}


def repeated(redraws: int, seed: int, patients: tuple[int, ...]) -> Counts:
    """Patients with several exams: how often 95 % intervals of the mean hold the truth, by patients and by exams."""
    found = Counts()
    errors = replace(simulate.AGAINST_GOLD, normal=True)
    truth = 1 - errors.loss["discs"] * np.exp(errors.spread**2 / 2)
    for rng, table, draws in _blocks(seed, redraws, patients):
        dice = 1 - simulate.losses(rng, table, errors, draws)["discs"]
        for name, clusters in (("by patient", table["patient"]), ("by exam", None)):
            for column in dice.T:
                interval = statistics.bootstrap(column, clusters, resamples=1000, seed=int(rng.integers(1 << 30)))
                found.add(name, interval.low <= truth <= interval.high)
    return found


def rate_gap(redraws: int, seed: int, difference: float) -> tuple[Counts, float]:
    """Success rates of men and women that truly differ: how often the interval of the DPD holds the truth."""
    from scipy.stats import norm

    found, errors = Counts(), simulate.AGAINST_GOLD
    limits = np.log((0.2 - np.array([0.0, difference])) / errors.loss["discs"]) / errors.spread
    truth = float(np.subtract(*norm.cdf(limits)))
    for rng, table, draws in _blocks(seed, redraws):
        men = (table["sex"] == "M").to_numpy()
        loss = _with(simulate.losses(rng, table, errors, draws), difference * men)["discs"]
        units = of_groups(group(table, COLUMNS["sex"]), table["patient"].to_numpy())
        sums, counts = units.sums((loss < 0.2).astype(float))
        seen = rates.disparity(rates.rates_of(units, sums, counts))
        (low, high), _ = rates.intervals(units, sums, counts, seen, 2000, int(rng.integers(1 << 30)))
        found.add("holds the truth", (low <= truth) & (truth <= high))
        p = rates.p_values(units, sums, counts, seen, 2000, int(rng.integers(1 << 30)))
        found.add("p below 5 %", p < ALPHA)
    return found, truth


def size(redraws: int, seed: int, exponent: float) -> Counts:
    """Larger structures have smaller losses, and sex matters in no other way: how often sex is blamed."""
    found = Counts()
    for rng, table, draws in _blocks(seed, redraws):
        loss = simulate.losses(rng, table, replace(simulate.AGAINST_GOLD, size=exponent), draws)
        scores = simulate.scores(rng, table, loss)
        found.add("test", stacked.scores(scores, ["sex"])["sex", "discs", "dice"] < ALPHA)
        found.add("adjusted", _models(scores)["sex: M against F"] < ALPHA)
    return found


def _models(scores: Scores) -> dict[str, np.ndarray]:
    """p of each term of the adjusted model of the Dice of discs, (draws,)."""
    frame, _ = adjusted.design(scores, [])
    frame[adjusted.VOLUME] = scores.exams["discs_mm3"].to_numpy(float) / 10_000
    terms = [name for name in frame.columns if name != "patient"]
    found = defaultdict(list)
    for column in scores.values["discs", "dice"].T:
        rows = statistics.adjusted_model(frame.assign(outcome=column), "outcome", terms, "patient")
        for term, p in zip(rows["term"], rows["p"], strict=True):
            # The larger sex is the one to compare with, and either may be.
            found["sex: M against F" if term.startswith("sex: ") else term].append(p)
    return {term: np.array(p) for term, p in found.items()}


def _with(loss: Mapping[str, np.ndarray], more: np.ndarray) -> dict[str, np.ndarray]:
    """Losses, those of the discs larger by `more` (exams,)."""
    return {**loss, "discs": loss["discs"] + more[:, None]}


def _old(table: pandas.DataFrame) -> np.ndarray:
    return (group(table, COLUMNS["age"]).labels == OLD).to_numpy(float)


def _blocks(
    seed: int, redraws: int, patients: tuple[int, ...] = simulate.GOLD
) -> Iterator[tuple[np.random.Generator, pandas.DataFrame, int]]:
    """A generator, a table of exams, and how many draws of scores it is for."""
    for number, start in enumerate(range(0, redraws, DRAWS)):
        rng = np.random.default_rng([seed, number])
        yield rng, simulate.exams(rng, patients), min(DRAWS, redraws - start)
