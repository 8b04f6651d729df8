"""Draws the levels that are found in an exam: `python Testing/Tools/levels_picture.py IMAGE --output levels.png`.

Without `--mask` the image is segmented first. Three sagittal slices with each body and disc in a colour of its own, its
name beside it (or its place from the top while levels are relative), blocks with the names of all their vertebrae.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from CSpineSegLib import files, model, volume
from CSpineSegLib.spine import Labelling, levels
from CSpineSegLib.volume import Volume

# Right to left, then downwards, then towards the back: rows and columns of a sagittal slice as it is read.
VIEW = "LIP"
DPI = 110
MARGIN = 12.0


def panels(image: Volume, mask: Volume, found: Labelling, title: str, figure, row: int, rows: int) -> None:
    """Three slices of one labelling in a row of a figure; without names on the first, the plain image."""
    grey = volume.reorient(image, VIEW)
    parts = volume.reorient(volume.like(mask, found.instances_volume.astype(np.uint16)), VIEW).array
    inside = np.isin(parts, [number for element in found.elements for number in element.instances])
    sizes = inside.sum(axis=(1, 2))
    middle = int(np.average(np.arange(len(sizes)), weights=sizes) + 0.5)
    step = max(1, round(4.0 / grey.spacing[0]))
    low, high = (np.argwhere(inside).min(axis=0), np.argwhere(inside).max(axis=0))
    from matplotlib import colormaps

    colours = colormaps["tab20"](np.arange(20))
    for column, index in enumerate((middle, middle - step, middle, middle + step)):
        place = figure.add_subplot(rows, 4, row * 4 + column + 1)
        place.set_axis_off()
        index = int(np.clip(index, 0, len(sizes) - 1))
        place.imshow(grey.array[index], cmap="gray", vmax=np.quantile(grey.array, 0.995), interpolation="bilinear",
                     aspect=grey.spacing[1] / grey.spacing[2])  # fmt: skip
        margin = MARGIN / grey.spacing[1:]
        place.set_xlim(low[2] - 1.5 * margin[1], high[2] + 2 * margin[1])
        place.set_ylim(high[1] + margin[0], low[1] - margin[0])
        if column == 0:
            place.set_title(title, fontsize=7, loc="left")
            continue
        shown = np.zeros((*parts.shape[1:], 4))
        for number, element in enumerate(found.elements):
            own = np.isin(parts[index], element.instances)
            shown[own] = colours[(2 * number + (element.kind == "disc")) % 20] * (1, 1, 1, 0.5)
            if not own.any():
                continue
            text = " + ".join(element.levels) or str(element.ordinal)
            y, x = np.argwhere(own).mean(axis=0)
            if element.kind == "disc":
                x = np.argwhere(own)[:, 1].min() - 3 / grey.spacing[2]
                look = {"size": 6, "ha": "right"}
            else:
                look = {"size": 7, "ha": "center", "weight": "bold"}
            if element.kind != "disc" or element.levels:
                place.text(x, y, text, color="white", va="center", **look)
        place.imshow(shown, interpolation="nearest", aspect=grey.spacing[1] / grey.spacing[2])


def draw(image: Volume, mask: Volume, labellings: list[tuple[str, Labelling]]) -> bytes:
    import PIL.Image
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 5.4 * len(labellings)), layout="constrained", facecolor="white")
    for row, (title, found) in enumerate(labellings):
        panels(image, mask, found, title, figure, row, len(labellings))
    drawn, stream = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    # 256 colours are enough, and a third of the size.
    PIL.Image.open(drawn).convert("RGB").quantize(256).save(stream, format="png", optimize=True)
    return stream.getvalue()


def wrapped(sentence: str, width: int = 48) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(sentence, width))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--mask", type=Path, help="its mask; without it, the model draws one")
    parser.add_argument("--model", default="cspine-phantom")
    parser.add_argument("--anchor", help="NAME=x,y,z of one body, RAS mm, for a second row of pictures")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    image = volume.read(options.image)
    mask = volume.read_mask(options.mask) if options.mask else model.predict(model.load(options.model), image).mask
    found = [levels.label(mask)]
    if options.anchor:
        name, place = options.anchor.split("=")
        found.append(levels.label(mask, anchor=(name, tuple(map(float, place.split(","))))))
    titled = [(wrapped(f"{one.reason} Confidence {one.confidence:.2f}."), one) for one in found]
    for one in found:
        print(one.reason, f"{one.confidence:.2f}", one.alternatives)
        for element in one.elements:
            name = "+".join(element.levels)
            print(f"{element.ordinal:3} {element.kind:6} {name:10} {element.confidence:.2f} {element.note}")
    data = draw(image, mask, titled)
    files.write_verified(options.output, data)
    print(f"{options.output}: {len(data)} bytes")


if __name__ == "__main__":
    main()
