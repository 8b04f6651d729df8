"""What the table of exams decides, without widgets: its cells, its order, its search, and which exam comes next."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import review_cases as cases

from CSpineSegLib import files, progress, volume
from CSpineSegLib.dataset import Dataset, Exam, sample
from CSpineSegLib.dataset.__main__ import main as make_main
from CSpineSegLib.errors import Cancelled, CSpineSegError
from CSpineSegLib.review import events, worklist
from CSpineSegLib.workplace import dataset as table
from CSpineSegLib.workplace.dataset import Row

COLUMNS = {column.name: column for column in table.COLUMNS}


def made(number: int = 123, study: int = 1, series: int = 4, source: str = "silver", **fields) -> Exam:
    """An exam that is on no disk."""
    patient = f"593973-{number:06d}"
    stem = f"{patient}_Study-MR-{study}_Series-{series}"
    return Exam(stem, patient, study, series, Path(f"{stem}.nii.gz"), None, source, Path("processed"), fields)


def row(number: int = 123, *, study: int = 1, **state) -> Row:
    return Row(made(number, study), **state)


def text(name: str, given: Row) -> str:
    return COLUMNS[name].text(given)


def found(rows: list[Row], search: str = "", **filters) -> list[int]:
    """Numbers of the patients that a search and filters leave."""
    wanted = re.compile(table.pattern(search, filters))
    return [int(row.exam.patient_id[-6:]) for row in rows if wanted.search(table.key_of(row))]


class Opened:
    """The part of a workplace that the table asks."""

    def __init__(self, root: Path) -> None:
        self.dataset = Dataset.open(root)

    def exams(self) -> list[Exam]:
        return self.dataset.exams()

    def table(self):
        return worklist.table(self.dataset)


# Cells


def test_the_table_has_the_columns_that_a_reviewer_asked_for():
    asked = "patient status score source study age sex field scanner annotator change"
    assert [column.name for column in table.COLUMNS] == asked.split()


def test_cells_say_what_is_known_in_words():
    scanner = {"manufacturer": "Siemens", "model": "Aera", "field_strength": 1.5}
    exam = made(series=22, age=54.97, age_over_89=False, sex="F", **scanner)
    shown = Row(exam, "accepted", "Zoë", "2026-03-01T23:30:00.000Z", True, 0.876)
    moment = COLUMNS["change"].text(shown)
    expected = ["593973-000123", "accepted", "0.88", "silver", "1 / 22", "54", "F", "1.5 T", "Siemens Aera", "Zoë"]
    assert [column.text(shown) for column in table.COLUMNS] == [*expected, moment]
    assert re.fullmatch(r"2026-03-0[12] \d\d:(30|00|15|45)", moment), "the reader's own time"


def test_unknown_cells_are_empty_and_over_89_is_older_than_any_age():
    empty = Row(made(age=None, age_over_89=None))
    assert {name: text(name, empty) for name in ("age", "sex", "scanner", "field", "score", "annotator", "change")} == (
        dict.fromkeys(("age", "sex", "scanner", "field", "score", "annotator", "change"), "")
    )
    oldest, old = Row(made(age=None, age_over_89=True)), Row(made(age=89.0, age_over_89=False))
    assert text("age", oldest) == "> 89"
    assert COLUMNS["age"].sort_key(oldest) > COLUMNS["age"].sort_key(old)


def test_a_file_of_another_name_is_shown_by_its_name():
    other = Row(replace(made(), stem="sub-12_T2w", patient_id=None, study=None, series=None))
    assert (text("patient", other), text("study", other)) == ("sub-12_T2w", "")
    assert COLUMNS["study"].sort_key(other) > COLUMNS["study"].sort_key(row(study=999999999))
    wanted = [search for search in ("sub-12", "12", "t2w", "sub-12_T2w_SEG.nii.gz", "13") if _is_found(other, search)]
    assert wanted == ["sub-12", "12", "t2w", "sub-12_T2w_SEG.nii.gz"]


def _is_found(given: Row, search: str) -> bool:
    return re.search(table.pattern(search), table.key_of(given)) is not None


def test_numbers_are_sorted_as_numbers_and_unknown_ones_come_last_both_ways():
    ages = [Row(made(age=age)) for age in (9.0, 54.0, None, 100.0)]

    def ordered(descending: bool) -> list[str]:
        keys = {id(given): COLUMNS["age"].sort_key(given, descending) for given in ages}
        return [text("age", given) for given in sorted(ages, key=lambda given: keys[id(given)], reverse=descending)]

    assert ordered(False) == ["9", "54", "100", ""]
    assert ordered(True) == ["100", "54", "9", ""]
    studies = [Row(made(study=study, series=series)) for study, series in ((9, 4), (130, 4), (9, 22))]
    keys = [COLUMNS["study"].sort_key(given) for given in studies]
    assert sorted(keys) == [keys[0], keys[2], keys[1]]
    assert COLUMNS["annotator"].sort_key(row()) > "Zoë" > COLUMNS["annotator"].sort_key(row(), True)


@pytest.mark.parametrize("column", table.COLUMNS, ids=lambda column: column.name)
def test_a_column_sorts_by_one_kind_of_value(column):
    """Qt compares by the kind of the left value: an int beside a float is cut off, None is nothing at all."""
    full = Row(made(age=54, sex="F", manufacturer="GE", model="x", field_strength=3), "accepted", "a", "b", True, 0.5)
    keys = [column.sort_key(given, descending) for given in (full, row()) for descending in (False, True)]
    assert {type(key) for key in keys} == {float if column.numeric else str}


# Search and filters


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("", [123, 1230, 4123, 124]),
        ("593973-000123", [123]),
        ("000123", [123]),
        ("123", [123, 1230]),
        (" 123 ", [123, 1230]),
        ("00012", [123, 124]),
        ("593973", [123, 1230, 4123, 124]),
        ("593973-0041", [4123]),
        ("0000123", []),
        ("9", []),
        ("593973-000123_Study-MR-1_Series-4_SEG.nii.gz", [123]),
        ("C:\\Daten\\593973-000123_Study-MR-1_Series-4.nii.gz", [123]),
        ("123 anna", [123]),
        ("ANNA", [123]),
        (".*", []),
        ("(", []),
        ("[0-9]", []),
        ("status=accepted", []),
    ],
)
def test_a_search_accepts_a_patient_id_in_any_form_and_no_text_is_an_expression(search, expected):
    rows = [row(123, annotator="Anna", status="accepted"), row(1230), row(4123), row(124)]
    assert found(rows, search) == expected


def test_accents_are_found_however_they_are_typed():
    rows = [row(1, annotator="Zoe\u0308"), row(2, annotator="Zo\u00cb")]
    assert found(rows, "zo\u00eb") == [1, 2]


def test_filters_compare_whole_values_and_all_have_to_fit():
    rows = [
        Row(made(1, source="gold", sex="F", manufacturer="GE MEDICAL SYSTEMS", field_strength=1.5), "accepted"),
        Row(made(2, source="silver", sex="M", manufacturer="GE", field_strength=15.0), "unreviewed"),
        Row(made(3, source="silver", sex=None, manufacturer="Siemens", field_strength=1.5), "in review"),
    ]
    assert found(rows, manufacturer="GE") == [2]
    assert found(rows, field="1.5") == [1, 3]
    assert found(rows, field="1.5", source="silver") == [3]
    assert found(rows, sex="") == [3], "unknown can be filtered too"
    assert found(rows, status=None, source=None) == [1, 2, 3]
    assert found(rows, "1", status="accepted") == [1] and found(rows, "1", status="unreviewed") == []


def test_the_choices_of_a_filter_are_the_values_that_there_are():
    rows = [
        Row(made(1, sex="M", field_strength=3.0), "accepted"),
        Row(made(2, sex="F", field_strength=1.5), "unreviewed"),
        Row(made(3, field_strength=10.0), "accepted"),
    ]
    assert table.choices(rows, "status") == ["unreviewed", "accepted"], "in the order of a review"
    assert table.choices(rows, "sex") == ["F", "M", ""]
    assert table.choices(rows, "field") == ["1.5", "3", "10"]
    assert table.choices([], "source") == []


def test_a_patient_that_is_not_there_brings_the_nearest():
    rows = [row(123), row(213), row(900)]
    assert "593973-000123" in table.nearest(rows, "000132")
    assert table.nearest(rows, "123") == [] and table.nearest(rows, "Anna") == [] and table.nearest([], "1") == []


def test_the_search_finds_the_same_in_qt_as_in_python():
    qtcore = pytest.importorskip("PySide6.QtCore", reason="the expression is for Qt")
    rows = [row(123, annotator="Zoë (2.)"), row(1230), Row(made(4, manufacturer="A+B", sex="F"))]
    for search in ("123", "zoë", "(2.)", "a+b", "#", "&", "~", "-", "{", "é\\", "$", "x y"):
        for filters in ({}, {"manufacturer": "A+B"}, {"sex": ""}, {"status": "unreviewed"}):
            text = table.pattern(search, filters)
            expression = qtcore.QRegularExpression(text)
            assert expression.isValid(), text
            in_qt = [expression.match(table.key_of(given)).hasMatch() for given in rows]
            assert in_qt == [re.search(text, table.key_of(given)) is not None for given in rows], (search, filters)


# What comes next


def test_the_most_doubtful_unreviewed_exam_comes_next_and_ones_own_drafts_at_the_end():
    rows = [
        row(1),
        row(2, score=0.9),
        row(3, score=0.4),
        row(4, score=0.1, status="accepted"),
        row(5, score=0.2, status="in review", annotator="Bo"),
        row(6, status="in review", annotator="Anna", last_change="2026-03-02"),
        row(7, status="in review", annotator="Anna", last_change="2026-03-01"),
        row(8, score=0.0, status="rejected"),
        row(9, has_prediction=True),
        row(10, score=0.0),
    ]
    order = [int(given.exam.patient_id[-6:]) for given in table.waiting(rows, "Anna")]
    assert order == [10, 3, 2, 9, 1, 7, 6]


def test_exams_without_an_image_are_never_next():
    missing = replace(row(1), exam=replace(made(1), image=None))
    assert table.next_unreviewed([missing]) is None


def test_the_next_exam_is_another_one_and_passed_ones_come_again_at_last():
    rows = [row(1), row(2), row(3)]
    first, second, third = (given.exam.stem for given in rows)
    assert table.next_unreviewed(rows).exam.stem == first
    assert table.next_unreviewed(rows, after=first).exam.stem == second
    assert table.next_unreviewed(rows, after=second, passed={first, second}).exam.stem == third
    assert table.next_unreviewed(rows, after=third, passed={first, second, third}).exam.stem == first
    assert table.next_unreviewed(rows[:1], after=first) is None


def test_the_next_exam_is_among_those_that_the_filters_leave_whatever_their_status_filter_says():
    rows = [Row(made(1, source="gold")), Row(made(2, source="silver"))]
    assert table.next_unreviewed(rows, filters={"source": "silver", "status": "accepted"}) is rows[1]
    assert table.next_unreviewed(rows, filters={"source": "unknown"}) is None


# From the disk


def test_rows_say_what_the_worklist_says_and_one_row_alone_says_the_same(tmp_path):
    stems = [f"593973-00000{number}_Study-MR-{number}_Series-1" for number in (1, 2, 3, 4)]
    exams = [cases.make_exam(tmp_path, stem) for stem in stems]
    cases.save(exams[0], 1, status="in review", annotator="Anna")
    cases.save(exams[0], 2, annotator="Bo")
    events.record(exams[1], "rejected", annotator="Anna")
    volume.write(cases.drawn(exams[2]), exams[2].predicted("net"))
    files.write_json(exams[2].quality("net"), {"score": 0.7})
    rows = table.rows(Opened(tmp_path))
    assert [given.status for given in rows] == ["accepted", "rejected", "unreviewed", "unreviewed"]
    assert [given.annotator for given in rows] == ["Bo", "Anna", None, None]
    assert [(given.score, given.has_prediction) for given in rows[2:]] == [(0.7, True), (None, False)]
    assert [table.row_of(given.exam) for given in rows] == rows
    frame = worklist.table(Dataset.open(tmp_path)).set_index("stem")
    for exam in exams:
        state = worklist.state(exam)
        assert list(state) == list(worklist.COLUMNS)
        assert {name: frame.loc[exam.stem, name] for name in state if state[name] is not None} == {
            name: value for name, value in state.items() if value is not None
        }


# The sample


def test_the_sample_goes_into_an_empty_folder_and_beside_nothing_of_the_users(tmp_path):
    assert table.sample_folder(tmp_path) == tmp_path
    assert table.sample_folder(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "thesis.odt").touch()
    assert table.sample_folder(tmp_path) == tmp_path / table.SAMPLE_FOLDER
    assert not table.holds_sample(tmp_path)
    (tmp_path / sample.MARKER).touch()
    assert table.holds_sample(tmp_path) and table.sample_folder(tmp_path) == tmp_path


def _events(job) -> list[progress.Event]:
    seen = []
    while job.is_running():
        seen += job.poll()
        time.sleep(0.05)
    return seen


def test_the_sample_is_made_in_a_process_of_its_own_with_progress(tmp_path):
    job = table.make_sample(tmp_path / "données", tiny=True)
    seen = _events(job)
    assert job.result()["dataset"] == str(tmp_path / "données")
    assert len(Dataset.open(tmp_path / "données")) == 8
    fractions = [event.fraction for event in seen]
    assert len(set(fractions)) > 2 and fractions == sorted(fractions)


def test_cancelling_the_sample_leaves_nothing(tmp_path):
    job = table.make_sample(tmp_path / "sample")
    while job.is_running() and not job.poll():
        time.sleep(0.02)
    job.cancel()
    with pytest.raises(Cancelled):
        job.result(60)
    assert not (tmp_path / "sample").exists()


def test_a_folder_that_cannot_take_the_sample_is_said_in_one_sentence(tmp_path, capsys):
    (tmp_path / "thesis.odt").touch()
    with pytest.raises(CSpineSegError, match="not empty"):
        table.make_sample(tmp_path).result(60)
    assert make_main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("cspineseg: ")


def test_the_library_alone_makes_the_sample_for_people_and_programs(sample_dataset, capsys):
    assert make_main([str(sample_dataset.root), "--tiny"]) == 0
    assert capsys.readouterr().out == f"8 exams in {sample_dataset.root}\n"
    assert make_main([str(sample_dataset.root), "--tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"dataset": str(sample_dataset.root), "exams": 8}


def test_the_sample_needs_no_package_beyond_the_small_installation(tmp_path):
    code = (
        "import sys\n"
        "for name in ('typer', 'rich', 'torch', 'monai', 'openvino', 'pandas'): sys.modules[name] = None\n"
        "from CSpineSegLib.dataset.__main__ import main\n"
        f"sys.exit(main([{str(tmp_path / 'sample')!r}, '--tiny']))\n"
    )
    root = Path(table.__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
