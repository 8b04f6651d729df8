"""One exam of an evaluation: a prediction and its reference become a file of figures; runs in a process of its own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import __version__, files, volume
from ..errors import Cancelled, InputError
from ..evaluation import compare
from ..spine import Labelling
from ..spine import levels as finding
from ..volume import Volume
from . import images
from .batch import sentence

SCHEMA = "cspineseg-evaluation-exam-1"


@dataclass(frozen=True)
class Task:
    """What is to be compared.

    Parameters
    ----------
    exam : its stem.
    reference, candidate : mask files.
    target : the JSON file that the figures go to.
    iou : from which on a body or disc counts as detected.
    anchor : a level and a point as a record of levels keeps them, or None.
    """

    exam: str
    reference: Path
    candidate: Path
    target: Path
    iou: float
    anchor: dict[str, Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of it: `failure` is None or a sentence; `kept` if the file was up to date."""

    exam: str
    failure: str | None = None
    kept: bool = False


def evaluate_exam(task: Task) -> Outcome:
    """Compare and write, unless the file that is there tells of the very same masks and options.

    Raises
    ------
    WriteError : the file cannot be written, which would happen to every exam alike.
    """
    try:
        content, kept = _content(task)
    except Cancelled:
        raise
    except Exception as error:
        # Whatever is wrong with one exam, the rest go on; figures of other masks must not stay behind.
        with contextlib.suppress(OSError):
            task.target.unlink(missing_ok=True)
        return Outcome(task.exam, _without_folders(sentence(error), task))
    if not kept:
        files.write_json(task.target, content)
    return Outcome(task.exam, kept=kept)


def _content(task: Task) -> tuple[dict[str, Any], bool]:
    read = {"reference": images.read(task.reference), "candidate": images.read(task.candidate)}
    asked = {
        "schema": SCHEMA,
        "exam": task.exam,
        **{side: {"file": found.path.name, "sha256": found.sha256} for side, found in read.items()},
        "iou": task.iou,
        "anchor": task.anchor,
        "cspineseg": __version__,
    }
    known = _known(task.target)
    if known is not None and all(known.get(key) == value for key, value in asked.items()):
        return known, True
    reference, candidate = (volume.as_mask(found.volume()) for found in read.values())
    # Before the levels, which take most of the time.
    candidate = volume.conform(candidate, reference)
    notes = [_without_folders(note, task) for note in (*reference.warnings, *candidate.warnings)]
    labellings, levels = [], {}
    for side, mask in zip(read, (reference, candidate), strict=True):
        same = labellings and read["candidate"].sha256 == read["reference"].sha256
        found = labellings[0] if same else _labelled(mask, side, task.anchor, notes)
        labellings.append(found)
        levels[side] = {"absolute": found.absolute, "reason": found.reason}
    figures = compare(reference, candidate, labellings=tuple(labellings), iou=task.iou)
    paper = compare(reference, candidate, convention="zhou2025")
    # They are in the record of the evaluation, once for all.
    for part in (figures, paper):
        del part["definitions"]
    content = {"levels": levels, "figures": figures, "zhou2025": paper, "notes": list(dict.fromkeys(notes))}
    return {**asked, **content}, False


def _labelled(mask: Volume, side: str, anchor: dict[str, Any] | None, notes: list[str]) -> Labelling:
    """The levels of a mask, counted from the anchor that a person gave if it meets something in this mask, too."""
    if anchor is not None:
        try:
            return finding.label(mask, anchor=(anchor["level"], anchor["point_mm"]))
        except InputError as error:
            notes.append(f"The anchor is not used for the {side}: {error}")
    return finding.label(mask)


def _known(target: Path) -> dict[str, Any] | None:
    try:
        found = files.read_json(target)
    except InputError:
        return None
    complete = isinstance(found, dict) and {"levels", "figures", "zhou2025", "notes"} <= set(found)
    return found if complete else None


def _without_folders(text: str, task: Task) -> str:
    """Results may be passed on, and a folder's name can hold a person's."""
    for path in (task.reference, task.candidate):
        text = text.replace(str(path), path.name)
    return text
