"""A data set to try a report on: 200 made exams, the predictions of two models, and one bias of known place and size.

Masks only: the scans are a mere backdrop. Nobody in it is real. People have the release's shares of sex, race,
ethnicity, age and scanner; men are larger than women, and blocks are the more frequent the older somebody is.

- `segmentation/`: 160 exams with the true mask (the Gold list names them), 40 with a network's mask.
- `processed/predicted/model-a`: near-twins of what that network makes, with the bias of `fairness.planted`.
- `processed/predicted/model-b`: errors of its own, larger ones, and no bias.
- `processed/network`: the network's own masks of the 160 exams, as a second ruler.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import __version__, files, phantom, volume
from ..dataset import Dataset, folders, sample_tables
from ..dataset.names import ExamName
from ..dataset.sample_plan import Person, Plan, Protocol, Scanner
from ..errors import InputError
from ..phantom.grids import turned
from ..phantom.shape import VERTEBRAE
from ..progress import Progress, ensure
from ..spine import trials_people as people
from ..volume import Grid
from . import report_trial_masks as masks
from .evaluate_pool import each

EXAMS, GOLD = 200, 160
MODELS = ("model-a", "model-b")
NETWORK = "network"
MARKER = "TRIAL.txt"
_SEED = 20250321
_TWICE, _THRICE = 11, 2
_RACES = {
    "White": 795,
    "Black or African American": 342,
    "Not Reported": 33,
    "Other": 28,
    "Asian": 24,
    "American Indian or Alaska Native": 9,
}
_ETHNICITIES = {"Not Hispanic or Latino": 1141, "Hispanic or Latino": 58, "Not Reported": 33}
_SCANNERS = {
    Scanner("SIEMENS", "Aera", "1.5", "syngo MR E11"): 430,
    Scanner("Siemens", "MAGNETOM Vida", "3.0", "syngo MR XA20"): 359,
    Scanner("GE MEDICAL SYSTEMS", "Optima MR450w", "1.5", "25"): 317,
    Scanner("GE MEDICAL SYSTEMS", "DISCOVERY MR750", "3.0", "25"): 149,
}
_PROTOCOLS = (
    Protocol((168, 168, 13), (1.15, 1.15, 4.0)),
    Protocol((176, 176, 15), (1.05, 1.05, 4.0)),
    Protocol((168, 168, 15), (1.1, 1.1, 3.3)),
)
# Men's structures are larger by a fifth to a quarter.
_SCALE = {"Female": 0.965, "Male": 1.035}
# How far outlines wander: the network's and the near-twin's own, and the other model's; and how much exams differ.
_NETWORK_SIZE, _TWIN_SIZE, _OTHER_SIZE, _SPREAD = 0.2, 0.03, 0.26, 0.45
_BLOCKS = ((40, 0.02), (60, 0.10), (200, 0.30))
_SCORE_NOISE = 0.012


@dataclass(frozen=True)
class _Task:
    """One exam, to be made in another process."""

    plan: Plan
    root: Path
    number: int


def make(folder: Path | str, *, jobs: int = 2, exams: int = EXAMS, progress: Progress | None = None) -> Dataset:
    """Write the trial data set into `folder` and open it; a complete one that is already there is only opened.

    The same bytes on every run and in any number of processes.

    Parameters
    ----------
    jobs : processes; 0 works in this one.
    exams : how many; four in five are Gold.

    Raises
    ------
    InputError : the folder holds something else; nothing is written then.
    WriteError : it cannot be written. On this and on cancelling, nothing is left behind.
    """
    root, progress = folders.absolute(folder), ensure(progress)
    note = f"CSpineSeg trial data set of {exams} made exams, version {__version__}. Nobody in it is real.\n"
    if root.is_dir() and any(root.iterdir()):
        if not (root / MARKER).is_file() or (root / MARKER).read_text(encoding="utf-8") != note:
            raise InputError(f"{root} is not empty and holds no such trial data set; choose a new or an empty folder.")
        return Dataset.open(root)
    planned = plans(exams)
    with files.build_folder(root, replace=True) as building:
        tasks = [_Task(plan, building, number) for number, plan in enumerate(planned)]
        for done, _ in enumerate(each(_exam, tasks, jobs, progress), start=1):
            progress.update("Making exams", 0.97 * done / len(tasks))
        extracted = building / "extracted"
        written = {
            plan.name.stem: [
                extracted / folders.IMAGES / plan.name.image_name,
                extracted / folders.MASKS / plan.name.mask_name,
            ]
            for plan in planned
        }
        sample_tables.write_all(extracted / folders.TABLES, written, dict.fromkeys(written, ()), False, planned)
        gold = "".join(f"{plan.name.mask_name}\n" for plan in planned if plan.gold)
        files.write_verified(building / "splits" / "gold.txt", f"# Exams that count as Gold\n{gold}".encode())
        files.write_verified(building / MARKER, note.encode("utf-8"))
    progress.update("Making exams", 1.0)
    return Dataset.open(root)


def plans(exams: int = EXAMS) -> list[Plan]:
    """Who is in it, in the order of patients; the same on every call."""
    rng = np.random.default_rng(_SEED)
    twice, thrice = _TWICE * exams // EXAMS, _THRICE * exams // EXAMS
    patients = exams - twice - 2 * thrice
    counts = np.ones(patients, int)
    several = rng.permutation(patients)[: twice + thrice]
    counts[several[:twice]], counts[several[twice:]] = 2, 3
    found: list[Plan] = []
    for number, count in enumerate(counts):
        found += _patient(number, int(count), len(found), rng)
    gold = set(rng.permutation(exams)[: exams * GOLD // EXAMS].tolist())
    return [replace(plan, gold=at in gold) for at, plan in enumerate(found)]


def _patient(number: int, count: int, before: int, rng: np.random.Generator) -> Iterator[Plan]:
    drawn = int(np.clip(np.rint(rng.normal(54.5, 16.4)), 18, 93))
    person = Person(
        patient_id=f"593973-{910001 + number}",
        age=None if drawn > 89 else drawn,
        sex="Female" if rng.random() < 675 / 1232 else "Male",
        race=_one(_RACES, rng),
        ethnicity=_one(_ETHNICITIES, rng),
    )
    chance = next(chance for until, chance in _BLOCKS if drawn <= until)
    at = int(rng.choice(6, p=(0.08, 0.12, 0.22, 0.3, 0.23, 0.05)))
    fused = ((VERTEBRAE[at], VERTEBRAE[at + 1]),) if rng.random() < chance else ()
    for exam in range(count):
        study = 9101 + before + exam
        yield Plan(
            name=ExamName(person.patient_id, study, int(rng.integers(1, 29))),
            person=person,
            scanner=_one(_SCANNERS, rng),
            protocol=_PROTOCOLS[int(rng.choice(len(_PROTOCOLS), p=(0.6, 0.25, 0.15)))],
            seed=700_000 + number,
            gold=False,
            fused=fused,
            tilt=float(rng.normal(0, 3)),
            days=180 * exam,
        )


def _one(shares: dict, rng: np.random.Generator):
    weights = np.array(list(shares.values()), float)
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def _exam(task: _Task) -> None:
    """Make and write all files of one exam."""
    plan, root = task.plan, task.root
    rng = np.random.default_rng([_SEED, task.number])
    truth, levels, affine = true_mask(plan, rng)
    network, twin = near_twins(truth, levels, rng)
    twin = masks.planted(twin, plan.person.age, rng)
    own = float(np.exp(rng.normal(0, _SPREAD)))
    other = masks.gone_wrong(masks.wandered(truth, _OTHER_SIZE * own, rng), levels, rng)
    extracted, name = root / "extracted", plan.name
    volume.write(volume.from_array(masks.scan(truth, rng), affine), extracted / folders.IMAGES / name.image_name)
    written = {
        extracted / folders.MASKS: truth if plan.gold else network,
        root / "processed" / "predicted" / MODELS[0]: twin,
        root / "processed" / "predicted" / MODELS[1]: other,
    }
    if plan.gold:
        written[root / "processed" / NETWORK] = network
    for folder, array in written.items():
        digest = volume.write(volume.from_array(array, affine), folder / name.mask_name, allowed=(0, 1, 2))
        if folder.parent.name == "predicted":
            score = float(np.clip(masks.dice(array, truth) + rng.normal(0, _SCORE_NOISE), 0, 1))
            quality = {"score": round(score, 4), "mask": {"sha256": digest}}
            files.write_json(folder / f"{name.stem}_quality.json", quality)


def true_mask(plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True labels (I, J, K) of an exam, their levels in TotalSpineSeg values, and the affine."""
    grid = _grid(plan, rng)
    # Drawn on a finer or coarser grid and kept on the exam's own, so that the person is larger or smaller.
    scale = _SCALE[plan.person.sex]
    drawn = grid.affine.copy()
    drawn[:3] /= scale
    person = people.drawn(plan.seed, Grid(grid.shape, drawn), fused=plan.fused)
    affine = person.mask.affine.copy()
    affine[:3] *= scale
    return person.mask.array, person.levels, affine


def near_twins(truth: np.ndarray, levels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The network's mask of an exam, and what the first model makes of it before anything is planted."""
    spread = float(np.exp(rng.normal(0, _SPREAD)))
    network = masks.gone_wrong(masks.wandered(truth, _NETWORK_SIZE * spread, rng), levels, rng)
    return network, masks.wandered(network, _TWIN_SIZE, rng)


def _grid(plan: Plan, rng: np.random.Generator) -> Grid:
    """Over C2 to the upper thoracic spine, turned by the plan's tilt and by a few degrees more."""
    protocol = plan.protocol
    centre = np.array([0.0, 4.0, -22.0]) + rng.normal(0, (1.5, 4.0, 5.0))
    grid = phantom.grid_around(protocol.shape, protocol.spacing, protocol.orientation, centre)
    return turned(grid, np.deg2rad([*rng.normal(0, 2, 2), plan.tilt]))
