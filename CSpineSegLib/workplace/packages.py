"""The two sizes of installation: which packages each brings to Slicer, how large they are, and wheels in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

READING, PROCESSOR, GRAPHICS = "reading", "processor", "graphics"
# What each needs. torch alone is not in Resources/requirements.txt: the PyTorch extension chooses its build.
SIZES = {
    READING: ("nibabel", "pandas"),
    PROCESSOR: ("nibabel", "pandas", "openvino"),
    GRAPHICS: ("nibabel", "pandas", "openvino", "torch", "monai"),
}
# The command line alone needs these.
COMMANDS = ("typer", "rich")
# The oldest torch that the library is tested with.
TORCH = "2.6"


@dataclass(frozen=True)
class Package:
    """A package with what it brings along and Slicer lacks, as measured once.

    Parameters
    ----------
    version : that was measured. download, disk : bytes of its wheels, and of what they unpack to.
    """

    version: str
    download: int
    disk: int


# Wheels for CPython 3.11 on Linux, x86-64, the largest of all systems. torch is its build for NVIDIA's cards (CUDA 13),
# with NVIDIA's libraries, Triton and the torchvision that the PyTorch extension adds.
MEASURED = {
    "nibabel": Package("5.4.2", 3_346_556, 8_810_819),
    "pandas": Package("2.3.3", 13_884_464, 45_681_091),
    "openvino": Package("2026.4.1", 59_155_983, 183_840_833),
    "typer": Package("0.29.2", 2_937_331, 8_324_036),
    "rich": Package("15.0.0", 1_662_467, 6_134_974),
    "torch": Package("2.14.1", 3_022_787_816, 5_603_679_329),
    "monai": Package("1.6.1", 1_677_458, 6_506_634),
}


def cost(names: Iterable[str]) -> tuple[int, int]:
    """(download, disk) in bytes of these packages, as far as they were measured."""
    found = [MEASURED[name] for name in names if name in MEASURED]
    return sum(package.download for package in found), sum(package.disk for package in found)


def size_text(count: int) -> str:
    """Bytes in words, rounded up to two figures: nobody's download is larger than it was said to be.

    >>> size_text(61_234_567), size_text(2_912_345_678)
    ('62 MB', '3.0 GB')
    """
    megabytes = -(-count // 10**6)
    if megabytes < 1000:
        step = 10 if megabytes > 100 else 1
        return f"{-(-megabytes // step) * step} MB"
    return f"{-(-megabytes // 100) / 10:.1f} GB"


def cost_text(names: Iterable[str]) -> str:
    """How much these packages are: "about 78 MB to download, 240 MB on the disk"."""
    download, disk = cost(names)
    return f"about {size_text(download)} to download, {size_text(disk)} on the disk"


def choices() -> tuple[str, str]:
    """A sentence on each size: for the processor, and for a graphics card besides."""
    besides = [name for name in SIZES[GRAPHICS] if name not in SIZES[PROCESSOR]]
    small = SIZES[PROCESSOR]
    return (
        f"For the processor: {listed(small)}, {cost_text(small)}; the packaged model needs no more.",
        f"For a graphics card: {listed(besides)} besides, {cost_text(besides)}; faster on such a card, and needed to "
        "import models of nnU-Net.",
    )


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["nibabel", "pandas", "openvino"])
    'nibabel, pandas and openvino'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def wheels(folder: Path | str) -> set[str]:
    """Names of the packages that a folder holds wheels of; InputError if there are none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; choose the folder that the wheels (*.whl) are in.")
    found = {canonical(path.name.split("-")[0]) for path in folder.glob("*.whl")}
    if not found:
        raise InputError(f"{folder} holds no wheels (*.whl); choose the folder that they are in.")
    return found


def check_wheels(folder: Path | str, names: Sequence[str], python: str) -> None:
    """InputError unless a folder holds a wheel of each of these packages; it says how to fetch them.

    Parameters
    ----------
    python : version of the interpreter that is to use them, for instance "3.12".
    """
    found = wheels(folder)
    lacking = [name for name in names if canonical(name) not in found]
    if lacking:
        raise InputError(
            f"{folder} lacks wheels of {listed(lacking)}; fetch them with what they need on a computer with network, "
            f"into that folder: {fetching(lacking, python)}"
        )


def fetching(names: Iterable[str], python: str) -> str:
    """The command that fetches packages, with what they need, for a computer without network."""
    return f"pip download --only-binary :all: --python-version {python} {' '.join(names)}"


def canonical(name: str) -> str:
    """A package's name as it is compared: "Slicer_Core" and "slicer-core" are one."""
    return re.sub(r"[-_.]+", "-", name).lower()


def numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version.

    >>> numbers("2.13.0+cu126")
    (2, 13)
    """
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:2])
