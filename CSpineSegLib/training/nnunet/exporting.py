"""A dataset as nnU-Net's raw data: resumable, verified, and never mixed with somebody else's files."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ... import files
from ...dataset import Dataset
from ...dataset.wording import some
from ...errors import CSpineSegError, InputError, WriteError
from ...progress import Progress, ensure
from ...review import places, provenance
from . import cases, choosing, folds, images, planning
from .cases import Case, Record
from .choosing import Choice
from .parts import TRAIN
from .places import Folders, folder_name

NUMBER, NAME = 108, "CSpineSeg"
PARTS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs")
# The dataset's authors' own names, with their spelling, so that models can be exchanged.
CHANNELS = {"0": "T2"}
LABELS = {"background": 0, "vertebrae": 1, "inter-vetebral disc": 2}
READER = "SimpleITKIO"
_SAVE_SECONDS = 5.0


@dataclass(frozen=True)
class Exported:
    """What an export left.

    Parameters
    ----------
    folder : the dataset's raw folder.
    cases : all of them, those for training first to last.
    written : how many were written now; the others were there already.
    left_out, notes : sentences.
    """

    folder: Path
    cases: tuple[Case, ...]
    written: int
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, part: str) -> int:
        return sum(case.part == part for case in self.cases)


def export(
    dataset: Dataset,
    folders: Folders,
    *,
    number: int = NUMBER,
    name: str = NAME,
    query: str | None = None,
    which: str = "best",
    table: Path | None = None,
    way: str = images.COPY,
    seed: int = folds.SEED,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write `DatasetXXX_Name` with images, labels, `dataset.json`, `splits_final.json` and the record of its cases.

    An export that was interrupted goes on where it stopped. One that was made before is brought up to date: what did
    not change is kept (checked by SHA-256 of source and copy), exams keep their case names, patients their folds, and
    files of exams that no longer belong are removed. Exams whose files cannot be used are left out, each with a
    sentence.

    Parameters
    ----------
    query, which, table : see :func:`choosing.choose`.
    way : "copy" or "link", see :func:`images.make`.
    seed : decides the folds of patients that have none.
    force : replace files of the export that were changed since.

    Raises
    ------
    InputError : nothing can be exported, the folder holds what this export did not write, or another dataset has the
        number; nothing is written then.
    WriteError : it cannot be written, or would lie in released data.
    """
    progress = ensure(progress)
    progress.update("Choosing", 0.0)
    folder = folders.raw / folder_name(number, name)
    others = [found for found in folders.named(number) if found != folder.name]
    if others:
        raise InputError(f"{folders.raw.parent} has {others[0]} already; choose another number with --id.")
    places.check_targets([folder / part / "x" for part in PARTS] + [folder / cases.RECORD])
    choice = choosing.choose(dataset, query, which, table)
    former = _former(folder)
    planned = planning.plan(choice, former, seed)
    _refuse_foreign(folder, former, planned, force, progress.part(0.02, 0.1))
    files.sweep(folder)
    work = _Work(folder, planned, former, choice, way, force)
    done = work.run(progress.part(0.1, 0.98))
    if done.left_out:
        done.cases = planning.refolded(done.cases, choice, former, seed)
    return _finish(folders, folder, done, choice, dataset, progress)


class _Work:
    """The cases on their way: written one by one, the record saved every few seconds and at any end."""

    def __init__(
        self, folder: Path, planned: list[Case], former: Record | None, choice: Choice, way: str, force: bool
    ) -> None:
        self.folder, self.way, self.force = folder, way, force
        self.cases = planned
        self.former = {case.exam: case for case in former.cases} if former else {}
        self.chosen = {one.exam.stem: one for one in choice.chosen}
        self.count, self.written = choice.split.folds, 0
        self.left_out: list[str] = []

    def run(self, progress: Progress) -> _Work:
        # Without it nnU-Net takes the folder for no dataset: half an export must not pass for a whole one.
        (self.folder / "dataset.json").unlink(missing_ok=True)
        # While the former record still knows their names, so that a kill leaves nothing that nobody knows.
        self._remove_stale()
        self._save()
        saved = time.monotonic()
        try:
            for index, case in enumerate(list(self.cases)):
                progress.update("Exporting", index / len(self.cases), case.exam)
                self.cases[index] = self._one(case)
                if time.monotonic() - saved > _SAVE_SECONDS:
                    self._save()
                    saved = time.monotonic()
        finally:
            self._save()
        self.cases = [case for case in self.cases if case.written_image is not None]
        return self

    def _one(self, case: Case) -> Case:
        """The case with what was written for it; without any, if it is left out."""
        if self._is_current(case):
            return case
        one = self.chosen[case.exam]
        targets = [self.folder / case.image, self.folder / case.label]
        mask_file = None if one.mask is None else one.mask.path
        try:
            made = images.make(one.exam.image, mask_file, *targets, self.way)
        except WriteError:
            raise
        except CSpineSegError as error:
            for target in targets:
                target.unlink(missing_ok=True)
            self.left_out.append(f"{case.exam} is left out: {error}")
            return case
        if made.written_label is None:
            targets[1].unlink(missing_ok=True)
        self.written += 1
        return replace(
            case,
            image_sha256=made.image_sha256,
            mask_sha256=made.mask_sha256,
            how=made.how,
            written_image=made.written_image,
            written_label=made.written_label,
            notes=made.notes,
        )

    def _is_current(self, case: Case) -> bool:
        """Whether source and copy are what the record says, and the image was placed as is asked for now."""
        if case.written_image is None or (case.how == "copied" and self.way == images.LINK):
            return False
        if case.how == "linked" and self.way == images.COPY:
            return False
        one = self.chosen[case.exam]
        sources = {one.exam.image: case.image_sha256}
        if one.mask is not None:
            sources[one.mask.path] = case.mask_sha256
        copies = {self.folder / name: digest for name, digest in case.written.items()}
        if (one.mask is None) != (case.written_label is None):
            return False
        return all(_hash(path) == digest for path, digest in {**sources, **copies}.items())

    def _remove_stale(self) -> None:
        """Remove files of former cases that are no longer wanted, or lie in the other part now."""
        wanted = {name for case in self.cases for name in (case.image, case.label)}
        for case in self.former.values():
            for name in (case.image, case.label):
                if name not in wanted:
                    (self.folder / name).unlink(missing_ok=True)

    def _save(self) -> None:
        cases.write(self.folder, Record(tuple(self.cases), self.count, False))


