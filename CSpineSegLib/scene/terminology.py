"""Terminology of a segment: what Slicer and DICOM SEG know a structure by, in SNOMED CT."""

from __future__ import annotations

from typing import Any

import slicer

from ..anatomy import STRUCTURES, Structure

CATEGORIES = "Segmentation category and type - DICOM master list"
REGIONS = "Anatomic codes - DICOM master list"
CATEGORY = ("123037004", "SCT", "Anatomical Structure")
REGION = ("122494005", "SCT", "Cervical spine")
NOTHING = ("", "", "")


def entry(structure: Structure) -> str:
    """Slicer's serialised terminology of a structure: category, type, and the cervical spine as anatomic region."""
    kind = (structure.code, "SCT", structure.meaning)
    return slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(
        CATEGORIES, *CATEGORY, *kind, *NOTHING, REGIONS, *REGION, *NOTHING
    )


def structure_of(segment: Any) -> Structure | None:
    """The structure whose SNOMED CT code is the type in a segment's terminology; None for any other."""
    parts = (segment.GetTerminology() or "").split("~")
    if len(parts) < 3:
        return None
    kind = parts[2].split("^")
    return next((item for item in STRUCTURES if kind[:2] == ["SCT", item.code]), None)
