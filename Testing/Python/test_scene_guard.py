"""The two segments keep ids, names, colours, codes and values, whatever is done to them, and nothing drawn is lost."""

from __future__ import annotations

import numpy as np
import pytest
import scene_helpers as helpers
import slicer

from CSpineSegLib import anatomy, scene, volume
from CSpineSegLib.errors import CSpineSegError, InputError
from CSpineSegLib.scene import images, terminology
from CSpineSegLib.scene.segmentation import LABELMAP, segments

BODIES, DISCS = anatomy.STRUCTURES


@pytest.fixture
def context():
    return scene.Context.create()


@pytest.fixture
def opened(context):
    """An exam with a random mask, and a guard of it."""
    case, mask = helpers.loaded(context)
    guard = scene.Guard(context, case)
    yield case, mask, guard
    guard.close()


def segmentation_of(case):
    return case.segmentation_node.GetSegmentation()


def assert_as_it_was(context, case, mask):
    """Ids, order, names, colours, codes, values, one labelmap and every voxel."""
    found = segments(case.segmentation_node)
    assert list(found) == [structure.key for structure in anatomy.STRUCTURES]
    for structure, segment in zip(anatomy.STRUCTURES, found.values(), strict=True):
        assert segment.GetName() == structure.name
        assert np.allclose(segment.GetColor(), structure.color)
        assert segment.GetTerminology() == terminology.entry(structure)
        assert segment.GetLabelValue() == structure.label
    first, second = (segment.GetRepresentation(LABELMAP) for segment in found.values())
    assert first is second
    assert np.array_equal(helpers.labels(context, case).array, mask.array)


def test_a_segmentation_that_is_as_it_has_to_be_is_not_touched(context):
    calls = []
    case, mask = helpers.loaded(context)
    guard = scene.Guard(context, case, lambda: calls.append(1))
    before = scene.stamp(case.segmentation_node)
    assert guard.restore() == []
    assert scene.stamp(case.segmentation_node) == before and not calls
    assert_as_it_was(context, case, mask)


def test_a_renamed_segment_gets_its_name_back(context, opened):
    case, mask, guard = opened
    segmentation_of(case).GetSegment("discs").SetName("Segment_2")
    (sentence,) = guard.restore()
    assert DISCS.name in sentence and "name" in sentence
    assert_as_it_was(context, case, mask)


@pytest.mark.parametrize(
    "change",
    [
        lambda segment: segment.SetColor(0.1, 0.2, 0.3),
        lambda segment: segment.SetTerminology(""),
        lambda segment: segment.SetTerminology(terminology.entry(DISCS)),
    ],
)
def test_a_segment_of_another_colour_or_code_gets_its_own_back(context, opened, change):
    case, mask, guard = opened
    change(segmentation_of(case).GetSegment("bodies"))
    (sentence,) = guard.restore()
    assert BODIES.name in sentence and "colour" in sentence
    assert_as_it_was(context, case, mask)


@pytest.mark.parametrize("deleted", [["bodies"], ["discs"], ["bodies", "discs"], ["discs", "bodies"]])
def test_a_deleted_segment_comes_back_with_its_voxels(context, opened, deleted):
    case, mask, guard = opened
    for key in deleted:
        segmentation_of(case).RemoveSegment(key)
    said = guard.restore()
    assert len(said) == len(deleted) and all("deleted" in sentence for sentence in said)
    assert_as_it_was(context, case, mask)
    assert guard.restore() == []


def test_a_segment_that_was_drawn_before_it_is_deleted_comes_back_as_drawn(context, opened):
    case, mask, guard = opened
    drawn = mask.array.copy()
    drawn[2:6, 3:7, 1] = DISCS.label
    editor = scene.Editor(context, case)
    editor.paint_voxels("discs", drawn == DISCS.label)
    guard.restore()
    segmentation_of(case).RemoveSegment("discs")
    guard.restore()
    assert_as_it_was(context, case, volume.like(mask, drawn))


def test_an_added_empty_segment_is_removed_again(context, opened):
    case, mask, guard = opened
    segmentation_of(case).AddEmptySegment("", "Spinal cord")
    (sentence,) = guard.restore()
    assert "Spinal cord" in sentence
    assert_as_it_was(context, case, mask)


def test_an_added_segment_with_voxels_stays_and_is_told_of_once(context, opened):
    case, _, guard = opened
    voxels = np.zeros(case.image.shape, np.uint8)
    voxels[1:3, 1:3, 1] = 1
    added = slicer.vtkSegment()
    added.SetName("Mine")
    added.AddRepresentation(LABELMAP, images.oriented_image(voxels, case.image.affine))
    segmentation_of(case).AddSegment(added, "mine")
    (sentence,) = guard.restore()
    assert "Mine" in sentence and "Undo" in sentence
    assert guard.restore() == []
    assert "mine" in segments(case.segmentation_node)
    with pytest.raises(InputError, match="Mine"):
        helpers.labels(context, case)


def test_segments_in_another_order_are_put_back(context, opened):
    case, mask, guard = opened
    segmentation_of(case).SetSegmentIndex("discs", 0)
    assert guard.restore() == []
    assert_as_it_was(context, case, mask)


def test_segments_on_layers_of_their_own_come_back_onto_one_with_our_values(context, opened):
    case, mask, guard = opened
    segmentation_of(case).SeparateSegmentLabelmap("discs")
    found = segments(case.segmentation_node)
    assert found["bodies"].GetRepresentation(LABELMAP) is not found["discs"].GetRepresentation(LABELMAP)
    assert guard.restore() == []
    assert_as_it_was(context, case, mask)


