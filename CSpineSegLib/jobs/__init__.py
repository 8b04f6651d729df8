"""What every front end calls: segment an exam, correct it, export, many exams at once, what is installed."""

from .batch import BatchResult, segment_many
from .correct import correct
from .doctor import report
from .export import export
from .looking import choose, describe, exam_metrics, plain_rows
from .options import Options
from .segment import DEFAULT_MODEL, SegmentResult, segment, segment_file
from .targets import is_file_name, resolve, resolve_one
from .worker import Worker

__all__ = [
    "DEFAULT_MODEL",
    "BatchResult",
    "Options",
    "SegmentResult",
    "Worker",
    "choose",
    "correct",
    "describe",
    "exam_metrics",
    "export",
    "is_file_name",
    "plain_rows",
    "report",
    "resolve",
    "resolve_one",
    "segment",
    "segment_file",
    "segment_many",
]
