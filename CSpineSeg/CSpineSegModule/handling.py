"""What happens when a button's work fails: one sentence if it was to be expected, else everything that is known."""

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