def test_a_mask_that_was_turned_into_surfaces_comes_back_voxel_by_voxel(context, opened):
    case, mask, guard = opened
    segmentation = segmentation_of(case)
    assert segmentation.CreateRepresentation("Closed surface")
    segmentation.SetSourceRepresentationName("Closed surface")
    (sentence,) = guard.restore()
    assert "voxels" in sentence
    assert_as_it_was(context, case, mask)


def test_slicers_own_export_gives_our_values_after_a_segment_was_deleted_and_put_back(context, opened):
    case, mask, guard = opened
    segmentation_of(case).RemoveSegment("bodies")
    guard.restore()
    labelmap = context.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode(
        case.segmentation_node, labelmap, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    assert np.array_equal(images.view(labelmap.GetImageData()), mask.array)


def test_the_editor_goes_on_and_can_undo_after_the_segments_were_restored(context, opened):
    case, mask, guard = opened
    editor = scene.Editor(context, case)
    segmentation_of(case).GetSegment("discs").SetName("x")
    guard.restore()
    voxels = np.zeros(case.image.shape, bool)
    voxels[4:8, 4:8, 2] = True
    editor.paint_voxels("bodies", voxels)
    assert (helpers.labels(context, case).array[voxels] == BODIES.label).all()
    assert guard.restore() == []
    editor.undo()
    assert guard.restore() == []
    assert_as_it_was(context, case, mask)


def test_every_kind_of_change_is_told_until_the_guard_is_closed(context):
    calls = []
    case, _ = helpers.loaded(context)
    guard = scene.Guard(context, case, lambda: calls.append(1))
    segmentation = segmentation_of(case)
    editor = scene.Editor(context, case)

    def told(change) -> bool:
        calls.clear()
        change()
        return bool(calls)

    voxels = np.zeros(case.image.shape, bool)
    voxels[4:8, 4:8, 2] = True
    assert told(lambda: editor.paint_voxels("bodies", voxels))
    assert told(editor.undo)
    assert told(lambda: segmentation.GetSegment("discs").SetName("x"))
    assert told(lambda: segmentation.AddEmptySegment("", "y"))
    assert told(lambda: segmentation.SetSegmentIndex("discs", 0))
    assert told(lambda: segmentation.RemoveSegment("bodies"))
    guard.close()
    assert not told(lambda: segmentation.GetSegment("discs").SetName("z"))


# Voxels from elsewhere


def test_replaced_voxels_are_read_back_and_the_segments_stay_the_same_objects(context, opened):
    case, _, guard = opened
    before = segments(case.segmentation_node)
    other = helpers.mask_of(case.image, seed=9)
    stamp = scene.stamp(case.segmentation_node)
    scene.replace_voxels(context, case, other)
    assert scene.stamp(case.segmentation_node) != stamp
    assert segments(case.segmentation_node) == before
    assert guard.restore() == []
    assert_as_it_was(context, case, other)


def test_replaced_voxels_can_be_edited_and_taken_back(context, opened):
    case, _, _ = opened
    other = helpers.mask_of(case.image, seed=9)
    scene.replace_voxels(context, case, other)
    editor = scene.Editor(context, case)
    editor.paint_voxels("discs", np.ones(case.image.shape, bool))
    assert (helpers.labels(context, case).array == DISCS.label).all()
    editor.undo()
    assert np.array_equal(helpers.labels(context, case).array, other.array)


def test_voxels_of_another_image_are_refused_and_change_nothing(context, opened):
    case, mask, _ = opened
    elsewhere = helpers.image(helpers.affine((1, 2, 0), (-1, 1, 1), helpers.rotation(0, 0, 30)))
    with pytest.raises(CSpineSegError):
        scene.replace_voxels(context, case, helpers.mask_of(elsewhere))
    with pytest.raises(InputError):
        scene.replace_voxels(context, case, volume.like(case.image, np.full(case.image.shape, 7, np.uint8)))
    assert_as_it_was(context, case, mask)


# The editor's node and the views


def test_the_editor_node_is_one_of_its_own_and_lets_nothing_overlap(context):
    node = scene.editor_node(context)
    node.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
    assert scene.editor_node(context) is node
    assert node.GetOverwriteMode() == slicer.vtkMRMLSegmentEditorNode.OverwriteAllSegments
    assert node.GetSingletonTag() == "CSpineSeg"
    assert context.scene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode") is None


def test_scrolling_zooming_and_a_mouse_over_a_slice_are_signs_of_life_until_closed(context):
    view, camera, crosshair = (
        context.scene.AddNewNodeByClass(kind)
        for kind in ("vtkMRMLSliceNode", "vtkMRMLCameraNode", "vtkMRMLCrosshairNode")
    )
    calls = []
    watch = scene.watch_views(context, lambda: calls.append(1))

    def moves() -> list[bool]:
        seen = []
        for move in (
            lambda: view.SetSliceOffset(view.GetSliceOffset() + 3.0),
            lambda: view.SetFieldOfView(90.0 + len(calls), 91.0, 1.0),
            lambda: camera.SetPosition(1.0 + len(calls), 2.0, 3.0),
            lambda: crosshair.SetCursorPositionRAS([1.0 + len(calls), 2.0, 3.0]),
        ):
            before = len(calls)
            move()
            seen.append(len(calls) > before)
        return seen

    assert moves() == [True] * 4
    before = len(calls)
    context.scene.AddNewNodeByClass("vtkMRMLSliceNode").SetSliceOffset(7.0)
    assert len(calls) > before
    watch.close()
    before = len(calls)
    assert moves() == [False] * 4
    context.scene.AddNewNodeByClass("vtkMRMLSliceNode").SetSliceOffset(7.0)
    assert len(calls) == before
