"""The command that compares models, as a user and a program run it."""

from __future__ import annotations

import json

import pandas
import pytest
from cli_cases import refused, said  # noqa: F401 - a fixture
from comparison_cases import dice, drawn, evaluation


@pytest.fixture
def folders(tmp_path):
    """Two models' evaluations in folders with spaces and accents."""
    found = []
    for name, seed, shift in (("modèle A", 1, 0.02), ("modèle B", 2, 0.0)):
        values = drawn(seed, 20, shift)
        found.append(tmp_path / name)
        scores = {**dice(values), **dice(values, "C5", "level"), **dice(values, kind="zhou2025")}
        evaluation(found[-1], scores, patients={"e00": None})
    return found


def test_people_read_sentences_and_tables(said, folders):  # noqa: F811
    code, out, err = said("compare", *folders)
    assert (code, err) == (0, "")
    assert "On the same 20 exams of 20 patients" in out and "modèle A was better" in out
    assert "could have shown" in out
    assert "# Differences by structure" in out and "# Differences by level" in out


def test_programs_read_json_and_tables_on_disk_with_all_digits(said, folders, tmp_path):  # noqa: F811
    output = tmp_path / "tables"
    code, out, _ = said("compare", *folders, "--json", "--output", output)
    content = json.loads(out)
    assert code == 0 and content["key"] == "comparison"
    stated = content["tables"]["comparison-classes"]
    written = pandas.read_csv(output / "comparison-classes.tsv", sep="\t", float_precision="round_trip")
    assert written.columns.tolist() == stated["columns"]
    at = stated["columns"].index("difference")
    assert written["difference"].tolist() == [line[at] for line in stated["rows"]]


def test_the_papers_tests_stand_behind_a_flag(said, folders):  # noqa: F811
    code, out, _ = said("compare", *folders, "--convention", "zhou2025")
    assert code == 0 and "# Tests of the dataset's paper" in out and "Wilcoxon" not in out


def test_bad_input_is_one_sentence_and_writes_nothing(said, folders, tmp_path):  # noqa: F811
    silver = tmp_path / "silver"
    evaluation(silver, dice(drawn(1, 5)), ruler="silver")
    before = sorted(tmp_path.iterdir())
    output = tmp_path / "tables"
    for words, part in (
        ([folders[0]], "needs two"),
        ([folders[0], folders[0]], "named twice"),
        ([folders[0], silver], "against silver"),
        ([folders[0], tmp_path / "nowhere"], "nowhere"),
        ([*folders, "--convention", "other"], "zhou2025"),
    ):
        assert part in refused(said("compare", *words, "--output", output))
    assert sorted(tmp_path.iterdir()) == before
