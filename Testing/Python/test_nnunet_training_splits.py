"""Training, test and folds: by patient always, as the tables say, and the same on every run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from nnunet_export_cases import add, make, stem

from CSpineSegLib.dataset import Dataset
from CSpineSegLib.errors import InputError
from CSpineSegLib.training.nnunet import Folders, cases, export, folds, parts

CASES = {f"p{number:03d}": ["gold" if number % 3 else "silver"] * (1 + number % 2) for number in range(97)}


def table(dataset: Dataset, text: str, name: str = "splits.tsv") -> Path:
    path = dataset.root / "splits" / name
    path.write_text(text, encoding="utf-8")
    return path


def read(dataset: Dataset, given: Path | None = None) -> parts.Parts:
    return parts.read(dataset.exams(), dataset.root / "splits", given)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return make(tmp_path / "dataset", split=None)


def test_folds_are_even_in_exams_and_in_kinds_and_the_same_on_every_run():
    found = folds.assign(CASES)
    assert found == folds.assign(dict(reversed(CASES.items()))) and found != folds.assign(CASES, seed=7)
    sizes = Counter(fold for patient, fold in found.items() for _ in CASES[patient])
    gold = Counter(fold for patient, fold in found.items() for kind in CASES[patient] if kind == "gold")
    assert set(sizes) == {0, 1, 2, 3, 4}
    assert max(sizes.values()) - min(sizes.values()) <= 2 and max(gold.values()) - min(gold.values()) <= 2


def test_folds_stay_even_where_every_scanner_is_rare_and_even_out_what_was_there():
    rare = {f"p{number:03d}": [f"gold scanner {number // 2}"] for number in range(60)}
    assert set(Counter(folds.assign(rare).values()).values()) == {12}
    before = {f"g{k}": 0 for k in range(10)} | {f"s{k}": 1 for k in range(10)}
    kinds = {patient: ["gold" if patient[0] == "g" else "silver"] for patient in before}
    new = {f"new {kind} {k}": [kind] for kind in ("gold", "silver") for k in range(4)}
    after = folds.assign({**kinds, **new}, 2, fixed=before)
    assert {after[patient] for patient in new if "gold" in patient} == {1}
    assert {after[patient] for patient in new if "silver" in patient} == {0}


def test_patients_keep_the_fold_that_they_had_and_closed_folds_take_nobody():
    before = folds.assign(CASES)
    more = {**CASES, "q1": ["gold"], "q2": ["silver"]}
    after = folds.assign(more, fixed=before)
    assert {patient: after[patient] for patient in CASES} == before
    closed = folds.assign(CASES, fixed={"p001": 0}, closed=[0])
    assert [patient for patient, fold in closed.items() if fold == 0] == ["p001"]


def test_too_few_patients_are_refused():
    with pytest.raises(InputError, match=r"fold 3, 4 of 5: 3 patients"):
        folds.assign({"a": ["x"], "b": ["x", "x"], "c": ["x"]})


def test_all_exams_of_a_patient_are_held_out_in_one_fold(dataset, tmp_path):
    made = export(dataset, Folders.of(tmp_path / "w"))
    splits = json.loads((made.folder / "splits_final.json").read_text(encoding="utf-8"))
    patient_of = {case.case: case.patient for case in made.cases}
    assert len(splits) == 5 and len(set(patient_of.values())) == 6
    for fold in splits:
        assert sorted(fold["train"] + fold["val"]) == sorted(patient_of)
        assert not {patient_of[case] for case in fold["train"]} & {patient_of[case] for case in fold["val"]}
    held = Counter(case for fold in splits for case in fold["val"])
    assert set(held.values()) == {1} and len(held) == 7


def test_without_a_table_all_exams_are_for_training_and_it_is_said(dataset):
    found = read(dataset)
    assert {part.part for part in found.by_stem.values()} == {"train"} and "says nothing" in found.notes[0]


def test_named_test_patients_are_held_back_with_all_their_exams(dataset):
    table(dataset, f"file_name\tsplit\n{stem(1, 101)}_SEG.nii.gz\ttest\n")
    found = read(dataset)
    tested = {name for name, part in found.by_stem.items() if part.part == "test"}
    assert tested == {stem(1), stem(1, 101)} and len(found.by_stem) == 7 and found.left_out == []


def test_who_is_not_named_in_a_table_of_training_exams_is_left_out(dataset):
    rows = "".join(f"{number}\ttrain\n" for number in range(1, 6))
    path = table(dataset, f"patient_id\tsplit\n{rows}593973-000099\ttest\n")
    found = read(dataset)
    assert len(found.by_stem) == 6 and stem(6) in found.left_out[0] and "593973-000099" in found.notes[0]
    assert list(found.files) == [str(path)] and len(found.files[str(path)]) == 64


def test_folds_of_a_table_are_taken_over(dataset, tmp_path):
    rows = "".join(f"{number}\ttrain\t{number % 3}\n" for number in range(1, 6))
    table(dataset, f"patient\tsplit\tfold\n{rows}6\ttest\t\n")
    made = export(dataset, Folders.of(tmp_path / "w"))
    assert {case.patient[-1]: case.fold for case in made.cases} == {
        **{str(number): number % 3 for number in range(1, 6)},
        "6": None,
    }
    assert len(json.loads((made.folder / "splits_final.json").read_text(encoding="utf-8"))) == 3


def test_named_validation_patients_are_fold_0_and_the_others_share_the_rest(dataset, tmp_path):
    rows = "".join(f"{number}\t{'valid' if number == 2 else 'Training'}\n" for number in range(1, 7))
    table(dataset, f"patient_id\tsubset\n{rows}")
    made = export(dataset, Folders.of(tmp_path / "w"))
    assert [case.exam for case in made.cases if case.fold == 0] == [stem(2)]
    assert {case.fold for case in made.cases} == {0, 1, 2, 3, 4}


def test_lists_named_for_their_part_do_without_a_column_for_it(dataset):
    table(dataset, "patient_id\n" + "".join(f"{number}\n" for number in range(1, 6)), "train.tsv")
    table(dataset, "patient_id\n6\n", "test.tsv")
    found = read(dataset)
    assert {name for name, part in found.by_stem.items() if part.part == "test"} == {stem(6)}
    assert len(found.files) == 2


def test_a_table_in_csv_is_read_too(dataset):
    table(dataset, 'stem,split\n"' + stem(6) + '",test\n', "mine.csv")
    assert read(dataset).by_stem[stem(6)].part == "test"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file_name\tsplit\n{0}\ttrain\n{1}\ttest\n", "into train and test"),
        ("file_name\tfold\n{0}\t0\n{1}\t1\n", "into folds 0 and 1"),
        ("file_name\tsplit\n{0}\ttrain\n{0}\ttest\n", "into two parts"),
        ("file_name\tsplit\n{0}\tholdout\n", "'holdout' is not a part"),
        ("file_name\tfold\n{0}\tone\n", "'one' is not a fold"),
        ("name\tsplit\n{0}\ttrain\n", "not a table of a split"),
        ("file_name\tage\n{0}\t40\n", "not a table of a split"),
        ("file_name\tsplit\nnobody\ttrain\n", "names no exam"),
        ("", "not a table of a split"),
    ],
)
def test_tables_that_cannot_be_used_are_refused_in_a_sentence(dataset, text, expected, tmp_path):
    path = table(dataset, text.format(stem(1), stem(1, 101)), "given.tsv")
    with pytest.raises(InputError, match=expected) as caught:
        read(dataset, path)
    assert "given.tsv" in str(caught.value)


def test_folds_that_leave_one_empty_are_refused_before_anything_is_written(dataset, tmp_path):
    rows = "".join(f"{number}\t{1 + number % 2}\n" for number in range(1, 7))
    table(dataset, f"patient_id\tfold\n{rows}")
    with pytest.raises(InputError, match="without gaps"):
        export(dataset, Folders.of(tmp_path / "w"))
    assert not (tmp_path / "w").exists()


def test_several_splits_must_be_chosen_from_and_a_missing_one_is_named(dataset):
    table(dataset, "patient_id\tsplit\n6\ttest\n", "sex_balanced.tsv")
    table(dataset, "patient_id\tsplit\n5\ttest\n", "gold_only.tsv")
    with pytest.raises(InputError, match=r"several splits \(gold_only\.tsv, sex_balanced\.tsv\); choose one"):
        read(dataset)
    assert read(dataset, dataset.root / "splits" / "gold_only.tsv").by_stem[stem(5)].part == "test"
    table(dataset, "patient_id\tsplit\n4\ttest\n")
    assert read(dataset).by_stem[stem(4)].part == "test"
    with pytest.raises(InputError, match=r"none\.tsv cannot be read"):
        read(dataset, dataset.root / "splits" / "none.tsv")


def test_splits_are_written_again_where_planner_and_trainer_find_them(dataset, tmp_path):
    where = Folders.of(tmp_path / "w")
    made = export(dataset, where)
    name = made.folder.name
    (where.preprocessed / name).mkdir(parents=True)
    folds.renew(where, name)
    files = [folder / name / "splits_final.json" for folder in (where.raw, where.preprocessed)]
    before = files[0].read_bytes()
    assert files[1].read_bytes() == before
    drawn = folds.renew(where, name, seed=3)
    assert files[0].read_bytes() == files[1].read_bytes() != before
    assert cases.read_complete(made.folder) == drawn
    # The next export keeps them.
    export(dataset, where)
    assert folds.splits(drawn.cases, 5) == json.loads(files[0].read_text(encoding="utf-8"))


def test_folds_that_were_trained_with_change_only_by_force(dataset, tmp_path):
    where = Folders.of(tmp_path / "w")
    made = export(dataset, where)
    trained = where.results / made.folder.name / "nnUNetTrainer__nnUNetPlans__2d" / "fold_0"
    trained.mkdir(parents=True)
    (trained / "checkpoint_best.pth").write_bytes(b"x")
    folds.renew(where, made.folder.name)
    before = (made.folder / "splits_final.json").read_bytes()
    with pytest.raises(InputError, match="trained with other folds"):
        folds.renew(where, made.folder.name, seed=3)
    assert (made.folder / "splits_final.json").read_bytes() == before
    folds.renew(where, made.folder.name, seed=3, force=True)
    assert (made.folder / "splits_final.json").read_bytes() != before


def test_folds_that_mix_a_patient_stop_a_training(dataset, tmp_path):
    where = Folders.of(tmp_path / "w")
    made = export(dataset, where)
    home = where.preprocessed / made.folder.name
    home.mkdir(parents=True)
    assert folds.check(where, made.folder.name, made.cases) == []
    path = home / "splits_final.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content == json.loads((made.folder / "splits_final.json").read_text(encoding="utf-8"))
    # As nnU-Net's own random folds do, which know no patients.
    first, second = (case.case for case in made.cases if case.patient == "593973-000001")
    random = [{"train": [first], "val": [second]}]
    path.write_text(json.dumps(random), encoding="utf-8")
    with pytest.raises(InputError, match="593973-000001"):
        folds.check(where, made.folder.name, made.cases)
    path.write_text(json.dumps(content[::-1]), encoding="utf-8")
    assert "other folds" in folds.check(where, made.folder.name, made.cases)[0]
    path.write_text("[3]", encoding="utf-8")
    with pytest.raises(InputError, match="not a file of folds"):
        folds.check(where, made.folder.name, made.cases)


def test_files_of_other_names_count_as_persons_of_their_own(tmp_path):
    root = tmp_path / "flat"
    for number in range(1, 6):
        image, mask = add(tmp_path / "source", number)
        root.mkdir(exist_ok=True)
        (root / f"neck {number}.nii.gz").write_bytes(image.read_bytes())
        (root / f"neck {number}_SEG.nii.gz").write_bytes(mask.read_bytes())
    made = export(Dataset.open(root), Folders.of(tmp_path / "w"))
    assert sorted(case.patient for case in made.cases) == [f"neck {number}" for number in range(1, 6)]
