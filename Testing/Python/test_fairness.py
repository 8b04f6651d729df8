"""The audit: what it tests, what it counts as a success, what it leaves out, and that it says against what."""

from __future__ import annotations

import numpy as np
import pytest
from fairness_cases import made, of_dice, people, row, table, written
from scipy import stats

from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation import statistics
from CSpineSegLib.evaluation.fairness import adjusted, audit, groups, rates, units
from CSpineSegLib.evaluation.fairness.auditing import of_scores
from CSpineSegLib.evaluation.fairness.differences import ranked
from CSpineSegLib.evaluation.fairness.scores import SUCCESSES

QUICK = {"resamples": 200, "permutations": 200}


def quick(scores, by="sex"):
    return of_scores(scores, by, 200, 200)


@pytest.fixture(scope="module")
def two():
    """60 women with Dice between .80 and .98, and 50 men with .06 less."""
    rng = np.random.default_rng(1)
    dice = np.concatenate([rng.uniform(0.80, 0.98, 60), rng.uniform(0.74, 0.92, 50)])
    return of_dice(people({"F": 60, "M": 50}), dice)


def test_scores_of_two_groups_are_compared_by_mann_whitney_with_its_effect_size(two):
    found = row(table(quick(two), "tests"), structure="discs", measure="dice")
    dice = two.values["discs", "dice"]
    known = stats.mannwhitneyu(dice[:60], dice[60:], method="asymptotic")
    assert (found["test"], found["patients"]) == ("Mann-Whitney U", "F 60, M 50")
    assert found["p"] == pytest.approx(known.pvalue, rel=1e-9)
    assert found["effect"] == pytest.approx(2 * known.statistic / 3000 - 1, abs=1e-12), "women are better: positive"


def test_three_groups_are_compared_by_kruskal_wallis_and_then_pair_by_pair():
    scores = made(3, patients=(230, 5, 2))
    section = quick(scores, "age")
    found = row(table(section, "tests"), structure="bodies", measure="hd95_mm")
    labels = [groups.age_group(*pair) for pair in zip(scores.exams["age"], scores.exams["age_over_89"], strict=True)]
    person = scores.exams["patient"].to_numpy()
    means = scores.exams.assign(group=labels, value=scores.values["bodies", "hd95_mm"]).groupby(person)
    first = means.agg({"group": "first", "value": "mean"})
    known = stats.kruskal(*[part["value"] for _, part in first.groupby("group")])
    assert found["test"] == "Kruskal-Wallis H" and found["effect_name"] == "epsilon squared"
    assert found["p"] == pytest.approx(known.pvalue, rel=1e-9)
    pairs = table(section, "pairs")
    assert len(pairs) == 3 * 15 and set(pairs["first"]) == {"<40", "40-60"}


def test_p_values_are_adjusted_over_all_tests_of_the_audit():
    found = table(quick(made(4), "sex,age,manufacturer"), "tests")
    assert len(found) == 3 * 15
    assert np.allclose(found["p_adjusted"], stats.false_discovery_control(found["p"]), atol=1e-12)
    assert (found["significant"] == (found["p_adjusted"] < 0.05)).all()
    assert found["p"].is_monotonic_increasing, "what matters most comes first"


def test_exams_of_one_patient_count_as_one_value():
    rng = np.random.default_rng(2)
    exams, dice = people({"F": 40, "M": 40}), rng.uniform(0.7, 0.95, 80)
    once = row(table(quick(of_dice(exams, dice)), "tests"), structure="discs", measure="dice")
    again = exams.iloc[np.repeat(np.arange(80), 3)]
    again.index = [f"{exam}-{number}" for number, exam in enumerate(again.index)]
    thrice = row(table(quick(of_dice(again, np.repeat(dice, 3))), "tests"), structure="discs", measure="dice")
    assert thrice["p"] == pytest.approx(once["p"], rel=1e-9) and thrice["patients"] == once["patients"]


