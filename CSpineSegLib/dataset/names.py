"""File names and patient IDs of the dataset: `{PatientID}_Study-MR-{n}_Series-{n}[_SEG].nii.gz`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath

from ..errors import InputError

SITE = "593973"
MASK_SUFFIX = "_SEG"
EXTENSIONS = (".nii.gz", ".nii")

# [0-9] and not \d, which also matches the digits of other scripts. Numbers carry no leading zeros, or composing a name
# from what was parsed would name another file.
_NUMBER = r"(0|[1-9][0-9]{0,8})"
_PATIENT = re.compile(rf"{SITE}-[0-9]{{6}}")
_STEM = re.compile(rf"({_PATIENT.pattern})_Study-MR-{_NUMBER}_Series-{_NUMBER}")
_SHORT_PATIENT = re.compile(rf"(?:{SITE}-)?([0-9]{{1,6}})")


@dataclass(frozen=True, order=True)
class ExamName:
    """What a file name of the dataset says; sorts by patient, then study and series as numbers.

    Raises InputError if the parts could not have been read from a file name.

    >>> ExamName("593973-000123", 130, 4).mask_name
    '593973-000123_Study-MR-130_Series-4_SEG.nii.gz'
    """

    patient_id: str
    study: int
    series: int

    def __post_init__(self) -> None:
        if not _STEM.fullmatch(self.stem):
            raise InputError(f"{self.stem!r} is not an exam of the dataset; {_EXPECTED}")

    @property
    def stem(self) -> str:
        """The name without `_SEG` and extension; it identifies the exam."""
        return f"{self.patient_id}_Study-MR-{self.study}_Series-{self.series}"

    @property
    def image_name(self) -> str:
        return f"{self.stem}.nii.gz"

    @property
    def mask_name(self) -> str:
        return f"{self.stem}{MASK_SUFFIX}.nii.gz"


_EXPECTED = f"names look like {SITE}-000123_Study-MR-130_Series-4.nii.gz, masks end in {MASK_SUFFIX}.nii.gz."


def parse_name(text: str | PurePath) -> ExamName:
    """Parse a file name or stem, with or without folder, `_SEG` and extension; InputError for any other form.

    >>> parse_name("593973-000123_Study-MR-130_Series-4_SEG.nii.gz").study
    130
    """
    match = _STEM.fullmatch(exam_stem(text))
    if not match:
        raise InputError(f"{str(text)!r} is not named as an exam of the dataset; {_EXPECTED}")
    return ExamName(match[1], int(match[2]), int(match[3]))


def exam_stem(text: str | PurePath) -> str:
    """The part of any file name that image and mask of an exam share: no folder, no extension, no `_SEG`."""
    return _plain(text).removesuffix(MASK_SUFFIX)


def is_mask(text: str | PurePath) -> bool:
    """True for a mask; `_SEG` is all that tells image and mask of an exam apart."""
    return _plain(text).endswith(MASK_SUFFIX)


def is_nifti(text: str | PurePath) -> bool:
    """True if a file is named as NIfTI and is not hidden (macOS leaves `._name.nii.gz` beside copied files)."""
    name = _last_part(text)
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def parse_patient_id(text: str | int) -> str:
    """The full patient ID for "593973-000123", "000123" or "123".

    >>> parse_patient_id("123")
    '593973-000123'
    """
    match = _SHORT_PATIENT.fullmatch(str(text).strip())
    if not match:
        raise InputError(
            f"{str(text)!r} is not a patient ID; write it as {SITE}-000123, or its number alone: 000123 or 123."
        )
    return f"{SITE}-{match[1].zfill(6)}"


def nearest_patients(wanted: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known patient IDs that were most likely meant: one digit off or swapped first, then the nearest numbers."""
    known = sorted({patient for patient in known if _PATIENT.fullmatch(patient)})
    number = int(wanted.rpartition("-")[2])
    similar = difflib.get_close_matches(wanted, known, n=1, cutoff=0.9)
    by_number = sorted(known, key=lambda patient: (abs(int(patient.rpartition("-")[2]) - number), patient))
    return list(dict.fromkeys(similar + by_number))[:count]


def _plain(text: str | PurePath) -> str:
    name = _last_part(text)
    for extension in EXTENSIONS:
        if name.lower().endswith(extension):
            return name[: -len(extension)]
    return name


def _last_part(text: str | PurePath) -> str:
    return re.split(r"[/\\]", str(text))[-1]
