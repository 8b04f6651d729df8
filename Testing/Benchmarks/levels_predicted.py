"""Levels in the masks that the packaged model predicts for phantoms, whose levels are known.

    OMP_NUM_THREADS=1 python Testing/Benchmarks/levels_predicted.py --count 6 --document Docs/levels.md

Each line of the table is one exam, a T2 scan: every third person has a congenital block. A predicted mask errs, so that
it cannot agree with the truth to the voxel: a vertebra or disc counts as named by what holds most of its voxels among
the bodies or among the discs. `--document` renews the table between the two marks of a document.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from CSpineSegLib import jobs, model, phantom, volume
from CSpineSegLib.anatomy import BODY, DISC, level_value
from CSpineSegLib.phantom.shape import draw
from CSpineSegLib.spine import Labelling, levels, trials
from CSpineSegLib.spine import trials_people as people

BEGIN, END = "<!-- predicted -->", "<!-- end of predicted -->"
# Seeds of people from here on, none of whom the model was trained on or the other trials use.
START = 960_000
BLOCKS = (("C5", "C6"), ("C2", "C3"), ("C6", "C7"))
# Share of a level's voxels under which a mask does not hold it.
LEAST = 0.1
HEAD = (
    "| exam | block | Dice of bodies, discs | levels named right | not in the mask | wrong | remarks |\n|---"
    + "|---" * 6
    + "|"
)


def exam(number: int, bundle: model.Bundle) -> trials.Trial:
    """The mask that the model predicts for a person's scan, with the true levels."""
    seed = people.seed_of(people.unfused, START, number)
    fused = (BLOCKS[number // 3 % len(BLOCKS)],) if number % 3 == 2 else ()
    grid = people.in_view(people.ordinary(np.random.default_rng([seed, 61])), draw(seed, fused))
    made = phantom.make(seed, grid, fused=fused)
    found = model.predict(bundle, volume.from_array(made.image, grid.affine), "cpu", anyway=True, quality=False)
    return trials.Trial("predicted", number, found.mask, made.levels, fused, f"seed {seed}")


def dice(trial: trials.Trial, label: int) -> float:
    discs = np.isin(trial.levels, [level_value(name) for name in trials.Truth(trial).names if "-" in name])
    truth, found = (trial.levels > 0) & (discs == (label == DISC)), trial.mask.array == label
    return float(2 * np.count_nonzero(truth & found) / (truth.sum() + found.sum()))


def named(found: Labelling, trial: trials.Trial) -> tuple[list[str], list[str], list[str]]:
    """True levels that bear their name, that the mask does not hold, and that bear another or none."""
    right, absent, wrong = [], [], []
    for name in trials.Truth(trial).needed:
        inside = found.instances_volume[trial.levels == level_value(name)]
        alike = [element for element in found.elements if (element.kind == "disc") == ("-" in name)]
        shares = [np.isin(inside, element.instances).mean() for element in alike]
        if not shares or max(shares) < LEAST:
            absent.append(name)
        elif name in alike[int(np.argmax(shares))].levels:
            right.append(name)
        else:
            wrong.append(name)
    return right, absent, wrong


def line(trial: trials.Trial) -> str:
    found, click, remarks = levels.label(trial.mask), "", []
    if not found.absolute:
        remarks, click = [found.reason.split(";")[0]], "after one click "
        found = levels.label(trial.mask, anchor=trials.anchor_of(trial))
    right, absent, wrong = named(found, trial)
    blocks = {element.levels for element in found.blocks}
    remarks += [f"{'+'.join(names)} read as one" for names in blocks - set(trial.blocks)]
    remarks += [f"{'+'.join(names)} read as single bodies" for names in set(trial.blocks) - blocks]
    cells = [
        str(trial.number + 1),
        "+".join(trial.blocks[0]) if trial.blocks else "-",
        f"{dice(trial, BODY):.2f}, {dice(trial, DISC):.2f}",
        f"{click}{len(right)} of {len(right) + len(absent) + len(wrong)}",
        ", ".join(absent) or "-",
        ", ".join(wrong) or "-",
        "; ".join(remarks) or "-",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=6, help="exams (default: %(default)s)")
    parser.add_argument("--model", default=jobs.DEFAULT_MODEL)
    parser.add_argument("--document", type=Path, help="document whose table is renewed")
    options = parser.parse_args()
    bundle, lines = model.load(options.model), [HEAD]
    for number in range(options.count):
        began = time.monotonic()
        trial = exam(number, bundle)
        lines.append(line(trial))
        print(lines[-1], trial.note, f"{time.monotonic() - began:.0f} s", flush=True)
    if options.document:
        before, rest = options.document.read_text(encoding="utf-8").split(BEGIN)
        text = f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}"
        options.document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
