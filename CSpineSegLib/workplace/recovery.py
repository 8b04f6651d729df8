"""What was drawn and not saved, kept every half minute in this user's data folder, so that a crash costs no more.

A copy is a mask and a JSON that names it by its SHA-256. The mask is written first, under a new name each time, so a
process that is killed at any moment leaves the copy before. A copy is offered once the process that made it has ended.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import anatomy, files, resources, volume
from ..errors import CSpineSegError, InputError
from .processes import began

if TYPE_CHECKING:
    from ..session import Session
    from ..volume import Volume
    from .desk import Workplace

EVERY_SECONDS = 30.0
FORMAT = "cspineseg-recovery"
# Whether a process of another computer still runs cannot be seen from here; after a day nobody has left it open.
_ELSEWHERE_SECONDS = 86400.0


@dataclass(frozen=True)
class Copy:
    """What was drawn on an exam and not saved.

    Parameters
    ----------
    record, mask : its JSON and its mask.
    exam : the exam's stem. root : the folder of its dataset. processed : where that dataset's results go.
    annotator : who drew. blind : as a second reader.
    kept : when (UTC). started : when the editing began (UTC). seconds : active editing until `kept`.
    content : the JSON's content.
    """

    record: Path
    mask: Path
    exam: str
    root: Path
    processed: Path
    annotator: str
    blind: bool
    kept: datetime
    started: datetime
    seconds: float
    content: Mapping[str, Any] = field(repr=False, hash=False, compare=False)


class Keeper:
    """Keeps one copy of what is drawn at a workplace.

    Parameters
    ----------
    folder : for the copies; None: `Recovery` in this user's data folder.
    """

    def __init__(self, workplace: Workplace, folder: Path | None = None) -> None:
        self._workplace, self._folder = workplace, folder
        self._kept: Copy | None = None
        self._mask: Volume | None = None

    def keep(self) -> Copy | None:
        """Keep a copy if the open exam's mask was changed, and none if it is as it was saved; returns the copy.

        Nothing is written while nothing more is drawn.

        Raises
        ------
        WriteError : it could not be written; the copy before is still there.
        """
        workplace = self._workplace
        if workplace.session is None:
            self.leave()
            return None
        if not workplace.is_changed():
            self.drop()
            return None
        mask = workplace.mask()
        if mask is not self._mask:
            self._kept, former = self._write(mask), self._kept
            self._mask = mask
            if former is not None and former.mask != self._kept.mask:
                _remove(former.mask)
        return self._kept

    def drop(self) -> None:
        """Remove the copy: what it holds is saved, or given up by the user."""
        if self._kept is not None:
            discard(self._kept)
        self._kept = self._mask = None

    def leave(self) -> None:
        """Leave the copy where it is, to be offered: the exam is open no more, and nobody saved what was drawn."""
        self._kept = self._mask = None

    def rescue(self) -> Path | None:
        """Keep what is drawn, in one way or another: as a copy, else as a file with all segments as they are.

        Returns that file; None if there is a copy, or if nothing can be written. For what cannot be saved and is about
        to go, such as a segmentation with a third segment.
        """
        from .. import scene

        with contextlib.suppress(CSpineSegError, OSError):
            if self.keep() is not None:
                return None
        session = self._workplace.session
        if session is not None:
            with contextlib.suppress(CSpineSegError, OSError):
                folder = self._folder or resources.user_data("Recovery")
                path = folder / f"{session.exam.stem}.{secrets.token_hex(4)}.seg.nrrd"
                scene.save_segmentation(session.context, session.case.segmentation_node, path)
                return path
        return None

    def found(self) -> list[Copy]:
        """The copies that can be offered, see :func:`find`; not the one of what is open."""
        return [copy for copy in find(self._folder) if self._kept is None or copy.record != self._kept.record]

    def _write(self, mask: Volume) -> Copy | None:
        workplace = self._workplace
        session = workplace.need_session()
        root = workplace.root_of(session.exam)
        if root is None:
            return None
        folder = self._folder or resources.user_data("Recovery")
        record = self._kept.record if self._kept is not None else folder / f"{secrets.token_hex(8)}.json"
        target = folder / f"{record.stem}.{secrets.token_hex(4)}.nii.gz"
        digest = volume.write(mask, target, allowed=anatomy.LABELS)
        origin = session.origin
        content = {
            "format": FORMAT,
            "format_version": 1,
            "exam": session.exam.stem,
            "dataset": str(root),
            "processed": str(session.exam.processed),
            "annotator": _name(workplace.drawn_by or workplace.annotator_name),
            "blind": session.blind,
            "started": _time(session.opened),
            "kept": _time(datetime.now(UTC)),
            "active_seconds": workplace.clock.seconds,
            "mask": {"file": target.name, "sha256": digest},
            "origin": {"file": str(origin.path) if origin.path else None, "sha256": origin.sha256},
            "process": {"id": os.getpid(), "began": began(os.getpid()), "computer": platform.node()},
        }
        try:
            files.write_json(record, content)
        except CSpineSegError:
            _remove(target)
            raise
        return _copy(record, content)


def find(folder: Path | None = None) -> list[Copy]:
    """The copies of processes that have ended, newest first; those of this process are among them.

    What was saved as a revision after all, just before the end, is removed and not offered, as are masks without a
    JSON, which a kill during the writing leaves.
    """
    folder = folder or resources.user_data("Recovery")
    copies = [copy for copy in map(_read, sorted(folder.glob("*.json"))) if copy is not None]
    files.sweep(folder, deep=False)
    _sweep_masks(folder)
    offered = []
    for copy in copies:
        if _is_running(copy):
            continue
        if not copy.mask.is_file() or _is_saved(copy):
            discard(copy)
        else:
            offered.append(copy)
    return sorted(offered, key=lambda copy: copy.kept, reverse=True)


def restore(workplace: Workplace, copy: Copy) -> Session:
    """Open the exam of a copy with what was drawn, which is then changed and not saved as it was before.

    What it was made from, when, and the editing time go on as they were; the copy is removed once there is a new one.
    Whoever calls has asked what becomes of changes of the exam that is open.

    Raises
    ------
    InputError, GeometryError : the dataset, the exam, its image or the copy itself cannot be used; the copy stays.
    """
    drawn = _drawn(copy)
    who = _name(workplace.annotator_name)
    if copy.blind and who != copy.annotator:
        raise InputError(
            f"What was drawn on {copy.exam} is a blind reading by {copy.annotator}, and {who} must not see it; "
            f"enter {copy.annotator} as the annotator to recover it."
        )
    dataset = workplace.dataset
    if dataset is None or dataset.root != copy.root:
        dataset = workplace.open_dataset(copy.root)
    exam = dataset.exam(copy.exam)
    if exam.image is not None:
        drawn = volume.conform(drawn, volume.read(exam.image))
    session = workplace.open_exam(exam, blind=copy.blind)
    _put_back(workplace, session, copy, drawn)
    if who != copy.annotator:
        session.warnings += (f"It was drawn by {copy.annotator} and will be saved under the name of {who}.",)
    # The copy goes only after what it holds is kept anew.
    if workplace.keeper.keep() is not None or not workplace.is_changed():
        discard(copy)
    return session


def discard(copy: Copy) -> None:
    """Remove a copy for good."""
    _remove(copy.record)
    _remove(copy.mask)


def _drawn(copy: Copy) -> Volume:
    try:
        digest = files.sha256(copy.mask)
    except OSError as error:
        raise InputError(f"{copy.mask} cannot be read ({error.strerror or error}); nothing was recovered.") from None
    if digest != copy.content["mask"]["sha256"]:
        raise InputError(f"{copy.mask} is damaged (its SHA-256 differs), so it cannot be recovered; discard it.")
    return volume.read_mask(copy.mask, anatomy.LABELS)


def _put_back(workplace: Workplace, session: Session, copy: Copy, drawn: Volume) -> None:
    """Give an exam just opened the voxels, the origin and the times of a copy."""
    from .. import scene
    from ..review import origins

    scene.replace_voxels(session.context, session.case, drawn)
    session.opened = copy.started
    workplace.drawn_by = copy.annotator
    workplace.clock.restart(seconds=copy.seconds)
    stated = copy.content["origin"]
    if stated["sha256"] == session.origin.sha256:
        return
    origin = origins.Origin()
    if stated["file"] is not None:
        with contextlib.suppress(CSpineSegError):
            origin = origins.of_file(session.exam, Path(stated["file"]))
    if origin.sha256 == stated["sha256"]:
        session.origin = origin
    else:
        session.warnings += (
            f"{stated['file']}, which this was drawn from, is gone or was changed; "
            "what differs is counted from the mask that counts now.",
        )


def _is_saved(copy: Copy) -> bool:
    """Whether a revision that was saved after this copy was kept holds these very voxels."""
    from ..dataset import Exam
    from ..review import records

    exam = Exam(copy.exam, None, None, None, None, None, "unknown", copy.processed)
    digest = copy.content["mask"]["sha256"]
    # A dataset that cannot be reached now is no reason to lose the copy.
    with contextlib.suppress(CSpineSegError, OSError):
        return any(item.sha256 == digest and item.saved >= copy.kept for item in records.history(exam))
    return False


def _read(record: Path) -> Copy | None:
    """The copy that a JSON describes; None if it is none."""
    try:
        return _copy(record, files.read_json(record))
    except (InputError, KeyError, TypeError, ValueError):
        return None


def _copy(record: Path, content: Mapping[str, Any]) -> Copy:
    if content["format"] != FORMAT or Path(content["mask"]["file"]).name != content["mask"]["file"]:
        raise ValueError(record)
    return Copy(
        record,
        record.parent / content["mask"]["file"],
        content["exam"],
        Path(content["dataset"]),
        Path(content["processed"]),
        content["annotator"],
        bool(content["blind"]),
        datetime.fromisoformat(content["kept"]),
        datetime.fromisoformat(content["started"]),
        float(content["active_seconds"]),
        content,
    )


def _sweep_masks(folder: Path) -> None:
    """Remove masks that no JSON names; one that is just being kept is younger.

    Those stay whose JSON is there but cannot be read now: another program may hold it, or a later version wrote it.
    """
    limit = time.time() - files.STALE_SECONDS
    copies = {record.stem: _read(record) for record in folder.glob("*.json")}
    named = {copy.mask.name for copy in copies.values() if copy is not None}
    unread = {stem for stem, copy in copies.items() if copy is None}
    for mask in folder.glob("*.nii.gz"):
        with contextlib.suppress(OSError):
            known = mask.name in named or mask.name.partition(".")[0] in unread
            if not known and mask.stat().st_mtime <= limit:
                mask.unlink()


def _is_running(copy: Copy) -> bool:
    """Whether another process that still runs has this copy in hand."""
    process = copy.content["process"]
    if process["computer"] != platform.node():
        return (datetime.now(UTC) - copy.kept).total_seconds() < _ELSEWHERE_SECONDS
    return process["id"] != os.getpid() and process["began"] is not None and began(process["id"]) == process["began"]


def _name(annotator: str | None) -> str:
    from ..review import people

    return people.annotator_name(annotator)


def _time(moment: datetime) -> str:
    from ..review import records

    return records.format_time(moment)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
