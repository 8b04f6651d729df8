"""What people changed in masks that they corrected: how much, in which structures, levels and slices, and how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..anatomy import STRUCTURES
from ..errors import InputError
from ..volume import Volume, conform
from .comparison_pairs import counted, place
from .sections import Figure, Section, Table
from .statistics import bootstrap

if TYPE_CHECKING:
    import pandas

# Where a slice lies in the stack of slices that hold anything: partial volume makes the ends hard.
DEPTHS = ("outermost slice", "second slice", "further inside")
# Under so many exams a correlation of ranks says nothing.
FEWEST = 6


@dataclass(frozen=True, eq=False)
class Edit:
    """One exam: the mask that it came with, and the one that counts since.

    Parameters
    ----------
    exam, patient : whose; None if nobody knows the patient.
    source : of the mask: "gold", "silver" or "unknown"; of a model's mask "predicted".
    annotator : who corrected it.
    seconds : active editing of all sessions that led to the corrected mask; None if one of them is not known.
    sessions : how many revisions led to it.
    figures : of `metrics.compare` with both labellings, the source as the reference.
    changed : what :func:`changes` found.
    """

    exam: str
    patient: str | None
    source: str
    annotator: str
    seconds: float | None
    sessions: int
    figures: Mapping[str, Any]
    changed: Mapping[str, Any]

    @property
    def voxels(self) -> int:
        """Voxels whose label changed."""
        return self.changed["voxels"]


def changes(source: Volume, corrected: Volume) -> dict[str, Any]:
    """Where two masks of one exam differ.

    Parameters
    ----------
    source, corrected : label images on the same lattice.

    Returns
    -------
    dict with `voxels` that changed, `relabelled` of them between structures, `slices` along the sagittal axis that hold
    any label in either mask, `slices_changed`, and `depths`: for each of `DEPTHS` the `slices`, `voxels` changed and
    `labelled` (voxels with a label in either).
    """
    old, new = source.array, conform(corrected, source).array
    axis = tuple(other for other in range(3) if other != source.sagittal_axis)
    different = old != new
    per_slice = np.count_nonzero(different, axis=axis)
    labelled = np.count_nonzero((old > 0) | (new > 0), axis=axis)
    there = np.flatnonzero(labelled)
    depths = {name: {"slices": 0, "voxels": 0, "labelled": 0} for name in DEPTHS}
    for slice_ in range(there[0], there[-1] + 1) if len(there) else ():
        depth = depths[DEPTHS[min(slice_ - there[0], there[-1] - slice_, len(DEPTHS) - 1)]]
        depth["slices"] += 1
        depth["voxels"] += int(per_slice[slice_])
        depth["labelled"] += int(labelled[slice_])
    return {
        "voxels": int(per_slice.sum()),
        "relabelled": int(np.count_nonzero(different & (old > 0) & (new > 0))),
        "slices": len(there),
        "slices_changed": int(np.count_nonzero(per_slice)),
        "depths": depths,
    }


def editing(edits: Sequence[Edit], left_out: Mapping[str, str] | None = None) -> Section:
    """What editing changed, where, and how long it took.

    Parameters
    ----------
    edits : one a corrected exam.
    left_out : reason why a corrected exam is not among them, by exam.

    Raises
    ------
    InputError : no edits.
    """
    left_out = dict(left_out or {})
    if not edits:
        why = f" ({len(left_out)} could not be compared: {next(iter(left_out.values()))})" if left_out else ""
        raise InputError(f"No exam has an accepted correction{why}; accept some, then ask again.")
    from pandas import DataFrame

    kinds = sorted({edit.source for edit in edits})
    classes, times = _classes(edits, kinds), _times(edits)
    tables = [
        Table(
            "editing-classes",
            "What editing changed, by structure",
            classes,
            "The source mask is the reference: added is what a person drew in addition, removed what was taken away; a "
            "voxel that went from body to disc is removed from one and added to the other. Dice with its 95 % interval "
            "by bootstrap of whole patients.",
        ),
        Table(
            "editing-levels", "Where: levels", _levels(edits), "Levels of the source mask; new ones of the corrected."
        ),
        Table(
            "editing-slices",
            "Where: slices",
            _slices(edits),
            "Sagittal slices that hold a label in either mask, counted from both ends of their stack; share: changed "
            "of the voxels that have a label in either mask.",
        ),
        Table(
            "editing-time",
            "How long",
            times,
            "Active editing of all sessions that led to the accepted mask; exams with a session of unknown time are "
            "counted and not used. rho: Spearman correlation of time with changed voxels, from 6 exams on.",
        ),
        Table("editing-exams", "Exams", DataFrame(map(_row, edits)), "Each accepted correction.", long=True),
    ]
    if left_out:
        rows = DataFrame(list(left_out.items()), columns=["exam", "reason"])
        tables.append(Table("editing-left-out", "Exams left out", rows, "The other exams are compared.", long=True))
    sentences = _sentences(edits, classes, times, len(left_out))
    return Section("editing", "What editing changed", sentences, (), tuple(tables), _pictures(edits))


def _classes(edits: Sequence[Edit], kinds: Sequence[str]) -> pandas.DataFrame:
    from pandas import DataFrame

    rows = []
    for kind in kinds:
        own = [edit for edit in edits if edit.source == kind]
        for part in STRUCTURES:
            found = [edit.figures[part.key] for edit in own]
            dice = bootstrap([one["dice"] for one in found], [edit.patient for edit in own])
            added, removed = (np.array([one[f"voxels_{way}"] for one in found]) for way in ("added", "removed"))
            rows.append(
                {
                    "source": kind,
                    "structure": part.key,
                    "exams": len(own),
                    "changed": int(np.count_nonzero(added + removed)),
                    "dice": dice.value,
                    "low": dice.low,
                    "high": dice.high,
                    "dice_lowest": min(one["dice"] for one in found),
                    "voxels_added_median": float(np.median(added)),
                    "voxels_removed_median": float(np.median(removed)),
                    "voxels_added": int(added.sum()),
                    "voxels_removed": int(removed.sum()),
                    "volume_difference_mm3": float(np.mean([one["volume_difference_mm3"] for one in found])),
                }
            )
    return DataFrame(rows)


def _levels(edits: Sequence[Edit]) -> pandas.DataFrame:
    from pandas import DataFrame

    rows: dict[str, list[Mapping[str, Any]]] = {}
    for edit in edits:
        for row in edit.figures["levels"]["rows"]:
            if " " not in row["name"]:
                rows.setdefault(row["name"], []).append(row)
    table = [
        {
            "level": level,
            "exams": len(rows[level]),
            "changed": sum(row["voxels_added"] + row["voxels_removed"] > 0 for row in rows[level]),
            "dice": float(np.mean([row["dice"] for row in rows[level]])),
            "voxels_added": sum(row["voxels_added"] for row in rows[level]),
            "voxels_removed": sum(row["voxels_removed"] for row in rows[level]),
            "drawn_anew": sum(row["match"] == "extra" for row in rows[level]),
            "taken_away": sum(row["match"] == "missing" for row in rows[level]),
            "parted_or_joined": sum(row["match"] not in ("matched", "extra", "missing") for row in rows[level]),
        }
        for level in sorted(rows, key=place)
    ]
    columns = ["level", "exams", "changed", "dice", "voxels_added", "voxels_removed"]
    return DataFrame(table, columns=[*columns, "drawn_anew", "taken_away", "parted_or_joined"])


def _slices(edits: Sequence[Edit]) -> pandas.DataFrame:
    from pandas import DataFrame

    rows = []
    for name in DEPTHS:
        total = {
            key: sum(edit.changed["depths"][name][key] for edit in edits) for key in ("slices", "voxels", "labelled")
        }
        share = total["voxels"] / total["labelled"] if total["labelled"] else np.nan
        rows.append({"place": name, "slices": total["slices"], "voxels_changed": total["voxels"], "share": share})
    return DataFrame(rows)


def _times(edits: Sequence[Edit]) -> pandas.DataFrame:
    from pandas import DataFrame

    people = sorted({edit.annotator for edit in edits})
    groups = {"all": list(edits)} if len(people) > 1 else {}
    groups |= {name: [edit for edit in edits if edit.annotator == name] for name in people}
    rows = []
    for name, own in groups.items():
        known = [edit for edit in own if edit.seconds is not None]
        minutes = np.array([edit.seconds / 60 for edit in known])
        quartiles = np.percentile(minutes, [25, 50, 75]) if len(minutes) else [np.nan] * 3
        names = ("minutes_quartile_1", "minutes_median", "minutes_quartile_3")
        rows.append(
            {
                "annotator": name,
                "exams": len(own),
                "time_known": len(known),
                **dict(zip(names, map(float, quartiles), strict=True)),
                "hours_total": float(minutes.sum() / 60),
                "rho": _rho(minutes, np.array([edit.voxels for edit in known])),
            }
        )
    return DataFrame(rows)


def _rho(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation; NaN for too few exams, or if one of both does not vary."""
    from scipy.stats import rankdata

    if len(first) < FEWEST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


