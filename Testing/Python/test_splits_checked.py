"""Checking splits, ours and others', and whether the export for nnU-Net reads ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nnunet_export_cases import make, stem

from CSpineSegLib.dataset import Dataset, split_checks, split_files, splits
from CSpineSegLib.errors import InputError
from CSpineSegLib.training.nnunet import Folders, export, parts


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return make(tmp_path / "dataset", split=None)


def check(dataset: Dataset, *paths: Path) -> split_checks.Checked:
    return split_checks.check(paths, dataset.exams())


def given(dataset: Dataset, text: str, name: str = "mine.tsv") -> Path:
    path = dataset.root / "splits" / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_export_for_nnunet_reads_our_split_as_it_was_meant(dataset, tmp_path):
    drawn = splits.draw(dataset.exams(), folds=3)
    split_files.write(drawn, dataset.root / "splits")
    read = parts.read(dataset.exams(), dataset.root / "splits")
    assert read.folds == 3 and read.closed == frozenset() and read.left_out == [] and read.notes == []
    for row in drawn.rows:
        assert read.by_stem[row.stem] == parts.Part("test" if row.split == "test" else "train", row.fold)
    made = export(dataset, Folders.of(tmp_path / "work"))
    exam_of = {case.case: case.exam for case in made.cases}
    final = json.loads((made.folder / "splits_final.json").read_text(encoding="utf-8"))
    named = [{side: sorted(exam_of[case] for case in fold[side]) for side in fold} for fold in final]
    assert named == [{side: sorted(fold[side]) for side in fold} for fold in split_files.final(drawn)]
    # And the file that the export wrote, in nnU-Net's own case names, passes the check.
    found = check(dataset, made.folder / "splits_final.json")
    assert found.passed, found.problems
    assert sum(row["exams"] for row in found.parts) == len(made.cases) - made.count("test")


def test_the_export_leaves_out_who_has_no_place_in_a_variant(dataset):
    drawn = splits.draw(dataset.exams(), folds=2, test=0.4, val=0, only="gold")
    *_, table = split_files.write(drawn, dataset.root / "splits", "gold-only")
    read = parts.read(dataset.exams(), dataset.root / "splits", table)
    assert set(read.by_stem) == {exam.stem for exam in dataset.exams(source="gold")} and len(read.left_out) == 4


def test_our_files_pass_the_check_and_their_shares_are_counted(dataset):
    record, final, table = split_files.write(splits.draw(dataset.exams(), folds=3), dataset.root / "splits")
    found = check(dataset, table)
    assert found.passed and found.notes == ()
    rows = {row["part"]: row for row in found.parts}
    assert [rows[part]["patients"] for part in ("train", "val", "test")] == [4, 1, 1]
    assert sum(rows[part]["share"] for part in ("train", "val", "test")) == pytest.approx(1)
    (stratum,) = [row for row in found.strata if row["by"] == "stratum"]
    assert stratum["value"] == "unknown, unknown, unknown" and stratum["patients"] == 6 and stratum["test"] == 1
    by_fold = check(dataset, final)
    assert by_fold.passed and [row["part"] for row in by_fold.parts] == ["fold 0", "fold 1", "fold 2"]
    assert "1 of 7 exams have no place in it" in by_fold.notes[0] or "2 of 7" in by_fold.notes[0]
    with pytest.raises(InputError, match="not nnU-Net's file of folds"):
        check(dataset, record)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stem\tsplit\n{0}\ttrain\n{1}\ttest\n", ["1 patients are in several parts: 593973-000001 (test, train)."]),
        ("stem\tfold\n{0}\t0\n{1}\t1\n", ["1 patients are in several folds: 593973-000001 (fold 0, fold 1)."]),
        ("stem\tsplit\n{0}\ttrain\n{0}\ttrain\n", ["1 exams are there twice: {0} (line 3)."]),
        ("patient_id\tsplit\n1\ttrain\n99\ttest\n", ["1 names are not of this dataset: 99 (line 3)."]),
        (
            "stem\tsplit\n{0}_SEG.nii.gz\ttrain\n{0}.nii.gz\ttest\n",
            ["1 exams are there twice", "1 patients are in several parts"],
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_said(dataset, text, expected):
    found = check(dataset, given(dataset, text.format(stem(1), stem(1, 101))))
    assert not found.passed and len(found.problems) == len(expected)
    for problem, start in zip(found.problems, expected, strict=True):
        assert problem.startswith(start.format(stem(1)))


def test_capitals_of_headings_and_folds_written_as_fractions_are_read(dataset):
    lines = [f"{exam.stem},Train,{at % 2}.0" for at, exam in enumerate(dataset.exams(patient=1)[:1])]
    found = check(dataset, given(dataset, "Exam,Split,Fold\n" + "\n".join(lines) + "\n", "mine.csv"))
    assert found.passed and [row["part"] for row in found.parts] == ["train", "fold 0"]


def test_a_table_with_a_line_for_each_exam_and_fold_is_read_as_a_cross_validation(dataset):
    people = sorted({exam.patient_id for exam in dataset.exams()})
    fold_of = {who: at % 3 for at, who in enumerate(people)}
    rows = [
        (exam.stem, number, "val" if fold_of[exam.patient_id] == number else "train")
        for exam in dataset.exams()
        for number in range(3)
    ]

    def table(rows):
        return given(dataset, "exam\tfold\tsplit\n" + "".join(f"{a}\t{b}\t{c}\n" for a, b, c in rows))

    found = check(dataset, table(rows))
    assert found.passed and [row["part"] for row in found.parts] == ["fold 0", "fold 1", "fold 2"], found.problems
    assert sum(row["exams"] for row in found.parts) == len(dataset.exams())
    # One line for each exam, and one of them twice: no cross-validation, however it looks.
    single = [(a, b, c) for a, b, c in rows if c == "val"]
    found = check(dataset, table([*single, (single[0][0], (single[0][1] + 1) % 3, "train")]))
    assert not found.passed and "exams are there twice" in found.problems[0], found.problems
    # One exam of a patient with several is trained on where the others are held out.
    several = next(exam for exam in dataset.exams() if len(dataset.exams(patient=exam.patient_id)) > 1)
    crossed = [(a, b, "train" if a == several.stem else c) for a, b, c in rows]
    found = check(dataset, table(crossed))
    assert not found.passed and "trains on patients that it also holds out" in found.problems[0], found.problems


def test_lists_named_for_their_part_are_checked_together(dataset):
    train = given(dataset, "patient_id\n1\n2\n3\n", "train.tsv")
    test = given(dataset, "file_name\n" + stem(6) + ".nii.gz\n", "test.tsv")
    assert check(dataset, train, test).passed
    test.write_text(f"file_name\n{stem(1, 101)}.nii.gz\n", encoding="utf-8")
    found = check(dataset, train, test)
    assert any("593973-000001 (test, train)" in problem for problem in found.problems)


@pytest.mark.parametrize(
    ("folds", "expected"),
    [
        ([{"train": [0, 2], "val": [1]}], "Fold 0 trains on patients that it also holds out: 593973-000001."),
        ([{"train": [0, 1, 1], "val": [2]}], "1 exams are there twice: {1} (fold 0, train)."),
        ([{"train": [0, 1], "val": [2, 2]}], "1 exams are there twice: {2} (fold 0, val)."),
        ([{"train": [0, 1], "val": [2]}, {"train": [3], "val": [2]}], "1 exams are held out in several folds: {2};"),
        ([{"train": [0, 1], "val": ["case_7"]}], "1 names are not of this dataset: case_7."),
    ],
)
def test_what_is_wrong_with_folds_is_said(dataset, folds, expected):
    names = [stem(1), stem(1, 101), stem(2), stem(3)]
    content = [
        {side: [names[at] if isinstance(at, int) else at for at in fold[side]] for side in fold} for fold in folds
    ]
    found = check(dataset, given(dataset, json.dumps(content), "splits_final.json"))
    assert len(found.problems) == 1 and found.problems[0].startswith(expected.format(*names))


def test_who_is_never_held_out_is_said(dataset):
    content = [{"train": [stem(1), stem(1, 101)], "val": [stem(2)]}]
    found = check(dataset, given(dataset, json.dumps(content), "splits_final.json"))
    assert found.passed and "2 exams are trained on and never held out" in found.notes[0]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("mine.tsv", "stem\tage\nx\t3\n", "not a table of a split"),
        ("mine.tsv", "stem\tsplit\n", "names no exam"),
        ("mine.tsv", "stem\tsplit\nx\tholdout\n", "line 2: 'holdout' is not a part"),
        ("mine.csv", "stem,fold\nx,one\n", "line 2: 'one' is not a fold"),
        ("mine.json", "[3]", "not nnU-Net's file of folds"),
        ("mine.json", "[]", "not nnU-Net's file of folds"),
        ("mine.json", "{", "not a readable JSON"),
    ],
)
def test_files_that_are_no_splits_are_refused_in_a_sentence(dataset, name, text, expected):
    with pytest.raises(InputError, match=expected) as caught:
        check(dataset, given(dataset, text, name))
    assert name in str(caught.value)


def test_a_file_that_is_not_there_and_an_unknown_column_are_refused(dataset):
    for name in ("none.tsv", "none.json"):
        with pytest.raises(InputError, match=name):
            check(dataset, dataset.root / name)
    with pytest.raises(InputError, match="nothing to stratify by"):
        split_checks.check([Path("x.tsv")], dataset.exams(), ["height"])


def test_a_table_in_another_encoding_is_refused_without_jargon(dataset):
    path = given(dataset, "", "sixteen.tsv")
    path.write_bytes("stem\tsplit\n".encode("utf-16"))
    with pytest.raises(InputError, match=r"sixteen.tsv is not a UTF-8 text file; save it as text in UTF-8\."):
        check(dataset, path)
