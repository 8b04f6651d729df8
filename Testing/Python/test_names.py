"""Names of exams and patients."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from CSpineSegLib.dataset import ExamName, parse_name, parse_patient_id
from CSpineSegLib.dataset.names import exam_stem, is_mask, is_nifti, nearest_patients
from CSpineSegLib.errors import InputError

EXAMS = st.builds(
    ExamName,
    st.integers(0, 999_999).map(lambda number: f"593973-{number:06d}"),
    st.integers(0, 999_999_999),
    st.integers(0, 999_999_999),
)


@given(EXAMS)
def test_every_form_of_a_name_is_parsed_back(exam):
    for text in (exam.stem, exam.image_name, exam.mask_name, f"{exam.stem}.nii", f"{exam.stem}_SEG"):
        assert parse_name(text) == exam
        assert parse_name(PurePosixPath("/données/extracted") / text) == exam
        assert parse_name(PureWindowsPath("D:/my data") / text) == exam
    assert is_mask(exam.mask_name) and not is_mask(exam.image_name)


@given(st.text())
def test_any_text_is_either_a_name_that_composes_to_itself_or_refused(text):
    try:
        exam = parse_name(text)
    except InputError:
        return
    assert exam_stem(text) == exam.stem


@given(st.integers(0, 999_999))
def test_a_patient_can_be_given_in_full_padded_or_as_a_number(number):
    full = f"593973-{number:06d}"
    assert parse_patient_id(full) == parse_patient_id(f"{number:06d}") == parse_patient_id(number) == full


@given(st.text())
def test_any_text_is_either_a_patient_id_or_refused(text):
    try:
        patient = parse_patient_id(text)
    except InputError:
        return
    assert parse_patient_id(patient) == patient


@pytest.mark.parametrize(
    "text",
    [
        "",
        "593973-00123_Study-MR-130_Series-4",
        "593973-000123_Study-MR-0130_Series-4",
        "593973-000123_Study-MR-130_Series-",
        "593973-000123_Study-MR-130_Series-4_SEG_SEG",
        "593973-000123_Study-CT-130_Series-4.nii.gz",
        "593973-000123_Study-MR-130_Series-4.nrrd",
        "593973-000123_Study-MR-130_Series-4.nii.gz\n",
        "593973-٠٠٠١٢٣_Study-MR-130_Series-4",
        "593973-000123_Study-MR-" + "9" * 5000 + "_Series-4",
    ],
)
def test_a_malformed_name_is_refused_with_an_example(text):
    with pytest.raises(InputError, match=r"names look like 593973-000123_Study-MR-130_Series-4\.nii\.gz"):
        parse_name(text)


@pytest.mark.parametrize("text", ["", "12a", "593973-", "593974-000123", "0001234", "-5", "1.5", "١٢٣"])
def test_a_malformed_patient_id_is_refused_with_an_example(text):
    with pytest.raises(InputError, match="is not a patient ID; write it as 593973-000123"):
        parse_patient_id(text)


def test_an_exam_name_cannot_hold_what_no_file_could_be_named():
    with pytest.raises(InputError):
        ExamName("000123", 1, 2)
    with pytest.raises(InputError):
        ExamName("593973-000123", -1, 2)


def test_exams_sort_by_patient_then_numerically():
    names = [ExamName("593973-000002", 3, 1), ExamName("593973-000001", 10, 2), ExamName("593973-000001", 9, 401)]
    assert sorted(names) == [names[2], names[1], names[0]]


def test_hidden_copies_of_macos_are_no_images():
    assert is_nifti("a.NII.gz") and is_nifti("/x y/a.nii")
    assert not is_nifti("._593973-000123_Study-MR-130_Series-4.nii.gz") and not is_nifti("a.nrrd")


def test_the_nearest_patients_are_swapped_digits_then_neighbours():
    known = ["593973-000012", "593973-000132", "593973-000120", "593973-000500"]
    near = nearest_patients("593973-000123", known)
    assert near[0] == "593973-000132" and "593973-000120" in near and len(near) == 3
    assert nearest_patients("593973-000001", []) == []
