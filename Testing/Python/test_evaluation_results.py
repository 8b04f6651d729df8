"""The files of an evaluation: what is written reads back the same, and what is damaged is said."""

from __future__ import annotations

import json
import math

import pandas
import pytest

from CSpineSegLib import files
from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation import results

ROWS = [
    ("a", "bodies", "class", "dice", 0.1 + 0.2, ""),
    ("a", "discs", "class", "hd95_mm", None, "the candidate is empty"),
    ("b", "bodies", "class", "dice", 1.0, ""),
    ("b", "C5+C6", "level", "dice", 1e-17, "fused in\treference"),
    # What the prediction calls so, elsewhere.
    ("b", "C5+C6", "level", "dice", 0.0, "extra within a block"),
]


@pytest.fixture
def folder(tmp_path):
    exams = pandas.DataFrame({column: [None] * 3 for column in results.EXAM_COLUMNS}, index=["a", "b", "c"])
    exams["patient"] = ["593973-000001", "593973-000002", "é"]
    exams["race"] = ["Not Reported", "None", None]
    exams["age"] = [54.5, None, 61]
    exams["status"] = ["ok", "ok", "failed: the masks lie elsewhere."]
    results.write(
        tmp_path / "jeu 1",
        [results.line(*row) for row in ROWS],
        exams,
        {"ruler": "gold", "predictions": "model"},
    )
    return tmp_path / "jeu 1"


def test_what_is_written_reads_back_to_the_last_digit(folder):
    found = results.read(folder)
    assert list(found.table.columns) == list(results.COLUMNS)
    assert found.table["value"][0] == 0.1 + 0.2 and found.table["value"][3] == 1e-17
    assert math.isnan(found.table["value"][1]) and found.table["note"][1] == "the candidate is empty"
    assert found.table["note"][3] == "fused in reference"
    assert found.exams.loc["a", "race"] == "Not Reported" and found.exams.loc["b", "race"] == "None"
    assert found.exams.loc["c", "race"] is None and found.exams.loc["a", "age"] == 54.5
    assert list(found.usable.index) == ["a", "b"]
    assert (found.ruler, found.predictions) == ("gold", "model")


def test_the_same_content_gives_the_same_bytes(folder, tmp_path):
    found = results.read(folder)
    again = results.of_frames(tmp_path / "again", found.table, found.exams, {"ruler": "gold", "predictions": "model"})
    for name in (results.TABLE, results.EXAMS, results.RECORD):
        assert (again.folder / name).read_bytes() == (folder / name).read_bytes()


def test_values_of_one_figure_come_by_exam(folder):
    found = results.read(folder)
    assert found.values("dice", "bodies").to_dict() == {"a": 0.1 + 0.2, "b": 1.0}
    assert found.values("dice", "C5+C6", "level").to_dict() == {"b": 1e-17}
    assert found.values("dice", "discs").empty
    with pytest.raises(InputError, match=r"no figure 'dise' of the kind 'class'; there are dice, hd95_mm"):
        found.values("dise", "bodies")


def test_a_column_that_a_user_adds_to_the_exams_is_kept(folder):
    path = folder / results.EXAMS
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [f"{line}\t{cell}" for line, cell in zip(lines, ("site", "x", "", "y"), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert results.read(folder).exams["site"].to_list() == ["x", None, "y"]


def test_a_folder_without_an_evaluation_says_so(tmp_path):
    with pytest.raises(InputError, match=r"holds no finished evaluation .* run cspineseg evaluate"):
        results.read(tmp_path)


@pytest.mark.parametrize("schema", ["cspineseg-evaluation-2", None])
def test_another_version_is_refused(folder, schema):
    record = files.read_json(folder / results.RECORD)
    (folder / results.RECORD).write_text(json.dumps({**record, "schema": schema}), encoding="utf-8")
    with pytest.raises(InputError, match="another version"):
        results.read(folder)


@pytest.mark.parametrize("content", ["[1]", "{", '{"schema": "cspineseg-evaluation-1"}'])
def test_a_damaged_record_is_refused(folder, content):
    (folder / results.RECORD).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"evaluation.json"):
        results.read(folder)


def test_a_table_that_was_cut_short_or_changed_is_refused(folder):
    path = folder / results.TABLE
    whole = path.read_bytes()
    for changed in (whole[:-20], whole.replace(b"bodies", b"Bodies")):
        path.write_bytes(changed)
        with pytest.raises(InputError, match=r"results.tsv is damaged or was changed"):
            results.read(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"results.tsv cannot be read"):
        results.read(folder)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("manufacturer", "maker", "has no column 'manufacturer', which is needed"),
        ("54.5", "old", "something else than numbers in the column 'age'"),
        ("\tfailed: the masks lie elsewhere.\t", "", "too few or too many columns in line 4"),
        ("\nb\t", "\na\t", "lists a twice"),
        ("\nb\t", "\nd\t", "lacks b, which results.tsv has figures of"),
    ],
)
def test_a_damaged_table_of_exams_is_refused(folder, old, new, sentence):
    path = folder / results.EXAMS
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=sentence):
        results.read(folder)
