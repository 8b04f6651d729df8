"""How much main memory this process takes, as far as the system tells."""

from __future__ import annotations

import ctypes
import os
import sys


def usage() -> dict[str, int | None]:
    """{"resident": bytes now, "peak": the most so far}; None for what the system does not tell."""
    if os.name == "nt":
        return _windows()
    if sys.platform == "linux":
        try:
            with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
                fields = dict(line.split(":", 1) for line in stream if ":" in line)
            kept = {"resident": "VmRSS", "peak": "VmHWM"}
            return {name: int(fields[key].split()[0]) * 1024 for name, key in kept.items()}
        except (OSError, KeyError, ValueError):
            return {"resident": None, "peak": None}
    import resource

    # Bytes on macOS, where Linux counts in kilobytes.
    return {"resident": None, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


class _Counters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of the Windows API."""

    _fields_ = [
        ("size", ctypes.c_uint32),
        ("page_faults", ctypes.c_uint32),
        ("peak_working_set", ctypes.c_size_t),
        ("working_set", ctypes.c_size_t),
        ("quota", ctypes.c_size_t * 4),
        ("page_file", ctypes.c_size_t),
        ("peak_page_file", ctypes.c_size_t),
    ]


def _windows() -> dict[str, int | None]:
    counters = _Counters()
    counters.size = ctypes.sizeof(counters)
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.K32GetProcessMemoryInfo.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Counters), ctypes.c_uint32]
    if not kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size):
        return {"resident": None, "peak": None}
    return {"resident": counters.working_set, "peak": counters.peak_working_set}
