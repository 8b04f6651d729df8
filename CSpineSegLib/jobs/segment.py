"""Segment one exam and write the mask with its provenance; skip what is already done."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import anatomy, files, volume
from ..dataset import Exam
from ..errors import CSpineSegError, InputError
from ..evaluation import measure
from ..model import Bundle, predict
from ..model.checksums import SUMS
from ..progress import Progress, ensure
from ..review import places, records
from ..review.provenance import now, software

DEFAULT_MODEL = "cspine-phantom-2d"


@dataclass(frozen=True)
class SegmentResult:
    """What segmenting one exam gave.

    `skipped` is True where an earlier result of the same image, model and settings was found unchanged.
    """

    stem: str
    mask: Path
    provenance: Path | None
    skipped: bool
    seconds: float
    device: str
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The result as plain values."""
        plain = asdict(self)
        plain["mask"] = str(self.mask)
        plain["provenance"] = str(self.provenance) if self.provenance else None
        return plain


def segment(
    exam: Exam,
    bundle: Bundle,
    *,
    device: str = "auto",
    engine: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> SegmentResult:
    """Predict the mask of an exam and write it, with its JSON, under `processed/predicted/<model>/`.

    An existing result is kept, and the work skipped, if image, model and mask have the SHA-256 that it says.

    Parameters
    ----------
    device, engine : "auto" or a name; see :func:`model.predict`.
    force : predict again even so.

    Raises
    ------
    InputError : the exam has no image, or it cannot be used.
    ModelError : device missing or out of memory.
    """
    progress = ensure(progress)
    if exam.image is None:
        raise InputError(f"Exam {exam.stem} has no image in the dataset folder; add the file or choose another exam.")
    target = exam.predicted(bundle.name)
    record = exam.predicted_record(bundle.name)
    places.check_targets([target, record], [exam.image, exam.mask])
    image_hash = _hash_of_image(exam.image)
    found = files.sha256(target) if target.is_file() else None
    state = state_of(target, record, image_hash, bundle)
    if state == "current" and not force:
        known = files.read_json(record)
        progress.update("Up to date", 1.0)
        return SegmentResult(exam.stem, target, record, True, 0.0, known["device"], known["notes"])
    if state == "edited" and not force and not _is_kept(exam, found):
        raise InputError(
            f"{target} was changed after the model wrote it, or was not written by it; "
            "keep that work with 'cspineseg correct', or use --force to replace it."
        )
    mask, prediction = _predict(exam.image, bundle, device, engine, progress)
    progress.update("Writing", 0.95)
    if found != (files.sha256(target) if target.is_file() else None):
        raise InputError(f"{target} was changed by somebody else during the segmentation; it was left as it is.")
    content = {
        "exam": exam.stem,
        "image": {"file": exam.image.name, "sha256": image_hash},
        "mask": {"file": target.name, "sha256": "", "replaces": found},
        "measurements": measure(mask),
        "model": _identity(bundle),
        "device": prediction.device,
        "engine": prediction.engine,
        "seconds": round(prediction.seconds, 2),
        "notes": list(prediction.notes),
        "created": now(),
        "software": software(),
    }
    _write_both(mask, target, record, content)
    progress.update("Done", 1.0)
    return SegmentResult(
        exam.stem, target, record, False, prediction.seconds, prediction.device, list(prediction.notes)
    )


def segment_file(
    image: Path,
    output: Path,
    bundle: Bundle,
    *,
    device: str = "auto",
    engine: str = "auto",
    force: bool = False,
    progress: Progress | None = None,
) -> SegmentResult:
    """Predict the mask of one NIfTI file outside any dataset and write it to `output`.

    Raises
    ------
    InputError : `output` exists and `force` is not given, is the image itself, or has no NIfTI name.
    """
    volume.check_writable_name(output)
    places.check_targets([output])
    if output.exists() and output.resolve() == image.resolve():
        raise InputError(f"{output} is the image itself; choose another file for the mask.")
    if output.exists() and not force:
        raise InputError(f"{output} exists already; choose another name, or --force to replace it.")
    progress = ensure(progress)
    mask, prediction = _predict(image, bundle, device, engine, progress)
    volume.write(mask, output, allowed=anatomy.LABELS)
    progress.update("Done", 1.0)
    return SegmentResult(image.name, output, None, False, prediction.seconds, prediction.device, list(prediction.notes))


def state_of(target: Path, record: Path, image_hash: str, bundle: Bundle) -> str:
    """What an earlier result is worth.

    Returns "current" (whole, from this image by this model), "outdated" (whole, but from another image or model),
    "unfinished" (missing, or the writing was interrupted) or "edited": a person changed the mask since, or nobody
    knows where it came from. The record is written before the mask, so a mask without one is never our own.
    """
    if not target.is_file():
        return "unfinished"
    try:
        known = files.read_json(record)
        mask, image, model = known["mask"], known["image"]["sha256"], known["model"]
        found = files.sha256(target)
        if found == mask["sha256"]:
            return "current" if (image, model) == (image_hash, _identity(bundle)) else "outdated"
        return "unfinished" if found == mask["replaces"] else "edited"
    except (InputError, KeyError, TypeError):
        return "edited"


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


def _hash_of_image(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path} cannot be read ({reason}); restore it or leave the exam out.") from None


def _write_both(mask: volume.Volume, target: Path, record: Path, content: dict[str, Any]) -> None:
    """Write record and mask so that a kill between the two can be told from a mask that a person edited."""
    former = record.read_bytes() if record.is_file() else None
    content["mask"]["sha256"] = hashlib.sha256(volume.encode(mask)).hexdigest()
    files.write_json(record, content)
    try:
        volume.write(mask, target, allowed=anatomy.LABELS)
    except BaseException:
        # If not even the former record fits on the disk, the error above is still the one to tell.
        with contextlib.suppress(CSpineSegError):
            record.unlink(missing_ok=True) if former is None else files.write_verified(record, former)
        raise


def _predict(path: Path, bundle: Bundle, device: str, engine: str, progress: Progress) -> tuple[volume.Volume, Any]:
    progress.update("Reading", 0.0)
    image = volume.read(path)
    prediction = predict(bundle, image, device=device, engine=engine, progress=progress.part(0.05, 0.95))
    # A record may be passed on, and a folder's name can hold a person's.
    prediction.notes.extend(warning.replace(str(path), path.name) for warning in image.warnings)
    return prediction.mask, prediction
