"""Bias and limits of agreement of every measurement against phantoms whose true values are known.

    python Testing/Benchmarks/measuring_bench.py                       prints the tables
    python Testing/Benchmarks/measuring_bench.py --people 30 --write   and puts them into Docs/measurements.md
    python Testing/Benchmarks/measuring_bench.py --people 0 --write    puts only the definitions there
    python Testing/Benchmarks/measuring_bench.py --rows rows.json --write    from rows kept by --output
    python Testing/Benchmarks/measuring_bench.py --predicted --people 15     masks of the packaged model

Each person lies on a random geometry such as the dataset's exams have. A mask is measured as it was cut from the
phantom, and once more with its borders moved as a hand would move them, by half a pixel (one standard deviation).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from CSpineSegLib import jobs, model, phantom, volume  # noqa: E402
from CSpineSegLib.phantom.shape import VERTEBRAE  # noqa: E402
from CSpineSegLib.spine import levels as finding  # noqa: E402
from CSpineSegLib.spine import measuring, measuring_trials  # noqa: E402
from CSpineSegLib.spine.labelling import Labelling  # noqa: E402
from CSpineSegLib.spine.measuring_truth import Truth  # noqa: E402

DOCUMENT = ROOT / "Docs" / "measurements.md"
FIRST = 70_000
# C2 to T1: what every exam of the dataset shows whole.
LAST = 7
EXACT, DRAWN, PREDICTED = "as cut", "as drawn", "as predicted"
DISCS = {f"{upper}-{lower}" for upper, lower in pairwise(VERTEBRAE)}


def person(seed: int, beyond: bool) -> Iterator[dict[str, Any]]:
    """Rows of one person: a measurement beside its truth."""
    rng = np.random.default_rng([seed, 77])
    grid = phantom.random_grid(rng)
    truth, known, sizes = true_values(seed, beyond)
    _, levels = phantom.truth(seed, grid, beyond=beyond)
    labelling, mask = measuring_trials.labelling_of(levels, grid, truth.fused)
    boundary = measuring.BOUNDARY * float(np.sort(grid.spacing)[1])
    drawn = measuring_trials.redrawn(labelling.instances_volume, grid, boundary, rng)
    again = measuring_trials.labelling_from(drawn, labelling.elements, grid)
    for arm, (found, image) in ((EXACT, (labelling, mask)), (DRAWN, again)):
        yield from beside(seed, arm, found, image, truth, known, sizes)


def predicted(seed: int, beyond: bool, bundle: model.Bundle) -> Iterator[dict[str, Any]]:
    """The same of the mask that a model predicts for a T2 scan of the person, its levels counted from a click in C5."""
    grid = phantom.random_grid(np.random.default_rng([seed, 77]))
    truth, known, sizes = true_values(seed, beyond)
    scan = volume.from_array(phantom.make(seed, grid, beyond=beyond).image, grid.affine)
    mask = model.predict(bundle, scan, "cpu", anyway=True, quality=False).mask
    labelling = finding.label(mask, anchor=("C5", truth.plane_of(VERTEBRAE.index("C5")).centre))
    yield from beside(seed, PREDICTED, labelling, mask, truth, known, sizes)


def true_values(seed: int, beyond: bool) -> tuple[Truth, dict[tuple[str, str], tuple[float, str]], dict[str, Any]]:
    """A person, the true value and category of each measurement by key and structure, and the true volumes."""
    truth = Truth(phantom.Anatomy(seed, beyond=beyond))
    rows = [*truth.structures(LAST), *truth.whole()]
    known = {(row.key, row.of): (row.value, row.category) for row in rows if row.value is not None}
    sizes = truth.volumes(len(VERTEBRAE) - 1)
    for name in truth.names(LAST):
        known["disc_volume" if name in DISCS else "body_volume", name] = (sizes[name][0], "")
    return truth, known, sizes


def beside(
    seed: int,
    arm: str,
    labelling: Labelling,
    mask: volume.Volume,
    truth: Truth,
    known: dict[tuple[str, str], tuple[float, str]],
    sizes: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """Each measurement of a mask whose truth is known."""
    began = time.perf_counter()
    measured = measuring.measure(labelling, mask)
    spent = time.perf_counter() - began
    for row in measured.rows:
        right = coronal(truth, sizes, row) if row.key == "coronal_angle" else known.get((row.key, row.of))
        if right is not None:
            yield {
                "seed": seed, "arm": arm, "key": row.key, "of": row.of, "truth": right[0], "value": row.value,
                "sigma": row.sigma, "category": row.category, "right": right[1], "reason": row.reason,
                "seconds": spent, "step": measured.step, "pixel": measured.pixel,
            }  # fmt: skip


def coronal(truth: Truth, sizes: dict[str, Any], row: measuring.Measurement) -> tuple[float | None, str] | None:
    """Value and verdict of the same bodies' true centres."""
    names = [name for name in sizes if name not in DISCS]
    first, _, last = row.of.partition(" to ")
    if row.value is None or last not in names:
        return None
    kept = names[names.index(first) : names.index(last) + 1]
    right = truth.coronal({name: sizes[name][1] for name in kept})
    return right.value, right.category


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one quantity: in percent of the truth for volumes."""
    told = [row for row in rows if row["value"] is not None]
    scale = np.array([100 / row["truth"] if row["key"].endswith("volume") else 1.0 for row in told])
    error = np.array([row["value"] - row["truth"] for row in told]) * scale
    sigma = np.array([row["sigma"] for row in told]) * scale
    spread = float(error.std(ddof=1)) if len(error) > 1 else float("nan")
    return {
        "n": len(told),
        "refused": len(rows) - len(told),
        "bias": float(error.mean()),
        "low": float(error.mean() - 1.96 * spread),
        "high": float(error.mean() + 1.96 * spread),
        "spread": spread,
        "sigma": float(np.sqrt(np.mean(np.square(sigma)))),
        "within": float(np.mean(np.abs(error) <= 1.96 * sigma)),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """A line a quantity."""
    lines = [
        "| quantity | masks | values | refused | bias | 95 % limits of agreement | SD told (SD of errors) | "
        "truth within 95 % |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups = defaultdict(list)
    for row in rows:
        groups[row["key"], row["arm"]].append(row)
    for one in measuring.DEFINITIONS:
        for arm in (EXACT, DRAWN, PREDICTED):
            if not any(row["value"] is not None for row in groups[one.key, arm]):
                continue
            found = summary(groups[one.key, arm])
            unit = "%" if one.key.endswith("volume") else one.unit
            digits = 3 if not unit else 1 if unit == "%" or unit == "deg" else 2
            title = one.title if one.kind == "spine" else f"{one.kind.capitalize()}: {one.title.lower()}"
            name = f"{title}, {unit}" if unit else title
            lines.append(
                f"| {name} | {arm} | {found['n']} | {found['refused']} | {found['bias']:+.{digits}f} | "
                f"{found['low']:+.{digits}f} to {found['high']:+.{digits}f} | "
                f"{found['sigma']:.{digits}f} ({found['spread']:.{digits}f}) | {100 * found['within']:.0f} % |"
            )
    return "\n".join(lines)


def kinds(rows: list[dict[str, Any]]) -> str:
    """How often the type of the curve and the verdict on scoliosis are right."""
    lines = []
    for arm in (EXACT, DRAWN, PREDICTED):
        if not any(row["arm"] == arm for row in rows):
            continue
        curves = [r for r in rows if r["key"] == "lordosis_type" and r["value"] is not None and r["arm"] == arm]
        bent = [r for r in rows if r["key"] == "coronal_angle" and r["value"] is not None and r["arm"] == arm]
        right = sum(row["category"] == row["right"] for row in curves)
        strong, weak = [r for r in bent if r["truth"] > 10], [r for r in bent if r["truth"] <= 10]
        missed = sum(row["category"] == "none" for row in strong)
        wrong = sum(row["category"] == "likely" for row in weak)
        lines.append(
            f"- {arm}: type of the curve right in {right} of {len(curves)}; of {len(strong)} spines bent by over 10 "
            f"degrees {missed} called none, of {len(weak)} others {wrong} called likely."
        )
    return "\n".join(lines)


def definitions() -> str:
    """What is measured, a line each."""
    kinds = {"body": "Body", "disc": "Disc", "spine": "Spine"}
    lines = ["| of | quantity | unit | definition | source |", "|---|---|---|---|---|"]
    lines += [
        f"| {kinds[one.kind]} | {one.title} (`{one.key}`) | {one.unit or '1'} | {one.text} | {one.source} |"
        for one in measuring.DEFINITIONS
    ]
    return "\n".join(lines)


def put(name: str, text: str) -> None:
    """Replace a part of the document."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(begin)
    DOCUMENT.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--beyond", action="store_true", help="people outside the usual ranges")
    parser.add_argument("--predicted", action="store_true", help="masks of the packaged model instead")
    parser.add_argument("--output", type=Path, help="all rows as JSON, after each person")
    parser.add_argument("--write", action="store_true", help="put the tables into Docs/measurements.md")
    parser.add_argument("--rows", type=Path, help="rows of an earlier run, instead of measuring anew")
    options = parser.parse_args()
    rows = json.loads(options.rows.read_text(encoding="utf-8")) if options.rows else []
    bundle = model.load(jobs.DEFAULT_MODEL) if options.predicted else None
    for seed in range(options.first, options.first + (0 if options.rows else options.people)):
        rows.extend(predicted(seed, options.beyond, bundle) if bundle else person(seed, options.beyond))
        print(f"{seed - options.first + 1} of {options.people}", end="\r", file=sys.stderr, flush=True)
        if options.output:
            options.output.write_text(json.dumps(rows), encoding="utf-8")
    if options.write:
        put("definitions", definitions())
    if rows:
        people = len({row["seed"] for row in rows})
        text = f"{people} people, seeds from {min(row['seed'] for row in rows)}.\n\n{table(rows)}\n\n{kinds(rows)}"
        print(text)
        if options.write:
            put("predicted" if any(row["arm"] == PREDICTED for row in rows) else "figures", text)


if __name__ == "__main__":
    main()
