"""An imported network sees what nnU-Net's reader and preprocessor make of the file, and the way back is exact."""

import gzip
import struct

import numpy as np
import pytest

from CSpineSegLib import volume
from CSpineSegLib.errors import InputError
from CSpineSegLib.model.nnunet import preprocess
from CSpineSegLib.model.nnunet.plans import Configuration, Plans

INTENSITIES = {"mean": 301.2, "std": 77.7, "percentile_00_5": 100.0, "percentile_99_5": 480.0}
READERS = ("SimpleITKIO", "NibabelIO", "NibabelIOWithReorient", "SimpleITKIOWithReorient")
SCHEMES = (
    "ZScoreNormalization",
    "CTNormalization",
    "NoNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
)
FINE, PLANE = (3.0, 0.6, 0.5), (0.6, 0.5)


def exam_file(path, codes="PSR", spacing=(0.8, 0.7, 4.0), slope=None, values=(300, 80)):
    """An oblique image with a zero border and an enclosed zero, as a file."""
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(3)
    array = np.clip(rng.normal(*values, size=(22, 18, 7)), 1, None).astype(np.int16)
    array[:4] = array[:, :, :1] = array[5:7, -4:] = array[10:14, 10:14, 4] = 0
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [10, 5, 3], degrees=True).as_matrix()
    turned = volume.reorient(volume.from_array(array, affine), codes)
    affine = turned.affine.copy()
    affine[:3, :3] *= spacing
    volume.write(volume.from_array(np.asfortranarray(turned.array), affine), path)
    if slope is not None:
        data = bytearray(gzip.decompress(path.read_bytes()))
        data[112:120] = struct.pack("<2f", *slope)
        path.write_bytes(gzip.compress(bytes(data)))
    return volume.read(path)


def planned(reader="SimpleITKIO", scheme=SCHEMES[0], masked=False, forward=(0, 1, 2), spacing=PLANE):
    backward = tuple(int(axis) for axis in np.argsort(forward))
    one = Configuration("2d", (32,) * len(spacing), spacing, (scheme,), (masked,), {})
    return Plans("D", "P", reader, forward, backward, (INTENSITIES,), {"2d": one}, {}, "T2"), one


