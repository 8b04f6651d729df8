"""Two or more models on the same exams: how much they differ, whether that is more than chance, and what could be seen.

Every difference is the first named model minus the second. Definitions and sources: Docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..anatomy import STRUCTURES
from ..errors import InputError
from . import comparison_pairs, comparison_zhou2025
from .comparison_pairs import Pairing, counted
from .results import Results
from .sections import Figure, Section, Table
from .statistics import adjust, bootstrap, minimum_detectable_difference, paired

if TYPE_CHECKING:
    import pandas

# Figures that are compared, each with its unit and whether more is better.
METRICS = {
    "dice": ("", True),
    "ndsc": ("", True),
    "nsd_1mm": ("", True),
    "nsd_voxel": ("", True),
    "hd95_mm": ("mm", False),
    "assd_mm": ("mm", False),
}
LEVEL_METRICS = ("dice", "nsd_1mm", "hd95_mm", "assd_mm")
CLASSES = (*((part.key, "class") for part in STRUCTURES), ("pooled", "pooled"))
# With five pairs even the clearest result has p = 2 / 2 ** 5 > .05.
FEWEST = 6
ALPHA, POWER = 0.05, 0.8
NAMES = {"bodies": "vertebral bodies", "discs": "discs", "pooled": "both structures together", "macro": "macro"}


def compare(results: Sequence[Results], *, convention: str | None = None) -> Section:
    """Compare two or more evaluations, each pair on the exams that both have.

    Per structure, level and figure: the mean difference with its interval by cluster bootstrap (whole patients),
    Wilcoxon's signed-rank test of the patients with the matched rank-biserial correlation, Holm's adjustment over the
    rows of one figure in a table, and the smallest mean difference that so many patients show with a power of .8.

    Parameters
    ----------
    results : of the same ruler.
    convention : "zhou2025" for the tests of the dataset's paper instead, on the Dice of its convention.

    Raises
    ------
    InputError : under two evaluations, the same one twice, different rulers, no exam in common, another convention.
    """
    if convention not in (None, "zhou2025"):
        raise InputError(f"There is no convention {convention!r}; the one besides our own is 'zhou2025'.")
    names = comparison_pairs.names(results)
    ruler = comparison_pairs.ruler(results)
    models = [comparison_pairs.model(name, one, tuple(METRICS)) for name, one in zip(names, results, strict=True)]
    pairs = [comparison_pairs.pair(first, second) for first, second in combinations(models, 2)]
    left = comparison_pairs.left_out(pairs)
    warnings = [*comparison_pairs.warnings(pairs), *_about_ruler(ruler)]
    tables, figures, sentences = (_ours if convention is None else _papers)(pairs)
    if len(left):
        sentences.append(
            f"Left out of a pair, because only one of its models has them or because they were measured against "
            f"different masks: {counted(left['exam'].nunique(), 'exam')}, listed below."
        )
        note = "Exams that a pair does not share; the others are compared."
        tables.append(Table("comparison-left-out", "Exams left out", left, note, long=True))
    title = f"Comparison of {len(results)} models against {ruler}"
    return Section("comparison", title, tuple(sentences), tuple(warnings), tuple(tables), tuple(figures))


def differences(pairing: Pairing, rows: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """One row for each structure, kind and metric of a pair, before adjustment; those that nobody has are left out."""
    found = []
    for structure, kind, metric in rows:
        both = pairing.values(structure, kind, metric)
        if both.empty:
            continue
        complete = both.dropna()
        first, second = complete["first"].to_numpy(), complete["second"].to_numpy()
        patients = pairing.patients(complete.index)
        interval = bootstrap(first - second, patients)
        means = _of_patients(first - second, patients)
        test = paired(means, np.zeros(len(means)))
        tested = len(means) >= FEWEST
        notes = [test.note] if tested else [f"under {FEWEST} patients cannot show p < .05; not tested"]
        if len(both) > len(complete):
            notes.append(
                f"{counted(len(both) - len(complete), 'exam')} without this figure in a model, for instance empty masks"
            )
        found.append(
            {
                "pair": pairing.label,
                "structure": structure,
                "metric": metric,
                "exams": len(complete),
                "patients": interval.clusters,
                "first": first.mean() if len(first) else np.nan,
                "second": second.mean() if len(second) else np.nan,
                "difference": interval.value,
                "low": interval.low,
                "high": interval.high,
                "p": test.p if tested else np.nan,
                "effect": test.effect if tested else None,
                "detectable": _detectable(means),
                "note": "; ".join(filter(None, notes)),
            }
        )
    return found


def _ours(pairs: Sequence[Pairing]) -> tuple[list[Table], list[Figure], list[str]]:
    classes = [(name, kind, metric) for metric in METRICS for name, kind in CLASSES]
    main = _adjusted([row for pairing in pairs for row in differences(pairing, classes)])
    by_level = [
        row
        for pairing in pairs
        for row in differences(pairing, [(level, "level", one) for one in LEVEL_METRICS for level in pairing.levels])
    ]
    levels = _adjusted(by_level)
    sentences = [sentence for pairing in pairs for sentence in _sentences(pairing, main)]
    family = "p_holm is adjusted over all pairs and structures or levels of one figure in this table (Holm 1979)"
    what = (
        "Difference: first minus second model, mean over the exams with its 95 % interval by bootstrap of whole "
        "patients; p: Wilcoxon signed-rank of the "
        "patients' mean differences; effect: matched rank-biserial, positive if the first tends to be larger; "
        f"detectable: the smallest mean difference found with a power of {POWER:g} at p < {ALPHA:g} before adjustment. "
        f"{family}. Lower is better for distances (mm), higher for the rest."
    )
    tables = [Table("comparison-classes", "Differences by structure", main, what)]
    if len(levels):
        which = " Levels are the reference's; what the reference lacks is left out, what a model lacks has Dice 0."
        tables.append(Table("comparison-levels", "Differences by level", levels, what + which, long=True))
    return tables, _figures(pairs, main, levels), sentences


def _papers(pairs: Sequence[Pairing]) -> tuple[list[Table], list[Figure], list[str]]:
    frame = comparison_zhou2025.table(pairs)
    note = (
        "Dice by the paper's own convention. p: Mann-Whitney U, as if the two models had seen different patients; the "
        "interval is an unpaired percentile bootstrap (9,999 resamples, seed 42) of the difference of medians. Nothing "
        "is adjusted. Both are kept to repeat the paper's figures; the comparison without this convention is paired."
    )
    title = "Tests of the dataset's paper"
    sentences = [
        f"By the paper's tests, the median Dice of {NAMES[row.structure]} differs by {row.difference:+.4f} "
        f"({row.low:+.4f} to {row.high:+.4f}) in {row.pair}, p {_p(row.p)}, n = {row.exams}."
        for row in frame.itertuples()
        if row.structure in NAMES
    ]
    sentences.append("These tests ignore that the models saw the same exams, so they miss differences that pairs show.")
    return [Table("comparison-zhou2025", title, frame, note)], [], sentences


def _adjusted(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    from pandas import DataFrame

    frame = DataFrame(rows)
    if len(frame):
        p_holm = frame.groupby("metric")["p"].transform(lambda family: adjust(family, "holm"))
        frame.insert(list(frame.columns).index("p") + 1, "p_holm", p_holm)
        frame["effect"] = frame["effect"].astype(float)
    return frame


def _of_patients(differences: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """The mean difference of each patient's exams, which are no cases of their own to a test."""
    from pandas import Series

    return Series(differences).groupby(patients, sort=False).mean().to_numpy()


