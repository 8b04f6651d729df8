"""From what a person types (patient ID, exam, file) to exams."""

from __future__ import annotations

from pathlib import Path

from ..dataset import Dataset, Exam, exam_from_file, parse_name
from ..errors import InputError


def resolve(target: str, dataset: Dataset | None) -> list[Exam]:
    """The exams that `target` names: all of a patient, one exam by its name, or a NIfTI file outside any dataset.

    Raises
    ------
    InputError : nothing by that name; for a patient, the nearest IDs are offered.
    """
    if is_file_name(target) and (Path(target).exists() or Path(target).name != target):
        exam = _exam_of_file(Path(target), dataset)
        return [exam]
    if dataset is None:
        raise InputError(
            f"{target!r} is neither a NIfTI file that exists nor can it be looked up without a dataset; "
            "name the folder with --dataset."
        )
    if "Study" in target:
        return [dataset.exam(parse_name(target).stem)]
    return dataset.exams(patient=target)


def resolve_one(target: str, dataset: Dataset | None) -> Exam:
    """As :func:`resolve`, for jobs that take one exam; InputError lists the choices where a patient has several."""
    exams = resolve(target, dataset)
    if len(exams) > 1:
        names = ", ".join(exam.stem for exam in exams)
        raise InputError(f"Patient {target} has {len(exams)} exams; name one of {names}.")
    return exams[0]


def is_file_name(target: str) -> bool:
    """True if `target` ends as NIfTI files do."""
    return target.lower().endswith((".nii", ".nii.gz"))


def _exam_of_file(path: Path, dataset: Dataset | None) -> Exam:
    """The dataset's exam if the file is one of its images, else an exam of its own."""
    if dataset is not None:
        for exam in dataset.exams():
            if exam.image is not None and exam.image.resolve() == path.resolve():
                return exam
    return exam_from_file(path)
