"""One sagittal slice with the outlines of two masks, as a picture."""

from __future__ import annotations

import io

import numpy as np

from ..anatomy import STRUCTURES
from ..volume import Volume, conform, from_array, reorient

# Left to right is anterior to posterior and upwards is superior.
_SAGITTAL = "PSR"
# Told apart in grey too: one is drawn in full, the other dashed over it.
REFERENCE, CANDIDATE = "#56B4E9", "#E69F00"
_MARGIN_MM, _INCHES, _NARROWEST, _DOTS = 16.0, 4.2, 3.4, 150
_FOOT = 0.7


def worst_slice(reference: np.ndarray, candidate: np.ndarray, axis: int) -> int:
    """The slice along an axis in which most voxels (I, J, K) of two masks differ; without any, the fullest one."""
    others = tuple(other for other in range(3) if other != axis)
    differ = np.count_nonzero(reference != candidate, axis=others)
    if not differ.any():
        differ = np.count_nonzero(reference, axis=others)
    return int(differ.argmax())


def png(reference: Volume, candidate: Volume, image: Volume | None = None, caption: str = "") -> bytes:
    """The slice in which two masks differ most, with the reference's outline in full and the candidate's dashed.

    Parameters
    ----------
    reference, candidate : masks of one exam.
    image : drawn behind them; None draws the reference's structures in grey.
    caption : below the picture, up to two lines; slice and sides are added.

    Returns
    -------
    A PNG, the same bytes for the same input; superior is up, anterior left, one mm as long in both directions.

    Raises
    ------
    GeometryError : they do not lie on the same voxels. ImportError : matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    candidate = conform(candidate, reference)
    axis = reference.sagittal_axis
    index = worst_slice(reference.array, candidate.array, axis)
    planes = [_plane(mask.array, mask.affine, index, axis) for mask in (reference, candidate)]
    spacing = planes[0].spacing[:2]
    first, second = (plane.array[:, :, 0] for plane in planes)
    if image is not None:
        shown = conform(image, reference)
        grey = _plane(shown.intensities(), shown.affine, index, axis).array[:, :, 0].astype(float)
    else:
        grey = first * 0.3
    box = _box((first > 0) | (second > 0), spacing)
    first, second, grey = first[box], second[box], grey[box]
    width, height = np.array(grey.shape) * spacing
    figure = Figure(figsize=(max(_INCHES * width / height, _NARROWEST), _INCHES + _FOOT), dpi=_DOTS)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, _FOOT / (_INCHES + _FOOT), 1, _INCHES / (_INCHES + _FOOT)))
    axes.set_axis_off()
    low, high = (0.0, 1.0) if image is None else np.percentile(grey, (1, 99.5))
    extent = (0, width, 0, height)
    axes.imshow(grey.T, cmap="gray", origin="lower", extent=extent, vmin=low, vmax=max(high, low + 1e-6))
    for labels, colour, style in ((first, REFERENCE, "-"), (second, CANDIDATE, "--")):
        for part in STRUCTURES:
            inside = np.pad(labels == part.label, 1).astype(float)
            x, y = ((np.arange(size) - 0.5) * step for size, step in zip(inside.shape, spacing, strict=True))
            if inside.any():
                axes.contour(x, y, inside.T, [0.5], colors=colour, linestyles=style, linewidths=1.1)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    sides = [
        Line2D([], [], color=REFERENCE, label="reference"),
        Line2D([], [], color=CANDIDATE, linestyle="--", label="prediction"),
    ]
    figure.legend(handles=sides, loc="lower left", ncols=2, frameon=False, fontsize=7, handlelength=2.6)
    where = f"slice {index + 1} of {reference.shape[axis]}"
    said = "\n".join(filter(None, (caption, where)))
    # An exam's name is no formula, whatever signs it holds.
    figure.text(0.01, 0.26 / (_INCHES + _FOOT), said, fontsize=6.5, parse_math=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _plane(array: np.ndarray, affine: np.ndarray, index: int, axis: int) -> Volume:
    return reorient(from_array(np.take(array, [index], axis=axis), affine), _SAGITTAL)


def _box(inside: np.ndarray, spacing: np.ndarray) -> tuple[slice, ...]:
    """What is drawn: the masks with a margin; everything without masks."""
    if not inside.any():
        return (slice(None), slice(None))
    found = []
    for axis in (0, 1):
        places = np.flatnonzero(inside.any(axis=1 - axis))
        margin = round(_MARGIN_MM / spacing[axis])
        found.append(slice(max(places[0] - margin, 0), places[-1] + margin + 1))
    return tuple(found)
