"""Instances of two masks, and what panoptica says about them.

panoptica 2.1.7 asks for an older NumPy than Slicer has, so its figures are recorded in an environment of its own that
holds panoptica and nothing else:

    python Testing/Python/panoptica_cases.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

RECORDED = Path(__file__).with_suffix(".json")
SPACING = (0.5, 0.7, 4.0)
THRESHOLDS = (0.5, 0.3)


def bricks(*rows: tuple[int, int] | None) -> np.ndarray:
    """Instances 1, 2, ... that fill these rows of an array; None leaves a number out."""
    array = np.zeros((48, 12, 6), np.uint8)
    for number, row in enumerate(rows, start=1):
        if row:
            array[row[0] : row[1], 2:10, 1:4] = number
    return array


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pairs of instance arrays by name: a reference and a candidate."""
    three = bricks((2, 10), (12, 20), (22, 30))
    return {
        "the same": (three, three),
        "moved by a row": (three, bricks((3, 11), (13, 21), (23, 31))),
        "one found, one badly, one missed, one invented": (three, bricks((3, 11), (16, 24), None, (34, 40))),
        "two fused": (three, bricks((2, 20), (22, 30))),
        "one split": (three, bricks((2, 10), (12, 16), (16, 20), (22, 30))),
        "one split unevenly": (three, bricks((2, 10), (12, 18), (18, 20), (22, 30))),
        "candidate empty": (three, bricks()),
        "reference empty": (bricks(), three),
    }


def record() -> dict[str, Any]:
    from importlib.metadata import version

    from panoptica import InputType, NaiveThresholdMatching, Panoptica_Evaluator
    from panoptica.metrics import Metric

    found: dict[str, Any] = {}
    kept = ("tp", "fp", "fn", "rq", "sq", "pq", "sq_assd", "sq_hd", "sq_hd95")
    for name, (reference, candidate) in cases().items():
        both = reference.any() and candidate.any()  # without an instance in one mask it refuses HD and HD95
        for threshold in THRESHOLDS:
            judge = Panoptica_Evaluator(
                expected_input=InputType.UNMATCHED_INSTANCE,
                instance_matcher=NaiveThresholdMatching(matching_threshold=threshold),
                instance_metrics=[Metric.IOU, Metric.ASSD, *((Metric.HD, Metric.HD95) if both else ())],
            )
            said = judge.evaluate(candidate, reference, voxelspacing=SPACING)["ungrouped"].to_dict()
            values = {key: float(said[key]) for key in kept if said.get(key) is not None}
            found[f"{name}, IoU {threshold}"] = {key: str(v) if not np.isfinite(v) else v for key, v in values.items()}
    return {"panoptica": version("panoptica"), "figures": found}


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(record(), indent=1) + "\n", encoding="utf-8")
