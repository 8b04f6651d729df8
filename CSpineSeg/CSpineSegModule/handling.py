"""What the user is told: that a button's work failed, in one sentence if it was to be expected; what was opened."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import slicer.util
from slicer.i18n import tr as _

from CSpineSegLib.errors import CSpineSegError


def handler(method: Callable[[Any], None]) -> Callable[..., None]:
    """Decorate a widget's slot: errors are shown, and the buttons are brought up to date after it."""

    @functools.wraps(method)
    def wrapped(self: Any, *_arguments: Any) -> None:
        with slicer.util.tryWithErrorDisplay(_("CSpineSeg could not do this.")):
            try:
                method(self)
            except CSpineSegError as error:
                self.showStatus(str(error))
                slicer.util.errorDisplay(str(error))
            finally:
                self.updateGui()

    return wrapped


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
