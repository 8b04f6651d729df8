"""From the mask that counts to levels and measurements: one function for every front end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__, volume
from ..dataset import Exam
from ..errors import Cancelled, InputError
from ..progress import Progress, ensure
from ..review import masks, places
from ..review.masks import Mask
from ..review.provenance import now, software
from ..spine import Labelling, measuring, outputs
from ..spine import levels as finding
from . import images, level_files
from .batch import sentence
from .level_files import Paths

# In place of an anchor: forget the one that a person gave before.
NO_ANCHOR = "none"
# Measured on phantoms, see Docs/measurements.md.
UNCORRECTED = (
    "A model made this mask and nobody has corrected it: true values lie outside the told limits more often than told, "
    "most of all volumes."
)

Anchor = tuple[str, Sequence[float]]


@dataclass(frozen=True)
class LevelsResult:
    """What finding the levels of one exam gave.

    Parameters
    ----------
    stem : the exam's, or the mask's file name.
    paths : the files. skipped : they were up to date.
    content : of the record, see Docs/batch.md.
    """

    stem: str
    paths: Paths
    skipped: bool
    content: dict[str, Any] = field(repr=False)

    @property
    def absolute(self) -> bool:
        return self.content["absolute"]

    @property
    def reason(self) -> str:
        return self.content["reason"]

    @property
    def blocks(self) -> list[str]:
        """Names of the fused blocks, from head to foot."""
        return [element["name"] for element in self.content["elements"] if element["kind"] == "block"]

    def labelling(self) -> Labelling:
        """The labelling, read from the files; InputError if they were changed meanwhile."""
        numbers = volume.read(self.paths.instances)
        return outputs.from_json(self.content, numbers.array)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        paths = {"levels": self.paths.levels, "instances": self.paths.instances, "record": self.paths.record}
        written = {name: str(path) for name, path in paths.items()}
        return {"stem": self.stem, "skipped": self.skipped, "paths": written, **self.content}


@dataclass
class LevelsBatch:
    """What became of each exam: results in order, and a sentence for each exam that failed."""

    results: list[LevelsResult] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)


def levels(
    exam: Exam,
    *,
    model: str | None = None,
    anchor: Anchor | str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> LevelsResult:
    """Find the levels in an exam's mask, measure them, and write all of it under `processed/levels/`.

    Nothing is done if source mask, anchor and the version of this software are those of the record that is there.

    Parameters
    ----------
    model : take this model's prediction, instead of the mask that counts.
    anchor : a level and a point (3,) RAS mm in it, for instance ("C2", (1.5, 20.0, 43.0)). It is kept in the record
        and used again, also for other masks of the exam, until another is given, or :data:`NO_ANCHOR`.
    force : also if they are up to date, and also over files that were changed since.

    Raises
    ------
    InputError : the exam has no such mask, or it cannot be used; the anchor meets nothing; somebody changed the files.
    WriteError : they cannot be written; everything is as before.
    """
    progress = ensure(progress)
    paths = level_files.of_exam(exam)
    places.check_targets(paths.every, [exam.image, exam.mask])
    chosen = masks.best_mask(exam) if model is None else masks.blind_start(exam, model)
    if chosen is None:
        raise InputError(f"{exam.stem} has no mask yet; segment it first.")
    progress.update("Reading", 0.0, exam.stem)
    source = images.read(chosen.path)
    known = level_files.read(paths, force=force)
    kept = _anchor(anchor, known)
    described = {"file": chosen.path.name, "sha256": source.sha256, **_origin(chosen)}
    asked = {"source": described, "anchor": kept, "cspineseg": __version__}
    if not force and known is not None and level_files.is_current(paths, known, asked):
        progress.update("Up to date", 1.0)
        return LevelsResult(exam.stem, paths, True, known)
    hint = ""
    if kept is not None and anchor is None:
        hint = f" This anchor of {exam.stem} was given before: give another with --anchor, or --anchor {NO_ANCHOR}."
    record = _make(paths, {"exam": exam.stem, **asked}, source, progress, hint)
    return LevelsResult(exam.stem, paths, False, record)


def levels_file(
    mask: Path,
    output: Path,
    *,
    anchor: Anchor | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> LevelsResult:
    """The same for one mask file outside any dataset: labelmap to `output`, record and instances beside it.

    Raises
    ------
    InputError : one of them exists and `force` is not given, or is the mask itself; `output` has no NIfTI name; the
        mask cannot be used; the anchor meets nothing. WriteError : they cannot be written.
    """
    progress = ensure(progress)
    volume.check_writable_name(output)
    paths = level_files.of_file(output)
    places.check_targets(paths.every)
    for target in paths.every:
        if target.exists() and mask.exists() and target.samefile(mask):
            raise InputError(f"{target} is the mask itself; choose another file for the levels.")
        if target.exists() and not force:
            raise InputError(f"{target} exists already; choose another name, or --force to replace it.")
    progress.update("Reading", 0.0, mask.name)
    source = images.read(mask)
    kept = None if anchor is None else _plain_anchor(anchor)
    described = {"file": mask.name, "sha256": source.sha256, "kind": "file"}
    asked = {"source": described, "anchor": kept, "cspineseg": __version__}
    return LevelsResult(mask.name, paths, False, _make(paths, asked, source, progress))


def levels_many(exams: Iterable[Exam], *, progress: Progress | None = None, **options: Any) -> LevelsBatch:
    """The levels of exams one by one; what fails is listed and does not stop the rest.

    options : as for :func:`levels`.
    """
    progress, exams, batch = ensure(progress), list(exams), LevelsBatch()
    for number, exam in enumerate(exams):
        part = progress.part(number / len(exams), (number + 1) / len(exams))
        try:
            batch.results.append(levels(exam, progress=part, **options))
        except Cancelled:
            raise
        except Exception as error:
            batch.failures[exam.stem if exam.stem not in batch.failures else str(exam.image)] = sentence(error)
    return batch


def _make(
    paths: Paths, asked: dict[str, Any], source: images.Image, progress: Progress, hint: str = ""
) -> dict[str, Any]:
    """Find, measure and write; returns the record. `hint` follows what is wrong with an anchor."""
    mask, anchor = volume.as_mask(source.volume()), asked["anchor"]
    progress.update("Finding levels", 0.1)
    try:
        labelling = finding.label(mask, anchor=(anchor["level"], anchor["point_mm"]) if anchor else None)
    except InputError as error:
        raise InputError(f"{error}{hint}") from None
    progress.update("Measuring", 0.6)
    measured = measuring.measure(labelling, mask)
    content = {**asked, "coordinates": "RAS, mm", **outputs.to_json(labelling), **_measured(measured)}
    for name, corners in measured.landmarks.items():
        content["landmarks"][name].update(
            {corner: [round(value, 3) for value in place] for corner, place in corners.items()}
        )
    # A record may be passed on, and a folder's name can hold a person's.
    content["warnings"] = [warning.replace(str(source.path), source.path.name) for warning in mask.warnings]
    if asked["source"]["kind"] == "predicted":
        content["warnings"].append(UNCORRECTED)
    content.update(created=now(), software=software())
    progress.update("Writing", 0.9)
    numbers = volume.like(mask, labelling.instances_volume)
    record = level_files.write(paths, content, numbers, outputs.level_volume(labelling, mask))
    progress.update("Done", 1.0)
    return record


def _measured(measured: measuring.Measurements) -> dict[str, Any]:
    uncertainty = {
        "boundary_mm": round(measured.boundary, 4),
        "pixel_mm": round(measured.pixel, 4),
        "slice_distance_mm": round(measured.step, 4),
    }
    return {"measurements": measured.table(), "uncertainty": uncertainty}


def _anchor(given: Anchor | str | None, known: dict[str, Any] | None) -> dict[str, Any] | None:
    """The anchor to use: what is given, else what was given before."""
    if given == NO_ANCHOR:
        return None
    if given is not None:
        return _plain_anchor(given)
    return known["anchor"] if known else None


def _plain_anchor(anchor: Anchor) -> dict[str, Any]:
    level, point = anchor
    return {"level": str(level), "point_mm": [float(value) for value in point]}


def _origin(chosen: Mask) -> dict[str, Any]:
    """What kind of mask it is, and whose."""
    revision = chosen.revision.number if chosen.revision else None
    return {"kind": chosen.kind, "model": chosen.model, "revision": revision}
