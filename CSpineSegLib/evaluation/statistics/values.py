"""What every test does first: numbers out of columns, and a word about those that are missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...errors import InputError


def numbers(values: Any, what: str = "values") -> np.ndarray:
    """A column (n,) as float64, NaN where there is no number.

    InputError for text, infinity, or more than one dimension; None and pandas' NA become NaN.
    """
    from pandas import Series, to_numeric

    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype == np.float64:
        return _finite(values, what)
    try:
        flat = np.ndim(values) == 1
        column = to_numeric(Series(values)).to_numpy(float, na_value=np.nan) if flat else np.asarray(values, float)
    except (TypeError, ValueError):
        raise InputError(f"The {what} are not all numbers; leave out what is text.") from None
    if column.ndim != 1:
        raise InputError(f"The {what} have {column.ndim} dimensions; a test needs one column.")
    return _finite(column, what)


def _finite(column: np.ndarray, what: str) -> np.ndarray:
    if np.isinf(column).any():
        raise InputError(f"The {what} hold an infinite number; leave it out or say what it stands for.")
    return column


def present(values: Any, what: str = "values") -> tuple[np.ndarray, int]:
    """The numbers of a column without NaN, and how many were missing."""
    column = numbers(values, what)
    kept = column[~np.isnan(column)]
    return kept, len(column) - len(kept)


def codes(labels: Any, size: int, what: str) -> np.ndarray:
    """Whole numbers from 0 (size,) for the labels of each value, such as patients.

    A missing label is a group of its own: nobody knows that two of them are the same patient. InputError if there are
    not as many labels as values.
    """
    from pandas import factorize

    labels = np.asarray(labels, object) if labels is not None else np.arange(size)
    if labels.shape != (size,):
        raise InputError(f"There are {size} values and {labels.size} {what}; each value needs one.")
    found, kinds = factorize(labels)
    missing = found < 0
    found[missing] = len(kinds) + np.arange(missing.sum())
    return found


def missing_note(count: int, what: str = "value") -> str:
    """A sentence about missing values; empty if there are none."""
    return f"{count} {what}{'s' if count > 1 else ''} missing and left out" if count else ""


def sentence(parts: Iterable[str]) -> str:
    """Remarks joined to one note."""
    return "; ".join(part for part in parts if part)
