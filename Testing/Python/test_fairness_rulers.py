"""Two rulers side by side: the variance ratio, the gaps, the verdicts that flip, and which exams are compared."""

from __future__ import annotations

import numpy as np
import pytest
from fairness_cases import made, of_dice, people, row, table, written

from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation.fairness import two_rulers
from CSpineSegLib.evaluation.fairness.rulers import match, of_pair


def quick(first, second, by="sex"):
    return of_pair(match(first, second), by, 200, 300)


@pytest.fixture(scope="module")
def near_twins():
    """Men lose .008 of Dice under both rulers; against Silver the scores hardly vary."""
    rng = np.random.default_rng(1)
    exams = people({"F": 80, "M": 70})
    lost = 0.008 * (exams["sex"] == "M").to_numpy()
    noise = rng.normal(0, 1, (2, 150))
    return of_dice(exams, 0.88 - lost + 0.05 * noise[0]), of_dice(exams, 0.975 - lost + 0.006 * noise[1], "silver")


def test_near_identical_labels_collapse_the_variance_and_the_verdict_flips(near_twins):
    gold, silver = near_twins
    section = quick(gold, silver)
    found = row(table(section, "verdicts"), structure="discs", figure="dice")
    assert not found["significant_gold"] and found["significant_silver"] and found["flips"]
    assert found["verdict"] == "only against Silver"
    text = " ".join(section.sentences)
    assert "labels and predictions are near-twins" in text and "Significant only against Silver: sex, " in text
    assert "0 of 24 tests are significant against Gold" in text
    assert "holds against Silver alone is no finding" in section.warnings[0]


def test_variance_ratio_and_gaps_are_those_computed_by_hand(near_twins):
    gold, silver = near_twins
    section = quick(gold, silver)
    (dice, other), men = (scores.values["discs", "dice"] for scores in near_twins), np.arange(150) >= 80
    spread = row(table(section, "variance"), group="M", structure="discs", measure="dice")
    assert spread["variance_ratio"] == pytest.approx(other[men].var(ddof=1) / dice[men].var(ddof=1), rel=1e-9)
    assert spread["sd_gold"] == pytest.approx(dice[men].std(ddof=1), rel=1e-9)
    assert spread["low"] < spread["variance_ratio"] < spread["high"]
    gap = row(table(section, "gaps"), group="M", structure="discs", measure="dice")
    by_hand = [values[men].mean() - values[~men].mean() for values in (dice, other)]
    assert (gap["gap_gold"], gap["gap_silver"]) == pytest.approx(by_hand, abs=1e-12)
    assert gap["difference"] == pytest.approx(by_hand[1] - by_hand[0], abs=1e-12)


def test_the_errors_of_a_worse_ruler_are_told_from_those_of_the_model():
    rng = np.random.default_rng(2)
    exams = people({"F": 100, "M": 100})
    men = (exams["sex"] == "M").to_numpy()
    gold = 0.9 - 0.03 * rng.random(200)
    section = quick(of_dice(exams, gold), of_dice(exams, gold - 0.06 * men - 0.03 * rng.random(200), "network"))
    gap = row(table(section, "gaps"), group="M", structure="bodies", measure="dice")
    # 100 each and an SD of .009: the added gap is told to about .0012, here within five of these.
    assert gap["difference"] == pytest.approx(-0.06, abs=0.006)
    assert gap["low"] < gap["difference"] < gap["high"] < -0.05 and gap["high"] - gap["low"] < 0.008
    assert any("makes it larger by" in sentence for sentence in section.sentences)
    assert all("Gold" in one.title and "network" in one.title for one in section.tables), [
        one.title for one in section.tables
    ]


def test_exams_without_a_difference_in_either_have_no_flip():
    rng = np.random.default_rng(3)
    exams = people({"F": 60, "M": 60})
    section = quick(*(of_dice(exams, rng.uniform(0.6, 1, 120), ruler) for ruler in ("gold", "silver")))
    assert not table(section, "verdicts")["flips"].any()
    assert "0 verdicts flip" in " ".join(section.sentences)


