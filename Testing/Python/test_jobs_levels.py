"""Levels of an exam on disk: written on the mask's grid, with a record that says all, kept, renewed and never lost."""

# Tests take fixtures by name, which ruff holds for definitions anew.
# ruff: noqa: F811

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from level_cases import (  # noqa: F401 - fixtures
    MIDDLE,
    _labelled,
    exam,
    fresh,
    fused,
    holed,
    labelled,
    middle_of,
    revise,
    tree,
    trimmed,
    value,
)

from CSpineSegLib import anatomy, files, jobs, volume
from CSpineSegLib.errors import InputError

# What is written


def test_every_voxel_of_the_mask_bears_its_level_on_exactly_the_masks_grid(fused):
    before = tree(fused.processed.parent / "extracted")
    result = jobs.levels(fused)
    mask, found = volume.read(fused.mask), volume.read(result.paths.levels)
    numbers = volume.read(result.paths.instances)
    assert result.paths.levels == fused.levels and result.paths.record == fused.levels_record
    assert found.array.dtype == np.uint8 and numbers.array.dtype == np.uint16
    for written in (found, numbers):
        assert np.array_equal(written.affine, mask.affine)
        for code in ("sform_code", "qform_code", "xyzt_units"):
            assert written.header[code] == mask.header[code]
    assert tree(fused.processed.parent / "extracted") == before, "released files are never written"
    inside = np.zeros(mask.shape, bool)
    for element in result.content["elements"]:
        own = np.isin(numbers.array, element["instances"])
        inside |= own
        label = anatomy.DISC if element["kind"] == "disc" else anatomy.BODY
        assert np.all(mask.array[own] == label)
        assert set(np.unique(found.array[own])) == {value(name) for name in element["levels"]}
    assert not found.array[~inside].any()
    assert np.array_equal(numbers.array > 0, mask.array > 0), "every labelled voxel is in an instance or a speck"


def test_a_block_is_one_instance_and_its_levels_lie_one_below_the_other(fused):
    result = jobs.levels(fused)
    assert result.blocks == ["C5-C6 block"]
    (block,) = [element for element in result.content["elements"] if element["kind"] == "block"]
    assert block["levels"] == ["C5", "C6"] and len(block["instances"]) == 1
    found = volume.read(result.paths.levels)

    def heights(name: str) -> np.ndarray:
        return (np.argwhere(found.array == value(name)) @ found.affine[:3, :3].T)[:, 2]

    assert heights("C5").mean() > heights("C6").mean() + 8, "a vertebra apart, mm"
    share = len(heights("C5")) / (len(heights("C5")) + len(heights("C6")))
    assert 0.35 < share < 0.65, "they are about as tall"


def test_the_record_tells_every_instance_in_patient_coordinates(exam):
    result = jobs.levels(exam)
    record = json.loads(result.paths.record.read_text(encoding="utf-8"))
    assert record == result.content and record["coordinates"] == "RAS, mm"
    mask, numbers = volume.read(exam.mask), volume.read(result.paths.instances).array
    assert [one["of"] for one in record["instances"]][:3] == ["C2", "C2-C3", "C3"]
    for one in record["instances"]:
        index = np.argwhere(numbers == one["number"])
        points = index @ mask.affine[:3, :3].T + mask.affine[:3, 3]
        assert one["voxels"] == len(index)
        assert one["volume_mm3"] == pytest.approx(len(index) * mask.grid.voxel_volume, abs=1e-3)
        np.testing.assert_allclose(one["centroid_mm"], points.mean(axis=0), atol=1e-3)
        assert np.all(points > one["box_mm"][0]) and np.all(points < one["box_mm"][1])
        assert one["slices"] == [int(index[:, mask.sagittal_axis].min()), int(index[:, mask.sagittal_axis].max())]
        assert one["touches_border"] == bool(((index == 0) | (index == np.array(mask.shape) - 1)).any())
        assert 0 < one["confidence"] <= 1
    assert sum(one["voxels"] for one in record["instances"] + record["specks"]) == np.count_nonzero(mask.array)
    assert record["absolute"] and record["reason"].endswith(".")
    assert record["source"] == {
        **{"file": exam.mask.name, "sha256": files.sha256(exam.mask)},
        **{"kind": "dataset", "model": None, "revision": None},
    }
    assert record["levels_file"]["sha256"] == files.sha256(exam.levels)
    assert record["software"]["cspineseg"] == record["cspineseg"]
    assert set(record["landmarks"]) == {element["name"] for element in record["elements"]}
    assert str(exam.processed) not in json.dumps(record), "no folder's name is passed on"


