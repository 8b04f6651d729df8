"""Edits through Slicer's own segment editor logic; what to expect is computed here with NumPy alone."""

from __future__ import annotations

import numpy as np
import pytest
from scene_helpers import OBLIQUE, PSR, image, mask_of

from CSpineSegLib import scene, volume
from CSpineSegLib.errors import InputError
from CSpineSegLib.scene.segmentation import segments

RAS_3D = np.array([[0.8, 0, 0, -60], [0, 0.8, 0, -80], [0, 0, 0.8, -90], [0, 0, 0, 1.0]])
GRIDS = {"PSR": PSR, "oblique": OBLIQUE[1], "oblique right-handed": OBLIQUE[4], "RAS 3D": RAS_3D}


@pytest.fixture
def context():
    return scene.Context.create()


def ball(source, centre, radius):
    """Voxels whose centres lie in a sphere, one by one, as a check on the vectorised function."""
    inside = np.zeros(source.shape, bool)
    for index in np.ndindex(*source.shape):
        point = source.affine[:3, :3] @ index + source.affine[:3, 3]
        inside[index] = np.linalg.norm(point - centre) <= radius
    return inside


def centre_of(source, index):
    return source.affine[:3, :3] @ np.array(index) + source.affine[:3, 3] + 0.05


def labels(context, case):
    return scene.read_segmentation(context, case.segmentation_node, case.image).array


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("empty", [False, True], ids=["on a mask", "on nothing"])
def test_painting_erasing_undo_and_redo_read_back_exactly(context, grid, empty):
    source = image(grid)
    start = np.zeros(source.shape, np.uint8) if empty else mask_of(source).array
    case = scene.load_case(context, source, volume.like(source, start), name="exam", patient_id="1")
    editor = scene.Editor(context, case)
    first, second = centre_of(source, (5, 6, 2)), centre_of(source, (8, 9, 3))
    states = [start]

    inside = ball(source, first, 3.0)
    assert editor.paint_sphere("discs", first, 3.0) == np.count_nonzero(inside) > 3
    states.append(np.where(inside, 2, states[-1]))
    np.testing.assert_array_equal(labels(context, case), states[-1])

    inside = ball(source, second, 4.5)
    editor.paint_sphere(1, second, 4.5)
    states.append(np.where(inside, 1, states[-1]))
    np.testing.assert_array_equal(labels(context, case), states[-1])

    inside = ball(source, first, 4.0)
    editor.paint_sphere("bodies", first, 4.0, erase=True)
    states.append(np.where(inside & (states[-1] == 1), 0, states[-1]))
    np.testing.assert_array_equal(labels(context, case), states[-1])

    for state in states[-2::-1]:
        assert editor.can_undo
        editor.undo()
        np.testing.assert_array_equal(labels(context, case), state)
    assert not editor.can_undo
    for state in states[1:]:
        assert editor.can_redo
        editor.redo()
        np.testing.assert_array_equal(labels(context, case), state)
    assert not editor.can_redo


def test_painting_takes_voxels_from_the_other_segment_and_never_overlaps(context):
    source = image()
    case = scene.load_case(context, source, mask_of(source), name="exam", patient_id="1")
    case.segmentation_node.GetSegmentation().SeparateSegmentLabelmap("discs")
    editor = scene.Editor(context, case)
    everything = np.ones(source.shape, bool)
    assert editor.paint_voxels("bodies", everything) == everything.size
    back = scene.read_segmentation(context, case.segmentation_node, source)
    assert (back.array == 1).all() and back.warnings == ()
    editor.undo()
    np.testing.assert_array_equal(labels(context, case), mask_of(source).array)


def test_a_hidden_segment_is_painted_over_too(context):
    source = image()
    case = scene.load_case(context, source, mask_of(source), name="exam", patient_id="1")
    case.segmentation_node.GetDisplayNode().SetSegmentVisibility("bodies", False)
    scene.Editor(context, case).paint_voxels("discs", np.ones(source.shape, bool))
    back = scene.read_segmentation(context, case.segmentation_node, source)
    assert (back.array == 2).all() and back.warnings == ()


