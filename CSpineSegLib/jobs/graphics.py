"""The graphics cards of this computer, asked of their drivers: needs no torch and imports nothing."""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

QUESTION = "name,memory.total,driver_version"
# A driver that sleeps takes seconds to answer; one that hangs never does.
PATIENCE = 15.0
MIB = 1024**2


@dataclass(frozen=True)
class Card:
    """A graphics card that torch can have a build for.

    Parameters
    ----------
    name : as its driver says. driver : the driver's version; None if it does not tell.
    memory : bytes; None if the driver does not tell.
    device : "cuda" (NVIDIA and AMD builds of torch) or "mps" (Apple).
    """

    name: str
    driver: str | None
    memory: int | None
    device: str

    def __str__(self) -> str:
        parts = [self.name]
        if self.memory is not None:
            parts.append(f"{self.memory / 1024**3:.0f} GB")
        if self.driver is not None:
            parts.append(f"driver {self.driver}")
        return ", ".join(parts)


def look() -> tuple[list[Card], str | None]:
    """The cards, and a sentence on why their driver does not answer, or None."""
    if sys.platform == "darwin":
        return ([Card("Apple GPU", None, None, "mps")] if platform.machine() == "arm64" else []), None
    found, problem = _nvidia()
    if not found and Path("/dev/kfd").exists():
        found.append(Card("AMD GPU", None, None, "cuda"))
    return found, problem


@functools.cache
def known() -> tuple[Card, ...]:
    """The cards as they were found when first asked for: asking a driver may take a second."""
    return tuple(look()[0])


def report() -> dict[str, Any]:
    """{"cards": list of what a :class:`Card` says, "problem": sentence or None}."""
    found, problem = look()
    return {"cards": [asdict(card) for card in found], "problem": problem}


def _nvidia() -> tuple[list[Card], str | None]:
    program = _program()
    if program is None:
        return [], None
    words = [program, f"--query-gpu={QUESTION}", "--format=csv,noheader,nounits"]
    hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False, **hidden
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [], f"NVIDIA's driver does not answer ({error}); restart the computer, or install the driver again."
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())[:200] or f"nvidia-smi ended with code {done.returncode}"
        return [], f"NVIDIA's driver does not work ({said.rstrip('.')}); install the driver of the card again."
    return [card for line in done.stdout.splitlines() if (card := _card(line)) is not None], None


def _card(line: str) -> Card | None:
    """A card from a line such as "NVIDIA RTX A2000, 6138, 550.54.14"; what is not known reads "[N/A]"."""
    name, *rest = (part.strip() for part in line.split(","))
    if not name or len(rest) < 2:
        return None
    memory, driver = rest[-2:]
    return Card(name, driver if driver[:1].isdigit() else None, int(memory) * MIB if memory.isdigit() else None, "cuda")


def _program() -> str | None:
    """NVIDIA's own program, which comes with the driver."""
    windows = Path(os.environ.get("SYSTEMROOT", "C:/Windows"), "System32", "nvidia-smi.exe")
    # Under Windows' Linux it lies where no search path leads.
    usual = windows if os.name == "nt" else Path("/usr/lib/wsl/lib/nvidia-smi")
    return shutil.which("nvidia-smi") or (str(usual) if usual.exists() else None)
