"""The record of an export: which case of nnU-Net is which exam, with which mask, and what was done to its files."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ... import files
from ...errors import InputError

FORMAT, VERSION = "cspineseg-nnunet", 1
RECORD, TABLE = "cspineseg.json", "cspineseg_cases.tsv"
ORIENTATION = "PSR"
PREFIX = "cspine_"
_CASE = re.compile(rf"{PREFIX}([0-9]+)")


@dataclass(frozen=True)
class Case:
    """One exam as nnU-Net sees it.

    Parameters
    ----------
    case : nnU-Net's name, `cspine_<i>`.
    exam, patient : the exam's stem in our dataset, and whose it is.
    part, fold : "train" with the fold in which it is held out, or "test" with None.
    source : "gold", "silver" or "unknown", of the exam.
    mask : "accepted" (a revision), "gold", "silver" or "unknown" (as released), "predicted" (by a model), or None for
        a test exam without one.
    revision, model : which revision or whose prediction.
    image_file, mask_file : where they came from; image_sha256, mask_sha256 : their content then.
    how : what was done to the image: "copied", "linked", or "rewritten" with the reason.
    written_image, written_label : SHA-256 of nnU-Net's files; None until they are there.
    notes : what was noticed.
    """

    case: str
    exam: str
    patient: str
    part: str
    fold: int | None
    source: str
    stratum: str
    mask: str | None
    revision: int | None
    model: str | None
    image_file: str
    mask_file: str | None
    image_sha256: str | None = None
    mask_sha256: str | None = None
    how: str | None = None
    written_image: str | None = None
    written_label: str | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def image(self) -> str:
        """nnU-Net's image file, relative to the dataset's folder."""
        return f"images{self._end}/{self.case}_0000.nii.gz"

    @property
    def label(self) -> str:
        return f"labels{self._end}/{self.case}.nii.gz"

    @property
    def _end(self) -> str:
        return "Tr" if self.part == "train" else "Ts"

    @property
    def number(self) -> int:
        return int(_CASE.fullmatch(self.case)[1])

    @property
    def written(self) -> dict[str, str]:
        """Relative path -> SHA-256 of what was written for it."""
        both = {self.image: self.written_image, self.label: self.written_label}
        return {name: digest for name, digest in both.items() if digest is not None}


COLUMNS = tuple(item.name for item in fields(Case))


@dataclass(frozen=True)
class Record:
    """An export: its cases, the number of folds, whether it came to its end, and what else is said of it."""

    cases: tuple[Case, ...]
    folds: int
    complete: bool
    about: dict[str, Any] = field(default_factory=dict)


def case_name(number: int) -> str:
    return f"{PREFIX}{number}"


def numbered(stems: Iterable[str], former: Sequence[Case]) -> dict[str, str]:
    """A case name for every exam: the one that it had, or the next number, counted from 1."""
    known = {case.exam: case.case for case in former}
    following = max((case.number for case in former), default=0) + 1
    found = {}
    for stem in stems:
        if stem not in known:
            known[stem] = case_name(following)
            following += 1
        found[stem] = known[stem]
    return found


def read(folder: Path) -> Record | None:
    """The record in a dataset's raw folder; None if there is none.

    Raises
    ------
    InputError : it is damaged or of a later version.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    content = files.read_json(path)
    try:
        if content["format"] != FORMAT or content["format_version"] != VERSION:
            raise InputError(f"{path} is not an export that this version can read; choose another folder.")
        cases = tuple(_case(row) for row in content["cases"])
        about = {key: value for key, value in content.items() if key not in ("format", "format_version", "cases")}
        return Record(cases, int(about.pop("folds")), bool(about.pop("complete")), about)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is damaged ({error!r}); remove this export and make it again.") from None


def read_complete(folder: Path) -> Record:
    """As :func:`read`; InputError also if there is no record, or of an export that did not come to its end."""
    record = read(folder)
    if record is None:
        raise InputError(f"{folder} is not an export of ours; make one with 'cspineseg nnunet export'.")
    if not record.complete:
        raise InputError(f"The export to {folder} was interrupted; run 'cspineseg nnunet export' again to finish it.")
    return record


def write(folder: Path, record: Record) -> None:
    """Write the record; of a complete export the table for people, too."""
    content = {"format": FORMAT, "format_version": VERSION, "folds": record.folds, "complete": record.complete}
    rows = [asdict(case) for case in record.cases]
    files.write_json(folder / RECORD, {**content, **record.about, "cases": rows})
    if record.complete:
        files.write_verified(folder / TABLE, _table(rows))


def _case(row: dict[str, Any]) -> Case:
    case = Case(**{**row, "notes": tuple(row["notes"])})
    if not _CASE.fullmatch(case.case) or case.part not in ("train", "test"):
        raise ValueError(case.case)
    return case


def _table(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {key: "" if value is None else value for key, value in row.items()}
        writer.writerow({**cells, "notes": " ".join(row["notes"])})
    return text.getvalue().encode("utf-8")
