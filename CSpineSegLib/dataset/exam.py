"""One exam, and where everything about it is written: no one else composes these names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .names import MASK_SUFFIX, ExamName


@dataclass(frozen=True)
class Exam:
    """An image with its mask, if there is one.

    Parameters
    ----------
    stem : `{PatientID}_Study-MR-{n}_Series-{n}`; for a file of another name, that name without `.nii.gz`.
    patient_id, study, series : what the stem says; None for a file of another name.
    image, mask : the released files, never written; None if they are not on disk.
    source : "gold" (annotated by experts), "silver" (the authors' network) or "unknown".
    fields : age (years), age_over_89, sex, race, ethnicity, manufacturer, model, field_strength (T), study_uid,
        series_uid and series_description as plain Python values; None where unknown.
    processed : folder that all outputs go to.
    """

    stem: str
    patient_id: str | None
    study: int | None
    series: int | None
    image: Path | None
    mask: Path | None
    source: str
    processed: Path
    fields: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> ExamName | None:
        """The parsed name, or None for a file of another name."""
        return ExamName(self.patient_id, self.study, self.series) if self.patient_id is not None else None

    @property
    def mask_name(self) -> str:
        """File name of any mask of this exam, as in the dataset."""
        return f"{self.stem}{MASK_SUFFIX}.nii.gz"

    def predicted(self, model: str) -> Path:
        """What a model said."""
        return self.processed / "predicted" / model / self.mask_name

    def predicted_record(self, model: str) -> Path:
        """JSON beside :meth:`predicted`: inputs, model, hashes, versions."""
        return self.processed / "predicted" / model / f"{self.stem}{MASK_SUFFIX}.json"

    def quality(self, model: str) -> Path:
        return self.processed / "predicted" / model / f"{self.stem}_quality.json"

    def doubt(self, model: str) -> Path:
        return self.processed / "predicted" / model / f"{self.stem}_doubt.nii.gz"

    @property
    def corrected_mask(self) -> Path:
        """A copy of the latest accepted revision, in the dataset's own name."""
        return self.processed / "corrected" / self.mask_name

    @property
    def revisions_folder(self) -> Path:
        """Holds the revisions of all exams; see :meth:`revision`."""
        return self.processed / "corrected" / "revisions"

    def revision(self, number: int) -> Path:
        """Mask of revision `number`, counted from 1."""
        return self.revisions_folder / f"{self.stem}{MASK_SUFFIX}.r{number:03d}.nii.gz"

    def revision_record(self, number: int) -> Path:
        """JSON of revision `number`, written after the mask, with its SHA-256."""
        return self.revisions_folder / f"{self.stem}{MASK_SUFFIX}.r{number:03d}.json"

    @property
    def events_folder(self) -> Path:
        """Holds the status changes of all exams; see :meth:`event`."""
        return self.processed / "corrected" / "events"

    def event(self, token: str) -> Path:
        """One status change without a mask; `token` makes the name unique."""
        return self.events_folder / f"{self.stem}.{token}.json"

    @property
    def levels(self) -> Path:
        """Instances and levels as a labelmap in TotalSpineSeg values."""
        return self.processed / "levels" / f"{self.stem}_LEVELS.nii.gz"

    @property
    def levels_record(self) -> Path:
        return self.processed / "levels" / f"{self.stem}_LEVELS.json"

    @property
    def metrics_path(self) -> Path:
        return self.processed / "metrics" / f"{self.stem}.json"

    @property
    def reports_folder(self) -> Path:
        """Holds the reports over all exams."""
        return self.processed / "reports"
