"""Which exams two evaluations share, and which they do not."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import anatomy, files
from ..errors import InputError
from .results import OK, Results

if TYPE_CHECKING:
    import pandas

# How the note of a level row begins whose element the reference lacks; see `rows`.
EXTRA = "extra"
OTHER_MASK = "measured against another mask"


@dataclass(frozen=True, eq=False)
class Model:
    """An evaluation with its figures sorted, since looking through the whole table for each takes minutes.

    Parameters
    ----------
    name : what it is called.
    results : the evaluation.
    figures : values by exam, of each (structure, kind, metric).
    """

    name: str
    results: Results
    figures: Mapping[tuple[str, str, str], pandas.Series]

    @property
    def levels(self) -> set[str]:
        """Levels with a name of their own; while levels are relative, elements are "vertebra 3" and the like."""
        return {structure for structure, kind, _ in self.figures if kind == "level" and " " not in structure}


@dataclass(frozen=True, eq=False)
class Pairing:
    """Two evaluations on the exams that both have.

    Parameters
    ----------
    first, second : the evaluations.
    exams : in both, against the same mask, in the first one's order.
    left : (exam, reason) of the others.
    """

    first: Model
    second: Model
    exams: tuple[str, ...]
    left: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, str]:
        return self.first.name, self.second.name

    @property
    def label(self) -> str:
        return " - ".join(self.names)

    def values(self, structure: str, kind: str, metric: str) -> pandas.DataFrame:
        """One figure of both by exam, columns `first` and `second`, of the exams in which either has it."""
        from pandas import DataFrame

        key = structure, kind, metric
        sides = {"first": self.first, "second": self.second}
        both = DataFrame({side: model.figures[key] for side, model in sides.items() if key in model.figures})
        return both.reindex(columns=list(sides)).loc[[exam for exam in self.exams if exam in both.index]]

    @property
    def levels(self) -> list[str]:
        """Levels that either has figures of, from head to foot: bodies and blocks, then discs."""
        return sorted(self.first.levels | self.second.levels, key=place)

    def patients(self, exams: Any) -> np.ndarray:
        """The patient of each exam, the exam's own name where nobody knows."""
        known = self.first.results.exams["patient"].fillna(self.second.results.exams["patient"])
        return np.array([known.get(exam) or f"exam {exam}" for exam in exams], object)


def model(name: str, results: Results, metrics: Sequence[str]) -> Model:
    """An evaluation with these figures of it; of levels only those that the reference has."""
    rows = results.table[results.table["metric"].isin(metrics)]
    extra = (rows["kind"] == "level") & rows["note"].fillna("").str.startswith(EXTRA)
    # A level that the reference has twice, as after a wrong name, counts once, with the mean.
    means = rows[~extra].groupby(["structure", "kind", "metric", "exam"], sort=False)["value"].mean()
    parts = means.groupby(level=["structure", "kind", "metric"], sort=False)
    return Model(name, results, {key: part.droplevel([0, 1, 2]) for key, part in parts})


def counted(number: int, thing: str) -> str:
    """A number with its noun.

    >>> counted(1, "exam"), counted(2, "exam")
    ('1 exam', '2 exams')
    """
    return f"{number} {thing}{'' if number == 1 else 's'}"


def place(level: str) -> tuple[int, int, str]:
    """Bodies before discs, each from head to foot."""
    order = [one.name for one in anatomy.levels()]
    first = level.split("+")[0]
    return ("-" in level, order.index(first) if first in order else len(order), level)


def names(results: Sequence[Results]) -> list[str]:
    """A name for each evaluation that tells it from the others: of the predictions, else the end of its path.

    InputError if there are fewer than two, or the same one twice.
    """
    if len(results) < 2:
        raise InputError("A comparison needs two evaluations; name their folders, made by cspineseg evaluate.")
    folders = [Path(one.folder).resolve() for one in results]
    for place, folder in enumerate(folders):
        if folder in folders[:place]:
            raise InputError(f"{results[place].folder} was named twice; a model cannot be compared with itself.")
    named = [one.predictions for one in results]
    return named if len(set(named)) == len(named) else tails(folders)


def tails(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of different paths that tell all of them apart; whole paths can hold a person's name.

    >>> tails([Path("/home/anna/first/gold"), Path("/home/anna/second/gold")])
    ['first/gold', 'second/gold']
    """
    parts = [Path(folder).resolve().parts for folder in folders]
    for count in range(1, max(map(len, parts))):
        found = ["/".join(one[-count:]) for one in parts]
        if len(set(found)) == len(found):
            return found
    return list(map(str, folders))


def ruler(results: Sequence[Results]) -> str:
    """What all were measured against; InputError if they were not measured against the same."""
    for one in results[1:]:
        if one.ruler != results[0].ruler:
            raise InputError(
                f"{results[0].folder} was measured against {results[0].ruler} and {one.folder} against {one.ruler}; "
                "evaluate both against the same reference."
            )
    return results[0].ruler


def pair(first: Model, second: Model) -> Pairing:
    """The exams that both have; InputError if there are none."""
    models = first, second
    states = [one.results.exams["status"].to_dict() for one in models]
    folders = [Path(one.results.folder) for one in models]
    left, shared = [], []
    for exam in dict.fromkeys((*states[0], *states[1])):
        missing = [
            f"{one.name} {state[exam]}" if exam in state else f"not in {one.name}"
            for one, state in zip(models, states, strict=True)
            if state.get(exam) != OK
        ]
        if missing:
            left.append((exam, "; ".join(missing)))
        elif _is_other_mask(folders, exam):
            left.append((exam, OTHER_MASK))
        else:
            shared.append(exam)
    if not shared:
        raise InputError(
            f"{folders[0]} and {folders[1]} have no exam in common that was measured against the same mask, so "
            "there is nothing to compare; evaluate both models on the same exams."
        )
    return Pairing(first, second, tuple(shared), tuple(left))


def same_predictions(first: Results, second: Results) -> bool:
    """Whether two evaluations are of one set of predictions: the same name, and no exam with another mask."""
    both = first.usable.index.intersection(second.usable.index)
    folders = [Path(one.folder) for one in (first, second)]
    return first.predictions == second.predictions and not any(
        _is_other_mask(folders, exam, "candidate") for exam in both
    )


def _is_other_mask(folders: Sequence[Path], exam: str, side: str = "reference") -> bool:
    """Whether the figures of an exam rest on different masks; not known if no file tells."""
    hashes = set()
    for folder in folders:
        with contextlib.suppress(InputError, KeyError, TypeError):
            hashes.add(files.read_json(folder / "exams" / f"{exam}.json")[side]["sha256"])
    return len(hashes) > 1


def left_out(pairs: Sequence[Pairing]) -> pandas.DataFrame:
    """Columns `pair`, `exam` and `reason`."""
    from pandas import DataFrame

    rows = [(one.label, exam, reason) for one in pairs for exam, reason in one.left]
    return DataFrame(rows, columns=["pair", "exam", "reason"])


def warnings(pairs: Sequence[Pairing]) -> list[str]:
    """What forbids to take a pair's figures for those of all exams."""
    found = []
    for one in pairs:
        other = sum(reason == OTHER_MASK for _, reason in one.left)
        if other:
            found.append(
                f"{one.label}: left out {counted(other, 'exam')} measured against different reference masks; "
                "evaluate the older one again."
            )
    return found
