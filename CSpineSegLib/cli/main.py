"""Entry point: runs a command and turns what happened into an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from ..errors import Cancelled, CSpineSegError

DONE, FAILED, BAD_INPUT = 0, 1, 2
# What typer makes of Ctrl-C, without a word to the user.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: some exams of a batch failed, it was cancelled, or an unexpected error. 2: the input, the command's
    words, the model, the device or the place to write to cannot be used; one sentence on the standard error stream
    says which and why, and nothing was written.
    """
    import typer

    from . import (  # noqa: F401 - they add their commands to the app
        cohort,
        compare,
        demo,
        evaluate,
        fairness,
        levels,
        metrics,
        models,
        nnunet,
        raters,
        report,
        split,
        work,
    )
    from .app import app

    for stream in (sys.stdout, sys.stderr):
        # Names with accents must not end a job on a console of another encoding.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        return DONE if code is None else int(code)
    except CSpineSegError as error:
        return _say(str(error), BAD_INPUT)
    except (Cancelled, KeyboardInterrupt, typer.Abort):
        return _say("Cancelled; what was finished before is kept.", FAILED)
    except typer.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        return FAILED
    except OSError as error:
        where = f"{str(error.filename)[:200]}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}; check the path, its length and the rights to it.", BAD_INPUT)
    except MemoryError:
        return _say("There is not enough main memory; close other programs or take a smaller image.", BAD_INPUT)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            message = error.format_message().rstrip()
            stop = "" if message.endswith((".", "?", "!")) else "."
            return _say(f"{message}{stop} See 'cspineseg --help'.", BAD_INPUT)
        traceback.print_exc()
        return _say(f"An unexpected error ({error}); please report it with the lines above.", FAILED)


def _say(sentence: str, code: int) -> int:
    print(f"cspineseg: {sentence}", file=sys.stderr)
    return code
