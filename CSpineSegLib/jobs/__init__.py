"""What every front end calls: segment exams, correct them, find their levels, export, what is installed."""

from .batch import BatchResult, segment_many
from .correct import correct
from .doctor import report
from .evaluate import evaluate
from .export import export
from .levels import NO_ANCHOR, LevelsBatch, LevelsResult, levels, levels_file, levels_many
from .looking import choose, describe, plain_rows
from .metrics import exam_metrics, file_metrics, mask_metrics
from .options import Options
from .segment import DEFAULT_MODEL, SegmentResult, segment, segment_file
from .targets import is_file_name, resolve, resolve_one
from .worker import Worker

__all__ = [
    "DEFAULT_MODEL",
    "NO_ANCHOR",
    "BatchResult",
    "LevelsBatch",
    "LevelsResult",
    "Options",
    "SegmentResult",
    "Worker",
    "choose",
    "correct",
    "describe",
    "evaluate",
    "exam_metrics",
    "export",
    "file_metrics",
    "is_file_name",
    "levels",
    "levels_file",
    "levels_many",
    "mask_metrics",
    "plain_rows",
    "report",
    "resolve",
    "resolve_one",
    "segment",
    "segment_file",
    "segment_many",
]
