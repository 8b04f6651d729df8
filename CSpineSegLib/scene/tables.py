"""Figures and findings as Slicer's own tables, from where they can be copied, plotted and saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError
from .case import PATIENT_ATTRIBUTE, Case, file_under
from .context import Context, require_main_thread

_EXAM = "CSpineSeg.TableOf"


def show_table(context: Context, case: Case, title: str, columns: Mapping[str, Sequence[Any]]) -> Any:
    """Put columns into a vtkMRMLTableNode of an exam; one of the same title is filled anew and not added again.

    Parameters
    ----------
    title : what it is about, for instance "figures"; the node is called after the exam and this.
    columns : values by heading, all of one length: texts, or numbers with None for what is unknown (an empty cell).

    Raises
    ------
    InputError : columns of different lengths.
    """
    require_main_thread("a table")
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise InputError(f"The columns of the table {title!r} have different lengths: {sorted(lengths)}.")
    node = _find(context, case, title) or _add(context, case, title)
    modified = node.StartModify()
    node.RemoveAllColumns()
    for heading, values in columns.items():
        node.AddColumn(_column(heading, values))
    node.EndModify(modified)
    return node


def _column(heading: str, values: Sequence[Any]) -> Any:
    from vtkmodules.vtkCommonCore import vtkDoubleArray, vtkIntArray, vtkStringArray

    known = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in known):
        array, blank, turn = vtkStringArray(), "", str
    elif all(isinstance(value, int) for value in known) and len(known) == len(values):
        array, blank, turn = vtkIntArray(), 0, int
    else:
        array, blank, turn = vtkDoubleArray(), float("nan"), float
    array.SetName(heading)
    array.SetNumberOfValues(len(values))
    for index, value in enumerate(values):
        array.SetValue(index, blank if value is None else turn(value))
    return array


def _find(context: Context, case: Case, title: str) -> Any:
    for node in context.nodes("vtkMRMLTableNode"):
        if node.GetAttribute(_EXAM) == _name(case, title):
            return node
    return None


def _add(context: Context, case: Case, title: str) -> Any:
    node = context.scene.AddNewNodeByClass("vtkMRMLTableNode", _name(case, title))
    node.SetAttribute(_EXAM, _name(case, title))
    node.SetAttribute(PATIENT_ATTRIBUTE, case.patient_id)
    file_under(context.subject_hierarchy, case.folder, node)
    return node


def _name(case: Case, title: str) -> str:
    return f"{case.name} {title}"
