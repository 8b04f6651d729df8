"""Segment one exam and write the mask with its provenance; skip what is already done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import files, volume
from ..dataset import Exam
from ..errors import InputError, ModelError
from ..evaluation import measure
from ..model import Bundle, Prediction, predict
from ..model.checksums import SUMS
from ..progress import Progress, ensure
from ..review import places, records
from ..review.provenance import now, software
from . import images, results
from .images import Image
from .options import Options
from .results import Paths

DEFAULT_MODEL = "cspine-phantom"


@dataclass(frozen=True)
class SegmentResult:
    """What segmenting one exam gave.

    `skipped` is True where an earlier result of the same image, model and settings was found unchanged. `quality` is
    the file with predicted Dice and doubt, and `score` the predicted Dice, both None for a model without.
    """

    stem: str
    mask: Path
    provenance: Path | None
    skipped: bool
    seconds: float
    device: str
    notes: list[str] = field(default_factory=list)
    quality: Path | None = None
    score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        plain = asdict(self)
        plain["mask"] = str(self.mask)
        for name in ("provenance", "quality"):
            plain[name] = str(plain[name]) if plain[name] else None
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> SegmentResult:
        """The reverse of :meth:`to_json`."""
        paths = {name: plain[name] and Path(plain[name]) for name in ("mask", "provenance", "quality")}
        return cls(**{**plain, **paths})


def segment(
    exam: Exam,
    bundle: Bundle,
    *,
    progress: Progress | None = None,
    read: Callable[[Path], Image] = images.read,
    **options: Any,
) -> SegmentResult:
    """Predict the mask of an exam and write it, with its JSON, quality and doubt, under `processed/predicted/<model>/`.

    An existing result is kept, and the work skipped, if image, model and mask have the SHA-256 that it says, and it
    was made with the same settings, see :meth:`Options.settings`.

    Parameters
    ----------
    read : gives the image of a path, for instance one that was read before.
    options : the fields of :class:`Options`.

    Raises
    ------
    InputError : the exam has no image, or it cannot be used. NotCervicalError : it does not look like a neck.
    ModelError : device missing or out of memory.
    """
    how, progress = Options(**options), ensure(progress)
    predicting, settings = how.predicting(bundle), how.settings(bundle)
    if exam.image is None:
        raise InputError(f"Exam {exam.stem} has no image in the dataset folder; add the file or choose another exam.")
    paths = results.of_exam(exam, bundle.name)
    places.check_targets(paths.every, [exam.image, exam.mask])
    progress.update("Reading", 0.0)
    image = read(exam.image)
    found = files.sha256(paths.mask) if paths.mask.is_file() else None
    state = state_of(paths, image.sha256, bundle, settings)
    if state == "current" and not how.force:
        known = files.read_json(paths.record)
        progress.update("Up to date", 1.0)
        return SegmentResult(exam.stem, paths.mask, paths.record, True, 0.0, **_known(paths, known))
    if state == "edited" and not how.force and not _is_kept(exam, found):
        raise InputError(
            f"{paths.mask} was changed after the model wrote it, or was not written by it; "
            "keep that work with 'cspineseg correct', or use --force to replace it."
        )
    prediction = _predict(image, bundle, progress, **predicting)
    progress.update("Writing", 0.95)
    if found != (files.sha256(paths.mask) if paths.mask.is_file() else None):
        raise InputError(f"{paths.mask} was changed by somebody else during the segmentation; it was left as it is.")
    content = {
        "exam": exam.stem,
        "image": {"file": exam.image.name, "sha256": image.sha256},
        "mask": {"file": paths.mask.name, "sha256": "", "replaces": found},
        "measurements": measure(prediction.mask),
        "model": _identity(bundle),
        "settings": settings,
        **results.told(prediction),
        "device": prediction.device,
        "engine": prediction.engine,
        "seconds": round(prediction.seconds, 2),
        "notes": list(prediction.notes),
        "created": now(),
        "software": software(),
    }
    results.write(paths, prediction, content, results.quality_of(prediction, content["model"]))
    progress.update("Done", 1.0)
    return SegmentResult(exam.stem, paths.mask, paths.record, False, prediction.seconds, **_known(paths, content))


def segment_file(
    image: Path,
    output: Path,
    bundle: Bundle,
    *,
    quality: bool = False,
    progress: Progress | None = None,
    read: Callable[[Path], Image] = images.read,
    **options: Any,
) -> SegmentResult:
    """Predict the mask of one NIfTI file outside any dataset and write it to `output`.

    Parameters
    ----------
    quality : also write `<output>_quality.json` and `<output>_doubt.nii.gz` beside it, see :func:`results.of_file`.
        Without, only the mask is written, and what lies there of a mask that is replaced is removed.
    read, options : as for :func:`segment`.

    Raises
    ------
    InputError : `output` exists and `force` is not given, is the image itself, or has no NIfTI name.
    NotCervicalError : the image does not look like a neck. ModelError : quality is asked of a model without.
    """
    how, progress = Options(**options), ensure(progress)
    predicting = {**how.predicting(bundle), "quality": quality}
    volume.check_writable_name(output)
    paths = results.of_file(output)
    targets = paths.every if quality else [output]
    places.check_targets(targets)
    if output.exists() and output.resolve() == image.resolve():
        raise InputError(f"{output} is the image itself; choose another file for the mask.")
    for target in targets:
        if target.exists() and not how.force:
            raise InputError(f"{target} exists already; choose another name, or --force to replace it.")
    if quality and bundle.calibration is None:
        raise ModelError(f"The model {bundle.name} was not calibrated and has no quality score; leave out --quality.")
    progress.update("Reading", 0.0)
    prediction = _predict(read(image), bundle, progress, **predicting)
    results.write(paths, prediction, {}, results.quality_of(prediction, _identity(bundle)))
    progress.update("Done", 1.0)
    known = {**results.told(prediction), "device": prediction.device, "notes": list(prediction.notes)}
    return SegmentResult(image.name, output, None, False, prediction.seconds, **_known(paths, known))


def state_of(paths: Paths, image_hash: str, bundle: Bundle, settings: dict[str, Any]) -> str:
    """What an earlier result is worth.

    Returns "current" (whole, from this image by this model with these settings), "outdated" (whole, but from another
    image or model, or with others), "unfinished" (missing, or the writing was interrupted) or "edited": a person
    changed the mask since, or nobody knows where it came from. The record is written before the mask, so a mask
    without one is never our own.
    """
    if not paths.mask.is_file():
        return "unfinished"
    try:
        known = files.read_json(paths.record)
        mask, made_from = known["mask"], (known["image"]["sha256"], known["model"], known.get("settings"))
        found = files.sha256(paths.mask)
        if found == mask["sha256"]:
            if not results.is_whole(paths, known):
                return "unfinished"
            return "current" if made_from == (image_hash, _identity(bundle), settings) else "outdated"
        return "unfinished" if found == mask["replaces"] else "edited"
    except (InputError, KeyError, TypeError):
        return "edited"


def _known(paths: Paths, record: dict[str, Any]) -> dict[str, Any]:
    """The part of a result that its record tells."""
    quality = record["quality"]
    return {
        "device": record["device"],
        "notes": record["notes"],
        "quality": paths.quality if quality else None,
        "score": quality["score"] if quality else None,
    }


def _is_kept(exam: Exam, digest: str | None) -> bool:
    """True if an edited prediction was taken over as a revision that is whole: then it may be renewed."""
    return any(digest in (known.sha256, known.content.get("taken_from_sha256")) for known in records.history(exam))


def _identity(bundle: Bundle) -> dict[str, str]:
    """What tells this model from any other: its weights, and all its files together (preprocessing, network)."""
    return {
        "name": bundle.name,
        "version": bundle.version,
        "sha256": bundle.sha256,
        "bundle_sha256": files.sha256(bundle.folder / SUMS),
    }


def _predict(image: Image, bundle: Bundle, progress: Progress, **how: Any) -> Prediction:
    vol = image.volume()
    prediction = predict(bundle, vol, progress=progress.part(0.05, 0.95), **how)
    # A record may be passed on, and a folder's name can hold a person's.
    prediction.notes.extend(warning.replace(str(image.path), image.path.name) for warning in vol.warnings)
    return prediction
