"""An image must say where it lies in the patient, and say it once: sform, qform, shear, units."""

from __future__ import annotations

from functools import partial

import nibabel
import numpy as np
import pytest
from volume_cases import affine_of, nifti, noise, refused, save, sheared, turned

from CSpineSegLib import volume
from CSpineSegLib.errors import GeometryError

refused = partial(refused, kind=GeometryError)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("codes", [(1, 0), (1, 1)])
def test_a_sform_that_is_not_finite_is_refused(tmp_path, value, codes):
    row = np.array([0, value, 0, 3])
    refused(tmp_path / "x.nii", nifti(noise(), codes=codes, srow_y=row), says="sform that is not finite")


@pytest.mark.parametrize("field", ["qoffset_x", "quatern_b", "quatern_d"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("codes", [(0, 1), (1, 1)])
@pytest.mark.filterwarnings("error")
def test_a_qform_that_is_not_finite_is_refused(tmp_path, field, value, codes):
    refused(tmp_path / "x.nii", nifti(noise(), codes=codes, **{field: value}), says="qform")


@pytest.mark.parametrize("spacing", [np.nan, np.inf, -0.7, 0])
def test_a_qform_with_an_impossible_spacing_is_refused(tmp_path, spacing):
    data = nifti(noise(), codes=(0, 1), pixdim=[1, 0.7, spacing, 4, 0, 0, 0, 0])
    refused(tmp_path / "x.nii", data, says="qform")


def test_a_quaternion_that_is_no_rotation_is_refused(tmp_path):
    data = nifti(noise(), codes=(0, 1), quatern_b=1.5)
    refused(tmp_path / "x.nii", data, says="a qform that is no rotation")


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((3, 4)),
        [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]],
        [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]],
        [[1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 2, 0]],
    ],
)
def test_a_singular_affine_is_refused(tmp_path, rows):
    rows = np.asarray(rows, float)
    data = nifti(noise(), codes=(1, 0), srow_x=rows[0], srow_y=rows[1], srow_z=rows[2])
    refused(tmp_path / "x.nii", data, says="sform without volume")


def test_an_image_that_does_not_say_where_it_lies_is_refused(tmp_path):
    refused(tmp_path / "x.nii", nifti(noise(), codes=(0, 0)), says="neither sform nor qform")


@pytest.mark.parametrize("codes", [(1, 0), (1, 1), (2, 1)])
def test_a_sheared_sform_is_refused_beyond_a_tenth_of_a_voxel(tmp_path, codes):
    text = refused(tmp_path / "x.nii", nifti(noise(), sheared(1.0), codes=codes), says=" mm (")
    assert ("perpendicular" if codes[1] == 0 else "disagree") in text


@pytest.mark.parametrize(("voxels", "words"), [(0.15, 1), (0.001, 0)])
@pytest.mark.parametrize("codes", [(1, 0), (1, 1)])
def test_less_shear_is_a_warning_and_hardly_any_is_silent(tmp_path, voxels, words, codes):
    image = volume.read(save(tmp_path / "x.nii", nifti(noise(), sheared(voxels), codes=codes)))
    assert len([said for said in image.warnings if "perpendicular" in said]) == words
    assert len([said for said in image.warnings if "disagree" in said]) == words * codes[1]
    assert all(str(tmp_path / "x.nii") in said and " mm " in said and said.endswith(".") for said in image.warnings)
    assert np.array_equal(image.affine, nibabel.load(tmp_path / "x.nii").affine)


def test_shear_is_measured_against_the_nearest_grid_with_perpendicular_axes():
    from CSpineSegLib.volume import checks

    affine = sheared(0.4)
    straight = checks.orthogonal(affine, (16, 16, 8))
    spacing = np.linalg.norm(straight[:3, :3], axis=0)
    assert np.allclose(spacing, np.linalg.norm(affine[:3, :3], axis=0))
    cosines = straight[:3, :3] / spacing
    assert np.allclose(cosines.T @ cosines, np.eye(3)) and np.linalg.det(cosines) < 0
    centre = [7.5, 7.5, 3.5]
    assert np.allclose(nibabel.affines.apply_affine(straight, centre), nibabel.affines.apply_affine(affine, centre))


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("version", [1, 2])
def test_sform_and_qform_may_disagree_by_a_tenth_of_a_voxel_with_a_warning(tmp_path, axis, version):
    affine = affine_of("PSR")
    for part, said in ((0.0005, 0), (0.08, 1)):
        other = affine[:3, 3] + part * affine[:3, axis]
        offsets = dict(zip(("qoffset_x", "qoffset_y", "qoffset_z"), other, strict=True))
        image = volume.read(save(tmp_path / "x.nii", nifti(noise(), affine, version=version, **offsets)))
        assert len(image.warnings) == said
        assert np.allclose(image.affine, affine, atol=1e-5), "the sform is taken"
    assert (
        "sform and qform disagree" in image.warnings[0] and f"{part * image.spacing[axis]:.3f} mm" in image.warnings[0]
    )
    other = affine[:3, 3] + 0.12 * affine[:3, axis]
    offsets = dict(zip(("qoffset_x", "qoffset_y", "qoffset_z"), other, strict=True))
    text = refused(
        tmp_path / "x.nii", nifti(noise(), affine, version=version, **offsets), says="sform and qform disagree",
    )  # fmt: skip
    assert f"{0.12 * image.spacing[axis]:.2f} mm (0.12 voxels)" in text


@pytest.mark.parametrize("codes", [(1, 2), (2, 1), (4, 1)])
def test_a_turned_qform_is_refused_whatever_the_codes(tmp_path, codes):
    header = nibabel.Nifti1Header()
    header.set_qform(affine_of("PSR", rotation=turned(2, 3)))
    quaternion = {field: header[field] for field in ("quatern_b", "quatern_c", "quatern_d")}
    data = nifti(noise(), affine_of("PSR"), codes=codes, **quaternion)
    refused(tmp_path / "x.nii", data, says="disagree")
