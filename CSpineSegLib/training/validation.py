"""Measures a model on phantoms that it never saw, and on what is done to them; see :mod:`trials`.

    python -m CSpineSegLib.training.validation build/training/cspine-phantom --out build/validation.json --jobs 2

Exams are drawn where they are not kept. Results are kept beside the report, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import files, model
from ..errors import InputError
from . import exams, reporting, trials
from .ending import exit_code
from .spread import spread

COUNTS = {"t2": 20, "beyond": 12, "t1": 6, "stir": 6, "pd": 6, "isotropic": 4}
# Exams on which everything else is tried.
_CHANGED, _TURNED, _SPOILT, _THICK = 6, 2, 12, 3
_EVERY = 8


class Trial(NamedTuple):
    """One trial: the group that its figures belong to, and what :func:`trials.run` needs."""

    group: str
    trial: str
    path: str
    option: str

    @property
    def key(self) -> str:
        return " | ".join((self.group, Path(self.path).name, self.option))


GROUPS = ("t2", "beyond", "t1", "stir", "pd", "isotropic", "changed", "turned", "thick", "spoilt", "negatives", "scans")


def plan(
    folder: Path, groups: Sequence[str], share: float = 1.0, negatives: Path | None = None, scans: Sequence[Path] = ()
) -> list[Trial]:
    """All trials of some groups, on the exams that are kept in a folder; `share` of their usual numbers.

    Raises
    ------
    InputError : an unknown group, or a group for which no exam is kept.
    """
    if unknown := sorted(set(groups) - set(GROUPS)):
        raise InputError(f"The group {unknown[0]!r} is not known; use some of {', '.join(GROUPS)}.")
    found: list[Trial] = []
    for group in groups:
        found += _trials(group, Path(folder), share, negatives, scans)
    return found


def needed(groups: Sequence[str], share: float = 1.0) -> dict[str, int]:
    """How many exams of each kind the trials of some groups are made on."""
    on = {"changed": {"t2": _CHANGED}, "turned": {"t2": _TURNED}, "spoilt": {"t2": _SPOILT, "beyond": _SPOILT}}
    on |= {"thick": {"isotropic": _THICK}, "negatives": {}, "scans": {}}
    wanted: dict[str, int] = {}
    for group in groups:
        for kind, count in on.get(group, {group: COUNTS.get(group, 0)}).items():
            wanted[kind] = max(wanted.get(kind, 0), _some(count, share), 0)
    return wanted


def _some(count: int, share: float) -> int:
    return max(1, round(count * share))


def _trials(group: str, folder: Path, share: float, negatives: Path | None, scans: Sequence[Path]) -> Iterator[Trial]:
    if group == "negatives":
        paths = sorted(negatives.glob("*.nii*")) if negatives else []
        yield from (Trial(group, "negative", str(path), "") for path in paths)
        return
    if group == "scans":
        yield from (Trial(group, "scan", str(path), "") for path in scans)
        return
    trial = group if group in ("changed", "turned", "thick", "spoilt") else "plain"
    options = list(trials.CHANGES) if group == "changed" else ["1"] if group == "spoilt" else [""]
    for kind, count in needed([group], share).items():
        paths = exams.kept(folder, kind, count)
        if not paths:
            raise InputError(f"No exam of the kind {kind!r} is kept in {folder}; draw some with training.exams.")
        yield from (Trial(group, trial, str(path), option) for path in paths for option in options)


def measure(bundle: model.Bundle, wanted: Sequence[Trial], kept: Path, jobs: int = 1) -> dict[str, dict[str, Any]]:
    """Results of all trials by their key; those of the same model in the file `kept` are not made again."""
    identity = {"model": bundle.sha256, "calibration": bundle.sums.get("configs/calibration.json")}
    results: dict[str, dict[str, Any]] = {}
    if kept.exists():
        content = files.read_json(kept)
        if isinstance(content, Mapping) and all(content.get(key) == value for key, value in identity.items()):
            results = dict(content["results"])
    open_trials = [trial for trial in wanted if trial.key not in results]
    items = [(str(bundle.folder), trial) for trial in open_trials]
    for number, (key, figures) in enumerate(spread(_one, items, jobs, "trials"), 1):
        results[key] = figures
        if number % _EVERY == 0 or number == len(items):
            files.write_json(kept, {**identity, "results": results})
    return results


def _one(bundle: str, trial: Trial) -> tuple[str, dict[str, Any]]:
    figures = trials.run(bundle, trial.trial, trial.path, trial.option)
    return trial.key, {"group": trial.group, "option": trial.option, "exam": Path(trial.path).name, **figures}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m CSpineSegLib.training.validation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("bundle", help="name or folder of the model")
    add("--out", type=Path, required=True, help="the report, FILE.json; the tables are written beside it as FILE.md")
    add("--exams-folder", type=Path, default=Path("build/exams"), help="kept exams (default: %(default)s)")
    add("--only", nargs="+", choices=GROUPS, metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    add("--share", type=float, default=1.0, help="of the usual number of exams (default: %(default)s)")
    add("--negatives", type=Path, help="folder of NIfTI images that are no cervical spine exams")
    add("--scans", type=Path, nargs="*", default=[], help="real cervical exams, NIfTI, without a truth")
    add("--into-bundle", action="store_true", help="put the figures into the model's metadata and card, too")
    add("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    arguments = parser.parse_args(argv)
    groups = arguments.only or GROUPS

    def work() -> None:
        bundle = model.load(arguments.bundle)
        exams.build(arguments.exams_folder, needed(groups, arguments.share), arguments.jobs)
        wanted = plan(arguments.exams_folder, groups, arguments.share, arguments.negatives, arguments.scans)
        kept = arguments.out.with_suffix(".trials.json")
        results = measure(bundle, wanted, kept, arguments.jobs)
        report = reporting.compose(bundle, [results[trial.key] for trial in wanted])
        files.write_json(arguments.out, report)
        table = reporting.markdown(report)
        files.write_verified(arguments.out.with_suffix(".md"), table.encode("utf-8"))
        if arguments.into_bundle:
            model.amend(bundle.folder, evaluation=report["figures"])
        print(table)

    return exit_code(work, "Stopped; the same command goes on.")


if __name__ == "__main__":
    sys.exit(main())
