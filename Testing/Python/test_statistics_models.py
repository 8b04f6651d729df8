"""Models that adjust for other properties, against statsmodels' own formulas and by simulation."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas
import pytest

from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation import statistics


@pytest.fixture(autouse=True)
def _nothing_warns(recwarn):
    yield
    assert [str(warning.message) for warning in recwarn] == []


def exams(
    seed: int = 0, patients: int = 60, each: int = 2, gap: float = 0.0, between: float = 0.05
) -> pandas.DataFrame:
    """Scores of a number of exams of each patient; men have larger structures and older people lower scores."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(patients), each)
    men, age = rng.random(patients) < 0.4, rng.uniform(20, 90, patients)
    volume = 40 + 10 * men + rng.normal(0, 3, patients)
    score = 0.95 - 0.0005 * age + 0.001 * volume - gap * men + rng.normal(0, between, patients)
    frame = pandas.DataFrame(
        {
            "patient": [f"p{one}" for one in range(patients)],
            "sex": np.where(men, "M", "F"),
            "age": age,
            "volume": volume,
        }
    ).loc[number]
    frame["dice"] = score[number] + rng.normal(0, 0.01, len(number))
    return frame.reset_index(drop=True)


def test_estimates_and_clustered_errors_are_those_of_statsmodels_formulas():
    import statsmodels.formula.api as smf

    frame = exams(gap=0.04)
    found = statistics.adjusted_model(frame, "dice", ["sex", "age", "volume"], "patient").set_index("term")
    numbers = pandas.factorize(frame["patient"])[0]
    fit = smf.ols("dice ~ C(sex) + age + volume", frame).fit(
        cov_type="cluster", cov_kwds={"groups": numbers}, use_t=True
    )
    for term, name in (("sex: M against F", "C(sex)[T.M]"), ("age", "age"), ("volume", "volume")):
        ends = fit.conf_int().loc[name]
        expected = [fit.params[name], ends[0], ends[1], fit.pvalues[name]]
        assert found.loc[term, ["estimate", "low", "high", "p"]].tolist() == pytest.approx(expected)
    assert set(found["n"]) == {120} and set(found["note"]) == {""}


def test_an_effect_of_size_disappears_once_size_is_in_the_model():
    frame = exams(patients=400, each=1, between=0.004)
    alone = statistics.adjusted_model(frame, "dice", ["sex"], "patient").iloc[0]
    adjusted = statistics.adjusted_model(frame, "dice", ["sex", "volume", "age"], "patient").iloc[0]
    assert alone["p"] < 1e-4 and alone["low"] > 0
    assert adjusted["low"] < 0 < adjusted["high"]


def test_errors_by_patient_are_wider_than_naive_ones_if_exams_of_a_patient_are_alike():
    frame = exams(each=4)
    naive, clustered = (statistics.adjusted_model(frame, "dice", ["sex"], by).iloc[0] for by in (None, "patient"))
    width = [row["high"] - row["low"] for row in (naive, clustered)]
    # Four nearly equal exams are one: the errors double.
    assert 1.6 < width[1] / width[0] < 2.4
    assert naive["estimate"] == pytest.approx(clustered["estimate"])


def test_a_model_without_an_effect_is_significant_in_5_percent_of_data():
    draws, hits = 150, 0
    for seed in range(draws):
        hits += statistics.adjusted_model(exams(seed), "dice", ["sex", "age", "volume"], "patient")["p"].iloc[0] < 0.05
    # Four standard errors of a share of 150: ± .071.
    assert abs(hits / draws - 0.05) < 4 * np.sqrt(0.05 * 0.95 / draws)


def test_groups_are_compared_with_the_largest_and_the_row_says_so():
    frame = exams(patients=90, each=1)
    frame["manufacturer"] = np.repeat(["GE", "Siemens", "Philips"], [20, 45, 25])
    terms = statistics.adjusted_model(frame, "dice", ["manufacturer"])["term"]
    assert terms.tolist() == ["manufacturer: GE against Siemens", "manufacturer: Philips against Siemens"]


