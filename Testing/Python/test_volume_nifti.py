"""NIfTI files are read as nibabel reads them and written as they were read."""

from __future__ import annotations

import gzip
import struct

import nibabel
import numpy as np
import pytest
from hypothesis import given
from volume_cases import ORIENTATIONS, SHAPE, affine_of, affines, nifti, numbered, plain, quick, save, turned

from CSpineSegLib import volume
from CSpineSegLib.errors import GeometryError

TYPES = ["int16", "uint8", "uint16", "int32", "float32", "float64"]


def round_trip(tmp_path, data: bytes, suffix: str = ".nii.gz", **options):
    """Read, write and compare the decompressed bytes; returns the image that was read."""
    source = save(tmp_path / f"source{suffix}", data)
    image = volume.read(source)
    for target in (tmp_path / "out.nii", tmp_path / "out.nii.gz"):
        volume.write(image, target, **options)
        assert plain(target) == plain(source), target
    return image


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("dtype", TYPES)
def test_an_unchanged_image_is_written_byte_for_byte(tmp_path, dtype, endian, version):
    array = (numbered(dtype="float64") * 1.25 - (0 if dtype[0] == "u" else 20)).astype(dtype)
    for gz, suffix in ((False, ".nii"), (True, ".nii.gz")):
        data = nifti(array, version=version, endian=endian, gz=gz)
        image = round_trip(tmp_path, data, suffix)
        assert image.array.dtype == np.dtype(dtype) and image.array.dtype.isnative
        assert np.array_equal(image.array, array)
        assert image.shape == SHAPE and image.warnings == ()


@pytest.mark.parametrize("version", [1, 2])
def test_header_fields_that_we_do_not_use_survive(tmp_path, version):
    fields = {
        "descrip": b"TE=94;Time=120000", "aux_file": b"aux", "intent_name": b"name", "dim_info": 57, "toffset": 1.5,
        "cal_max": 900, "cal_min": -3, "slice_code": 3, "slice_end": 3, "slice_duration": 0.25, "intent_p1": 7,
        "xyzt_units": 10,
    }  # fmt: skip
    image = round_trip(tmp_path, nifti(numbered(), version=version, gz=True, **fields))
    assert bytes(image.header["descrip"]).rstrip(b"\0") == b"TE=94;Time=120000"


@pytest.mark.parametrize("endian", ["<", ">"])
def test_extensions_and_padding_before_the_voxels_survive(tmp_path, endian):
    comment = struct.pack(endian + "ii", 32, 6) + b"a comment".ljust(24, b"\0")
    for extra in (b"\1\0\0\0" + comment, b"\1\0\0\0" + comment * 3, b"\0" * 20, b"\0" * 5):
        image = round_trip(tmp_path, nifti(numbered(), endian=endian, extra=extra, gz=True))
        assert image.extra == extra
        assert np.array_equal(image.array, numbered())


@pytest.mark.parametrize(
    ("slope", "inter", "expected"),
    [(2.0, -10.0, (2, -10)), (0.5, 0, (0.5, 0)), (1, 0, (1, 0)), (1, 5, (1, 5)), (0, 7, (1, 0)),
     (np.nan, np.nan, (1, 0)), (np.inf, 1, (1, 0)), (3, np.nan, (3, 0))],
)  # fmt: skip
def test_intensity_scales_are_kept_in_the_file_and_applied_on_demand(tmp_path, slope, inter, expected):
    data = nifti(numbered(), scl_slope=slope, scl_inter=inter, gz=True)
    image = round_trip(tmp_path, data)
    assert np.array_equal(image.array, numbered())
    assert image.intensities().dtype == np.float32
    assert np.array_equal(image.intensities(), numbered().astype(np.float32) * expected[0] + expected[1])


@pytest.mark.parametrize("sform", range(5))
@pytest.mark.parametrize("qform", range(5))
def test_every_pair_of_codes_gives_the_affine_of_nibabel_and_is_kept(tmp_path, sform, qform):
    affine = affine_of("PSR", rotation=turned(0, 11) @ turned(2, -7))
    data = nifti(numbered(), affine, codes=(sform, qform), gz=True)
    if sform == qform == 0:
        with pytest.raises(GeometryError, match="neither sform nor qform"):
            volume.decode(data)
        return
    image = round_trip(tmp_path, data)
    reference = nibabel.load(tmp_path / "source.nii.gz")
    assert np.array_equal(image.affine, reference.affine)
    assert np.allclose(image.affine, affine, atol=1e-4)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (sform, qform)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("units", "to_mm"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (10, 1), (9, 1000), (19, 0.001)])
