"""Fits what a trained model needs to know about itself, on phantoms that it never saw.

    python -m CSpineSegLib.training.calibrate build/training/cspine-phantom --exams-folder build/exams --jobs 2

Temperatures of its probabilities, the lines that predict Dice, and what tells a cervical spine from other images are
written to the bundle's `configs/calibration.json`, and its SHA256SUMS is renewed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from .. import model
from ..errors import InputError
from ..model import calibration, quality
from ..model.calibration import STRUCTURES, Calibration
from . import counterexamples, exams, fitting, looking
from .ending import exit_code
from .spread import spread

VIEWS = ("mirror", "coarse")
# The same persons in T2 and in another weighting.
KINDS = ("calibration", "calibration_other")
_OWN = ("expected", "sure")


def names_of(structure: str, views: Sequence[str]) -> list[str]:
    """Features that the line of "bodies" or "discs" looks at."""
    return [f"{structure}_{name}" for name in (*_OWN, *views)]


def calibrate(
    bundle: model.Bundle, paths: Sequence[Path], *, variants: int = 2, views: Sequence[str] = VIEWS, jobs: int = 1
) -> tuple[Calibration, list[looking.Sample]]:
    """What fits a model, and the samples that it was fitted to.

    Parameters
    ----------
    paths : kept exams, see :mod:`exams`.
    variants : of each exam; the first is the exam as it is, the others are spoilt, see :mod:`spoiling`.
    views : further views for the quality score, of :data:`quality.VIEWS`.

    Raises
    ------
    InputError : fewer than 10 exams.
    """
    items = [(str(bundle.folder), str(path), variant, tuple(views)) for path in paths for variant in range(variants)]
    if len(items) < 10:
        raise InputError(f"{len(items)} exams are too few to calibrate a model on; draw at least 10.")
    samples = sorted(spread(looking.sample, items, jobs), key=lambda sample: sample.name)
    truth = np.concatenate([sample.labels for sample in samples])
    told: dict[str, Any] = {
        "exams": len(samples),
        "persons": len({sample.person for sample in samples}),
        "generators": sorted({sample.generator for sample in samples}),
    }
    temperatures = {}
    for key in ("plain", "averaged"):
        maps = np.concatenate([getattr(sample, key) for sample in samples], axis=1).astype(np.float32)
        temperatures[key] = round(fitting.fit_temperature(maps, truth), 4)
        before = fitting.reliability(maps, truth)
        after = fitting.reliability(quality.tempered(maps, temperatures[key]), truth)
        told[f"{key} probabilities"] = {
            "calibration_error_before": round(fitting.calibration_error(before), 4),
            "calibration_error_after": round(fitting.calibration_error(after), 4),
            "confidence: share right (voxels)": fitting.rows(after),
        }
    lines = {}
    for key in STRUCTURES:
        used = scored(samples, key)
        lines[key] = fitting.fit_line([s.features for s in used], [s.dice[key] for s in used], names_of(key, views))
    told["score"] = agreement(samples, views)
    return Calibration(**temperatures, views=tuple(views), lines=lines, fitted=told), samples


def scored(samples: Sequence[looking.Sample], key: str) -> list[looking.Sample]:
    """The samples from which Dice of "bodies" or "discs" can be learnt: both the truth and the mask hold some."""
    return [s for s in samples if s.dice[key] is not None and s.features[f"{key}_voxels"] and s.truly[key]]


def agreement(samples: Sequence[looking.Sample], views: Sequence[str]) -> dict[str, float | None]:
    """How well Dice is predicted with some views, by lines fitted without the person in question."""
    told: dict[str, float | None] = {}
    for key in STRUCTURES:
        used = scored(samples, key)
        true = [s.dice[key] for s in used]
        found = fitting.left_out([s.features for s in used], true, names_of(key, views), [s.person for s in used])
        rank = fitting.rank_correlation(found, true)
        told[f"{key}_rank_correlation"] = None if rank is None else round(rank, 4)
        told[f"{key}_mean_absolute_error"] = round(float(np.abs(found - true).mean()), 4)
    return told


def compare(samples: Sequence[looking.Sample], views: Sequence[str]) -> list[str]:
    """A table of what each set of views costs and is worth, as lines of text."""
    lines = ["views | seconds | rank correlation, error: bodies | discs"]
    for count in range(len(views) + 1):
        for some in combinations(views, count):
            told = agreement(samples, some)
            seconds = sum(np.mean([s.seconds[name] for s in samples]) for name in some)
            parts = [f"{told[f'{k}_rank_correlation']}, {told[f'{k}_mean_absolute_error']}" for k in STRUCTURES]
            lines.append(f"{' '.join(some) or 'none'} | {seconds:.2f} | {' | '.join(parts)}")
    for name in ("plain", *views, "all"):
        means = [np.mean([s.by_view[name][k] for s in samples if s.by_view[name][k] is not None]) for k in STRUCTURES]
        lines.append(f"Dice of the mask from {name}: bodies {means[0]:.4f}, discs {means[1]:.4f}")
    return lines


def write(bundle: model.Bundle, fitted: Calibration) -> Path:
    """Put a calibration into a bundle, whose card and checksums are renewed; returns the file."""
    return model.amend(bundle.folder, calibration=calibration.compose(fitted)) / calibration.CALIBRATION


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m CSpineSegLib.training.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bundle", help="name or folder of the model")
    add("--exams-folder", type=Path, default=Path("build/exams"), help="kept exams (default: %(default)s)")
    add("--exams", type=int, default=24, help="persons, drawn if they are not kept (default: %(default)s)")
    add("--variants", type=int, default=2, help="of each, all but one spoilt (default: %(default)s)")
    add("--views", nargs="*", default=list(VIEWS), choices=sorted(quality.VIEWS))
    add("--compare", action="store_true", help="tell what each set of these views is worth")
    add("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    arguments = parser.parse_args(argv)

    def work() -> None:
        bundle = model.load(arguments.bundle)
        exams.build(arguments.exams_folder, dict.fromkeys(KINDS, arguments.exams), arguments.jobs)
        paths = [path for kind in KINDS for path in exams.kept(arguments.exams_folder, kind, arguments.exams)]
        fitted, samples = calibrate(
            bundle, paths, variants=arguments.variants, views=arguments.views, jobs=arguments.jobs
        )
        necks = exams.kept(arguments.exams_folder, KINDS[0], arguments.exams)
        plausibility, told = counterexamples.fit(bundle, necks, arguments.jobs)
        fitted = replace(fitted, plausibility=plausibility, fitted={**fitted.fitted, "plausibility": told})
        print(f"{write(bundle, fitted)} was written.")
        for line in compare(samples, arguments.views) if arguments.compare else ():
            print(line)
        _tell(fitted)

    return exit_code(work, "Stopped; nothing was written.")


def _tell(fitted: Calibration) -> None:
    for key in ("plain", "averaged"):
        told = fitted.fitted[f"{key} probabilities"]
        print(
            f"{key}: temperature {getattr(fitted, key):.3f}, calibration error "
            f"{told['calibration_error_before']:.4f} before, {told['calibration_error_after']:.4f} after"
        )
    for name, value in {**fitted.fitted["score"], **fitted.fitted["plausibility"]}.items():
        print(f"{name.replace('_', ' ')}: {value}")


if __name__ == "__main__":
    sys.exit(main())
