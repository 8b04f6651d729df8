"""Two annotators' masks of the same exams: how well they agree, per structure and level; see Docs/statistics.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

FIGURES = ("dice", "nsd_1mm", "nsd_voxel", "hd95_mm", "assd_mm")
STRUCTURE_NAMES = (*(part.key for part in STRUCTURES), "pooled")


@dataclass(frozen=True, eq=False)
class Reading:
    """The masks that two annotators left of one exam.

    Parameters
    ----------
    exam, patient : whose; None if nobody knows the patient.
    figures : of `metrics.compare` with both labellings, the first annotator's mask as the reference.
    independent : neither saw the other's work, as far as the revisions tell.
    touched : what :func:`touched` found; empty if they did not start from the same mask, or it is gone.
    about : further columns of the table of exams, such as the numbers of the revisions.
    """

    exam: str
    patient: str | None
    figures: Mapping[str, Any]
    independent: bool
    touched: Mapping[str, int] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)


def touched(source: Volume, first: Volume, second: Volume) -> dict[str, int]:
    """Of the voxels that at least one annotator changed from the mask that both started from: how they stand now.

    Parameters
    ----------
    source, first, second : label images on the same lattice.

    Returns
    -------
    dict of voxel counts: `voxels` that either changed, `both` of them changed by both, `agreed` with the same label in
    both masks at last.
    """
    start, one, other = (mask.array for mask in (source, conform(first, source), conform(second, source)))
    by_first, by_second = one != start, other != start
    either = by_first | by_second
    counted = {"voxels": either, "both": by_first & by_second, "agreed": either & (one == other)}
    return {name: int(np.count_nonzero(mask)) for name, mask in counted.items()}


def icc(*ratings: Any) -> float:
    """Intraclass correlation of raters' numbers (n,) each, ICC(A,1): two-way, absolute agreement, a single rating.

    McGraw & Wong (1996); the ICC(2,1) of Shrout & Fleiss (1979). NaN for fewer than two cases or without any variance.
    """
    table = np.stack(ratings, axis=1).astype(float)
    n, k = table.shape
    if n < 2:
        return np.nan
    rows, columns, whole = table.mean(axis=1), table.mean(axis=0), table.mean()
    between = k * ((rows - whole) ** 2).sum() / (n - 1)
    raters = n * ((columns - whole) ** 2).sum() / (k - 1)
    rest = ((table - rows[:, None] - columns + whole) ** 2).sum() / ((n - 1) * (k - 1))
    below = between + (k - 1) * rest + k * (raters - rest) / n
    return float((between - rest) / below) if below > 0 else np.nan


def raters(readings: Sequence[Reading], names: tuple[str, str], left_out: Mapping[str, str] | None = None) -> Section:
    """How two annotators agree.

    Parameters
    ----------
    readings : one an exam.
    names : of the annotators, the reference of the figures first; differences are second minus first.
    left_out : reason why an exam that both corrected is not among the readings, by exam.

    Raises
    ------
    InputError : no readings.
    """
    left_out = dict(left_out or {})
    if not readings:
        why = f" ({len(left_out)} could not be compared: {next(iter(left_out.values()))})" if left_out else ""
        raise InputError(f"There is no exam that both {names[0]} and {names[1]} corrected{why}.")
    first, second = names
    classes, volumes, levels, exams = _classes(readings), _volumes(readings), _levels(readings), _exams(readings)
    interval = "95 % intervals by bootstrap of whole patients"
    tables = [
        Table("raters-classes", "Agreement by structure", classes, f"mean over the exams; {interval}."),
        Table(
            "raters-volumes",
            "Agreement of volumes",
            volumes,
            f"mm3. Bias is {second} minus {first}, with its 95 % interval by bootstrap of whole patients; limits of "
            "agreement: bias ± 1.96 SD (Bland & Altman 1986); icc: ICC(A,1), absolute agreement of a single rating.",
        ),
        Table(
            "raters-levels",
            "Agreement by level",
            levels,
            f"Levels as in the masks of {first}; only_first and only_second: exams in which the other has nothing "
            f"there, which counts as Dice 0. {interval[0].upper()}{interval[1:]}.",
        ),
        Table("raters-exams", "Exams", exams, "Each exam that both corrected.", long=True),
    ]
    if left_out:
        from pandas import DataFrame

        rows = DataFrame(list(left_out.items()), columns=["exam", "reason"])
        tables.append(Table("raters-left-out", "Exams left out", rows, "The other exams are compared.", long=True))
    title = f"Agreement of {first} and {second}"
    sentences = _sentences(readings, names, classes, volumes, len(left_out))
    return Section("raters", title, sentences, _warnings(readings), tuple(tables), _pictures(readings, names))


def _estimate(values: Sequence[float | None], patients: Sequence[Any]) -> dict[str, Any]:
    """Columns of a table for one figure; figures that an exam lacks do not count."""
    column = np.array([np.nan if value is None else value for value in values], float)
    found = bootstrap(column, patients)
    there = column[~np.isnan(column)]
    spread = float(there.std(ddof=1)) if len(there) > 1 else np.nan
    middle = float(np.median(there)) if len(there) else np.nan
    low, high = found.low, found.high
    return {"exams": found.n, "mean": found.value, "low": low, "high": high, "sd": spread, "median": middle}


def _classes(readings: Sequence[Reading]) -> pandas.DataFrame:
    from pandas import DataFrame

    patients = [one.patient for one in readings]
    rows = []
    for structure in STRUCTURE_NAMES:
        for key in FIGURES:
            found = _estimate([one.figures[structure][key] for one in readings], patients)
            rows.append({"structure": structure, "metric": key, **found})
    return DataFrame(rows)


def _volumes(readings: Sequence[Reading]) -> pandas.DataFrame:
    from pandas import DataFrame

    rows = []
    for part in STRUCTURES:
        both = [one.figures[part.key]["volume_mm3"] for one in readings]
        first, second = (np.array([one[side] for one in both], float) for side in ("reference", "candidate"))
        bias = _estimate(second - first, [one.patient for one in readings])
        means = {"structure": part.key, "exams": len(both), "first": first.mean(), "second": second.mean()}
        limits = {f"limit_{name}": bias["mean"] + sign * 1.96 * bias["sd"] for name, sign in (("low", -1), ("high", 1))}
        ends = {"bias": bias["mean"], "low": bias["low"], "high": bias["high"]}
        rows.append({**means, **ends, **limits, "icc": icc(first, second)})
    return DataFrame(rows)


def _levels(readings: Sequence[Reading]) -> pandas.DataFrame:
    from pandas import DataFrame

    rows: dict[str, list[tuple[Any, Mapping[str, Any]]]] = {}
    for one in readings:
        for row in one.figures["levels"]["rows"]:
            if " " not in row["name"]:
                rows.setdefault(row["name"], []).append((one.patient, row))
    table = []
    for level in sorted(rows, key=place):
        patients, found = zip(*rows[level], strict=True)
        dice = _estimate([row["dice"] for row in found], patients)
        far = [row["hd95_mm"] for row in found if row["hd95_mm"] is not None]
        lonely = {
            f"only_{side}": sum(row["match"] == match for row in found)
            for side, match in (("first", "missing"), ("second", "extra"))
        }
        distance = float(np.median(far)) if far else np.nan
        table.append({"level": level, **dice, "hd95_mm_median": distance, **lonely})
    return DataFrame(table, columns=[*_LEVEL_COLUMNS])


_LEVEL_COLUMNS = (
    "level",
    "exams",
    "mean",
    "low",
    "high",
    "sd",
    "median",
    "hd95_mm_median",
    "only_first",
    "only_second",
)


def _exams(readings: Sequence[Reading]) -> pandas.DataFrame:
    from pandas import DataFrame

    return DataFrame(
        {
            "exam": one.exam,
            **one.about,
            "independent": "yes" if one.independent else "no",
            **{f"dice_{part.key}": one.figures[part.key]["dice"] for part in STRUCTURES},
            "level_shift_rate": one.figures["levels"]["level_shift_rate"],
            "voxels_touched": one.touched.get("voxels"),
            "touched_agreed": _share(one.touched),
        }
        for one in readings
    )


def _share(found: Mapping[str, int]) -> float:
    return found["agreed"] / found["voxels"] if found.get("voxels") else np.nan


def _warnings(readings: Sequence[Reading]) -> tuple[str, ...]:
    dependent = sum(not one.independent for one in readings)
    if not dependent:
        return ()
    return (
        f"In {dependent} of {counted(len(readings), 'exam')} one annotator went on from the other's mask, so "
        "that what neither touched agrees by itself; for a fair figure let the second read blind "
        "(cspineseg correct --blind).",
    )


def _sentences(
    readings: Sequence[Reading],
    names: tuple[str, str],
    classes: pandas.DataFrame,
    volumes: pandas.DataFrame,
    lost: int,
) -> tuple[str, ...]:
    dice = classes[classes["metric"] == "dice"].set_index("structure")
    said = []
    for part in STRUCTURES:
        row, volume = dice.loc[part.key], volumes.set_index("structure").loc[part.key]
        interval = f" (95 % interval {row['low']:.3f} to {row['high']:.3f})" if np.isfinite(row["low"]) else ""
        said.append(
            f"{names[0]} and {names[1]} agree on the {part.name.lower()} of {counted(len(readings), 'exam')} with a "
            f"mean Dice of {row['mean']:.3f}{interval}; {names[1]} draws {volume['bias']:+.0f} mm3 on average."
        )
    with_source = [one.touched for one in readings if one.touched.get("voxels")]
    if with_source:
        voxels, agreed = (sum(one[key] for one in with_source) for key in ("voxels", "agreed"))
        said.append(
            f"Of the voxels that at least one of them changed from the mask that both started from ({voxels} in "
            f"{counted(len(with_source), 'exam')}), {100 * agreed / voxels:.0f} % have the same label in both."
        )
    rates = [one.figures["levels"]["level_shift_rate"] for one in readings]
    known = [rate for rate in rates if rate is not None]
    if known:
        same = sum(rate == 0 for rate in known)
        said.append(f"The level names of {same} of {counted(len(known), 'exam')} are the same in both masks.")
    if lost:
        said.append(f"Not compared, see the list: {counted(lost, 'exam')} that both corrected.")
    return tuple(said)


def _pictures(readings: Sequence[Reading], names: tuple[str, str]) -> tuple[Figure, ...]:
    from pandas import DataFrame

    figures = []
    for part in STRUCTURES:
        both = [one.figures[part.key]["volume_mm3"] for one in readings]
        data = {
            "reference": np.array([one["reference"] / 1000 for one in both]),
            "candidate": np.array([one["candidate"] / 1000 for one in both]),
            "unit": "cm3",
            "colour": None,
        }
        caption = f"Volume of the {part.name.lower()}: {names[1]} minus {names[0]}, exam by exam, against their mean."
        figures.append(Figure(f"raters-{part.key}", caption, "bland-altman", data))
    rows = [
        (row["name"], row["dice"])
        for one in readings
        for row in one.figures["levels"]["rows"]
        if " " not in row["name"] and "+" not in row["name"]
    ]
    if rows:
        data = {"frame": DataFrame(rows, columns=["level", "value"]), "unit": "Dice"}
        figures.append(Figure("raters-levels", "Dice between the annotators by level, head to foot.", "strip", data))
    return tuple(figures)
