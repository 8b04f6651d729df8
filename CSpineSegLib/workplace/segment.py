"""Segmenting without waiting: the exam that the reviewer asked for, and the next ones in the background."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Cancelled, CSpineSegError, InputError
from .ahead import Ahead, same

if TYPE_CHECKING:
    from ..dataset import Exam
    from ..jobs import Worker
    from ..jobs.worker import Job
    from ..progress import Event
    from ..review.revisions import Revision
    from ..session import Session
    from ..volume import Volume
    from .desk import Workplace

LOG_LINES = 2000


class Segmenting:
    """One worker for what the user waits for, one job at a time, and in between for exams that come next.

    Nothing here waits but :meth:`finish` and :meth:`close`. :meth:`poll` has to be called a few times a second while
    there is work: it moves the jobs in the background on.

    Parameters
    ----------
    workplace : whose exams are segmented.
    python : interpreter of the worker; None for the running one.
    start : makes the worker's process, see :class:`jobs.Worker`.
    """

    def __init__(
        self, workplace: Workplace, python: str | None = None, start: Callable[..., Any] | None = None
    ) -> None:
        # By which model and where; "" and "auto" for the usual.
        self.model, self.device = "", "auto"
        self.ahead = Ahead(self)
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        # How many lines there have been: the log keeps the last ones.
        self.logged = 0
        self._workplace, self._python, self._start = workplace, python, start
        self._worker: Worker | None = None
        self._job: Job | None = None
        self._exam: Exam | None = None
        self._stage = ""
        self._result: tuple[Exam, str] | None = None
        self._former: Volume | None = None

    @property
    def model_name(self) -> str:
        """The model that segments."""
        from ..jobs import DEFAULT_MODEL

        return self.model or DEFAULT_MODEL

    @property
    def worker(self) -> Worker:
        """The worker; made when it is first needed, and its process by its first job."""
        if self._worker is None:
            from ..jobs import Worker

            self._worker = Worker(self._python, self.tell, self._start)
        return self._worker

    # What the user waits for

    def start(self, exam: Exam | None = None, anyway: bool = False, device: str | None = None) -> None:
        """Segment an exam, by default the open one, before anything else; see :meth:`poll`, then :meth:`finish`.

        Parameters
        ----------
        anyway : also if it does not look like a cervical spine exam.
        device : in place of the one that is set.
        """
        self._need_rest()
        exam = self._workplace.need_session().exam if exam is None else exam
        if exam.patient_id is None or self._workplace.root_of(exam) is None:
            raise InputError("Only exams of a dataset are segmented here; use 'cspineseg segment' for single files.")
        job = None if anyway or device else self.ahead.hand_over(exam)
        if job is None:
            self.ahead.make_room()
            job = self.worker.segment(exam, self.model_name, device=device or self.device, anyway=anyway)
        self._job, self._exam, self._stage = job, exam, ""
        self.tell(f"{exam.stem}: {self.model_name}, {device or self.device}")

    def start_import(self, source: Path | str, orientation: str | None = None) -> None:
        """Make a model of what nnU-Net exported, before anything else; see :meth:`poll`, then :meth:`finish`.

        Parameters
        ----------
        source : a zip or a folder.
        orientation : of the images that it was trained on; :meth:`finish` raises OrientationError if it is needed.
        """
        self._need_rest()
        self.ahead.make_room()
        self._job, self._exam, self._stage = self.worker.import_model(source, orientation=orientation), None, ""
        self.tell(f"{Path(source).name}: import")

    @property
    def is_running(self) -> bool:
        """True while the user's job runs; its end still has to be fetched by :meth:`finish`."""
        return self._job is not None and self._job.is_running()

    @property
    def has_ended(self) -> bool:
        """True if the user's job has ended and nobody has called :meth:`finish`."""
        return self._job is not None and not self._job.is_running()

    @property
    def is_importing(self) -> bool:
        """True if the user's job is an import, from its start until :meth:`finish`."""
        return self._job is not None and self._exam is None

    @property
    def is_busy(self) -> bool:
        """True while there is anything to :meth:`poll` for."""
        return self._job is not None or self.ahead.is_running

    def poll(self) -> Event | None:
        """The latest event of the user's job if there is a new one; also moves on what is in the background."""
        self.ahead.move_on()
        events = self._job.poll() if self._job is not None else []
        for event in events:
            if event.stage != self._stage:
                self._stage = event.stage
                self.tell(" ".join(filter(None, (f"{event.fraction:4.0%} {event.stage}", event.message))))
        return events[-1] if events else None

    def cancel(self) -> None:
        """Stop the user's job, within a second; :meth:`finish` then raises Cancelled."""
        if self._job is not None:
            self._job.cancel()

    def finish(self) -> Any:
        """Wait for the user's job. A mask is then on disk and the scene is as it was: see :meth:`open_result`.

        Returns
        -------
        The :class:`jobs.SegmentResult`, or of an import a dictionary with the model's name, version, folder and notes.

        Raises
        ------
        CSpineSegError : the sentence that the job ended with. Refused : `anyway` would help. GraphicsMemoryError :
            the processor may help. OrientationError : of an import. Cancelled : after :meth:`cancel`.
        """
        job, exam = self._job, self._exam
        if job is None:
            raise CSpineSegError("Nothing is being segmented.")
        try:
            result = job.result()
        except (CSpineSegError, Cancelled) as error:
            self.tell(str(error))
            raise
        finally:
            self._job = self._exam = None
        if exam is not None:
            self._result = exam, result.mask.parent.name
        for note in result.notes if exam is not None else result["notes"]:
            self.tell(note)
        self.tell("Up to date" if exam is not None and result.skipped else "Finished")
        return result

    def has_result(self) -> bool:
        """True if the open exam was segmented and the mask was not opened yet."""
        return self._result is not None and self._workplace.is_open(self._result[0])

    def open_result(self) -> tuple[Session, Revision | None]:
        """Open the mask of the finished segmentation as a new segmentation of the open exam.

        What was drawn and not saved is saved first, as a revision in review: opening the exam again comes back to it.

        Returns
        -------
        The session now open, and that revision or None.
        """
        if not self.has_result():
            raise CSpineSegError("There is no new segmentation of the open exam.")
        exam, model = self._result
        blind, former = self._workplace.need_session().blind, self._workplace.mask()
        drawn = self._workplace.save_changes()
        # Whether or not it can be opened: the exam can be segmented again.
        self._result = None
        session = self._workplace.open_exam(exam, model, blind=blind)
        self._former = former
        return session, drawn

    def save_undo_state(self, save: Callable[[], None]) -> None:
        """Let an editor that holds the result just opened go back by Undo to what was there before.

        Parameters
        ----------
        save : saves the editor's undo state; called while the former voxels stand in the open segmentation.
        """
        from .. import scene

        former, self._former = self._former, None
        if former is None:
            return
        session, found = self._workplace.need_session(), self._workplace.mask()
        try:
            scene.replace_voxels(session.context, session.case, former)
            save()
        finally:
            scene.replace_voxels(session.context, session.case, found)

    def was_opened(self, session: Session) -> None:
        """An exam was opened: a result that is shown by that no longer waits to be."""
        self._former = None
        shown = session.start.model if session.start is not None and session.start.kind == "predicted" else None
        if self._result is not None and same(session.exam, self._result[0]) and shown == self._result[1]:
            self._result = None

    # What comes next

    def start_ahead(self, exams: Iterable[Exam]) -> int:
        """Segment these exams too, in the background, in order; returns how many were not in it yet."""
        return self.ahead.add(exams)

    def close(self) -> None:
        """End everything; nothing of it is left when this returns, within two seconds."""
        self.ahead.stop()
        worker, self._worker = self._worker, None
        self._job = self._exam = None
        if worker is not None:
            worker.close()

    def is_free_for(self, exam: Exam) -> bool:
        """True unless this exam is the one that the user waits for."""
        return self._exam is None or not same(exam, self._exam)

    def tell(self, line: str) -> None:
        """Write a line into the log."""
        self.log.append(f"{time.strftime('%H:%M:%S')} {line}")
        self.logged += 1

    def _need_rest(self) -> None:
        if self._job is not None:
            what = "A model is being imported" if self._exam is None else "An exam is being segmented"
            raise CSpineSegError(f"{what} already; wait for it, or cancel it.")
