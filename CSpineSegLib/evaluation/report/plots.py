"""Figures drawn as SVG: the same bytes for the same data, colours that colour-blind people tell apart, and grey too.

Colours are those of Okabe and Ito, "Color universal design" (2008), without the yellow; groups differ by marker, line
style or hatch as well, so that nothing is told by colour alone. Text stays text.
"""

from __future__ import annotations

import base64
import io
import re
import struct
from collections.abc import Callable
from typing import Any

from ...errors import InputError
from ..sections import Figure
from . import plots_agreement, plots_groups
from .style import FONT, FONTS, RC, Canvas

KINDS: dict[str, Callable[[Canvas, Any], None]] = {
    "groups": plots_groups.groups,
    "strip": plots_groups.strip,
    "histogram": plots_groups.histogram,
    "bars": plots_groups.bars,
    "lines": plots_groups.lines,
    "bland-altman": plots_agreement.bland_altman,
    "forest": plots_agreement.forest,
    "calibration": plots_agreement.calibration,
}
PICTURE = "picture"


def draw(figure: Figure) -> str:
    """A figure as the text of an SVG file that refers to nothing outside itself.

    What each kind asks for in `figure.data`:

    groups : frame, value, group (columns), panel (column or None), unit, line (where a reference stands, or None).
    strip : frame with level, value and perhaps group; unit. Levels stand from head to foot.
    histogram : values (array by name), unit. bars : frame with label, value and perhaps group; unit.
    lines : frame with x, y, group; names (of x and y); line. forest : rows with label, value, low, high and perhaps
    panel; line, unit, log. bland-altman : reference, candidate, unit, colour (a value per pair, or None).
    calibration : score, truth, names (of both). picture : png, the bytes of a PNG file.

    Raises
    ------
    InputError : another kind, data that the kind asks for are missing, or matplotlib is not installed.
    """
    if figure.kind == PICTURE:
        return _picture(figure)
    if figure.kind not in KINDS:
        raise InputError(f"{figure.kind!r} is not a kind of figure; {', '.join([*KINDS, PICTURE])} are.")
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
    except ImportError as error:
        raise InputError(
            f'Figures need matplotlib ({error}); install it with: pip install "cspineseg[report]".'
        ) from None
    with matplotlib.rc_context(RC):
        canvas = Canvas()
        try:
            KINDS[figure.kind](canvas, figure.data)
        except KeyError as error:
            raise InputError(f"The figure {figure.name} ({figure.kind}) lacks {error} in its data.") from None
        stream = io.StringIO()
        # No tight bounding box: what is laid out is what is saved, whatever fonts a machine has.
        FigureCanvasSVG(canvas.figure).print_svg(stream, metadata={"Date": None, "Creator": None})
    return _bare(stream.getvalue())


def _bare(svg: str) -> str:
    """Without prologue and metadata, which name addresses, and without what an editor alone needs."""
    svg = svg[svg.index("<svg") :]
    return re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL).replace(FONT, FONTS)


def _picture(figure: Figure) -> str:
    png = figure.data.get("png", b"")
    if png[:8] != b"\x89PNG\r\n\x1a\n" or len(png) < 24:
        raise InputError(f"The picture {figure.name} is not a PNG file.")
    width, height = struct.unpack(">II", png[16:24])
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<image width="{width}" height="{height}" href="data:image/png;base64,{data}"/></svg>\n'
    )
