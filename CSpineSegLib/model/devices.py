"""Where and by which engine a network runs: what was asked for, or what was chosen and why; never a silent substitute.

Torch runs on any device. On a CPU, OpenVINO starts faster, runs faster and takes less memory, and needs no torch.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import GraphicsMemoryError, ModelError

NAMES = ("auto", "cuda", "mps", "cpu")
ENGINES = ("auto", "torch", "openvino")

# More streams than this take memory and find no slices to work on.
MOST_THREADS = 16


@dataclass(frozen=True)
class Choice:
    """An engine ("torch", "openvino"), a device ("cuda", "mps", "cpu"), and a sentence on what was chosen and why."""

    engine: str
    device: str
    sentence: str


def choose(device: str = "auto", engine: str = "auto", *, converted: bool = True) -> Choice:
    """The engine and the device to run on.

    "auto" takes torch where it sees a GPU, else OpenVINO on the CPU where it is installed and the model carries the
    form that it needs, else torch on the CPU.

    Parameters
    ----------
    device : of :data:`NAMES`. engine : of :data:`ENGINES`.
    converted : whether the model carries the network in OpenVINO's form.

    Raises
    ------
    ModelError : an unknown name, or the device or engine that was asked for cannot be had.
    """
    if device not in NAMES:
        raise ModelError(f"{device!r} is not a device; choose one of {', '.join(NAMES)}.")
    if engine not in ENGINES:
        raise ModelError(f"{engine!r} is not an engine; choose one of {', '.join(ENGINES)}.")
    if engine == "openvino":
        return _openvino(device, converted)
    if engine == "torch" or device in ("cuda", "mps"):
        return _torch(device)
    if device == "auto" and may_see_gpu():
        found = _torch("auto")
        if found.device != "cpu":
            return found
    hindrance = _hindrance(converted)
    if hindrance is None:
        why = "no CUDA or MPS device is there for torch" if device == "auto" else "it is the faster engine there"
        return Choice("openvino", "cpu", f"Runs on the CPU with {_engine_name()}, chosen by 'auto': {why}.")
    if find_spec("torch") is None:
        raise ModelError(f"{hindrance}, and torch is not installed either; install one with: pip install openvino.")
    found = _torch(device)
    return Choice("torch", "cpu", f"{found.sentence.rstrip('.')}; {hindrance[0].lower()}{hindrance[1:]}.")


def _openvino(device: str, converted: bool) -> Choice:
    if device not in ("auto", "cpu"):
        raise ModelError(f"The engine OpenVINO runs on the CPU here; leave out --device {device}, or use torch for it.")
    hindrance = _hindrance(converted)
    if hindrance is not None:
        advice = "use --engine torch" if not converted else "install it with: pip install openvino"
        raise ModelError(f"{hindrance}; {advice}.")
    return Choice("openvino", "cpu", f"Runs on the CPU with {_engine_name()}, as asked.")


def _torch(device: str) -> Choice:
    where, sentence = select(device)
    return Choice("torch", where.type, sentence)


def _hindrance(converted: bool) -> str | None:
    """Why OpenVINO cannot be used, a clause without its full stop, or None."""
    if not converted:
        return "The model carries no form for OpenVINO"
    if "openvino" not in sys.modules and find_spec("openvino") is None:
        return "OpenVINO is not installed"
    try:
        import_openvino()
    except ModelError as error:
        return str(error).rstrip(".")
    return None


def _engine_name() -> str:
    return f"OpenVINO {import_openvino().__version__.split('-')[0]} and {threads()} threads"


def threads() -> int:
    """Threads for the work of a CPU: the cores that this process may use, or fewer by OMP_NUM_THREADS."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(wanted) if wanted.isdecimal() and int(wanted) else cores, MOST_THREADS))


def half_precision(engine: str, device: str) -> str | None:
    """The half precision in which an engine is faster than in single precision on a device, or None.

    On a GPU of NVIDIA or AMD float16, as nnU-Net computes there. On a CPU bfloat16 if the processor multiplies in it
    itself (avx512_bf16, AMX); others only imitate it, more slowly than float32.
    """
    if device == "cuda":
        return "float16"
    if device != "cpu":
        return None
    if engine == "openvino":
        # What OpenVINO would compute in if it were not told.
        kind = import_openvino().Core().get_property("CPU", "INFERENCE_PRECISION_HINT")
        return "bfloat16" if kind.get_type_name() == "bf16" else None
    torch = import_torch()
    answers = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return "bfloat16" if any(answer is not None and answer() for answer in answers) else None


def may_see_gpu() -> bool:
    """False if torch, which takes a second to import, could not run on a GPU here anyway."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        build = version("torch")
    except PackageNotFoundError:
        return "torch" in sys.modules
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if build.endswith("+cpu"):
        return False
    if os.name == "nt":
        return Path(os.environ.get("SYSTEMROOT", "C:/Windows"), "System32", "nvcuda.dll").exists()
    # The drivers of NVIDIA, of NVIDIA under Windows' Linux, and of AMD.
    return any(Path("/dev", name).exists() for name in ("nvidiactl", "dxg", "kfd"))


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
            f"Segmentation needs torch, which cannot be imported ({error}); install it with: pip install torch monai."
        ) from error
    return torch


def import_openvino() -> Any:
    """The openvino module; ModelError with the way to install it if it is missing or broken.

    On its import it would load its conversion tools, which report the import to a server over the network and keep a
    number for this person in the home folder. They are hidden meanwhile: OpenVINO does without them, nothing is sent
    or written, and the import takes half the time.
    """
    hidden = [name for name in ("openvino.tools.ovc", "openvino_telemetry") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        import openvino
    except (ImportError, OSError) as error:
        raise ModelError(f"OpenVINO cannot be imported ({error}); install it with: pip install openvino.") from error
    finally:
        for name in hidden:
            if sys.modules[name] is None:
                del sys.modules[name]
    return openvino


def place(network: Any, device: Any) -> Any:
    """A torch network on a device; ModelError if that has no memory left for it."""
    try:
        return network.to(device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise (ModelError if str(device) == "cpu" else GraphicsMemoryError)(
            f"The device {device} has no memory left for the network; close other programs on it, or use --device cpu."
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """True for the several ways in which torch and OpenVINO say that there was not enough memory."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    phrases = ("out of memory", "not enough memory", "can't allocate memory", "could not create a memory", "bad_alloc")
    phrases += ("failed to allocate",)
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in phrases)


def report() -> dict[str, Any]:
    """What a user or a bug report wants to know; works without torch and without OpenVINO.

    Returns
    -------
    "torch", "monai" and "openvino" (version with build, None if missing), "cuda" (version torch was built for, or
    None), "devices" (list of {"device", "name", "free_bytes", "total_bytes"}; None where the system does not tell),
    "threads" (of either engine on the CPU), "auto" (what would be chosen for a model with a converted form, or why
    nothing can be) and, if torch is there and broken, "error".
    """
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Any] = {"torch": None, "monai": None, "openvino": None, "cuda": None, "threads": threads()}
    for package in ("torch", "monai", "openvino"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    free, total = memory()
    cpu = platform.processor() or platform.machine()
    found["devices"] = [{"device": "cpu", "name": cpu, "free_bytes": free, "total_bytes": total}]
    try:
        found["auto"] = choose().sentence
    except ModelError as error:
        found["auto"] = str(error)
    if found["torch"] is None:
        return found
    try:
        torch = import_torch()
    except ModelError as error:
        return {**found, "error": str(error)}
    found.update(torch=torch.__version__, cuda=torch.version.cuda)
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