def stock(path, plans, one):
    """(what nnU-Net's network would see, (z, y, x) float32; the spacing that its reader found)."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    how = {"order": 3, "order_z": 0, "force_separate_z": None}
    table = {
        "patch_size": list(one.patch_size),
        "spacing": list(one.spacing),
        "normalization_schemes": list(one.normalization),
        "use_mask_for_norm": list(one.use_mask_for_norm),
        "preprocessor_name": "DefaultPreprocessor",
        "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
    }
    for kind, order in (("data", 3), ("seg", 1), ("probabilities", 1)):
        table[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        table[f"resampling_fn_{kind}_kwargs"] = {**how, "is_seg": kind == "seg", "order": order}
    manager = PlansManager(
        {
            "dataset_name": "D",
            "plans_name": "P",
            "label_manager": "LabelManager",
            "image_reader_writer": plans.reader,
            "transpose_forward": list(plans.transpose_forward),
            "transpose_backward": list(plans.transpose_backward),
            "foreground_intensity_properties_per_channel": {"0": INTENSITIES},
            "configurations": {"2d": table},
        }
    )
    about = {"labels": {"background": 0, "a": 1, "b": 2}, "channel_names": {"0": "T2"}, "file_ending": ".nii.gz"}
    with np.errstate(all="ignore"):
        seen, _, known = DefaultPreprocessor(verbose=False).run_case(
            [str(path)], None, manager, manager.get_configuration("2d"), about
        )
    return seen[0], known["spacing"]


@pytest.mark.parametrize(
    ("reader", "scheme", "masked", "forward", "spacing", "file"),
    [
        ("SimpleITKIO", SCHEMES[0], False, (0, 1, 2), PLANE, {}),
        ("SimpleITKIO", SCHEMES[0], False, (0, 1, 2), FINE, {"codes": "LAI"}),
        ("SimpleITKIO", SCHEMES[0], True, (2, 0, 1), PLANE, {"spacing": (1.0, 1.1, 1.2)}),
        ("SimpleITKIO", SCHEMES[0], True, (0, 1, 2), FINE, {"slope": (0.013, -2.0)}),
        ("SimpleITKIO", SCHEMES[1], False, (1, 0, 2), FINE, {}),
        ("SimpleITKIO", SCHEMES[2], False, (1, 2, 0), PLANE, {}),
        ("SimpleITKIO", SCHEMES[3], True, (0, 1, 2), FINE, {"spacing": (1.0, 1.1, 1.2)}),
        ("SimpleITKIO", SCHEMES[4], False, (0, 1, 2), PLANE, {"values": (100, 20)}),
        ("NibabelIO", SCHEMES[0], False, (2, 0, 1), PLANE, {"slope": (0.013, -2.0)}),
        ("NibabelIO", SCHEMES[0], True, (0, 1, 2), FINE, {"codes": "LAI"}),
        ("NibabelIOWithReorient", SCHEMES[0], False, (0, 1, 2), PLANE, {}),
        ("NibabelIOWithReorient", SCHEMES[0], True, (2, 0, 1), FINE, {"codes": "LAI", "slope": (0.013, 5.0)}),
        ("NibabelIOWithReorient", SCHEMES[0], False, (0, 1, 2), FINE, {"codes": "RAS"}),
        ("SimpleITKIOWithReorient", SCHEMES[0], False, (0, 1, 2), PLANE, {"codes": "LAI"}),
        ("SimpleITKIOWithReorient", SCHEMES[0], True, (1, 0, 2), FINE, {}),
    ],
)
def test_the_network_sees_what_nnunet_would_make_of_the_file(tmp_path, reader, scheme, masked, forward, spacing, file):
    vol = exam_file(tmp_path / "case_0000.nii.gz", **file)
    plans, one = planned(reader, scheme, masked, forward, spacing)
    expected, known = stock(vol.path, plans, one)
    exam = preprocess.examine(vol, plans, "RAS" if reader.endswith("Reorient") else vol.orientation)
    assert [exam.spacing[axis] for axis in plans.transpose_backward] == [float(size) for size in known]
    found = preprocess.prepare(exam, plans, one)
    assert found.dtype == np.float32 and found.shape == expected.shape == preprocess.shape_of(exam, one)
    # All but a few values are equal to the last bit; those are rounded from the middle between two floats.
    assert np.mean(found != expected) < 1e-3
    assert np.allclose(found, expected, rtol=3e-7, atol=1e-12)


@pytest.mark.parametrize("codes", ["RAS", "LIP", "SPL"])
def test_an_image_turned_any_way_is_seen_the_same_and_finds_its_way_back(tmp_path, codes):
    vol = exam_file(tmp_path / "a.nii.gz")
    plans, one = planned(forward=(2, 0, 1))
    straight, turned = (preprocess.examine(each, plans, "PSR") for each in (vol, volume.reorient(vol, codes)))
    assert np.array_equal(preprocess.prepare(straight, plans, one), preprocess.prepare(turned, plans, one))
    for exam, original in ((straight, vol), (turned, volume.reorient(vol, codes))):
        back = exam.back(exam.whole[exam.box])
        assert np.array_equal(volume.restore(back, "PSR", original).array, original.array)
    assert straight.back(np.zeros(straight.shape), fill=7)[0, 0, 0] == 7


def test_the_border_that_is_cut_off_is_the_one_that_nnunet_cuts_off(tmp_path):
    from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

    exam = preprocess.examine(exam_file(tmp_path / "a.nii.gz"), planned()[0], "PSR")
    _, seg, box = crop_to_nonzero(exam.whole[None])
    assert [[part.start, part.stop] for part in exam.box] == [[int(end) for end in ends] for ends in box]
    assert exam.shape != exam.whole.shape
    assert np.array_equal(exam.outside, seg[0] < 0)
    hole = (exam.whole[exam.box] == 0) & ~exam.outside
    assert exam.outside.any() and hole.any(), "zeros inside are not outside"


def test_an_empty_image_is_taken_whole():
    blank = volume.from_array(np.zeros((6, 7, 8), np.int16), np.eye(4))
    exam = preprocess.examine(blank, planned()[0], "RAS")
    assert exam.shape == (8, 7, 6)
    assert np.array_equal(preprocess.prepare(exam, *planned(spacing=(1.0, 1.0))), np.zeros((8, 7, 6)))


def test_logits_come_back_on_the_exams_own_voxels(tmp_path):
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    plans, one = planned(spacing=FINE)
    exam = preprocess.examine(exam_file(tmp_path / "a.nii.gz"), plans, "PSR")
    shape = preprocess.shape_of(exam, one)
    logits = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float16)
    fractions = []
    found = preprocess.unprepare(exam, logits, one, fractions.append)
    expected = resample_data_or_seg_to_shape(logits, exam.shape, FINE, exam.spacing, False, 1, 0, None)
    assert found.dtype == np.float16 and np.array_equal(found, expected)
    assert fractions == sorted(fractions) and fractions[-1] > 0.6
    same = found.copy()
    assert preprocess.unprepare(exam, same, one) is same


def test_a_header_without_voxel_sizes_is_not_believed(tmp_path):
    vol = exam_file(tmp_path / "a.nii.gz")
    sizes = preprocess.examine(vol, planned()[0], "PSR").spacing
    assert sizes == tuple(float(np.float32(size)) for size in (4.0, 0.7, 0.8))
    vol.header["pixdim"][1:4] = (1, 1, 1)
    assert np.allclose(preprocess.examine(vol, planned()[0], "PSR").spacing, sizes, rtol=1e-6)


def test_values_and_sizes_that_a_model_does_not_take_are_refused_in_a_sentence(tmp_path):
    vol = exam_file(tmp_path / "a.nii.gz")
    plans, one = planned(scheme="RGBTo01Normalization")
    with pytest.raises(InputError, match=r"a\.nii\.gz: its values go from 0 to \d+, and the model takes"):
        preprocess.prepare(preprocess.examine(vol, plans, "PSR"), plans, one)
    plans, one = planned(spacing=(900.0, 900.0))
    with pytest.raises(InputError, match=r"a\.nii\.gz: at the model's voxel size nothing is left"):
        preprocess.prepare(preprocess.examine(vol, plans, "PSR"), plans, one)
    with pytest.raises(ValueError, match="no normalisation"):
        preprocess.normalise(np.zeros((2, 2, 2), np.float32), "Other")
