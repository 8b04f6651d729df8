"""What the user is told and shown: that a button's work failed, in one sentence if it was expected; what opened."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import slicer
import slicer.util
from slicer.i18n import tr as _

from CSpineSegLib.errors import CSpineSegError, Refused


def handler(method: Callable[[Any], None]) -> Callable[..., None]:
    """Decorate a slot of the form or of a panel: errors are shown, and every panel is brought up to date after it."""

    @functools.wraps(method)
    def wrapped(self: Any, *_arguments: Any) -> None:
        shell = getattr(self, "shell", self)
        with slicer.util.tryWithErrorDisplay(_("CSpineSeg could not do this.")):
            try:
                method(self)
            except CSpineSegError as error:
                shell.say(str(error))
                slicer.util.errorDisplay(str(error))
            finally:
                shell.update()

    return wrapped


def describe_event(event: Any) -> str:
    """In words, how far the segmentation is: a :class:`CSpineSegLib.progress.Event`."""
    text = _("{stage}, {percent} %").format(stage=event.stage, percent=round(100 * event.fraction))
    if event.eta is None:
        return text
    return _("{text}, about {seconds} s left").format(text=text, seconds=max(1, round(event.eta)))


def describe_session(session: Any) -> list[str]:
    """In sentences, what was opened, and all that is to be known about it: a :class:`CSpineSegLib.session.Session`."""
    text = _("{exam} is open with {mask}.").format(exam=session.exam.stem, mask=describe_start(session.start))
    blind = [_("You are a second reader: nobody's correction is shown.")] if session.blind else []
    return [text, *blind, *session.warnings]


def describe_kept(revision: Any) -> list[str]:
    """In sentences, what was saved unasked so that it is not lost: a revision, or None."""
    if revision is None:
        return []
    text = _("What was drawn before is kept as revision {number}: {file}.")
    return [text.format(number=revision.number, file=revision.mask.name), *revision.warnings]


def describe_start(start: Any) -> str:
    """In words, the mask that an exam was opened with: a :class:`CSpineSegLib.review.masks.Mask`, or None."""
    if start is None:
        return _("an empty mask")
    return {
        "accepted": _("the accepted mask"),
        "draft": _("the mask that was saved for later"),
        "predicted": _("the mask of the model {model}").format(model=start.model),
        "dataset": _("the mask of the dataset"),
    }[start.kind]


def ask_anyway(stopped: Exception) -> bool:
    """Whether the user, told why an image was refused, wants it segmented; nobody is asked about anything else."""
    if not isinstance(stopped, Refused):
        return False
    return slicer.util.confirmOkCancelDisplay(_("{reason} Segment it anyway?").format(reason=stopped))


def describe_module() -> tuple[str, str]:
    """The module's help and acknowledgement."""
    purpose = _(
        "Segments vertebral bodies and intervertebral discs in cervical spine MRI, and keeps every correction. "
        "Choose a dataset folder, find a patient, open an exam, segment or correct it, and accept the mask. "
        "Images stay on this computer. This is research software, not a medical device."
    )
    thanks = _(
        "Made for the Duke University Cervical Spine MRI Segmentation Dataset (CSpineSeg), which is to be cited as its "
        "authors ask on its page. Built on 3D Slicer, MONAI, OpenVINO, PyTorch and NiBabel."
    )
    return purpose, thanks
