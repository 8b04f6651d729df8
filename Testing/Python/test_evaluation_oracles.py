"""The metric engine against other libraries: equal where they define the same, and where not, different as documented.

Docs/metrics.md holds the table that these tests keep. panoptica's figures are recorded, see panoptica_cases.py.
"""

from __future__ import annotations

import json
import warnings

import numpy as np
import panoptica_cases
import pytest
from evaluation_cases import blob, box, mask

from CSpineSegLib.evaluation import compare
from CSpineSegLib.evaluation.metrics import elements, matching, overlap, surfaces

SPACINGS = [(0.5, 0.7, 4.0), (1.0, 1.0, 1.0), (4.0, 0.33, 0.33)]
seeds = pytest.mark.parametrize("seed", range(4))
spacings = pytest.mark.parametrize("spacing", SPACINGS, ids=str)


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two masks that share their first half and cross the border of the image."""
    rng = np.random.default_rng(seed)
    first, second = blob(rng), blob(rng)
    second[:12] = first[:12]
    return first, second


@pytest.fixture(scope="module")
def google():
    """surface-distance; it uses names that SciPy will remove."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("surface_distance")


@pytest.fixture(scope="module")
def monai():
    pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("monai.metrics")


def tensors(*arrays: np.ndarray):
    import torch

    return [torch.as_tensor(array)[None, None] for array in arrays]


def theirs(google, first: np.ndarray, second: np.ndarray, spacing) -> dict[str, np.ndarray]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return google.compute_surface_distances(first, second, spacing)


@spacings
def test_areas_of_all_256_pieces_of_surface_are_those_of_surface_distance(google, spacing):
    from surface_distance import lookup_tables

    kernel = np.array(lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL)
    table = lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
    for code in range(256):
        corners = [(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1) if code >> (4 * i + 2 * j + k) & 1]
        same = sum(int(kernel[corner]) for corner in corners)
        assert elements.areas(spacing)[code] == pytest.approx(table[same], rel=1e-12), corners


@seeds
@spacings
def test_every_surface_figure_is_that_of_surface_distance(google, seed, spacing):
    first, second = pair(seed)
    found = surfaces.between(first, second, spacing)
    expected = theirs(google, first, second, spacing)
    # Both are float64 and exact; what is left is the order of sums.
    close = {"rel": 1e-9, "abs": 1e-12}
    assert found.largest() == pytest.approx(google.compute_robust_hausdorff(expected, 100), **close)
    assert found.percentile(95) == pytest.approx(google.compute_robust_hausdorff(expected, 95), **close)
    for tolerance in (0.7, 1.0, 4.0):
        shared = google.compute_surface_dice_at_tolerance(expected, tolerance)
        assert found.share_within(tolerance) == pytest.approx(shared, **close)
    # It gives the mean of either direction; ours is that over both surfaces, so the two weighted by their areas.
    there, back = google.compute_average_surface_distance(expected)
    areas = found.there_weights.sum(), found.back_weights.sum()
    assert areas == pytest.approx((expected["surfel_areas_gt"].sum(), expected["surfel_areas_pred"].sum()))
    assert found.mean() == pytest.approx(np.average([there, back], weights=areas), **close)


