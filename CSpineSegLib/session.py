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
from .errors import InputError, WriteError
from .review import events, masks, origins, people, places, revisions
from .review.masks import Mask
from .review.origins import Origin
from .review.revisions import Revision


@dataclass
class Session:
    """An exam in a scene.

    Parameters
    ----------
    start : the mask that the editing began with, after a save the revision that was saved; None for an empty one.
    origin : that mask as it was then, for provenance and metrics: its file may change while it is open.
    blind : started from the source mask and not from anybody else's correction.
    case : the MRML nodes, see :mod:`CSpineSegLib.scene`.
    warnings : sentences for the user about what was met on opening.
    opened : when the editing began from `start`.
    """

    exam: Exam
    image: volume.Volume
    start: Mask | None
    origin: Origin
    blind: bool
    context: Any
    case: Any
    warnings: tuple[str, ...] = ()
    opened: datetime = field(default_factory=lambda: datetime.now(UTC))
    _clock: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the exam was opened, or last saved."""
        return time.monotonic() - self._clock

    def mask(self) -> volume.Volume:
        """The mask as it now stands in the scene, on the image's own grid."""
        return scene.read_segmentation(self.context, self.case.segmentation_node, self.image)


def open_exam(
    exam: Exam,
    context: Any = None,
    *,
    blind: bool = False,
    model: str | None = None,
    record: bool = True,
    annotator: str | None = None,
) -> Session:
    """Load an exam's image and a mask into MRML: the latest work on it, else the mask that counts, else an empty one.

    Parameters
    ----------
    context : from ``scene.Context.create()``; a new one by default.
    blind : start from the source mask, for a second reader, or from the annotator's own blind revision, and never from
        anybody else's correction.
    model : start from this model's prediction.
    record : write the event "opened", which puts an unreviewed exam in review. Where it cannot be written, as in a
        dataset that may only be read, the exam opens all the same and `warnings` says so.
    annotator : who opens it; None: the login name, which may be several people's, so nobody's blind revision is shown.

    Raises
    ------
    InputError : the exam has no image, the model has no prediction of it, or image or mask cannot be used; the scene
        then stays as it was.
    """
    if exam.image is None:
        raise InputError(f"Exam {exam.stem} has no image in the dataset folder; add the file or choose another exam.")
    who = people.annotator_name(annotator)
    named = None if annotator is None else who
    if blind or model:
        start = masks.blind_start(exam, model, annotator=named)
    else:
        start = masks.best_mask(exam, drafts=True, annotator=named)
    origin = origins.of_mask(exam, start)
    if start is not None and origin.voxels is None:
        raise InputError(origin.problem)
    image = volume.read(exam.image)
    mask = volume.conform(origin.voxels, image) if start is not None else None
    warnings = [masks.edited_sentence(exam, name) for name in masks.edited_predictions(exam)]
    context = context if context is not None else scene.Context.create()
    case = scene.load_case(context, image, mask, name=exam.stem, patient_id=exam.patient_id or exam.stem)
    try:
        if record:
            events.record(exam, "opened", annotator=who)
    except WriteError as error:
        warnings.append(f"{exam.stem} is open, but nothing can be saved to its dataset at present: {error}")
    except BaseException:
        scene.close_case(context, case)
        raise
    return Session(exam, image, start, origin, blind, context, case, (*case.warnings, *warnings))


def save(
    session: Session,
    *,
    status: str = "accepted",
    annotator: str | None = None,
    active_seconds: float | None = None,
) -> Revision:
    """Write the mask as it stands in the scene as the exam's next revision; see :func:`review.revisions.save`.

    What is saved next is made from this revision, and its time counts from now.

    Parameters
    ----------
    active_seconds : time spent editing; None: since the exam was opened or last saved.
    """
    mask = session.mask()
    revision = revisions.save(
        session.exam,
        mask,
        status=status,
        parent=session.origin,
        annotator=annotator,
        started=session.opened,
        active_seconds=session.seconds if active_seconds is None else active_seconds,
        blind=session.blind,
    )
    session.start = Mask(revision.mask, "accepted" if status == "accepted" else "draft", revision)
    session.origin = origins.of_saved(revision, mask)
    session.opened, session._clock = datetime.now(UTC), time.monotonic()
    return revision


def picture(session: Session, path: Path | str) -> Path:
    """Draw the middle sagittal slice with the mask, and the surfaces in 3D, into a PNG file.

    Raises
    ------
    InputError : `path` does not end in .png. WriteError : it lies in the released data, or cannot be written.
    """
    places.check_targets([Path(path)], [session.exam.image, session.exam.mask])
    scene.picture(session.context, session.case, Path(path))
    return Path(path)