def test_gold_comes_first_in_whatever_order_they_are_given(near_twins):
    gold, silver = near_twins
    one, other = quick(gold, silver), quick(silver, gold)
    assert one.sentences == other.sentences
    assert all(a.frame.equals(b.frame) for a, b in zip(one.tables, other.tables, strict=True))


def test_exams_in_both_evaluations_are_compared_and_no_others(near_twins):
    gold, silver = near_twins
    kept = silver.exams.index[::-1][:100]
    section = quick(gold, silver.at(kept))
    assert "in the same 100 exams" in section.sentences[0]
    exams = table(section, "variance")[["exams_gold", "exams_silver"]]
    assert (exams["exams_gold"] == exams["exams_silver"]).all()
    whole = quick(gold.at(kept), silver.at(kept))
    tests = [table(one, "verdicts").query("kind == 'score'") for one in (section, whole)]
    one, other = (frame.set_index(["structure", "figure"])["p_gold"].sort_index() for frame in tests)
    assert np.allclose(one, other, rtol=1e-9)


def test_rulers_with_exams_of_their_own_are_compared_with_a_warning():
    gold, silver = made(4), made(5, "silver")
    silver.exams.index = [f"other-{name}" for name in silver.exams.index]
    section = quick(gold, silver)
    assert any("exams of its own" in warning for warning in section.warnings)
    assert "in 168 exams against Gold and 168 exams against Silver" in section.sentences[0]


def test_one_ruler_twice_and_nothing_to_compare_are_refused(near_twins):
    gold, silver = near_twins
    with pytest.raises(InputError, match=r"Both evaluations measure against Gold; .*--reference"):
        match(gold, gold)
    with pytest.raises(InputError, match="nothing to compare by age"):
        quick(gold, silver, "age")
    with pytest.raises(InputError, match="'height' is nothing to group by"):
        quick(gold, silver, "height")


def test_evaluations_of_differently_named_predictions_are_warned_of(tmp_path):
    gold, silver = made(6, patients=(80, 2, 1)), made(6, "silver", patients=(80, 2, 1))
    found = [written(scores, tmp_path / scores.ruler) for scores in (gold, silver)]
    found[1].record["predictions"] = "another"
    section = two_rulers(*found, "sex", resamples=100, permutations=100)
    assert any("differently named predictions: another, my-model" in warning for warning in section.warnings)
    assert section.key == "fairness-rulers" and len(section.figures) == 2


def test_an_effect_has_one_sign_under_both_rulers_whichever_group_is_larger_there():
    rng = np.random.default_rng(7)
    gold, silver = people({"F": 90, "M": 60}), people({"F": 60, "M": 90})
    silver.index = [f"other-{name}" for name in silver.index]
    silver["patient"] = [f"other-{name}" for name in silver["patient"]]
    # Women are better by far under both rulers, which share no exam.
    scores = [
        of_dice(exams, rng.uniform(0.7, 0.8, 150) + 0.1 * (exams["sex"] == "F").to_numpy(), ruler)
        for exams, ruler in ((gold, "gold"), (silver, "silver"))
    ]
    found = row(table(quick(*scores), "verdicts"), structure="discs", figure="dice")
    assert found["effect_gold"] == found["effect_silver"] == 1.0
    assert found["groups_gold"] == found["groups_silver"] == "F, M"


def test_a_gap_that_changes_its_sign_is_not_said_to_grow_by_all_of_that():
    rng = np.random.default_rng(8)
    exams = people({"F": 100, "M": 100})
    men, noise = (exams["sex"] == "M").to_numpy(), rng.normal(0, 0.004, 200)
    noise -= np.where(men, noise[men].mean(), noise[~men].mean())
    section = quick(of_dice(exams, 0.85 - 0.01 * men + noise), of_dice(exams, 0.85 + 0.03 * men + noise, "silver"))
    told = [sentence for sentence in section.sentences if sentence.startswith("The gap of Dice of discs in M")]
    assert ["is -0.010 against Gold and +0.030 against Silver" in one for one in told] == [True]
    assert "turns it round and moves it by 0.040" in told[0] and "larger" not in told[0]
