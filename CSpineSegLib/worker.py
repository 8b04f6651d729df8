"""`python -m CSpineSegLib.worker`: segments exams one after another, told by JSON lines; see Docs/worker.md."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from .jobs.worker import protocol, tree
from .jobs.worker.server import Server
from .jobs.worker.streams import Sink, pieces, take_over


def main() -> int:
    """Work until told to end, or until nobody listens any more; returns the exit code."""
    if tree.OWN_GROUP in sys.argv and hasattr(os, "setsid"):
        with contextlib.suppress(PermissionError):
            os.setsid()
    requests, answers = take_over()
    sink = Sink(answers)
    # What libraries put aside goes with this folder, which whoever started the process removes if it cannot itself.
    scratch = tempfile.tempdir = tempfile.mkdtemp(prefix="cspineseg-worker-")
    server = Server(sink, Path(scratch))
    sink.broken = server.abandon

    def stop(number: int, frame: Any) -> None:
        # Not here: what is interrupted may hold the lock that this needs.
        threading.Thread(target=server.abandon, daemon=True).start()

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    server.greet()
    lines = protocol.lines(pieces(requests))
    threading.Thread(target=server.listen, args=(lines,), daemon=True, name="cspineseg-requests").start()
    code = server.work()
    sys.stderr.flush()
    server.leave(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
