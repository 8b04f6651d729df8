"""The geometry gate: a mask goes onto its image exactly, or not at all."""

from __future__ import annotations

import re

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.affines import from_matvec
from volume_cases import (
    ORIENTATIONS,
    SHAPE,
    affine_of,
    affines,
    assert_one_sentence,
    labels,
    nifti,
    numbered,
    quick,
    turned,
)

from CSpineSegLib import volume
from CSpineSegLib.errors import GeometryError

OBLIQUE = affine_of("PSR", rotation=turned(0, 14) @ turned(2, 6))


@pytest.fixture
def image(tmp_path) -> volume.Volume:
    path = tmp_path / "593973-000001_Study-MR-1_Series-1.nii.gz"
    path.write_bytes(nifti(numbered(), OBLIQUE, codes=(2, 1), gz=True))
    return volume.read(path)


def mask_on(affine, array=None, path="edited.nii.gz") -> volume.Volume:
    made = volume.from_array(labels() if array is None else array, affine)
    return volume.Volume(made.array, made.affine, None, path)


def exported(array: np.ndarray, affine: np.ndarray, codes: str) -> volume.Volume:
    """The same lattice in another order of axes, made by nibabel."""
    transform = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(tuple(codes))
    )
    other = nibabel.Nifti1Image(array, affine).as_reoriented(transform)
    return mask_on(other.affine, np.asarray(other.dataobj))


def test_a_mask_on_the_image_s_grid_passes_in_silence_with_the_image_s_header(image):
    mask = volume.conform(mask_on(image.affine), image)
    assert np.array_equal(mask.array, labels()) and mask.warnings == ()
    assert np.array_equal(mask.affine, image.affine)
    assert int(mask.header["sform_code"]) == 2 and mask.header.get_data_dtype() == np.uint8
    assert str(mask.path) == "edited.nii.gz"


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(("part", "kind"), [(0.0, "same"), (0.09, "near"), (0.11, "different"), (0.5, "different")])
def test_shifts_are_judged_by_tenths_of_a_voxel(image, axis, part, kind):
    step = image.affine[:3, axis]
    mask = mask_on(from_matvec(image.affine[:3, :3], image.affine[:3, 3] + part * step))
    match = volume.compare_grids(image.grid, mask.grid)
    assert match.kind == kind and match.millimetres == pytest.approx(part * np.linalg.norm(step), abs=1e-6)
    if kind == "different":
        with pytest.raises(GeometryError) as caught:
            volume.conform(mask, image)
        text = assert_one_sentence(caught, image.path)
        assert "edited.nii.gz" in text and f"{part * np.linalg.norm(step):.2f} mm" in text
        return
    result = volume.conform(mask, image)
    assert np.array_equal(result.array, labels()) and np.array_equal(result.affine, image.affine)
    assert len(result.warnings) == (kind == "near")
    if kind == "near":
        assert f"{match.millimetres:.3f} mm" in result.warnings[0]


@pytest.mark.parametrize(("millimetres", "silent"), [(0.0, True), (0.0095, True), (0.0105, False), (0.05, False)])
def test_a_hundredth_of_a_millimetre_is_silent(image, millimetres, silent):
    mask = mask_on(from_matvec(image.affine[:3, :3], image.affine[:3, 3] + [0, 0, millimetres]))
    assert (volume.conform(mask, image).warnings == ()) == silent


def test_a_small_turn_counts_where_it_is_largest_at_the_corners():
    shape = (320, 320, 13)
    image = volume.Grid(shape, affine_of("PSR", (0.6875, 0.6875, 4)))
    centre = image.corners().mean(axis=0)
    for degrees, kind in ((0.001, "same"), (0.02, "near"), (0.05, "different")):
        rotation = turned(0, degrees)
        affine = from_matvec(rotation @ image.affine[:3, :3], rotation @ (image.affine[:3, 3] - centre) + centre)
        match = volume.compare_grids(image, volume.Grid(shape, affine))
        assert match.kind == kind, degrees
        # Rotation about the left-right axis: the in-plane half diagonal is the arm.
        assert match.millimetres == pytest.approx(np.radians(degrees) * 160 * 0.6875 * np.sqrt(2), rel=1e-3)