def test_erasing_everything_leaves_two_segments_that_can_be_painted_again(context):
    source = image()
    case = scene.load_case(context, source, mask_of(source), name="exam", patient_id="1")
    editor = scene.Editor(context, case)
    for key in ("bodies", "discs"):
        editor.paint_voxels(key, np.ones(source.shape, bool), erase=True)
    assert not labels(context, case).any()
    assert list(segments(case.segmentation_node)) == ["bodies", "discs"]
    voxels = np.zeros(source.shape, bool)
    voxels[0, 0, 0] = voxels[-1, -1, -1] = True
    editor.paint_voxels("discs", voxels)
    np.testing.assert_array_equal(labels(context, case), voxels * np.uint8(2))


def test_undo_reaches_back_over_twenty_edits(context):
    source = image()
    case = scene.load_case(context, source, None, name="exam", patient_id="1")
    editor = scene.Editor(context, case)
    for row in range(10):
        for key in ("bodies", "discs"):
            voxels = np.zeros(source.shape, bool)
            voxels[row, 3 if key == "bodies" else 4] = True
            editor.paint_voxels(key, voxels)
    for _ in range(20):
        editor.undo()
    assert not labels(context, case).any()


def test_a_sphere_outside_the_image_changes_nothing_and_is_no_undo_step(context):
    source = image()
    case = scene.load_case(context, source, mask_of(source), name="exam", patient_id="1")
    editor = scene.Editor(context, case)
    assert editor.paint_sphere("discs", (500, 500, 500), 5.0) == 0
    assert not editor.can_undo
    np.testing.assert_array_equal(labels(context, case), mask_of(source).array)


def test_names_colours_and_terminology_survive_edits_and_undo(context):
    source = image()
    case = scene.load_case(context, source, mask_of(source), name="exam", patient_id="1")

    def looks():
        return {
            key: (segment.GetName(), segment.GetColor(), segment.GetTerminology())
            for key, segment in segments(case.segmentation_node).items()
        }

    before = looks()
    editor = scene.Editor(context, case)
    editor.paint_sphere("discs", centre_of(source, (5, 6, 2)), 3.0)
    editor.undo()
    editor.redo()
    assert looks() == before


def test_two_cases_are_edited_apart(context):
    sources = image(seed=1), image(OBLIQUE[0], seed=2)
    cases = [
        scene.load_case(context, source, mask_of(source), name=str(number), patient_id="1")
        for number, source in enumerate(sources)
    ]
    editors = [scene.Editor(context, case) for case in cases]
    editors[0].paint_voxels("discs", np.ones(sources[0].shape, bool))
    np.testing.assert_array_equal(labels(context, cases[1]), mask_of(sources[1]).array)
    editors[1].paint_voxels("bodies", np.ones(sources[1].shape, bool))
    editors[0].undo()
    np.testing.assert_array_equal(labels(context, cases[0]), mask_of(sources[0]).array)
    assert (labels(context, cases[1]) == 1).all()
    before = context.scene.GetNumberOfNodes()
    for editor in editors:
        editor.close()
    assert context.scene.GetNumberOfNodes() == before - 2


@pytest.mark.parametrize("wrong", ["cord", 3, 0])
def test_an_unknown_segment_is_refused(context, wrong):
    case = scene.load_case(context, image(), None, name="exam", patient_id="1")
    with pytest.raises(InputError, match="not part of a CSpineSeg mask"):
        scene.Editor(context, case).paint_sphere(wrong, (0, 0, 0), 5.0)


def test_a_deleted_segment_and_voxels_of_another_shape_are_refused(context):
    case = scene.load_case(context, image(), None, name="exam", patient_id="1")
    editor = scene.Editor(context, case)
    with pytest.raises(InputError, match="do not lie on exam"):
        editor.paint_voxels("discs", np.ones((2, 3, 4), bool))
    case.segmentation_node.GetSegmentation().RemoveSegment("discs")
    with pytest.raises(InputError, match="'discs' was deleted"):
        editor.paint_sphere("discs", (0, 0, 0), 5.0)


def test_an_edit_of_the_real_exam_reads_back_exactly(context, real_t2):
    source = volume.read(real_t2)
    case = scene.load_case(context, source, None, name="exam", patient_id="1")
    editor = scene.Editor(context, case)
    centre = centre_of(source, (160, 170, 6))
    assert editor.paint_sphere("bodies", centre, 9.0) > 1000
    indices = np.stack(np.meshgrid(*(np.arange(size) for size in source.shape), indexing="ij"), axis=-1)
    distance = np.linalg.norm(indices @ source.affine[:3, :3].T + source.affine[:3, 3] - centre, axis=-1)
    np.testing.assert_array_equal(labels(context, case), (distance <= 9.0).astype(np.uint8))
