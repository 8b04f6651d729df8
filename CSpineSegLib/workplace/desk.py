"""One dataset, one open exam and who works on it: opened, changed, saved, left; nothing that was drawn is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CSpineSegError, InputError
from .ahead import same
from .clock import EditingClock
from .recovery import Keeper
from .segment import Segmenting

if TYPE_CHECKING:
    import numpy as np
    import pandas

    from ..dataset import Dataset, Exam
    from ..review.revisions import Revision
    from ..session import Session
    from ..volume import Volume


class Workplace:
    """What one reviewer has in hand.

    Parameters
    ----------
    python : interpreter of the worker; None for the running one.
    start : makes the worker's process, see :class:`jobs.Worker`; None for the usual.
    """

    def __init__(self, python: str | None = None, start: Callable[..., Any] | None = None) -> None:
        self.dataset: Dataset | None = None
        # Who works here; None: the login name, which may be several people's.
        self.annotator: str | None = None
        # Who drew what is not saved yet; None while nobody had given a name.
        self.drawn_by: str | None = None
        # The voxels as they were opened or last saved (i, j, k).
        self.saved: np.ndarray | None = None
        self.clock = EditingClock()
        self.keeper = Keeper(self)
        self._context: Any = None
        self._session: Session | None = None
        self._read: tuple[Any, Volume] | None = None
        # Folders of the datasets opened so far, by where their results go: exams of different ones share names.
        self._roots: dict[Path, Path] = {}
        self.segmenting = Segmenting(self, python, start)

    # Dataset

    def open_dataset(self, folder: str | Path) -> Dataset:
        """Open a dataset folder; its `problems` say what is missing. What was open before stays if this fails."""
        from ..dataset import Dataset

        if not str(folder).strip():
            raise InputError("No dataset folder is chosen; choose the folder that holds 'extracted'.")
        self.dataset = Dataset.open(Path(folder))
        self._roots[self.dataset.processed] = self.dataset.root
        return self.dataset

    def exams(self, patient: str = "") -> list[Exam]:
        """The exams of a patient ("593973-000123", "000123" or "123"); all exams for an empty text."""
        dataset = self._need_dataset()
        return dataset.exams(patient=patient.strip()) if patient.strip() else dataset.exams()

    def table(self) -> pandas.DataFrame:
        """The exams of the dataset with the state of their review: :func:`review.worklist.table`."""
        from ..review import worklist

        return worklist.table(self._need_dataset())

    def root_of(self, exam: Exam) -> Path | None:
        """The folder of the dataset that an exam belongs to, if it was opened here; None for a single file."""
        return self._roots.get(exam.processed)

    # The open exam

    @property
    def session(self) -> Session | None:
        """The open exam; None if there is none, or if one of its nodes was deleted."""
        if self._session is not None:
            case, scene = self._session.case, self._session.context.scene
            if not (scene.IsNodePresent(case.volume_node) and scene.IsNodePresent(case.segmentation_node)):
                self._forget()
        return self._session

    def need_session(self) -> Session:
        """The open exam; InputError if there is none."""
        if self.session is None:
            raise InputError("No exam is open; choose one in the table and open it first.")
        return self._session

    def is_open(self, exam: Exam) -> bool:
        """True if this exam is the open one; an exam of the same name in another dataset is not."""
        session = self.session
        return session is not None and same(session.exam, exam)

    def open_exam(self, exam: Exam, model: str | None = None, *, blind: bool = False) -> Session:
        """Load an exam and a mask of it into the scene; what was open before is closed, as it is: ask first.

        Parameters
        ----------
        model : start from this model's mask and not from the latest work.
        blind : a second reader, who starts from the source mask without seeing anybody's correction.
        """
        from .. import scene
        from .. import session as sessions

        if self._context is None:
            self._context = scene.Context.create()
        opened = sessions.open_exam(exam, self._context, model=model, blind=blind, annotator=self.annotator_name)
        self.leave_exam()
        self.keeper.drop()
        self._session = opened
        self.saved = self.mask().array
        self.drawn_by = self.annotator_name
        self.clock.restart()
        self.segmenting.was_opened(opened)
        return opened

    def mask(self) -> Volume:
        """The mask as it stands in the scene, on the image's grid; read again only after the scene changed."""
        from .. import scene

        session = self.need_session()
        now = scene.stamp(session.case.segmentation_node)
        if self._read is None or self._read[0] != now:
            self._read = now, session.mask()
        return self._read[1]

    def is_changed(self) -> bool:
        """True if the mask in the scene has other voxels than when it was opened or last saved."""
        import numpy as np

        return self.session is not None and not np.array_equal(self.mask().array, self.saved)

    def save(self, status: str = "accepted", annotator: str | None = None) -> Revision:
        """Save the mask in the scene as the exam's next revision; see :func:`CSpineSegLib.session.save`.

        annotator : in place of who works here.
        """
        from .. import session as sessions

        session = self.need_session()
        seconds, who = self.clock.seconds, annotator or self.annotator_name
        revision = sessions.save(session, status=status, annotator=who, active_seconds=seconds)
        self.saved = self.mask().array
        self.drawn_by = self.annotator_name
        self.keeper.drop()
        self.clock.restart()
        return revision

    def save_changes(self) -> Revision | None:
        """Save what was drawn as a revision in review; None if nothing was."""
        return self.save("in review") if self.is_changed() else None

    def name_annotator(self, name: str | None) -> Revision | None:
        """Somebody works here from now on; what another drew is saved first, as a draft under the other's name.

        A blind reading of another is closed then, since nobody else may see it. Who gives a name for the first time
        is nobody else: what was drawn before is theirs.

        Returns
        -------
        That draft, or None if there was nothing to save.

        Raises
        ------
        CSpineSegError : it cannot be saved; the name stays as it was.
        """
        name = (name or "").strip() or None
        other = self.drawn_by if self.session is not None and self.drawn_by != name else None
        draft = self.save("in review", other) if other is not None and self.is_changed() else None
        self.annotator = name
        session = self.session
        if session is None:
            return draft
        if other is not None and session.blind and session.origin.revision is not None:
            self.leave_exam()
        elif not self.is_changed():
            self.drawn_by = name
        return draft

    def leave_exam(self) -> None:
        """Close the open exam, as it is: ask first."""
        from .. import scene

        session = self.session
        # Forgotten first: who watches the scene saves what is drawn when an open exam's nodes are removed.
        self._forget()
        if session is not None:
            scene.close_case(session.context, session.case)

    def holds(self, node: Any) -> bool:
        """True if a node of the scene is the open exam's volume or segmentation."""
        session = self.session
        return session is not None and node in (session.case.volume_node, session.case.segmentation_node)

    def leave_scene(self) -> Revision | None:
        """The exam's nodes are about to be removed from outside: what was drawn is saved, as a revision in review.

        Returns that revision, or None if nothing was drawn. The exam is open no more, even if the save fails: then a
        copy of what was drawn is kept in this user's data folder, to be offered again, or if it can be no mask as it
        is, a file of Slicer's own, which the error names.
        """
        try:
            return self.save_changes()
        except Exception as error:
            rescued = self.keeper.rescue()
            if rescued is None:
                raise
            raise CSpineSegError(f"{error} All that was drawn is kept in {rescued}; load it by Add Data.") from error
        finally:
            self.keeper.leave()
            self._forget()

    def close(self) -> Revision | None:
        """Stop what runs, and save what was drawn."""
        try:
            return self.leave_scene()
        finally:
            self.segmenting.close()

    @property
    def annotator_name(self) -> str | None:
        """What is written as the annotator; None, which is the login name, if nobody gave a name."""
        return (self.annotator or "").strip() or None

    def _forget(self) -> None:
        self._session = self.saved = self._read = None

    def _need_dataset(self) -> Dataset:
        if self.dataset is None:
            raise InputError("No dataset is open; choose its folder first.")
        return self.dataset
