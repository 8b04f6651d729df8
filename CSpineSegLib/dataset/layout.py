"""A dataset on disk: its exams as a table and as objects, whatever part of it is there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from . import folders, gold, query, tables
from .exam import Exam
from .names import ExamName, exam_stem, is_mask, is_nifti, nearest_patients, parse_name, parse_patient_id
from .wording import some

if TYPE_CHECKING:
    import pandas

# Nullable types throughout, so that what a table does not say stays unknown instead of becoming 0, "nan" or False.
COLUMNS = {
    "stem": "string",
    "patient_id": "string",
    "study": "Int64",
    "series": "Int64",
    "age": "Float64",
    "age_over_89": "boolean",
    "sex": "string",
    "race": "string",
    "ethnicity": "string",
    "manufacturer": "string",
    "model": "string",
    "field_strength": "Float64",
    "study_uid": "string",
    "series_uid": "string",
    "series_description": "string",
    "source": "string",
    "image": "string",
    "mask": "string",
}
FIELDS = tuple(COLUMNS)[4:15]


@dataclass(frozen=True, eq=False)
class Dataset:
    """The exams of a folder, in the order of patient, study and series; made by :meth:`open`.

    `root` is the dataset's folder, `processed` takes all outputs, and `problems` says in sentences what does not fit
    (files without a table row and the reverse, missing tables, ...): the rest works.
    """

    root: Path
    processed: Path
    problems: list[str]
    _exams: Mapping[str, Exam] = field(repr=False)

    @classmethod
    def open(cls, root: Path | str, gold_list: Path | str | None = None) -> Dataset:
        """Read names and tables; no image is opened.

        Parameters
        ----------
        root : the release's root, a folder with `annotation/`, `segmentation/` or `structured/`, or a flat folder of
            NIfTI files.
        gold_list : list of the exams that experts annotated, see `gold.read_list`; None looks for `splits/gold.txt`
            (`.tsv`, `.csv`, `.json`). With a list every other exam is Silver, without one all are "unknown".

        Raises
        ------
        InputError : the folder is missing, empty or no dataset; a table or the Gold list cannot be used.
        """
        places = folders.find(root)
        files = folders.scan(places)
        named, others = _parsed({**files.images, **files.masks})
        content = tables.read(places.tables, named)
        if not content.fields and not others:
            raise InputError(f"The dataset folder {places.root} holds no exam: no image, no mask and no table row.")
        stems = {name.stem: name for name in sorted(content.fields)} | dict.fromkeys(sorted(others))
        list_path = Path(gold_list).expanduser() if gold_list is not None else gold.find_list(places.splits)
        sources = gold.assign({stem: name.patient_id if name else None for stem, name in stems.items()}, list_path)
        exams = {
            stem: Exam(
                stem=stem,
                patient_id=name.patient_id if name else None,
                study=name.study if name else None,
                series=name.series if name else None,
                image=files.images.get(stem),
                mask=files.masks.get(stem),
                source=sources.by_stem[stem],
                processed=places.processed,
                fields=dict.fromkeys(FIELDS) | content.fields.get(name, {}),
            )
            for stem, name in stems.items()
        }
        problems = files.problems + content.problems + _differences(places, files, content.file_names, exams)
        return cls(places.root, places.processed, problems + sources.problems, exams)

    def table(self) -> pandas.DataFrame:
        """One row per exam with the columns of `COLUMNS`; `image` and `mask` are paths as text, unknown is NA."""
        import pandas

        rows = [_row(exam) for exam in self._exams.values()]
        return pandas.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)

    def exam(self, stem: str) -> Exam:
        """One exam by its stem or a file name of it; InputError offers similar names."""
        found = self._exams.get(exam_stem(stem))
        if found is None:
            near = difflib.get_close_matches(exam_stem(stem), self._exams, n=3, cutoff=0.8)
            hint = f"did you mean {some(near)}?" if near else "list the exams to see their names."
            raise InputError(f"There is no exam {stem} in {self.root}; {hint}")
        return found

    def exams(
        self,
        patient: str | int | None = None,
        study: int | None = None,
        source: str | None = None,
        manufacturer: str | None = None,
        field_strength: float | None = None,
        query: str | None = None,
    ) -> list[Exam]:
        """The exams that meet every condition given, in order.

        Parameters
        ----------
        patient : an ID as `names.parse_patient_id` reads it.
        source : "gold", "silver" or "unknown".
        manufacturer : the beginning of its name, in any case ("ge", "Siemens").
        field_strength : in tesla, to 0.1.
        query : an expression over the columns of :meth:`table`, see `query.select`.

        Raises
        ------
        InputError : the patient is malformed or not there (the nearest IDs are offered), the source is not one of the
            three, or the query is not understood.
        """
        if source is not None and source not in gold.SOURCES:
            raise InputError(f"{source!r} is not a source of masks; choose {', '.join(gold.SOURCES)}.")
        found = list(self._exams.values()) if patient is None else self._of_patient(patient)
        if study is not None:
            found = [exam for exam in found if exam.study == study]
        if source is not None:
            found = [exam for exam in found if exam.source == source]
        if manufacturer is not None:
            wanted = manufacturer.casefold()
            found = [exam for exam in found if (exam.fields["manufacturer"] or "").casefold().startswith(wanted)]
        if field_strength is not None:
            found = [exam for exam in found if _near(exam.fields["field_strength"], field_strength)]
        if query is not None:
            chosen = self._matching(query)
            found = [exam for exam in found if exam.stem in chosen]
        return found

    def _of_patient(self, patient: str | int) -> list[Exam]:
        wanted = parse_patient_id(patient)
        found = [exam for exam in self._exams.values() if exam.patient_id == wanted]
        if not found:
            near = nearest_patients(wanted, {exam.patient_id or "" for exam in self._exams.values()})
            hint = f"the nearest are {', '.join(near)}." if near else "its files do not carry patient IDs."
            raise InputError(f"Patient {wanted} is not in {self.root}; {hint}")
        return found

    def _matching(self, expression: str) -> set[str]:
        return set(query.select(self.table(), expression)["stem"])

    def __len__(self) -> int:
        return len(self._exams)


def exam_from_file(path: Path | str) -> Exam:
    """An exam from a single NIfTI file.

    Outside any dataset its outputs go to `<folder>/<stem>_cspineseg/`, where the stem is the file's name without
    `.nii` or `.nii.gz`. A file that lies in a dataset's `annotation/` is that dataset's exam, since nothing may be
    written beside it. Only the name is looked at; `volume.read` judges the content.

    Raises
    ------
    InputError : missing, not named as NIfTI, or a mask.
    """
    path = folders.absolute(path)
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path.")
    if not path.is_file() or not is_nifti(path.name):
        raise InputError(f"{path} is not a NIfTI file; give a file that ends in .nii.gz or .nii.")
    if is_mask(path.name):
        raise InputError(f"{path} is named as a mask (it ends in _SEG); give the image that it belongs to.")
    if folders.belongs_to_release(path):
        dataset = Dataset.open(path.parent)
        if exam_stem(path.name) in dataset._exams:
            return dataset.exam(path.name)
        outputs = dataset.processed
    else:
        outputs = path.parent / f"{exam_stem(path.name)}_cspineseg"
    name = _name(exam_stem(path.name))
    parts: tuple[Any, ...] = (name.patient_id, name.study, name.series) if name else (None, None, None)
    return Exam(exam_stem(path.name), *parts, path, None, gold.UNKNOWN, outputs, dict.fromkeys(FIELDS))


def _row(exam: Exam) -> dict[str, Any]:
    row = {column: exam.fields[column] for column in FIELDS}
    row.update({column: getattr(exam, column) for column in ("stem", "patient_id", "study", "series", "source")})
    row.update(image=exam.image and str(exam.image), mask=exam.mask and str(exam.mask))
    return row


def _near(value: float | None, wanted: float) -> bool:
    return value is not None and abs(value - wanted) < 0.1


def _name(stem: str) -> ExamName | None:
    try:
        return parse_name(stem)
    except InputError:
        return None


def _parsed(stems: Mapping[str, Path]) -> tuple[set[ExamName], set[str]]:
    """The stems that are the dataset's names, parsed, and the others."""
    names = {stem: _name(stem) for stem in stems}
    return {name for name in names.values() if name}, {stem for stem, name in names.items() if name is None}


def _differences(
    places: folders.Folders, files: folders.Files, named: set[str] | None, exams: Mapping[str, Exam]
) -> list[str]:
    """Sentences about what the tables name but the disk lacks, the reverse, and images without a mask."""
    sentences = []
    known = [exam for exam in exams.values() if exam.name]
    if named is not None:
        lost_images = [e.stem for e in known if e.image is None and e.name.image_name in named]
        lost_masks = [e.stem for e in known if e.mask is None and e.name.mask_name in named]
        unnamed = [e.stem for e in known if not {e.name.image_name, e.name.mask_name} & named]
        for kind, lost, folder in (("images", lost_images, places.images), ("masks", lost_masks, places.masks)):
            if lost:
                sentences.append(f"{len(lost)} {kind} that annotation_file names are not in {folder}: {some(lost)}.")
        if unnamed:
            sentences.append(f"{len(unnamed)} exams are on disk but not in annotation_file: {some(unnamed)}.")
    bare = [stem for stem in files.masks if stem not in files.images]
    if bare:
        sentences.append(f"{len(bare)} masks have no image on disk: {some(bare)}.")
    return sentences
