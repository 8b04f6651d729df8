"""Copy the masks that count, under the dataset's names, with a table of files and checksums."""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
from pathlib import Path
from typing import Any

from .. import anatomy, files, volume
from ..dataset import Dataset, Exam
from ..errors import InputError
from ..progress import Progress, ensure
from ..review import masks, places, status, worklist
from ..review.masks import Mask

TABLE = "annotation_file_cspineseg.tsv"
# The first columns are those of the release's annotation_file table; the rest says what the mask is.
COLUMNS = (
    "type",
    "submitter_id",
    "annotation_name",
    "annotation_method",
    "case_ids",
    "mr_series_files.submitter_id",
    "data_format",
    "file_name",
    "file_size",
    "md5sum",
    "kind",
    "revision",
    "annotator",
    "model",
    "sha256",
)


def export(
    dataset: Dataset,
    folder: Path,
    *,
    query: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the current best mask of every exam that fits `query` to `folder`, and :data:`TABLE` beside them.

    The best mask is the accepted revision, else the experts' own, else a prediction, else the released one. Exams that
    a reviewer rejected are left out, and it is said.

    Returns
    -------
    {"files": rows of the table, "table": path, "left_out": sentences about exams without a mask, or rejected ones}

    Raises
    ------
    InputError : nothing fits the query, or a file is there already with other content and `force` is not given;
        nothing is written then.
    WriteError : `folder` is part of the released data, or cannot be written.
    """
    progress = ensure(progress)
    exams = worklist.exams(dataset, query)
    if not exams:
        raise InputError("No exam fits the query; 'cspineseg list' shows what is there.")
    folder = Path(folder)
    chosen, left_out = _choose(exams)
    if not chosen:
        raise InputError(f"None of the {len(exams)} exams has a mask to export; segment them first.")
    places.check_targets([folder / exam.mask_name for exam, _ in chosen] + [folder / TABLE])
    if folder.resolve().is_relative_to(dataset.processed.resolve()):
        raise InputError(f"{folder} lies in the dataset's processed folder; choose a folder outside it.")
    files.sweep(folder)
    contents = {exam.mask_name: _content(mask) for exam, mask in chosen}
    kept = _refuse_replacing(folder, contents, force)
    rows, made = [], []
    try:
        for number, (exam, mask) in enumerate(chosen):
            progress.update("Exporting", number / len(chosen), exam.stem)
            target = folder / exam.mask_name
            made += [target] if not target.exists() else []
            digest = files.write_verified(target, contents[target.name])
            rows.append(_row(exam, mask, contents[target.name], digest))
        files.write_verified(folder / TABLE, _table(kept + rows))
    except BaseException:
        # Half an export must not pass for a whole one; the error itself is the one to tell.
        for target in made:
            with contextlib.suppress(OSError):
                target.unlink()
        raise
    progress.update("Done", 1.0)
    return {"files": rows, "table": str(folder / TABLE), "left_out": left_out}


def _choose(exams: list[Exam]) -> tuple[list[tuple[Exam, Mask]], list[str]]:
    """The mask of each exam that goes out, and a sentence for each exam that does not."""
    chosen, left_out = [], []
    for exam in exams:
        mask = masks.best_mask(exam)
        if status.of(exam).status == "rejected":
            left_out.append(f"{exam.stem} was rejected by its reviewer and is left out.")
        elif mask is None:
            left_out.append(f"{exam.stem} has no mask to export; segment it first.")
        else:
            chosen.append((exam, mask))
    return chosen, left_out


def _refuse_replacing(folder: Path, contents: dict[str, bytes], force: bool) -> list[dict[str, Any]]:
    """The rows of a former table whose masks are still there and not written now.

    Masks of an earlier export may be replaced by the same content only; anything else may be somebody's work.
    """
    for name, data in contents.items():
        target = folder / name
        if target.is_file() and not force and target.read_bytes() != data:
            raise InputError(
                f"{target} exists already and differs from what would be written; "
                "choose another folder, or --force to replace it."
            )
    table = folder / TABLE
    if not table.is_file():
        return []
    former = table.read_bytes()
    if not former.startswith(_table([])):
        if force:
            return []
        raise InputError(f"{table} exists already and is no table of an export; choose another folder.")
    rows = csv.DictReader(io.StringIO(former.decode("utf-8")), delimiter="\t")
    return [row for row in rows if row["file_name"] not in contents and (folder / row["file_name"]).is_file()]


def _content(mask: Mask) -> bytes:
    """The mask's file as it is, checked; compressed if it was not, since all exported names end in .nii.gz."""
    data = mask.path.read_bytes()
    volume.as_mask(volume.decode(data, mask.path), anatomy.LABELS)
    return data if data[:2] == b"\x1f\x8b" else gzip.compress(data, mtime=0)


def _row(exam: Exam, mask: Mask, data: bytes, digest: str) -> dict[str, Any]:
    revision = mask.revision
    return {
        "type": "annotation_file",
        "submitter_id": exam.mask_name.removesuffix(".nii.gz"),
        "annotation_name": "CSpineSeg",
        "annotation_method": {"accepted": "manual_correction", "predicted": "automatic"}.get(mask.kind, exam.source),
        "case_ids": exam.patient_id,
        "mr_series_files.submitter_id": exam.fields.get("series_uid"),
        "data_format": "NII",
        "file_name": exam.mask_name,
        "file_size": len(data),
        "md5sum": hashlib.md5(data, usedforsecurity=False).hexdigest(),
        "kind": mask.kind,
        "revision": revision.number if revision else None,
        "annotator": revision.annotator if revision else None,
        "model": mask.model,
        "sha256": digest,
    }


def _table(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else value for key, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8")
