"""What `levels.label` finds in a mask: single bodies and discs, and how they follow each other down the spine."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..volume import Volume


@dataclass(frozen=True, eq=False)
class Instance:
    """One body, one disc, one fused block, or a speck that belongs to none.

    Parameters
    ----------
    number : its value in the instance volume, 1 or more.
    label : the mask's label, 1 (bodies) or 2 (discs).
    voxels, volume_mm3 : its size.
    centroid_mm : (3,) mean of its voxels' centres, patient coordinates, RAS mm.
    box_mm : (2, 3) lowest and highest patient coordinates of its voxels' corners, RAS mm.
    slices : first and last index along the sagittal axis, from 0.
    touches_border : a voxel of it lies in the first or last row, column or slice of the volume.
    """

    number: int
    label: int
    voxels: int
    volume_mm3: float
    centroid_mm: np.ndarray
    box_mm: np.ndarray
    slices: tuple[int, int]
    touches_border: bool


@dataclass(frozen=True)
class Element:
    """A place in the sequence from head to foot.

    Parameters
    ----------
    kind : "body", "disc" or "block" (vertebrae grown or fused together, without a disc between them).
    levels : level names as `anatomy.levels` has them: ("C5",), ("C5-C6",) of a disc, ("C5", "C6") of a block; empty
        while levels are only relative, and below T12.
    ordinal : of a body its place among the vertebrae from the top of the mask, from 1; of a block that of its first
        vertebra; of a disc that of the vertebra above it, 0 if the mask begins with the disc. A vertebra that the mask
        lacks between two others keeps its place.
    instances : numbers in the instance volume.
    confidence : 0 to 1, that the levels are right, or, while they are relative, the ordinals counted from the top.
    note : what is remarkable about it, a phrase, or "".
    spans : how many vertebrae it holds: 1, of a block 2 or more, of a disc 0.
    """

    kind: str
    levels: tuple[str, ...]
    ordinal: int
    instances: tuple[int, ...]
    confidence: float
    note: str = ""
    spans: int = 1


@dataclass(frozen=True, eq=False)
class Labelling:
    """The anatomy of a mask.

    Parameters
    ----------
    instances_volume : (I, J, K) uint16 on the mask's grid, the `number` of each voxel's instance, 0 outside.
    instances : of the elements.
    elements : from head to foot.
    specks : instances that were set aside; their voxels keep their numbers in the volume.
    absolute : levels have names. Otherwise only the order is known.
    reason : one sentence: what the names rest on, or why there are none.
    confidence : 0 to 1, that the names are right (absolute), or that they would be (relative).
    line_mm : (N, 3) points of the centreline, RAS mm, from head to foot.
    alternatives : (what else it might be, log score below that of the best), nearest first.
    """

    instances_volume: np.ndarray
    instances: tuple[Instance, ...]
    elements: tuple[Element, ...]
    specks: tuple[Instance, ...]
    absolute: bool
    reason: str
    confidence: float
    line_mm: np.ndarray
    alternatives: tuple[tuple[str, float], ...] = field(default=())

    def instance(self, number: int) -> Instance:
        """The instance of a number, a speck or not; KeyError if there is none."""
        for found in (*self.instances, *self.specks):
            if found.number == number:
                return found
        raise KeyError(number)

    def element_of(self, level: str) -> Element | None:
        """The element that has a level, for instance "C5" or "C5-C6"; a block has several. None if there is none."""
        return next((element for element in self.elements if level in element.levels), None)

    @property
    def bodies(self) -> tuple[Element, ...]:
        """Bodies and blocks, from head to foot."""
        return tuple(element for element in self.elements if element.kind != "disc")

    @property
    def discs(self) -> tuple[Element, ...]:
        return tuple(element for element in self.elements if element.kind == "disc")

    @property
    def blocks(self) -> tuple[Element, ...]:
        return tuple(element for element in self.elements if element.kind == "block")

    def mask_of(self, element: Element) -> np.ndarray:
        """(I, J, K) bool, the voxels of an element."""
        return np.isin(self.instances_volume, element.instances)

    def level_volume(self, mask: Volume) -> Volume:
        """See :func:`outputs.level_volume`; for those who are handed a labelling and may not enter this room."""
        from .outputs import level_volume

        return level_volume(self, mask)
