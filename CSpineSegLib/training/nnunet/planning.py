"""Names, parts and folds of an export's cases, before and after their files are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from . import cases, folds, parts
from .cases import Case, Record
from .choosing import Choice, Chosen
from .parts import TEST, TRAIN

_FILES = ("image_sha256", "mask_sha256", "how", "written_image", "written_label", "notes")


def plan(choice: Choice, former: Record | None, seed: int) -> list[Case]:
    """All cases with names and folds, those for training first; what was recorded of files already there is kept.

    Raises
    ------
    InputError : there are too few patients for the folds.
    """
    known = {case.exam: case for case in former.cases} if former else {}
    names = cases.numbered((one.exam.stem for one in choice.chosen), tuple(known.values()))
    held_out = _folds(choice.chosen, choice, known, seed)
    planned = []
    for one in choice.chosen:
        case = _case(one, names[one.exam.stem], held_out.get(parts.patient(one.exam)))
        before = known.get(case.exam)
        if before is not None and before.part == case.part:
            case = replace(case, **{key: getattr(before, key) for key in _FILES})
        planned.append(case)
    return sorted(planned, key=lambda case: (case.part != TRAIN, case.number))


def refolded(found: Sequence[Case], choice: Choice, former: Record | None, seed: int) -> list[Case]:
    """The cases that are left with folds drawn among them alone; InputError if they are too few."""
    known = {case.exam: case for case in former.cases} if former else {}
    left = {case.exam for case in found}
    held_out = _folds([one for one in choice.chosen if one.exam.stem in left], choice, known, seed)
    return [replace(case, fold=held_out[case.patient]) if case.part == TRAIN else case for case in found]


def _folds(chosen: Sequence[Chosen], choice: Choice, known: Mapping[str, Case], seed: int) -> dict[str, int]:
    """The fold of every training patient: as the split says, else as before, else drawn."""
    closed = choice.split.closed
    training = [one for one in chosen if one.part.part == TRAIN]
    strata: dict[str, list[str]] = {}
    fixed: dict[str, int] = {}
    for one in training:
        patient = parts.patient(one.exam)
        strata.setdefault(patient, []).append(one.stratum)
        before = known.get(one.exam.stem)
        if before is not None and before.fold is not None and before.fold not in closed:
            fixed.setdefault(patient, before.fold)
    fixed |= {parts.patient(one.exam): one.part.fold for one in training if one.part.fold is not None}
    return folds.assign(strata, choice.split.folds, seed=seed, fixed=fixed, closed=closed)


def _case(one: Chosen, name: str, fold: int | None) -> Case:
    exam, mask = one.exam, one.mask
    return Case(
        case=name,
        exam=exam.stem,
        patient=parts.patient(exam),
        part=TEST if one.part.part == TEST else TRAIN,
        fold=None if one.part.part == TEST else fold,
        source=exam.source,
        stratum=one.stratum,
        mask=one.kind,
        revision=mask.revision.number if mask and mask.revision else None,
        model=mask.model if mask else None,
        image_file=str(exam.image),
        mask_file=str(mask.path) if mask else None,
    )