def test_success_rates_and_their_disparity_are_those_computed_by_hand():
    dice = np.concatenate([np.repeat([0.9, 0.7], [38, 2]), np.repeat([0.9, 0.7], [24, 8])])
    section = quick(of_dice(people({"F": 40, "M": 32}), dice, hd95=np.where(dice > 0.8, 4.9, 5.0)))
    for success in ("Dice > 0.8", "nDSC > 0.8", "HD95 < 5 mm"):
        found = row(table(section, "disparity"), structure="bodies", success=success)
        assert (found["best"], found["worst"]) == ("F", "M")
        assert found["dpd"] == pytest.approx(0.95 - 0.75, abs=1e-12)
        assert found["dir"] == pytest.approx(0.75 / 0.95, abs=1e-12)
        assert found["dpd_low"] < found["dpd"] < found["dpd_high"] and found["dir_low"] < 0.79 < found["dir_high"]
        rate = row(table(section, "rates"), structure="bodies", success=success, group="M")
        assert (rate["exams"], rate["successes"], rate["rate"]) == (32, 24, 0.75)
        assert (rate["low"], rate["high"]) == pytest.approx(rates.wilson(0.75, 32))


def test_a_score_at_the_threshold_is_no_success():
    dice, ndsc, hd95 = SUCCESSES
    assert [one.sentence for one in SUCCESSES] == ["Dice > 0.8", "nDSC > 0.8", "HD95 < 5 mm"]
    assert dice.of(np.array([0.8, 0.81, np.nan])).tolist()[:2] == [0.0, 1.0]
    assert hd95.of(np.array([5.0, 4.99, np.inf])).tolist() == [0.0, 1.0, 0.0]
    assert np.isnan(ndsc.of(np.array([np.nan]))[0])


def test_p_of_the_disparity_is_that_of_all_ways_to_deal_the_groups():
    # Fisher's exact test deals the same groups in all ways; 20,000 shuffles are within .01 of it with > 4 SD.
    success = np.repeat([1.0, 0, 1, 0], [20, 12, 28, 3])[:, None]
    grouping = groups.group(people({"F": 32, "M": 31}), groups.COLUMNS["sex"])
    found = units.of_groups(grouping, np.arange(63))
    sums, counts = found.sums(success)
    seen = rates.disparity(rates.rates_of(found, sums, counts))
    p = rates.p_values(found, sums, counts, seen, 20_000)[0]
    # Two-sided by the size of the difference of rates, as the DPD is, and not by how rare a table is.
    ways = stats.hypergeom(63, 48, 32)
    gaps = {hits: abs(hits / 32 - (48 - hits) / 31) for hits in range(17, 33)}
    known = sum(ways.pmf(hits) for hits, gap in gaps.items() if gap >= seen.dpd[0] - 1e-12)
    assert p == pytest.approx(known, abs=0.01) and 0.001 < known < 0.2


def test_the_sweep_meets_the_table_at_the_thresholds_of_the_audit():
    section = quick(made(5, worse=0.03), "sex,age")
    sweep, main = table(section, "sweep"), table(section, "disparity")
    for success in SUCCESSES:
        at = sweep[(sweep["measure"] == success.key) & (sweep["threshold"] == success.threshold)]
        known = main[main["success"] == success.sentence].set_index(["by", "structure"])
        joined = at.set_index(["by", "structure"]).join(known, rsuffix="_known")
        assert len(joined) == 6 and (joined["dpd"] == joined["dpd_known"]).all()
        assert (joined["dir_low"] == joined["dir_low_known"]).all()
    assert sweep.groupby("measure")["threshold"].nunique().to_dict() == {"dice": 10, "hd95_mm": 10, "ndsc": 10}


def test_an_undefined_distance_of_one_empty_mask_is_a_failure_and_ranks_last():
    dice = np.concatenate([np.full(40, 0.9), np.full(36, 0.9), np.zeros(4)])
    hd95 = np.where(dice > 0, 2.0, np.nan)
    scores = of_dice(people({"F": 40, "M": 40}), dice, hd95=hd95)
    section = quick(scores)
    found = row(table(section, "disparity"), structure="discs", success="HD95 < 5 mm")
    assert (found["worst"], found["dpd"]) == ("M", pytest.approx(0.1))
    test = row(table(section, "tests"), structure="discs", measure="hd95_mm")
    known = statistics.two_groups(np.full(40, 2.0), np.repeat([2.0, 99.0], [36, 4]))
    assert test["p"] == pytest.approx(known.p) and test["patients"] == "F 40, M 40"
    men = row(table(section, "groups"), structure="discs", measure="hd95_mm", group="M")
    assert (men["undefined"], men["exams"], men["mean"]) == (4, 40, 2.0)
    assert "In 4 exams one of the two masks has no discs; they count as failures." in section.sentences
    assert "ranks last" in section.tables[0].note


