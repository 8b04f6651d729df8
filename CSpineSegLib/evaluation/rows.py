"""The figures of one exam, as `metrics.compare` gives them, as rows of the tidy table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..anatomy import STRUCTURES
from ..spine.components import DISCS

# Structure, kind, metric, value, note.
Row = tuple[str, str, str, float | None, str]

FIGURES = (
    "dice",
    "iou",
    "precision",
    "recall",
    "ndsc",
    "nsd_1mm",
    "nsd_voxel",
    "hd_mm",
    "hd95_mm",
    "assd_mm",
    "volume_difference_mm3",
    "volume_difference_relative",
    "voxels_added",
    "voxels_removed",
)
SIDES = ("reference", "candidate")
FUSED = ("fused_in_reference", "fused_in_candidate")


def rows(content: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of one exam in a fixed order.

    Parameters
    ----------
    content : `figures` (of `metrics.compare` with two labellings) and `zhou2025` (the same with that convention).
    """
    figures = content["figures"]
    for part in STRUCTURES:
        yield from _figures(part.key, "class", figures[part.key], figures[part.key]["empty_reason"] or "")
    yield from _figures("pooled", "pooled", figures["pooled"], figures["pooled"]["empty_reason"] or "")
    yield from _levels(figures["levels"])
    yield from _paper(content["zhou2025"])
    yield from _counts(figures["levels"])


def _figures(structure: str, kind: str, found: Mapping[str, Any], note: str) -> Iterator[Row]:
    for name in FIGURES:
        if name in found:
            yield structure, kind, name, found[name], note
    for side in SIDES:
        yield structure, kind, f"volume_{side}_mm3", found["volume_mm3"][side], note


def _levels(levels: Mapping[str, Any]) -> Iterator[Row]:
    relative = levels["level_shift_reason"] or ""
    for row in levels["rows"]:
        match = f"{row['match']} within a block" if row["within_block"] else row["match"]
        note = f"{match}; {relative}" if relative else match
        yield from _figures(row["name"], "level", row, note)
        if row["shift"] is not None:
            yield row["name"], "level", "shift", row["shift"], note
    for name, value in (levels["named_dice"] or {}).items():
        yield name, "level", "named_dice", value, ""


def _paper(found: Mapping[str, Any]) -> Iterator[Row]:
    for part in STRUCTURES:
        yield part.key, "zhou2025", "dice", found[part.key]["dice"], ""
    yield "macro", "zhou2025", "dice", found["macro"], ""
    named = found["disc_levels"] or dict.fromkeys(DISCS)
    for name in DISCS:
        yield name, "zhou2025", "dice", named[name], found["disc_levels_reason"] or ""


def _counts(levels: Mapping[str, Any]) -> Iterator[Row]:
    for part in STRUCTURES:
        counts = dict(levels["counts"][part.key])
        counts["fused"] = sum(counts[match] for match in FUSED)
        for name, value in counts.items():
            yield part.key, "exam", name, value, ""
        found = levels["detection"][part.key]
        for name in ("f1", "panoptic_quality", "segmentation_quality"):
            yield part.key, "exam", name, found[name], f"IoU from {found['iou_threshold']:g} on"
    for side in SIDES:
        for kind, value in levels["elements"][side].items():
            yield "", "exam", f"{ {'body': 'bodies', 'block': 'blocks', 'disc': 'discs'}[kind] }_in_{side}", value, ""
    yield "", "exam", "level_shift_rate", levels["level_shift_rate"], levels["level_shift_reason"] or ""
