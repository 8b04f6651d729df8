"""What follows from the revisions: the corrected mask and the metrics, and whether they are up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import files
from ..dataset.exam import Exam
from ..errors import InputError, WriteError
from . import events, masks, places, records
from .records import Revision


def refresh(exam: Exam) -> None:
    """Bring `metrics/<stem>.json` and `corrected/<stem>_SEG.nii.gz` in line with the complete revisions.

    Any number of processes may do this at once: each looks again after it wrote, and repeats if a revision came in
    meanwhile, so whoever writes last has seen everything.

    Raises
    ------
    WriteError : one of them cannot be written, or somebody changed the corrected mask in place, which is then left
        as it is; the revisions are complete all the same.
    """
    places.check_targets([exam.corrected_mask, exam.metrics_path], [exam.image, exam.mask])
    revisions = records.history(exam)
    while True:
        seen = [revision.sha256 for revision in revisions]
        if revisions:
            _write_metrics(exam, revisions)
        accepted = records.newest_accepted(revisions)
        if accepted is not None:
            if is_changed_outside(exam):
                raise WriteError(_changed_outside(exam))
            _copy(accepted, exam.corrected_mask)
        revisions = records.history(exam)
        if [revision.sha256 for revision in revisions] == seen:
            return


def problems(exam: Exam) -> list[str]:
    """A sentence for everything under this exam's review that is half, damaged or behind; empty if all is well."""
    found = records.incomplete(exam) + events.problems(exam)
    found += [masks.edited_sentence(exam, name) for name in masks.edited_predictions(exam)]
    accepted = records.latest_accepted(exam)
    copy = exam.corrected_mask
    if accepted is not None and is_changed_outside(exam):
        found.append(_changed_outside(exam))
    elif accepted is None and copy.is_file():
        found.append(f"{copy} is there although no revision of it was accepted; check where it came from.")
    elif accepted is not None and not _is_copy(accepted, copy):
        found.append(f"{copy} is not revision {accepted.number}, the latest accepted one; refresh it.")
    return found


def is_changed_outside(exam: Exam) -> bool:
    """Whether `corrected/` holds a mask that no revision knows: people open and save that very file in other editors.

    The file is hashed before the revisions are listed: a copy is written only after its revision's JSON.
    """
    try:
        digest = files.sha256(exam.corrected_mask)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f"{exam.corrected_mask} cannot be read ({error.strerror or error}).") from None
    return digest not in records.known_hashes(exam)


def metrics(revisions: list[Revision]) -> dict[str, Any]:
    """The content of `metrics/<stem>.json`: what each revision's JSON says about its mask, newest last."""
    return {
        "format": "cspineseg-metrics",
        "format_version": 1,
        "exam": revisions[-1].content["exam"],
        "latest_revision": revisions[-1].number,
        "revisions": [
            {
                "revision": revision.number,
                "mask_sha256": revision.sha256,
                "status": revision.status,
                "annotator": revision.annotator,
                "saved": revision.content["saved"],
                **revision.content["metrics"],
            }
            for revision in revisions
        ],
    }


def _write_metrics(exam: Exam, revisions: list[Revision]) -> None:
    files.write_json(exam.metrics_path, metrics(revisions))


def _changed_outside(exam: Exam) -> str:
    return f"{exam.corrected_mask} was changed outside; keep that work with 'cspineseg correct', or delete the file."


def _copy(accepted: Revision, target: Path) -> None:
    """Copy a revision's mask, unless the target is that copy already."""
    if _is_copy(accepted, target):
        return
    data = accepted.mask.read_bytes()

    def verify(temporary: Path) -> None:
        if files.sha256(temporary) != accepted.sha256:
            raise WriteError(f"{accepted.mask} changed while it was copied to {target}; save the exam again.")

    files.write_verified(target, data, verify)


def _is_copy(accepted: Revision, target: Path) -> bool:
    try:
        return files.sha256(target) == accepted.sha256
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InputError(f"{target} cannot be read ({error.strerror or error}).") from None