def test_the_worst_corner_counts_and_not_the_average():
    """Turned about one corner, the opposite one moves by the whole diagonal, and half of the corners hardly do."""
    shape = (320, 320, 13)
    image = volume.Grid(shape, affine_of("PSR", (0.6875, 0.6875, 4)))
    pivot, rotation = image.corners()[0], turned(0, 0.0125)
    affine = from_matvec(rotation @ image.affine[:3, :3], rotation @ (image.affine[:3, 3] - pivot) + pivot)
    match = volume.compare_grids(image, volume.Grid(shape, affine))
    assert match.kind == "near"
    assert match.millimetres == pytest.approx(np.radians(0.0125) * 320 * 0.6875 * np.sqrt(2), rel=1e-3)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_flipped_or_permuted_mask_is_put_back_exactly_and_it_is_said(image, codes):
    result = volume.conform(exported(labels(), image.affine, codes), image)
    assert np.array_equal(result.array, labels()) and np.array_equal(result.affine, image.affine)
    if codes == "PSR":
        assert result.warnings == ()
        return
    (said,) = result.warnings
    assert "put back voxel by voxel" in said and f"({codes} against PSR)" in said and said.endswith(".")
    assert ("another order" in said) == ([c in "AP" for c in codes] != [True, False, False] or codes[1] not in "SI")
    assert "covers" not in said and "off at a corner" not in said


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_cropped_mask_is_padded_and_a_padded_one_cropped(image, codes):
    start, stop = np.array([1, 2, 1]), np.array([4, 6, 3])
    inner = tuple(slice(*ends) for ends in zip(start, stop, strict=True))
    affine = image.affine @ from_matvec(np.eye(3), start)
    cropped = volume.conform(exported(labels()[inner], affine, codes), image)
    expected = np.zeros(SHAPE, np.uint8)
    expected[inner] = labels()[inner]
    assert np.array_equal(cropped.array, expected) and np.array_equal(cropped.affine, image.affine)
    assert f"voxels instead of {' x '.join(map(str, SHAPE))}" in cropped.warnings[0]

    affine = image.affine @ from_matvec(np.eye(3), (-2, -1, -3))
    padded = volume.conform(exported(np.pad(labels(), ((2, 4), (1, 0), (3, 1))), affine, codes), image)
    assert np.array_equal(padded.array, labels()) and "covers" in padded.warnings[0]


def triples(low: int, high: int):
    return st.tuples(*[st.integers(low, high)] * 3)


@quick
@given(affines(), st.sampled_from(ORIENTATIONS), triples(-7, 7), triples(1, 8))
def test_no_label_is_lost_or_moved_on_any_grid_order_and_part(affine, codes, start, shape):
    image = volume.from_array(numbered(), affine)
    drawn = labels(shape)
    mask = exported(drawn, affine @ from_matvec(np.eye(3), start), codes)
    where = {tuple(np.add(index, start)): drawn[tuple(index)] for index in np.argwhere(drawn)}
    outside = [index for index in where if any(not 0 <= i < n for i, n in zip(index, SHAPE, strict=True))]
    if outside:
        with pytest.raises(GeometryError, match=f"{len(outside)} labelled voxels outside"):
            volume.conform(mask, image)
        return
    result = volume.conform(mask, image)
    assert {tuple(index): result.array[tuple(index)] for index in np.argwhere(result.array)} == where


