"""`cspineseg fairness` as people and programs use it."""

# Tests take fixtures by name, which ruff holds for definitions anew.
# ruff: noqa: F811

from __future__ import annotations

import json

import pandas
import pytest
from cli_cases import refused, said  # noqa: F401  (fixture)
from fairness_cases import made, written


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluations")
    for ruler in ("gold", "silver"):
        written(made(1, ruler, patients=(75, 2, 1), worse=0.05), root / ruler)
    return root


def test_an_audit_is_sentences_and_tables_that_name_the_ruler_and_files_with_all_digits(said, evaluations, tmp_path):
    code, out, err = said("fairness", evaluations / "gold", "--by", "sex,age", "--output", tmp_path / "audit")
    assert code == 0 and "Warning" not in err
    assert out.startswith("my-model was measured against Gold in 82 exams of 78 patients.")
    assert (
        "after Benjamini and Hochberg: sex, discs (" in out and "# Tests of scores between groups, against Gold" in out
    )
    names = {path.stem for path in (tmp_path / "audit").glob("*.tsv")}
    expected = ("tests", "disparity", "rates", "sweep", "adjusted", "detectable", "groups")
    assert names >= {f"fairness-gold-{name}" for name in expected}
    frame = pandas.read_csv(tmp_path / "audit" / "fairness-gold-tests.tsv", sep="\t")
    assert set(frame["ruler"]) == {"gold"} and frame["significant"].any()


def test_silver_alone_is_warned_of_and_two_rulers_stand_side_by_side(said, evaluations):
    code, out, err = said("fairness", evaluations / "silver", "--by", "sex")
    assert code == 0 and "Warning: The ruler is Silver" in err
    words = ("--second", evaluations / "silver", "--by", "sex", "--json")
    code, out, err = said("fairness", evaluations / "gold", *words)
    content = json.loads(out)
    assert code == 0 and list(content) == ["fairness-gold", "fairness-silver", "fairness-rulers"]
    rulers = content["fairness-rulers"]["tables"]
    assert list(rulers) == ["fairness-rulers-verdicts", "fairness-rulers-variance", "fairness-rulers-gaps"]
    assert content["fairness-silver"]["warnings"] and not content["fairness-gold"]["warnings"]


def test_what_cannot_be_audited_is_one_sentence_and_nothing_is_written(said, evaluations, tmp_path):
    output = ("--output", tmp_path / "audit")
    assert "'hight' is nothing to group by; there are sex, race" in refused(
        said("fairness", evaluations / "gold", "--by", "hight", *output)
    )
    assert "holds no finished evaluation" in refused(said("fairness", tmp_path, *output))
    twice = ("--second", evaluations / "gold", *output)
    assert "Both evaluations measure against Gold" in refused(said("fairness", evaluations / "gold", *twice))
    assert "nothing to compare by ethnicity" in refused(
        said("fairness", evaluations / "gold", "--by", "ethnicity", *output)
    )
    assert not (tmp_path / "audit").exists()
