"""The report from evaluations on disk, its command, and the made data set that it is tried on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from CSpineSegLib.cli.main import main
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation import results
from CSpineSegLib.evaluation.fairness.planted import PLANTED
from CSpineSegLib.jobs import report_browser, report_build, report_trial, report_trial_masks, report_trial_run
from CSpineSegLib.volume import read_mask

EXAMS = 5


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> report_build.Report:
    """The report of a trial with five exams."""
    return report_trial_run.run(tmp_path_factory.mktemp("trial é"), jobs=0, exams=EXAMS)


@pytest.fixture(scope="module")
def folder(made) -> Path:
    return made.page.parent


@pytest.fixture(scope="module")
def html(made) -> str:
    return made.page.read_text(encoding="utf-8")


def keys(made: report_build.Report) -> list[str]:
    return [section.key for section in made.sections]


def test_all_analyses_are_there_and_each_says_of_which_model_and_ruler(made):
    titles = {section.key: section.title for section in made.sections}
    assert keys(made)[:2] == ["cohort", "accuracy-model-a-gold"]
    for model in report_trial.MODELS:
        for part in ("accuracy", "levels", "worst"):
            assert f"{part}-{model}-gold" in titles and model in titles[f"{part}-{model}-gold"]
    assert "comparison-gold" in titles and "accuracy-model-a-network" in titles
    # Levels and worst cases are shown of Gold alone, where there is Gold.
    assert "levels-model-a-network" not in titles and "worst-model-a-network" not in titles


def test_an_audit_that_five_exams_do_not_allow_is_replaced_by_its_reason(made, html):
    reasons = [section for section in made.sections if section.title.startswith("Fairness: not audited")]
    assert reasons and all("30" in section.sentences[0] for section in reasons)
    assert reasons[0].sentences[0].replace(">", "&gt;").replace("<", "&lt;").replace("'", "&#39;") in html


def test_numbers_of_the_page_are_those_of_the_evaluation(folder, html):
    read = results.read(folder / "model-a-against-gold")
    for structure in ("bodies", "discs"):
        assert f"{read.values('dice', structure).mean():.3f}" in html
    for name in (results.RECORD, results.TABLE, results.EXAMS):
        assert hashlib.sha256((read.folder / name).read_bytes()).hexdigest() in html
    assert f"{PLANTED.share:.1%}" in html and "nobody in it is real" in html


def test_worst_cases_have_their_pictures(folder, html):
    drawn = list((folder / "model-b-against-gold").rglob("*.png"))
    assert drawn and html.count("data:image/png;base64,") == 2 * len(drawn)


def test_one_evaluation_alone_keeps_its_names_and_needs_no_dataset(folder, tmp_path):
    made = report_build.build_report([folder / "model-b-against-gold"], tmp_path / "r.html")
    assert keys(made)[:2] == ["accuracy", "levels"] and "cohort" not in keys(made)
    assert (tmp_path / "r_tables" / "accuracy.tsv").is_file() and made.pdf is None


def test_nothing_is_overwritten_without_force(folder, tmp_path):
    page = tmp_path / "r.html"
    page.write_text("mine", encoding="utf-8")
    words = ["report", str(folder / "model-b-against-gold"), "--output", str(page)]
    assert main(words) == 2
    assert page.read_text(encoding="utf-8") == "mine" and [*tmp_path.iterdir()] == [page]
    assert main([*words, "--force"]) == 0
    assert "</html>" in page.read_text(encoding="utf-8")


def test_the_command_prints_where_it_all_is_as_json(folder, tmp_path, capsys):
    page = tmp_path / "r.html"
    assert main(["report", str(folder / "model-a-against-network"), "--output", str(page), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["page"] == str(page) and found["tables"] == str(tmp_path / "r_tables") and found["pdf"] is None


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--output", "r.html"], "A report needs at least one evaluation"),
        (["A"], "Name the HTML file to write with --output"),
        (["A", "--output", "r.pdf"], "r.pdf is not an HTML file"),
        (["A", "A", "--output", "r.html"], "was named twice"),
        (["nowhere", "--output", "r.html"], "holds no finished evaluation"),
        (["A", "--output", "r.html", "--by", "shoe_size"], "shoe_size"),
        (["A", "--trial", "t"], "--trial makes its own data set"),
        (["A", "--output", "D/extracted/segmentation/r.html"], "is never written"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence_and_nothing_is_written(
    folder, tmp_path, capsys, monkeypatch, words, sentence
):
    monkeypatch.chdir(tmp_path)
    places = {"A": str(folder / "model-a-against-gold"), "D": str(folder / "dataset")}
    before = sorted(path for path in folder.rglob("*"))
    given = [places.get(word, word.replace("D/", places["D"] + "/")) for word in words]
    assert main(["report", *given]) == 2
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said
    assert [*tmp_path.iterdir()] == [] and sorted(path for path in folder.rglob("*")) == before


def test_a_pdf_without_a_browser_is_refused_before_anything_is_written(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(report_browser.VARIABLE, "/nowhere/browser")
    words = ["report", str(folder / "model-a-against-gold"), "--output", str(tmp_path / "r.html"), "--pdf"]
    assert main(words) == 2
    assert "/nowhere/browser, cannot be run" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_the_trial_has_the_people_of_the_release():
    plans = report_trial.plans()
    people = {plan.person.patient_id: plan.person for plan in plans}
    exams = Counter(Counter(plan.name.patient_id for plan in plans).values())
    assert len(plans) == 200 and len(people) == 185 and exams == {1: 172, 2: 11, 3: 2}
    assert sum(plan.gold for plan in plans) == 160
    # 1 of 185 is .5 %; these shares have a standard error of under 4 %, and two of those are let pass.
    assert np.mean([one.sex == "Female" for one in people.values()]) == pytest.approx(675 / 1232, abs=0.08)
    assert np.mean([one.race == "White" for one in people.values()]) == pytest.approx(795 / 1232, abs=0.08)
    ages = [one.age for one in people.values() if one.age is not None]
    assert np.mean(ages) == pytest.approx(54.5, abs=2.5) and max(ages) <= 89
    assert plans == report_trial.plans()


def test_only_older_people_lose_discs_and_only_in_model_a(folder):
    dataset = Dataset.open(folder / "dataset")
    assert len(dataset) == EXAMS and dataset.problems == []
    mask = read_mask(dataset.exams()[0].mask).array
    rng = np.random.default_rng(0)
    for age, lost in ((40, 0.0), (60, 0.0), (61, 0.045), (None, 0.09)):
        changed = report_trial_masks.planted(mask, age, rng)
        assert np.array_equal(changed == 1, mask == 1)
        share = 1 - np.count_nonzero(changed == 2) / np.count_nonzero(mask == 2)
        assert share == pytest.approx(lost, abs=0.002)


def test_outlines_wander_by_little_and_make_nothing_out_of_nothing(folder):
    mask = read_mask(Dataset.open(folder / "dataset").exams()[0].mask).array
    moved = [report_trial_masks.wandered(mask, size, np.random.default_rng(1)) for size in (0.03, 0.2)]
    near, far = (report_trial_masks.dice(one, mask) for one in moved)
    assert 0.85 < far < near < 1
    grown = mask > 0
    for axis in range(3):
        for _ in range(2):
            grown = grown | np.roll(grown, 1, axis) | np.roll(grown, -1, axis)
    assert not (moved[1] > 0)[~grown].any()


def test_the_trial_is_made_once_and_other_folders_are_left_alone(folder, tmp_path):
    first = {path: path.stat().st_mtime_ns for path in (folder / "dataset").rglob("*") if path.is_file()}
    report_trial.make(folder / "dataset", jobs=0, exams=EXAMS)
    assert first == {path: path.stat().st_mtime_ns for path in (folder / "dataset").rglob("*") if path.is_file()}
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is not empty and holds no such trial data set"):
        report_trial.make(tmp_path, jobs=0, exams=EXAMS)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_same_exam_has_the_same_bytes_again(folder, tmp_path):
    again = report_trial.make(tmp_path / "again", jobs=0, exams=2)
    assert len(again) == 2
    twice = report_trial.make(tmp_path / "twice", jobs=0, exams=2)
    files = [
        sorted(path.relative_to(one.root) for path in one.root.rglob("*") if path.is_file()) for one in (again, twice)
    ]
    assert files[0] == files[1]
    for path in files[0]:
        assert (again.root / path).read_bytes() == (twice.root / path).read_bytes(), path
