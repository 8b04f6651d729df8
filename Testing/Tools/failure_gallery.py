"""Draws the held-out phantoms on which a model does worst, for its model card.

    python Testing/Tools/failure_gallery.py BUNDLE build/exams --report build/validation.json

The exams are those of `python -m CSpineSegLib.training.exams`; with the report of a validation only the worst are
segmented again, without it all that are kept. The picture goes into the bundle as docs/failures.jpg, and its card and
checksums are renewed.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from CSpineSegLib import files, model, volume
from CSpineSegLib.model import preprocess
from CSpineSegLib.training import exams, fitting

KINDS = ("t2", "beyond")
NAME = "docs/failures.jpg"
LARGEST = 300_000
TRUE, FOUND = "#4dd2ff", "#ff5050"


class Panel(NamedTuple):
    """The worst slice of an exam: image (rows, columns), true and found labels on it, mm of a pixel, a title."""

    image: np.ndarray
    truth: np.ndarray
    found: np.ndarray
    spacing: tuple[float, float]
    title: str


def worst(folder: Path, report: Path | None, count: int) -> list[Path]:
    """The exams with the lowest mean Dice by a validation's report, or all that are kept."""
    kept = {path.stem: path for kind in KINDS for path in exams.kept(folder, kind)}
    if report is None:
        return list(kept.values())
    trials = [trial for trial in files.read_json(report)["trials"] if trial["group"] in KINDS and "dice" in trial]
    ranked = sorted(trials, key=lambda trial: _mean(trial["dice"]))
    named = (Path(str(trial["exam"])).name.removesuffix(".npz") for trial in ranked)
    return [kept[name] for name in dict.fromkeys(named) if name in kept][:count]


def _mean(dice: dict[str, Any]) -> float:
    return float(np.mean([value for value in dice.values() if value is not None]))


def panel(bundle: model.Bundle, path: Path) -> tuple[float, Panel]:
    """Mean Dice of an exam, and its slice on which most voxels are wrong."""
    exam = exams.load(path)
    mask = model.predict(bundle, exam.image, "cpu", anyway=True, quality=False).mask
    truth, counted = exam.truth()
    dice = fitting.dice(truth, mask.array, counted)
    wrong = volume.from_array(((truth != mask.array) & counted).astype(np.uint8), exam.image.affine)
    turned = [volume.reorient(part, preprocess.ORIENTATION) for part in (exam.image, exam.mask, mask, wrong)]
    image, true, found, errors = (part.array for part in turned)
    at = int(errors.sum(axis=(1, 2)).argmax())
    told = ", ".join(f"{key} {value:.2f}" for key, value in dice.items() if value is not None)
    title = f"{exam.name}: {told}\nslice {at + 1} of {len(image)}"
    return _mean(dice), Panel(image[at], true[at], found[at], tuple(float(mm) for mm in turned[0].spacing[1:]), title)


def draw(panels: list[Panel], dpi: int = 110) -> bytes:
    """A JPEG of all panels, at most :data:`LARGEST` bytes: outlines of the truth in blue, of the mask in red."""
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 3.6 * rows), layout="constrained", facecolor="white")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for place in places:
        place.set_axis_off()
    for place, one in zip(places, panels, strict=False):
        height, width = one.image.shape
        extent = (0, width * one.spacing[1], height * one.spacing[0], 0)
        place.imshow(
            one.image, cmap="gray", extent=extent, vmax=np.quantile(one.image, 0.995), interpolation="bilinear"
        )
        for labels, color in ((one.truth, TRUE), (one.found, FOUND)):
            for value in (1, 2):
                if (labels == value).any():
                    inside = (labels == value).astype(float)
                    box = (0, extent[1], 0, extent[2])
                    place.contour(inside, [0.5], colors=color, linewidths=0.7, extent=box, origin="lower")
        place.set_ylim(extent[2], 0)
        place.set_title(one.title, fontsize=7)
    figure.suptitle("Worst held-out phantoms: truth blue, mask red", fontsize=9)
    stream = io.BytesIO()
    figure.savefig(stream, format="jpeg", dpi=dpi, pil_kwargs={"quality": 85, "subsampling": 0, "optimize": True})
    data = stream.getvalue()
    return data if len(data) <= LARGEST or dpi < 30 else draw(panels, int(dpi * 0.85))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="name or folder of the model")
    parser.add_argument("exams", type=Path, help="folder of held-out exams")
    parser.add_argument("--report", type=Path, help="report of a validation")
    parser.add_argument("--count", type=int, default=6, help="how many exams are shown (default: %(default)s)")
    options = parser.parse_args()
    bundle = model.load(options.bundle)
    found = []
    for path in worst(options.exams, options.report, options.count):
        found.append(panel(bundle, path))
        print(f"{found[-1][0]:.3f} {path.name}", flush=True)
    if not found:
        parser.error(f"no exam of the kinds {', '.join(KINDS)} is kept in {options.exams}")
    found.sort(key=lambda pair: pair[0])
    data = draw([one for _, one in found[: options.count]])
    model.amend(bundle.folder, extra={NAME: data})
    print(f"{bundle.folder / NAME}: {len(data)} bytes")


if __name__ == "__main__":
    main()
