"""Models that adjust a difference for other properties; they need statsmodels, which the `report` extra brings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import InputError
from .values import codes, numbers, sentence

if TYPE_CHECKING:
    import pandas

# A category of fewer patients than this has no standard error worth the name.
SMALLEST = 5


def adjusted_model(
    frame: pandas.DataFrame, outcome: str, terms: Sequence[str], clusters: str | Any = None
) -> pandas.DataFrame:
    """Least squares of an outcome on several properties at once, with errors clustered by patient (Liang & Zeger 1986).

    Numbers enter as they are, per unit; other columns, and those of type bool or category, as their groups, each
    against the largest. Rows that miss anything are left out, and so are groups of fewer than 5 patients.

    Parameters
    ----------
    frame : one row a case.
    outcome, terms : columns of it.
    clusters : column with the patient, or the patients themselves in the frame's order; None: every row is one.

    Returns
    -------
    DataFrame with `term` ("age", "sex: F against M"), `estimate` (in the outcome's unit), `low`, `high` (95 %,
    Student's t with clusters - 1 degrees of freedom), `p`, `n` (rows used) and `note` (what was left out).

    Raises
    ------
    InputError : statsmodels is missing, a column is missing, the outcome is not numbers, a term has one group or value
        only, terms say the same, or there are too few patients for so many terms.
    """
    api = _statsmodels()
    y, design, patients, note = _prepare(frame, outcome, terms, clusters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = api.OLS(y, np.column_stack([np.ones(len(y)), *design.values()]))
        fit = model.fit(cov_type="cluster", cov_kwds={"groups": patients}, use_t=True)
        # Computed when they are asked for, and of an outcome without any spread with a warning.
        return _rows(design, fit.params[1:], fit.conf_int()[1:], fit.pvalues[1:], len(y), note)


def levels_model(
    frame: pandas.DataFrame, outcome: str, level: str, clusters: str | Any, terms: Sequence[str] = ()
) -> pandas.DataFrame:
    """As :func:`adjusted_model` for several levels of each patient: a random intercept for the patient (Laird & Ware
    1982), by restricted maximum likelihood.

    Where that model does not converge or has no variance between patients, the clustered least squares take its place,
    and `note` says so.
    """
    api = _statsmodels()
    terms = [level, *terms]
    y, design, patients, note = _prepare(frame, outcome, terms, clusters)
    matrix = np.column_stack([np.ones(len(y)), *design.values()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = api.MixedLM(y, matrix, groups=patients).fit(reml=True, method=["lbfgs"])
            count = matrix.shape[1]
            errors = fit.bse[:count]
            between = float(np.ravel(fit.cov_re)[0])
            ends, p = fit.conf_int()[1:count], fit.pvalues[1:count]
            stable = fit.converged and np.all(np.isfinite(errors) & (errors > 0)) and between > 1e-8 * np.var(y)
        except (np.linalg.LinAlgError, ValueError):
            stable = False
    if not stable:
        found = adjusted_model(frame, outcome, terms, clusters)
        return found.assign(note=sentence([note, "least squares clustered by patient, as the mixed model is unstable"]))
    how = sentence([note, "mixed model with a random intercept for the patient"])
    return _rows(design, fit.params[1:count], ends, p, len(y), how)


def _statsmodels() -> Any:
    try:
        import statsmodels.api
    except ImportError:
        raise InputError(
            'Models need statsmodels, which is not installed; install it with: pip install "cspineseg[report]"'
        ) from None
    return statsmodels.api


def _prepare(
    frame: pandas.DataFrame, outcome: str, terms: Sequence[str], clusters: str | Any
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray, str]:
    """Outcome (n,), columns of the design by their term, patients (n,) as numbers, and what was left out."""
    if isinstance(terms, str) or not terms:
        raise InputError("A model needs at least one term, as a list of columns.")
    named = [outcome, *terms, *([clusters] if isinstance(clusters, str) else [])]
    unknown = [name for name in named if name not in frame.columns]
    if unknown:
        raise InputError(f"The table has no column {unknown[0]!r}; it has {', '.join(map(str, frame.columns))}.")
    y, patients, kept, notes = _kept(frame, outcome, terms, clusters)
    grouped = [name for name in terms if _is_grouping(frame[name])]
    design: dict[str, np.ndarray] = {}
    for name in terms:
        column = frame[name][kept]
        if column.nunique() < 2:
            raise InputError(f"The column {name!r} has one group or value only in the {kept.sum()} rows; leave it out.")
        if name in grouped:
            counts = column.astype(str).value_counts()
            largest = min(counts.index[counts == counts.max()])
            for group in sorted(set(counts.index) - {largest}):
                design[f"{name}: {group} against {largest}"] = (column.astype(str) == group).to_numpy(float)
        else:
            design[name] = numbers(column, f"values of {name}")
    found = np.unique(patients[kept]).size
    if found < len(design) + 2:
        raise InputError(f"{found} patients are too few for a model of {len(design)} terms; take fewer terms.")
    centred = np.column_stack([(part - part.mean()) / part.std() for part in design.values()])
    if np.linalg.matrix_rank(centred, tol=1e-6 * len(centred)) < len(design):
        raise InputError(f"Some of the terms {', '.join(map(repr, terms))} say the same in this table; leave one out.")
    return y[kept], design, patients[kept], sentence(notes)


def used(frame: pandas.DataFrame, outcome: str, terms: Sequence[str], clusters: str | Any = None) -> np.ndarray:
    """Which rows (n,) a model with these terms is made of: those that miss nothing and are in no group of under 5."""
    return _kept(frame, outcome, terms, clusters)[2]


def _kept(
    frame: pandas.DataFrame, outcome: str, terms: Sequence[str], clusters: str | Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Outcome and patients (n,) of all rows, which of them a model is made of, and what was left out."""
    y = numbers(frame[outcome], f"values of {outcome}")
    patients = codes(frame[clusters] if isinstance(clusters, str) else clusters, len(frame), "clusters")
    kept = ~np.isnan(y) & frame[list(terms)].notna().to_numpy().all(axis=1)
    notes = [f"{len(y) - kept.sum()} rows miss a value and are left out" if not kept.all() else ""]
    notes += _drop_small(frame, [name for name in terms if _is_grouping(frame[name])], patients, kept)
    return y, patients, kept, notes


def _is_grouping(column: pandas.Series) -> bool:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    return is_bool_dtype(column) or not is_numeric_dtype(column)


def _drop_small(frame: pandas.DataFrame, grouped: Sequence[str], patients: np.ndarray, kept: np.ndarray) -> list[str]:
    """Take the rows of small groups out of `kept`, and say so."""
    notes = []
    for name in grouped:
        labels = frame[name].astype(str).to_numpy()
        for group in sorted(set(labels[kept])):
            rows = kept & (labels == group)
            if np.unique(patients[rows]).size < SMALLEST:
                kept &= ~rows
                notes.append(f"{name} {group} has fewer than {SMALLEST} patients and is left out")
    return notes


def _rows(design: dict[str, np.ndarray], estimate: Any, ends: Any, p: Any, n: int, note: str) -> pandas.DataFrame:
    from pandas import DataFrame

    ends = np.asarray(ends, float)
    columns = {"term": list(design), "estimate": estimate, "low": ends[:, 0], "high": ends[:, 1], "p": p}
    return DataFrame(columns | {"n": n, "note": note})