def test_exams_in_which_both_masks_are_empty_are_left_out_and_counted():
    dice = np.concatenate([np.full(40, 0.7), np.full(36, 0.7), np.ones(4)])
    scores = of_dice(people({"F": 40, "M": 40}), dice, hd95=np.where(dice == 1, np.nan, 6.0))
    section = quick(scores)
    found = row(table(section, "rates"), structure="bodies", success="Dice > 0.8", group="M")
    assert (found["exams"], found["rate"]) == (36, 0.0)
    assert row(table(section, "tests"), structure="bodies", measure="dice")["patients"] == "F 40, M 36"
    assert "In 4 exams neither mask has bodies; they are left out of the figures of bodies." in section.sentences


def test_a_model_with_the_size_of_the_structure_tells_size_from_sex():
    rng = np.random.default_rng(6)
    exams = people({"F": 150, "M": 150})
    exams["discs_mm3"] = np.repeat([10_000.0, 14_000.0], 150) * np.exp(rng.normal(0, 0.15, 300))
    exams["age"] = rng.uniform(20, 80, 300)
    dice = 0.7 + 0.15 * exams["discs_mm3"] / 14_000 + rng.normal(0, 0.03, 300)
    found = row(table(quick(of_dice(exams, dice.to_numpy())), "adjusted"),
                structure="discs", measure="dice", term="sex: M against F")  # fmt: skip
    assert found["alone"] == pytest.approx(0.15 * 4 / 14, abs=0.015) and found["alone_p"] < 1e-6
    # The truth is 0: inside the 95 % interval of this seed, which is narrow enough to say something.
    assert found["low"] < 0 < found["high"] and found["high"] - found["low"] < 0.03


def test_a_mixture_of_small_groups_is_held_in_the_model_and_not_tested():
    rng = np.random.default_rng(8)
    exams = people({"White": 60, "Black or African American": 50, "Asian": 8}, "race")
    exams["sex"] = rng.choice(["F", "M"], 118)
    exams["discs_mm3"] = rng.uniform(10_000, 14_000, 118)
    # The eight are far from the rest, which says nothing about any group of people.
    dice = 0.9 + rng.normal(0, 0.02, 118) - 0.1 * np.repeat([0, 1], [110, 8])
    section = quick(of_dice(exams, dice), "race")
    found = row(table(section, "adjusted"),
                structure="discs", measure="dice", term=f"race: {adjusted.OTHERS} against White")  # fmt: skip
    assert found["estimate"] == pytest.approx(-0.1, abs=0.03)
    assert np.isnan(found["p"]) and np.isnan(found["alone_p"]) and not found["significant"]
    assert "not tested" in found["note"]
    assert not any(adjusted.OTHERS in sentence for sentence in section.sentences)


def test_what_a_group_could_have_shown_is_found_with_a_power_of_80_percent(two):
    found = row(table(quick(two), "detectable"), structure="discs", measure="dice", group="M")
    dice = two.values["discs", "dice"]
    sd = np.sqrt((59 * dice[:60].var(ddof=1) + 49 * dice[60:].var(ddof=1)) / 108)
    assert (found["patients"], found["others"]) == (50, 60)
    assert found["difference"] == pytest.approx(dice[60:].mean() - dice[:60].mean(), abs=1e-12)
    assert found["sd"] == pytest.approx(sd, rel=1e-9)
    assert statistics.power_of(found["detectable"], sd, 50, 60) == pytest.approx(0.8, abs=1e-6)
    strict = statistics.power_of(found["detectable_family"], sd, 50, 60, alpha=0.05 / 15)
    assert strict == pytest.approx(0.8, abs=1e-6)


