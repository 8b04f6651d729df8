"""Many exams, one after the other: what fails is listed and does not stop the rest, what is done is skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..dataset import Exam
from ..errors import CSpineSegError
from ..model import Bundle
from ..progress import Progress, ensure
from .segment import SegmentResult, segment


@dataclass
class BatchResult:
    """What became of each exam: results in order, and a sentence for each exam that failed."""

    results: list[SegmentResult] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> int:
        return sum(not result.skipped for result in self.results)

    @property
    def skipped(self) -> int:
        return sum(result.skipped for result in self.results)


def segment_many(
    exams: Iterable[Exam],
    bundle: Bundle,
    *,
    device: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
    finished: Callable[[SegmentResult], None] | None = None,
) -> BatchResult:
    """Segment exams one by one; a cancelled or killed batch resumes where it stopped when it is started again.

    Parameters
    ----------
    finished : called after each exam that was segmented or skipped.
    """
    progress = ensure(progress)
    exams = list(exams)
    batch = BatchResult()
    for number, exam in enumerate(exams):
        part = progress.part(number / len(exams), (number + 1) / len(exams))
        try:
            result = segment(exam, bundle, device=device, force=force, progress=part)
        except CSpineSegError as error:
            batch.failures[exam.stem] = str(error)
            continue
        batch.results.append(result)
        if finished is not None:
            finished(result)
    return batch
