"""Exams opened from the table, rows that follow what was done, and the sample dataset."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import review_cases as cases
from dataset_panel import STEMS, again, person  # noqa: F401  (fixture)
from module_person import python_slicer  # noqa: F401  (fixture)
from slicer_standins import slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import files
from CSpineSegLib.dataset import Dataset, sample
from CSpineSegLib.review import events
from CSpineSegLib.workplace import dataset as table

# Opening


def test_a_double_click_opens_and_so_does_enter_in_the_table(person):  # noqa: F811
    from PySide6 import QtCore

    person.open_folder()
    person.double_click(1)
    assert person.open_exam == STEMS[1]
    person.test.keyClick(person.view, QtCore.Qt.Key.Key_Down)
    person.test.keyClick(person.view, QtCore.Qt.Key.Key_Return)
    assert person.open_exam == STEMS[2]
    person.click("openButton")
    assert person.open_exam == STEMS[2]


def test_a_row_opens_its_own_exam_however_the_table_is_sorted_and_filtered(person):  # noqa: F811
    person.open_folder()
    person.click_title("age")
    person.choose("source", "Gold")
    expected = [STEMS[2], STEMS[0], STEMS[7], STEMS[1]]
    for row, stem in enumerate(expected):
        person.double_click(row)
        assert person.open_exam == stem


def test_an_exam_without_image_says_so_and_the_open_one_stays(person, slicer_app):  # noqa: F811
    person.open_folder()
    person.double_click(0)
    Dataset.open(person.root).exam(STEMS[1]).image.unlink()
    person.double_click(1)
    assert STEMS[1] in slicer_app.errors[0]
    assert person.open_exam == STEMS[0]


def test_the_opened_exam_is_chosen_in_the_table_and_in_review(person):  # noqa: F811
    person.open_folder()
    person.shell.open(Dataset.open(person.root).exam(STEMS[6]))
    assert person.view.currentIndex().row() == 6
    assert person.shown("status")[6] == "in review"
    assert [row for row in person.shown("status") if row != "unreviewed"] == ["in review"]


def test_the_annotator_is_remembered_and_written_when_an_exam_is_opened(person):  # noqa: F811
    person.type("annotatorEdit", " Zoë ")
    person.open_folder()
    person.double_click(0)
    assert [event.annotator for event in events.history(person.workplace.session.exam)] == ["Zoë"]
    assert person.shown("annotator")[0] == "Zoë"
    later = again(person)
    assert later.ui.annotatorEdit.text == "Zoë" and later.workplace.annotator == "Zoë"
    later.type("annotatorEdit", "  ")
    assert later.workplace.annotator is None


def test_next_opens_the_most_doubtful_and_goes_on_until_nothing_waits(person):  # noqa: F811
    exams = Dataset.open(person.root).exams()
    for exam, score in ((exams[3], 0.2), (exams[5], 0.1)):
        files.write_json(exam.quality("net"), {"score": score})
    for exam in (exams[0], exams[1], exams[2]):
        events.record(exam, "rejected", annotator="Bo")
    events.record(exams[4], "opened", annotator="Bo")
    person.type("annotatorEdit", "Anna")
    person.open_folder()
    opened = []
    for _ in range(4):
        person.click("nextButton")
        opened.append(person.open_exam)
        person.workplace.save()
        person.panel.saved(None)
    assert opened == [STEMS[5], STEMS[3], STEMS[6], STEMS[7]], "what Bo has begun is left to Bo"
    person.click("nextButton")
    assert person.open_exam == opened[-1] and person.shell.said.startswith("No other exam")


def test_next_stays_among_what_the_filters_leave_and_looks_past_the_search(person):  # noqa: F811
    person.open_folder()
    person.choose("source", "Silver")
    person.choose("status", "unreviewed")
    person.type("searchEdit", "900001")
    person.click("nextButton")
    assert person.open_exam == STEMS[3]


def test_next_comes_round_where_nothing_can_be_written(person, monkeypatch):  # noqa: F811
    """A dataset that may only be read stays unreviewed; next must not go to and fro between two exams."""
    monkeypatch.setattr(events, "record", lambda *words, **names: None)
    person.open_folder()
    opened = []
    for _ in range(9):
        person.click("nextButton")
        opened.append(person.open_exam)
    assert opened[:8] == STEMS and opened[8] == STEMS[0]


def test_a_user_who_rather_stays_stays(person):  # noqa: F811
    person.open_folder()
    person.double_click(0)
    person.shell.answer = False
    person.click("nextButton")
    assert person.open_exam == STEMS[0]


# Rows


def test_a_save_refreshes_its_own_row_and_reads_nothing_else(person, monkeypatch):  # noqa: F811
    person.open_folder()
    person.double_click(0)
    monkeypatch.setattr(table, "rows", lambda workplace: pytest.fail("the whole table was read"))
    person.workplace.save()
    person.panel.saved(SimpleNamespace())
    assert person.shown("status")[0] == "accepted" and person.shown("status")[1:] == ["unreviewed"] * 7


def test_a_refreshed_exam_leaves_a_filter_that_it_does_not_fit_any_more(person):  # noqa: F811
    person.open_folder()
    person.choose("status", "unreviewed")
    exam = Dataset.open(person.root).exam(STEMS[0])
    events.record(exam, "rejected", annotator="Bo")
    person.panel.refresh(exam)
    assert len(person.shown()) == 7 and person.count == "7 of 8 exams"


def test_an_exam_of_the_same_name_in_another_dataset_has_no_row_here(person, tmp_path):  # noqa: F811
    person.open_folder()
    other = cases.make_exam(tmp_path / "other", STEMS[0])
    events.record(other, "rejected", annotator="Bo")
    person.panel.refresh(other)
    assert person.shown("status")[0] == "unreviewed"


# The sample


@pytest.fixture
def tiny(monkeypatch):
    """The sample with small images, in seconds."""
    make = table.make_sample
    monkeypatch.setattr(table, "make_sample", lambda folder, python: make(folder, tiny=True))


def test_the_sample_is_made_once_with_progress_and_opened(person, slicer_app, tiny, tmp_path):  # noqa: F811
    folder = tmp_path / "essai é"
    folder.mkdir()
    slicer_app.chosen_folder = str(folder)
    person.click("sampleButton")
    assert person.ui.sampleButton.text == "Cancel" and person.ui.sampleBar.visible
    assert person.wait(lambda: person.ui.sampleBar.value > 0), "progress"
    assert person.wait(lambda: len(person.shown()) == 8)
    assert person.ui.folderEdit.text == str(folder) and slicer_app.errors == []
    assert person.ui.sampleButton.text == "Load the sample" and not person.ui.sampleBar.visible
    person.open_folder()
    slicer_app.chosen_folder = "/nobody/is/asked"
    person.click("sampleButton")
    assert person.wait(lambda: person.ui.folderEdit.text == str(folder)) and slicer_app.errors == []


def test_the_sample_can_be_cancelled_and_escape_makes_none(person, slicer_app, tmp_path):  # noqa: F811
    person.click("sampleButton")
    assert person.panel.job is None
    slicer_app.chosen_folder = str(tmp_path / "new")
    person.click("sampleButton")
    assert person.wait(lambda: "sample dataset, " in person.shell.said), "how far it is"
    person.click("sampleButton")
    assert person.wait(lambda: person.panel.job is None)
    assert person.shell.said == "The sample dataset was not made." and slicer_app.errors == []
    assert not (tmp_path / "new").exists()


def test_a_sample_folder_that_cannot_be_used_is_said_and_asked_for_anew(person, slicer_app, tiny, tmp_path):  # noqa: F811
    from CSpineSegModule import settings

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / sample.MARKER).write_text("made by another version", encoding="utf-8")
    settings.write(settings.SAMPLE, str(tmp_path / "old"))
    person.click("sampleButton")
    assert person.wait(lambda: slicer_app.errors != [])
    assert str(tmp_path / "old") in slicer_app.errors[0] and settings.read(settings.SAMPLE) == ""


def test_unloading_the_module_ends_the_making_of_the_sample(person, slicer_app, tmp_path):  # noqa: F811
    slicer_app.chosen_folder = str(tmp_path / "new")
    person.click("sampleButton")
    job = person.panel.job
    person.panel.cleanup()
    assert person.wait(lambda: not job.is_running(), 20) and not person.panel.timer.active
