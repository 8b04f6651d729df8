"""Resampling happens in the patient, not in the array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from nibabel.affines import apply_affine
from scipy.ndimage import map_coordinates
from volume_cases import ORIENTATIONS, SHAPE, affine_of, affines, labels, nifti, numbered, quick, turned

from CSpineSegLib import volume

RAMP = np.array([0.7, -1.3, 0.4])


def ramp(grid: volume.Grid, offset: float = 50.0) -> volume.Volume:
    """An image whose value is a linear function of the position in the patient."""
    points = apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1))
    return volume.from_array((points @ RAMP + offset).astype(np.float64), grid.affine)


def source_indices(source: volume.Grid, target: volume.Grid) -> np.ndarray:
    """(3, I, J, K) voxel indices in `source` of the voxel centres of `target`."""
    points = apply_affine(target.affine, np.moveaxis(np.indices(target.shape), 0, -1))
    return np.moveaxis(apply_affine(np.linalg.inv(source.affine), points), -1, 0)


@quick
@given(affines())
def test_onto_its_own_grid_nothing_changes_not_even_at_the_border(affine):
    mask = volume.from_array(labels() + 1, affine)
    image = volume.from_array(numbered(dtype=np.float32), affine)
    assert np.array_equal(volume.resample(mask, mask.grid, order=0).array, mask.array)
    for order in (0, 1, 3):
        same = volume.resample(image, image.grid, order=order, fill=-1000)
        assert np.allclose(same.array, image.array, atol=0.02)
        assert np.array_equal(same.affine, affine)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_between_orientations_of_one_lattice_it_only_reorders(codes):
    image = volume.from_array(numbered(), affine_of("PSR", rotation=turned(0, 21)))
    other = volume.reorient(image, codes)
    for order in (0, 1):
        assert np.allclose(volume.resample(image, other.grid, order=order).array, other.array, atol=1e-3)


def test_a_shift_by_one_voxel_moves_the_array_by_one_and_fills():
    image = volume.from_array(numbered(), affine_of("PSR"))
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, 0]
    moved = volume.resample(image, volume.Grid(SHAPE, affine), order=1, fill=-7).array
    assert np.allclose(moved[:-1], image.array[1:]) and (moved[-1] == -7).all()


def test_a_shift_by_half_a_voxel_averages_neighbours_and_keeps_the_border():
    image = volume.from_array(numbered(dtype=np.float32), affine_of("PSR"))
    affine = image.affine.copy()
    affine[:3, 3] += 0.49 * affine[:3, 2]
    moved = volume.resample(image, volume.Grid(SHAPE, affine), order=1, fill=-7).array
    assert np.allclose(moved[..., :-1], 0.51 * image.array[..., :-1] + 0.49 * image.array[..., 1:], atol=1e-4)
    assert np.allclose(moved[..., -1], image.array[..., -1], atol=1e-4)


def test_labels_on_twice_as_fine_slices_are_repeated_to_the_outer_faces():
    mask = volume.from_array(labels() + 1, affine_of("PSR"))
    affine = affine_of("PSR", (0.7, 0.8, 2.0))
    affine[:3, 3] -= mask.affine[:3, 2] / 4
    finer = volume.resample(mask, volume.Grid((5, 6, 8), affine), order=0)
    assert finer.array.dtype == np.uint8
    assert np.array_equal(finer.array, np.repeat(mask.array, 2, axis=2))


@quick
@given(affines(), affines())
def test_nearest_neighbour_makes_no_new_label_and_agrees_with_a_search(first, second):
    mask = volume.from_array(labels((7, 6, 5)) + 1, first)
    second = second.copy()
    centre = apply_affine(first, (3, 2.5, 2))
    second[:3, 3] = centre - second[:3, :3] @ (2.5, 2, 2.5)
    target = volume.Grid((6, 5, 6), second)
    index = source_indices(mask.grid, target)
    # Ties between two voxels may fall to either side.
    assume((np.abs(index - np.floor(index) - 0.5) > 1e-5).all())
    nearest = np.rint(index).astype(int)
    size = np.array(mask.shape).reshape(3, 1, 1, 1)
    inside = ((nearest >= 0) & (nearest < size)).all(axis=0)
    expected = np.where(inside, mask.array[tuple(np.clip(nearest, 0, size - 1))], 0)
    result = volume.resample(mask, target, order=0)
    assert result.array.dtype == np.uint8 and np.array_equal(result.array, expected)


@quick
@given(affines(), affines())
def test_a_linear_ramp_is_reproduced_between_any_two_grids(first, second):
    image = ramp(volume.Grid((9, 8, 7), first))
    second = second.copy()
    second[:3, 3] = apply_affine(first, (4, 3.5, 3)) - second[:3, :3] @ (2, 2.5, 1.5)
    target = volume.Grid((5, 6, 4), second)
    index = source_indices(image.grid, target)
    between_centres = ((index >= 0) & (index <= np.array(image.shape).reshape(3, 1, 1, 1) - 1)).all(axis=0)
    result = volume.resample(image, target, fill=np.nan).array
    assume(between_centres.any())
    assert np.allclose(result[between_centres], ramp(target).array[between_centres], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_it_agrees_with_interpolation_at_explicit_coordinates(order):
    image = volume.from_array(
        np.random.default_rng(3).normal(size=(12, 11, 9)).astype(np.float32),
        affine_of("PSR", (0.8, 0.9, 3), rotation=turned(1, 17)),
    )
    affine = affine_of("LIA", (1, 1.1, 1.7), rotation=turned(2, -25))
    affine[:3, 3] += apply_affine(image.affine, (6, 5, 4)) - apply_affine(affine, (6, 6, 6))
    target = volume.Grid((13, 12, 14), affine)
    index = source_indices(image.grid, target)
    size = np.array(image.shape).reshape(3, 1, 1, 1)
    inside = ((index >= -0.5) & (index <= size - 0.5)).all(axis=0)
    expected = map_coordinates(image.array, index, order=order, mode="nearest")
    result = volume.resample(image, target, order=order, fill=-9).array
    assert inside.any() and not inside.all()
    assert np.allclose(result[inside], expected[inside], atol=1e-4)
    assert (result[~inside] == -9).all()


def test_intensities_are_scaled_at_every_order_and_warnings_of_the_source_do_not_matter():
    image = volume.decode(nifti(numbered(), scl_slope=2, scl_inter=1))
    for order in (0, 1):
        assert np.allclose(volume.resample(image, image.grid, order=order).intensities(), numbered() * 2 + 1, atol=1e-2)
    assert volume.resample(image, image.grid).array.dtype == np.float32


def test_a_grid_beside_the_image_is_filled():
    image = volume.from_array(numbered(), affine_of("RAS"))
    far = volume.Grid((2, 2, 2), affine_of("RAS", origin=(500, 500, 500)))
    assert (volume.resample(image, far, order=0, fill=3).array == 3).all()
