"""One exam open in an MRML scene: opened, edited, saved as a revision. The GUI, the console and scripts all use this.

>>> from CSpineSegLib import session                                        # doctest: +SKIP
>>> case = session.open_exam(exam)                                          # doctest: +SKIP
>>> session.save(case, status="accepted", annotator="ab")                   # doctest: +SKIP
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import scene, volume
from .dataset import Exam
from .errors import InputError
from .jobs import model_behind
from .jobs.provenance import software
from .review import events, masks, places, revisions
from .review.masks import Mask
from .review.revisions import Revision


@dataclass
class Session:
    """An exam in a scene.

    Parameters
    ----------
    start : the mask that the editing began with; None for an empty one.
    blind : started from the source mask and not from anybody's correction.
    case : the MRML nodes, see :mod:`CSpineSegLib.scene`.
    """

    exam: Exam
    image: volume.Volume
    start: Mask | None
    blind: bool
    context: Any
    case: Any
    opened: datetime = field(default_factory=lambda: datetime.now(UTC))
    _clock: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the exam was opened."""
        return time.monotonic() - self._clock

    def mask(self) -> volume.Volume:
        """The mask as it now stands in the scene, on the image's own grid."""
        return scene.read_segmentation(self.context, self.case.segmentation_node, self.image)


def open_exam(
    exam: Exam, context: Any = None, *, blind: bool = False, model: str | None = None, record: bool = True
) -> Session:
    """Load an exam's image and a mask into MRML: the latest work on it, else the mask that counts, else an empty one.

    Parameters
    ----------
    context : from ``scene.Context.create()``; a new one by default.
    blind : start from the source mask, for a second reader, and not from anybody's correction.
    model : start from this model's prediction.
    record : write the event "opened", which puts an unreviewed exam in review.

    Raises
    ------
    InputError : the exam has no image, the model has no prediction of it, or image or mask cannot be used.
    """
    if exam.image is None:
        raise InputError(f"Exam {exam.stem} has no image in the dataset folder; add the file or choose another exam.")
    start = masks.blind_start(exam, model) if blind or model else masks.best_mask(exam, drafts=True)
    image = volume.read(exam.image)
    mask = volume.conform(volume.read_mask(start.path), image) if start is not None else None
    context = context if context is not None else scene.Context.create()
    case = scene.load_case(context, image, mask, name=exam.stem, patient_id=exam.patient_id or exam.stem)
    if record:
        events.record(exam, "opened")
    return Session(exam, image, start, blind, context, case)


def save(
    session: Session,
    *,
    status: str = "accepted",
    annotator: str | None = None,
    active_seconds: float | None = None,
) -> Revision:
    """Write the mask as it stands in the scene as the exam's next revision; see :func:`review.revisions.save`.

    Parameters
    ----------
    active_seconds : time spent editing; None: since the exam was opened.
    """
    start = session.start
    return revisions.save(
        session.exam,
        session.mask(),
        status=status,
        parent=start.path if start is not None else None,
        annotator=annotator,
        started=session.opened,
        active_seconds=session.seconds if active_seconds is None else active_seconds,
        model=model_behind(session.exam, start),
        blind=session.blind,
        software=software(),
    )


def picture(session: Session, path: Path | str) -> Path:
    """Draw the middle sagittal slice with the mask, and the surfaces in 3D, into a PNG file.

    Raises
    ------
    InputError : `path` does not end in .png. WriteError : it lies in the released data, or cannot be written.
    """
    places.check_targets([Path(path)], [session.exam.image, session.exam.mask])
    scene.picture(session.context, session.case, Path(path))
    return Path(path)