def test_measurements_are_in_the_record_with_units_and_uncertainty_or_a_reason(exam):
    record = jobs.levels(exam).content
    assert record["uncertainty"]["slice_distance_mm"] > 3
    rows = {(row["of"], row["key"]): row for row in record["measurements"]}
    measured = rows["C3", "body_volume"]
    instance = next(one for one in record["instances"] if one["of"] == "C3")
    assert measured["unit"] == "mm3" and measured["sigma"] > 0
    assert measured["value"] == pytest.approx(instance["volume_mm3"], rel=1e-3)
    for row in record["measurements"]:
        assert (row["value"] is None) == bool(row["reason"]), row
    assert ("C2-C7", "cobb_c2_c7") in rows


@pytest.mark.parametrize("codes", ["LAS", "PIR", "SRA"])
def test_the_order_of_the_voxels_changes_nothing(exam, codes, tmp_path):
    """Left-handed and right-handed grids, and any axis first."""
    source = volume.read_mask(exam.mask)
    turned = tmp_path / "turned_SEG.nii.gz"
    volume.write(volume.from_array(volume.reorient(source, codes).array, volume.reorient(source, codes).affine), turned)
    result = jobs.levels_file(turned, tmp_path / "turned_LEVELS.nii.gz")
    found = volume.read(result.paths.levels)
    assert found.orientation == codes and np.array_equal(found.affine, volume.read(turned).affine)
    expected = volume.read(jobs.levels(exam).paths.levels)
    back = volume.reorient(found, source.orientation).array
    # Ties along the line may fall to either side, where a part is cut between neighbours.
    assert np.count_nonzero(back != expected.array) <= 0.01 * np.count_nonzero(expected.array)


def test_without_names_the_labelmap_is_empty_and_the_record_says_why(exam):
    mask, _ = middle_of(exam)
    revise(exam, mask)
    result = jobs.levels(exam)
    assert not result.absolute and "relative" in result.reason
    assert not volume.read(exam.levels).array.any(), "no level is claimed"
    assert np.count_nonzero(volume.read(result.paths.instances).array) == np.count_nonzero(mask.array)
    assert result.content["landmarks"].keys() >= {"body 1", "disc 1", "body 4"}
    assert result.content["source"]["kind"] == "accepted" and result.content["source"]["revision"] == 1


def test_the_labelling_can_be_read_again_from_the_files(fused):
    result = jobs.levels(fused)
    found, mask = result.labelling(), volume.read_mask(fused.mask)
    assert found.absolute and found.element_of("C5") is found.element_of("C6")
    assert np.array_equal(found.level_volume(mask).array, volume.read(fused.levels).array)
    numbers = volume.read(result.paths.instances)
    volume.write(volume.like(numbers, np.roll(numbers.array, 9, axis=0) * (numbers.array > 3)), result.paths.instances)
    with pytest.raises(InputError, match="do not belong together"):
        result.labelling()


# Which mask


def test_the_mask_that_counts_is_taken_unless_a_model_is_named(exam):
    drawn = jobs.levels(exam).content
    assert drawn["source"]["kind"] == "dataset" and not any("corrected" in warning for warning in drawn["warnings"])
    mask = trimmed(exam)
    digest = volume.write(mask, exam.predicted("other"))
    record = {"mask": {"sha256": digest, "replaces": None}, "model": {"name": "other", "sha256": "0" * 64}}
    files.write_json(exam.predicted_record("other"), record)
    content = jobs.levels(exam, model="other").content
    told = content["source"]
    assert (told["kind"], told["model"], told["sha256"]) == ("predicted", "other", digest)
    # Limits are right for masks that somebody has drawn; of others it is said that they are too narrow.
    assert any("nobody has corrected it" in warning for warning in content["warnings"])
    with pytest.raises(InputError, match="by the model 'another'"):
        jobs.levels(exam, model="another")


