"""Whether a process that wrote down who it was still runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def began(pid: int) -> str | None:
    """When a process of this computer began, as a text to compare; None if there is none of that number.

    The number alone says little: after the end, and after a restart, other processes are given it.
    """
    if sys.platform == "win32":
        return _on_windows(pid)
    if Path("/proc/self/stat").is_file():
        return _on_linux(pid)
    words = ["ps", "-o", "lstart=", "-p", str(pid)]
    found = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C", "TZ": "UTC"})
    return found.stdout.strip() or None


def _on_linux(pid: int) -> str | None:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name before the bracket may hold anything; state and, in ticks since the start of the system, begin follow.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZX" else f"{boot} {fields[18]}"


def _on_windows(pid: int) -> str | None:
    import ctypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    limited_information, still_active = 0x1000, 259
    handle = ctypes.c_void_p(kernel.OpenProcess(limited_information, False, pid))
    if not handle:
        return None
    code = ctypes.c_uint32()
    times = [ctypes.c_uint64() for _ in range(4)]
    try:
        # One that has ended is still there for whoever holds a handle of it.
        runs = kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value == still_active
        known = kernel.GetProcessTimes(handle, *map(ctypes.byref, times))
    finally:
        kernel.CloseHandle(handle)
    return str(times[0].value) if runs and known else None
