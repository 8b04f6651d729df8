"""The files that the levels of a mask lie in: labelmap, instances and record, which always speak of the same mask."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import anatomy, files, volume
from ..dataset import Exam
from ..errors import CSpineSegError, InputError
from ..volume import Volume
from ..volume.nifti import is_compressed
from . import results

FORMAT, FORMAT_VERSION = "cspineseg-levels", 1
_SUFFIX, _NUMBERS = "_LEVELS", "_INSTANCES"


@dataclass(frozen=True)
class Paths:
    """Where the levels of a mask lie: the labelmap, the instances by number, and the record with all the rest."""

    levels: Path
    instances: Path
    record: Path

    @property
    def every(self) -> list[Path]:
        return [self.record, self.instances, self.levels]

    def written(self, record: dict[str, Any]) -> list[tuple[Path, dict[str, Any]]]:
        """The volumes, each with what a record says of it."""
        return [(self.levels, record["levels_file"]), (self.instances, record["instances_file"])]


def of_exam(exam: Exam) -> Paths:
    return Paths(exam.levels, exam.levels.with_name(f"{exam.stem}{_NUMBERS}.nii.gz"), exam.levels_record)


def of_file(output: Path) -> Paths:
    """Beside a labelmap anywhere: `neck_LEVELS.nii.gz` and `neck.nii.gz` have `neck_INSTANCES.nii.gz`."""
    ending = ".nii.gz" if is_compressed(output) else ".nii"
    stem = output.name[: -len(ending)]
    return Paths(
        output,
        output.with_name(f"{stem.removesuffix(_SUFFIX)}{_NUMBERS}{ending}"),
        output.with_name(f"{stem}.json"),
    )


def read(paths: Paths, *, force: bool = False) -> dict[str, Any] | None:
    """The record that is there; None if nothing is.

    Parameters
    ----------
    force : also a record whose volumes were changed since; None for one that is none of ours.

    Raises
    ------
    InputError : without `force`, if somebody else's files are there, or somebody changed ours.
    """
    there = [path for path in paths.every if path.is_file()]
    if not there:
        return None
    try:
        record = files.read_json(paths.record)
        if record["format"] != FORMAT or not (record["anchor"] is None or len(record["anchor"]["point_mm"]) == 3):
            raise ValueError(record["format"])
        written = [(path, (told["sha256"], told["replaces"])) for path, told in paths.written(record)]
    except (InputError, KeyError, TypeError, ValueError):
        if force:
            return None
        raise InputError(
            f"{there[0]} was not written by this software; move it away, or --force to replace it."
        ) from None
    for path, ours in written:
        if not force and path.is_file() and files.sha256(path) not in ours:
            raise InputError(f"{path} was changed after it was written; move it away, or --force to replace it.")
    return record


def is_current(paths: Paths, record: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether a record tells of just this, and its volumes are there as it says."""
    if record["format_version"] != FORMAT_VERSION or any(record.get(key) != value for key, value in asked.items()):
        return False
    return all(path.is_file() and files.sha256(path) == told["sha256"] for path, told in paths.written(record))


def write(paths: Paths, content: dict[str, Any], numbers: Volume, values: Volume) -> dict[str, Any]:
    """Write the record, then the volumes that it names; returns the record as it was written.

    So a kill in between leaves a record that says what the volumes should be, with the anchor that somebody gave.

    Parameters
    ----------
    content : the record, which is completed here. numbers : the instances. values : the levels.

    Raises
    ------
    WriteError : it could not be written, and everything is as before.
    """
    former = {path: path.read_bytes() for path in paths.every if path.is_file()}
    record = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **content,
        "levels_file": _told(paths.levels, values, former),
        "instances_file": _told(paths.instances, numbers, former),
    }
    allowed = (anatomy.BACKGROUND, *(level.value for level in anatomy.levels()))
    with results.WRITING:
        try:
            files.write_json(paths.record, record)
            volume.write(numbers, paths.instances)
            volume.write(values, paths.levels, allowed=allowed)
        except BaseException:
            for path in paths.every:
                # If not even the former file fits on the disk, the error above is still the one to tell.
                with contextlib.suppress(CSpineSegError):
                    files.write_verified(path, former[path]) if path in former else path.unlink(missing_ok=True)
            raise
    return record


def _told(path: Path, array: Volume, former: dict[Path, bytes]) -> dict[str, Any]:
    digest = hashlib.sha256(volume.encode(array, gz=is_compressed(path))).hexdigest()
    replaced = hashlib.sha256(former[path]).hexdigest() if path in former else None
    return {"file": path.name, "sha256": digest, "replaces": replaced}
