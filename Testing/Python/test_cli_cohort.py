"""The commands that describe a dataset and split it, as people and programs use them."""

from __future__ import annotations

import json
from pathlib import Path

import cohort_cases
import pytest

from CSpineSegLib.cli import main


@pytest.fixture
def said(capsys):
    """Run a command; returns (exit code, standard output, standard error)."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    return cohort_cases.make(tmp_path_factory.mktemp("jeu de données")).root


def refused(answer: tuple[int, str, str]) -> str:
    code, out, err = answer
    (line,) = [line for line in err.splitlines() if line.startswith("cspineseg: ")]
    assert code == 2 and out == "" and line.endswith(".") and "Traceback" not in err
    return line


def test_cohort_prints_the_counts_and_writes_every_table(said, sample_dataset, tmp_path):
    code, out, err = said("cohort", "--dataset", sample_dataset.root, "--output", tmp_path / "out")
    assert code == 0 and "Warning" not in err
    assert "There are 8 exams of 6 patients, 1 of whom have several." in out
    assert "Manufacturer\tSiemens\t4" in out and "Orientation\tRAS\t1" in out
    written = {path.stem for path in (tmp_path / "out").iterdir()}
    assert {"cohort-overview", "cohort-exams", "cohort-outliers", "cohort-tests", "cohort-volumes"} <= written
    assert not (sample_dataset.root / "processed" / "reports").exists()


def test_cohort_as_json_is_for_programs_and_leaves_masks_alone_if_asked(said, sample_dataset):
    for path in (sample_dataset.root / "extracted" / "segmentation").iterdir():
        path.write_bytes(b"damaged")
    code, out, _ = said("cohort", "--dataset", sample_dataset.root, "--no-masks", "--json")
    content = json.loads(out)
    assert code == 0 and "cohort-grid" in content["tables"] and "cohort-volumes" not in content["tables"]
    (row,) = [row for row in content["tables"]["cohort-overview"]["rows"] if row[0] == "exams"]
    assert row == ["exams", 8, 4, 4]


def test_cohort_never_writes_into_released_data(said, sample_dataset):
    line = refused(said("cohort", "--dataset", sample_dataset.root, "-o", sample_dataset.root / "extracted" / "x"))
    assert "never written" in line and not (sample_dataset.root / "extracted" / "x").exists()


def test_cohort_says_what_is_missing(said, tmp_path):
    assert "needs a dataset" in refused(said("cohort"))
    assert "does not exist" in refused(said("cohort", "--dataset", tmp_path / "none"))


def test_split_writes_three_files_prints_the_shares_and_repeats_itself(said, tables):
    code, out, err = said("split", "--dataset", tables)
    names = ["splits_record.json", "splits_final.json", "splits.tsv"]
    files = {name: (tables / "splits" / name).read_bytes() for name in names}
    assert code == 0 and ("test\t246\t" in out or "test\t247\t" in out)
    assert "sex\tF\t675" in out and "merged into 4" in err and str(tables / "splits" / "splits.tsv") in out
    assert said("split", "--dataset", tables)[0] == 0
    assert {name: (tables / "splits" / name).read_bytes() for name in names} == files
    line = refused(said("split", "--dataset", tables, "--seed", 1))
    assert "holds another split" in line and "--force" in line
    assert {name: (tables / "splits" / name).read_bytes() for name in names} == files
    assert said("split", "--dataset", tables, "--seed", 1, "--force")[0] == 0
    assert files["splits.tsv"] != (tables / "splits" / "splits.tsv").read_bytes()
    assert said("split", "--dataset", tables, "--force")[0] == 0


def test_variants_lie_beside_each_other_under_their_names(said, tables):
    code, out, _ = said(
        *("split", "--dataset", tables, "--only", "gold", "--balance", "sex", "--name", "gold-balanced", "--json")
    )
    content = json.loads(out)
    assert (
        code == 0
        and content["passed"]
        and [Path(path).name for path in content["files"]]
        == [
            "gold-balanced_record.json",
            "gold-balanced_splits_final.json",
            "gold-balanced.tsv",
        ]
    )
    assert any("name it: cspineseg nnunet export --splits" in note for note in content["notes"])
    sexes = {row["value"]: row["patients"] for row in content["strata"] if row["by"] == "sex"}
    assert sexes["F"] == sexes["M"] > 200
    rows = (tables / "splits" / "gold-balanced.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert {row.split("\t")[-1] for row in rows} == {"gold"}


def test_a_query_chooses_the_exams_of_a_split(said, tables):
    code, out, _ = said(
        *("split", "--dataset", tables, "--query", "field_strength == 3", "--name", "three-tesla", "--json")
    )
    assert code == 0 and sum(row["exams"] for row in json.loads(out)["parts"] if row["part"][:4] != "fold") == 508
    record = json.loads((tables / "splits" / "three-tesla_record.json").read_text(encoding="utf-8"))
    assert record["query"] == "field_strength == 3", "without it, nobody could make the split again"


def test_check_passes_ours_and_fails_what_mixes_patients(said, tables, tmp_path):
    assert said("split", "--dataset", tables, "--name", "mine")[0] == 0
    for name in ("mine.tsv", "mine_splits_final.json"):
        code, out, _ = said("split", "--dataset", tables, "--check", tables / "splits" / name)
        assert code == 0 and "No patient crosses" in out
    repeated = "593973-000009_Study-MR-9_Series-1", "593973-000009_Study-MR-10_Series-2"
    bad = tmp_path / "bad.tsv"
    bad.write_text(f"stem\tsplit\n{repeated[0]}\ttrain\n{repeated[1]}\ttest\n", encoding="utf-8")
    code, out, _ = said("split", "--dataset", tables, "--check", bad)
    assert code == 1 and "Problem: 1 patients are in several parts: 593973-000009 (test, train)." in out
    code, out, _ = said("split", "--dataset", tables, "--check", bad, "--json")
    content = json.loads(out)
    assert code == 1 and not content["passed"] and len(content["problems"]) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--folds", "1"), "1 folds are not possible"),
        (("--test", "0.7", "--val", "0.3"), "leave nobody for training"),
        (("--test", "2"), "share for test is 2"),
        (("--stratify", "race,height"), "'height' is nothing to stratify by"),
        (("--only", "bronze"), "'bronze' is not a source"),
        (("--name", "gold"), "'gold' means something else in splits/"),
        (("--query", "age > 200"), "no exam to split"),
        (("--query", "study == 1"), "1 of 1 patients are left for 5 folds"),
        (("--check", "none.tsv"), "none.tsv cannot be read"),
    ],
)
def test_what_split_cannot_do_is_one_sentence_and_nothing_is_written(said, tables, words, expected):
    before = sorted((tables / "splits").iterdir())
    assert expected in refused(said("split", "--dataset", tables, *words))
    assert sorted((tables / "splits").iterdir()) == before


def test_without_a_gold_list_gold_alone_is_refused(said, tmp_path):
    root = cohort_cases.make(tmp_path, gold=False).root
    assert "No list says which exams are Gold" in refused(said("split", "--dataset", root, "--only", "gold"))
    assert not (root / "splits").exists()
