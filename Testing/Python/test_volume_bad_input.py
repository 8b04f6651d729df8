"""Images that cannot be trusted are refused in one sentence, and nothing is written."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from volume_cases import SHAPE, affine_of, assert_one_sentence, labels, nifti, noise, numbered, refused, save, sheared

from CSpineSegLib import volume
from CSpineSegLib.errors import GeometryError, InputError, WriteError


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a space and accents in its path."""
    place = tmp_path / "données du patient"
    place.mkdir()
    return place


# The file itself


@pytest.mark.parametrize("part", [0.001, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_gz_file_is_refused(folder, part):
    data = nifti(noise(), gz=True)
    refused(folder / "x.nii.gz", data[: max(2, int(len(data) * part))], says="is truncated or damaged")


@pytest.mark.parametrize("missing", [1, 4, 8, 9])
def test_a_gz_file_without_its_last_bytes_is_refused(folder, missing):
    refused(folder / "x.nii.gz", nifti(noise(), gz=True)[:-missing], says="is truncated or damaged")


@pytest.mark.parametrize("where", [3, 12, 100, 1000, -6, -2])
def test_a_gz_file_with_a_changed_byte_is_refused_or_was_harmless(folder, where):
    data = bytearray(nifti(noise(), gz=True))
    data[where] ^= 0xFF
    if where == 3:  # flags of the gzip header: claims a name, comment and more that are not there
        with pytest.raises(InputError) as caught:
            volume.read(save(folder / "x.nii.gz", bytes(data)))
        assert_one_sentence(caught, folder / "x.nii.gz")
        return
    refused(folder / "x.nii.gz", bytes(data), says="is truncated or damaged")


@pytest.mark.parametrize("cut", [1, 100, 4000, 4096])
@pytest.mark.parametrize("gz", [True, False])
def test_a_file_that_lacks_voxels_is_refused_with_the_numbers(folder, cut, gz):
    data = nifti(noise(), cut=cut, gz=gz)
    refused(folder / "x.nii", data, says=f"{4096 - cut} of 4096 bytes of voxels are there")


def test_a_file_cut_in_its_extensions_is_refused(folder):
    refused(folder / "x.nii", nifti(noise(), extra=b"\1" + bytes(99))[:400], says="0 of 4096 bytes of voxels")


@pytest.mark.parametrize(
    "data", [b"\0" * 2000, b"hello", b"\x1f\x8b", b"PK\3\4" + b"x" * 1000, b"DICM" * 200, bytes(range(256)) * 4,
             gzip.compress(b"no image at all" * 100, mtime=0), nifti(noise())[:347], gzip.compress(b"", mtime=0)],
)  # fmt: skip
def test_what_is_no_nifti_file_is_refused(folder, data):
    refused(folder / "x.nii.gz", data, says="")


def test_an_empty_file_is_refused(folder):
    refused(folder / "x.nii.gz", b"", says="is an empty file")


def test_a_missing_file_is_named(folder):
    refused(folder / "nothing here.nii.gz", None, says="does not exist")


def test_a_folder_given_as_a_file_is_refused(folder):
    (folder / "x.nii.gz").mkdir()
    refused(folder / "x.nii.gz", None, says="cannot be read")


def test_a_file_below_a_file_is_refused(folder):
    save(folder / "x.nii", b"x")
    refused(folder / "x.nii" / "y.nii", None, says="cannot be read")


@pytest.mark.parametrize("version", [1, 2])
def test_half_of_a_pair_is_refused_with_advice(folder, version):
    magic = {1: b"ni1", 2: b"ni2"}[version]
    refused(folder / "x.hdr", nifti(noise(), version=version, magic=magic), says="half of a .hdr/.img pair")
    pair = nibabel.Nifti1Pair(noise(), affine_of("PSR"))
    nibabel.save(pair, folder / "pair.hdr")
    refused(folder / "pair.hdr", None, says="single .nii.gz")
    refused(folder / "pair.img", None, says="is not a NIfTI file")


# Its dimensions and type


@pytest.mark.parametrize(
    ("shape", "says"),
    [((4, 5, 6, 2), "is 4D (4 x 5 x 6 x 2)"), ((4, 5, 6, 1, 3), "is 5D"), ((4, 5), "(4 x 5)"), ((9,), "(9)"),
     ((4, 5, 1), "(4 x 5 x 1)"), ((1, 5, 6), "at least 2 slices"), ((4, 1, 6), "at least 2 slices"),
     ((4, 5, 1, 1), "at least 2 slices"), ((4, 5, 1, 7), "is 4D")],
)  # fmt: skip
def test_what_is_not_three_dimensional_is_refused(folder, shape, says):
    refused(folder / "x.nii.gz", nifti(np.zeros(shape, np.int16), gz=True), says=says)


@pytest.mark.parametrize(
    "dim", [[3, 0, 5, 6, 1, 1, 1, 1], [3, 4, 5, 0, 1, 1, 1, 1], [3, -4, 5, 6, 1, 1, 1, 1], [4, 4, 5, 6, 0, 1, 1, 1]]
)
def test_an_empty_image_is_refused(folder, dim):
    refused(folder / "x.nii", nifti(noise(), dim=dim), says="is empty")


@pytest.mark.parametrize("count", [0, -1, 8, 300])
def test_an_impossible_number_of_dimensions_is_refused(folder, count):
    data = bytearray(nifti(noise(), dim=[3, 16, 16, 8, 1, 1, 1, 1]))
    data[40:42] = struct.pack("<h", count)
    refused(folder / "x.nii", bytes(data), says="damaged header")


def test_dimensions_whose_product_overflows_are_refused(folder):
    dim = [3, 2**32, 2**32, 2**32, 1, 1, 1, 1]
    refused(folder / "x.nii", nifti(noise(), version=2, dim=dim), says="truncated")


@pytest.mark.parametrize("offset", [0, 100, -352, np.nan, np.inf])
def test_a_voxel_offset_inside_the_header_or_beyond_numbers_is_refused(folder, offset):
    text = refused(folder / "x.nii", nifti(noise(), vox_offset=offset), says="damaged header")
    assert "voxels begin" in text


def test_a_voxel_offset_beyond_the_end_is_refused(folder):
    refused(folder / "x.nii", nifti(noise(), vox_offset=1e6), says="0 of 4096 bytes")


@pytest.mark.parametrize(
    ("dtype", "says"),
    [
        ([("R", "u1"), ("G", "u1"), ("B", "u1")], "colour"),
        ([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")], "colour"),
        ("complex64", "complex"),
        ("complex128", "complex"),
    ],
)
def test_colour_and_complex_images_are_refused(folder, dtype, says):
    refused(folder / "x.nii.gz", nifti(np.zeros(SHAPE, dtype), gz=True), says=f"voxels of {says} type")


@pytest.mark.parametrize("code", [0, 1, 3, 12345, -5])
def test_an_unknown_type_is_refused(folder, code):
    data = bytearray(nifti(noise()))
    data[70:72] = struct.pack("<h", code)
    refused(folder / "x.nii", bytes(data), says="voxels of unknown type")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused_with_their_number(folder, value, dtype, endian):
    array = noise().astype(dtype)
    array[3, 4, 5] = array[0, 0, 0] = value
    refused(folder / "x.nii.gz", nifti(array, endian=endian, gz=True), says="has 2 voxels that are not finite")


# Masks and writing


def test_a_damaged_mask_is_refused_as_an_image_is(folder):
    data = nifti(noise(), gz=True)[:-20]
    refused(folder / "x_SEG.nii.gz", data, says="truncated", reader=volume.read_mask)


@pytest.mark.parametrize("name", ["mask.txt", "mask.nrrd", "mask", "mask.gz", "mask.nii.gz.tmp"])
def test_a_name_that_is_not_nifti_s_is_refused_before_anything_is_written(folder, name):
    with pytest.raises(InputError) as caught:
        volume.write(volume.from_array(labels(), affine_of("PSR")), folder / "new" / name)
    assert "ends in .nii.gz or .nii" in assert_one_sentence(caught, folder / "new" / name)
    assert list(folder.iterdir()) == []


def test_an_image_with_values_that_cannot_be_read_back_is_not_written(folder):
    image = volume.from_array(np.full(SHAPE, np.nan, np.float32), affine_of("PSR"))
    with pytest.raises(InputError) as caught:
        volume.write(image, folder / "x.nii.gz")
    assert_one_sentence(caught, folder / "x.nii.gz")
    assert list(folder.iterdir()) == []


def test_a_mask_with_a_label_that_is_not_allowed_is_not_written_and_the_old_one_stays(folder):
    path = folder / "x_SEG.nii.gz"
    volume.write(volume.from_array(labels(), affine_of("PSR")), path, allowed=(0, 1, 2))
    before = path.read_bytes()
    with pytest.raises(InputError) as caught:
        volume.write(volume.from_array(labels() + 1, affine_of("PSR")), path, allowed=(0, 1, 2))
    assert "label 3" in assert_one_sentence(caught, path)
    assert path.read_bytes() == before and os.listdir(folder) == [path.name]


@pytest.mark.parametrize("change", ["voxels", "type", "affine"])
def test_what_does_not_read_back_as_it_is_in_memory_is_not_written(folder, change):
    image = volume.decode(nifti(numbered()))
    array, affine = image.array, image.affine
    if change == "voxels":  # the header still says 5 x 6 x 4, so that every voxel would come back elsewhere
        array = array.transpose(1, 0, 2)
    if change == "type":  # the header says int16 and would cut the fraction off
        array = array + np.float32(0.5)
    if change == "affine":  # the header still says the former place
        affine = affine_of("PSR", origin=(0, 0, 0))
    with pytest.raises(WriteError) as caught:
        volume.write(volume.Volume(array, affine, image.header), folder / "x.nii")
    assert str(folder / "x.nii") in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_sheared_image_made_in_memory_is_not_written(folder):
    with pytest.raises(GeometryError) as caught:
        volume.write(volume.from_array(noise(), sheared(2.0)), folder / "x.nii.gz")
    assert "perpendicular" in assert_one_sentence(caught, folder / "x.nii.gz")
    assert list(folder.iterdir()) == []


def test_exclusive_writing_never_replaces(folder):
    image = volume.from_array(labels(), affine_of("PSR"))
    volume.write(image, folder / "x.nii.gz", exclusive=True)
    before = (folder / "x.nii.gz").read_bytes()
    with pytest.raises(FileExistsError):
        volume.write(volume.like(image, labels(seed=1)), folder / "x.nii.gz", exclusive=True)
    assert (folder / "x.nii.gz").read_bytes() == before
    volume.write(volume.like(image, labels(seed=1)), folder / "x.nii.gz")
    assert np.array_equal(volume.read_mask(folder / "x.nii.gz").array, labels(seed=1))
