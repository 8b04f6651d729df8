"""Tables of `structured/` and Gold lists: what is read from them, and what is refused."""

from __future__ import annotations

import json
import shutil

import pytest

from CSpineSegLib.dataset import Dataset, ExamName
from CSpineSegLib.dataset.layout import FIELDS
from CSpineSegLib.dataset.tables import normal_manufacturer, parse_age, read
from CSpineSegLib.errors import InputError

DATE = "RSNA_20250321"


@pytest.fixture
def tables(shared_data, tmp_path):
    """A writable copy of the example tables, which have the schema of the release."""
    folder = tmp_path / "données test" / "structured"
    shutil.copytree(shared_data / "midrc_tables_example", folder)
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    return folder


def change(folder, table, *replacements):
    path = folder / f"{table}_{DATE}.tsv"
    text = path.read_text(encoding="utf-8")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder):
    with pytest.raises(InputError) as caught:
        Dataset.open(folder.parent)
    return str(caught.value)


def test_every_exam_gets_its_own_patient_study_and_series(tables):
    dataset = Dataset.open(tables.parent)
    assert len(dataset) == 11
    frame = dataset.table().set_index("stem")
    third = frame.loc["593973-900005_Study-MR-9008_Series-401"]
    assert third["manufacturer"] == "Siemens" and third["model"] == "MAGNETOM Vida" and third["field_strength"] == 3.0
    assert third["study_uid"].endswith(".900139") and third["series_uid"].endswith(".900140")
    assert third["age"] == 61 and third["sex"] == "F" and third["ethnicity"] == "Not Reported"
    assert set(frame["manufacturer"]) == {"Siemens", "GE MEDICAL SYSTEMS"}
    assert set(frame["sex"]) == {"F", "M"} and set(frame["source"]) == {"unknown"}


def test_the_fields_are_the_same_whatever_the_order_of_the_rows(tables):
    before = Dataset.open(tables.parent).table()
    for path in tables.glob("*.tsv"):
        header, *rows = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([header, *reversed(rows)]) + "\n", encoding="utf-8")
    assert Dataset.open(tables.parent).table().equals(before)


def test_an_age_over_89_is_unknown_and_89_is_not(tables):
    frame = Dataset.open(tables.parent).table().set_index("patient_id")
    assert frame["age"].isna()["593973-900003"] and frame["age_over_89"]["593973-900003"]
    assert frame["age"]["593973-900008"] == 89 and not frame["age_over_89"]["593973-900008"]
    change(tables, "imaging_study", ("\t89.0\tNo", "\t93.0\tNo"))
    exam = Dataset.open(tables.parent).exams(patient=900008)[0]
    assert exam.fields["age"] is None and exam.fields["age_over_89"] is True


@pytest.mark.parametrize(
    ("text", "over", "expected"),
    [
        ("80.0", "No", (80.0, False)),
        ("", "Yes", (None, True)),
        ("95", "", (None, True)),
        ("89", "", (89.0, False)),
        ("Not Reported", "", (None, None)),
        ("nan", "No", (None, False)),
        ("0", "No", (0.0, False)),
        (">89", "", (None, True)),
        ("over 89", "No", (None, True)),
        ("90+", "", (None, True)),
        ("withheld", "Yes", (None, True)),
    ],
)
def test_ages_are_read_with_their_flag(text, over, expected):
    assert parse_age(text, over) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("SIEMENS", "Siemens"), (" siemens ", "Siemens"), ("GE MEDICAL  SYSTEMS", "GE MEDICAL SYSTEMS"), ("", None)],
)
def test_manufacturers_have_one_spelling(text, expected):
    assert normal_manufacturer(text) == expected


@pytest.mark.parametrize("text", ["nan", "inf", "unknown"])
def test_a_field_strength_that_is_no_number_is_unknown(tables, text):
    path = tables / f"mr_series_{DATE}.tsv"
    header, first, *rest = path.read_text(encoding="utf-8").splitlines()
    cells = first.split("\t")
    cells[header.split("\t").index("magnetic_field_strength")] = text
    path.write_text("\n".join([header, "\t".join(cells), *rest]) + "\n", encoding="utf-8")
    strengths = [exam.fields["field_strength"] for exam in Dataset.open(tables.parent).exams()]
    assert strengths.count(None) == 1, strengths


def test_an_age_that_is_no_number_is_reported_and_the_rest_works(tables):
    change(tables, "imaging_study", ("\t33.0\tNo", "\tthirty\tNo"))
    dataset = Dataset.open(tables.parent)
    assert any("ages that are no numbers: thirty (593973-900004_Study-MR-9004" in text for text in dataset.problems)
    assert len(dataset) == 11


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("case", "sex"),
        ("imaging_study", "age_at_imaging"),
        ("mr_series", "imaging_studies.submitter_id"),
        ("annotation_file", "mr_series_files.submitter_id"),
    ],
)
def test_a_missing_column_is_named_with_its_file(tables, table, column):
    path = change(tables, table, (f"\t{column}\t", "\tsomething_else\t") if table != "mr_series" else (column, "x"))
    text = refusal(tables)
    assert str(path) in text and repr(column) in text


