"""Terminology of a segment: what Slicer and DICOM SEG know a structure by, in SNOMED CT."""

from __future__ import annotations

from typing import Any

import slicer

from ..anatomy import STRUCTURES, Level, Structure

CATEGORIES = "Segmentation category and type - DICOM master list"
REGIONS = "Anatomic codes - DICOM master list"
CATEGORY = ("123037004", "SCT", "Anatomical Structure")
REGION = ("122494005", "SCT", "Cervical spine")
THORACIC = ("122495006", "SCT", "Thoracic spine")
NOTHING = ("", "", "")


def entry(structure: Structure) -> str:
    """Slicer's serialised terminology of a structure: category, type, and the cervical spine as anatomic region."""
    return _serialised((structure.code, "SCT", structure.meaning), REGION)


def level_entry(level: Level) -> str:
    """The same of a level: its vertebra or disc, and the part of the spine that it, or its upper vertebra, is in."""
    kind = "vertebra" if level.kind == "vertebra" else "intervertebral disc"
    return _serialised((level.code, "SCT", f"{level.name} {kind}"), THORACIC if level.name[0] == "T" else REGION)


def _serialised(kind: tuple[str, str, str], region: tuple[str, str, str]) -> str:
    return slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(
        CATEGORIES, *CATEGORY, *kind, *NOTHING, REGIONS, *region, *NOTHING
    )


def structure_of(segment: Any) -> Structure | None:
    """The structure whose SNOMED CT code is the type in a segment's terminology; None for any other."""
    parts = (segment.GetTerminology() or "").split("~")
    if len(parts) < 3:
        return None
    kind = parts[2].split("^")
    return next((item for item in STRUCTURES if kind[:2] == ["SCT", item.code]), None)
