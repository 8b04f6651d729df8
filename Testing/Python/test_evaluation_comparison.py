"""Models compared on the same exams: paired, by patient, adjusted, with what could have been seen."""

from __future__ import annotations

import numpy as np
import pytest
from comparison_cases import dice, drawn, evaluation
from scipy import stats

from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation import statistics
from CSpineSegLib.evaluation.comparison import compare
from CSpineSegLib.evaluation.comparison_zhou2025 import difference_of_medians
from CSpineSegLib.evaluation.report import plots


def table(section, name):
    (found,) = [one.frame for one in section.tables if one.name == name]
    return found


def row(section, name="comparison-classes", **wanted):
    frame = table(section, name)
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    (found,) = frame.to_dict("records")
    return found


def test_a_difference_is_the_first_minus_the_second_with_the_tests_of_the_statistics(tmp_path):
    a, b = drawn(1, 40, 0.01), drawn(2, 40)
    section = compare([evaluation(tmp_path / "A", dice(a)), evaluation(tmp_path / "B", dice(b))])
    found = row(section, structure="bodies", metric="dice")
    interval, test = statistics.bootstrap(a - b), statistics.paired(a - b, np.zeros(40))
    assert (found["pair"], found["exams"], found["patients"]) == ("A - B", 40, 40)
    assert (found["first"], found["second"]) == (pytest.approx(a.mean()), pytest.approx(b.mean()))
    assert found["difference"] == pytest.approx((a - b).mean())
    assert (found["low"], found["high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert (found["p"], found["effect"]) == (pytest.approx(test.p), pytest.approx(test.effect))
    assert found["effect"] > 0
    expected = statistics.minimum_detectable_difference(np.std(a - b, ddof=1), 40)
    assert found["detectable"] == pytest.approx(expected)


def test_exams_of_one_patient_are_one_case(tmp_path):
    a, b = drawn(1, 40, 0.004), drawn(2, 40)
    owners = {f"e{number:02d}": f"p{number // 4}" for number in range(40)}
    sides = [evaluation(tmp_path / name, dice(values), patients=owners) for name, values in (("A", a), ("B", b))]
    found = row(compare(sides), structure="bodies", metric="dice")
    means = (a - b).reshape(10, 4).mean(axis=1)
    interval = statistics.bootstrap(a - b, np.repeat(np.arange(10), 4))
    assert (found["exams"], found["patients"]) == (40, 10)
    assert (found["low"], found["high"]) == (pytest.approx(interval.low), pytest.approx(interval.high))
    assert found["p"] == pytest.approx(stats.wilcoxon(means).pvalue)
    assert found["detectable"] == pytest.approx(statistics.minimum_detectable_difference(means.std(ddof=1), 10))


def test_exams_in_one_model_only_are_listed_with_the_reason_and_counted(tmp_path):
    whole = dice(drawn(1, 12))
    part = {key: {exam: value for exam, value in values.items() if exam != "e03"} for key, values in whole.items()}
    other = {key: {exam: value for exam, value in values.items() if exam != "e05"} for key, values in whole.items()}
    sides = [evaluation(tmp_path / "A", part), evaluation(tmp_path / "B", other, failed=("e05",))]
    section = compare(sides)
    left = table(section, "comparison-left-out").set_index("exam")["reason"].to_dict()
    assert left == {"e03": "not in A", "e05": "B failed: no such mask."}
    assert row(section, structure="bodies", metric="dice")["exams"] == 10
    assert any("2 exams" in sentence for sentence in section.sentences)


def test_figures_that_a_model_lacks_are_left_out_by_pair_and_the_note_counts_them(tmp_path):
    near = np.linspace(1, 3, 10)
    far = near.copy()
    far[[2, 4]] = np.nan
    sides = [
        evaluation(tmp_path / name, {**dice(drawn(1, 10)), **dice(values, metric="hd95_mm")})
        for name, values in (("A", near + 0.1), ("B", far))
    ]
    found = row(compare(sides), structure="bodies", metric="hd95_mm")
    assert found["exams"] == 8 and found["difference"] == pytest.approx(0.1)
    assert "2 exams without this figure" in found["note"]


def test_holm_adjusts_all_pairs_and_structures_of_one_figure(tmp_path):
    sides = []
    for name, seed, shift in (("A", 1, 0.01), ("B", 2, 0.005), ("C", 3, 0.0)):
        scores = {**dice(drawn(seed, 30, shift)), **dice(drawn(seed + 10, 30), "discs")}
        scores |= dice(5 - 5 * drawn(seed, 30, shift), metric="hd95_mm")
        sides.append(evaluation(tmp_path / name, scores))
    frame = table(compare(sides), "comparison-classes")
    assert sorted(set(frame["pair"])) == ["A - B", "A - C", "B - C"]
    family = frame[frame["metric"] == "dice"]
    assert len(family) == 6
    assert family["p_holm"].tolist() == pytest.approx(statistics.adjust(family["p"], "holm").tolist())
    other = frame[frame["metric"] == "hd95_mm"]
    assert other["p_holm"].tolist() == pytest.approx(statistics.adjust(other["p"], "holm").tolist())


def test_levels_go_from_head_to_foot_and_what_the_reference_lacks_is_left_out(tmp_path):
    def levels(values):
        scores = {}
        for level in ("C7-T1", "C5", "C5+C6", "C2-C3", "C3"):
            scores |= dice(values, level, "level")
        scores |= dice([(0.0, "extra within a block")] * 12, "T1", "level")
        scores |= dice([(0.9, "matched; levels are only relative in the reference")] * 12, "vertebra 3", "level")
        return {**scores, **dice(values)}

    sides = [evaluation(tmp_path / name, levels(drawn(seed, 12))) for name, seed in (("A", 1), ("B", 2))]
    frame = table(compare(sides), "comparison-levels")
    assert frame["structure"].tolist() == ["C3", "C5", "C5+C6", "C2-C3", "C7-T1"]


def test_a_level_that_a_model_misses_counts_0_and_not_nothing(tmp_path):
    missed = [0.0 if number < 3 else 0.9 for number in range(12)]
    notes = [(value, "missing" if value == 0 else "matched") for value in missed]
    sides = [
        evaluation(tmp_path / "A", {**dice(drawn(1, 12)), **dice([0.9] * 12, "C5", "level")}),
        evaluation(tmp_path / "B", {**dice(drawn(2, 12)), **dice(notes, "C5", "level")}),
    ]
    found = row(compare(sides), "comparison-levels", structure="C5")
    assert found["exams"] == 12 and found["difference"] == pytest.approx(0.9 * 3 / 12)


def test_the_sentence_names_the_better_model_only_if_the_difference_is_shown(tmp_path):
    scores = {**dice(drawn(1, 40, 0.02)), **dice(drawn(3, 40), "discs")}
    other = {**dice(drawn(2, 40)), **dice(drawn(4, 40), "discs")}
    section = compare([evaluation(tmp_path / "A", scores), evaluation(tmp_path / "B", other)])
    bodies, seen, discs, _ = section.sentences
    assert "mean Dice of the vertebral bodies was" in bodies and "A was better" in bodies
    assert "no difference is shown" in discs and "better" not in discs
    detectable = row(section, structure="bodies", metric="dice")["detectable"]
    assert f"a mean difference of {detectable:.4f} or more" in seen and "power 0.8" in seen


def test_models_that_do_not_differ_have_no_smallest_difference_and_the_sentence_says_so(tmp_path):
    sides = [evaluation(tmp_path / name, dice(drawn(1, 10))) for name in "AB"]
    section = compare(sides)
    found = row(section, structure="bodies", metric="dice")
    assert (found["p"], found["difference"]) == (1, 0) and np.isnan(found["detectable"])
    assert any("do not vary" in sentence for sentence in section.sentences)


def test_under_six_patients_nothing_is_tested(tmp_path):
    sides = [evaluation(tmp_path / name, dice(drawn(seed, 5))) for name, seed in (("A", 1), ("B", 2))]
    found = row(compare(sides), structure="bodies", metric="dice")
    assert np.isnan(found["p"]) and np.isnan(found["p_holm"]) and "not tested" in found["note"]
    assert np.isfinite(found["low"])


def test_silver_carries_a_warning_and_gold_does_not(tmp_path):
    def both(ruler):
        sides = [evaluation(tmp_path / ruler / name, dice(drawn(1, 8)), ruler=ruler) for name in "AB"]
        return compare(sides)

    assert both("gold").warnings == ()
    (warning,) = both("silver").warnings
    assert "silver" in warning and "network" in warning


def test_an_exam_measured_against_another_mask_is_left_out_with_a_warning(tmp_path):
    masks = {f"e{number:02d}": "ab" * 32 for number in range(8)}
    first = evaluation(tmp_path / "A", dice(drawn(1, 8)), masks=masks)
    second = evaluation(tmp_path / "B", dice(drawn(2, 8)), masks={**masks, "e02": "cd" * 32})
    section = compare([first, second])
    assert table(section, "comparison-left-out")["exam"].tolist() == ["e02"]
    assert "1 exam" in section.warnings[0] and "different reference masks" in section.warnings[0]


def test_models_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    sides = [evaluation(tmp_path / name, dice(drawn(1, 8)), predictions="model") for name in "AB"]
    assert set(table(compare(sides), "comparison-classes")["pair"]) == {"A - B"}
    deep = [evaluation(tmp_path / name / "same", dice(drawn(1, 8)), predictions="model") for name in "AB"]
    (pair,) = set(table(compare(deep), "comparison-classes")["pair"])
    assert pair == "A/same - B/same", "whole paths can hold a person's name"


def test_nobody_is_called_better_if_the_mean_and_most_patients_disagree(tmp_path):
    second = np.full(40, 0.9)
    first = second + np.linspace(0.001, 0.002, 40)
    first[:2] = 0.1
    section = compare([evaluation(tmp_path / "A", dice(first)), evaluation(tmp_path / "B", dice(second))])
    found = row(section, structure="bodies", metric="dice")
    assert found["difference"] < 0 < found["effect"] and found["p_holm"] < 0.05
    said = " ".join(section.sentences)
    assert "neither can be called better" in said and "was better" not in said


@pytest.mark.parametrize("convention", [None, "zhou2025"])
def test_what_cannot_be_compared_is_refused_with_a_sentence(tmp_path, convention):
    gold = evaluation(tmp_path / "A", dice(drawn(1, 8)))
    silver = evaluation(tmp_path / "B", dice(drawn(1, 8)), ruler="silver")
    strangers = evaluation(tmp_path / "C", {("bodies", "class", "dice"): {"other": 0.9}})
    for sides, words in (
        ([gold], "needs two"),
        ([gold, gold], "named twice"),
        ([gold, silver], "against gold and .* against silver"),
        ([gold, strangers], "no exam in common"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            compare(sides, convention=convention)
        assert str(caught.value).endswith(".")


def test_another_convention_is_refused(tmp_path):
    sides = [evaluation(tmp_path / name, dice(drawn(1, 8))) for name in "AB"]
    with pytest.raises(InputError, match="zhou2025"):
        compare(sides, convention="other")


def test_the_papers_tests_are_scipys_unpaired_ones_with_seed_42(tmp_path):
    a, b = drawn(1, 50, 0.005), drawn(2, 50)
    sides = [evaluation(tmp_path / n, dice(v, kind="zhou2025")) for n, v in (("A", a), ("B", b))]
    found = row(compare(sides, convention="zhou2025"), "comparison-zhou2025", structure="bodies")
    assert found["p"] == pytest.approx(stats.mannwhitneyu(a, b).pvalue)
    assert found["difference"] == pytest.approx(np.median(a) - np.median(b))

    def difference(x, y):
        return np.median(x) - np.median(y)

    expected = stats.bootstrap((a, b), difference, vectorized=False, method="percentile", random_state=42)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected.confidence_interval), abs=1e-15)


def test_the_papers_tests_miss_what_pairs_show(tmp_path):
    a, b = drawn(1, 60, 0.006, noise=0.004), drawn(2, 60, noise=0.004)
    scores = [{**dice(values), **dice(values, kind="zhou2025")} for values in (a, b)]
    sides = [evaluation(tmp_path / name, one) for name, one in zip("AB", scores, strict=True)]
    ours = row(compare(sides), structure="bodies", metric="dice")
    paper = row(compare(sides, convention="zhou2025"), "comparison-zhou2025", structure="bodies")
    assert ours["p_holm"] < 0.001 and ours["low"] > 0
    assert paper["p"] > 0.05 and paper["low"] < 0 < paper["high"]


def test_the_papers_interval_of_equal_scores_has_no_width_and_p_1(tmp_path):
    sides = [evaluation(tmp_path / name, dice([0.9] * 8, kind="zhou2025")) for name in "AB"]
    found = row(compare(sides, convention="zhou2025"), "comparison-zhou2025", structure="bodies")
    assert (found["p"], found["low"], found["high"]) == (1, 0, 0)
    assert difference_of_medians(np.array([1.0]), np.array([0.0])) == (1, 1)


def test_the_figures_are_a_forest_of_differences_and_agreement_by_exam_and_can_be_drawn(tmp_path):
    a, b = drawn(1, 12, 0.02), drawn(2, 12)
    sides = [
        evaluation(tmp_path / name, {**dice(values), **dice(values, "C5", "level")})
        for name, values in (("A", a), ("B", b))
    ]
    figures = {figure.name: figure for figure in compare(sides).figures}
    assert set(figures) == {"comparison-forest-classes", "comparison-forest-levels", "comparison-bodies-1"}
    rows = figures["comparison-forest-classes"].data["rows"]
    assert rows["value"].tolist() == pytest.approx([(a - b).mean()])
    pairs = figures["comparison-bodies-1"].data
    assert pairs["candidate"] - pairs["reference"] == pytest.approx(a - b)
    for figure in figures.values():
        assert "<svg" in plots.draw(figure)
