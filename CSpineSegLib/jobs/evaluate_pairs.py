"""Which predictions are compared with which references, and what is left over on either side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import files
from ..dataset import SOURCES, Dataset, Exam, tsv
from ..dataset.names import MASK_SUFFIX, exam_stem, is_mask, is_nifti
from ..dataset.wording import some
from ..errors import InputError
from ..review import masks

GOLD, SILVER = "gold", "silver"
# nnU-Net's names of cases, where this software exported them.
CASES = "cspineseg_cases.tsv"
# Written by this software beside masks, and none of them.
_BESIDE = ("_doubt", "_LEVELS", "_INSTANCES")


@dataclass(frozen=True)
class Pair:
    """One exam: its mask files, and what the dataset knows of it, if there is one."""

    stem: str
    reference: Path
    candidate: Path
    exam: Exam | None


@dataclass
class Pairs:
    """What can be compared, and what cannot.

    Parameters
    ----------
    predictions, ruler : names of the two sides.
    pairs : in the order of their stems.
    without_reference, without_prediction : stems. other_source : stems of predictions of exams of the other kind.
    failures : sentence by stem, of pairs that cannot be used.
    warnings : sentences.
    """

    predictions: str
    ruler: str
    pairs: list[Pair] = field(default_factory=list)
    without_reference: list[str] = field(default_factory=list)
    without_prediction: list[str] = field(default_factory=list)
    other_source: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def find(predictions: Path | str, reference: Path | str, dataset: Dataset | None, names: Mapping[str, str]) -> Pairs:
    """Pair two sets of masks by the exams' stems.

    Parameters
    ----------
    predictions : a folder of masks, or the name of a model that has segmented exams of the dataset.
    reference : "gold", "silver", or a folder of masks.
    names : other name of an exam -> stem, see :func:`read_cases`.

    Raises
    ------
    InputError : one of them is not there, or names an exam twice; "gold" or "silver" without a dataset or a Gold list;
        no exam is in both.
    """
    name, found, model = _predictions(predictions, dataset, names)
    exams = {exam.stem: exam for exam in dataset.exams()} if dataset is not None else {}
    ruler, references = _references(reference, exams, names)
    pairs = Pairs(name, ruler)
    if dataset is not None:
        told = (problem.partition(" lists ") for problem in dataset.problems if " lists " in problem)
        # Records may be passed on, and a folder's name can hold a person's.
        pairs.warnings += [f"{Path(where).name}{lists}{what}" for where, lists, what in told]
    for stem in sorted(found.keys() | references.keys()):
        if stem not in references:
            other = ruler in SOURCES and stem in exams and exams[stem].source != ruler
            (pairs.other_source if other else pairs.without_reference).append(stem)
        elif stem not in found:
            pairs.without_prediction.append(stem)
        elif model is not None and model in masks.edited_predictions(exams[stem]):
            pairs.failures[stem] = masks.edited_sentence(exams[stem], model).replace(str(found[stem]), found[stem].name)
        else:
            pairs.pairs.append(Pair(stem, references[stem], found[stem], exams.get(stem)))
    if pairs.pairs and all(pair.candidate.resolve() == pair.reference.resolve() for pair in pairs.pairs):
        raise InputError(f"The predictions and the references are the same files, in {name}; name two sets of masks.")
    if not pairs.pairs and not pairs.failures:
        raise InputError(
            f"No exam is among both: {len(found)} predictions in {name} ({some(sorted(found))}) and {len(references)} "
            f"references of {ruler} ({some(sorted(references))}); check the names of the files."
        )
    return pairs


def masks_in(folder: Path, names: Mapping[str, str] | None = None) -> dict[str, Path]:
    """The masks in a folder by exam: `<stem>_SEG.nii.gz`, or `<stem>.nii.gz` as nnU-Net names them.

    Raises
    ------
    InputError : it cannot be listed, holds no mask, or two of one exam.
    """
    try:
        listed = sorted(path.name for path in folder.iterdir() if is_nifti(path.name))
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read ({error.strerror or error}).") from None
    found: dict[str, Path] = {}
    for name in listed:
        stem = exam_stem(name)
        if not is_mask(name) and any(stem.endswith(ending) for ending in _BESIDE):
            continue
        stem = (names or {}).get(stem, stem)
        if stem in found:
            raise InputError(
                f"{folder} holds two files of {stem} ({found[stem].name} and {name}), and only one can be its mask; "
                "move the other one away."
            )
        found[stem] = folder / name
    if not found:
        raise InputError(
            f"{folder} holds no mask; masks are named <exam>{MASK_SUFFIX}.nii.gz, or <exam>.nii.gz as nnU-Net does."
        )
    return found


def read_cases(folders: Iterable[Path]) -> dict[str, str]:
    """nnU-Net's case -> exam, from the tables that an export for nnU-Net left in one of these folders."""
    found: dict[str, str] = {}
    for folder in folders:
        if (folder / CASES).is_file():
            found.update({row["case"]: row["exam"] for row in tsv.read(folder / CASES, ("case", "exam"))})
            # Files are named by them.
            strange = [exam for exam in found.values() if exam in ("", ".", "..") or set(exam) & set("/\\:")]
            if strange:
                raise InputError(f"{folder / CASES} names the exam {strange[0]!r}, which no file can be called.")
    return found


