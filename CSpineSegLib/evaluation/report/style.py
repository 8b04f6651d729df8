"""How all figures look: colours, markers, sizes, and the canvas that they are drawn on."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 2)))
HATCHES = ("", "///", "...", "xx", "\\\\\\", "++", "oo")
INK, QUIET, PALE = "#1a1a1a", "#595959", "#d9d9d9"
WIDTH = 7.4
# matplotlib brings the first, and lays out by it; the others are as wide or narrower.
FONT, FONTS = "'DejaVu Sans'", "'DejaVu Sans', Verdana, Arial, sans-serif"
RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cspineseg",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.formatter.useoffset": False,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "hatch.linewidth": 0.6,
    "figure.dpi": 100,
    "savefig.bbox": None,
    "axes.unicode_minus": True,
    "text.usetex": False,
    # Names of models, groups and exams are no formulas.
    "text.parse_math": False,
    "mathtext.default": "regular",
}
_INCH_ROW = 0.36


class Canvas:
    """A matplotlib figure of the report's width, and a generator that is the same on every run."""

    def __init__(self) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
        self.figure.set_facecolor("white")
        # By columns of a legend or panels side by side; the same points are moved aside the same way.
        self.random = np.random.default_rng(20250321)

    def axes(self, rows: int = 1, columns: int = 1, height: float = 3.6, **more: Any) -> np.ndarray:
        """(rows, columns) axes on a figure of so many inches height."""
        self.figure.set_size_inches(WIDTH, height)
        return self.figure.subplots(rows, columns, squeeze=False, **more)

    def height_of(self, rows: int, per_row: float = _INCH_ROW, about: float = 1.0) -> float:
        """Inches for so many rows of a figure with labels at its left."""
        return about + per_row * max(rows, 2)


def wrapped(label: Any, width: int = 24) -> str:
    """A label in lines of so many letters at most."""
    return "\n".join(textwrap.wrap(str(label), width, break_long_words=False)) or " "


def finite(values: Iterable[Any]) -> np.ndarray:
    """(N,) float, what is not NaN or infinite."""
    array = numbers(values)
    return array[np.isfinite(array)]


def numbers(values: Iterable[Any]) -> np.ndarray:
    """(N,) float, NaN where there is none."""
    import pandas

    return pandas.to_numeric(pandas.Series(list(values), dtype=object), errors="coerce").to_numpy(
        float, na_value=np.nan
    )


def in_order(column: Any) -> list[Any]:
    """The different values of a column: in the order of its categories, else as they come; NaN left out."""
    if hasattr(column, "cat"):
        present = set(column.dropna())
        return [value for value in column.cat.categories if value in present]
    return list(dict.fromkeys(column.dropna()))


def nothing(axes: Any) -> None:
    """Say in a figure that there is nothing to show."""
    axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", va="center", color=QUIET)
    axes.set_xticks([])
    axes.set_yticks([])
