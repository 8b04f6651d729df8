"""The planted bias of the trial data set, redrawn: how often an audit of 200 such exams finds it, and anything else.

For each of the Gold exams the errors of the near-twin model are made several times at the level of masks, once without
and once with the planted loss, and every mask is measured by the metric engine. A redraw draws patients anew and takes
one of these at random for each of their exams. Sex, race, ethnicity, manufacturer and field strength are dealt anew to
the patients, and so is age where nothing is planted: what is then found is found by chance, and not because of
something that these patients have in common (men's discs are larger, so their Dice is better).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from CSpineSegLib import volume
from CSpineSegLib.evaluation import metrics
from CSpineSegLib.evaluation.fairness import stacked
from CSpineSegLib.evaluation.fairness.groups import COLUMNS
from CSpineSegLib.evaluation.fairness.planted import PLANTED
from CSpineSegLib.evaluation.fairness.scores import MEASURES, STRUCTURES, Scores, settle
from CSpineSegLib.evaluation.fairness.trials import Counts
from CSpineSegLib.jobs import report_trial, report_trial_masks

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "build" / "fairness_planted.json"
ARMS = ("nothing planted", "planted")
TIMES = 4
_SEED = 31
_OTHERS = ["sex", "race", "ethnicity", "manufacturer", "field_strength"]


def measured(plan: Any, number: int, times: int = TIMES) -> dict[str, list[dict[str, Any]]]:
    """Figures of an exam's predictions against its true mask, `times` in each arm."""
    rng = np.random.default_rng([_SEED, number])
    truth, levels, affine = report_trial.true_mask(plan, rng)
    reference = volume.from_array(truth, affine)
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for _ in range(times):
        _, twin = report_trial.near_twins(truth, levels, rng)
        biased = report_trial_masks.planted(twin, plan.person.age, rng)
        for arm, mask in zip(ARMS, (twin, biased), strict=True):
            if arm == ARMS[1] and np.array_equal(twin, biased):
                found[arm].append(found[ARMS[0]][-1])
                continue
            figures = metrics.compare(reference, volume.from_array(mask, affine))
            found[arm].append({part: {one.key: figures[part][one.key] for one in MEASURES} for part in STRUCTURES})
        volumes = {f"{part}_mm3": figures[part]["volume_mm3"]["reference"] for part in ("bodies", "discs")}
    return {**found, "volumes": volumes}


def kept(plans: list[Any]) -> list[dict[str, Any]]:
    """The figures of all exams, from an earlier run as far as that came."""
    rows = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else []
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    for number in range(len(rows), len(plans)):
        rows.append(measured(plans[number], number))
        KEPT.write_text(json.dumps(rows), encoding="utf-8")
        print(f"{number + 1} of {len(plans)}", end="\r", file=sys.stderr, flush=True)
    return rows


def table(plans: list[Any], rows: list[dict[str, Any]]) -> Any:
    """The exams as an evaluation lists them."""
    import pandas

    lines = [
        {
            "patient": plan.person.patient_id,
            "sex": plan.person.sex,
            "race": plan.person.race,
            "ethnicity": plan.person.ethnicity,
            "age": plan.person.age,
            "age_over_89": plan.person.age is None,
            "manufacturer": plan.scanner.manufacturer,
            "field_strength": plan.scanner.tesla,
            **row["volumes"],
        }
        for plan, row in zip(plans, rows, strict=True)
    ]
    return pandas.DataFrame(lines, index=[plan.name.stem for plan in plans])


def figures(rows: list[dict[str, Any]], arm: str) -> dict[tuple[str, str], np.ndarray]:
    """{(structure, measure): (exams, times)}."""
    return {
        (part, one.key): np.array(
            [[np.nan if made[part][one.key] is None else made[part][one.key] for made in row[arm]] for row in rows]
        )
        for part in STRUCTURES
        for one in MEASURES
    }


