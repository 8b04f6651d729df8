"""Orientation from the affine, reordering of axes, masks on an image's grid, and the way back."""

from __future__ import annotations

import doctest

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from volume_cases import (
    ORIENTATIONS,
    SHAPE,
    SPACING,
    affine_of,
    affines,
    assert_one_sentence,
    labels,
    nifti,
    numbered,
    quick,
    save,
    turned,
)

from CSpineSegLib import volume
from CSpineSegLib.errors import InputError


def positions(image) -> dict[int, np.ndarray]:
    """Where each voxel value lies in the patient."""
    index = np.argwhere(np.ones(image.shape, bool))
    points = nibabel.affines.apply_affine(image.affine, index)
    return dict(zip(image.array[tuple(index.T)].tolist(), points, strict=True))


def test_there_are_48_orientations():
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_sagittal_axis_handedness_and_spacing_of_every_orientation(codes):
    grid = volume.Grid(SHAPE, affine_of(codes, rotation=turned(0, 9) @ turned(2, -13)))
    assert grid.orientation == codes
    assert codes[grid.sagittal_axis] in "LR"
    right_handed = {"RAS", "ASR", "SRA"}  # and whatever an even number of flips and swaps makes of them
    flips = sum(letter in "LPI" for letter in codes)
    swapped = "".join({"L": "R", "P": "A", "I": "S"}.get(letter, letter) for letter in codes) not in right_handed
    assert grid.is_left_handed == bool((flips + swapped) % 2)
    assert np.allclose(grid.spacing, SPACING)
    assert grid.voxel_volume == pytest.approx(np.prod(SPACING))


def test_the_dataset_s_orientation_is_left_handed_with_sagittal_slices_along_the_last_axis():
    image = volume.from_array(numbered(), affine_of("PSR"))
    assert (image.orientation, image.sagittal_axis, image.is_left_handed) == ("PSR", 2, True)
    assert volume.from_array(numbered(), affine_of("RAS")).sagittal_axis == 0


def test_corners_are_the_outer_faces_of_the_outer_voxels():
    corners = volume.Grid((2, 3, 4), affine_of("RAS", (1, 2, 3), (10, 20, 30))).corners()
    assert corners.shape == (8, 3)
    assert np.allclose(corners.min(axis=0), [9.5, 19, 28.5]) and np.allclose(corners.max(axis=0), [11.5, 25, 40.5])


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_reorienting_moves_no_voxel_in_the_patient_and_is_undone_exactly(codes):
    original = volume.decode(nifti(numbered(), affine_of("PSR", rotation=turned(1, 12)), descrip=b"kept"))
    other = volume.reorient(original, codes)
    assert other.orientation == codes
    before, after = positions(original), positions(other)
    assert before.keys() == after.keys()
    assert max(np.abs(before[value] - after[value]).max() for value in before) < 1e-9
    back = volume.restore(other.array, codes, original)
    assert np.array_equal(back.array, original.array) and np.array_equal(back.affine, original.affine)
    assert back.header["sform_code"] == original.header["sform_code"]
    again = volume.reorient(other, original.orientation)
    assert np.array_equal(again.array, original.array) and np.allclose(again.affine, original.affine, atol=1e-9)
    # nibabel's own reordering is the independent witness.
    witness = nibabel.Nifti1Image(original.array, original.affine)
    transform = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(original.affine), nibabel.orientations.axcodes2ornt(tuple(codes))
    )
    witness = witness.as_reoriented(transform)
    assert np.array_equal(witness.dataobj, other.array) and np.allclose(witness.affine, other.affine)


@quick
@given(affines(), st.sampled_from(ORIENTATIONS))
def test_reorienting_is_exact_on_any_oblique_grid(affine, codes):
    original = volume.from_array(numbered((3, 4, 2)), affine)
    other = volume.reorient(original, codes)
    before, after = positions(original), positions(other)
    assert max(np.abs(before[value] - after[value]).max() for value in before) < 1e-9
    assert np.array_equal(volume.restore(other.array, codes, original).array, original.array)


