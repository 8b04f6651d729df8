"""Images that no cervical MR exam can be are refused in a sentence; everything that one can be is let through."""

from __future__ import annotations

import numpy as np
import pytest

from CSpineSegLib import phantom, volume
from CSpineSegLib.errors import InputError
from CSpineSegLib.model import checks
from CSpineSegLib.model.plausibility import NotCervicalError, Verdict


def grid(shape, spacing, codes="PSR", turn=0.0) -> volume.Grid:
    plain = phantom.grid_around(shape, spacing, codes)
    cosine, sine = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    turned = plain.affine.copy()
    turned[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ plain.affine[:3, :3]
    return volume.Grid(plain.shape, turned)


def noisy(where: volume.Grid, seed: int = 0) -> volume.Volume:
    """Rician noise over a square of tissue: what every magnitude image is made of."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(0, 10, (2, *where.shape))
    parts[0][tuple(slice(n // 4, -(n // 4) or None) for n in where.shape)] += 300
    return volume.from_array(np.hypot(*parts).astype(np.int16), where.affine)


def refusal(vol: volume.Volume) -> str:
    with pytest.raises(InputError) as caught:
        checks.check_image(vol)
    sentence = str(caught.value)
    assert sentence.endswith(".") and ". " not in sentence.removesuffix(".").replace("e.g. ", "")
    assert "--anyway" in sentence
    (note, *_) = checks.check_image(vol, anyway=True)
    assert "anyway" in note and note[0].isupper()
    return sentence


GOOD = {
    "the dataset's own": grid((120, 120, 15), (1.0, 1.0, 4.0)),
    "five slices": grid((120, 120, 5), (0.7, 0.7, 3.0)),
    "oblique": grid((120, 120, 13), (0.9, 0.9, 4.0), "PSR", 25.0),
    "left-handed the other way": grid((120, 120, 13), (0.9, 0.9, 4.0), "ASL"),
    "isotropic, axial": grid((80, 100, 90), (1.0, 1.0, 1.0), "LPS"),
    "isotropic, coronal": grid((80, 90, 60), (0.9, 0.9, 0.9), "LIA"),
    "isotropic, oblique": grid((80, 80, 80), (1.0, 1.0, 1.0), "RAS", 40.0),
    "thick by twice, axial": grid((60, 60, 60), (1.0, 1.0, 2.0), "LAS"),
    "a crop of three vertebrae": grid((60, 55, 52), (1.0, 1.0, 1.0), "PSR"),
    "a whole spine": grid((100, 900, 13), (1.0, 1.0, 4.0)),
}


@pytest.mark.parametrize("where", GOOD.values(), ids=GOOD.keys())
def test_grids_of_cervical_exams_pass(where):
    assert checks.check_image(noisy(where)) == []


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (grid((200, 200, 20), (0.7, 0.7, 4.0), "LPS"), "stacked in the superior-inferior direction (4 mm apart"),
        (grid((200, 20, 200), (0.7, 2.0, 0.7), "LPS"), "stacked in the anterior-posterior direction"),
        (grid((200, 200, 20), (0.7, 0.7, 4.0), "LPS", 20.0), "superior-inferior"),
        (grid((200, 200, 4), (0.7, 0.7, 4.0)), "only 4 sagittal slices"),
        (grid((200, 200, 1), (0.7, 0.7, 4.0)), "only 1 sagittal slice,"),
        (grid((200, 40, 9), (0.7, 0.7, 4.0)), "only 28 mm in the superior-inferior direction"),
        (grid((30, 200, 9), (0.7, 0.7, 4.0)), "only 21 mm in the anterior-posterior direction"),
        (grid((60, 60, 60), (0.001, 0.001, 0.001)), "only 0.06 mm"),
        (grid((60, 60, 9), (700.0, 700.0, 900.0)), "units seem to be wrong"),
        (grid((40, 40, 12), (4.5, 4.5, 5.0)), "too coarse"),
    ],
)
def test_grids_that_cannot_show_a_neck_are_refused_by_name_and_size(where, expected):
    assert expected in refusal(noisy(where))


def test_magnitude_phase_and_other_derived_images_pass():
    image = noisy(GOOD["the dataset's own"])
    tissue = image.array.astype(np.float32)
    rng = np.random.default_rng(1)
    passing = {
        "8 bit": np.round(tissue / tissue.max() * 255).astype(np.uint8),
        "6 bit": np.round(tissue / tissue.max() * 63).astype(np.uint8),
        "phase": rng.integers(-4096, 4096, image.shape).astype(np.int16),
        "inversion recovery": np.where(tissue > 200, -3 * tissue, rng.normal(0, 60, image.shape)).astype(np.int16),
        "subtraction": (tissue - tissue[::-1]).astype(np.int16),
        "small floats": tissue * np.float32(1e-6),
        "zero filled outside a mask": np.where(tissue > 200, tissue, 0),
        "every pixel twice": np.repeat(np.repeat(tissue[:60, :60], 2, 0), 2, 1).astype(np.int16),
        "clipped": np.minimum(tissue, 280).astype(np.int16),
    }
    for name, array in passing.items():
        assert checks.check_image(volume.from_array(array, image.affine)) == [], name


def test_masks_label_maps_constants_and_ct_are_refused():
    where = GOOD["the dataset's own"]
    rng = np.random.default_rng(2)
    steps = np.add.outer(np.add.outer(np.arange(120) // 8, 15 * (np.arange(120) // 8)), np.zeros(15)).astype(np.int16)
    soft = np.zeros(where.shape, np.float32)
    soft[30:90, 30:90] = 1.0
    edge = np.abs(np.arange(120) - 30) < 2
    soft[edge, 30:90] = rng.uniform(0, 1, soft[edge, 30:90].shape)
    air = rng.normal(-1000, 12, where.shape)
    air[30:90, 30:90] = rng.normal(40, 25, (60, 60, 15))
    refused = {
        "the same value": np.full(where.shape, 7, np.int16),
        "only 2 different values": (noisy(where).array > 200).astype(np.uint8),
        "only 4 different values": rng.integers(0, 4, where.shape).astype(np.uint8),
        "areas of exactly one value": steps,
        "areas of exactly one value,": soft,
        "CT and not MR": air.astype(np.int16),
    }
    for expected, array in refused.items():
        assert expected in refusal(volume.from_array(array, where.affine)), expected


def test_ct_is_known_by_scaled_values_not_by_stored_ones(tmp_path):
    rng = np.random.default_rng(3)
    stored = rng.normal(24, 12, GOOD["the dataset's own"].shape)
    stored[30:90, 30:90] = rng.normal(1064, 25, (60, 60, 15))
    vol = volume.from_array(stored.astype(np.int16), GOOD["the dataset's own"].affine)
    path = tmp_path / "x.nii.gz"
    volume.write(vol, path)
    read = volume.read(path)
    assert checks.check_image(read) == []
    read.header["scl_slope"], read.header["scl_inter"] = 1.0, -1024.0
    assert "CT" in refusal(read)


def test_an_odd_grid_is_looked_at_before_it_is_refused_and_the_probability_is_told():
    vol = noisy(grid((64, 64, 3), (1.0, 1.0, 10.0)))
    seen = []

    def judge(some: volume.Volume) -> Verdict:
        seen.append(some)
        return Verdict(*answer)

    answer = 0.03, "this does not look like a cervical spine exam (probability 3 %)"
    with pytest.raises(NotCervicalError, match=r"\(probability 3 %\), and it has only 3 sagittal slices"):
        checks.check_image(vol, judge=judge)
    answer = 0.97, "this looks like a cervical spine exam (probability 97 %)"
    with pytest.raises(InputError, match="only 3 sagittal slices") as caught:
        checks.check_image(vol, judge=judge)
    assert not isinstance(caught.value, NotCervicalError)
    assert len(seen) == 2


def test_what_is_no_mr_is_not_looked_at():
    def judge(some: volume.Volume) -> Verdict:
        raise AssertionError("asked")

    with pytest.raises(InputError, match="same value"):
        checks.check_image(volume.from_array(np.ones((9, 64, 64), np.int16), np.eye(4)), judge=judge)


def test_thinned_slices_lie_where_they_lay():
    vol = noisy(GOOD["isotropic, axial"])
    thin = checks.thinned(vol)
    assert thin.spacing[0] == pytest.approx(4.0) and thin.shape == (20, 90, 100)
    where = thin.affine @ [3, 7, 11, 1]
    index = np.rint(np.linalg.solve(vol.affine, where)).astype(int)
    assert thin.array[3, 7, 11] == vol.array[tuple(index[:3])]


def test_real_cervical_images_pass_and_their_label_maps_do_not(shared_data, real_t2):
    for path in (
        real_t2,
        shared_data / "sct_crop" / "t2.nii.gz",
        shared_data / "pam50_small" / "PAM50_small_t2.nii.gz",
    ):
        assert checks.check_image(volume.read(path)) == []
    mask = volume.read(shared_data / "sct_crop" / "t2_cordseg_levels.nii.gz")
    assert "label map" in refusal(mask)
