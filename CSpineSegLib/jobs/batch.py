"""Many exams, one after the other: what fails is listed and does not stop the rest, what is done is skipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .. import files
from ..dataset import Exam
from ..errors import Cancelled, CSpineSegError, Refused
from ..model import Bundle, devices
from ..model.checks import ANYWAY
from ..progress import Progress, ensure
from .options import Options
from .segment import SegmentResult, segment
from .worker import Worker
from .worker.protocol import NO_MEMORY


@dataclass
class BatchResult:
    """What became of each exam: results in order, and a sentence for each exam that failed."""

    results: list[SegmentResult] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def segment_many(
    exams: Iterable[Exam],
    bundle: Bundle,
    *,
    worker: Worker | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> BatchResult:
    """Segment exams one by one; a cancelled or killed batch resumes where it stopped when it is started again.

    Parameters
    ----------
    worker : where the work is done, so that an exam whose process is ended by the system fails alone; None: here.
    options : the fields of :class:`Options`.

    Raises
    ------
    ModelError : the device or engine that was asked for is missing, or the model cannot be run as asked; that would
        fail every exam alike.
    """
    how, progress = Options(**options), ensure(progress)
    exams = list(exams)
    batch = BatchResult()
    how.predicting(bundle)
    if how.device not in ("auto", "cpu") or how.engine != "auto":
        if worker is None:
            devices.choose(how.device, how.engine, converted=bundle.is_converted)
        else:
            worker.load(bundle, how.device, how.engine).follow(progress.part(0.0, 0.0))
    for folder in {exam.processed / "predicted" for exam in exams}:
        files.sweep(folder)
    jobs = [worker.segment(exam, bundle, **options) for exam in exams] if worker is not None else []
    try:
        for number, exam in enumerate(exams):
            part = progress.part(number / len(exams), (number + 1) / len(exams))
            try:
                if worker is not None:
                    result = jobs[number].follow(part)
                else:
                    result = segment(exam, bundle, progress=part, **options)
            except Cancelled:
                raise
            except Exception as error:
                # Whatever is wrong with one exam, the night's other thousand still get their turn.
                batch.failures[_name(exam, batch)] = sentence(error)
            else:
                batch.results.append(result)
    finally:
        # The last first, so that none of them gets its turn meanwhile.
        for job in reversed(jobs):
            job.cancel()
    return batch


def sentence(error: Exception) -> str:
    """What is said of an exam that failed."""
    if isinstance(error, Refused):
        return f"{str(error).removesuffix('.')}; {ANYWAY}."
    if isinstance(error, CSpineSegError):
        return str(error)
    if isinstance(error, MemoryError):
        return NO_MEMORY
    return f"An unexpected error stopped this exam ({type(error).__name__}: {error})."


def _name(exam: Exam, batch: BatchResult) -> str:
    """The exam's stem, or its path where two files of the same name failed."""
    return exam.stem if exam.stem not in batch.failures else str(exam.image)