def _row(edit: Edit) -> dict[str, Any]:
    row: dict[str, Any] = {"exam": edit.exam, "source": edit.source, "annotator": edit.annotator}
    row |= {"seconds": edit.seconds, "sessions": edit.sessions}
    for part in STRUCTURES:
        for key in ("dice", "voxels_added", "voxels_removed"):
            row[f"{key}_{part.key}"] = edit.figures[part.key][key]
    return row | {key: edit.changed[key] for key in ("relabelled", "slices_changed", "slices")}


def _sentences(edits: Sequence[Edit], classes: pandas.DataFrame, times: pandas.DataFrame, lost: int) -> tuple[str, ...]:
    said = []
    for kind in dict.fromkeys(classes["source"]):
        own = classes[classes["source"] == kind].set_index("structure")
        parts = [f"{own.loc[part.key, 'dice']:.3f} of the {part.name.lower()}" for part in STRUCTURES]
        number = int(own["exams"].iloc[0])
        said.append(
            f"The Dice of {kind} against corrected masks is {' and '.join(parts)}, the mean of "
            f"{counted(number, 'exam')}."
        )
    same = sum(edit.voxels == 0 for edit in edits)
    if same:
        said.append(f"Accepted without a change: {same} of {counted(len(edits), 'mask')}.")
    slices = _slices(edits).set_index("place")
    outer, inner = slices.loc[DEPTHS[0], "share"], slices.loc[DEPTHS[2], "share"]
    if np.isfinite(outer) and np.isfinite(inner):
        said.append(
            f"In the outermost slices {100 * outer:.1f} % of the labelled voxels changed, further inside "
            f"{100 * inner:.1f} %."
        )
    whole = times.iloc[0]
    if whole["time_known"]:
        said.append(
            f"An exam took {whole['minutes_median']:.1f} minutes of active editing (median of "
            f"{counted(whole['time_known'], 'exam')}; "
            f"quartiles {whole['minutes_quartile_1']:.1f} and {whole['minutes_quartile_3']:.1f})."
        )
    else:
        said.append("How long it took is not known of any exam.")
    if lost:
        said.append(f"Not compared, see the list: {counted(lost, 'corrected exam')}.")
    return tuple(said)


def _pictures(edits: Sequence[Edit]) -> tuple[Figure, ...]:
    from pandas import DataFrame

    figures = []
    rows = [
        (row["name"], row["dice"], edit.source)
        for edit in edits
        for row in edit.figures["levels"]["rows"]
        if " " not in row["name"] and "+" not in row["name"]
    ]
    if rows:
        frame = DataFrame(rows, columns=["level", "value", "group"])
        caption = "Dice of source against corrected mask by level, head to foot."
        figures.append(Figure("editing-levels", caption, "strip", {"frame": frame, "unit": "Dice"}))
    minutes = np.array([edit.seconds / 60 for edit in edits if edit.seconds is not None])
    if len(minutes):
        data = {"values": {"active editing": minutes}, "unit": "minutes"}
        figures.append(Figure("editing-time", "Active editing of an exam.", "histogram", data))
    return tuple(figures)
