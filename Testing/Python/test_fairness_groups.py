"""Who belongs to which group, in which spelling, and which groups are large enough."""

from __future__ import annotations

import math

import pytest
from fairness_cases import people

from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation.fairness import groups


def by(exams, key):
    (column,) = groups.parse(key, exams)
    return groups.group(exams, column)


@pytest.mark.parametrize(
    ("age", "over", "expected"),
    [
        (18, None, "<40"),
        (39.99, None, "<40"),
        (40, None, "40-60"),
        (60, False, "40-60"),
        (60.5, None, ">60"),
        (89, None, ">60"),
        (None, True, ">60"),
        (math.nan, "1", ">60"),
        (">89", None, ">60"),
        (None, None, "not known"),
        (math.nan, math.nan, "not known"),
        ("Not Reported", None, "not known"),
    ],
)
def test_both_ends_of_the_middle_age_group_belong_to_it_and_who_is_over_89_is_old(age, over, expected):
    assert groups.age_group(age, over) == expected


def test_a_word_is_no_age_and_no_field_strength():
    with pytest.raises(InputError, match="'old' is no age"):
        groups.age_group("old")
    with pytest.raises(InputError, match="no field strength"):
        by(people({"strong": 3}, "field_strength"), "field")


def test_one_maker_is_one_group_however_it_writes_itself():
    exams = people({"SIEMENS": 20, "Siemens Healthineers": 15, "GE MEDICAL SYSTEMS": 31, "": 2}, "manufacturer")
    found = by(exams, "manufacturer")
    assert found.patients == {"Siemens": 35, "GE": 31} and found.unknown == 2
    assert found.tested == ["Siemens", "GE"]


def test_field_strengths_are_rounded_to_those_of_scanners():
    found = by(people({"1.494": 2, "1.5": 2, "3.0": 1, "30000": 1}, "field_strength"), "field")
    assert found.patients == {"1.5 T": 4, "3 T": 2}


def test_groups_of_under_30_patients_are_kept_and_not_tested():
    found = by(people({"White": 40, "Asian": 29, "Other": 30, "Not Reported": 33}, "race"), "race")
    assert found.tested == ["White", "Other"] and found.small == ["Asian"]
    assert found.unknown == 33 and found.comparable


def test_patients_count_and_not_exams():
    exams = people({"F": 35, "M": 35})
    exams["patient"] = [f"p{number % 20}{sex}" for number, sex in enumerate(exams["sex"])]
    found = by(exams, "sex")
    assert found.patients == {"F": 20, "M": 20} and not found.comparable


def test_what_can_be_grouped_by_is_said_when_something_else_was_asked_for():
    exams = people({"F": 2}, hospital="a")
    with pytest.raises(InputError, match=r"'hight' is nothing to group by; there are sex, race, .*, field, hospital"):
        groups.parse("sex,hight", exams)
    with pytest.raises(InputError, match="nothing to group by; name one"):
        groups.parse(" , ", exams)
    with pytest.raises(InputError, match=r"no column 'race'.*--dataset"):
        groups.parse("race", exams.drop(columns="race"))
    with pytest.raises(InputError, match="'patient' is nothing"):
        groups.parse("patient", exams)


def test_columns_that_somebody_added_and_other_words_for_ours_can_be_asked_for():
    exams = people({"F": 2}, hospital="a")
    assert [column.key for column in groups.parse("Sex, hospital,field_strength,sex", exams)] == [
        "sex",
        "hospital",
        "field",
    ]
    assert by(exams, "hospital").patients == {"a": 2}
