"""The table of exams in the form: its folder, its search, its filters, its order, its speed."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from dataset_panel import STEMS, again, person  # noqa: F401  (fixture)
from module_person import python_slicer  # noqa: F401  (fixture)
from slicer_standins import MODULE_FOLDER, slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import files
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.review import events
from CSpineSegLib.workplace import dataset as table

FORM = MODULE_FOLDER / "Resources" / "UI" / "CSpineSegDataset.ui"


# The folder


def test_an_empty_table_says_what_to_do_and_nothing_can_be_opened(person):  # noqa: F811
    assert person.count == "No exams yet: choose a dataset folder, or load the sample."
    assert not person.ui.openButton.enabled and not person.ui.nextButton.enabled
    assert person.ui.sampleButton.enabled and not person.ui.sampleBar.visible


def test_a_chosen_folder_is_shown_opened_and_remembered_and_escape_changes_nothing(person, slicer_app):  # noqa: F811
    slicer_app.chosen_folder = str(person.root / "extracted")
    person.click("folderButton")
    assert person.ui.folderEdit.text == str(person.root), "the dataset's own folder"
    assert len(person.shown()) == 8 and person.count == "8 of 8 exams"
    assert person.shell.said.startswith(f"8 exams are in {person.root}.")
    slicer_app.chosen_folder = ""
    person.click("folderButton")
    assert person.ui.folderEdit.text == str(person.root) and len(person.shown()) == 8
    later = again(person)
    assert later.ui.folderEdit.text == str(person.root) and len(later.shown()) == 8
    assert slicer_app.errors == slicer_app.questions == []


def test_a_remembered_folder_asks_for_nothing_when_it_cannot_be_opened(person, slicer_app):  # noqa: F811
    person.open_folder()
    slicer_app.missing = {"pandas"}
    assert again(person).shown() == [] and slicer_app.installed == slicer_app.questions == []
    slicer_app.missing = set()
    person.root.rename(person.root.with_name("moved"))
    assert again(person).shown() == []
    assert slicer_app.errors == []


def test_a_remembered_folder_that_is_no_dataset_any_more_is_said_without_a_dialog(person, slicer_app):  # noqa: F811
    person.open_folder()
    person.root.rename(person.root.with_name("moved"))
    person.root.mkdir()
    later = again(person)
    assert slicer_app.errors == [] and "is empty" in later.shell.said


@pytest.mark.parametrize(
    ("folder", "expected"),
    [("", "No dataset folder is chosen"), ("/no/such/folder", "/no/such/folder does not exist"), (" ", "is chosen")],
)
def test_a_bad_folder_is_one_sentence_and_the_former_exams_stay(person, slicer_app, folder, expected):  # noqa: F811
    person.open_folder()
    person.type("folderEdit", folder, enter=True)
    (sentence,) = slicer_app.errors
    assert expected in sentence and "\n" not in sentence and sentence.endswith(".")
    assert slicer_app.details == [""] and person.shell.said == sentence
    assert len(person.shown()) == 8


def test_declining_the_installation_is_one_sentence_and_no_exam_is_shown(person, slicer_app):  # noqa: F811
    person.shell.declines = True
    person.type("folderEdit", str(person.root), enter=True)
    assert slicer_app.errors == ["Packages are missing."] and person.shown() == []


def test_what_is_wrong_with_a_dataset_is_said_the_first_of_much(person):  # noqa: F811
    exams = Dataset.open(person.root).exams()
    exams[0].image.unlink()
    exams[1].mask.unlink()
    person.open_folder()
    assert STEMS[0] in person.shell.said
    problems = Dataset.open(person.root).problems
    assert all(sentence in person.shell.said for sentence in problems[:3])
    assert ("more remarks" in person.shell.said) == (len(problems) > 3)


def test_reload_shows_what_others_did_and_keeps_the_filters(person):  # noqa: F811
    person.open_folder()
    person.choose("source", "Silver")
    others = Dataset.open(person.root).exam(STEMS[4])
    events.record(others, "rejected", annotator="Bo")
    (person.root / "extracted" / "annotation" / f"{STEMS[5]}.nii.gz").unlink()
    person.click("reloadButton")
    assert person.shown("source") == ["Silver"] * 4 and person.ui.sourceFilterCombo.currentText == "Silver"
    assert "rejected" in person.shown("status") and "Bo" in person.shown("annotator")


# Search, filters, order


def test_a_patient_is_found_as_one_types_and_enter_opens_the_only_exam(person):  # noqa: F811
    person.open_folder()
    seen = []
    for end in range(1, 7):
        person.type("searchEdit", "900001"[:end])
        seen.append(len(person.shown()))
    assert seen == [8, 8, 8, 8, 8, 1] and person.count == "1 of 8 exams"
    person.type("searchEdit", "593973-900001", enter=True)
    assert person.open_exam == STEMS[0]


def test_enter_with_several_exams_opens_none_and_leads_into_the_table(person):  # noqa: F811
    from PySide6 import QtCore

    person.open_folder()
    person.double_click(7)
    person.type("searchEdit", "900003", enter=True)
    assert len(person.shown()) == 3 and person.open_exam == STEMS[7]
    assert person.view.currentIndex().row() == 0
    person.test.keyClick(person.view, QtCore.Qt.Key.Key_Down)
    person.test.keyClick(person.view, QtCore.Qt.Key.Key_Return)
    assert person.open_exam == STEMS[3]


def test_open_without_a_chosen_row_says_what_to_do(person, slicer_app):  # noqa: F811
    person.open_folder()
    person.click("openButton")
    assert slicer_app.errors == ["No exam is chosen; click one in the table, or type more of its patient ID."]
    person.type("searchEdit", "900001")
    person.click("openButton")
    assert person.open_exam == STEMS[0]


def test_a_patient_that_is_not_there_brings_the_nearest(person):  # noqa: F811
    person.open_folder()
    person.type("searchEdit", "900010")
    assert person.shown() == []
    assert person.count.startswith("0 of 8: there is no such patient; the nearest are 593973-900006,")
    person.type("searchEdit", "nobody")
    assert person.count == "0 of 8 exams"


def test_filters_are_what_there_is_and_show_all_takes_them_back(person):  # noqa: F811
    person.open_folder()
    person.choose("manufacturer", "GE MEDICAL SYSTEMS")
    person.choose("source", "Gold")
    assert set(person.shown("source")) == {"Gold"} and len(person.shown()) == 2
    person.choose("field", "1.5 T")
    person.choose("sex", "M")
    person.type("searchEdit", "900006")
    assert person.shown() == ["593973-900006"]
    person.click("clearButton")
    assert len(person.shown()) == 8 and person.ui.searchEdit.text == ""
    assert person.ui.manufacturerFilterCombo.currentText == "Any scanner"


def test_a_click_on_a_title_sorts_numbers_as_numbers_with_unknown_ones_last_both_ways(person):  # noqa: F811
    exam = Dataset.open(person.root).exam(STEMS[2])
    for plan in (2, 5, 7):
        known = Dataset.open(person.root).exam(STEMS[plan])
        files.write_json(known.quality("net"), {"score": {2: 0.9, 5: 0.1, 7: 1.0}[plan]})
    person.open_folder()
    assert person.shown() == sorted(person.shown()), "by patient at first"
    person.click_title("score")
    assert person.shown("score") == ["0.10", "0.90", "1.00", *[""] * 5]
    person.click_title("score")
    assert person.shown("score") == ["1.00", "0.90", "0.10", *[""] * 5]
    person.click_title("age")
    assert person.shown("age") in (["33", "47", "47", "47", "54", "62", "71", "> 89"],)
    files.write_json(exam.quality("net"), {"score": 0.95})
    person.panel.refresh(exam)
    assert "0.95" in person.shown("score") and len(person.shown()) == 8


def test_the_titles_say_what_a_column_means(person):  # noqa: F811
    from PySide6 import QtCore

    model = person.view.model()
    horizontal, tip = QtCore.Qt.Orientation.Horizontal, QtCore.Qt.ItemDataRole.ToolTipRole
    titles = [model.headerData(index, horizontal) for index in range(len(table.COLUMNS))]
    named = ["Patient", "Status", "Score", "Mask", "Study", "Age", "Sex", "Field", "Scanner", "Annotator"]
    assert titles == [*named, "Last change"]
    assert "lowest need you most" in model.headerData(person.column("score"), horizontal, tip)
    assert person.view.isColumnHidden(len(table.COLUMNS)), "the text that the search looks at"


# Speed and form


def test_a_whole_dataset_is_shown_and_searched(person, tmp_path):  # noqa: F811
    images = tmp_path / "big" / "extracted" / "annotation"
    images.mkdir(parents=True)
    for number in range(1, 1256):
        (images / f"593973-{number % 1232 + 1:06d}_Study-MR-{number}_Series-1.nii.gz").touch()
    person.workplace.open_dataset(tmp_path / "big")
    person.panel.table.fill(table.rows(person.workplace))
    assert len(person.shown()) == 1255
    for text, count in (("593973-0001", 100), ("593973-000123", 1), ("nobody", 0), ("", 1255)):
        person.ui.searchEdit.text = text
        person.app_events()
        assert len(person.shown()) == count, text


def test_every_widget_that_a_person_uses_explains_itself_and_can_be_reached_by_tab():
    root = ElementTree.parse(FORM).getroot()
    interactive = {"QLineEdit", "QPushButton", "QCheckBox", "QComboBox", "QTableView"}
    named = {}
    for widget in root.iter("widget"):
        if widget.get("class") in interactive:
            named[widget.get("name")] = {field.get("name") for field in widget.findall("property")}
    for name, fields in named.items():
        assert "toolTip" in fields, name
        assert fields & {"text", "accessibleName"}, name
    tabs = [stop.text for stop in root.iter("tabstop")]
    assert set(tabs) == set(named) and len(tabs) == len(set(tabs))
    buddies = {field.findtext("cstring") for field in root.iter("property") if field.get("name") == "buddy"}
    assert buddies == {"folderEdit", "annotatorEdit", "searchEdit"}


def test_second_reader_is_a_parameter_of_the_scene(person):  # noqa: F811
    box = person.ui.blindCheck.wrapped
    assert box.property("SlicerParameterName") == "blind"
