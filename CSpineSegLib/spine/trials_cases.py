"""Masks with known levels, to try labelling on: phantoms whole, fused, cut and spoiled. All lengths in mm.

A trial is drawn from its kind and number alone, the same each time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from .. import volume
from ..anatomy import level_value
from ..errors import InputError
from ..phantom.grids import axes_of
from ..phantom.shape import VERTEBRAE
from ..volume import Grid, Volume
from . import trials_people as people
from . import trials_spoiled


@dataclass(frozen=True, eq=False)
class Trial:
    """A mask and what is true of it.

    Parameters
    ----------
    kind, number : which trial it is; `make` draws it again.
    mask : the mask that a method gets.
    levels : (I, J, K) uint8, the true level of each of its voxels in TotalSpineSeg values; 0 outside and in specks.
    blocks : runs of vertebrae that are grown together in this person, in sight or not.
    note : what was done to it.
    """

    kind: str
    number: int
    mask: Volume
    levels: np.ndarray
    blocks: tuple[tuple[str, ...], ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.number}"


def make(kind: str, number: int) -> Trial:
    """The trial of a kind (see :data:`KINDS`) and a number from 0; InputError for another kind."""
    if kind not in KINDS:
        raise InputError(f"{kind!r} is not a kind of trial; {', '.join(KINDS)} are.")
    return KINDS[kind][1](kind, number)


def _random(seed: int, *salt: int) -> np.random.Generator:
    return np.random.default_rng([seed, 61, *salt])


# Whole and fused spines.


def _traced(kind: str, number: int, seed: int, grid: Grid, **more: Any) -> Trial:
    drawn = people.drawn(seed, grid, **more)
    return Trial(kind, number, drawn.mask, drawn.levels, drawn.blocks, drawn.note)


def _whole(grid_of: Callable, fits: Callable = people.unfused, start: int = 100_000):
    def made(kind: str, number: int) -> Trial:
        return _kept(kind, number, grid_of, fits, start)

    return made


@lru_cache(maxsize=2)
def _kept(kind: str, number: int, grid_of: Callable, fits: Callable, start: int) -> Trial:
    seed = people.seed_of(fits, start, number)
    return _traced(kind, number, seed, grid_of(_random(seed)))


# Where congenital blocks sit, by how often they do: Klippel and Feil's are C2-C3 first, then C5 to C7.
_STARTS, _SHARES = np.arange(7), (0.32, 0.14, 0.1, 0.16, 0.16, 0.07, 0.05)


def _congenital(kind: str, number: int) -> Trial:
    """One block of two vertebrae, in one of four of three."""
    seed = people.seed_of(people.unfused, 200_000, number)
    rng = _random(seed, 2)
    start, count = int(rng.choice(_STARTS, p=_SHARES)), 1 + (rng.random() < 0.25)
    pairs = tuple(pairwise(VERTEBRAE[start : start + count + 1]))
    return _traced(kind, number, seed, people.ordinary(_random(seed)), fused=pairs)


def _two_blocks(kind: str, number: int) -> Trial:
    """Two congenital blocks with a disc between them at the least."""
    seed = people.seed_of(people.unfused, 300_000, number)
    rng = _random(seed, 3)
    first = int(rng.integers(0, 4))
    second = int(rng.integers(first + 2, 7))
    pairs = tuple((VERTEBRAE[at], VERTEBRAE[at + 1]) for at in (first, second))
    return _traced(kind, number, seed, people.ordinary(_random(seed)), fused=pairs)


def _stranger(kind: str, number: int) -> Trial:
    """Somebody who is larger, smaller, more bent or of other proportions than those whose sizes are known."""
    seed = people.seed_of(people.stranger, 250_000, number)
    return _traced(kind, number, seed, people.ordinary(_random(seed)), beyond=True)


def _fused_and_spoiled(kind: str, number: int) -> Trial:
    """A congenital block or two in a mask with one of the faults."""
    trial = _two_blocks(kind, number) if number % 3 == 0 else _congenital(kind, number)
    rng = _random(number, 8)
    return _with_fault(trial, kind, trials_spoiled.FAULTS[str(rng.choice(list(trials_spoiled.FAULTS)))], rng)


# Fields of view.


def _no_dens(kind: str, number: int) -> Trial:
    """Of C2 only the body, cut off at the foot of the dens or a little beside it."""
    seed = people.seed_of(people.unfused, 900_000, number)
    return _traced(kind, number, seed, people.ordinary(_random(seed)), dens=(-0.1, 0.15))


def _person(number: int) -> Trial:
    """A whole spine that the other kinds are made of."""
    return _kept("person", number, people.ordinary, people.unfused, 400_000)


def heights(trial: Trial) -> tuple[np.ndarray, int]:
    """Index (I or J or K,) along the axis of height counted towards the head, and that axis."""
    axes = axes_of(trial.mask.grid)
    count = trial.mask.shape[axes.height]
    return np.arange(count) * axes.signs[axes.height], axes.height


def _rows(trial: Trial, name: str) -> tuple[int, int]:
    """Lowest and highest row of a level, towards the head."""
    rows, axis = heights(trial)
    seen = (trial.levels == level_value(name)).any(axis=tuple({0, 1, 2} - {axis}))
    return int(rows[seen].min()), int(rows[seen].max())


def _vertebrae(trial: Trial) -> list[str]:
    return [name for name in VERTEBRAE if (trial.levels == level_value(name)).any()]


def crop(trial: Trial, low: float, high: float) -> Trial:
    """The rows from `low` to `high` of a trial, counted towards the head as in :func:`heights`."""
    rows, axis = heights(trial)
    kept = np.flatnonzero((rows >= low) & (rows <= high))
    part = [slice(None)] * 3
    part[axis] = slice(int(kept[0]), int(kept[-1]) + 1)
    affine = trial.mask.affine.copy()
    affine[:3, 3] += affine[:3, axis] * kept[0]
    inside = tuple(part)
    mask = volume.from_array(np.ascontiguousarray(trial.mask.array[inside]), affine)
    return replace(trial, mask=mask, levels=np.ascontiguousarray(trial.levels[inside]))


def _cut_off(kind: str, number: int) -> Trial:
    """The upper edge of the image lies anywhere from the middle of C2's body to the lower end of C4."""
    trial = _person(number)
    rng = _random(number, 4)
    _, axis = heights(trial)
    size = trial.mask.spacing[axis]
    top = rng.uniform(_rows(trial, "C4")[0], _rows(trial, "C2")[0] + 8 / size)
    at = next(name for name in VERTEBRAE if _rows(trial, name)[0] <= top)
    return replace(crop(trial, -np.inf, top), kind=kind, note=f"{trial.note}, cut at {at}")