def test_truth_values_are_groups_and_not_numbers():
    frame = exams(patients=40, each=1).assign(fused=lambda table: table["age"] > 60)
    assert statistics.adjusted_model(frame, "dice", ["fused"])["term"].iloc[0].startswith("fused: ")


def test_groups_of_under_5_patients_and_incomplete_rows_are_left_out_and_the_note_says_so():
    frame = exams(patients=60, each=1)
    frame["race"] = ["A"] * 30 + ["B"] * 26 + ["C"] * 4
    frame.loc[0, "age"] = np.nan
    frame.loc[1, "dice"] = np.nan
    found = statistics.adjusted_model(frame, "dice", ["race", "age"], "patient")
    assert found["term"].tolist() == ["race: B against A", "age"]
    assert set(found["n"]) == {54}
    assert "race C has fewer than 5" in found["note"][0] and "2 rows miss" in found["note"][0]
    kept = frame[(frame["race"] != "C") & (frame.index > 1)]
    assert found["estimate"].tolist() == pytest.approx(
        statistics.adjusted_model(kept, "dice", ["race", "age"])["estimate"].tolist()
    )


def test_the_mixed_model_of_levels_is_that_of_statsmodels():
    import statsmodels.formula.api as smf

    frame = exams(patients=40, each=3, between=0.03)
    frame["level"] = np.tile(["C4", "C5", "C6"], 40)
    frame.loc[frame["level"] == "C6", "dice"] -= 0.02
    found = statistics.levels_model(frame, "dice", "level", "patient", ["age"]).set_index("term")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = smf.mixedlm("dice ~ C(level) + age", frame, groups=frame["patient"]).fit(reml=True, method=["lbfgs"])
    row = found.loc["level: C6 against C4"]
    assert row["estimate"] == pytest.approx(fit.params["C(level)[T.C6]"], rel=1e-4)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.959964 * fit.bse["C(level)[T.C6]"], rel=1e-3)
    assert row["high"] < 0
    assert "mixed model" in row["note"]


def test_levels_without_variance_between_patients_fall_back_to_clustered_errors_and_say_so():
    rng = np.random.default_rng(1)
    patients, noise = np.repeat(np.arange(30), 2), rng.normal(0, 1, 30)
    # The two values of each patient go apart: patients have less in common than chance gives.
    frame = pandas.DataFrame(
        {"patient": patients, "level": ["C4", "C5"] * 30, "dice": np.stack([noise, -noise], 1).ravel()}
    )
    found = statistics.levels_model(frame, "dice", "level", "patient")
    expected = statistics.adjusted_model(frame, "dice", ["level"], "patient")
    assert "unstable" in found["note"][0]
    assert found["p"].tolist() == expected["p"].tolist()


@pytest.mark.parametrize(
    ("terms", "change", "words"),
    [
        (["sex"], {"sex": "F"}, "'sex' has one group"),
        (["age"], {"age": 50.0}, "'age' has one group or value"),
        (["weight"], {}, "no column 'weight'"),
        ([], {}, "at least one term"),
        (["age", "again"], {"again": lambda table: table["age"] * 2 + 1}, "say the same"),
        (["sex"], {"dice": "good"}, "not all numbers"),
        (["sex"], {"dice": np.nan}, "0 rows"),
    ],
)
def test_what_cannot_be_modelled_is_refused_with_a_sentence(terms, change, words):
    with pytest.raises(InputError, match=words) as caught:
        statistics.adjusted_model(exams().assign(**change), "dice", terms, "patient")
    assert str(caught.value).endswith(".")


def test_too_few_patients_for_so_many_terms_are_refused():
    with pytest.raises(InputError, match="too few"):
        statistics.adjusted_model(exams(patients=3, each=5), "dice", ["age", "volume"], "patient")


def test_without_statsmodels_the_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    monkeypatch.setitem(sys.modules, "statsmodels.api", None)
    with pytest.raises(InputError, match=r'pip install "cspineseg\[report\]"'):
        statistics.adjusted_model(exams(), "dice", ["sex"])
