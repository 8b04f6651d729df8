"""Ends a process with all that it started: Slicer's own Python is a launcher, and ending it alone changes nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

# The worker makes a process group of its own if it is told so, for those that cannot start it in one.
OWN_GROUP = "--own-group"


def kill(pid: int, leader: int | None = None) -> None:
    """End a process and its descendants by force.

    Parameters
    ----------
    pid : the process that was started. leader : one that it launched and that leads a process group, if it is known:
        it is found even if the launcher has ended, and so are its children whose parents have.
    """
    if os.name == "nt":
        for number in (pid, leader):
            if number:
                words = ["taskkill", "/T", "/F", "/PID", str(number)]
                subprocess.run(words, capture_output=True, check=False, creationflags=subprocess.CREATE_NO_WINDOW)
        return
    doomed = [*descendants(pid), pid] if pid else []
    if leader:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # Only a group of its own: that of this process is nobody's to end.
            if os.getpgid(leader) == leader:
                os.killpg(leader, signal.SIGKILL)
            else:
                doomed.append(leader)
    for number in doomed:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(number, signal.SIGKILL)


def kill_group(leader: int) -> None:
    """End what is left of a process group whose leader may have ended; where there are no groups, the leader's tree."""
    if os.name == "nt":
        kill(0, leader)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if leader != os.getpgrp():
            os.killpg(leader, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """All processes that a process started, and that these started, as far as they still know their parents."""
    children: dict[int, list[int]] = {}
    for child, parent in _parents():
        children.setdefault(parent, []).append(child)
    found, look = [], [pid]
    while look:
        new = children.get(look.pop(), [])
        found += new
        look += new
    return found


def _parents() -> Iterable[tuple[int, int]]:
    """(process, its parent) of all processes that the system tells of."""
    if Path("/proc/self/stat").exists():
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The program's name stands in brackets and may hold anything.
                fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                yield int(path.parent.name), int(fields[1])
        return
    done = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        with contextlib.suppress(ValueError):
            child, parent = map(int, line.split())
            yield child, parent