def test_small_and_unknown_groups_are_described_and_not_tested():
    exams = people({"White": 40, "Black or African American": 35, "Asian": 8, "Not Reported": 5}, "race")
    section = quick(of_dice(exams, np.random.default_rng(7).uniform(0.7, 1, 88)), "race")
    described = table(section, "groups")
    assert set(described["group"]) == {"White", "Black or African American", "Asian", "not known"}
    assert not described[described["group"].isin(["Asian", "not known"])]["tested"].any()
    assert set(table(section, "rates")["group"]) == {"White", "Black or African American"}
    text = " ".join(section.sentences)
    assert "groups of under 30 patients are described and not tested: Asian (8)." in text
    assert "Of 5 patients the race is not known" in text


def test_a_column_with_one_group_is_said_and_refused_only_if_nothing_is_left(two):
    section = quick(two, "sex,age")
    assert "By age there is nothing to compare: age has one group, 40-60 (110 patients)." in section.sentences
    assert set(table(section, "tests")["by"]) == {"sex"}
    with pytest.raises(InputError, match=r"nothing to compare by age: age has one group.*two groups of 30 patients"):
        quick(two, "age")


@pytest.mark.parametrize("ruler", ["gold", "silver", "my masks"])
def test_every_table_and_figure_names_its_ruler(ruler):
    named = {"gold": "Gold", "silver": "Silver"}.get(ruler, "the masks in my masks")
    scores = made(8, patients=(70, 2, 1))
    section = quick(type(scores)(ruler, *list(vars(scores).values())[1:]), "sex,manufacturer")
    assert len(section.tables) >= 6 and len(section.figures) >= 5
    assert named in section.title
    for one in section.tables:
        assert named in one.title and set(one.frame["ruler"]) == {ruler}, one.name
    for figure in section.figures:
        assert named in figure.caption, figure.name
    warning = " ".join(section.warnings)
    if ruler == "silver":
        assert "near-twins" in warning and "collapses the variance" in warning and "false magnitude" in warning
    else:
        assert bool(warning) == (ruler != "gold")


def test_an_evaluation_on_disk_gives_the_same_audit_twice(tmp_path):
    scores = made(9, patients=(70, 2, 1), worse=0.05)
    results = written(scores, tmp_path / "results")
    first, again = (audit(results, "sex,age", **QUICK) for _ in range(2))
    assert first.sentences == again.sentences and first.key == "fairness-gold"
    for one, other in zip(first.tables, again.tables, strict=True):
        assert one.frame.equals(other.frame), one.name
    direct = quick(scores, "sex,age")
    by = ["by", "structure", "measure"]
    joined = table(first, "tests").set_index(by).join(table(direct, "tests").set_index(by), rsuffix="_direct")
    assert np.allclose(joined["p"], joined["p_direct"], rtol=1e-9)
    assert first.sentences[0] == "my-model was measured against Gold in 77 exams of 73 patients."


def test_ranks_see_an_infinite_distance_behind_every_number():
    assert ranked(np.array([1.0, np.inf, 7.0, np.nan]))[:3].tolist() == [1.0, 15.0, 7.0]


def test_equal_success_rates_are_said_to_be_equal_and_no_group_is_called_the_worst():
    section = quick(of_dice(people({"F": 40, "M": 40}), np.full(80, 0.95)))
    text = " ".join(section.sentences)
    assert "success rates are the same in all tested groups" in text
    assert "smallest ratio" not in text and "nan" not in text


def test_a_term_alone_is_of_the_very_exams_of_the_model():
    rng = np.random.default_rng(5)
    # Four of no known race are too few to be held in a model, and much worse than the others.
    exams = people({"White": 60, "Black": 50, "": 4}, "race")
    exams["sex"] = np.where(np.arange(114) % 2, "F", "M")
    dice = rng.uniform(0.85, 0.95, 114) - np.where(exams["race"] == "", 0.5, 0)
    dice[exams["race"] == ""] -= 0.1 * (exams["sex"] == "F")[exams["race"] == ""]
    scores = of_dice(exams, dice)
    rows, _ = adjusted.models(scores, [groups.COLUMNS["race"]])
    found = next(one for one in rows if one["term"].startswith("sex") and one["measure"] == "dice")
    known = exams["race"] != ""
    women, men = (dice[known & (exams["sex"] == sex)].mean() for sex in "FM")
    assert (found["n"], found["term"]) == (110, "sex: M against F")
    assert found["alone"] == pytest.approx(men - women)