def _unlabelled(kind: str, number: int) -> Trial:
    """The mask begins below C2, though the image does not."""
    trial = _person(number)
    rng = _random(number, 5)
    names = ["C2", "C2-C3", "C3", "C3-C4"][: int(rng.integers(1, 5))]
    gone = np.isin(trial.levels, [level_value(name) for name in names])
    mask = np.where(gone, 0, trial.mask.array).astype(np.uint8)
    levels = np.where(gone, 0, trial.levels).astype(np.uint8)
    note = f"{trial.note}, without {', '.join(names)}"
    return replace(trial, kind=kind, mask=volume.from_array(mask, trial.mask.affine), levels=levels, note=note)


def _four(kind: str, number: int) -> Trial:
    """A field of view of four vertebrae from any on, cut through their neighbours."""
    trial = _person(number)
    seen = _vertebrae(trial)[:-1]
    start = int(_random(number, 6).integers(0, len(seen) - 3))
    _, axis = heights(trial)
    margin = 2 / trial.mask.spacing[axis]
    top = _rows(trial, seen[start])[1] + margin
    found = crop(trial, _rows(trial, seen[start + 3])[0] - margin, top)
    return replace(found, kind=kind, note=f"{trial.note}, {seen[start]} to {seen[start + 3]}")


# Faults of masks.


def _with_fault(trial: Trial, kind: str, fault: trials_spoiled.Fault, rng: np.random.Generator) -> Trial:
    mask, levels = trial.mask.array.copy(), trial.levels.copy()
    note = f"{trial.note}, {fault(mask, levels, trial.mask.grid, rng)}"
    return replace(trial, kind=kind, mask=volume.from_array(mask, trial.mask.affine), levels=levels, note=note)


def _spoiled(fault: trials_spoiled.Fault, salt: int):
    def made(kind: str, number: int) -> Trial:
        return _with_fault(_person(number), kind, fault, _random(number, 7, salt))

    return made


# Kind -> (group, maker).
KINDS: dict[str, tuple[str, Callable[[str, int], Trial]]] = {
    "whole": ("whole", _whole(people.ordinary)),
    "wide": ("whole", _whole(people.wide, start=500_000)),
    "oblique": ("whole", _whole(people.oblique, start=600_000)),
    "scoliosis": ("whole", _whole(people.ordinary, people.bent, 700_000)),
    "congenital": ("fused", _congenital),
    "two blocks": ("fused", _two_blocks),
    "surgical": ("fused", _whole(people.ordinary, people.operated, 800_000)),
    "fused and spoiled": ("fused", _fused_and_spoiled),
    "beyond": ("beyond", _stranger),
    "C2 cut off": ("cut", _cut_off),
    "C2 not in the mask": ("cut", _unlabelled),
    "C2 without dens": ("cut", _no_dens),
    "four vertebrae": ("cut", _four),
    **{name: ("spoiled", _spoiled(fault, salt)) for salt, (name, fault) in enumerate(trials_spoiled.FAULTS.items())},
}
GROUPS = tuple(dict.fromkeys(group for group, _ in KINDS.values()))