@seeds
@spacings
def test_figures_of_voxels_are_those_of_monai(monai, seed, spacing):
    first, second = pair(seed)
    found = surfaces.between(first, second, spacing, "voxels")
    given = tensors(second, first)
    known = {"include_background": True, "spacing": list(spacing)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {
            "hd": monai.compute_hausdorff_distance(*given, **known),
            "hd95": monai.compute_hausdorff_distance(*given, percentile=95, **known),
            "assd": monai.compute_average_surface_distance(*given, symmetric=True, **known),
            "nsd": monai.compute_surface_dice(*given, class_thresholds=[1.0], **known),
            "dice": monai.compute_dice(*given),
            "iou": monai.compute_iou(*given),
        }
    counts = overlap.count(first, second)
    figures = overlap.figures(counts, 1.0)
    ours = {
        "hd": found.largest(),
        "hd95": found.percentile(95),
        "assd": found.mean(),
        "nsd": found.share_within(1.0),
        "dice": figures["dice"],
        "iou": figures["iou"],
    }
    # Theirs is float32.
    assert ours == pytest.approx({key: float(value) for key, value in expected.items()}, rel=1e-5, abs=1e-6)


@seeds
@spacings
def test_nsd_of_pieces_of_surface_is_that_of_monai_with_its_subvoxels(monai, seed, spacing):
    first, second = pair(seed)
    known = {"include_background": True, "spacing": list(spacing), "use_subvoxels": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = monai.compute_surface_dice(*tensors(second, first), class_thresholds=[1.0], **known)
    assert surfaces.between(first, second, spacing).share_within(1.0) == pytest.approx(float(expected), rel=1e-5)


@seeds
@spacings
def test_overlap_and_the_largest_distance_of_sets_are_those_of_simpleitk(seed, spacing):
    sitk = pytest.importorskip("SimpleITK")
    from scipy.ndimage import distance_transform_edt

    first, second = pair(seed)
    images = []
    for array in (first, second):
        image = sitk.GetImageFromArray(array.T.astype(np.uint8))
        image.SetSpacing([float(size) for size in spacing])
        images.append(image)
    measured = sitk.LabelOverlapMeasuresImageFilter()
    measured.Execute(images[1], images[0])  # source, target
    figures = overlap.figures(overlap.count(first, second), 1.0)
    assert figures["dice"] == pytest.approx(measured.GetDiceCoefficient())
    assert figures["iou"] == pytest.approx(measured.GetJaccardCoefficient())
    hausdorff = sitk.HausdorffDistanceImageFilter()
    hausdorff.Execute(*images)
    # It measures sets: what lies inside the other mask is at distance zero, however far from its surface.
    ways = (first, second), (second, first)
    sets = [distance_transform_edt(~goal, sampling=spacing)[start].max() for start, goal in ways]
    assert hausdorff.GetHausdorffDistance() == pytest.approx(max(sets), rel=1e-5)
    assert surfaces.between(first, second, spacing, "voxels").largest() >= max(sets) - 1e-9


def test_simpleitk_refuses_an_empty_mask_and_ours_says_which_is_empty():
    sitk = pytest.importorskip("SimpleITK")
    nothing, something = np.zeros((6, 6, 4), np.uint8), box((6, 6, 4), (1, 4), (1, 4), (1, 3))
    with pytest.raises(RuntimeError):
        sitk.HausdorffDistanceImageFilter().Execute(*(sitk.GetImageFromArray(one) for one in (nothing, something)))
    assert compare(mask(nothing), mask(something))["bodies"]["empty"] == "reference"


def test_an_empty_reference_hides_false_positives_in_monai_and_costs_the_whole_dice_here(monai):
    nothing, something = np.zeros((6, 6, 4), bool), box((6, 6, 4), (1, 4), (1, 4), (1, 3)) > 0
    assert np.isnan(float(monai.compute_dice(*tensors(something, nothing))))
    assert compare(mask(nothing), mask(something))["bodies"]["dice"] == 0.0


RECORDED = json.loads(panoptica_cases.RECORDED.read_text(encoding="utf-8"))["figures"]


@pytest.mark.parametrize("threshold", panoptica_cases.THRESHOLDS)
@pytest.mark.parametrize("name", panoptica_cases.cases())
def test_detection_and_panoptic_quality_are_those_of_panoptica(name, threshold):
    reference, candidate = panoptica_cases.cases()[name]
    found = matching.detection(matching.overlap(reference, candidate), threshold)
    expected = RECORDED[f"{name}, IoU {threshold}"]
    ours = {
        "tp": found["true_positives"],
        "fp": found["false_positives"],
        "fn": found["false_negatives"],
        "rq": found["f1"],
        "pq": found["panoptic_quality"],
        # It calls the mean of no pairs 0; here it is unknown.
        "sq": found["segmentation_quality"] or 0.0,
    }
    assert ours == pytest.approx({key: expected[key] for key in ours})


@pytest.mark.parametrize("name", ["the same", "moved by a row", "one split", "one split unevenly", "two fused"])
def test_distances_of_voxels_are_those_of_panoptica_but_for_its_mean_of_two_means(name):
    reference, candidate = panoptica_cases.cases()[name]
    table = matching.overlap(reference, candidate)
    rows, columns = np.nonzero(table.iou >= 0.5)
    # Where one half of a split brick is as good as the other, panoptica takes the first.
    chosen = {int(row): int(column) for row, column in reversed(list(zip(rows, columns, strict=True)))}
    names = [np.unique(array)[1:] for array in (reference, candidate)]
    found = []
    for row, column in chosen.items():
        parts = reference == names[0][row], candidate == names[1][column]
        apart = surfaces.between(*parts, panoptica_cases.SPACING, "voxels")
        found.append((apart.largest(), apart.percentile(95), (apart.there.mean() + apart.back.mean()) / 2))
    expected = RECORDED[f"{name}, IoU 0.5"]
    assert np.mean(found, axis=0) == pytest.approx([expected[key] for key in ("sq_hd", "sq_hd95", "sq_assd")])


@pytest.mark.parametrize("name", [name for name in panoptica_cases.cases() if "empty" not in name])
def test_panoptic_quality_is_that_of_monai(monai, name):
    """Which has no answer for a mask without instances."""
    import torch
    from monai.metrics.panoptic_quality import compute_panoptic_quality

    reference, candidate = panoptica_cases.cases()[name]
    given = [torch.as_tensor(array.astype(np.int64)) for array in (candidate, reference)]
    said = compute_panoptic_quality(*given, match_iou_threshold=0.5)
    found = matching.detection(matching.overlap(reference, candidate), 0.5 + 1e-9)  # more than half, not half
    # It adds 1e-6 to the numerator.
    assert found["panoptic_quality"] == pytest.approx(float(said), abs=1e-5)
