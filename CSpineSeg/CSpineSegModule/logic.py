"""What the module decides, without widgets: one dataset, one open exam, one segmentation under way."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from CSpineSegLib.errors import Cancelled, CSpineSegError, InputError
from CSpineSegLib.progress import Event

__all__ = ["CSpineSegError", "Cancelled", "Workplace", "python_slicer"]


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
        self._job: Any = None
        self._job_exam: Any = None
        self.dataset: Any = None

    # Dataset

    def open_dataset(self, folder: str | Path) -> Any:
        """Open a dataset folder; its `problems` say what is missing."""
        from CSpineSegLib.dataset import Dataset

        if not str(folder).strip():
            raise InputError("No dataset folder is chosen; choose the folder that holds 'extracted'.")
        self.dataset = Dataset.open(Path(folder))
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

    # The open exam

    @property
    def session(self) -> Any:
        """The open :class:`CSpineSegLib.session.Session`; None if there is none, or if its nodes were deleted."""
        if self._session is not None:
            case, scene = self._session.case, self._session.context.scene
            if not (scene.IsNodePresent(case.volume_node) and scene.IsNodePresent(case.segmentation_node)):
                self._session = self._saved = None
        return self._session

    def open_exam(self, exam: Any, model: str | None = None) -> Any:
        """Load an exam and its mask (with `model`: that model's) into the scene; what was open before is closed."""
        from CSpineSegLib import scene
        from CSpineSegLib import session as sessions

        if self._context is None:
            self._context = scene.Context.create()
        before = self.session
        opened = sessions.open_exam(exam, self._context, model=model)
        if before is not None:
            scene.close_case(self._context, before.case)
        self._session, self._saved = opened, opened.mask().array
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
        revision = sessions.save(session, status=status, annotator=annotator or None)
        self._saved = session.mask().array
        return revision

    def forget_scene(self) -> None:
        """The scene is being closed: its nodes must not be used any more."""
        self._session = self._saved = None

    # Segmentation

    def start_segmentation(self) -> None:
        """Segment the open exam in a process of its own; follow it with :meth:`poll`, then :meth:`finish`."""
        from CSpineSegLib.jobs.child import ChildJob

        if self._job is not None:
            raise CSpineSegError("An exam is being segmented already; wait for it, or cancel it.")
        exam = self._need_session().exam
        if exam.patient_id is None:
            raise InputError("Only exams of a dataset are segmented here; use 'cspineseg segment' for single files.")
        words = ["segment", exam.stem, "--dataset", str(self.dataset.root)]
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

    def finish(self, annotator: str | None = None) -> tuple[Any, Any]:
        """Wait for the segmentation and open its mask as a new segmentation, if its exam is still the open one.

        Voxels that were drawn and not saved meanwhile are saved first, as a revision in review.

        Returns
        -------
        The segmented exam, and that revision or None.

        Raises
        ------
        CSpineSegError : the sentence that the job ended with. Cancelled : after :meth:`cancel`.
        """
        job, exam = self._job, self._job_exam
        if job is None:
            raise CSpineSegError("Nothing is being segmented.")
        try:
            result = job.result()
        finally:
            self._job = self._job_exam = None
        drawn = None
        session = self.session
        if session is not None and session.exam.stem == exam.stem:
            if self.is_changed():
                drawn = self.save("in review", annotator)
            self.open_exam(exam, model=Path(result["results"][0]["mask"]).parent.name)
        return exam, drawn

    def close(self) -> None:
        """Stop what runs; the child ends by itself."""
        self.cancel()
        self.forget_scene()

    def _need_session(self) -> Any:
        if self.session is None:
            raise InputError("No exam is open; find a patient and open an exam first.")
        return self._session


def python_slicer() -> str | None:
    """Slicer's own Python for child processes; None outside Slicer, where the running interpreter serves."""
    return shutil.which("PythonSlicer")
