"""Where a network runs: what was asked for or the reason for what was chosen, never a silent substitute."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from typing import Any

from ..errors import ModelError

NAMES = ("auto", "cuda", "mps", "cpu")


def select(name: str = "auto") -> tuple[Any, str]:
    """The device to run on, and a sentence on what was chosen and why.

    Parameters
    ----------
    name : "cuda" (NVIDIA or AMD builds of torch), "mps" (Apple), "cpu", or "auto" for the first of them that is there.

    Returns
    -------
    (torch.device, str)

    Raises
    ------
    ModelError : an unknown name, torch is not installed, or the device that was asked for is not there.
    """
    if name not in NAMES:
        raise ModelError(f"{name!r} is not a device; choose one of {', '.join(NAMES)}.")
    torch = import_torch()
    if name == "cpu":
        return torch.device("cpu"), f"Runs on the CPU with {torch.get_num_threads()} threads, as asked."
    if name != "auto" and not _present(torch, name):
        raise ModelError(
            f"The device '{name}' was asked for, but torch {torch.__version__} sees none; "
            "use --device cpu, or install a build of torch for this device."
        )
    found = name if name != "auto" else next((other for other in ("cuda", "mps") if _present(torch, other)), "cpu")
    if found == "cpu":
        return torch.device("cpu"), (
            f"Runs on the CPU with {torch.get_num_threads()} threads, chosen by 'auto': "
            f"torch {torch.__version__} sees no CUDA or MPS device."
        )
    label = torch.cuda.get_device_name(0) if found == "cuda" else "Apple GPU (MPS)"
    return torch.device(found), f"Runs on {label}, {'chosen by auto' if name == 'auto' else 'as asked'}."


def import_torch() -> Any:
    """The torch module; ModelError with the way to install it if it is missing or broken.

    Before the first import, GNU OpenMP is told to spin only briefly where threads wait for each other. By default they
    spin for milliseconds, and with one other busy process on two cores a prediction of 1 s took 8 to 25 s instead of
    1.2 s. A user's own setting is kept.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        import torch
    except (ImportError, OSError) as error:
        raise ModelError(
            f"Segmentation needs torch, which cannot be imported ({error}); install it with: "
            "pip install torch monai."
        ) from error
    return torch


def is_out_of_memory(error: BaseException) -> bool:
    """True for the several ways in which torch says that there was not enough memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    phrases = ("out of memory", "not enough memory", "can't allocate memory", "could not create a memory", "bad_alloc")
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in phrases)


def report() -> dict[str, Any]:
    """What a user or a bug report wants to know; works without torch.

    Returns
    -------
    "torch" and "monai" (version with build, None if missing), "cuda" (version the build was made for, or None),
    "devices" (list of {"device", "name", "free_bytes", "total_bytes"}; None where the system does not tell),
    "threads" (None without torch) and, if torch is there and broken, "error".
    """
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Any] = {"torch": None, "monai": None, "cuda": None, "threads": None}
    for package in ("torch", "monai"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    free, total = memory()
    cpu = platform.processor() or platform.machine()
    found["devices"] = [{"device": "cpu", "name": cpu, "free_bytes": free, "total_bytes": total}]
    if found["torch"] is None:
        return found
    try:
        torch = import_torch()
    except ModelError as error:
        return {**found, "error": str(error)}
    found.update(torch=torch.__version__, cuda=torch.version.cuda, threads=torch.get_num_threads())
    if _present(torch, "cuda"):
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            found["devices"].append({"device": f"cuda:{index}", "name": name, "free_bytes": free, "total_bytes": total})
    if _present(torch, "mps"):
        found["devices"].append({"device": "mps", "name": "Apple GPU", "free_bytes": None, "total_bytes": None})
    return found


def memory() -> tuple[int | None, int | None]:
    """(free, total) bytes of main memory that a program may use; None where the system does not tell."""
    if os.name == "nt":
        return _windows_memory()
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None, None
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            fields = dict(line.split(":", 1) for line in stream)
        return int(fields["MemAvailable"].split()[0]) * 1024, total
    except (OSError, KeyError):
        return None, total


def _present(torch: Any, name: str) -> bool:
    return torch.cuda.is_available() if name == "cuda" else torch.backends.mps.is_available()


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = [
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total_physical", ctypes.c_uint64),
        ("available_physical", ctypes.c_uint64),
        ("total_page_file", ctypes.c_uint64),
        ("available_page_file", ctypes.c_uint64),
        ("total_virtual", ctypes.c_uint64),
        ("available_virtual", ctypes.c_uint64),
        ("available_extended", ctypes.c_uint64),
    ]


def _windows_memory() -> tuple[int | None, int | None]:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return status.available_physical, status.total_physical
