"""What lies on disk: names, tables, layout, Gold lists, queries and sample data."""

from .exam import Exam
from .gold import SOURCES
from .layout import COLUMNS, Dataset, exam_from_file
from .names import ExamName, parse_name, parse_patient_id
from .query import select

__all__ = [
    "COLUMNS",
    "SOURCES",
    "Dataset",
    "Exam",
    "ExamName",
    "exam_from_file",
    "parse_name",
    "parse_patient_id",
    "select",
]