@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (2, 0)])
def test_units_are_scaled_to_mm_and_kept_in_the_file(tmp_path, units, to_mm, codes, version):
    affine = affine_of("PSR")
    stored = np.vstack([affine[:3] / to_mm, [0, 0, 0, 1]])
    image = round_trip(tmp_path, nifti(numbered(), stored, codes=codes, version=version, xyzt_units=units, gz=True))
    assert np.allclose(image.affine, affine, atol=1e-4)
    assert np.allclose(image.spacing, [0.7, 0.8, 4], atol=1e-5)
    # nibabel ignores the unit.
    stored = nibabel.load(tmp_path / "source.nii.gz").affine[:3]
    assert np.array_equal(image.affine[:3], stored * to_mm)


def test_an_unknown_unit_is_refused(tmp_path):
    path = save(tmp_path / "x.nii", nifti(numbered(), xyzt_units=5))
    with pytest.raises(GeometryError, match="unknown unit"):
        volume.read(path)


@pytest.mark.parametrize("trailing", [(1,), (1, 1), (1, 1, 1, 1)])
def test_trailing_axes_of_length_one_are_dropped_on_reading_and_kept_in_the_file(tmp_path, trailing):
    image = round_trip(tmp_path, nifti(numbered().reshape(SHAPE + trailing), gz=True))
    assert image.shape == SHAPE
    mask = volume.like(image, numbered(dtype=np.uint8))
    volume.write(mask, tmp_path / "mask.nii.gz")
    assert nibabel.load(tmp_path / "mask.nii.gz").shape == SHAPE


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_files_of_nibabel_in_every_orientation(tmp_path, codes):
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        source = kind(numbered(), affine_of(codes, rotation=turned(1, 5)))
        image = round_trip(tmp_path, gzip.compress(source.to_bytes()))
        assert image.orientation == codes
        assert np.array_equal(image.array, source.dataobj)
        assert np.array_equal(image.affine, nibabel.load(tmp_path / "source.nii.gz").affine)


@pytest.mark.parametrize("qfac", [1, -1])
def test_files_as_itk_writes_them(tmp_path, qfac):
    """ITK (SimpleITK, Slicer, ITK-SNAP) writes codes 1/1, units mm and seconds, and ones for the unused axes."""
    affine = affine_of("LPS" if qfac > 0 else "LPI", rotation=turned(2, 4))
    data = bytearray(nifti(numbered(), affine, xyzt_units=10, scl_slope=1, scl_inter=0, regular=b"r"))
    data[48:56] = struct.pack("<4h", 1, 1, 1, 1)
    data[92:108] = struct.pack("<4f", 0, 0, 0, 0)
    image = round_trip(tmp_path, bytes(data), ".nii")
    assert np.array_equal(image.affine, nibabel.load(tmp_path / "source.nii").affine)
    assert image.is_left_handed == (qfac < 0)


def test_a_qfac_of_zero_counts_as_one(tmp_path):
    affine = affine_of("RAS")
    data = bytearray(nifti(numbered(), affine, codes=(0, 1)))
    data[76:80] = struct.pack("<f", 0)
    assert np.allclose(round_trip(tmp_path, bytes(data), ".nii").affine, affine, atol=1e-5)


def test_a_negative_qfac_makes_the_grid_left_handed(tmp_path):
    image = round_trip(tmp_path, nifti(numbered(), affine_of("PSR"), codes=(0, 1)), ".nii")
    assert image.is_left_handed and image.orientation == "PSR"


@quick
@given(affines())
def test_any_oblique_grid_is_read_as_nibabel_reads_it_and_encoded_unchanged(affine):
    data = nifti(numbered(), affine)
    image = volume.decode(data)
    reference = nibabel.Nifti1Image.from_bytes(data)
    assert np.array_equal(image.affine, reference.affine)
    assert volume.encode(image, gz=False) == data


