"""Redraws with a known truth: what is stacked is what the audit computes, and its rates are what theory says."""

from __future__ import annotations

import numpy as np
import pytest
from fairness_cases import people
from scipy.stats import binom

from CSpineSegLib.evaluation import statistics
from CSpineSegLib.evaluation.fairness import groups, simulate, stacked, trials, units
from CSpineSegLib.evaluation.fairness.differences import split
from CSpineSegLib.evaluation.fairness.planted import PLANTED, lose_boundary


def likely(rate: trials.Rate, chance: float) -> bool:
    """Whether so many hits come about in all but one of 10,000 runs if each has this chance."""
    return binom.ppf(5e-5, rate.of, chance) <= rate.hits <= binom.ppf(1 - 5e-5, rate.of, chance)


@pytest.mark.parametrize("sizes", [{"F": 40, "M": 33}, {"a": 30, "b": 35, "c": 50}])
def test_stacked_ranks_give_the_p_values_of_the_tests(sizes):
    exams = people(sizes)
    found = units.of_groups(groups.group(exams, groups.COLUMNS["sex"]), exams["patient"].to_numpy())
    values = np.random.default_rng(1).normal(size=(len(exams), 4)).round(1)
    values[:, 3] = 1.0
    p = stacked.by_ranks(found, values)
    for draw in range(4):
        parts = split(found, values[:, draw])
        known = statistics.two_groups(*parts.values()) if len(parts) == 2 else statistics.several_groups(parts)
        assert p[draw] == pytest.approx(known.p, rel=1e-9)


def test_made_exams_are_patterned_on_the_release():
    table = simulate.exams(np.random.default_rng(2), simulate.ALL)
    assert (len(table), table["patient"].nunique()) == (1255, 1232)
    assert sorted(table["patient"].value_counts().value_counts().items()) == [(1, 1213), (2, 15), (3, 4)]
    patients = table.groupby("patient").first()
    # Four standard errors of a share in 1,232.
    assert (patients["sex"] == "F").mean() == pytest.approx(675 / 1232, abs=4 * 0.0142)
    assert (table["manufacturer"] == "Siemens").mean() == pytest.approx(789 / 1255, abs=4 * 0.0137)
    assert np.nanmean(patients["age"]) == pytest.approx(54.5, abs=4 * 16.4 / 35)
    volumes = patients.groupby("sex")["discs_mm3"].median()
    assert volumes["M"] / volumes["F"] == pytest.approx(1.23, abs=4 * 0.0093)


def test_losses_have_the_spread_that_power_is_computed_with():
    rng = np.random.default_rng(3)
    table = simulate.exams(rng, (2000,))
    loss = simulate.losses(rng, table, simulate.AGAINST_GOLD, draws=20)
    for structure in ("bodies", "discs"):
        assert loss[structure].std() == pytest.approx(simulate.AGAINST_GOLD.sd(structure), rel=0.03)


def test_without_a_difference_five_percent_of_tests_say_so():
    hits = trials.Counts()
    for number in range(10):
        rng = np.random.default_rng([4, number])
        table = simulate.exams(rng, (230, 5, 1))
        scores = simulate.scores(rng, table, simulate.losses(rng, table, simulate.AGAINST_GOLD, 40))
        family = stacked.scores(scores, ["sex", "age", "manufacturer"])
        for by in ("sex", "age", "manufacturer"):
            hits.add(by, family[by, "discs", "dice"] < 0.05)
        p = stacked.rates(scores, ["sex"], permutations=400)["sex", "discs", "Dice > 0.8"]
        hits.add("rate", p < 0.05)
        hits.add("any", stacked.significant(np.stack([*family.values()])).any(axis=0))
    for by in ("sex", "age", "manufacturer"):
        assert hits[by].of == 400 and likely(hits[by], 0.05), (by, hits[by])
    # Ties among dealt groups make the test of rates a little strict, never lax.
    assert hits["rate"].hits <= binom.ppf(1 - 5e-5, 400, 0.05) and hits["rate"].hits > 0
    assert hits["any"].hits <= binom.ppf(1 - 5e-5, 400, 0.05), "Benjamini and Hochberg hold the whole audit at 5 %"


