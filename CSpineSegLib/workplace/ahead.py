"""Exams that are segmented before their turn comes, so that each of them opens with its mask ready."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import Cancelled

if TYPE_CHECKING:
    from ..dataset import Exam
    from ..jobs.worker import Job
    from .dataset import Row
    from .desk import Workplace
    from .segment import Segmenting

# The worker reads the image of one job while it does the one before.
AT_A_TIME = 2


class _Given(NamedTuple):
    exam: Exam
    job: Job
    model: str
    device: str


class Ahead:
    """A queue of exams for the worker, which always makes way for what the user waits for.

    Parameters
    ----------
    segmenting : whose worker, model and device are used.
    """

    def __init__(self, segmenting: Segmenting) -> None:
        self._segmenting = segmenting
        self._waiting: deque[Exam] = deque()
        self._given: deque[_Given] = deque()
        # Since it last had nothing to do: exams whose mask is ready, and sentences on those that have none.
        self.done: list[Exam] = []
        self.failed: dict[str, str] = {}

    @property
    def is_running(self) -> bool:
        return bool(self._waiting or self._given)

    @property
    def left(self) -> int:
        """How many have no mask yet."""
        return len(self._waiting) + len(self._given)

    @property
    def total(self) -> int:
        return len(self.done) + len(self.failed) + self.left

    @property
    def current(self) -> Exam | None:
        """The exam under way; None while the user's own has its turn."""
        return self._given[0].exam if self._given and not self._segmenting.is_running else None

    def add(self, exams: Iterable[Exam]) -> int:
        """Put exams at the end of the queue, those that are not in it; returns how many that were."""
        if not self.is_running:
            self.done, self.failed = [], {}
        known = [*self._waiting, *(given.exam for given in self._given)]
        count = 0
        for exam in exams:
            if self._segmenting.is_free_for(exam) and not any(same(exam, other) for other in known):
                self._waiting.append(exam)
                known.append(exam)
                count += 1
        self._give()
        return count

    def stop(self) -> None:
        """Segment no more; what is ready stays."""
        self.make_room()
        self._waiting.clear()

    def move_on(self) -> None:
        """Take what has ended, and give the worker the next."""
        while self._given and not self._given[0].job.is_running():
            self._take(self._given.popleft())
        for given in self._given:
            given.job.poll()
        self._give()

    def make_room(self) -> None:
        """Stop what is under way for something more urgent; it comes again after that."""
        for given in reversed(self._given):
            given.job.cancel()
            self._waiting.appendleft(given.exam)
        self._given.clear()

    def hand_over(self, exam: Exam) -> Job | None:
        """The job that is doing this exam already, now in nobody's queue; None if there is none, or it would differ."""
        asked = (self._segmenting.model_name, self._segmenting.device)
        if not self._given or not same(self._given[0].exam, exam) or self._given[0][2:] != asked:
            self._waiting = deque(other for other in self._waiting if not same(other, exam))
            for given in [given for given in self._given if same(given.exam, exam)]:
                given.job.cancel()
                self._given.remove(given)
            return None
        return self._given.popleft().job

    def _take(self, given: _Given) -> None:
        # Whatever becomes of one exam, the others still get their turn.
        try:
            given.job.result(0.0)
        except (Exception, Cancelled) as error:
            self.failed[given.exam.stem] = str(error)
            self._segmenting.tell(f"{given.exam.stem}: {error}")
        else:
            self.done.append(given.exam)
            self._segmenting.tell(f"{given.exam.stem}: ready")

    def _give(self) -> None:
        busy = self._segmenting.is_running
        while self._waiting and len(self._given) + busy < AT_A_TIME:
            exam, model, device = self._waiting.popleft(), self._segmenting.model_name, self._segmenting.device
            job = self._segmenting.worker.segment(exam, model, device=device)
            self._given.append(_Given(exam, job, model, device))


def upcoming(workplace: Workplace, count: int, rows: Sequence[Row] | None = None) -> list[Exam]:
    """The exams that a reviewer comes to next and that the chosen model has not segmented, `count` at most.

    Gold exams are left out: they open with the mask of the experts. `rows` are those of :func:`dataset.rows`.
    """
    from . import dataset

    model, session = workplace.segmenting.model_name, workplace.session
    opened = None if session is None else session.exam
    rows = dataset.rows(workplace) if rows is None else rows
    queue = (row.exam for row in dataset.waiting(rows, workplace.annotator) if row.status == "unreviewed")
    wanted = (
        exam
        for exam in queue
        if exam.source != "gold"
        and not (opened is not None and same(exam, opened))
        and not exam.predicted(model).is_file()
    )
    return list(itertools.islice(wanted, count))


def same(first: Exam, second: Exam) -> bool:
    """True for one exam of one dataset: exams of different datasets can have the same name."""
    return (first.stem, first.processed) == (second.stem, second.processed)
