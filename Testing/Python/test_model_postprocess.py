"""Cleaning takes what lies off the spine and nothing that belongs to it, however small."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from CSpineSegLib import phantom
from CSpineSegLib.model import postprocess
from CSpineSegLib.phantom.tissue import label_table

# What may be lost of a true mask, mm3: a crumb that a crop has cut off.
CRUMB = 30.0


def truth(seed: int, shape, spacing, centre=(0, 5, -30), fused=(), beyond=False) -> np.ndarray:
    """A true mask (n, rows, columns), without an image."""
    where = phantom.grid_around(shape, spacing, "RIP", centre)
    points = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)
    points = points @ where.affine[:3, :3].T + where.affine[:3, 3]
    tissue, _ = phantom.Anatomy(seed, fused, beyond=beyond).classify(points.astype(np.float32))
    return label_table()[tissue].reshape(shape)


@pytest.fixture(scope="module")
def neck() -> tuple[np.ndarray, np.ndarray]:
    """A true mask and its spacing, with room around."""
    spacing = np.array([4.0, 1.2, 1.2])
    return truth(5, (13, 190, 140), spacing, (0, 5, -20)), spacing


EXAMS = [
    (11, (15, 190, 80), (4.0, 1.3, 1.3), {}),
    (12, (15, 190, 80), (3.3, 1.3, 1.3), {"fused": (("C5", "C6"),)}),
    (13, (9, 150, 80), (5.0, 1.4, 1.4), {"fused": (("C4", "C5"), ("C5", "C6"))}),
    (14, (13, 150, 80), (4.0, 1.4, 1.4), {"beyond": True}),
    (15, (13, 150, 80), (4.0, 1.4, 1.4), {"beyond": True}),
    (16, (34, 110, 60), (1.6, 1.6, 1.6), {}),
    (17, (13, 100, 70), (4.0, 1.4, 1.4), {"centre": (0, -10, -120)}),
]


@pytest.mark.parametrize(("seed", "shape", "spacing", "options"), EXAMS)
def test_true_masks_and_crops_of_them_keep_every_voxel(seed, shape, spacing, options):
    whole = truth(seed, shape, spacing, **options)
    rng = np.random.default_rng(seed)
    pieces = [whole]
    for _ in range(8):
        rows = rng.integers(0, shape[1] - 45 / spacing[1])
        first, column = rng.integers(0, shape[0] - 4), rng.integers(0, shape[2] // 3)
        part = whole[first : first + rng.integers(5, 20), rows : rows + int(rng.uniform(45, 130) / spacing[1]), column:]
        pieces.append(part)
    for mask in pieces:
        cleaned = postprocess.clean(mask, spacing)
        lost = np.count_nonzero((mask > 0) & (cleaned.labels != mask)) * np.prod(spacing)
        assert lost <= CRUMB
        # What is filled in truth is a pixel or two between spurs.
        assert np.count_nonzero((mask == 0) & (cleaned.labels > 0)) * np.prod(spacing) <= 0.01 * np.count_nonzero(
            mask
        ) * np.prod(spacing)


def planted(mask: np.ndarray, spacing: np.ndarray, seed: int) -> np.ndarray:
    """The mask with specks of 1 to about 400 mm3 at 20 mm and more from it."""
    rng = np.random.default_rng(seed)
    away = ndimage.distance_transform_edt(mask == 0, sampling=spacing)
    spoilt = mask.copy()
    for _ in range(25):
        far = np.argwhere(away > 20.0)
        low = far[rng.integers(len(far))]
        high = low + np.maximum(1, rng.uniform(0, 7.0, 3) / spacing).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        if (away[box] > 16.0).all():
            spoilt[box] = rng.integers(1, 3)
    return spoilt


@pytest.mark.parametrize("seed", range(3))
def test_specks_in_muscle_throat_and_air_are_removed_and_recorded(neck, seed):
    mask, spacing = neck
    spoilt = planted(mask, spacing, seed)
    clean = postprocess.clean(mask, spacing).labels
    cleaned = postprocess.clean(spoilt, spacing)
    assert np.array_equal(cleaned.labels, clean)
    assert sum(entry["mm3"] for entry in cleaned.removed) == pytest.approx(
        np.count_nonzero(spoilt != mask) * np.prod(spacing), rel=0.01
    )
    assert all(entry["mm_from_spine"] > 2 for entry in cleaned.removed)
    assert f"{len(cleaned.removed)} specks" in cleaned.notes[-1]


def test_a_speck_in_the_canal_goes_and_one_that_touches_the_spine_stays(neck):
    mask, spacing = neck
    row = 90
    middle = mask.shape[0] // 2
    back = np.flatnonzero(mask[middle, row])[-1]
    spoilt = mask.copy()
    spoilt[middle, row, back + 8] = 1
    spoilt[middle, row, back + 1] = 2
    cleaned = postprocess.clean(spoilt, spacing)
    assert cleaned.labels[middle, row, back + 8] == 0
    assert cleaned.labels[middle, row, back + 1] == 2


def test_small_parts_on_the_spine_stay(neck):
    """The tip of the dens, a sliver of the last vertebra, what is left of a disc between two bodies."""
    mask, spacing = neck
    middle = mask.shape[0] // 2
    rows = np.flatnonzero(mask.any(axis=(0, 2)))
    spoilt = mask.copy()
    spoilt[:, rows[0] : rows[0] + 16] = 0
    column = int(np.median(np.nonzero(spoilt[:, rows[0] + 16 : rows[0] + 20])[2]))
    top = rows[0] + 16 - 6
    spoilt[middle, top, column : column + 2] = 1
    spoilt[:, rows[-1] - 8 : rows[-1] - 2] = 0
    kept = postprocess.clean(spoilt, spacing)
    assert np.array_equal(kept.labels[spoilt > 0], spoilt[spoilt > 0])
    discs = spoilt == 2
    worn = np.where(discs, 0, spoilt)
    fragment = np.argwhere(discs & (np.indices(mask.shape)[0] == middle))[::7]
    worn[tuple(fragment.T)] = 2
    kept = postprocess.clean(worn, spacing)
    assert np.array_equal(kept.labels[worn > 0], worn[worn > 0])


def test_what_is_large_is_left_for_a_person_to_judge(neck):
    mask, spacing = neck
    spoilt = mask.copy()
    spoilt[4:9, 20:40, 100:120] = 1
    assert np.array_equal(postprocess.clean(spoilt, spacing).labels[spoilt > 0], spoilt[spoilt > 0])


def test_small_holes_take_the_label_around_them_and_large_ones_stay(neck):
    mask, spacing = neck
    clean = postprocess.clean(mask, spacing).labels
    middle = mask.shape[0] // 2
    inner = ndimage.binary_erosion(clean[middle] == 1, iterations=4)
    row, column = np.argwhere(inner)[len(np.argwhere(inner)) // 2]
    spoilt = clean.copy()
    spoilt[middle, row - 1 : row + 2, column - 1 : column + 2] = 0
    cleaned = postprocess.clean(spoilt, spacing)
    assert np.array_equal(cleaned.labels, clean)
    assert [entry["structure"] for entry in cleaned.filled] == ["bodies"]
    assert cleaned.filled[0]["mm3"] == pytest.approx(9 * np.prod(spacing), abs=0.1)
    spoilt[middle, row - 3 : row + 4, column - 3 : column + 4] = 0
    assert postprocess.clean(spoilt, spacing).labels[middle, row, column] == 0


@pytest.mark.parametrize("seed", range(4))
def test_cleaning_twice_is_cleaning_once(neck, seed):
    mask, spacing = neck
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=mask.shape), (0.5, 2, 2))
    spoilt = np.where(noise > np.quantile(noise, 0.985), rng.integers(1, 3), mask).astype(np.uint8)
    spoilt[noise < np.quantile(noise, 0.02)] = 0
    once = postprocess.clean(spoilt, spacing)
    again = postprocess.clean(once.labels, spacing)
    assert np.array_equal(once.labels, again.labels)
    assert len(once.removed) > 5 and not again.removed and not again.filled


def test_entries_say_where_in_the_patient_and_how_sure_the_network_was(neck):
    mask, spacing = neck
    spoilt = mask.copy()
    spoilt[3, 20:23, 10:13] = 2
    where = phantom.grid_around(mask.shape, spacing, "RIP", (0, 5, -20)).affine
    maps = np.zeros((3, *mask.shape), np.float32)
    maps[2] = 0.6
    (entry,) = postprocess.clean(spoilt, spacing, maps, where).removed
    assert entry["structure"] == "discs" and entry["probability"] == pytest.approx(0.6)
    assert np.allclose(entry["centroid"], (where @ [3, 21, 11, 1])[:3], atol=0.06)


def test_empty_masks_and_masks_without_a_spine_are_left_as_they_are():
    empty = np.zeros((5, 40, 40), np.uint8)
    assert postprocess.clean(empty, (4.0, 1.0, 1.0)).notes == ["The mask is empty."]
    specks = empty.copy()
    specks[2, 5, 5] = specks[2, 30, 30] = 1
    found = postprocess.clean(specks, (4.0, 1.0, 1.0))
    assert np.array_equal(found.labels, specks) and "No spine" in found.notes[0]
