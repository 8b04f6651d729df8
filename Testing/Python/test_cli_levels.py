"""`cspineseg levels` as people and programs use it: tables, JSON, anchors, and one sentence for what cannot be."""

# Tests take fixtures by name, which ruff holds for definitions anew.
# ruff: noqa: F811

from __future__ import annotations

import json

import numpy as np
import pytest
from cli_cases import cells, refused, said  # noqa: F401  (fixture)
from level_cases import WHOLE, _labelled, labelled  # noqa: F401  (fixtures)

from CSpineSegLib import jobs, volume
from CSpineSegLib.cli.levels import parse_anchor
from CSpineSegLib.errors import InputError

# C4 to C7 with the discs between, in TotalSpineSeg values.
FOUR = (14, 65, 15, 66, 16, 67, 17)


def test_one_exam_is_a_table_of_levels_from_head_to_foot(said, labelled):
    code, out, err = said("levels", "900002", "--dataset", labelled.root)
    header, *rows = cells(out)
    assert code == 0 and header[:2] == ["Level", "Sure"]
    names = [row[0] for row in rows]
    assert names[:3] == ["C2", "C2-C3", "C3"] and "C5-C6 block" in names and "C5" not in names
    heights = [float(row[2].split(", ")[2]) for row in rows]
    assert heights == sorted(heights, reverse=True)
    assert "2 vertebrae in one" in rows[names.index("C5-C6 block")][-1]
    assert "C2 with its dens" in err, "what the names rest on is said"


def test_measurements_are_a_table_with_their_uncertainty_or_the_reason(said, labelled):
    code, out, _ = said("levels", "900005", "--dataset", labelled.root, "--measurements")
    header, *rows = cells(out)
    assert code == 0 and header == ["Of", "Measurement", "Value", "95 %", "Unit", "Remark"]
    (volume_of_c3,) = [row for row in rows if row[:2] == ["C3", "Volume"]]
    assert float(volume_of_c3[2]) > 300 and volume_of_c3[3].startswith("± ") and volume_of_c3[4] == "mm3"
    assert all(row[2] or row[5].startswith("not measured: ") for row in rows)
    assert any(row[0] == "C2-C7" for row in rows)


def test_many_exams_are_a_line_each_with_blocks_and_what_failed(said, labelled):
    broken = labelled.exams(patient="593973-900001")[0]
    broken.mask.write_bytes(b"no mask")
    words = ["900001", "900002", "900005"]
    code, out, _ = said("levels", *words, "--dataset", labelled.root)
    header, *rows = cells(out)
    assert code == 1 and header == ["Exam", "Levels", "From, to", "Blocks", "Labelmap"]
    assert [row[1] for row in rows[:2]] == ["absolute", "absolute"]
    assert rows[0][2].startswith("C2 to ") and rows[0][3] == "C5-C6 block" and rows[1][3] == ""
    assert rows[2][0] == broken.stem and rows[2][1].startswith("failed: ")
    code, out, _ = said("levels", *words, "--dataset", labelled.root, "--json")
    content = json.loads(out)
    assert code == 1 and list(content["failures"]) == [broken.stem]
    assert [result["skipped"] for result in content["results"]] == [True, True]
    assert content["results"][0]["elements"][0]["levels"] == ["C2"]
    code, out, err = said("levels", *words, "--dataset", labelled.root, "--measurements")
    assert code == 1 and cells(out)[0][0] == "Exam" and f"Note: {broken.stem}: " in err


def test_a_query_chooses_exams(said, labelled):
    code, out, _ = said("levels", "--dataset", labelled.root, "--query", "patient_id == '593973-900005'", "--json")
    assert code == 0 and [result["exam"] for result in json.loads(out)["results"]] == [
        labelled.exams(patient=WHOLE)[0].stem
    ]


