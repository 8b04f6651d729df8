"""Tests by ranks, cross-tables and families of p-values, against other packages and against counting by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas
import pytest
from scipy import stats

from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation import statistics
from CSpineSegLib.evaluation.statistics import effects

# Computed in another order of additions, so equal to the last digits only.
CLOSE = {"rel": 1e-10, "abs": 1e-14}


@pytest.fixture(autouse=True)
def _nothing_warns(recwarn):
    yield
    assert [str(warning.message) for warning in recwarn] == []


def sample(seed: int, size: int, shift: float = 0.0, ties: bool = False) -> np.ndarray:
    values = np.random.default_rng(seed).normal(shift, 1, size)
    return np.round(values) if ties else values


def groups(ties: bool = False) -> dict[str, np.ndarray]:
    return {name: sample(seed, 12 + 7 * seed, 0.4 * seed, ties) for seed, name in enumerate("abc")}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("sizes", [(20, 35), (9, 9), (300, 12)])
def test_mann_whitney_of_larger_groups_is_scipys_with_ties_and_continuity_correction(sizes, ties):
    a, b = sample(1, sizes[0], 0.3, ties), sample(2, sizes[1], ties=ties)
    found, expected = statistics.two_groups(a, b), stats.mannwhitneyu(a, b, method="asymptotic")
    assert (found.statistic, found.n, found.note) == (expected.statistic, sizes, "")
    assert found.p == pytest.approx(expected.pvalue, **CLOSE)


@pytest.mark.parametrize("sizes", [(3, 5), (8, 8), (8, 40), (60, 2), (1, 1)])
def test_mann_whitney_of_a_small_group_is_exact(sizes):
    a, b = sample(3, sizes[0], 0.7), sample(4, sizes[1])
    found = statistics.two_groups(a, b)
    assert found.p == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue, **CLOSE)
    assert "exact" in found.note and str(min(sizes)) in found.note


def test_mann_whitney_with_ties_in_a_small_group_counts_every_way_to_deal_the_ranks():
    a, b = np.array([1.0, 2, 2, 5]), np.array([2.0, 3, 5, 5, 7])
    ranks = stats.rankdata(np.concatenate([a, b]))
    sums = np.array([sum(chosen) for chosen in itertools.combinations(ranks, 4)])
    observed = ranks[:4].sum()
    by_hand = 2 * min(np.mean(sums <= observed), np.mean(sums >= observed))
    assert statistics.two_groups(a, b).p == pytest.approx(by_hand, **CLOSE)
    assert statistics.two_groups(b, a).p == pytest.approx(by_hand, **CLOSE)


def test_the_rank_biserial_is_the_share_of_pairs_won_less_the_share_lost_and_positive_if_the_first_is_larger():
    a, b = np.array([3.0, 4, 4, 9]), np.array([1.0, 4, 5])
    by_hand = np.sign(a[:, None] - b[None]).mean()
    assert statistics.two_groups(a, b).effect == pytest.approx(by_hand)
    assert statistics.two_groups(b, a).effect == pytest.approx(-by_hand)
    assert statistics.two_groups([5, 6, 7], [1, 2]).effect == 1


@pytest.mark.parametrize("ties", [False, True])
def test_kruskal_wallis_is_scipys(ties):
    found, expected = statistics.several_groups(groups(ties)), stats.kruskal(*groups(ties).values())
    assert (found.statistic, found.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert (found.n, found.note) == ((12, 19, 26), "")


def test_epsilon_squared_is_h_over_n_minus_1_and_1_if_the_groups_explain_all():
    found = statistics.several_groups(groups())
    assert found.effect == pytest.approx(found.statistic / 56)
    # By the formula as Tomczak & Tomczak print it.
    assert effects.epsilon_squared(7.3, 40) == pytest.approx(7.3 / ((40**2 - 1) / 41))


def test_kruskal_wallis_with_a_tiny_group_is_by_shuffles_and_near_the_exact_p():
    tiny = {"a": [1.0, 2], "b": [3.0, 4, 4.5], "c": [5.0, 6]}
    values = np.concatenate(list(tiny.values()))
    whole = []
    for first in itertools.combinations(range(7), 2):
        for second in itertools.combinations(set(range(7)) - {*first}, 3):
            third = set(range(7)) - {*first, *second}
            whole.append(stats.kruskal(*(values[list(part)] for part in (first, second, third))).statistic)
    exact = np.mean(np.array(whole) >= stats.kruskal(*tiny.values()).statistic - 1e-9)
    found = statistics.several_groups(tiny)
    # Five standard errors of a share of 9,999.
    assert abs(found.p - exact) < 5 * np.sqrt(exact * (1 - exact) / 9999) + 1 / 9999
    assert found.p != pytest.approx(stats.kruskal(*tiny.values()).pvalue, abs=0.01), "the curve would be wrong here"
    assert "shuffles" in found.note and "only 2" in found.note


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("method", ["holm", "bh"])
def test_dunns_pairs_are_those_of_scikit_posthocs(method, ties):
    import scikit_posthocs

    frame = pandas.concat([pandas.DataFrame({"value": v, "group": name}) for name, v in groups(ties).items()])
    for adjusted, column in ((None, "p"), ({"bh": "fdr_bh"}.get(method, method), "p_adjusted")):
        expected = scikit_posthocs.posthoc_dunn(frame, val_col="value", group_col="group", p_adjust=adjusted)
        for row in statistics.dunn(groups(ties), method).to_dict("records"):
            assert row[column] == pytest.approx(expected.loc[row["first"], row["second"]], rel=1e-9)


def test_dunns_z_is_positive_if_the_first_group_is_larger():
    rows = statistics.dunn({"low": [1, 2, 3, 4], "high": [5, 6, 7, 8], "void": []}).to_dict("records")
    assert [(row["first"], row["second"]) for row in rows] == [("low", "high")]
    assert rows[0]["z"] < 0


@pytest.mark.parametrize("n", [7, 30])
def test_wilcoxon_without_ties_is_scipys_exact_test(n):
    a, b = sample(5, n, 0.4), sample(6, n)
    expected = stats.wilcoxon(a, b, method="exact")
    found = statistics.paired(a, b)
    assert found.p == pytest.approx(expected.pvalue, **CLOSE)
    assert min(found.statistic, n * (n + 1) / 2 - found.statistic) == expected.statistic


def test_wilcoxon_of_many_pairs_with_ties_is_scipys_normal_curve():
    a, b = sample(5, 300, 0.2, ties=True), sample(6, 300, ties=True)
    expected = stats.wilcoxon(a, b, method="asymptotic", correction=False)
    assert statistics.paired(a, b).p == pytest.approx(expected.pvalue, **CLOSE)


def test_wilcoxon_with_ties_counts_every_way_to_deal_the_signs():
    a, b = np.array([0.93, 0.91, 0.10, 0.95, 0.70, 0.90]), np.array([0.91, 0.93, 0.08, 0.95, 0.60, 0.86])
    # By hand: differences .02, -.02, .02, 0, .1, .04, which tie in print and not in binary.
    ranks = np.array([2.0, 2, 2, 5, 4])
    sums = np.array([np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=5)])
    observed = 2 + 2 + 5 + 4
    by_hand = min(1, 2 * min(np.mean(sums <= observed), np.mean(sums >= observed)))
    found = statistics.paired(a, b)
    assert (found.statistic, found.p) == (observed, pytest.approx(by_hand, **CLOSE))
    assert found.effect == pytest.approx((13 - 2) / 15)
    assert "1 without a difference" in found.note and found.n == (6,)


def test_the_matched_rank_biserial_is_positive_if_the_first_is_larger():
    assert statistics.paired([2, 3, 5], [1, 1, 1]).effect == 1
    assert statistics.paired([1, 1, 1], [2, 3, 5]).effect == -1


def test_a_large_table_is_scipys_chi_squared_and_cramers_v():
    table = pandas.DataFrame([[20, 15, 30], [10, 25, 40]])
    expected = stats.chi2_contingency(table, correction=False)
    found = statistics.contingency(table)
    assert (found.statistic, found.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert found.effect == pytest.approx(stats.contingency.association(table.to_numpy(), method="cramer"))
    assert (found.n, found.note) == ((140,), "")


def test_a_small_table_of_four_cells_is_fishers_and_the_note_says_so():
    found = statistics.contingency(pandas.DataFrame([[3, 1], [1, 3]]))
    # Lady tasting tea, Fisher 1935: (1 + 16 + 16 + 1) / 70 for those at least as unlikely.
    assert found.p == pytest.approx(34 / 70)
    assert "Fisher" in found.note


def test_a_small_table_of_more_cells_is_by_random_tables_and_near_the_exact_p():
    table = np.array([[4, 0, 1], [0, 3, 2]])
    columns, rows = np.repeat([0, 1, 2], table.sum(axis=0)), table.sum(axis=1)
    expected = np.outer(rows, table.sum(axis=0)) / table.sum()
    seen = ((table - expected) ** 2 / expected).sum()
    reached = []
    for first in itertools.combinations(range(10), int(rows[0])):
        top = np.bincount(columns[list(first)], minlength=3)
        made = np.array([top, table.sum(axis=0) - top])
        reached.append(((made - expected) ** 2 / expected).sum() >= seen - 1e-9)
    exact = np.mean(reached)
    found = statistics.contingency(pandas.DataFrame(table))
    assert abs(found.p - exact) < 5 * np.sqrt(exact * (1 - exact) / 9999) + 1 / 9999
    assert "random tables" in found.note


def test_empty_rows_of_a_table_are_left_out_and_one_row_is_no_table():
    whole, padded = [[30, 10], [10, 30]], [[30, 0, 10], [0, 0, 0], [10, 0, 30]]
    found = statistics.contingency(pandas.DataFrame(padded))
    assert found.p == statistics.contingency(pandas.DataFrame(whole)).p
    assert "left out" in found.note
    lonely = statistics.contingency(pandas.DataFrame([[3, 4], [0, 0]]))
    assert np.isnan(lonely.p) and "nothing to test" in lonely.note


@pytest.mark.parametrize("method", ["bh", "holm"])
def test_adjusted_p_values_are_those_of_statsmodels_and_missing_ones_do_not_count(method):
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(3).uniform(0, 0.3, 25) ** 2
    p[3] = p[4]
    expected = multipletests(p, method={"bh": "fdr_bh"}.get(method, method))[1]
    with_gaps = np.insert(p, [0, 10, 25], np.nan)
    found = statistics.adjust(with_gaps, method)
    assert np.isnan(found[[0, 11, 27]]).all()
    assert found[~np.isnan(found)] == pytest.approx(expected)


def test_p_values_adjusted_by_hand():
    assert statistics.adjust([0.01, 0.04, 0.03], "holm") == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.adjust([0.01, 0.04, 0.03], "bh") == pytest.approx([0.03, 0.04, 0.04])
    assert statistics.adjust([]).size == 0


@pytest.mark.parametrize(
    "test",
    [
        statistics.two_groups([0.9] * 5, [0.9] * 30),
        statistics.several_groups({"a": [0.9] * 5, "b": [0.9] * 6, "c": [0.9]}),
        statistics.paired([0.9, 0.8], [0.9, 0.8]),
    ],
    ids=lambda test: test.name,
)
def test_equal_values_have_p_1_and_no_effect_and_the_note_says_why(test):
    assert (test.p, test.effect) == (1, 0)
    assert "equal" in test.note or "differs" in test.note


@pytest.mark.parametrize(
    "test",
    [
        statistics.two_groups([], [1.0, 2]),
        statistics.two_groups([np.nan], [1.0, 2]),
        statistics.several_groups({"a": [1.0, 2], "b": [None]}),
        statistics.paired([np.nan, 1], [1, np.nan]),
        statistics.paired([], []),
    ],
    ids=lambda test: f"{test.name} {test.n}",
)
def test_without_values_nothing_is_tested_and_the_note_says_why(test):
    assert np.isnan(test.p) and test.effect is None
    assert "nothing to test" in test.note


def test_missing_values_are_left_out_counted_and_change_nothing_else():
    a, b = sample(1, 30), sample(2, 30, 0.5)
    holed = np.concatenate([a, [np.nan, np.nan]])
    whole, found = statistics.two_groups(a, b), statistics.two_groups(holed, [*b, None])
    assert (found.p, found.n, found.note) == (whole.p, (30, 30), "3 values missing and left out")
    pairs = statistics.paired([*a, np.nan, 1], [*b, 1, np.nan])
    assert (pairs.p, pairs.n) == (statistics.paired(a, b).p, (30,))
    assert "2 pairs missing" in pairs.note
    several = statistics.several_groups({"a": holed, "b": b, "none": [np.nan]})
    assert several.p == statistics.several_groups({"a": a, "b": b}).p
    assert "none" in several.note


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: statistics.two_groups(["a"], [1]), "not all numbers"),
        (lambda: statistics.two_groups([[1, 2]], [1]), "2 dimensions"),
        (lambda: statistics.two_groups([np.inf], [1]), "infinite"),
        (lambda: statistics.several_groups({"a": [1, 2]}), "at least two"),
        (lambda: statistics.several_groups({}), "at least two"),
        (lambda: statistics.dunn({"a": [1, 2]}), "at least two"),
        (lambda: statistics.paired([1, 2], [1]), "same cases"),
        (lambda: statistics.contingency(pandas.DataFrame([[1.5, 2]])), "counts"),
        (lambda: statistics.contingency(pandas.DataFrame([["x", 2]])), "number"),
        (lambda: statistics.adjust([0.1], "fdr"), "'bh' or 'holm'"),
        (lambda: statistics.adjust([1.2]), "above 1"),
    ],
)
def test_what_cannot_be_a_test_is_refused_with_a_sentence(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert str(caught.value).endswith(".")


def test_five_percent_of_tests_without_an_effect_are_significant():
    rng = np.random.default_rng(11)
    draws = 400
    hits = np.zeros(3)
    for _ in range(draws):
        a, b, c = rng.normal(size=(3, 12)) ** 3
        tests = (
            statistics.two_groups(a, b),
            statistics.several_groups({"a": a, "b": b, "c": c}),
            statistics.paired(a, b),
        )
        hits += [test.p < 0.05 for test in tests]
    # Four standard errors of a share of 400: .05 ± .044.
    assert np.all(np.abs(hits / draws - 0.05) < 4 * np.sqrt(0.05 * 0.95 / draws))