def test_an_exam_without_a_mask_is_refused_and_nothing_is_written(fresh):
    fresh.mask.unlink()
    with pytest.raises(InputError, match="has no mask yet; segment it first"):
        jobs.levels(fresh)
    assert not fresh.levels.parent.exists()


# What is up to date


def test_what_is_up_to_date_is_not_done_again(exam, monkeypatch):
    before = tree(exam.levels.parent)
    with monkeypatch.context() as patch:
        patch.setattr("CSpineSegLib.spine.levels.label", None)
        result = jobs.levels(exam)
    assert result.skipped and result.content == files.read_json(exam.levels_record)
    assert tree(exam.levels.parent) == before
    assert not jobs.levels(exam, force=True).skipped


def test_another_mask_or_software_or_a_missing_file_renews_them(exam, monkeypatch):
    result = jobs.levels(exam)
    revise(exam, trimmed(exam))
    renewed = jobs.levels(exam)
    assert not renewed.skipped and renewed.content["source"]["revision"] == 1
    assert jobs.levels(exam).skipped
    result.paths.instances.unlink()
    assert not jobs.levels(exam).skipped and result.paths.instances.is_file()
    monkeypatch.setattr(sys.modules["CSpineSegLib.jobs.levels"], "__version__", "0.0.0")
    assert not jobs.levels(exam).skipped


# Anchors


def test_an_anchor_is_kept_for_other_masks_until_another_is_given(exam):
    mask, centres = middle_of(exam)
    revise(exam, mask)
    assert not jobs.levels(exam).absolute
    named = jobs.levels(exam, anchor=("C6", centres["C6"]))
    assert named.absolute and named.content["anchor"]["level"] == "C6"
    assert [element["name"] for element in named.content["elements"]] == list(MIDDLE)
    assert jobs.levels(exam).skipped
    revise(exam, holed(mask, np.arange(mask.shape[2]) == mask.shape[2] // 2 + 2))
    again = jobs.levels(exam)
    assert not again.skipped and again.content["anchor"] == named.content["anchor"] and again.absolute
    assert jobs.levels(exam, force=True).content["anchor"] == named.content["anchor"]
    other = jobs.levels(exam, anchor=("C4", centres["C6"]))
    assert [element["name"] for element in other.content["elements"]][:3] == ["C2", "C2-C3", "C3"]
    assert jobs.levels(exam).content["anchor"]["level"] == "C4"
    forgotten = jobs.levels(exam, anchor=jobs.NO_ANCHOR)
    assert not forgotten.absolute and forgotten.content["anchor"] is None
    assert jobs.levels(exam).content["anchor"] is None


@pytest.mark.parametrize(
    ("anchor", "said"),
    [
        (("C2", (500.0, 0.0, 0.0)), "Nothing of the mask lies at the anchor"),
        (("C2", (1.0, float("nan"), 0.0)), "needs three coordinates"),
        (("C2", (1.0, 2.0)), "needs three coordinates"),
        (("L1", (0.0, 0.0, 0.0)), "L1"),
    ],
)
def test_an_anchor_that_cannot_be_is_refused_and_changes_nothing(exam, anchor, said):
    result = jobs.levels(exam)
    if anchor[0] == "L1":
        anchor = ("L1", next(one["centroid_mm"] for one in result.content["instances"]))
    before = tree(exam.levels.parent)
    with pytest.raises(InputError, match=said) as refused:
        jobs.levels(exam, anchor=anchor)
    assert "given before" not in str(refused.value)
    assert tree(exam.levels.parent) == before


def test_an_anchor_of_before_that_meets_nothing_any_more_is_said_to_be_one(exam):
    mask, centres = middle_of(exam)
    jobs.levels(exam, anchor=("C4", centres["C4"]))
    levels = volume.read(exam.levels).array
    revise(exam, holed(mask, np.isin(levels, [value(name) for name in ("C4", "C4-C5", "C5")])))
    with pytest.raises(InputError, match="was given before: give another with --anchor, or --anchor none"):
        jobs.levels(exam)
    assert jobs.levels(exam, anchor=jobs.NO_ANCHOR).content["anchor"] is None
