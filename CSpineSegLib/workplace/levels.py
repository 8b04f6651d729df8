"""Levels and measurements of the mask on the screen: found, named by a person, and put into words.

Of the mask that counts for its exam they are written, or read again, by :func:`jobs.levels`, as by every front end. Of
any other mask, drawn on or of a second reader, they are found in memory and nothing is written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import volume
from ..errors import Cancelled, CSpineSegError, InputError
from ..progress import Progress, ensure
from ..volume import Volume

if TYPE_CHECKING:
    from ..spine import Element, Labelling
    from .desk import Workplace

# In place of the name of a body or disc: the spine as a whole.
SPINE = ""
# What became of the findings: written now, or before; or why they were not.
WRITTEN, READY, CHANGED, BLIND, OTHER, FAILED = "written", "ready", "changed", "blind", "other", "failed"
_HEIGHTS = ("middle_height", "disc_middle_height")
_OF_SPINE = ("cobb_c2_c7", "lordosis_type", "coronal_angle", "segmental_angle", "listhesis")
_UNITS = {"deg": "°", "mm3": "mm³"}

Anchor = tuple[str, Sequence[float]]


@dataclass(frozen=True)
class Row:
    """A body, disc or block, as a table shows it.

    Parameters
    ----------
    name : "C5", "C5-C6" (a disc), "C5-C6 block", or "body 4" while levels are relative.
    kind : "body", "disc" or "block".
    sure : 0 to 1, how sure its name is.
    height : "12.3 ± 1.1" mm in its middle, or "" if it was not measured.
    mm3 : its volume, all its voxels.
    note : what is remarkable about it, or "".
    place : (3,) RAS mm, its centre.
    """

    name: str
    kind: str
    sure: float
    height: str
    mm3: float
    note: str
    place: tuple[float, float, float]


@dataclass(frozen=True)
class Measured:
    """A measurement in words.

    Parameters
    ----------
    key : of its definition. title : what it is; of : which part of the spine ("C3-C4"), or "".
    value : "12.3 ± 1.1" (95 %); "" if it was not measured, and `reason` says why.
    unit : "mm", "°", "mm³" or "".
    remark : what to know about it, or "".
    meaning : its definition, a sentence or two.
    """

    key: str
    title: str
    of: str
    value: str
    unit: str
    reason: str
    remark: str
    meaning: str


@dataclass(frozen=True, eq=False)
class Found:
    """Levels and measurements of a mask.

    Parameters
    ----------
    labelling : on the grid of `mask`.
    content : all of it as plain values, see Docs/batch.md.
    voxels : (I, J, K) the mask on the image's grid that they were found in.
    state : :data:`WRITTEN` and so on. problem : why nothing was written, for :data:`FAILED`.
    anchor : the level that a person gave, with its point (RAS, mm); None without.
    forsaken : an anchor that was given before and meets nothing of this mask; it was not used.
    """

    labelling: Labelling = field(repr=False)
    mask: Volume = field(repr=False)
    content: dict[str, Any] = field(repr=False)
    voxels: np.ndarray = field(repr=False)
    state: str
    problem: str = ""
    anchor: Anchor | None = None
    forsaken: Anchor | None = None

    @property
    def reason(self) -> str:
        """What the names rest on, or why there are none: a sentence."""
        return self.content["reason"]

    @property
    def specks(self) -> int:
        """Pieces that belong to no body or disc."""
        return len(self.content["specks"])

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """From head to foot."""
        sizes = {one["number"]: one["volume_mm3"] for one in self.content["instances"]}
        heights = {row["of"]: row for row in self.content["measurements"] if row["key"] in _HEIGHTS}
        return tuple(
            Row(
                one["name"],
                one["kind"],
                one["confidence"],
                value_text(heights.get(one["name"], {})),
                sum(sizes[number] for number in one["instances"]),
                one["note"],
                tuple(self.content["landmarks"][one["name"]]["centre"]),
            )
            for one in self.content["elements"]
        )

    def measured(self, name: str = SPINE) -> tuple[Measured, ...]:
        """The measurements of a body, disc or block by its name, or of the spine."""
        from ..spine.measuring import definition

        found = []
        for row in self._about(name):
            told = definition(row["key"])
            remark = "; ".join(filter(None, (row["category"], row["note"])))
            unit = _UNITS.get(row["unit"], row["unit"])
            of = row["of"] if name == SPINE and row["of"] not in row["title"] else ""
            text = value_text(row)
            found.append(Measured(row["key"], row["title"], of, text, unit, row["reason"], remark, told.text))
        return tuple(found)

    def _about(self, name: str) -> list[dict[str, Any]]:
        """The measurements of a body, disc or block; of the spine those of the whole first."""
        rows = self.content["measurements"]
        if name != SPINE:
            return [row for row in rows if row["of"] == name and row["key"] not in _OF_SPINE]
        return sorted((row for row in rows if row["key"] in _OF_SPINE), key=lambda row: _OF_SPINE.index(row["key"]))

    def point_of(self, number: int) -> tuple[float, float, float]:
        """A point (RAS, mm) within the body or disc of a row, to name it by; of a block, in its uppermost vertebra."""
        element = self.labelling.elements[number]
        if element.spans < 2:
            return self.rows[number].place
        return _in_first(self.labelling, self.mask, element)


def _in_first(labelling: Labelling, mask: Volume, element: Element) -> tuple[float, float, float]:
    """The middle of the first vertebra of a block, if its vertebrae share its length alike."""
    index = np.argwhere(labelling.mask_of(element)).astype(np.float64)
    points = index @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    middle = points.mean(axis=0)
    away = np.linalg.norm(labelling.line_mm - middle, axis=1).argmin()
    near = labelling.line_mm[max(away - 2, 0) : away + 3]
    down = (near[-1] - near[0]) / max(float(np.linalg.norm(near[-1] - near[0])), 1e-6)
    along = (points - middle) @ down
    low, high = np.quantile(along, (0.01, 0.99))
    wanted = low + (high - low) / (2 * element.spans)
    inside = points[np.abs(along - wanted) <= max(1.0, float(np.abs(along - wanted).min()))]
    return tuple(float(value) for value in inside.mean(axis=0))


class Finding:
    """Finds the levels of one open exam, as often as its mask or what a person knows of it changes."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self.session = workplace.need_session()
        # A level that was given and could not be written, or jobs.NO_ANCHOR.
        self._given: Anchor | str | None = None

    def find(self, anchor: Anchor | str | None = None, progress: Progress | None = None) -> Found:
        """Levels and measurements of the mask on the screen.

        Parameters
        ----------
        anchor : a level and a point (3,) RAS mm in it, which a person knows; :data:`jobs.NO_ANCHOR` forgets what was
            given before. Without, what was given before is used again.

        Raises
        ------
        CSpineSegError : the mask cannot be read, or the anchor meets nothing of it; nothing is changed then.
        """
        progress = ensure(progress)
        # Somebody may go on drawing while levels are found.
        mask = self.workplace.mask()
        state, problem = self._standing(), ""
        asked = anchor if anchor is not None else self._given
        if state == WRITTEN:
            try:
                return self._remember(asked, self._written(asked, mask.array, progress))
            except Cancelled:
                raise
            except CSpineSegError as error:
                state, problem = FAILED, str(error)
        found = self._in_memory(mask, asked, anchor is not None, state, problem, progress)
        if anchor is not None and state in (CHANGED, OTHER):
            self._keep(anchor)
        return self._remember(asked, found)

    def is_current(self, found: Found) -> bool:
        """Whether the mask on the screen is still the one that something was found in."""
        return np.array_equal(self.workplace.mask().array, found.voxels)

    def _standing(self) -> str:
        """Whether the mask on the screen is the one that counts, whose levels are written, or what else it is."""
        from ..review import masks

        session = self.session
        if self.workplace.is_changed():
            return CHANGED
        if session.blind:
            return BLIND
        counts = masks.best_mask(session.exam)
        same = counts is not None and session.start is not None and counts.path == session.start.path
        return WRITTEN if same else OTHER

    def _written(self, asked: Anchor | str | None, voxels: np.ndarray, progress: Progress) -> Found:
        from .. import jobs

        result = jobs.levels(self.session.exam, anchor=asked, progress=progress)
        if result.content["source"]["sha256"] != self.session.origin.sha256:
            raise InputError(f"{self.session.exam.stem} has another mask on disk by now; open it again to see that.")
        labelling = result.labelling()
        # On its file's own grid, which has the image's place but perhaps another order of voxels.
        mask = volume.read(result.paths.instances)
        state = READY if result.skipped else WRITTEN
        kept = result.content["anchor"]
        anchor = (kept["level"], tuple(kept["point_mm"])) if kept else None
        return Found(labelling, mask, result.content, voxels, state, anchor=anchor)

    def _in_memory(
        self, mask: Volume, asked: Anchor | str | None, is_new: bool, state: str, problem: str, progress: Progress
    ) -> Found:
        from ..jobs import NO_ANCHOR
        from ..spine import label, measuring, outputs

        anchor = self._kept() if asked is None else None if asked == NO_ANCHOR else asked
        forsaken = None
        progress.update("Finding levels", 0.1)
        try:
            labelling = label(mask, anchor=anchor)
        except InputError:
            if is_new or anchor is None:
                raise
            # The names of a mask that was drawn on must not depend on where somebody clicked before.
            anchor, forsaken = None, anchor
            labelling = label(mask)
        progress.update("Measuring", 0.6)
        content = {**outputs.to_json(labelling), "measurements": measuring.measure(labelling, mask).table()}
        content["warnings"] = list(mask.warnings)
        progress.update("Done", 1.0)
        return Found(labelling, mask, content, mask.array, state, problem, anchor, forsaken)

    def _kept(self) -> Anchor | None:
        """The level that was given before, and is kept in the exam's record; a second reader is told none."""
        from ..jobs import level_files

        if self.session.blind:
            return None
        try:
            record = level_files.read(level_files.of_exam(self.session.exam), force=True)
            kept = record["anchor"] if record is not None else None
            return (kept["level"], tuple(kept["point_mm"])) if kept else None
        except (CSpineSegError, KeyError, TypeError):
            return None

    def _keep(self, anchor: Anchor | str) -> None:
        """Write a level that was given for a mask that is not written, so that it is known next time."""
        from .. import jobs

        try:
            jobs.levels(self.session.exam, anchor=anchor)
        except CSpineSegError:
            # The mask that counts may have nothing there, or not exist; the level is known while the exam is open.
            return
        self._given = None

    def _remember(self, asked: Anchor | str | None, found: Found) -> Found:
        if found.state in (WRITTEN, READY):
            self._given = None
        elif asked is not None and found.forsaken is None:
            self._given = asked
        return found


def names() -> list[str]:
    """The levels that a person can give: vertebrae from C2 to T12, then the discs between them."""
    from .. import anatomy
    from ..spine import sizes

    bodies = list(sizes.NAMES[: sizes.LAST_NAMED + 1])
    known = {level.name for level in anatomy.levels()}
    discs = [f"{upper}-{lower}" for upper, lower in pairwise(bodies)]
    return [name for name in (*bodies, *discs) if name in known]


def value_text(row: dict[str, Any]) -> str:
    """ "12.3 ± 1.1" of a measurement, with its 95 % limits to two digits; "" if there is none."""
    if row.get("value") is None:
        return ""
    spread = 1.96 * row["sigma"]
    places = min(1 - math.floor(math.log10(spread)), 3) if spread > 0 else 3
    # No minus before a zero.
    value = round(row["value"], places) + 0.0
    return f"{value:.{max(places, 0)}f} ± {round(spread, places):.{max(places, 0)}f}"
