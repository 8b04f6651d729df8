"""Splits that the project draws: by patient, alike in their strata, and the same bytes on every computer."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from math import ceil, floor
from pathlib import Path

import cohort_cases
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from CSpineSegLib.dataset import Exam, split_files, splits
from CSpineSegLib.errors import InputError, WriteError


def exam(patient: int, study: int = 1, source: str = "silver", **fields: object) -> Exam:
    stem = f"593973-{patient:06d}_Study-MR-{study}_Series-1"
    return Exam(stem, f"593973-{patient:06d}", study, 1, None, None, source, Path("processed"), fields)


people = st.lists(
    st.tuples(
        st.sampled_from(["White", "Black or African American", "Asian", None]),
        st.sampled_from([25.0, 40.0, 60.0, 75.0, None]),
        st.sampled_from(["F", "M", None]),
        st.integers(1, 3),
    ),
    min_size=20,
    max_size=120,
)


def made(drawn) -> list[Exam]:
    return [
        exam(number, study, race=race, age=age, sex=sex)
        for number, (race, age, sex, count) in enumerate(drawn, start=1)
        for study in range(1, count + 1)
    ]


@given(people, st.integers(2, 6), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_no_patient_crosses_all_exams_are_placed_once_and_strata_are_even(drawn, folds, seed):
    exams = made(drawn)
    split = splits.draw(exams, folds=folds, test=0.2, val=0.1, seed=seed)
    assert [row.stem for row in split.rows] == [one.stem for one in exams]
    places = {(row.patient, row.split, row.fold) for row in split.rows}
    assert len(places) == len(drawn)
    assert all((row.fold is None) == (row.split == "test") for row in split.rows)
    strata = {row.patient: row.stratum for row in split.rows}
    original = {one.patient_id: splits.values_of(one, splits.STRATIFY) for one in exams}
    everything = dict.fromkeys(strata, "all")
    # Strata as merged, as they were before, and all patients together: each lies in one stretch of the row.
    for of in (strata, original, everything):
        for stratum in set(of.values()):
            own = {patient for patient, value in of.items() if value == stratum}
            parts = Counter(part for patient, part, _ in places if patient in own)
            assert floor(0.2 * len(own)) <= parts["test"] <= ceil(0.2 * len(own))
            # One eighth of what is not for testing, which itself is within one of four fifths.
            assert abs(parts["val"] - 0.1 * len(own)) < 1 + 1 / 8
            left = len(own) - parts["test"]
            held = Counter(fold for patient, _, fold in places if patient in own and fold is not None)
            assert all(floor(left / folds) <= held[fold] <= ceil(left / folds) for fold in range(folds))


@given(people, st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_the_same_seed_gives_the_same_bytes_in_whatever_order_the_exams_come(drawn, seed):
    exams = made(drawn)
    first = split_files.contents(splits.draw(exams, seed=seed))
    assert split_files.contents(splits.draw(exams, seed=seed)) == first
    turned = splits.draw(exams[::-1], seed=seed, stratify=["source"])
    straight = splits.draw(exams, seed=seed, stratify=["source"])
    assert {row.stem: row for row in turned.rows} == {row.stem: row for row in straight.rows}


def test_the_split_of_the_released_counts_is_this_one_on_every_computer(tmp_path):
    dataset = cohort_cases.make(tmp_path)
    split = splits.draw(dataset.exams())
    assert len(split.rows) == 1255 and len({row.patient for row in split.rows}) == 1232
    parts = Counter(row.split for row in {row.patient: row for row in split.rows}.values())
    assert abs(parts["test"] - 246.4) < 1 and abs(parts["val"] - 123.2) < 1.125 and sum(parts.values()) == 1232
    assert "9 strata of fewer than 5 patients (20 patients in all) were merged into 4" in split.notes[0]
    # The order comes from SHA-256 and whole numbers alone; whoever sees another sum has another split.
    patients = [f"{row.patient} {row.split} {row.fold}" for row in splits.draw(made_fixed()).rows]
    assert hashlib.sha256("\n".join(patients).encode()).hexdigest() == SUM
    other = splits.draw(dataset.exams(), seed=7)
    assert [row.split for row in other.rows] != [row.split for row in split.rows]


SUM = "2b3f21b9d7d0b5d080acf1f3dd3cb5c3f80731356be469a53dc88fa4509a58c6"


def made_fixed() -> list[Exam]:
    races, sexes = ["White", "Asian", None], ["F", "M"]
    return [exam(n, 1, race=races[n % 3], sex=sexes[n % 2], age=float(20 + n % 70)) for n in range(1, 200)]


def test_a_patient_over_89_is_over_60_and_an_unknown_age_stays_unknown():
    exams = [exam(1, age=None, age_over_89=True), exam(2, age=None), exam(3, age=40.0), exam(4, age=60.0)]
    assert [splits.values_of(one, ["age"])[0] for one in exams] == [">60", "unknown", "40-60", "40-60"]


def test_the_balanced_variant_keeps_as_many_of_each_sex_in_every_part(tmp_path):
    dataset = cohort_cases.make(tmp_path)
    split = splits.draw(dataset.exams(), balance="sex")
    sex = {one.patient_id: one.fields["sex"] for one in dataset.exams()}
    race = {one.patient_id: one.fields["race"] for one in dataset.exams()}
    chosen = {row.patient: row for row in split.rows}
    assert Counter(sex[patient] for patient in chosen) == {"F": 557, "M": 557}
    for part in ("train", "val", "test"):
        counts = Counter(sex[patient] for patient, row in chosen.items() if row.split == part)
        assert abs(counts["F"] - counts["M"]) <= 2
    # Taken from all strata alike: the share of a race among the women is what it was, to one patient a stratum.
    for value in ("White", "Black or African American"):
        before = sum(sex[p] == "F" and race[p] == value for p in sex)
        after = sum(sex[p] == "F" and race[p] == value for p in chosen)
        assert abs(after - before * 557 / 675) < 1
    assert "557 patients of each value" in split.notes[0] and "118 have none" in split.notes[0]


def test_whose_sex_is_unknown_has_no_place_in_a_balanced_split_and_is_counted():
    exams = [exam(n, sex=("F", "M", "M", None)[n % 4]) for n in range(40)]
    split = splits.draw(exams, balance="sex", folds=2)
    assert len(split.rows) == 20 and "among them 10 of whom it is unknown" in split.notes[0]


def test_not_reported_is_no_group_to_balance_by():
    values = ("Not Hispanic or Latino", "Hispanic or Latino", "Not Reported")
    exams = [exam(n, ethnicity=values[0 if n < 30 else 1 if n < 50 else 2]) for n in range(56)]
    split = splits.draw(exams, balance="ethnicity", stratify=[], folds=2)
    # By the 20 of the smaller group that is known, not by the 6 of whom nothing is.
    assert len(split.rows) == 40 and "among them 6 of whom it is unknown" in split.notes[0]


@pytest.mark.parametrize(("only", "count"), [("gold", 491), ("silver", 764)])
def test_gold_and_silver_alone_can_be_split(tmp_path, only, count):
    dataset = cohort_cases.make(tmp_path)
    split = splits.draw(dataset.exams(), only=only)
    assert len(split.rows) == count and {row.source for row in split.rows} == {only}
    assert only != "gold" or len({row.patient for row in split.rows}) == 481


def test_the_scanner_can_be_a_stratum():
    exams = [exam(n, manufacturer=("Siemens", "GE")[n % 2], field_strength=(1.5, 3.0)[n // 2 % 2]) for n in range(80)]
    split = splits.draw(exams, stratify=["manufacturer", "field_strength"], folds=4, test=0, val=0)
    assert {row.stratum for row in split.rows} == {f"{m}, {f} T" for m in ("Siemens", "GE") for f in ("1.5", "3")}
    assert set(Counter((row.stratum, row.fold) for row in split.rows).values()) == {5}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"folds": 1}, "1 folds are not possible"),
        ({"folds": 100}, "choose 2 to 99"),
        ({"folds": 12}, "8 of 10 patients are left for 12 folds"),
        ({"test": 1.2}, "share for test is 1.2"),
        ({"test": -0.1}, "share for test is -0.1"),
        ({"val": float("nan")}, "share for val is nan"),
        ({"test": 0.6, "val": 0.4}, "leave nobody for training"),
        ({"test": 0.001}, "none would be for test"),
        ({"stratify": ["height"]}, "'height' is nothing to stratify by; choose among race"),
        ({"balance": "weight"}, "'weight' is nothing to stratify by"),
        ({"balance": "race"}, "All patients have the same race"),
        ({"only": "bronze"}, "'bronze' is not a source"),
        ({"only": "gold"}, "No list says which exams are Gold"),
    ],
)
def test_what_cannot_be_split_is_refused_in_a_sentence(options, expected):
    exams = [exam(n, source="unknown", sex="FM"[n % 2], race="White") for n in range(10)]
    with pytest.raises(InputError, match=expected):
        splits.draw(exams, **{"folds": 2, **options})


def test_a_source_that_no_exam_has_and_an_empty_choice_are_refused():
    with pytest.raises(InputError, match="None of the 1 exams is gold"):
        splits.draw([exam(1)], only="gold")
    with pytest.raises(InputError, match="no exam to split"):
        splits.draw([])


def test_what_is_there_is_not_overwritten_and_the_same_again_is_no_overwriting(tmp_path):
    exams = made_fixed()
    written = split_files.write(splits.draw(exams), tmp_path)
    assert [path.name for path in written] == ["splits_record.json", "splits_final.json", "splits.tsv"]
    before = {path: path.read_bytes() for path in written}
    split_files.write(splits.draw(exams), tmp_path)
    with pytest.raises(InputError, match="holds another split; choose another --name"):
        split_files.write(splits.draw(exams, seed=3), tmp_path)
    assert {path: path.read_bytes() for path in written} == before
    split_files.write(splits.draw(exams, seed=3), tmp_path, force=True)
    assert all(path.read_bytes() != data for path, data in before.items())
    record = json.loads(written[0].read_text(encoding="utf-8"))
    assert record["seed"] == 3 and record["test"] == "1/5" and record["patients"]["test"] in (39, 40)


@pytest.mark.parametrize("name", ["gold", "train", "Test", "a/b", "", "../x", ".hidden"])
def test_a_name_that_would_be_read_as_something_else_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="name the split with letters"):
        split_files.write(splits.draw(made_fixed()), tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_left(tmp_path):
    # The table's name is taken by a folder, after the other two were written.
    (tmp_path / "mine.tsv").mkdir()
    with pytest.raises((InputError, WriteError), match=r"mine\.tsv"):
        split_files.write(splits.draw(made_fixed()), tmp_path, "mine", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.tsv"]
