"""Entry point: runs a command and turns what happened into an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from ..errors import Cancelled, CSpineSegError

DONE, FAILED, BAD_INPUT = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: something failed that was not the input's fault, some exams of a batch failed, or it was cancelled.
    2: the input or the command's words cannot be used; one sentence on the standard error stream says why.
    """
    import typer

    from . import demo, work  # noqa: F401 - they add their commands to the app
    from .app import app

    for stream in (sys.stdout, sys.stderr):
        # Names with accents must not end a job on a console of another encoding.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        return DONE if code is None else int(code)
    except CSpineSegError as error:
        return _say(str(error), BAD_INPUT)
    except (Cancelled, KeyboardInterrupt, typer.Abort):
        return _say("Cancelled; what was finished before is kept.", FAILED)
    except typer.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            return _say(f"{error.format_message()} See 'cspineseg --help'.", BAD_INPUT)
        traceback.print_exc()
        return _say(f"An unexpected error ({error}); please report it with the lines above.", FAILED)


def _say(sentence: str, code: int) -> int:
    print(f"cspineseg: {sentence}", file=sys.stderr)
    return code
