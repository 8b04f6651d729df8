"""How the commands of training end: the exit code, and the sentence for whoever started them."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..errors import CSpineSegError

DONE, BAD_INPUT, STOPPED = 0, 2, 130


def exit_code(work: Callable[[], None], stopped: str) -> int:
    """Do the work; returns 0 done, 2 bad input (its sentence is printed), 130 stopped by Ctrl-C (`stopped` is)."""
    try:
        work()
    except CSpineSegError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(stopped, file=sys.stderr)
        return STOPPED
    return DONE