def test_columns_that_are_not_used_may_be_missing_ragged_or_new(tables):
    change(tables, "case", ("\tcovid19_positive\t", "\tnew_column\t"))
    path = tables / f"case_{DATE}.tsv"
    lines = [line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("\r\n".join(lines) + "\r\n\r\n", encoding="utf-8-sig")
    frame = Dataset.open(tables.parent).table()
    assert len(frame) == 11 and frame["sex"].notna().all()


def test_a_byte_order_mark_does_not_hide_the_first_column(tables):
    path = tables / f"mr_series_{DATE}.tsv"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert Dataset.open(tables.parent).table()["study_uid"].notna().all()


def test_tables_that_are_not_needed_never_fail(tables):
    (tables / f"image_manifest_{DATE}.tsv").write_bytes(b"\x00\xff broken")
    (tables / f"clinical_manifest_{DATE}.tsv").unlink()
    assert len(Dataset.open(tables.parent)) == 11


def test_another_date_in_the_name_is_no_matter_and_the_latest_counts(tables):
    (tables / f"case_{DATE}.tsv").rename(tables / "case_RSNA_20240101.tsv")
    assert not any("case" in text for text in Dataset.open(tables.parent).problems)
    newer = (tables / "case_RSNA_20240101.tsv").read_text(encoding="utf-8").replace("Female", "Male")
    (tables / "case_RSNA_20270101.tsv").write_text(newer, encoding="utf-8")
    dataset = Dataset.open(tables.parent)
    assert any("case_RSNA_20270101.tsv is used" in text for text in dataset.problems)
    assert set(dataset.table()["sex"]) == {"M"}


@pytest.mark.parametrize("table", ["case", "imaging_study", "mr_series", "annotation_file"])
def test_a_table_that_is_absent_is_reported_and_the_rest_works(tables, table):
    (tables / f"{table}_{DATE}.tsv").unlink()
    stem = "593973-900001_Study-MR-9001_Series-4"
    (tables.parent / "annotation").mkdir()
    (tables.parent / "annotation" / f"{stem}.nii.gz").touch()
    dataset = Dataset.open(tables.parent)
    assert any(f"There is no {table}_*.tsv" in text for text in dataset.problems)
    fields = dataset.exam(stem).fields
    assert set(fields) == set(FIELDS)
    assert (fields["sex"] is None) == (table == "case")
    assert (fields["age"] is None) == (table != "case")


def test_commas_instead_of_tabs_are_recognised(tables):
    path = tables / f"case_{DATE}.tsv"
    path.write_text(path.read_text(encoding="utf-8").replace("\t", ","), encoding="utf-8")
    assert refusal(tables) == f"{path} is separated by commas instead of tabs; save it as tab-separated text."


@pytest.mark.parametrize("table", ["case", "imaging_study", "mr_series"])
def test_a_duplicated_row_is_refused_with_both_lines(tables, table):
    path = tables / f"{table}_{DATE}.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n", encoding="utf-8")
    assert f"{path} has two rows with submitter_id" in refusal(tables)
    assert f"(lines 2 and {len(lines) + 1})" in refusal(tables)


def test_two_masks_for_one_exam_are_refused_under_one_name_or_two(tables):
    path = tables / f"annotation_file_{DATE}.tsv"
    text = path.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if "900008_Study-MR-9011_Series-22_SEG.nii.gz" in line)
    for second in (row, row.replace("Series-22_SEG", "Series-23_SEG")):
        path.write_text(f"{text}{second}\n", encoding="utf-8")
        assert f"{path} names two masks for one exam, 593973-900008_Study-MR-9011_Series-22 (lines 3 and 24)" in (
            refusal(tables)
        )


def test_a_stray_quote_swallows_no_rows(tables):
    change(tables, "mr_series", ("SAG T2", '"SAG T2'), ("\tSAG T2\t", '\t"SAG ""fast"" T2"\t'))
    frame = Dataset.open(tables.parent).table()
    assert len(frame) == 11 and frame["manufacturer"].notna().all()
    assert 'SAG "fast" T2' in set(frame["series_description"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"type\tsubmitter_id\tsex\trace\tethnicity\ncase\t593973-90", "instead of 5 columns in line 2"),
        (b"type\tsubmitter_id\tsex\trace\tethnicity\tsex\n", "has the column 'sex' 2 times"),
        ("sex\tâge".encode("utf-16"), "is not a UTF-8 text file"),
    ],
)
def test_a_damaged_table_is_refused_in_one_sentence(tables, content, expected):
    (tables / f"case_{DATE}.tsv").write_bytes(content)
    assert expected in refusal(tables) and f"case_{DATE}.tsv" in refusal(tables)


