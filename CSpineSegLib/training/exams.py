"""Held-out phantom exams, drawn once and kept in a folder: what a model is calibrated and judged on, never trained.

    python -m CSpineSegLib.training.exams build/exams calibration=24 t2=20 beyond=12 t1=6

An exam that is already there is left alone, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from .. import files, phantom, volume
from ..errors import InputError
from ..volume import Volume
from .ending import exit_code
from .spread import spread

# A larger matrix takes long to draw and shows the network nothing else, as it sees 0.7 mm pixels.
_LARGEST = 320


@dataclass(frozen=True)
class Kind:
    """Exams of one sort. Kinds with the same first seed show the same persons on the same grids.

    Parameters
    ----------
    first : seed of the first person; training draws its own from 1,000,000 upwards and never comes near these.
    styles : of the images, see :func:`phantom.make`; one is drawn for each exam.
    beyond : the share of persons whose anatomy lies beyond the ranges of training.
    isotropic : 1 mm in all directions instead of sagittal slices.
    """

    first: int
    styles: tuple[str, ...] = ("t2",)
    beyond: float = 0.0
    isotropic: bool = False


KINDS = {
    "calibration": Kind(8_000_000, beyond=1 / 3),
    "calibration_other": Kind(8_000_000, ("stir", "t1", "pd"), beyond=1 / 3),
    "t2": Kind(9_000_000),
    "t1": Kind(9_000_000, ("t1",)),
    "stir": Kind(9_000_000, ("stir",)),
    "pd": Kind(9_000_000, ("pd",)),
    "beyond": Kind(9_100_000, beyond=1.0),
    "isotropic": Kind(9_200_000, ("t2_3d",), isotropic=True),
}


@dataclass(frozen=True, eq=False)
class Exam:
    """A synthetic exam with its truth.

    Parameters
    ----------
    name : kind and number, and what was done to it since.
    image : any orientation.
    mask : uint8 on the image's grid, 0 background, 1 bodies, 2 discs.
    spared : uint8 on the image's grid, 1 where experts differ and nothing is scored.
    about : seed, style, whether from beyond the ranges of training, hash of the generator; plain JSON values.
    """

    name: str
    image: Volume
    mask: Volume
    spared: Volume
    about: dict

    def truth(self) -> tuple[np.ndarray, np.ndarray]:
        """Mask (I, J, K) uint8 and what counts (I, J, K) bool, in the image's axes."""
        return self.mask.array, self.spared.array == 0


@cache
def generator() -> str:
    """First 12 digits of a SHA-256 over the sources of the phantoms: figures hold for one generator."""
    sources = sorted(Path(phantom.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def draw(kind: str, number: int) -> Exam:
    """The exam of a kind and number: always the same person, grid and voxels.

    Raises
    ------
    InputError : a kind that is not one of :data:`KINDS`.
    """
    plan = kind_of(kind)
    seed = plan.first + number
    style = plan.styles[np.random.default_rng([seed, 21]).integers(len(plan.styles))]
    geometry, beyond = _traced(seed, plan.beyond, plan.isotropic)
    made = phantom.render(geometry, seed, style)
    about = {"seed": seed, "style": style, "beyond": beyond, "generator": generator()}
    parts = (made.image, made.mask, made.spared.astype(np.uint8))
    return Exam(f"{kind}-{number:04d}", *(volume.from_array(part, geometry.grid.affine) for part in parts), about)


# Nearly all of the time goes into this, and kinds that share their persons are drawn one after the other.
@lru_cache(maxsize=1)
def _traced(seed: int, beyond: float, isotropic: bool) -> tuple[phantom.Geometry, bool]:
    rng = np.random.default_rng([seed, 22])
    grid = phantom.random_grid(rng, largest=_LARGEST)
    if isotropic:
        grid = phantom.grid_around((48, 160, 216), (1.0, 1.0, 1.0), "RAS")
    outside = bool(rng.random() < beyond)
    return phantom.trace(seed, grid, beyond=outside), outside


def kind_of(name: str) -> Kind:
    """The kind of a name; InputError offers those that are known."""
    if name not in KINDS:
        raise InputError(f"The kind of exam {name!r} is not known; use one of {', '.join(KINDS)}.")
    return KINDS[name]


def save(folder: Path, exam: Exam) -> Path:
    """Write an exam as one compressed file; returns its path."""
    stream = io.BytesIO()
    # Scanners store whole numbers, so nothing is lost; a compressed exam takes about 3 MB.
    np.savez_compressed(
        stream,
        image=np.clip(np.rint(exam.image.array), 0, 65535).astype(np.uint16),
        truth=(exam.mask.array | exam.spared.array << 2).astype(np.uint8),
        affine=exam.image.affine,
        about=json.dumps({"name": exam.name, **exam.about}),
    )
    path = Path(folder) / f"{exam.name}.npz"
    files.write_verified(path, stream.getvalue())
    return path


def load(path: Path) -> Exam:
    """Read what :func:`save` wrote; InputError names a file that is damaged."""
    try:
        with np.load(path) as stored:
            image, truth, affine = stored["image"], stored["truth"], stored["affine"]
            about = json.loads(str(stored["about"]))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a kept exam ({error}); delete it and draw it again.") from None
    parts = image.astype(np.float32), truth & 3, truth >> 2
    return Exam(about.pop("name"), *(volume.from_array(part, affine) for part in parts), about)


def kept(folder: Path, kind: str, count: int | None = None) -> list[Path]:
    """The kept exams of a kind, in order, at most `count`."""
    kind_of(kind)
    return sorted(Path(folder).glob(f"{kind}-[0-9]*.npz"))[:count]


def build(folder: Path, counts: Mapping[str, int], jobs: int = 1) -> int:
    """Draw what is not there yet, all kinds side by side, so that a stopped run has some of each.

    Persons are drawn by `jobs` processes, and counted on the screen. Returns how many exams were drawn.
    """
    persons: dict[int, list[tuple[str, int]]] = {}
    for kind, count in counts.items():
        for number in range(count):
            persons.setdefault(kind_of(kind).first + number, []).append((kind, number))
    # By the share of its kind that is complete with it.
    order = sorted(persons, key=lambda seed: min((number + 1) / counts[kind] for kind, number in persons[seed]))
    missing = (
        tuple(exam for exam in persons[seed] if not (Path(folder) / f"{exam[0]}-{exam[1]:04d}.npz").exists())
        for seed in order
    )
    items = [(str(folder), wanted) for wanted in missing if wanted]
    return sum(spread(_draw_all, items, jobs, "phantoms drawn"))


def _draw_all(folder: str, wanted: Sequence[tuple[str, int]]) -> int:
    for kind, number in wanted:
        save(Path(folder), draw(kind, number))
    return len(wanted)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m CSpineSegLib.training.exams",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where the exams are kept")
    parser.add_argument("counts", nargs="+", metavar="kind=count", help=f"kinds: {', '.join(KINDS)}")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    arguments = parser.parse_args(argv)

    def work() -> None:
        build(arguments.folder, _counts(arguments.counts), arguments.jobs)

    return exit_code(work, "Stopped; the same command goes on.")


def _counts(words: list[str]) -> dict[str, int]:
    counts = {}
    for word in words:
        kind, _, count = word.partition("=")
        if not count.isdigit():
            raise InputError(f"{word!r} is not a kind and a count such as 't2=40'.")
        counts[kind] = int(count)
    return counts


if __name__ == "__main__":
    sys.exit(main())