def test_a_known_difference_is_found_as_often_as_computed():
    found, computed = trials.effect(60, 5, 0.012)
    assert 0.5 < computed < 0.95
    # The rank test is as strong as the t-test to within a few percent if scores are normal.
    assert likely(found["normal"], computed - 0.03) or likely(found["normal"], computed)
    assert found["skewed"].hits >= binom.ppf(5e-5, 60, computed), "skewed scores are easier for ranks"


def test_near_twins_make_a_meaningless_difference_significant():
    found, means = trials.twins(40, 6, 0.004)
    assert means["ratio"] < 0.1
    assert found["gold: Dice, discs, by age"].share < 0.2
    assert found["silver: Dice, discs, by age"].share > 0.6
    assert means["silver"] > means["gold"] + 1


def test_a_worse_ruler_makes_a_fair_model_unfair_and_the_added_gap_is_told():
    found, means = trials.worse_ruler(10, 7, 0.0, 0.04)
    # Means of 10 redraws, each with a standard error of .005 against Gold and .007 against Silver.
    assert means["gold"] == pytest.approx(0, abs=0.008) and means["silver"] == pytest.approx(-0.04, abs=0.011)
    assert found["silver: Dice, discs, by age"].share > 0.7 > 0.3 > found["gold: Dice, discs, by age"].share
    assert found["added gap told"].share > 0.8
    assert found["interval holds the added gap"].hits >= binom.ppf(5e-5, 10, 0.95)


def test_intervals_by_patient_hold_the_truth_where_naive_ones_do_not():
    found = trials.repeated(100, 8, (10, 10, 40))
    assert found["by patient"].hits >= binom.ppf(5e-5, 100, 0.95)
    assert found["by exam"].hits < binom.ppf(5e-5, 100, 0.95)


def test_size_is_blamed_on_sex_by_the_test_and_not_by_the_adjusted_model():
    found = trials.size(20, 9, 0.8)
    assert found["test"].share > 0.8
    assert found["adjusted"].hits <= binom.ppf(1 - 5e-5, 20, 0.05)


def test_what_is_planted_grows_with_age_and_harms_nobody_else():
    assert [PLANTED.lost(age) for age in (None, 18, 60)] == [0, 0, 0]
    lost = PLANTED.lost(np.array([60.1, 75, 90, 95]))
    assert (np.diff(lost)[:2] > 0).all() and lost[2] == lost[3] == PLANTED.share_oldest
    # A loss of the share s costs s / 2 of Dice, here over ages as in the release.
    ages = np.random.default_rng(10).normal(54.5, 16.4, 100_000)
    assert PLANTED.lost(ages[ages > 60]).mean() / 2 == pytest.approx(PLANTED.dice, abs=0.003)


def test_lost_voxels_are_of_the_boundary_of_one_structure():
    labels = np.zeros((20, 20, 6), np.uint8)
    labels[4:16, 5:15, 1:5] = 2
    labels[4:16, 15:18, 1:5] = 1
    left = lose_boundary(labels, 2, 0.1, np.random.default_rng(11), axes=(0, 1))
    changed = left != labels
    assert changed.sum() == round(0.1 * (labels == 2).sum()) and (labels[changed] == 2).all()
    assert not changed[5:15, 6:14, :].any(), "nothing inside"
    assert (left[changed] == 0).all() and labels[4, 5, 1] == 2, "the given mask stays"
    most = lose_boundary(labels, 2, 0.9, np.random.default_rng(11), axes=(0, 1))
    assert (most == 2).sum() == 10 * 8 * 4, "no more than the boundary goes"
    assert (lose_boundary(labels, 2, 0.0, np.random.default_rng(11)) == labels).all()
