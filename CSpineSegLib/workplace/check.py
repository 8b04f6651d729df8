"""What is to be known of a mask before it is accepted: figures, what an edit changed, and remarks in words.

Nothing here judges a mask; each remark says what is unusual and where, and a person looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import anatomy, files, volume
from ..errors import CSpineSegError, InputError
from ..volume import Volume
from . import remarks
from .remarks import Remark

if TYPE_CHECKING:
    from ..session import Session


@dataclass(frozen=True)
class Figures:
    """Figures of one structure, or of the whole mask.

    Parameters
    ----------
    key, name : of the structure; "mask" for the whole.
    voxels, mm3 : how much of it there is.
    pieces : connected parts; see :func:`remarks.connected`.
    added, removed : voxels that it has and the parent had not, and the other way round. A voxel that changed from body
        to disc is removed from the bodies and added to the discs, and neither added to the whole nor removed from it.
    dice : Dice that the model expects of its own mask, 0 to 1; None if no model told.
    """

    key: str
    name: str
    voxels: int
    mm3: float
    pieces: int
    added: int
    removed: int
    dice: float | None = None


@dataclass(frozen=True)
class Findings:
    """What is known of the mask in the scene.

    Parameters
    ----------
    figures : of bodies, discs and the whole mask; empty if the mask cannot be read.
    geometry : a sentence on how the mask lies on the image, or why it cannot be read.
    remarks : what to look at, the weightiest first.
    is_readable : False if the mask cannot be read back onto the image; it cannot be saved then.
    """

    figures: tuple[Figures, ...]
    geometry: str
    remarks: tuple[Remark, ...]
    is_readable: bool = True


class Checking:
    """Checks the mask of one open exam again and again while it is edited.

    Parameters
    ----------
    session : the open exam; what the mask was made from is read from it once, until it is saved.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._parent: tuple[Any, np.ndarray] | None = None
        self._expected: tuple[Any, Mapping[str, Any]] | None = None

    def look(self, mask: Volume | CSpineSegError) -> Findings:
        """The findings on the mask as it stands, or on the error that reading it gave."""
        if isinstance(mask, CSpineSegError):
            return Findings((), str(mask), (), is_readable=False)
        found = findings(mask, self.parent, self.blank)
        expected = self.expected
        figures = [replace(row, dice=_share(expected.get(_DICE[row.key]))) for row in found.figures]
        return replace(found, figures=tuple(figures))

    @property
    def parent(self) -> np.ndarray:
        """Labels (I, J, K), on the image's grid, of the mask that the editing began with or that was saved last."""
        origin = self.session.origin
        if self._parent is None or self._parent[0] is not origin:
            image = self.session.image
            empty = origin.voxels is None
            labels = np.zeros(image.shape, np.uint8) if empty else volume.conform(origin.voxels, image).array
            self._parent = origin, labels
        return self._parent[1]

    @cached_property
    def blank(self) -> np.ndarray:
        """(n,) bool: sagittal slices of the image, along its own axis, without any contrast."""
        image = self.session.image
        others = tuple(axis for axis in range(3) if axis != image.sagittal_axis)
        return image.array.max(axis=others) == image.array.min(axis=others)

    @property
    def expected(self) -> Mapping[str, Any]:
        """What the model behind the mask wrote about its own mask of this exam; empty if no model did.

        A record of another mask, for instance by a later version of the model, says nothing about this one.
        """
        origin = self.session.origin
        if self._expected is None or self._expected[0] is not origin:
            self._expected = origin, self._told(origin.model)
        return self._expected[1]

    def _told(self, model: tuple[str, str] | None) -> Mapping[str, Any]:
        if model is None:
            return {}
        name, digest = model
        try:
            known = files.read_json(self.session.exam.quality(name))
            return known if known["model"]["sha256"] == digest else {}
        except (InputError, KeyError, TypeError):
            return {}

    def doubt(self) -> Volume:
        """The model's doubt of its own mask: percent by voxel, on the image's grid.

        Raises
        ------
        InputError : no model told, or the map is not what the model wrote.
        """
        expected, exam = self.expected, self.session.exam
        if not expected or self.session.origin.model is None:
            raise InputError(f"There is no doubt map of this mask of {exam.stem}; segment the exam to get one.")
        path = exam.doubt(self.session.origin.model[0])
        try:
            intact = files.sha256(path) == expected["doubt"]["sha256"]
        except (OSError, KeyError, TypeError):
            intact = False
        if not intact:
            raise InputError(f"{path} is missing or was changed after the model wrote it; segment the exam again.")
        return volume.conform(volume.read(path), self.session.image)

    @property
    def has_doubt(self) -> bool:
        """Whether there is a doubt map to show."""
        origin = self.session.origin
        return bool(self.expected) and self.session.exam.doubt(origin.model[0]).is_file()