def test_the_compressed_bytes_are_the_same_every_time(tmp_path):
    image = volume.decode(nifti(numbered()))
    volume.write(image, tmp_path / "a.nii.gz")
    volume.write(image, tmp_path / "b.nii.gz")
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert (tmp_path / "a.nii.gz").read_bytes()[4:8] == b"\0\0\0\0"  # no time stamp


def test_compression_is_found_from_the_content_on_reading(tmp_path):
    for name, gz in (("really_gzip.nii", True), ("really_plain.nii.gz", False)):
        image = volume.read(save(tmp_path / name, nifti(numbered(), gz=gz)))
        assert np.array_equal(image.array, numbered())


def test_paths_with_spaces_and_accents_and_text_paths(tmp_path):
    path = tmp_path / "Patiënt Ångström 日本" / "señal médula.nii.gz"
    volume.write(volume.decode(nifti(numbered())), path)
    assert np.array_equal(volume.read(str(path)).array, numbered())
    assert volume.read(path).path == path
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_image_made_in_memory_gets_a_header_that_everyone_reads_alike(tmp_path):
    affine = affine_of("PSR", rotation=turned(0, 10))
    digest = volume.write(volume.from_array(numbered(dtype=np.float32), affine), tmp_path / "x.nii.gz")
    back = nibabel.load(tmp_path / "x.nii.gz")
    assert len(digest) == 64
    assert back.header.get_xyzt_units()[0] == "mm" and back.get_data_dtype() == np.float32
    assert (int(back.header["sform_code"]), int(back.header["qform_code"])) == (1, 1)
    assert np.allclose(back.get_sform(), affine, atol=1e-5) and np.allclose(back.get_qform(), affine, atol=1e-4)
    assert np.array_equal(back.dataobj, numbered())


def test_an_image_near_half_a_turn_is_written_so_that_it_reads_back(tmp_path):
    """A float32 quaternion cannot say 179.99 degrees exactly; the qform is then left out rather than written wrong."""
    exact = []
    for degrees in np.linspace(179.9, 180, 41):
        affine = affine_of("RAS", (0.4, 0.4, 4), rotation=turned(2, degrees))
        image = volume.from_array(np.zeros((400, 400, 3), np.uint8), affine)
        back = volume.decode(volume.encode(image, gz=False))
        assert np.allclose(back.affine, image.affine, atol=1e-4)
        assert back.warnings == ()
        exact.append(int(back.header["qform_code"]))
    assert 0 in exact and 1 in exact


@quick
@given(affines())
def test_images_made_on_any_grid_read_back(affine):
    image = volume.from_array(numbered((30, 40, 3), np.uint8), affine)
    back = volume.decode(volume.encode(image))
    assert np.array_equal(back.array, image.array) and np.allclose(back.affine, affine, atol=1e-4)
    assert back.warnings == ()


def test_big_endian_arrays_are_written(tmp_path):
    image = volume.from_array(numbered(dtype=">i2"), affine_of("RAS"))
    volume.write(image, tmp_path / "x.nii")
    assert np.array_equal(volume.read(tmp_path / "x.nii").array, numbered())


def test_a_real_exam_is_written_byte_for_byte(real_t2, tmp_path):
    image = volume.read(real_t2)
    volume.write(image, tmp_path / "copy.nii.gz")
    assert plain(tmp_path / "copy.nii.gz") == plain(real_t2)
    reference = nibabel.load(real_t2)
    assert np.array_equal(image.affine, reference.affine)
    assert (image.orientation, image.sagittal_axis, image.is_left_handed) == ("PSR", 2, True)


def test_every_real_image_is_encoded_byte_for_byte(shared_data):
    paths = sorted(shared_data.rglob("*.nii.gz"))
    assert len(paths) > 5
    for path in paths:
        image = volume.read(path)
        assert image.warnings == () and volume.encode(image, gz=False) == plain(path), path
        assert np.array_equal(image.affine, nibabel.load(path).affine), path


def test_a_wrong_header_size_in_the_header_displaces_nothing(tmp_path):
    data = b"\0\0\0\0" + nifti(numbered())[4:]
    image = round_trip(tmp_path, data, ".nii")
    assert image.extra == b"\0\0\0\0" and np.array_equal(image.array, numbered())
