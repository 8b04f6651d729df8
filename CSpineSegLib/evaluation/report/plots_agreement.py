"""Figures of agreement and of effects: Bland-Altman, calibration, forest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .style import COLOURS, INK, MARKERS, QUIET, Canvas, in_order, nothing, numbers, wrapped

_BINS = 10


def bland_altman(canvas: Canvas, data: Mapping[str, Any]) -> None:
    """Difference over mean with the bias and the 95 % limits of agreement, bias ± 1.96 SD.

    Source: Bland and Altman, "Statistical methods for assessing agreement" (Lancet 1, 307-310, 1986).
    """
    pairs = np.stack([numbers(data["reference"]), numbers(data["candidate"])])
    kept = np.isfinite(pairs).all(axis=0)
    reference, candidate = pairs[:, kept]
    (axis,) = canvas.axes(height=3.9).flat
    unit = f" ({data['unit']})" if data.get("unit") else ""
    axis.set_xlabel(f"mean of candidate and reference{unit}")
    axis.set_ylabel(f"candidate − reference{unit}")
    if not len(reference):
        nothing(axis)
        return
    mean, difference = (reference + candidate) / 2, candidate - reference
    _points(canvas, axis, mean, difference, data.get("colour"), kept)
    bias, spread = difference.mean(), 1.96 * difference.std(ddof=1) if len(difference) > 1 else np.nan
    axis.axhline(0, color=QUIET, linewidth=0.8)
    named = (("bias", bias, "-"), ("+1.96 SD", bias + spread, "--"), ("−1.96 SD", bias - spread, "--"))
    for name, value, line in named:
        if np.isfinite(value):
            axis.axhline(value, color=INK, linestyle=line, linewidth=1.2)
            text = f"{name} {value:.3g}".replace(" -", " −")
            axis.annotate(
                text,
                (0.995, value),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                va="bottom",
                fontsize=8.5,
                bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
            )
    axis.margins(y=0.12)
    axis.annotate(f"n = {len(difference)}", (0.01, 0.98), xycoords="axes fraction", va="top", fontsize=8.5)


def _points(canvas: Canvas, axis: Any, x: np.ndarray, y: np.ndarray, colour: Any, kept: np.ndarray) -> None:
    """Points in one colour, in a scale of values, or by group."""
    import pandas

    if colour is None:
        axis.plot(x, y, MARKERS[0], color=COLOURS[0], alpha=0.5, markersize=4, markeredgewidth=0)
        return
    given = pandas.Series(colour).reset_index(drop=True)[kept]
    if pandas.api.types.is_numeric_dtype(given):
        drawn = axis.scatter(x, y, c=numbers(given), cmap="cividis", s=16, linewidths=0.3, edgecolors=INK)
        canvas.figure.colorbar(drawn, ax=axis, shrink=0.8)
        return
    for number, name in enumerate(in_order(given)):
        chosen = (given == name).to_numpy(bool, na_value=False)
        axis.plot(
            x[chosen],
            y[chosen],
            MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            alpha=0.6,
            markersize=4,
            markeredgewidth=0,
            label=wrapped(name, 40),
        )
    canvas.figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=4)


def calibration(canvas: Canvas, data: Mapping[str, Any]) -> None:
    """Truth over score: every exam, and the mean of bins that hold as many exams each, with their number and ± 1 SD."""
    pairs = np.stack([numbers(data["score"]), numbers(data["truth"])])
    score, truth = pairs[:, np.isfinite(pairs).all(axis=0)]
    (axis,) = canvas.axes(height=4.6).flat
    axis.set_xlabel(data["names"][0])
    axis.set_ylabel(data["names"][1])
    if not len(score):
        nothing(axis)
        return
    ends = np.array([min(score.min(), truth.min()), max(score.max(), truth.max())])
    axis.plot(ends, ends, color=QUIET, linestyle="--", linewidth=1, label="perfect")
    axis.plot(score, truth, "o", color=COLOURS[5], alpha=0.55, markersize=3.4, markeredgewidth=0, label="exams")
    bins = np.array_split(np.argsort(score, kind="stable"), int(np.clip(len(score) // 10, 1, _BINS)))
    x, y = (np.array([values[one].mean() for one in bins]) for values in (score, truth))
    spread = [truth[one].std(ddof=1) if len(one) > 1 else 0.0 for one in bins]
    axis.errorbar(
        x,
        y,
        spread,
        fmt="s-",
        color=COLOURS[0],
        markeredgecolor=INK,
        capsize=3,
        linewidth=1.4,
        label="mean of a bin, ± 1 SD",
    )
    for number, (one, left, top) in enumerate(zip(bins, x, y + spread, strict=True)):
        axis.annotate(
            f"{len(one)}",
            (left, top),
            xytext=(0, 4 + 9 * (number % 2)),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=QUIET,
        )
    axis.margins(0.06)
    axis.annotate(
        f"n = {len(score)}; numbers are exams in a bin",
        (0.99, 0.02),
        xycoords="axes fraction",
        ha="right",
        fontsize=8.5,
    )
    canvas.figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)


def forest(canvas: Canvas, data: Mapping[str, Any]) -> None:
    """Estimates with their intervals, one a row with its figures at the right; panels as headed blocks."""
    rows = data["rows"]
    parts = in_order(rows["panel"]) if "panel" in rows.columns else [None]
    lines: list[tuple[str, Any]] = []
    for part in parts:
        if part is not None:
            lines.append((str(part), None))
        chosen = rows if part is None else rows[rows["panel"] == part]
        lines += [(str(row.label), row) for row in chosen.itertuples()]
    (axis,) = canvas.axes(height=canvas.height_of(len(lines), 0.3, 0.9)).flat
    if not lines:
        nothing(axis)
        return
    if data.get("log"):
        _ratios(axis)
    axis.axvline(data["line"], color=INK, linestyle="--", linewidth=1)
    for at, (_, row) in enumerate(lines):
        if row is not None:
            _estimate(axis, at, row)
    axis.set_yticks(range(len(lines)), [wrapped(name, 44) for name, _ in lines])
    for label, (_, row) in zip(axis.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if row is None else "normal")
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.grid(False, axis="y")
    axis.set_xlabel(data.get("unit", ""))


def _ratios(axis: Any) -> None:
    """A logarithmic axis whose ticks are plain numbers, also where it spans less than a decade."""
    from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(MaxNLocator(6))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(ScalarFormatter())


def _estimate(axis: Any, at: int, row: Any) -> None:
    value, low, high = (float(number) for number in numbers([row.value, row.low, row.high]))
    if np.isfinite(low) and np.isfinite(high):
        axis.plot([low, high], [at, at], color=COLOURS[0], linewidth=1.8, solid_capstyle="butt")
        axis.plot([low, high], [at, at], "|", color=COLOURS[0], markersize=7, markeredgewidth=1.4)
    text = "–"
    if np.isfinite(value):
        axis.plot([value], [at], "s", color=COLOURS[0], markersize=6, markeredgecolor=INK, markeredgewidth=0.7)
        text = f"{value:.3f}"
        if np.isfinite(low) and np.isfinite(high):
            text += f" ({low:.3f}, {high:.3f})"
    axis.annotate(
        text.replace("-", "−") if text != "–" else text,
        (1.01, at),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=8.5,
        annotation_clip=False,
    )
