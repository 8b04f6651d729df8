"""The metric engine's speed on one exam of 512 x 512 x 15, beside surface-distance and MONAI on the same masks.

    OMP_NUM_THREADS=1 python Testing/Benchmarks/metrics_bench.py

The reference is a phantom's truth, the candidate the same with its outline moved in and out by about a pixel (Dice .91
and .88), which is what a good model does to it.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from CSpineSegLib import phantom, volume
from CSpineSegLib.evaluation import compare
from CSpineSegLib.evaluation.metrics import surfaces
from CSpineSegLib.spine.levels import label

SHAPE, SPACING = (512, 512, 15), (0.43, 0.43, 4.0)
PIXELS = 1.0
TOLERANCES = (1.0, SPACING[0])


def measure(folder: Path | None, entry: Callable[..., dict[str, Any]], runs: int) -> dict[str, Any]:
    """Figures by name, see :func:`bench.entry`; nothing is written to `folder`."""
    from bench import seconds

    reference, candidate = masks()
    labellings = label(reference), label(candidate)
    count = len(labellings[0].elements)
    if count < 15:
        raise RuntimeError(f"the phantom shows {count} bodies and discs; this measures an exam with 15 or more")
    whole = seconds(lambda: compare(reference, candidate, labellings=labellings), runs)
    found = seconds(lambda: compare(reference, candidate, labellings=(label(reference), label(candidate))), runs)
    plain = seconds(lambda: compare(reference, candidate), runs)
    pairs = [(reference.array == one, candidate.array == one) for one in (1, 2)]
    ours = seconds(lambda: [by_elements(*pair) for pair in pairs], runs)
    google = seconds(lambda: [by_surface_distance(*pair) for pair in pairs], max(2, runs // 2))
    voxels = seconds(lambda: [by_elements(*pair, "voxels") for pair in pairs], runs)
    monai = seconds(lambda: [by_monai(*pair) for pair in pairs], 2)
    return {
        f"metrics: everything, {count} levels found before": entry(whole, None, None),
        "metrics: everything, with finding the levels of both masks": entry(found, None, None),
        "metrics: two classes and pooled, without levels": entry(plain, None, None),
        "metrics: HD95, NSD, ASSD of both classes": entry(ours, "surface-distance, the same figures", google),
        "metrics: the same, of voxels": entry(voxels, "MONAI, the same figures", monai),
    }


def masks() -> tuple[volume.Volume, volume.Volume]:
    """A phantom's truth, left-handed PSR as the dataset's, and a mask that misses its outline here and there."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    x, y, z = SPACING
    affine = np.array([[0, 0, -z, 28], [-x, 0, 0, 110], [0, y, 0, -110], [0, 0, 0, 1.0]])
    truth = phantom.trace(7, volume.Grid(SHAPE, affine)).mask
    noise = gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), (3, 3, 0.6))
    noise *= PIXELS / noise.std()
    drawn = np.zeros_like(truth)
    for one in (1, 2):
        depth = distance_transform_edt(truth == one, sampling=SPACING)
        away = distance_transform_edt(truth != one, sampling=SPACING)
        drawn[(away - depth < noise) & (drawn == 0)] = one
    return volume.from_array(truth, affine), volume.from_array(drawn, affine)


def by_elements(first: np.ndarray, second: np.ndarray, kind: surfaces.Surfaces = "elements") -> list[float]:
    found = surfaces.between(first, second, SPACING, kind)
    return [found.percentile(95), found.mean(), *(found.share_within(tolerance) for tolerance in TOLERANCES)]


def by_surface_distance(first: np.ndarray, second: np.ndarray) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import surface_distance

        found = surface_distance.compute_surface_distances(first, second, SPACING)
        shares = [surface_distance.compute_surface_dice_at_tolerance(found, tolerance) for tolerance in TOLERANCES]
        mean = surface_distance.compute_average_surface_distance(found)
        return [surface_distance.compute_robust_hausdorff(found, 95), *mean, *shares]


def by_monai(first: np.ndarray, second: np.ndarray) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

        given = [torch.from_numpy(array)[None, None] for array in (second, first)]
        known: dict[str, Any] = {"include_background": True, "spacing": list(SPACING)}
        found = [
            compute_hausdorff_distance(*given, percentile=95, **known),
            compute_average_surface_distance(*given, symmetric=True, **known),
            *(compute_surface_dice(*given, class_thresholds=[tolerance], **known) for tolerance in TOLERANCES),
        ]
    return [float(value) for value in found]


def main() -> None:
    from bench import entry

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="runs of each measurement (default 7)")
    for name, row in measure(None, entry, parser.parse_args().runs).items():
        peer = f"{row['peer_value']:8.3f} s {row['ratio']:6.1f} x  {row['peer']}" if row["peer"] else ""
        print(f"{name:60}{row['value']:8.3f} s {row['spread']:6.0%} {peer}")


if __name__ == "__main__":
    main()
