"""Findings as tables of the scene: the right types, once per exam, in the patient's folder, saved with the scene."""

from __future__ import annotations

import math

import pytest
from scene_helpers import loaded

from CSpineSegLib import scene
from CSpineSegLib.errors import InputError

COLUMNS = {"Structure": ["Bodies", "Discs"], "Voxels": [12, 0], "Dice": [0.5, None], "Place": [None, None]}


@pytest.fixture
def context():
    return scene.Context.create()


def test_a_table_holds_texts_numbers_and_empty_cells(context):
    case, _ = loaded(context)
    node = scene.show_table(context, case, "figures", COLUMNS)
    table = node.GetTable()
    assert (table.GetNumberOfRows(), node.GetColumnName(1)) == (2, "Voxels")
    assert node.GetCellText(1, 0) == "Discs"
    assert [table.GetValue(row, 1).ToInt() for row in (0, 1)] == [12, 0]
    assert table.GetColumnByName("Dice").GetValue(0) == 0.5
    assert math.isnan(table.GetColumnByName("Dice").GetValue(1))
    assert table.GetColumnByName("Voxels").GetDataTypeAsString() == "int"


def test_the_same_table_is_filled_anew_and_another_exams_is_another(context):
    case, _ = loaded(context)
    node = scene.show_table(context, case, "figures", COLUMNS)
    again = scene.show_table(context, case, "figures", {"Structure": ["Bodies"]})
    assert again is node and node.GetNumberOfColumns() == 1 and node.GetTable().GetNumberOfRows() == 1
    other, _ = loaded(context, name="other")
    assert scene.show_table(context, other, "figures", COLUMNS) is not node
    assert len(context.nodes("vtkMRMLTableNode")) == 2


def test_a_table_lies_in_the_patients_folder_and_stays_when_the_exam_is_closed(context):
    case, _ = loaded(context)
    node = scene.show_table(context, case, "figures", COLUMNS)
    hierarchy = context.subject_hierarchy
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == case.folder
    scene.close_case(context, case)
    assert context.nodes("vtkMRMLTableNode") == [node]


def test_a_table_without_rows_has_its_headings(context):
    case, _ = loaded(context)
    node = scene.show_table(context, case, "remarks", {"Remark": [], "R (mm)": []})
    assert [node.GetColumnName(index) for index in (0, 1)] == ["Remark", "R (mm)"]


def test_columns_of_different_lengths_are_refused_before_anything_is_added(context):
    case, _ = loaded(context)
    with pytest.raises(InputError, match="different lengths"):
        scene.show_table(context, case, "figures", {"a": [1], "b": [1, 2]})
    assert context.nodes("vtkMRMLTableNode") == []