def read_folds(path: Path, names: Mapping[str, str]) -> dict[str, int]:
    """Exam -> the fold that held it out, from nnU-Net's `splits_final.json`.

    Raises
    ------
    InputError : it is no such file, or holds an exam out twice, or both trains on it and holds it out.
    """
    content, found = files.read_json(path), {}
    try:
        folds = [[[exam_stem(str(case)) for case in fold[side]] for side in ("train", "val")] for fold in content]
    except (TypeError, KeyError):
        folds = []
    if not folds:
        raise InputError(f"{path} is not a file of folds; give nnU-Net's splits_final.json.")
    for number, (train, held) in enumerate(folds):
        both = sorted(set(train) & set(held))
        if both:
            raise InputError(f"{path} trains on {both[0]} in fold {number} and also holds it out; make the folds anew.")
        for case in held:
            stem = names.get(case, case)
            if stem in found:
                raise InputError(
                    f"{path} holds {stem} out in the folds {found[stem]} and {number}; make the folds anew."
                )
            found[stem] = number
    return found


def _predictions(
    given: Path | str, dataset: Dataset | None, names: Mapping[str, str]
) -> tuple[str, dict[str, Path], str | None]:
    """Their name, mask files by exam, and the model's name if they are a model's."""
    text = str(given)
    if dataset is not None and text.strip() and Path(text).name == text:
        folder = dataset.processed / "predicted" / text
        if folder.is_dir():
            return text, masks_in(folder), text
    folder = Path(text).expanduser()
    if text.strip() and folder.is_dir():
        return folder.resolve().name, masks_in(folder, {**read_cases([folder]), **names}), None
    known = []
    if dataset is not None and (dataset.processed / "predicted").is_dir():
        known = sorted(path.name for path in (dataset.processed / "predicted").iterdir() if path.is_dir())
    hint = f"models that segmented this dataset: {', '.join(known)}" if known else "check the path"
    raise InputError(f"{text!r} is neither a folder of masks nor a model that has segmented this dataset; {hint}.")


def _references(given: Path | str, exams: Mapping[str, Exam], names: Mapping[str, str]) -> tuple[str, dict[str, Path]]:
    if str(given) not in (GOLD, SILVER):
        folder = Path(given).expanduser()
        if not str(given).strip() or not folder.is_dir():
            raise InputError(f"The reference {str(given)!r} is no folder; give gold, silver or a folder of masks.")
        name = folder.resolve().name
        # Figures against Gold and Silver are never mixed, nor what looks like them.
        name = f"folder {name}" if name.lower() in SOURCES else name
        return name, masks_in(folder, {**read_cases([folder]), **names})
    ruler = str(given)
    if not exams:
        raise InputError(f"The reference {ruler} needs a dataset: name its folder with --dataset.")
    if not any(exam.source in (GOLD, SILVER) for exam in exams.values()):
        raise InputError(
            f"The reference {ruler} needs the list of the exams that experts annotated, which nothing in the dataset "
            "tells: give it with --gold-list, or as splits/gold.txt in the dataset."
        )
    of_kind = {stem: exam.mask for stem, exam in exams.items() if exam.source == ruler and exam.mask is not None}
    if not of_kind:
        raise InputError(f"No exam of this dataset is {ruler} and has a mask on disk; check the Gold list.")
    return ruler, of_kind
