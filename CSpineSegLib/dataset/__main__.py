"""`python -m CSpineSegLib.dataset FOLDER`: makes the sample dataset there. It needs no more than NiBabel and SciPy."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .. import progress
from ..errors import Cancelled, CSpineSegError
from . import sample


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 cancelled, 2 it could not be made, in one sentence."""
    parser = argparse.ArgumentParser(
        prog="python -m CSpineSegLib.dataset",
        description="Make the sample dataset: eight synthetic exams of six patients, in about a minute.",
    )
    parser.add_argument("folder", type=Path, help="a new or empty folder, or one that holds the sample already")
    parser.add_argument("--tiny", action="store_true", help="small images, in a few seconds")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--events", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        shown = progress.for_program() if given.events else None
        dataset = sample.make(given.folder, shown, tiny=given.tiny)
    except CSpineSegError as error:
        print(f"cspineseg: {error}", file=sys.stderr)
        return 2
    except (Cancelled, KeyboardInterrupt):
        print("cspineseg: Cancelled; nothing is left of the sample.", file=sys.stderr)
        return 1
    answer = {"dataset": str(dataset.root), "exams": len(dataset)}
    print(json.dumps(answer, ensure_ascii=False) if given.json else f"{len(dataset)} exams in {dataset.root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
