"""The cohort of 1,255 exams from tables alone: every count that the documentation gives is printed as it is."""

from __future__ import annotations

import cohort_cases
import numpy as np
import pandas
import pytest

from CSpineSegLib.dataset import tables
from CSpineSegLib.evaluation import cohort as analysis
from CSpineSegLib.evaluation.cohort import comparing, describing
from CSpineSegLib.evaluation.report import plots
from CSpineSegLib.evaluation.report import tables as tsv_files


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return cohort_cases.make(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def section(dataset):
    return analysis.cohort(dataset)


@pytest.fixture
def frame(dataset) -> pandas.DataFrame:
    return analysis.gather(dataset)[0]


def table(section, name: str) -> pandas.DataFrame:
    (found,) = [one.frame for one in section.tables if one.name == name]
    return found


def counted(section, name: str, variable: str, column: str) -> dict[str, int]:
    rows = table(section, name)
    rows = rows[rows["variable"] == variable]
    return dict(zip(rows["value"], rows[column], strict=True))


def test_sex_race_and_ethnicity_are_counted_by_patient_as_documented(section):
    sex = counted(section, "cohort-demographics", "Sex", "patients")
    assert sex == {"F": 675, "M": 557}
    assert counted(section, "cohort-demographics", "Race", "patients") == cohort_cases.RACE
    assert counted(section, "cohort-demographics", "Ethnicity", "patients") == cohort_cases.ETHNICITY
    exams = counted(section, "cohort-demographics", "Sex", "exams")
    assert sum(exams.values()) == 1255 and exams != sex


def test_scanners_are_counted_by_exam_as_documented(section):
    assert counted(section, "cohort-scanner", "Manufacturer", "exams") == {"Siemens": 789, "GE MEDICAL SYSTEMS": 466}
    assert counted(section, "cohort-scanner", "Field strength (T)", "exams") == {"1.5": 747, "3": 508}
    models = counted(section, "cohort-scanner", "Model", "exams")
    assert models["Optima MR450w"] == 466 and sum(models.values()) == 1255


def test_exams_and_patients_gold_and_silver_are_counted_apart(section):
    rows = table(section, "cohort-overview").set_index("count")
    assert list(rows.columns) == ["all", "gold", "silver"]
    assert list(rows.loc["exams"]) == [1255, 491, 764]
    # No patient of the made tables has exams of both kinds but those with three, whose exams are all Silver.
    assert list(rows.loc["patients"]) == [1232, 481, 751]
    assert [rows["all"][f"patients with {n}"] for n in ("1 exam", "2 exams", "3 exams")] == [1213, 15, 4]
    assert rows["all"]["exams at an age over 89"] == 13 and rows["all"]["exams with an image on disk"] == 0
    assert section.sentences[:3] == (
        "There are 1,255 exams of 1,232 patients, 19 of whom have several.",
        "491 exams of 481 patients are Gold, 764 exams of 751 patients are Silver.",
        "Sex of the patients: 675 F, 557 M.",
    )


def test_gold_and_silver_stand_side_by_side_and_add_up(section):
    for name in ("cohort-demographics", "cohort-scanner"):
        rows = table(section, name)
        assert (rows["gold_exams"] + rows["silver_exams"] == rows["exams"]).all()
        assert rows.groupby("variable")["exams_percent"].sum().to_numpy() == pytest.approx(100)


def test_ages_are_those_of_the_tables_and_the_withheld_are_counted(section, frame):
    rows = table(section, "cohort-age").set_index("group")
    ages = frame["age"].dropna().to_numpy()
    whole = rows.loc["all"]
    assert whole["n"] == 1242 and whole["unknown"] == 13
    assert whole["mean"] == pytest.approx(ages.mean()) and whole["sd"] == pytest.approx(ages.std(ddof=1))
    assert whole["q1"] == np.quantile(ages, 0.25) and whole["max"] == ages.max()
    groups = counted(section, "cohort-demographics", "Age (years)", "exams")
    assert list(groups) == ["<40", "40-60", ">60"]
    assert groups[">60"] == (ages > 60).sum() + 13 and groups["<40"] == (ages < 40).sum()


def test_sequence_parameters_are_described_and_the_missing_one_counted(section):
    rows = table(section, "cohort-sequence")
    spacing = rows[rows["variable"] == "Spacing between slices, table (mm)"].set_index("group").loc["all"]
    assert (spacing["n"], spacing["unknown"], spacing["min"], spacing["max"]) == (1254, 1, 3.3, 5.3)
    echo = rows[rows["variable"] == "Echo time (ms)"].set_index("group")
    assert echo["mean"]["manufacturer Siemens"] == 101 and echo["sd"]["manufacturer GE MEDICAL SYSTEMS"] == 0
    assert "Echo train length" not in set(rows["variable"])
    (note,) = [one.note for one in section.tables if one.name == "cohort-sequence"]
    assert "Nothing is known of: Echo train length" in note
    assert any("has no column" in warning and "3 more" in warning for warning in section.warnings)


def test_cross_tables_count_every_patient_once(section):
    rows = table(section, "cohort-crosstables")
    for pair in comparing.CROSSED:
        first, second = (comparing._TITLES[name] for name in pair)
        inside = rows[(rows["first"] == first) & (rows["second"] == second)]
        assert inside["patients"].sum() == 1232, pair
    women = rows[(rows["first"] == "Race") & (rows["second"] == "Sex") & (rows["other"] == "F")]
    assert women["patients"].sum() == 675


def test_without_a_gold_list_nothing_is_called_gold_and_the_page_warns(tmp_path):
    found = analysis.cohort(cohort_cases.make(tmp_path, gold=False))
    assert list(table(found, "cohort-overview").columns) == ["count", "all", "unknown"]
    assert any("No list says which exams experts annotated" in warning for warning in found.warnings)
    assert not any("Gold" in sentence for sentence in found.sentences)


def test_what_the_tables_do_not_say_is_unknown_and_counted(tmp_path):
    dataset = cohort_cases.make(tmp_path)
    path = tmp_path / "extracted" / "structured" / "case_RSNA_20250321.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].split("\t")[0] + "\t\t\t"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "extracted" / "structured" / "mr_series_RSNA_20250321.tsv").unlink()
    found = analysis.cohort(type(dataset).open(tmp_path))
    for variable in ("Sex", "Race", "Ethnicity"):
        assert counted(found, "cohort-demographics", variable, "patients")["unknown"] == 1
    assert counted(found, "cohort-scanner", "Manufacturer", "exams") == {"unknown": 1255}
    assert any("1 unknown" in sentence for sentence in found.sentences)


def test_a_planted_difference_is_found_with_its_effect_and_no_other(frame):
    rng = np.random.default_rng(0)
    frame["bodies_mm3"] = rng.normal(50_000, 6_000, len(frame)) + 6_000 * (frame["sex"] == "M")
    tests, _ = comparing.tests(frame)
    rows = tests.frame.set_index(["of", "by"])
    found = rows.loc["Bodies (mm3)", "Sex"]
    people = frame.drop_duplicates("patient_id")
    women, men = (people.loc[people["sex"] == sex, "bodies_mm3"].to_numpy() for sex in "FM")
    # Rank-biserial by its definition: the share of pairs in which a woman's is larger minus those in which a man's is.
    pairs = np.sign(women[:, None] - men[None])
    assert found["effect"] == pytest.approx(pairs.mean()) and found["effect"] < -0.4
    assert found["p_adjusted"] < 1e-20 and found["groups"] == "F 675, M 557" and found["n"] == 1232
    others = rows.drop(index=[("Bodies (mm3)", "Sex")])
    volumes = others[others.index.get_level_values("of") == "Bodies (mm3)"]
    assert len(volumes) == 5 and (volumes["p_adjusted"] > 0.05).all()


def test_p_values_are_adjusted_over_the_whole_table(section):
    rows = table(section, "cohort-tests")
    p = rows["p"].to_numpy(float)
    assert np.isfinite(p).all()
    order = np.argsort(p)
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    assert rows["p_adjusted"].to_numpy(float)[order] == pytest.approx(np.minimum.accumulate(steps[::-1])[::-1])


def test_groups_that_differ_are_followed_by_their_pairs(frame):
    frame["bodies_components"] = frame["age_group"].map({"<40": 9.0, "40-60": 8.0, ">60": 7.0})
    frame["bodies_components"] += np.random.default_rng(1).integers(0, 3, len(frame))
    tests, pairs = comparing.tests(frame)
    row = tests.frame.set_index(["of", "by"]).loc["Bodies (components)", "Age group"]
    assert row["test"] == "Kruskal-Wallis H" and row["effect_name"] == "epsilon squared" and row["effect"] > 0.3
    found = pairs.frame[(pairs.frame["of"] == "Bodies (components)") & (pairs.frame["by"] == "Age group")]
    assert len(found) == 3 and (found["p_adjusted"] < 0.001).all()


def test_small_groups_are_named_and_not_tested(section):
    rows = table(section, "cohort-tests").set_index(["of", "by"])
    race = rows.loc["Age (years)", "Race"]
    assert race["test"] == "Mann-Whitney U" and "Asian (24)" in race["note"] and "Not Reported" not in race["groups"]


def test_words_for_nothing_are_no_groups_however_they_are_written(frame):
    before = comparing.tests(frame)[0].frame
    assert "Not Reported" not in " ".join(before["groups"])
    frame["race"] = frame["race"].replace("Not Reported", "not reported").replace("Other", "N/A")
    after = comparing.tests(frame)[0].frame
    text = " ".join([*after["groups"], *after["note"]])
    assert "not reported" not in text and "N/A" not in text and "White" in text


def test_too_few_patients_are_not_tested_and_it_is_said(frame):
    few = frame.head(20)
    tests, pairs = comparing.tests(few)
    rows = tests.frame[tests.frame["of"] == "Age (years)"]
    assert rows["p"].isna().all() and rows["note"].str.contains("under two groups are large enough").all()
    assert pairs.frame.empty


@pytest.mark.parametrize(
    ("values", "column", "expected"),
    [
        (["10", "9", "unknown"], "slices", ["9", "10", "unknown"]),
        (["b", "a", "b", "unknown", "unknown", "unknown"], "race", ["b", "a", "unknown"]),
        ([">60", "<40", ">60"], "age_group", ["<40", ">60"]),
        (["silver", "silver", "gold"], "source", ["gold", "silver"]),
    ],
)
def test_values_have_an_order_that_a_reader_expects(values, column, expected):
    assert describing.ordered(pandas.Series(values), column) == expected


def test_all_tables_are_written_and_all_figures_drawn(section, tmp_path):
    written = tsv_files.write(section, tmp_path)
    assert {path.stem for path in written} == {one.name for one in section.tables}
    assert len((tmp_path / "cohort-exams.tsv").read_text(encoding="utf-8").splitlines()) == 1256
    assert {figure.name for figure in section.figures} == {"cohort-ages", "cohort-scanners"}
    assert all(plots.draw(figure).startswith("<svg") for figure in section.figures)


def test_scan_columns_that_are_no_numbers_are_said(tmp_path):
    cohort_cases.make(tmp_path)
    folder = tmp_path / "extracted" / "structured"
    path = folder / "mr_series_RSNA_20250321.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("\t101\t", "\tlong\t", 1), encoding="utf-8")
    found, problems = tables.scans(folder)
    assert any("holds long as echo_time, which is no number" in problem for problem in problems)
    assert sum(row["echo_time"] is None for row in found.values()) == 1
    assert tables.scans(None) == ({}, []) and tables.scans(tmp_path) == ({}, [])


def test_volumes_of_outliers_are_written_without_an_exponent(frame):
    frame["bodies_mm3"] = 48_000.0 + 100 * (frame.index % 50)
    frame.loc[3, "bodies_mm3"] = 148_123.4
    found, _ = analysis.outliers.outliers(frame)
    rows = found.frame[found.frame["rule"] == "volume"]
    assert list(rows["value"]) == ["148100"] and list(rows["usual"]) == ["50400"], rows