def _detectable(means: np.ndarray) -> float:
    """Of the patients' mean differences; NaN if nothing varies."""
    spread = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    # Equal numbers leave a rest of the size of their last digit.
    if spread <= 1e-12:
        return np.nan
    return minimum_detectable_difference(spread, len(means), power=POWER, alpha=ALPHA)


def _sentences(pairing: Pairing, main: pandas.DataFrame) -> list[str]:
    first, second = pairing.names
    own = main[(main["pair"] == pairing.label) & (main["metric"] == "dice")]
    said = []
    for row in own[own["structure"].isin(["bodies", "discs"])].itertuples():
        name = NAMES[row.structure]
        said.append(
            f"On the same {counted(row.exams, 'exam')} of {counted(row.patients, 'patient')}, the mean Dice of the "
            f"{name} was {row.first:.3f} with {first} and {row.second:.3f} with {second}: {_verdict(row, pairing)}"
        )
        if np.isfinite(row.detectable):
            said.append(
                f"So many cases could have shown (power {POWER:g}, p < {ALPHA:g} before adjustment) a mean difference "
                f"of {row.detectable:.4f} or more in the Dice of the {name}; a smaller one may exist unseen."
            )
        else:
            said.append(f"The differences in the Dice of the {name} do not vary, so there is no smallest one to state.")
    return said


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _verdict(row: Any, pairing: Pairing) -> str:
    if not np.isfinite(row.low):
        return "too few patients for an interval."
    text = f"a difference of {row.difference:+.4f} (95 % interval {row.low:+.4f} to {row.high:+.4f}"
    if not np.isfinite(row.p_holm):
        return f"{text}; too few patients for a test)."
    better = pairing.names[0] if row.difference > 0 else pairing.names[1]
    end = f"{better} was better" if row.p_holm < ALPHA else "no difference is shown"
    if row.p_holm < ALPHA and row.difference * row.effect <= 0:
        end = "the mean and most patients point in opposite directions, so neither can be called better"
    return f"{text}, p {_p(row.p_holm)} by Wilcoxon and Holm); {end}."


def _figures(pairs: Sequence[Pairing], main: pandas.DataFrame, levels: pandas.DataFrame) -> list[Figure]:
    figures = []
    for key, frame, what in (("classes", main, "structure"), ("levels", levels, "level")):
        rows = frame[frame["metric"] == "dice"] if len(frame) else frame
        if len(rows):
            shown = rows.rename(columns={"structure": "label", "difference": "value", "pair": "panel"})
            caption = f"Mean difference of Dice by {what}, with 95 % intervals; right of the line the first is better."
            data = {
                "rows": shown[["label", "value", "low", "high", "panel"]].reset_index(drop=True),
                "line": 0.0,
                "unit": "difference of Dice",
                "log": False,
            }
            figures.append(Figure(f"comparison-forest-{key}", caption, "forest", data))
    for number, pairing in enumerate(pairs, start=1):
        for part in STRUCTURES:
            both = pairing.values(part.key, "class", "dice").dropna()
            if len(both) < 2:
                continue
            first, second = pairing.names
            caption = f"Dice of the {NAMES[part.key]}: {first} minus {second}, exam by exam, against their mean."
            data = {
                "reference": both["second"].to_numpy(),
                "candidate": both["first"].to_numpy(),
                "unit": "Dice",
                "colour": None,
            }
            figures.append(Figure(f"comparison-{part.key}-{number}", caption, "bland-altman", data))
    return figures


def _about_ruler(ruler: str) -> list[str]:
    if ruler != "silver":
        return []
    return [
        "The ruler is silver: masks that a network drew. A model that resembles that network looks better than it is, "
        "and small differences look certain; compare against gold before you believe them."
    ]