def redrawn(exams: Any, found: dict[tuple[str, str], np.ndarray], rng: np.random.Generator, dealt: list[str]) -> Scores:
    """Patients drawn with replacement, each draw a patient of its own, and one of the predictions of each exam.

    `dealt` are the columns that are taken from other patients, all of them from the same one.
    """
    people = exams["patient"].unique()
    places = {name: np.flatnonzero((exams["patient"] == name).to_numpy()) for name in people}
    drawn = [places[people[at]] for at in rng.integers(len(people), size=len(people))]
    rows = np.concatenate(drawn)
    patient = np.repeat(np.arange(len(drawn)), [len(part) for part in drawn])
    which = rng.integers(next(iter(found.values())).shape[1], size=len(rows))
    raw = {key: values[rows, which][:, None] for key, values in found.items()}
    chosen = exams.iloc[rows].assign(patient=patient)
    others = np.array([places[people[at]][0] for at in rng.integers(len(people), size=len(people))])
    chosen[dealt] = exams.iloc[others[patient]][dealt].to_numpy()
    return settle("gold", "trial", chosen, raw)


def report(redraws: int, lines: Callable[..., str], told: Callable[..., str]) -> str:
    """The rates as Markdown."""
    every = report_trial.plans()
    plans = [plan for plan in every if plan.gold]
    rows = kept(plans)
    exams = table(plans, rows)
    ages = ["age", "age_over_89"]
    dealt = {ARMS[0]: [*_OTHERS, *ages], ARMS[1]: _OTHERS}
    counted = {arm: _counted(exams, figures(rows, arm), redraws, dealt[arm]) for arm in ARMS}
    counts = {arm: found for arm, (found, _) in counted.items()}
    old = np.array([plan.person.age is None or plan.person.age > PLANTED.older_than for plan in plans])
    loss = {
        name: float((figures(rows, ARMS[0])["discs", "dice"] - figures(rows, ARMS[1])["discs", "dice"])[chosen].mean())
        for name, chosen in (("old", old), ("young", ~old))
    }
    shown = [[name, *(told(counts[arm][name]) for arm in ARMS)] for name in counts[ARMS[0]]]
    false = {arm: f"{100 * share:.1f} %" for arm, (_, share) in counted.items()}
    return (
        f"{redraws} redraws of the {len(plans)} Gold exams of the trial data set ({int(old.sum())} of people over 60), "
        f"each exam with one of {TIMES} predictions made at the level of masks; what is planted costs discs "
        f"{loss['old']:.3f} of Dice in the mean over 60, and {loss['young']:.3f} up to 60. Verdicts after Benjamini "
        f"and Hochberg within the scores and within the success rates of an audit by {', '.join(COLUMNS)}. The other "
        "columns are dealt anew to the patients in every redraw, and so is age where nothing is planted.\n\n"
        + lines(["called significant", *ARMS], shown)
        + "\n\nOf what is called significant, the share that is not of discs (or of both structures) by age, in the "
        f"mean, with 0 where nothing is: {false[ARMS[1]]} where it is planted."
    )


def _counted(
    exams: Any, found: dict[tuple[str, str], np.ndarray], redraws: int, dealt: list[str]
) -> tuple[Counts, float]:
    """Rates, and the mean share of findings that are of something else than what was planted."""
    counts, false = Counts(), []
    planted = (PLANTED.group, PLANTED.structure)
    for number in range(redraws):
        scores = redrawn(exams, found, np.random.default_rng([_SEED, 1, number]), dealt)
        verdicts: dict[tuple[str, str, str], bool] = {}
        families = {
            "scores": stacked.scores(scores),
            "success rates": stacked.rates(scores, permutations=2000, seed=number),
        }
        for name, family in families.items():
            hits = stacked.significant(np.stack([*family.values()]))[:, 0]
            of = dict(zip(family, hits, strict=True))
            verdicts |= of
            counts.add(
                f"the planted group: any of the {name}, discs by age",
                np.array([any(hit for key, hit in of.items() if key[:2] == planted)]),
            )
        counts.add("Dice of discs by age", np.array([verdicts[*planted, "dice"]]))
        others = [hit for key, hit in verdicts.items() if key[0] != PLANTED.group]
        counts.add("anything by sex, race, ethnicity, manufacturer or field", np.array([any(others)]))
        bodies = [hit for key, hit in verdicts.items() if key[0] == PLANTED.group and key[1] == "bodies"]
        counts.add("anything of bodies by age", np.array([any(bodies)]))
        right = sum(hit for key, hit in verdicts.items() if key[0] == PLANTED.group and key[1] != "bodies")
        false.append(1 - right / max(sum(verdicts.values()), 1) if any(verdicts.values()) else 0.0)
    return counts, float(np.mean(false))
