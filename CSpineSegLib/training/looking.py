"""What a model makes of one kept exam, in every view, against the truth: a sample to calibrate on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import model, volume
from ..model import devices, networks, preprocess, quality, running
from . import exams, fitting, spoiling

# Voxels of an exam that speak for its probabilities, from around the spine, where there is something to decide.
_VOXELS = 4000
_AROUND = 12.0


@dataclass(frozen=True, eq=False)
class Sample:
    """One exam through the eyes of a model.

    Parameters
    ----------
    name : of the exam, with what was done to it. person : its seed. generator : hash of what drew it.
    features : see :func:`quality.measure`.
    dice : {"bodies", "discs"} of the mask, None where neither mask nor truth holds any; truly : voxels of the truth.
    by_view : Dice of the masks of "plain", each further view and the mean of "all".
    seconds : of each further view.
    plain, averaged : (3, N) float16 probabilities of the plain view and of the mean over all, at some voxels.
    labels : (N,) uint8, the truth at these.
    """

    name: str
    person: int
    generator: str
    features: dict[str, float]
    dice: dict[str, float | None]
    truly: dict[str, int]
    by_view: dict[str, dict[str, float | None]]
    seconds: dict[str, float]
    plain: np.ndarray
    averaged: np.ndarray
    labels: np.ndarray


def sample(bundle: str, path: str, variant: int, views: tuple[str, ...]) -> Sample:
    """Look at one variant of a kept exam; see :func:`calibrate.calibrate`."""
    exam = exams.load(Path(path))
    person = int(exam.about["seed"])
    if variant:
        exam = spoiling.spoil(exam, person * 16 + variant)
    return look(model.load(bundle), exam, views, variant)


def look(bundle: model.Bundle, exam: exams.Exam, views: tuple[str, ...], variant: int = 0) -> Sample:
    """Segment an exam in the plain view and the further ones, and compare each with the truth."""
    slices, way = preprocess.to_network(exam.image, bundle.spacing)
    forward = forward_of(bundle, way.across)
    plain = preprocess.from_network(forward(slices), way)
    truth, spared = (volume.reorient(part, preprocess.ORIENTATION).array for part in (exam.mask, exam.spared))
    counted = spared == 0
    labels = plain.argmax(axis=0).astype(np.uint8)
    seen, seconds, by_view = quality.Views(plain), {}, {"plain": fitting.dice(truth, labels, counted)}
    began = time.perf_counter()
    for name, maps in quality.look_again(views, slices, way, forward):
        seen.add(name, maps)
        by_view[name] = fitting.dice(truth, maps.argmax(axis=0), counted)
        seconds[name] = time.perf_counter() - began
        began = time.perf_counter()
    by_view["all"] = fitting.dice(truth, seen.mean.argmax(axis=0), counted)
    features = quality.measure(seen, labels, 1.0, float(np.prod(way.spacing)))[0]
    rng = np.random.default_rng([int(exam.about["seed"]), 23, variant])
    chosen = around(truth, counted, (way.across, *way.spacing), rng)
    return Sample(
        name=f"{exam.name} #{variant}",
        person=int(exam.about["seed"]),
        generator=str(exam.about["generator"]),
        features=features,
        dice=fitting.dice(truth, labels, counted),
        truly={key: int(np.count_nonzero(truth == value)) for value, key in enumerate(("bodies", "discs"), 1)},
        by_view=by_view,
        seconds=seconds,
        plain=_at(plain, chosen),
        averaged=_at(seen.mean, chosen),
        labels=truth.reshape(-1)[chosen],
    )


def _at(maps: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return maps.reshape(3, -1)[:, chosen].astype(np.float16)


def around(truth: np.ndarray, counted: np.ndarray, spacing: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Flat indices of some voxels that count, in the box around the truth and 12 mm more; `spacing` is in mm."""
    inside = np.zeros(truth.shape, bool)
    found = np.nonzero(truth)
    if len(found[0]):
        margin = [int(_AROUND / mm) for mm in spacing]
        ends = [(int(i.min()) - m, int(i.max()) + m + 1) for i, m in zip(found, margin, strict=True)]
        inside[tuple(slice(max(0, low), high) for low, high in ends)] = True
    places = np.flatnonzero(inside & counted)
    return places if len(places) <= _VOXELS else rng.choice(places, _VOXELS, replace=False)


def forward_of(bundle: model.Bundle, across: float) -> quality.Forward:
    """The network of a bundle on the CPU, as the quality score uses it; `across`: mm from slice to slice."""
    engine = running.open_engine(bundle, devices.choose("cpu", converted=bundle.is_converted))
    step = networks.stride(bundle.definition)
    away = preprocess.neighbour(across, bundle.distance) if bundle.slices > 1 else 0
    return lambda slices: running.forward(engine, slices, step, away)
