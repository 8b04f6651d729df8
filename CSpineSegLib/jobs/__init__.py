"""What every front end calls: segment an exam, correct it, export, many exams at once, what is installed."""

from .batch import BatchResult, segment_many
from .correct import correct
from .doctor import report
from .export import export
from .segment import SegmentResult, segment, segment_file
from .targets import resolve, resolve_one

__all__ = [
    "BatchResult",
    "SegmentResult",
    "correct",
    "export",
    "report",
    "resolve",
    "resolve_one",
    "segment",
    "segment_file",
    "segment_many",
]
