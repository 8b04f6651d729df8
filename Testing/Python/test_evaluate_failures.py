"""What goes wrong with a whole evaluation: folders that hold something else, processes that die, nothing to compare."""

from __future__ import annotations

import importlib
import os

import pytest
from cli_cases import refused, said  # noqa: F401  (fixture)
from evaluate_cases import files_of, folders, judged
from test_evaluation_summary import EXAMS, SAME

from CSpineSegLib import files, jobs
from CSpineSegLib.cli.main import main
from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation import results, summary, worst
from CSpineSegLib.evaluation.comparison_pairs import same_predictions
from CSpineSegLib.jobs import evaluate_exam, report_build


def judge(root, sides, **options):
    references, predictions = sides
    return jobs.evaluate(predictions, references, **{"output": root / "out", "jobs": 0, "pictures": 0} | options)


def deadly(task):
    if task.exam == "b":
        os._exit(9)
    return evaluate_exam.evaluate_exam(task)


def test_an_exam_that_takes_its_process_along_fails_alone(tmp_path, monkeypatch):
    sides = folders(tmp_path, {"a": 0, "b": 1, "c": 2})
    monkeypatch.setattr(importlib.import_module("CSpineSegLib.jobs.evaluate"), "_one", deadly)
    found = judge(tmp_path, sides, jobs=1)
    assert list(found.record["failures"]) == ["b"] and "memory" in found.record["failures"]["b"]
    assert set(found.table["exam"]) == {"a", "c"}


def test_if_no_exam_can_be_compared_each_says_why_and_no_figure_is_claimed(said, tmp_path):  # noqa: F811
    references, predictions = folders(tmp_path, {"a": 0, "b": 1})
    for path in predictions.iterdir():
        path.write_bytes(b"no mask")
    words = ("evaluate", predictions, "--reference", references, "--output", tmp_path / "out", "--jobs", "0")
    code, out, err = said(*words)
    assert code == 1 and "Traceback" not in err and "a: a_SEG.nii.gz is not a NIfTI file" in err
    assert "0 exams of 0 patients" in out and "nan" not in out and "No exam could be compared." in out
    found = results.read(tmp_path / "out")
    assert not len(worst.table(found)) and summary.section(found).warnings
    page = report_build.build_report([tmp_path / "out"], tmp_path / "r.html").page
    assert "nan" not in page.read_text(encoding="utf-8").split("<main", 1)[1].split("Methods</h2>")[0].lower().split()


def test_the_folder_of_another_evaluation_is_not_written_over(tmp_path):
    references, predictions = folders(tmp_path, {"a": 1})
    judge(tmp_path, (references, predictions))
    before = files_of(tmp_path / "out")
    predictions.rename(tmp_path / "other model")
    with pytest.raises(InputError, match="holds the evaluation of predictions against références, and this one is of"):
        judge(tmp_path, (references, tmp_path / "other model"))
    assert files_of(tmp_path / "out") == before


@pytest.mark.parametrize("name", ["letter.txt", "tables/mine.tsv"])
def test_a_folder_that_holds_anything_else_is_left_alone(tmp_path, name):
    """Such as one's home, with its folder of pictures."""
    sides = folders(tmp_path, {"a": 1})
    for path in (tmp_path / "out" / name, tmp_path / "out" / "pictures" / "holiday.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine", encoding="utf-8")
    before = files_of(tmp_path / "out")
    with pytest.raises(InputError, match=f"holds {name.split('/')[0]} and no evaluation; choose a new or an empty"):
        judge(tmp_path, sides, pictures=2)
    assert files_of(tmp_path / "out") == before


def test_pictures_that_somebody_put_there_stay(tmp_path):
    sides = folders(tmp_path, {"a": 1})
    mine = tmp_path / "out" / results.PICTURES / "mine.png"
    judge(tmp_path, sides)
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    judge(tmp_path, sides, pictures=1)
    assert mine.is_file() and (mine.parent / "a.png").is_file()


def test_a_name_that_looks_like_a_formula_is_drawn_as_it_is(tmp_path):
    found = judge(tmp_path, folders(tmp_path, {"a$_$^b": 1}), pictures=1)
    assert (found.folder / results.PICTURES / "a$_$^b.png").is_file()


@pytest.mark.parametrize("name", ["../../elsewhere", "", "a\\b"])
def test_a_table_of_cases_cannot_lead_out_of_the_folder(tmp_path, name):
    references, predictions = folders(tmp_path, {"cspine_7": 0}, ".nii.gz")
    (predictions / "cspineseg_cases.tsv").write_text(f"case\texam\ncspine_7\t{name}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"cspineseg_cases\.tsv names the exam .* which no file can be called"):
        judge(tmp_path, (references, predictions))


def test_tables_of_a_former_run_that_are_no_more_are_removed(tmp_path):
    references, predictions = folders(tmp_path, {"a": 0, "b": 1})
    good = (predictions / "b_SEG.nii.gz").read_bytes()
    words = ["evaluate", predictions, "--reference", references, "--output", tmp_path / "out", "--jobs", "0"]
    (predictions / "b_SEG.nii.gz").write_bytes(b"no mask")
    assert main([*map(str, words)]) == 1
    assert (tmp_path / "out" / "tables" / "not-compared.tsv").is_file()
    (predictions / "b_SEG.nii.gz").write_bytes(good)
    assert main([*map(str, words)]) == 0
    assert not (tmp_path / "out" / "tables" / "not-compared.tsv").exists(), "it would say that b failed"
    assert (tmp_path / "out" / "tables" / "accuracy.tsv").is_file()


def test_a_report_on_evaluations_of_one_name_tells_them_apart_and_has_the_hashes_of_all(tmp_path):
    """As of two trainings: the same model's name, the same ruler, and results in folders of the same name."""
    sides = [judged(tmp_path / name / "gold", EXAMS) for name in ("first", "second")]
    page = report_build.build_report([one.folder for one in sides], tmp_path / "r.html").page
    html = page.read_text(encoding="utf-8")
    assert str(tmp_path) not in html and "first/gold - second/gold" in html
    for name in ("first", "second"):
        assert f"Accuracy: model against Gold masks ({name}/gold)" in html
        for file in (results.RECORD, results.TABLE, results.EXAMS):
            assert f"{name}/gold/{file}" in html


def test_predictions_of_one_name_are_the_same_only_if_their_masks_are(tmp_path):
    gold, other = (judged(tmp_path / name, {"a": SAME}, ruler=name) for name in ("gold", "network"))
    assert same_predictions(gold, other)
    for one, digest in ((gold, "1"), (other, "2")):
        files.write_json(one.folder / "exams" / "a.json", {"candidate": {"sha256": digest}})
    assert not same_predictions(gold, other)


def test_a_report_names_the_versions_that_made_the_figures(tmp_path):
    found = report_build._versions([{"cspineseg": "0.0.1"}, "damaged"])
    assert found["cspineseg"].endswith(", evaluated with 0.0.1") and " " not in found["python"]


def test_masks_are_not_compared_with_themselves(tmp_path):
    references, _ = folders(tmp_path, {"a": 1})
    with pytest.raises(InputError, match="are the same files, in références; name two sets of masks"):
        judge(tmp_path, (references, references))
    assert not (tmp_path / "out").exists()