def test_an_anchor_names_what_is_relative_and_none_forgets_it(said, labelled, tmp_path):
    exam = labelled.exams(patient=WHOLE)[0]
    record = jobs.levels(exam).content
    mask = volume.read(exam.mask)
    labelling = jobs.levels(exam).labelling()
    levels = labelling.level_volume(mask).array
    four = volume.like(mask, np.where(np.isin(levels, FOUR), mask.array, 0).astype(np.uint8))
    own = tmp_path / "four_SEG.nii.gz"
    volume.write(four, own)
    exam.mask.write_bytes(own.read_bytes())
    code, out, err = said("levels", "900005", "--dataset", labelled.root)
    assert code == 0 and cells(out)[1][0] == "body 1" and "Levels are relative" in err
    place = next(one["centroid_mm"] for one in record["instances"] if one["of"] == "C6")
    anchor = f"c6={place[0]}, {place[1]},{place[2]}"
    code, out, err = said("levels", "900005", "--dataset", labelled.root, "--anchor", anchor)
    names = [row[0] for row in cells(out)[1:]]
    assert code == 0 and names == ["C4", "C4-C5", "C5", "C5-C6", "C6", "C6-C7", "C7"] and "given at" in err
    assert cells(said("levels", "900005", "--dataset", labelled.root)[1])[1][0] == "C4", "it is kept"
    assert cells(said("levels", "900005", "--dataset", labelled.root, "--anchor", "none")[1])[1][0] == "body 1"
    output = tmp_path / "four_LEVELS.nii.gz"
    code, out, _ = said("levels", own, "--output", output, "--anchor", anchor, "--json")
    assert code == 0 and json.loads(out)["absolute"]
    assert set(np.unique(volume.read(output).array)) == {0, *FOUR}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not an anchor"),
        ("C2", "is not an anchor"),
        ("C2=", "is not an anchor"),
        ("C2=1,2", "is not an anchor"),
        ("C2=1,2,3,4", "is not an anchor"),
        ("C2=1,2,x", "is not an anchor"),
        ("C2=nan,2,3", "is not an anchor"),
        ("C2=inf,2,3", "is not an anchor"),
        ("C2=1e999,2,3", "is nowhere"),
        ("C1=1,2,3", "'C1' is no level"),
        ("C9=1,2,3", "'C9' is no level"),
        ("=1,2,3", "'' is no level"),
        ("C2-C4=1,2,3", "'C2-C4' is no level"),
    ],
)
def test_what_is_no_anchor_is_refused_with_an_example(text, told):
    with pytest.raises(InputError, match=told):
        parse_anchor(text)


def test_anchors_are_read_with_signs_spaces_and_slashes():
    assert parse_anchor("C2=1.5,-20,+4e1") == ("C2", (1.5, -20.0, 40.0))
    assert parse_anchor(" c5/c6 = .5 , 2. , -3") == ("C5-C6", (0.5, 2.0, -3.0))
    assert parse_anchor(None) is None and parse_anchor("none") == jobs.NO_ANCHOR


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "Name a patient"),
        (["a", "--all"], "not both"),
        (["--all"], "--dataset"),
        (["900001", "900002", "--output", "x.nii.gz"], "exactly one mask file"),
        (["--all", "--output", "x.nii.gz"], "exactly one mask file"),
        (["900001", "--output", "x.nii.gz"], "'900001' is none"),
        (["gone_SEG.nii.gz", "--output", "x.nii.gz"], "gone_SEG.nii.gz"),
        (["gone_SEG.nii.gz", "--output", "x.png"], "x.png"),
        (["a_SEG.nii.gz", "--output", "x.nii.gz", "--model", "m"], "--model"),
        (["a_SEG.nii.gz", "--output", "x.nii.gz", "--anchor", "none"], "--anchor none"),
        (["./a_SEG.nii.gz"], "--output"),
        (["a", "--anchor", "C2=1,2"], "C2=1.5,20.0,43.0"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(said, words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CSPINESEG_DATASET", raising=False)
    assert expected in refused(said("levels", *words))
    assert list(tmp_path.iterdir()) == []


def test_an_anchor_belongs_to_one_exam_and_must_meet_it(said, labelled):
    words = ["--dataset", labelled.root, "--anchor", "C2=900,0,0"]
    assert "belongs to one exam" in refused(said("levels", "--all", *words))
    assert "Nothing of the mask lies at the anchor" in refused(said("levels", "900005", *words))
