"""Levels in the masks that the packaged model predicts for phantoms, whose levels are known.

    OMP_NUM_THREADS=1 python Testing/Benchmarks/levels_predicted.py --count 6 --document Docs/levels.md

Each line of the table is one exam, a T2 scan: every third person has a congenital block. `--document` renews the table
between the two marks of a document. The masks are compared with the phantoms' true levels as in `levels_bench.py`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from CSpineSegLib import jobs, model, phantom, volume
from CSpineSegLib.phantom.shape import draw
from CSpineSegLib.spine import levels, trials
from CSpineSegLib.spine import trials_people as people

BEGIN, END = "<!-- predicted -->", "<!-- end of predicted -->"
# Seeds of people from here on, none of whom the model was trained on or the other trials use.
START = 960_000
BLOCKS = (("C5", "C6"), ("C2", "C3"), ("C6", "C7"))
HEAD = "| exam | block | levels | found | false names | after one click |\n|---|---|---|---|---|---|"


def exam(number: int, bundle: model.Bundle) -> trials.Trial:
    """The mask that the model predicts for a person's scan, with the true levels."""
    seed = people.seed_of(people.unfused, START, number)
    fused = (BLOCKS[number // 3 % len(BLOCKS)],) if number % 3 == 2 else ()
    grid = people.in_view(people.ordinary(np.random.default_rng([seed, 61])), draw(seed, fused))
    made = phantom.make(seed, grid, fused=fused)
    found = model.predict(bundle, volume.from_array(made.image, grid.affine), "cpu", anyway=True, quality=False)
    return trials.Trial("predicted", number, found.mask, made.levels, fused, f"seed {seed}")


def line(trial: trials.Trial, outcome: trials.Outcome) -> str:
    score = outcome.score
    after = "-" if outcome.anchored is None else outcome.anchored.outcome
    names = trials.Truth(trial).names
    block = "+".join(trial.blocks[0]) if trial.blocks else "-"
    told = "; ".join((score.outcome, *score.faults))
    false_names = "yes" if score.false_names else "no"
    return f"| {trial.number + 1} | {block} | {names[0]} to {names[-1]} | {told} | {false_names} | {after} |"


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
        outcome = trials.run(trial, levels.label)
        lines.append(line(trial, outcome))
        print(lines[-1], trial.note, outcome.reason, f"{time.monotonic() - began:.0f} s", flush=True)
    if options.document:
        before, rest = options.document.read_text(encoding="utf-8").split(BEGIN)
        text = f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}"
        options.document.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