def test_reorienting_a_scaled_image_keeps_its_intensities():
    image = volume.decode(nifti(numbered(), scl_slope=2.0, scl_inter=3.0))
    other = volume.reorient(image, "RAS")
    assert set(other.intensities().ravel()) == set((numbered() * 2 + 3).ravel())


@pytest.mark.parametrize("codes", ["RA", "RAR", "ras", "XYZ", "LRA", "", "RASL"])
def test_what_is_no_orientation_is_refused(codes):
    with pytest.raises(InputError) as caught:
        volume.reorient(volume.from_array(numbered(), np.eye(4)), codes)
    assert_one_sentence(caught, repr(codes))


def test_the_examples_in_the_documentation_run():
    from CSpineSegLib.volume import orientation

    result = doctest.testmod(orientation)
    assert result.attempted > 0 and result.failed == 0


# A mask on the grid of an image


@pytest.mark.parametrize("codes", [(1, 1), (2, 1), (0, 2), (4, 0)])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_a_mask_like_an_image_has_its_grid_codes_and_units_and_its_own_type(tmp_path, codes, version, endian):
    affine = affine_of("PSR", rotation=turned(0, 8))
    image = volume.decode(
        nifti(numbered(), affine, codes=codes, version=version, endian=endian, scl_slope=3, scl_inter=1, xyzt_units=10)
    )
    volume.write(volume.like(image, labels()), tmp_path / "mask.nii.gz")
    mask = nibabel.load(tmp_path / "mask.nii.gz")
    assert mask.get_data_dtype().newbyteorder("=") == np.uint8 and np.array_equal(mask.get_fdata(), labels())
    assert np.array_equal(mask.affine, image.affine)
    for field in ("sform_code", "qform_code", "xyzt_units", "srow_x", "srow_y", "srow_z", "qoffset_x", "quatern_b"):
        assert np.array_equal(mask.header[field], image.header[field]), field
    assert image.header.get_data_dtype().newbyteorder("=") == np.int16, "the image's own header was changed"


def test_a_mask_carries_no_text_of_the_image(tmp_path):
    fields = dict.fromkeys(("descrip", "aux_file", "intent_name", "db_name", "data_type"), b"DOE^JOHN")
    extension = b"\1\0\0\0" + (32).to_bytes(4, "little") + (6).to_bytes(4, "little") + b"DOE^JOHN".ljust(24, b"\0")
    image = volume.decode(nifti(numbered(), extra=extension, cal_max=900, intent_code=1002, slice_end=3, **fields))
    mask = volume.like(image, labels())
    assert b"DOE" in volume.encode(image, gz=False) and b"DOE" not in volume.encode(mask, gz=False)
    assert all(float(mask.header[field]) == 0 for field in ("cal_max", "intent_code", "slice_end"))
    modern = volume.decode(nifti(numbered(), version=2, descrip=b"DOE^JOHN", unused_str=b"DOE"))
    assert b"DOE" not in volume.encode(volume.like(modern, labels()), gz=False)


def test_a_mask_of_a_scaled_image_is_not_scaled(tmp_path):
    image = volume.decode(nifti(numbered(), scl_slope=0.5, scl_inter=7))
    mask = volume.decode(volume.encode(volume.like(image, labels())))
    assert np.array_equal(mask.intensities(), labels())


def test_an_array_of_another_shape_is_no_mask_of_the_image():
    with pytest.raises(ValueError, match="does not lie on a grid"):
        volume.like(volume.from_array(numbered(), np.eye(4)), labels((6, 5, 4)))


def test_a_boolean_mask_is_written_as_uint8(tmp_path):
    for image in (volume.decode(nifti(numbered())), volume.from_array(numbered(), affine_of("PSR"))):
        mask = volume.decode(volume.encode(volume.like(image, labels() == 1)))
        assert mask.array.dtype == np.uint8 and np.array_equal(mask.array, labels() == 1)


