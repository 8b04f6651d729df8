"""Many exams, one after the other: what fails is listed and does not stop the rest, what is done is skipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .. import files
from ..dataset import Exam
from ..errors import Cancelled, CSpineSegError
from ..model import Bundle, devices
from ..progress import Progress, ensure
from .segment import SegmentResult, segment


@dataclass
class BatchResult:
    """What became of each exam: results in order, and a sentence for each exam that failed."""

    results: list[SegmentResult] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def segment_many(
    exams: Iterable[Exam],
    bundle: Bundle,
    *,
    device: str = "auto",
    engine: str = "auto",
    anyway: bool = False,
    clean: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> BatchResult:
    """Segment exams one by one; a cancelled or killed batch resumes where it stopped when it is started again.

    Raises
    ------
    ModelError : the device or engine that was asked for is missing; that would fail every exam alike.
    """
    progress = ensure(progress)
    how = {"device": device, "engine": engine, "anyway": anyway, "clean": clean, "force": force}
    exams = list(exams)
    batch = BatchResult()
    if device not in ("auto", "cpu") or engine != "auto":
        devices.choose(device, engine, converted=bundle.is_converted)
    for folder in {exam.processed / "predicted" for exam in exams}:
        files.sweep(folder)
    for number, exam in enumerate(exams):
        part = progress.part(number / len(exams), (number + 1) / len(exams))
        try:
            result = segment(exam, bundle, progress=part, **how)
        except Cancelled:
            raise
        except CSpineSegError as error:
            batch.failures[_name(exam, batch)] = str(error)
        except Exception as error:
            # Whatever is wrong with one exam, the night's other thousand still get their turn.
            kind = type(error).__name__
            batch.failures[_name(exam, batch)] = f"An unexpected error stopped this exam ({kind}: {error})."
        else:
            batch.results.append(result)
    return batch


def _name(exam: Exam, batch: BatchResult) -> str:
    """The exam's stem, or its path where two files of the same name failed."""
    return exam.stem if exam.stem not in batch.failures else str(exam.image)
