"""What a labelling leaves: the labelmap of levels, and plain values from which it can be read again."""

from __future__ import annotations

import json

import numpy as np
import pytest
from spine_cases import spine

from CSpineSegLib import volume
from CSpineSegLib.anatomy import level_value
from CSpineSegLib.errors import InputError
from CSpineSegLib.spine import label, outputs


def test_every_voxel_bears_the_totalspineseg_value_of_its_level_and_specks_none():
    drawn = spine("C2", "T1")
    array = drawn.mask.array.copy()
    array[3:6, 10:13, 1] = 1
    mask = volume.like(drawn.mask, array)
    found = outputs.level_volume(label(mask), mask)
    expected = np.zeros(array.shape, np.uint8)
    for name in drawn.names:
        expected[drawn.voxels(name)] = level_value(name)
    assert found.array.dtype == np.uint8 and np.array_equal(found.affine, mask.affine)
    assert np.array_equal(found.array, expected)


@pytest.mark.parametrize("fused", [[("C5", "C6")], [("C2", "C3")], [("C4", "C5"), ("C5", "C6")]])
def test_a_block_is_parted_among_its_levels_near_where_they_meet(fused):
    drawn = spine("C2", "T1", fused=fused)
    found = outputs.level_volume(label(drawn.mask), drawn.mask).array
    for name in {name for pair in fused for name in pair}:
        own, told = drawn.voxels(name), found == level_value(name)
        assert 2 * np.count_nonzero(own & told) / (own.sum() + told.sum()) > 0.85, name
    assert np.array_equal(found > 0, drawn.mask.array > 0)


def test_without_names_the_labelmap_is_empty():
    drawn = spine("C4", "T1", above=-1.0)
    assert not outputs.level_volume(label(drawn.mask), drawn.mask).array.any()


def test_a_labelling_of_another_grid_is_refused():
    drawn, other = spine("C2", "C5"), spine("C2", "C7")
    with pytest.raises(InputError, match="find them again"):
        outputs.level_volume(label(drawn.mask), other.mask)


def test_plain_values_make_the_labelling_again():
    drawn = spine("C2", "T1", fused=[("C5", "C6")])
    found = label(drawn.mask)
    content = json.loads(json.dumps(outputs.to_json(found)))
    assert set(content["landmarks"]) >= {"C2", "C2-C3", "C5-C6 block"}
    assert np.allclose(content["landmarks"]["C4"]["centre"], drawn.centre("C4"), atol=0.01)
    again = outputs.from_json(content, found.instances_volume)
    assert again.absolute == found.absolute and again.reason == found.reason
    assert [element.levels for element in again.elements] == [element.levels for element in found.elements]
    assert [instance.voxels for instance in again.instances] == [instance.voxels for instance in found.instances]
    same = outputs.level_volume(again, drawn.mask).array
    assert np.array_equal(same, outputs.level_volume(found, drawn.mask).array)


def test_values_that_belong_to_another_volume_are_refused():
    found = label(spine("C2", "C5").mask)
    content = outputs.to_json(found)
    with pytest.raises(InputError, match="do not belong together"):
        outputs.from_json(content, np.where(found.instances_volume == 1, 2, found.instances_volume))
    with pytest.raises(InputError, match="lacks or misstates"):
        outputs.from_json({"elements": []}, found.instances_volume)
