"""The files that one prediction leaves: mask, record, quality and doubt map, which always speak of the same mask."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import anatomy, files, volume
from ..dataset import Exam
from ..dataset.names import MASK_SUFFIX
from ..errors import CSpineSegError, InputError
from ..model import Prediction
from ..model.preprocess import ORIENTATION

# Held while the files of a prediction are put in place, so that a process that has to end can let that finish first.
WRITING = threading.RLock()


@dataclass(frozen=True)
class Paths:
    """Where they lie; `record` None: a mask outside any dataset has none."""

    mask: Path
    record: Path | None
    quality: Path
    doubt: Path

    @property
    def every(self) -> list[Path]:
        return [self.mask, *self.others]

    @property
    def others(self) -> list[Path]:
        """All but the mask."""
        return [path for path in (self.record, self.quality, self.doubt) if path is not None]


def of_exam(exam: Exam, model: str) -> Paths:
    return Paths(exam.predicted(model), exam.predicted_record(model), exam.quality(model), exam.doubt(model))


def of_file(output: Path) -> Paths:
    """Beside a mask anywhere: `neck_SEG.nii.gz` and `neck.nii.gz` have `neck_quality.json` and `neck_doubt.nii.gz`."""
    stem = output.name.removesuffix(".gz").removesuffix(".nii").removesuffix(MASK_SUFFIX)
    return Paths(output, None, output.with_name(f"{stem}_quality.json"), output.with_name(f"{stem}_doubt.nii.gz"))


def write(paths: Paths, prediction: Prediction, record: dict[str, Any], quality: dict[str, Any]) -> None:
    """Write what a prediction says; its `record` and `quality` are completed here.

    The record goes first and names the mask's SHA-256, so that a kill between the two can be told from a mask that a
    person edited. Quality and doubt of a former mask are gone before there is another.

    Raises
    ------
    WriteError : the mask could not be written, and everything is as before; or only quality and doubt could not.
    """
    former = {path: path.read_bytes() for path in paths.others if path.is_file()}
    digest = hashlib.sha256(volume.encode(prediction.mask, gz=paths.mask.name.endswith(".gz"))).hexdigest()
    with WRITING:
        _write(paths, prediction, record, quality, former, digest)


def _write(
    paths: Paths,
    prediction: Prediction,
    record: dict[str, Any],
    quality: dict[str, Any],
    former: dict[Path, bytes],
    digest: str,
) -> None:
    try:
        forget(paths)
        if paths.record is not None:
            record["mask"]["sha256"] = digest
            files.write_json(paths.record, record)
        volume.write(prediction.mask, paths.mask, allowed=anatomy.LABELS)
    except BaseException:
        for path in paths.others:
            # If not even the former file fits on the disk, the error above is still the one to tell.
            with contextlib.suppress(CSpineSegError):
                files.write_verified(path, former[path]) if path in former else path.unlink(missing_ok=True)
        raise
    if prediction.quality is not None:
        doubt = volume.restore(prediction.quality.doubt, ORIENTATION, prediction.mask)
        written = volume.write(doubt, paths.doubt)
        mask = {"file": paths.mask.name, "sha256": digest}
        known = {"mask": mask, "doubt": {"file": paths.doubt.name, "sha256": written}, **quality}
        files.write_json(paths.quality, known)


def forget(paths: Paths) -> None:
    """Remove quality and doubt of the mask that lies there; in a folder of one's own, only what names this mask."""
    if paths.record is None:
        try:
            known = files.read_json(paths.quality)
            if known["mask"]["file"] != paths.mask.name:
                return
        except (InputError, KeyError, TypeError):
            return
    for path in (paths.quality, paths.doubt):
        path.unlink(missing_ok=True)


def is_whole(paths: Paths, record: dict[str, Any]) -> bool:
    """False if quality and doubt that a record tells of are missing: then the writing was interrupted."""
    return record.get("quality") is None or (paths.quality.is_file() and paths.doubt.is_file())


def told(prediction: Prediction) -> dict[str, Any]:
    """What a record says of how a mask came about, besides where: verdict, cleaning, predicted Dice."""
    verdict, cleaned, quality = prediction.verdict, prediction.cleaned, prediction.quality
    found: dict[str, Any] = {"verdict": None, "cleaned": None, "quality": None}
    if verdict is not None:
        found["verdict"] = {
            "probability": round(verdict.probability, 4),
            "sentence": verdict.sentence,
            "features": _rounded(verdict.features),
        }
    if cleaned is not None:
        found["cleaned"] = {"removed": cleaned.removed, "filled": cleaned.filled}
    if quality is not None:
        found["quality"] = _rounded(
            {"score": quality.score, "dice_bodies": quality.dice_bodies, "dice_discs": quality.dice_discs}
        )
    return found


def quality_of(prediction: Prediction, model: dict[str, str]) -> dict[str, Any]:
    """What a quality file says, besides what it speaks of: predicted Dice, and doubt by slice; empty without quality.

    Slices are counted along the image's own left-right axis, from its first to its last.
    """
    quality = prediction.quality
    if quality is None:
        return {}
    axis = prediction.mask.sagittal_axis
    # Doubt comes from left to right.
    doubts = [round(float(doubt), 4) for doubt in quality.per_slice]
    if prediction.mask.orientation[axis] == "L":
        doubts.reverse()
    found = told(prediction)
    return {
        **found["quality"],
        "axis": axis,
        "slices": [{"slice": index, "doubt": doubt} for index, doubt in enumerate(doubts)],
        "features": _rounded(quality.features),
        "verdict": found["verdict"],
        "model": model,
    }


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in values.items()}
