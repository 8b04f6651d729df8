"""Figures of how values lie: by group, by level, as histogram, bars or lines. Groups are rows, so labels stay level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ... import anatomy
from .style import COLOURS, HATCHES, INK, LINES, MARKERS, PALE, QUIET, Canvas, finite, in_order, nothing, wrapped

# Above this many values a group is shown by its violin and box, and by points only beyond the whiskers.
_POINTS = 250
_VIOLIN = 10


def groups(canvas: Canvas, data: Mapping[str, Any]) -> None:
    """Violin, box and points of each group, one group a row; panels side by side."""
    frame, value, group, panel = data["frame"], data["value"], data["group"], data.get("panel")
    names = in_order(frame[group])
    panels = (in_order(frame[panel]) if panel else []) or [None]
    across = min(max(len(panels), 1), 3)
    down = -(-max(len(panels), 1) // across)
    height = down * canvas.height_of(len(names), 0.42, 0.75)
    axes = canvas.axes(down, across, height, sharey=True, sharex=len(panels) > 1)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, part in zip(axes.flat, panels, strict=False):
        chosen = frame if part is None else frame[frame[panel] == part]
        if part is not None:
            axis.set_title(wrapped(part, 30), loc="left")
        if data.get("line") is not None:
            axis.axvline(data["line"], color=INK, linestyle="--", linewidth=1)
        counts = [
            _row(canvas, axis, row, finite(chosen[value][chosen[group] == name])) for row, name in enumerate(names)
        ]
        if not names:
            nothing(axis)
            continue
        labels = [f"{wrapped(name, 22)}\n(n = {count})" for name, count in zip(names, counts, strict=True)]
        if len(panels) > 1:
            labels = [wrapped(name, 22) for name in names]
            for row, count in enumerate(counts):
                axis.annotate(
                    f"n = {count}",
                    (0.01, row - 0.36),
                    xycoords=("axes fraction", "data"),
                    fontsize=7.5,
                    color=QUIET,
                    va="center",
                )
        axis.set_yticks(range(len(names)), labels)
        axis.set_ylim(len(names) - 0.45, -0.6)
        axis.grid(False, axis="y")
        axis.set_xlabel(data.get("unit", ""))
        axis.locator_params(axis="x", nbins=6 if len(panels) > 1 else 9)


def _row(canvas: Canvas, axis: Any, row: int, values: np.ndarray) -> int:
    colour = COLOURS[row % len(COLOURS)]
    if not len(values):
        axis.text(0.5, row, "no values", transform=axis.get_yaxis_transform(), ha="center", va="center", color=QUIET)
        return 0
    low, middle, high = np.percentile(values, (25, 50, 75))
    if len(values) >= _VIOLIN and np.ptp(values) > 0:
        body = axis.violinplot([values], [row], orientation="horizontal", widths=0.78, showextrema=False)["bodies"][0]
        body.set(facecolor=colour, alpha=0.22, edgecolor=colour, linewidth=0.8)
    beyond = (values < low - 1.5 * (high - low)) | (values > high + 1.5 * (high - low))
    points = values if len(values) <= _POINTS else values[beyond]
    aside = row + canvas.random.uniform(-0.2, 0.2, len(points))
    axis.plot(points, aside, MARKERS[row % len(MARKERS)], color=colour, markersize=2.8, alpha=0.55, markeredgewidth=0)
    axis.plot([low, high], [row, row], color=INK, linewidth=4.5, solid_capstyle="butt")
    axis.plot([middle], [row], "|", color="white", markersize=9, markeredgewidth=3.4)
    axis.plot([middle], [row], "|", color=INK, markersize=15, markeredgewidth=2)
    return len(values)


def strip(canvas: Canvas, data: Mapping[str, Any]) -> None:
    """Every value of each level, from head to foot, with median and quartiles; groups one below the other."""
    frame = data["frame"]
    levels = sorted(in_order(frame["level"]), key=_place)
    names = in_order(frame["group"]) if "group" in frame.columns else [None]
    (axis,) = canvas.axes(height=canvas.height_of(len(levels) * max(1.0, 0.62 * len(names)), 0.4)).flat
    if not levels:
        nothing(axis)
        return
    step = 0.78 / max(len(names), 1)
    for number, name in enumerate(names):
        chosen = frame if name is None else frame[frame["group"] == name]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        for row, level in enumerate(levels):
            values = finite(chosen["value"][chosen["level"] == level])
            if not len(values):
                continue
            at = row + (number - (len(names) - 1) / 2) * step
            aside = at + canvas.random.uniform(-0.32, 0.32, len(values)) * step
            axis.plot(values, aside, marker, color=colour, alpha=0.35, markersize=2.6, markeredgewidth=0)
            low, middle, high = np.percentile(values, (25, 50, 75))
            axis.plot([low, high], [at, at], color=INK, linewidth=2.4, solid_capstyle="butt")
            axis.plot([middle], [at], marker, color=colour, markersize=6.5, markeredgecolor=INK, markeredgewidth=1)
            if len(names) == 1:
                axis.annotate(
                    f"n = {len(values)}",
                    (1.005, at),
                    xycoords=("axes fraction", "data"),
                    va="center",
                    fontsize=8,
                    color=QUIET,
                )
        if name is not None:
            axis.plot([], [], marker, color=colour, markeredgecolor=INK, linestyle="none", label=wrapped(name, 40))
    axis.set_yticks(range(len(levels)), [str(level).replace("-", "–") for level in levels])
    axis.set_ylim(len(levels) - 0.4, -0.6)
    axis.grid(False, axis="y")
    axis.set_ylabel("head to foot", color=QUIET)
    axis.set_xlabel(data.get("unit", ""))
    _legend(canvas, axis)


def _place(level: Any) -> tuple[int, int, str]:
    """Where a level or block ("C5+C6") comes from head to foot; unknown names come last."""
    heads = {one.name: at for at, one in enumerate(sorted(anatomy.levels(), key=_from_head))}
    first, *more = str(level).split("+")
    return heads.get(first, len(heads)), len(more), str(level)


def _from_head(level: Any) -> tuple[float, int]:
    first = level.name.split("-")[0]
    return "CTLS".find(first[0]) * 100 + int("".join(filter(str.isdigit, first)) or 0), "-" in level.name


def histogram(canvas: Canvas, data: Mapping[str, Any]) -> None:
    """Outlines of histograms over common bins; shares if there are several, numbers if there is one."""
    values = {str(name): finite(array) for name, array in data["values"].items()}
    (axis,) = canvas.axes(height=3.2).flat
    every = np.concatenate([*values.values(), np.zeros(0)])
    if not len(every):
        nothing(axis)
        return
    count = int(np.clip(np.sqrt(len(every)) * 1.2, 8, 40))
    edges = np.histogram_bin_edges(every, count)
    for number, (name, array) in enumerate(values.items()):
        if not len(array):
            continue
        colour = COLOURS[number % len(COLOURS)]
        weights = np.full(len(array), 100 / len(array)) if len(values) > 1 else None
        heights, _ = np.histogram(array, edges, weights=weights)
        axis.stairs(heights, edges, fill=True, color=colour, alpha=0.16)
        axis.stairs(
            heights,
            edges,
            color=colour,
            linestyle=LINES[number % len(LINES)],
            linewidth=1.7,
            label=f"{wrapped(name, 40)} (n = {len(array)})",
        )
    axis.set_xlabel(data.get("unit", ""))
    axis.set_ylabel("share of the group (%)" if len(values) > 1 else "number")
    _legend(canvas, axis)


def bars(canvas: Canvas, data: Mapping[str, Any]) -> None:
    """Horizontal bars with their values; groups differ by hatch too."""
    frame = data["frame"]
    labels = in_order(frame["label"])
    names = in_order(frame["group"]) if "group" in frame.columns else [None]
    (axis,) = canvas.axes(height=canvas.height_of(len(labels) * max(1.0, 0.55 * len(names)), 0.34, 1.1)).flat
    if not labels:
        nothing(axis)
        return
    thick = 0.78 / max(len(names), 1)
    for number, name in enumerate(names):
        chosen = frame if name is None else frame[frame["group"] == name]
        found = dict(zip(chosen["label"], chosen["value"].astype(float), strict=True))
        at = [row + (number - (len(names) - 1) / 2) * thick for row, label in enumerate(labels) if label in found]
        sizes = [found[label] for label in labels if label in found]
        drawn = axis.barh(
            at,
            np.nan_to_num(sizes),
            thick * 0.9,
            color=COLOURS[number % len(COLOURS)],
            alpha=0.75,
            hatch=HATCHES[number % len(HATCHES)],
            edgecolor=INK,
            linewidth=0.6,
            label=None if name is None else wrapped(name, 40),
        )
        axis.bar_label(drawn, ["–" if np.isnan(size) else f"{size:.4g}" for size in sizes], padding=3, fontsize=8)
    axis.set_yticks(range(len(labels)), [wrapped(label, 30) for label in labels])
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.margins(x=0.1)
    axis.grid(False, axis="y")
    axis.set_xlabel(data.get("unit", ""))
    _legend(canvas, axis)


def lines(canvas: Canvas, data: Mapping[str, Any]) -> None:
    """Curves of groups over x."""
    frame, (x, y) = data["frame"], data["names"]
    (axis,) = canvas.axes(height=3.5).flat
    if data.get("line") is not None:
        axis.axhline(data["line"], color=INK, linestyle="--", linewidth=1)
    names = in_order(frame["group"]) if "group" in frame.columns else [None]
    if not len(frame):
        nothing(axis)
        return
    for number, name in enumerate(names):
        chosen = frame if name is None else frame[frame["group"] == name]
        axis.plot(
            chosen["x"].astype(float),
            chosen["y"].astype(float),
            color=COLOURS[number % len(COLOURS)],
            linestyle=LINES[number % len(LINES)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            markevery=max(1, len(chosen) // 15),
            label=None if name is None else wrapped(name, 40),
        )
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    _legend(canvas, axis)


def _legend(canvas: Canvas, axis: Any) -> None:
    """Above the figure, so that it covers nothing."""
    handles, labels = axis.get_legend_handles_labels()
    if labels:
        longest = max(len(line) for label in labels for line in label.split("\n"))
        columns = max(1, min(len(labels), 98 // (longest + 7)))
        canvas.figure.legend(handles, labels, loc="outside upper left", ncols=columns, labelcolor=INK, edgecolor=PALE)
