"""How often an audit of fairness finds what is there, and what is not there, over redraws of made scores.

    python Testing/Benchmarks/fairness_bench.py                                   prints the tables
    python Testing/Benchmarks/fairness_bench.py --document Docs/fairness.md       and puts them into the page
    python Testing/Benchmarks/fairness_bench.py --only planted --document Docs/fairness.md    one of them

Rates have Wilson's 95 % interval. "planted" evaluates made masks (minutes); all others redraw scores.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from CSpineSegLib.evaluation.fairness import simulate, trials  # noqa: E402
from CSpineSegLib.evaluation.fairness.trials import Rate  # noqa: E402

_SEED = 20250321
SEVERAL = (80, 80, 80)


def told(rate: Rate) -> str:
    """A rate with its interval, in percent."""
    low, high = rate.interval()
    return f"{100 * rate.share:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def lines(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def nothing(redraws: int) -> str:
    found, shares = trials.nothing(redraws, _SEED)
    single = [[name, told(rate)] for name, rate in found.items() if ", by " in name and rate.of == redraws]
    mean = ", ".join(f"{100 * share:.1f} % of the {name}" for name, share in shares.items())
    families = []
    for name, rate in found.items():
        if name.startswith("any ") and "unadjusted" not in name:
            before = found.get(f"{name}, unadjusted")
            families.append([name.removeprefix("any of the "), told(before) if before else "", told(rate)])
    return "\n\n".join(
        [
            f"{redraws} redraws of 491 exams of 481 patients without any difference. In the mean {mean} have p < .05.",
            lines(["single test", "p < .05"], single),
            lines(["any finding among the", "p < .05, unadjusted", "after Benjamini and Hochberg"], families),
        ]
    )


def effect(redraws: int) -> str:
    rows = []
    for number, difference in enumerate((0.005, 0.01, 0.015, 0.02)):
        found, computed = trials.effect(redraws, _SEED + 1 + number, difference)
        names = ("normal", "skewed", "skewed, in the audit")
        rows.append([f"{difference:.3f}", f"{100 * computed:.1f} %", *(told(found[name]) for name in names)])
    head = ["loss of Dice in men's discs", "power as computed", "found, normal scores", "found, skewed scores",
            "skewed, after Benjamini and Hochberg over the audit"]  # fmt: skip
    sd = simulate.AGAINST_GOLD.sd("discs")
    return f"{redraws} redraws each; SD of Dice {sd:.3f}.\n\n{lines(head, rows)}"


def twins(redraws: int) -> str:
    rows = []
    for number, difference in enumerate((0.0, 0.002, 0.004)):
        found, means = trials.twins(redraws, _SEED + 10 + number, difference)
        rates = [told(found[f"{ruler}: Dice, discs, by age"]) for ruler in ("gold", "silver")]
        counts = [f"{means[key]:.1f}" for key in ("gold", "silver", "flips")]
        rows.append([f"{difference:.3f}", f"{means['ratio']:.3f}", *rates, *counts])
    head = [
        "loss of Dice in discs of people over 60",
        "variance ratio",
        "called unfair against Gold",
        "against Silver",
        "significant against Gold, mean",
        "against Silver, mean",
        "verdicts that flip, mean",
    ]
    return f"{redraws} redraws each, {means['tests']:.0f} tests in the mean.\n\n{lines(head, rows)}"


def worse_ruler(redraws: int) -> str:
    rows = []
    for number, (model, ruler) in enumerate(((0.0, 0.03), (0.01, 0.03), (0.01, 0.0))):
        found, means = trials.worse_ruler(redraws, _SEED + 20 + number, model, ruler)
        rates = [told(found[f"{one}: Dice, discs, by age"]) for one in ("gold", "silver")]
        told_apart = [told(found[name]) for name in ("added gap told", "interval holds the added gap")]
        gaps = [f"{means[one]:+.3f}" for one in ("gold", "silver")]
        rows.append([f"{model:.2f}", f"{ruler:.2f}", *gaps, *rates, *told_apart])
    head = [
        "loss of the model over 60",
        "loss of the ruler there",
        "gap against Gold, mean",
        "against Silver, mean",
        "called unfair against Gold",
        "against Silver",
        "added gap told",
        "its interval holds the truth",
    ]
    return f"{redraws} redraws each.\n\n{lines(head, rows)}"


def repeated(redraws: int) -> str:
    rows = []
    cases = (
        ("491 exams of 481 patients, as in Gold", simulate.GOLD),
        ("480 exams of 240 patients, a third each with one, two and three", SEVERAL),
    )
    for number, (name, patients) in enumerate(cases):
        found = trials.repeated(redraws, _SEED + 30 + number, patients)
        rows.append([name, told(found["by patient"]), told(found["by exam"])])
    return f"{redraws} redraws each.\n\n" + lines(["exams", "by patient", "by exam (naive)"], rows)


def rate_gap(redraws: int) -> str:
    rows = []
    for number, difference in enumerate((0.0, 0.02, 0.04)):
        found, truth = trials.rate_gap(redraws, _SEED + 40 + number, difference)
        rows.append([f"{truth:.3f}", told(found["holds the truth"]), told(found["p below 5 %"])])
    head = ["true DPD of Dice > .8, discs, by sex", "interval holds it", "p < .05"]
    return f"{redraws} redraws each.\n\n{lines(head, rows)}"


def size(redraws: int) -> str:
    rows = []
    for number, exponent in enumerate((0.0, 0.5, 1.0)):
        found = trials.size(redraws, _SEED + 50 + number, exponent)
        rows.append([f"{exponent:g}", told(found["test"]), told(found["adjusted"])])
    head = ["loss falls with volume to the power of", "sex blamed by the test", "by the adjusted model"]
    return f"{redraws} redraws each.\n\n{lines(head, rows)}"


def planted(redraws: int) -> str:
    from fairness_planted import report

    return report(redraws, lines, told)


PARTS: dict[str, Callable[[int], str]] = {
    "nothing": nothing,
    "effect": effect,
    "twins": twins,
    "worse-ruler": worse_ruler,
    "repeated": repeated,
    "rate-gap": rate_gap,
    "size": size,
    "planted": planted,
}


def put(document: Path, name: str, text: str) -> None:
    """Replace a part of the document."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = document.read_text(encoding="utf-8").split(begin)
    document.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}", encoding="utf-8", newline="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redraws", type=int, default=400)
    parser.add_argument("--only", choices=list(PARTS), action="append")
    parser.add_argument("--document", type=Path, help="the page whose tables are renewed")
    options = parser.parse_args()
    for name in options.only or PARTS:
        began = time.perf_counter()
        text = PARTS[name](options.redraws)
        print(f"## {name}\n\n{text}\n", flush=True)
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        if options.document:
            put(options.document, name, text)


if __name__ == "__main__":
    main()
