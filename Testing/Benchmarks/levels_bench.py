"""Labels phantoms with known levels, by this library and by the method of the dataset's authors, and counts.

    python Testing/Benchmarks/levels_bench.py --start 300 --whole 60 --jobs 2 --document Docs/levels.md

`--document` renews the table between the two marks of a document, `--failures` lists what failed, a line each:
`kind number: faults (what was done to the mask)`. A trial is drawn again by `trials.make(kind, number)`. With `--keep`
the masks are kept in a folder between runs.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from CSpineSegLib import volume
from CSpineSegLib.anatomy import level_value
from CSpineSegLib.spine import components, levels, trials
from CSpineSegLib.training.spread import spread

BEGIN, END = "<!-- trials -->", "<!-- end of trials -->"


class Row(NamedTuple):
    """One trial: what came of it, seconds for labelling, and whether the counted discs are right (None: left out)."""

    outcome: trials.Outcome
    seconds: float
    counted: bool | None
    note: str


def kept(kind: str, number: int, folder: Path | None) -> trials.Trial:
    """A trial from the folder, or drawn and put there."""
    if folder is None:
        return trials.make(kind, number)
    path = folder / f"{kind.replace(' ', '-')}-{number}.npz"
    if path.is_file():
        with np.load(path) as data:
            blocks = tuple(tuple(block.split()) for block in data["blocks"].tolist())
            mask = volume.from_array(data["mask"], data["affine"])
            return trials.Trial(kind, number, mask, data["levels"], blocks, str(data["note"]))
    trial = trials.make(kind, number)
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"mask": trial.mask.array, "levels": trial.levels, "affine": trial.mask.affine, "note": trial.note}
    np.savez_compressed(path, blocks=np.array([" ".join(block) for block in trial.blocks], dtype=str), **parts)
    return trial


def counted(trial: trials.Trial) -> bool | None:
    """Whether the authors' six discs lie where their names say; None if the method leaves the exam out."""
    turned = volume.reorient(trial.mask, "PSR"), volume.reorient(volume.like(trial.mask, trial.levels), "PSR")
    found = components.zhou2025(turned[0].array)
    if found is None:
        return None
    plane = turned[1].array[:, :, turned[1].shape[2] // 2]
    most = {name: int(np.bincount(plane[part], minlength=256).argmax()) for name, part in found.items()}
    return all(value == level_value(name) for name, value in most.items())


def tried(numbers: Sequence[int], kinds: Sequence[str], folder: Path | None) -> list[Row]:
    """All kinds of some numbers; those that share a person follow each other."""
    rows = []
    for number in numbers:
        for kind in kinds:
            trial = kept(kind, number, folder)
            spent: list[float] = []

            def label(mask, spent=spent, **more):
                began = time.process_time()
                found = levels.label(mask, **more)
                spent.append(time.process_time() - began)
                return found

            rows.append(Row(trials.run(trial, label), spent[0], counted(trial), trial.note))
    return rows


def share(count: int, total: int) -> str:
    """So many of so many, the share, and Wilson's interval of 95 %."""
    if not total:
        return "-"
    z = statistics.NormalDist().inv_cdf(0.975)
    middle = (count + z * z / 2) / (total + z * z)
    reach = z / (total + z * z) * math.sqrt(count * (total - count) / total + z * z / 4)
    low, high = max(0.0, 100 * (middle - reach)), min(100.0, 100 * (middle + reach))
    return f"{count} of {total} ({count / total:.1%}; {low:.0f} to {high:.0f})"


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Counts of some trials."""
    scores = [row.outcome.score for row in rows]
    clicked = [row.outcome.anchored for row in rows if row.outcome.anchored is not None]
    return {
        "trials": len(rows),
        "right": sum(score.outcome == "right" for score in scores),
        "relative": sum(score.outcome == "relative" for score in scores),
        "false": sum(score.false_names for score in scores),
        "blocks": sum(score.blocks for score in scores),
        "named": sum(score.named_blocks for score in scores),
        "clicked": len(clicked),
        "clicked_right": sum(score.outcome == "right" for score in clicked),
        "counted": sum(row.counted is True for row in rows),
        "left_out": sum(row.counted is None for row in rows),
        "seconds": statistics.median(row.seconds for row in rows),
    }


HEAD = (
    "| masks | levels all right | relative, order right | false names | blocks named | relative: right after one click"
    " | counting components: six discs right | left out | s |"
)


def line(name: str, found: dict[str, Any]) -> str:
    total = found["trials"]
    cells = [
        name,
        share(found["right"], total),
        str(found["relative"]),
        share(found["false"], total),
        share(found["named"], found["blocks"]),
        share(found["clicked_right"], found["clicked"]),
        share(found["counted"], total),
        str(found["left_out"]),
        f"{found['seconds']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def table(rows: Sequence[Row], kinds: Sequence[str]) -> str:
    lines = [HEAD, "|---" * 9 + "|"]
    for group in trials.GROUPS:
        inside = [kind for kind in kinds if trials.KINDS[kind][0] == group]
        for kind in inside:
            lines.append(line(kind, summary([row for row in rows if row.outcome.kind == kind])))
        if len(inside) > 1:
            lines.append(line(f"**{group}, all**", summary([row for row in rows if row.outcome.kind in inside])))
    return "\n".join(lines)


def failures(rows: Sequence[Row]) -> str:
    """A line for each trial that is not right, false names first; for those cut off, relative and in order is right."""
    lines = []
    for row in rows:
        score, anchored = row.outcome.score, row.outcome.anchored
        cut = trials.KINDS[row.outcome.kind][0] == "cut"
        unnamed = score.named_blocks < score.blocks
        after = anchored is not None and anchored.outcome != "right"
        fine = ("right", "relative") if cut else ("right",)
        if score.outcome in fine and not unnamed and not after:
            continue
        told = [score.outcome, *(["FALSE NAMES"] if score.false_names else []), *score.faults]
        told += [f"blocks named {score.named_blocks} of {score.blocks}"] if unnamed else []
        told += [f"after a click: {'; '.join(anchored.faults) or anchored.outcome}"] if after else []
        told += [f"reason: {row.outcome.reason} ({row.outcome.confidence:.2f})"]
        lines.append((not score.false_names, row.outcome.trial, f"{row.outcome.trial}: {'; '.join(told)} [{row.note}]"))
    return "".join(f"{text}\n" for _, _, text in sorted(lines))


def renew(document: Path, text: str) -> None:
    old = document.read_text(encoding="utf-8")
    before, rest = old.split(BEGIN)
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=25, help="trials of each kind (default: %(default)s)")
    parser.add_argument("--start", type=int, default=0, help="number of the first (default: %(default)s)")
    parser.add_argument("--whole", type=int, help="trials of the kind 'whole', if more than of the others")
    parser.add_argument("--kinds", nargs="+", default=list(trials.KINDS), choices=list(trials.KINDS))
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="folder where masks are kept between runs")
    parser.add_argument("--document", type=Path, help="document whose table is renewed")
    parser.add_argument("--failures", type=Path, help="file for a list of what failed")
    options = parser.parse_args()
    # Five people at a time: enough to share their searches, few enough to spread.
    numbers = range(options.start, options.start + options.count)
    parts = [(numbers[at : at + 5], options.kinds, options.keep) for at in range(0, len(numbers), 5)]
    more = range(options.start + options.count, options.start + (options.whole or 0))
    parts += [(more[at : at + 5], ["whole"], options.keep) for at in range(0, len(more), 5)]
    rows = [row for found in spread(tried, parts, options.jobs, "parts") for row in found]
    last = options.start + options.count - 1
    further = f', of "whole" {options.start} to {more[-1]}' if len(more) else ""
    text = f"Trials {options.start} to {last} of each kind{further}.\n\n{table(rows, options.kinds)}"
    print(text)
    if options.document:
        renew(options.document, text)
    if options.failures:
        options.failures.write_text(failures(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