def test_like_an_image_made_in_memory(tmp_path):
    image = volume.from_array(numbered(), affine_of("LPI"))
    volume.write(volume.like(image, labels()), tmp_path / "mask.nii")
    assert np.array_equal(volume.read_mask(tmp_path / "mask.nii").array, labels())


# Masks as others save them


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64", "int64", "int8"])
def test_whole_labels_of_any_type_become_uint8(tmp_path, dtype):
    path = save(tmp_path / "mask.nii.gz", nifti(labels().astype(dtype), gz=True, scl_slope=1))
    mask = volume.read_mask(path)
    assert mask.array.dtype == np.uint8 and np.array_equal(mask.array, labels())
    volume.write(mask, tmp_path / "again.nii.gz", allowed=(0, 1, 2))
    assert nibabel.load(tmp_path / "again.nii.gz").get_data_dtype() == np.uint8
    assert mask.path == path


def test_a_uint8_mask_is_written_back_byte_for_byte(tmp_path):
    data = nifti(labels(), scl_slope=1, descrip=b"made by hand")
    mask = volume.read_mask(save(tmp_path / "mask.nii", data))
    assert volume.encode(mask, gz=False) == data


def test_scaled_labels_are_labels_by_their_scaled_value(tmp_path):
    stored = labels().astype(np.int16) * 2 + 5
    mask = volume.read_mask(save(tmp_path / "mask.nii", nifti(stored, scl_slope=0.5, scl_inter=-2.5)))
    assert np.array_equal(mask.array, labels())
    assert np.array_equal(mask.intensities(), labels())


def test_float_labels_that_nibabel_stored_as_scaled_int16_are_whole(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    nibabel.Nifti1Image(labels().astype(np.float64), affine_of("PSR"), header).to_filename(tmp_path / "mask.nii.gz")
    mask = nibabel.load(tmp_path / "mask.nii.gz")
    assert mask.dataobj.slope != 1 and not np.array_equal(mask.get_fdata(), labels())
    assert np.array_equal(volume.read_mask(tmp_path / "mask.nii.gz").array, labels())


def test_an_extension_of_a_mask_is_dropped_when_it_is_taken_as_a_mask(tmp_path):
    extension = b"\1\0\0\0" + (16).to_bytes(4, "little") + (6).to_bytes(4, "little") + b"DOE^JOHN"
    mask = volume.read_mask(save(tmp_path / "mask.nii", nifti(labels(), extra=extension)))
    assert b"DOE" not in volume.encode(mask, gz=False)


@pytest.mark.parametrize(
    ("value", "dtype", "scale", "says"),
    [
        (3, "uint8", 1, "label 3"),
        (-1, "int16", 1, "label -1"),
        (0.5, "float32", 1, "fractional value 0.5"),
        (1.0001, "float64", 1, "fractional value 1.0001"),
        (255, "uint8", 1, "label 255"),
        (257, "int16", 1, "label 257"),
        (1, "int16", 0.4, "fractional value 0.4"),
        (1e10, "float32", 1, "label 10000000000"),
        (1, "uint8", 3, "label 3"),
    ],
)
def test_other_labels_and_fractions_are_refused(tmp_path, value, dtype, scale, says):
    array = np.zeros(SHAPE, dtype)
    array[2, 3, 1] = value
    path = save(tmp_path / "mask.nii.gz", nifti(array, gz=True, scl_slope=scale))
    with pytest.raises(InputError) as caught:
        volume.read_mask(path)
    assert says in assert_one_sentence(caught, path)


def test_other_labels_can_be_allowed(tmp_path):
    path = save(tmp_path / "levels.nii.gz", nifti(labels() * 12))
    assert set(np.unique(volume.read_mask(path, allowed=range(80)).array)) == {0, 12, 24}