def test_links_that_lead_nowhere_are_reported(tables):
    path = tables / f"mr_series_{DATE}.tsv"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")
    dataset = Dataset.open(tables.parent)
    assert any("The table mr_series has no row for" in text for text in dataset.problems)
    assert dataset.table()["manufacturer"].isna().sum() == 1


def test_a_study_of_another_patient_gives_nobody_its_age(tables):
    change(tables, "imaging_study", ("593973-900008\t593973-900008", "593973-900001\t593973-900001"))
    dataset = Dataset.open(tables.parent)
    fields = dataset.exams(patient=900008)[0].fields
    assert fields["age"] is None and fields["sex"] is None and fields["manufacturer"] == "GE MEDICAL SYSTEMS"
    assert any("gives another patient than the file name" in text for text in dataset.problems)


def test_file_names_of_others_in_the_table_are_left_out_and_reported(tables):
    change(tables, "annotation_file", ("593973-900005_Study-MR-9006_Series-22.nii.gz", "notes.pdf"))
    assert any("left out: notes.pdf" in text for text in Dataset.open(tables.parent).problems)


def test_without_any_table_the_names_alone_are_used():
    content = read(None, [ExamName("593973-000001", 1, 2)])
    assert content.fields == {ExamName("593973-000001", 1, 2): {}} and content.file_names is None
    assert "There are no tables" in content.problems[0]


GOLD_FORMS = {
    "gold.txt": "# from the index\n593973-900001_Study-MR-9001_Series-4\n"
    "593973-900004_Study-MR-9004_Series-5_SEG.nii.gz  # seen by two readers\n",
    "gold.tsv": "object_id\tfile_name\nx\t593973-900001_Study-MR-9001_Series-4_SEG.nii.gz\n"
    "y\t593973-900004_Study-MR-9004_Series-5.nii.gz\n",
    "gold.csv": "exam of ours,note\n593973-900001_Study-MR-9001_Series-4,a\n593973-900004_Study-MR-9004_Series-5,b\n",
    "gold.json": json.dumps(
        [
            {"md5sum": "0", "file_name": "593973-900001_Study-MR-9001_Series-4.nii.gz"},
            {"file_name": "593973-900004_Study-MR-9004_Series-5_SEG.nii.gz"},
        ]
    ),
}


@pytest.mark.parametrize("name", GOLD_FORMS)
def test_a_gold_list_makes_its_exams_gold_and_the_others_silver(tables, name):
    splits = tables.parent / "splits"
    splits.mkdir()
    (splits / name).write_text(GOLD_FORMS[name], encoding="utf-8")
    dataset = Dataset.open(tables.parent)
    assert [(exam.patient_id, exam.study) for exam in dataset.exams(source="gold")] == [
        ("593973-900001", 9001),
        ("593973-900004", 9004),
    ]
    assert len(dataset.exams(source="silver")) == 9


def test_a_gold_list_of_patients_marks_all_their_exams_and_says_so(tables, tmp_path):
    path = tmp_path / "liste dorée.txt"
    path.write_text("patient\n593973-900001\n900005\n593973-000777\n", encoding="utf-8")
    dataset = Dataset.open(tables.parent, gold_list=path)
    assert len(dataset.exams(source="gold")) == 4
    assert any("593973-900005 (3 exams)" in text for text in dataset.problems)
    assert any("not in this dataset (1 entries): 593973-000777" in text for text in dataset.problems)


def test_only_expert_rows_of_a_list_with_methods_count(tables, tmp_path):
    path = tmp_path / "index.tsv"
    rows = [("900001_Study-MR-9001_Series-4", "expert"), ("900002_Study-MR-9002_Series-3", "auto")]
    lines = [f"593973-{stem}_SEG.nii.gz\tRetrospective_{method}" for stem, method in rows]
    path.write_text("\n".join(["file_name\tannotation_method", *lines]), encoding="utf-8")
    assert [exam.study for exam in Dataset.open(tables.parent, gold_list=path).exams(source="gold")] == [9001]
    # The release's own table calls every mask automatic, so it can never serve as a Gold list by mistake.
    with pytest.raises(InputError, match="names no exam"):
        Dataset.open(tables.parent, gold_list=tables / f"annotation_file_{DATE}.tsv")


@pytest.mark.parametrize("content", ["", "# nothing\n", "hello\nworld\n", '{"a": '])
def test_a_gold_list_without_exams_is_refused_instead_of_calling_all_silver(tables, tmp_path, content):
    path = tmp_path / ("gold.json" if content.startswith("{") else "gold.txt")
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="Gold list"):
        Dataset.open(tables.parent, gold_list=path)


def test_a_gold_list_that_is_not_there_is_refused(tables, tmp_path):
    with pytest.raises(InputError, match=r"Gold list .* cannot be read"):
        Dataset.open(tables.parent, gold_list=tmp_path / "none.txt")
