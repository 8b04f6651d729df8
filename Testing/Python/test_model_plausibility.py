"""A neck is told from a back, a head and noise by sizes in millimetres along one line; real images are asked last."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from CSpineSegLib import jobs, model, phantom, volume
from CSpineSegLib.errors import InputError, ModelError
from CSpineSegLib.model import plausibility
from CSpineSegLib.phantom.tissue import label_table
from CSpineSegLib.spine import order


def spine(
    period: float = 18.0,
    depth: float = 16.0,
    count: int = 7,
    spacing=(4.0, 1.0, 1.0),
    share: float = 0.3,
    bend: float = 0.0,
    lean: float = 0.0,
    fused: tuple[int, ...] = (),
) -> np.ndarray:
    """Bodies and discs as boxes in a row of `count` periods, in mm; `bend` to the back, `lean` to the side."""
    height = period * count
    shape = (int(60 / spacing[0]), int((height + 20) / spacing[1]), int(110 / spacing[2]))
    side, down, back = (np.arange(n) * mm for n, mm in zip(shape, spacing, strict=True))
    down = down - 10.0
    middle = 45.0 + bend * np.sin(np.pi * down / height)
    off = 28.0 + lean * np.sin(2 * np.pi * down / height)
    inside = (np.abs(back[None, :] - middle[:, None]) < depth / 2) & ((down >= 0) & (down < height))[:, None]
    wide = np.abs(side[:, None] - off[None, :]) < 0.55 * depth
    number = np.floor(down / period)
    disc = (down / period - number > 1 - share) & ~np.isin(number, fused)
    return (inside[None] * wide[:, :, None] * (1 + disc)[None, :, None]).astype(np.uint8)


def probability(mask: np.ndarray, spacing=(4.0, 1.0, 1.0), sure: float = 0.93) -> float:
    maps = np.full((3, *mask.shape), (1 - sure) / 2, np.float32)
    np.put_along_axis(maps, mask[None].astype(np.intp), np.float32(sure), axis=0)
    verdict = plausibility.judge(mask, maps, spacing)
    assert all(np.isfinite(value) for value in verdict.features.values())
    assert verdict.accepted == (verdict.probability >= plausibility.LEAST)
    return verdict.probability


NECKS = {
    "an adult's": {},
    "C3 to C5": {"count": 3},
    "a child's": {"period": 11.5, "depth": 9.5},
    "a large man's": {"period": 20.5, "depth": 18.5},
    "neck and upper back": {"period": 20.0, "depth": 18.0, "count": 11},
    "two levels fused": {"fused": (2, 3)},
    "fused in a crop": {"count": 4, "fused": (1,)},
    "worn discs": {"share": 0.15},
    "kyphotic": {"bend": 30.0},
    "scoliotic": {"lean": 14.0},
}
OTHERS = {
    "lumbar": {"period": 35.0, "depth": 33.0, "count": 6},
    "lumbar, small": {"period": 30.0, "depth": 27.0, "count": 6},
    "one block": {"count": 4, "share": 0.0},
    "stripes of a phantom": {"period": 5.0, "depth": 16.0, "count": 20, "share": 0.5},
}


@pytest.mark.parametrize("options", NECKS.values(), ids=NECKS.keys())
def test_necks_of_all_sizes_are_accepted(options):
    assert probability(spine(**options)) > 0.6


@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS.keys())
def test_other_rows_of_boxes_are_not(options):
    assert probability(spine(**options)) < 0.15


def test_the_verdict_holds_at_any_voxel_size():
    for spacing in ((1.0, 1.0, 1.0), (5.0, 0.5, 0.5), (3.0, 2.5, 2.5), (1.0, 2.0, 1.0)):
        assert probability(spine(spacing=spacing), spacing) > 0.6, spacing
        assert probability(spine(35.0, 33.0, 6, spacing), spacing) < 0.15, spacing


def test_nothing_noise_and_scattered_blobs_are_not_accepted():
    rng = np.random.default_rng(0)
    shape = (11, 200, 120)
    scattered = np.zeros(shape, np.uint8)
    for _ in range(30):
        low = rng.integers(0, np.array(shape) - [3, 15, 15])
        scattered[low[0] : low[0] + 3, low[1] : low[1] + 15, low[2] : low[2] + 15] = rng.integers(1, 3)
    for mask in (np.zeros(shape, np.uint8), rng.integers(0, 3, shape).astype(np.uint8), scattered):
        assert probability(mask, sure=0.75) < 0.15
    verdict = plausibility.judge(np.zeros(shape, np.uint8), None, (4.0, 1.0, 1.0))
    assert verdict.sentence == "this does not look like a cervical spine exam (probability under 1 %)"


def test_a_network_that_is_unsure_makes_a_neck_less_likely_but_alone_refuses_none():
    mask = spine()
    assert probability(mask, sure=0.7) < probability(mask, sure=0.9)
    assert probability(mask, sure=0.8) > plausibility.LEAST


def test_order_and_sizes_are_measured_in_mm():
    found = order.along(spine(19.0, 15.0, 6, (4.0, 0.6, 0.6)), (4.0, 0.6, 0.6))
    assert found.discs == 5
    assert [label for label, _ in found.runs if label] == [1, 2] * 6
    assert np.allclose(found.periods, 19.0, atol=1.0)
    assert np.allclose(found.depths, 15.0, atol=1.5)
    assert found.on_line == 1.0


@pytest.mark.parametrize("seed", range(31, 39))
def test_true_masks_of_phantoms_are_accepted(seed):
    shape, spacing = (11, 130, 60), (4.5, 1.6, 1.6)
    where = phantom.grid_around(shape, spacing, "RIP", (0, 5, -20))
    points = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)
    points = (points @ where.affine[:3, :3].T + where.affine[:3, 3]).astype(np.float32)
    mask = label_table()[phantom.Anatomy(seed, beyond=seed % 2 == 1).classify(points)[0]].reshape(shape)
    assert probability(mask, spacing) > 0.5
    rows = np.flatnonzero(mask.any(axis=(0, 2)))
    assert probability(mask[:, rows[0] + 15 : rows[0] + 55], spacing) > plausibility.LEAST


def cases(rng: np.random.Generator, count: int) -> tuple[list[dict[str, float]], list[bool]]:
    """Made-up features: necks good in all, others bad in some."""
    low, high = np.array(list(plausibility.RANGES.values())).T
    found, truth = [], []
    for index in range(count):
        share = rng.uniform(0.75, 1.0, len(low))
        if index % 3:
            share[rng.choice(len(low), 3, replace=False)] = rng.uniform(0.0, 0.4, 3)
        found.append(dict(zip(plausibility.RANGES, low + share * (high - low), strict=True)))
        truth.append(index % 3 == 0)
    return found, truth


def test_a_fit_tells_necks_from_others_it_has_not_seen_and_repeats():
    found, truth = cases(np.random.default_rng(1), 60)
    coefficients = plausibility.fit(found, truth)
    assert coefficients == plausibility.fit(found, truth)
    assert all(weight >= 0 for weight in coefficients["weights"].values())
    line = plausibility.read(coefficients)
    others, known = cases(np.random.default_rng(2), 300)
    right = [(line.value(one) >= 0.5) == is_neck for one, is_neck in zip(others, known, strict=True)]
    assert np.mean(right) > 0.95


def test_a_fit_to_a_single_exam_or_to_features_that_say_nothing_stays_moderate():
    found, _ = cases(np.random.default_rng(1), 2)
    line = plausibility.read(plausibility.fit(found, [True, False]))
    assert line.value(found[0]) > 0.5 > line.value(found[1])
    same = [found[0]] * 10
    assert plausibility.read(plausibility.fit(same, [True, False] * 5)).value(found[0]) == pytest.approx(0.5, abs=0.01)
    for truth in ([True, True], [False, False]):
        with pytest.raises(InputError, match="both"):
            plausibility.fit(found, truth)


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"intercept": 1.0},
        {"intercept": "nan", "weights": {}},
        {"intercept": 1e9, "weights": {}},
        {"intercept": 0.0, "weights": {"discs": -1.0}},
        {"intercept": 0.0, "weights": {"discs": float("inf")}},
        {"intercept": 0.0, "weights": {"colour": 1.0}},
        {"intercept": 0.0, "weights": [1.0]},
        [],
    ],
)
def test_damaged_coefficients_are_refused(bad):
    with pytest.raises(ModelError, match=r"training\.calibrate"):
        plausibility.judge(spine(), None, (4.0, 1.0, 1.0), bad)


# --- real images ---


@pytest.fixture(scope="module")
def packaged() -> model.Bundle:
    return model.load(jobs.DEFAULT_MODEL)


@pytest.fixture(scope="module")
def converted(shared_data, tmp_path_factory) -> dict[str, list[Path]]:
    """Real DICOM series as NIfTI, by dcm2niix."""
    dcm2niix = pytest.importorskip("dcm2niix", reason="dcm2niix is not installed")
    found = {}
    for name in ("ge_3plane_localizer_phantom", "siemens_2d_sag_t1_head"):
        folder = tmp_path_factory.mktemp(name)
        words = [dcm2niix.bin, "-z", "y", "-b", "n", "-o", str(folder), str(shared_data / "dicom" / name)]
        subprocess.run(words, check=True, capture_output=True)
        found[name] = sorted(folder.glob("*.nii.gz"))
    return found


def refused(bundle: model.Bundle, path: Path) -> None:
    with pytest.raises(plausibility.NotCervicalError) as caught:
        model.predict(bundle, volume.read(path), "cpu", quality=False)
    assert "this does not look like a cervical spine exam (probability " in str(caught.value)
    assert str(caught.value).startswith(path.name)


@pytest.mark.parametrize("name", ["t2_lumbar_3d", "derived_lumbar_2dlike_PSR", "abdomen_mr_3mm"])
def test_real_images_of_other_parts_of_the_body_are_refused(packaged, shared_data, name):
    refused(packaged, shared_data / "negatives" / f"{name}.nii.gz")


def test_all_three_planes_of_a_localizer_are_refused(packaged, converted):
    assert len(converted["ge_3plane_localizer_phantom"]) == 3
    for path in converted["ge_3plane_localizer_phantom"]:
        refused(packaged, path)


def test_a_head_is_refused(packaged, converted):
    (path,) = converted["siemens_2d_sag_t1_head"]
    refused(packaged, path)


@pytest.mark.parametrize("name", ["cervical_t2/cervical_t2_320x320x13", "sct_crop/t2"])
def test_real_necks_are_accepted(packaged, shared_data, name):
    found = model.predict(packaged, volume.read(shared_data / f"{name}.nii.gz"), "cpu", quality=False)
    assert found.verdict.probability > 0.5