_DICE = {"bodies": "dice_bodies", "discs": "dice_discs", "mask": "score"}


def findings(mask: Volume, parent: np.ndarray, blank: np.ndarray | None = None) -> Findings:
    """Figures and remarks of a mask.

    Parameters
    ----------
    mask : labels 0, 1 and 2, on the image's grid.
    parent : labels (I, J, K) of the mask that it was made from, all 0 for none.
    blank : (n,) bool, sagittal slices of the image that show nothing; None: all of them show something.
    """
    seen = remarks.Seen.of(mask)
    voxel = mask.grid.voxel_volume
    rows = []
    for structure in anatomy.STRUCTURES:
        now, before = mask.array == structure.label, parent == structure.label
        pieces = len(seen.pieces[structure.key])
        rows.append(_figures(structure.key, structure.name, now, before, voxel, pieces))
    rows.append(_figures("mask", "Whole mask", mask.array > 0, parent > 0, voxel, len(seen.pieces["mask"])))
    none = np.zeros(mask.shape[mask.sagittal_axis], bool)
    said = remarks.of(seen, none if blank is None else blank)
    noticed = tuple(Remark(sentence) for sentence in mask.warnings)
    return Findings(tuple(rows), _geometry(mask), (*noticed, *said))


def _figures(key: str, name: str, now: np.ndarray, before: np.ndarray, voxel: float, pieces: int) -> Figures:
    count = int(np.count_nonzero(now))
    added = int(np.count_nonzero(now & ~before))
    removed = int(np.count_nonzero(before)) - (count - added)
    return Figures(key, name, count, count * voxel, pieces, added, removed)


def _geometry(mask: Volume) -> str:
    shape = " x ".join(map(str, mask.shape))
    spacing = " x ".join(f"{size:.3g}" for size in mask.spacing)
    return (
        f"The mask lies on the image's own grid: {shape} voxels of {spacing} mm, "
        f"{mask.shape[mask.sagittal_axis]} sagittal slices."
    )


def _share(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


def to_tables(session: Session, found: Findings) -> list[Any]:
    """Put findings into table nodes of the scene: the figures, and the remarks if there are any; returns the nodes."""
    from ..scene.tables import show_table

    rows, said = found.figures, found.remarks
    figures = {
        "Exam": [session.exam.stem] * len(rows),
        "Structure": [row.name for row in rows],
        "Voxels": [row.voxels for row in rows],
        "Volume (mm3)": [round(row.mm3, 1) for row in rows],
        "Pieces": [row.pieces for row in rows],
        "Voxels added": [row.added for row in rows],
        "Voxels removed": [row.removed for row in rows],
        "Expected Dice": [row.dice for row in rows],
    }
    places = [remark.place or (None, None, None) for remark in said]
    looked = {
        "Exam": [session.exam.stem] * len(said),
        "Remark": [remark.sentence for remark in said],
        **{f"{letter} (mm)": [place[axis] for place in places] for axis, letter in enumerate("RAS")},
    }
    context, case = session.context, session.case
    return [show_table(context, case, title, columns) for title, columns in (("figures", figures), ("remarks", looked))]