def _former(folder: Path) -> Record | None:
    """The record of a former export; InputError if the folder holds something and no record."""
    record = cases.read(folder)
    if record is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an export of ours and is not empty; choose another --id or --name.")
    return record


def _refuse_foreign(
    folder: Path, former: Record | None, planned: Sequence[Case], force: bool, progress: Progress
) -> None:
    """InputError if there are files that no export wrote, or that were changed since it wrote them."""
    known = {name: digest for case in (former.cases if former else ()) for name, digest in case.written.items()}
    # A killed export may have written what its record does not know yet, under a name that it had planned.
    expected = {name for case in (*planned, *(former.cases if former else ())) for name in (case.image, case.label)}
    exam_of = {name: case.exam for case in (former.cases if former else ()) for name in (case.image, case.label)}
    found = [path for part in PARTS if (folder / part).is_dir() for path in sorted((folder / part).iterdir())]
    strange, changed = [], []
    for index, path in enumerate(found):
        progress.update("Checking", index / len(found), path.name)
        name = f"{path.parent.name}/{path.name}"
        if name not in expected:
            # nnU-Net takes whatever ends so for a case, hidden or not, and nothing else.
            strange += [name] if path.name.endswith(".nii.gz") else []
        elif name in known and _hash(path) != known[name]:
            changed.append(name)
    if strange:
        raise InputError(f"{folder} holds files that no export wrote ({some(strange)}); move them elsewhere.")
    if changed and not force:
        raise InputError(
            f"{folder / changed[0]} (exam {exam_of[changed[0]]}) was changed after it was exported; keep that work "
            "with 'cspineseg correct', or replace it with --force."
        )


def _finish(
    folders: Folders, folder: Path, work: _Work, choice: Choice, dataset: Dataset, progress: Progress
) -> Exported:
    """Folds, `dataset.json` and the complete record, in this order: each says that what comes before is there."""
    progress.update("Finishing", 0.98)
    left_out = choice.left_out + work.left_out
    training = [case for case in work.cases if case.part == TRAIN]
    if not training:
        raise InputError(f"None of the exams could be exported for training: {some(left_out)}")
    folds.write(folds.splits(work.cases, work.count), folders, folder.name)
    files.write_json(folder / "dataset.json", description(len(training), folder.name))
    about: dict[str, Any] = {
        "dataset": folder.name,
        "orientation": cases.ORIENTATION,
        "exported": provenance.now(),
        "exported_from": str(dataset.root),
        "split": choice.split.files,
        "left_out": left_out,
        "software": provenance.software(),
    }
    cases.write(folder, Record(tuple(work.cases), work.count, True, about))
    notes = list(choice.split.notes)
    linked = sum(case.how == "linked" for case in work.cases)
    copied = sum(case.how == "copied" for case in work.cases)
    if work.way == images.LINK and copied:
        notes.append(f"{copied} of {copied + linked} images were copied, because they could not be linked.")
    turned = [case for case in work.cases if case.how and case.how.startswith("rewritten")]
    if turned:
        notes.append(f"{len(turned)} images were written anew: {some([f'{c.exam} ({c.how[11:]})' for c in turned])}.")
    moved = [case.exam for case in work.cases if _has_moved(case, work.former.get(case.exam))]
    if moved and any((folders.results / folder.name).glob("*/fold_*")):
        notes.append(f"Models there were trained while these exams were in other folds or parts: {some(moved)}.")
    if work.written and (folders.preprocessed / folder.name).is_dir():
        notes.append("nnU-Net's preprocessed data are older than this export; run 'cspineseg nnunet plan' again.")
    progress.update("Done", 1.0)
    return Exported(folder, tuple(work.cases), work.written, left_out, notes)


def _has_moved(case: Case, before: Case | None) -> bool:
    return before is not None and (before.part, before.fold) != (case.part, case.fold)


def description(training: int, name: str) -> dict[str, Any]:
    """The content of `dataset.json` for so many training cases."""
    return {
        "channel_names": CHANNELS,
        "labels": LABELS,
        "numTraining": training,
        "file_ending": ".nii.gz",
        # By name, because nnU-Net otherwise takes whichever of its readers opens the first image.
        "overwrite_image_reader_writer": READER,
        "name": name,
    }


def _hash(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return files.sha256(path)
    return None