def test_labels_outside_the_image_are_never_thrown_away(image):
    larger = np.zeros((9, 6, 4), np.uint8)
    affine = image.affine @ from_matvec(np.eye(3), (-2, 0, 0))
    larger[3, 3, 2] = 1
    assert volume.conform(mask_on(affine, larger), image).array[1, 3, 2] == 1
    larger[0, 0, 0] = larger[8, 0, 0] = 2
    with pytest.raises(GeometryError) as caught:
        volume.conform(mask_on(affine, larger), image)
    assert "2 labelled voxels" in assert_one_sentence(caught, image.path)


def test_a_mask_of_the_image_s_shape_that_is_shifted_by_whole_voxels_is_put_back(image):
    drawn = labels()
    drawn[0] = 0
    mask = mask_on(image.affine @ from_matvec(np.eye(3), (-1, 0, 0)), drawn)
    result = volume.conform(mask, image)
    assert np.array_equal(result.array[:-1], drawn[1:]) and not result.array[-1].any()
    assert "shifted by whole voxels" in result.warnings[0]


def test_a_reordered_mask_that_is_also_a_little_off_is_put_back_and_both_are_said(image):
    mask = exported(labels(), from_matvec(image.affine[:3, :3], image.affine[:3, 3] + [0, 0, 0.04]), "RAS")
    result = volume.conform(mask, image)
    assert np.array_equal(result.array, labels())
    assert "put back" in result.warnings[0] and "0.040 mm off" in result.warnings[0]


def test_what_was_noticed_on_reading_the_mask_is_kept(image):
    mask = exported(labels(), image.affine, "RAS").warn("Noticed on reading.")
    assert volume.conform(mask, image).warnings[0] == "Noticed on reading."


def test_a_mask_that_is_stored_scaled_keeps_its_labels(image):
    stored = volume.decode(nifti(labels() * 2 + 4, OBLIQUE, scl_slope=0.5, scl_inter=-2))
    assert np.array_equal(volume.conform(stored, image).array, labels())


@pytest.mark.parametrize("spacing", [(0.7, 0.8, 2.0), (1.4, 0.8, 4), (0.75, 0.8, 4), (1, 1, 1)])
def test_a_mask_with_another_spacing_is_refused_with_both_spacings(image, spacing):
    mask = mask_on(affine_of("PSR", spacing, rotation=turned(0, 14) @ turned(2, 6)))
    with pytest.raises(GeometryError) as caught:
        volume.conform(mask, image)
    text = assert_one_sentence(caught, image.path)
    assert " x ".join(f"{value:g}" for value in spacing) + " mm" in text and "0.7 x 0.8 x 4 mm" in text
    assert "resample" in text


def test_spacings_that_differ_in_the_third_digit_are_told_apart_in_the_message():
    shape = (400, 400, 4)
    image = volume.from_array(np.zeros(shape, np.uint8), affine_of("PSR"))
    mask = volume.from_array(np.zeros(shape, np.uint8), affine_of("PSR", (0.7, 0.8011, 4)))
    with pytest.raises(GeometryError) as caught:
        volume.conform(mask, image)
    text = assert_one_sentence(caught, "The mask does not lie on the image")
    assert "0.7 x 0.8011 x 4 mm and the image's 0.7 x 0.8 x 4 mm" in text


def test_a_turned_mask_is_refused_in_millimetres(image):
    mask = mask_on(affine_of("PSR", rotation=turned(0, 34)))
    match = volume.compare_grids(image.grid, mask.grid)
    assert match.kind == "different" and match.index_map is None and match.millimetres > 1
    with pytest.raises(GeometryError) as caught:
        volume.conform(mask, image)
    assert len(re.findall(r"\d+\.\d\d mm", assert_one_sentence(caught, image.path))) == 2


def test_isotropic_voxels_allow_quarter_turns_of_the_lattice():
    image = volume.from_array(numbered(), affine_of("RAS", (1, 1, 1)))
    mask = mask_on(affine_of("ASR", (1, 1, 1)), labels((6, 4, 5)))
    result = volume.conform(mask, image)
    assert np.array_equal(result.array, labels((6, 4, 5)).transpose(2, 0, 1))
