"""What the module decides, without widgets: one dataset, one open exam, one segmentation under way."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from CSpineSegLib.errors import Cancelled, CSpineSegError, InputError, Refused
from CSpineSegLib.progress import Event

__all__ = ["CSpineSegError", "Cancelled", "Refused", "Workplace", "in_slicer", "python_slicer"]


class Workplace:
    """What one reviewer has in hand.

    Parameters
    ----------
    python : interpreter for segmentation; None: Slicer's `PythonSlicer`, or the running one outside Slicer.
    """

    def __init__(self, python: str | None = None) -> None:
        self._python = python
        self._context: Any = None
        self._session: Any = None
        self._saved: Any = None
        self._annotator: str | None = None
        self._job: Any = None
        self._job_exam: Any = None
        self._result: tuple[Any, str] | None = None
        # Folders of the datasets opened so far, by where their results go: exams of different ones share names.
        self._roots: dict[Path, Path] = {}
        self.dataset: Any = None

    # Dataset

    def open_dataset(self, folder: str | Path) -> Any:
        """Open a dataset folder; its `problems` say what is missing."""
        from CSpineSegLib.dataset import Dataset

        if not str(folder).strip():
            raise InputError("No dataset folder is chosen; choose the folder that holds 'extracted'.")
        self.dataset = Dataset.open(Path(folder))
        self._roots[self.dataset.processed] = self.dataset.root
        return self.dataset

    def exams(self, patient: str = "") -> list[Any]:
        """The exams of a patient ("593973-000123", "000123" or "123"); all exams for an empty text."""
        if self.dataset is None:
            raise InputError("No dataset is open; choose its folder first.")
        return self.dataset.exams(patient=patient.strip()) if patient.strip() else self.dataset.exams()

    @staticmethod
    def status(exam: Any) -> str:
        """The review status of an exam: "unreviewed", "in review", "accepted" or "rejected"."""
        from CSpineSegLib.review import status

        return status.of(exam).status

    def statuses(self, exams: Iterable[Any]) -> list[str]:
        """The review status of each of these exams of the dataset, from one look at its folders."""
        from CSpineSegLib.review import worklist

        table = worklist.table(self.dataset)
        known = dict(zip(table["stem"], table["status"], strict=True))
        return [known[exam.stem] for exam in exams]

    # The open exam

    @property
    def session(self) -> Any:
        """The open :class:`CSpineSegLib.session.Session`; None if there is none, or if its nodes were deleted."""
        if self._session is not None:
            case, scene = self._session.case, self._session.context.scene
            if not (scene.IsNodePresent(case.volume_node) and scene.IsNodePresent(case.segmentation_node)):
                self._session = self._saved = None
        return self._session

    def is_open(self, exam: Any) -> bool:
        """True if this exam is the open one; an exam of the same name in another dataset is not."""
        session = self.session
        return session is not None and _same(session.exam, exam)

    def open_exam(
        self, exam: Any, model: str | None = None, *, blind: bool = False, annotator: str | None = None
    ) -> Any:
        """Load an exam and a mask of it into the scene; what was open before is closed.

        Parameters
        ----------
        model : start from this model's mask and not from the latest work.
        blind : a second reader, who starts from the source mask without seeing anybody's correction.
        annotator : who opens it; the login name by default.
        """
        from CSpineSegLib import scene
        from CSpineSegLib import session as sessions

        if self._context is None:
            self._context = scene.Context.create()
        before = self.session
        opened = sessions.open_exam(exam, self._context, model=model, blind=blind, annotator=_name(annotator))
        if before is not None:
            scene.close_case(self._context, before.case)
        self._session, self._saved, self._annotator = opened, opened.mask().array, _name(annotator)
        shown = opened.start.model if opened.start is not None and opened.start.kind == "predicted" else None
        if self._result is not None and _same(exam, self._result[0]) and shown == self._result[1]:
            self._result = None
        return opened

    def is_changed(self) -> bool:
        """True if the mask in the scene has other voxels than when it was opened or last saved."""
        import numpy as np

        session = self.session
        return session is not None and not np.array_equal(session.mask().array, self._saved)

    def save(self, status: str = "accepted", annotator: str | None = None) -> Any:
        """Save the mask in the scene as the exam's next revision; see :func:`CSpineSegLib.session.save`."""
        from CSpineSegLib import session as sessions

        session = self._need_session()
        revision = sessions.save(session, status=status, annotator=_name(annotator))
        self._saved = session.mask().array
        return revision

    def leave_scene(self, annotator: str | None = None) -> Any:
        """The scene is being closed, and its nodes still exist: what was drawn is saved, as a revision in review.

        Returns that revision, or None if nothing was drawn. The exam is open no more, even if the save fails.
        """
        try:
            return self.save("in review", annotator) if self.is_changed() else None
        finally:
            self._session = self._saved = None

    # Segmentation

    def start_segmentation(self, anyway: bool = False) -> None:
        """Segment the open exam in a process of its own; follow it with :meth:`poll`, then :meth:`finish`.

        `anyway`: also if it does not look like a cervical spine exam.
        """
        from CSpineSegLib.jobs.child import ChildJob

        if self._job is not None:
            raise CSpineSegError("An exam is being segmented already; wait for it, or cancel it.")
        exam = self._need_session().exam
        root = self._roots.get(exam.processed)
        if exam.patient_id is None or root is None:
            raise InputError("Only exams of a dataset are segmented here; use 'cspineseg segment' for single files.")
        words = ["segment", exam.stem, "--dataset", str(root), *(["--anyway"] if anyway else [])]
        self._job = ChildJob(words, python=self._python or python_slicer())
        self._job_exam = exam

    def is_segmenting(self) -> bool:
        """True from :meth:`start_segmentation` until :meth:`finish`."""
        return self._job is not None

    def poll(self) -> tuple[Event | None, bool]:
        """The latest event of the segmentation, if there is a new one, and whether it still runs; never waits."""
        running = self._job is not None and self._job.is_running()
        events = self._job.poll() if self._job is not None else []
        return (events[-1] if events else None), running

    def cancel(self) -> None:
        """Ask the segmentation to stop; :meth:`finish` then raises Cancelled."""
        if self._job is not None:
            self._job.cancel()

    def finish(self) -> Any:
        """Wait for the segmentation; its mask is then on disk, and the scene is as it was: see :meth:`open_result`.

        Returns
        -------
        The segmented exam.

        Raises
        ------
        CSpineSegError : the sentence that the job ended with. Refused : the image does not look like a cervical spine.
        Cancelled : after :meth:`cancel`.
        """
        job, exam = self._job, self._job_exam
        if job is None:
            raise CSpineSegError("Nothing is being segmented.")
        try:
            result = job.result()
        finally:
            self._job = self._job_exam = None
        self._result = exam, Path(result["results"][0]["mask"]).parent.name
        return exam

    def has_result(self) -> bool:
        """True if the open exam was segmented and the mask was not opened yet."""
        return self._result is not None and self.is_open(self._result[0])

    def open_result(self, annotator: str | None = None) -> tuple[Any, Any]:
        """Open the mask of the finished segmentation as a new segmentation of the open exam.

        Voxels that were drawn and not saved are saved first, as a revision in review.

        Returns
        -------
        The session now open, and that revision or None.
        """
        if not self.has_result():
            raise CSpineSegError("There is no new segmentation of the open exam.")
        exam, model = self._result
        drawn = self.save("in review", annotator) if self.is_changed() else None
        # Whether or not it can be opened: the exam can be segmented again.
        self._result = None
        return self.open_exam(exam, model, blind=self._session.blind, annotator=annotator), drawn

    def close(self) -> Any:
        """Stop what runs, where the child ends by itself, and save what was drawn by who opened it."""
        self.cancel()
        return self.leave_scene(self._annotator)

    def _need_session(self) -> Any:
        if self.session is None:
            raise InputError("No exam is open; find a patient and open an exam first.")
        return self._session


def _same(first: Any, second: Any) -> bool:
    return (first.stem, first.processed) == (second.stem, second.processed)


def _name(annotator: str | None) -> str | None:
    """What a form's field says; None, which is the login name, if it says nothing."""
    return (annotator or "").strip() or None


def in_slicer() -> bool:
    """True inside the Slicer application, False on slicer-core."""
    return hasattr(sys.modules.get("slicer"), "app")


def python_slicer() -> str | None:
    """Slicer's own Python for child processes; None outside Slicer, where the running interpreter serves.

    Raises
    ------
    CSpineSegError : it is not where Slicer puts it; the running executable is then Slicer and no interpreter.
    """
    found = shutil.which("PythonSlicer")
    if found is None and in_slicer():
        raise CSpineSegError("Slicer's own Python, PythonSlicer, was not found on the search path; reinstall Slicer.")
    return found
