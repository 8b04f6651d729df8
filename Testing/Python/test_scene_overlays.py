"""Overlays in the slice views, seen through Slicer's own slice pipeline: the right colour at the right voxel."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from scene_helpers import OBLIQUE, ORIENTATIONS, PSR, affine, loaded, slice_pixels, turned

from CSpineSegLib import scene, volume
from CSpineSegLib.errors import GeometryError
from CSpineSegLib.scene import images, overlays, views

GRIDS = [PSR, *(affine(axes, signs) for axes, signs in ORIENTATIONS[5::9]), OBLIQUE[0], OBLIQUE[3]]
SHAPE = (40, 50, 5)


@pytest.fixture
def context():
    return scene.Context.create()


def exam(context, labels, grid=PSR):
    case, _ = loaded(context, turned(np.full(SHAPE, 300, np.int16), grid), turned(labels, grid))
    views.show(context, case)
    return case


def boxes():
    """Before: bodies at the back. Now: bodies added at the front and above, some removed, some turned to disc."""
    before, now = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    before[22:36, 10:40] = 1
    now[22:36, 20:40] = 1
    now[22:36, 30:40] = 2
    now[4:16, 10:20, 2] = 2
    return before, now


def pixel(context, case, index):
    """Colour at a voxel of the axes PSR, in the view."""
    node = views.sagittal_view(context, case)
    picture = slice_pixels(context, node).astype(int)
    voxel = volume.from_array(np.zeros(SHAPE, np.uint8), PSR)
    voxel.array[index] = 1
    where = np.argwhere(turned(voxel.array, case.image.affine).array)[0]
    ras = case.image.affine @ [*where, 1]
    x, y = np.linalg.solve(images.array_of_matrix(node.GetXYToRAS()), ras)[:2]
    return picture[picture.shape[0] - 1 - round(y), round(x)]


def composite(context):
    (found,) = context.nodes("vtkMRMLSliceCompositeNode")
    return found


def names(context):
    return sorted(node.GetName() for node in context.nodes("vtkMRMLNode"))


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: volume.from_array(np.zeros((1, 1, 1)), grid).orientation)
def test_what_was_added_is_green_what_was_removed_red_and_what_changed_amber(context, grid):
    before, now = boxes()
    case = exam(context, now, grid)
    overlays.show_difference(context, case, turned(before, grid), True)
    red, green, blue = pixel(context, case, (10, 15, 2))
    assert green > 1.5 * red and green > 1.5 * blue
    red, green, blue = pixel(context, case, (30, 15, 2))
    assert red > 2.5 * green and red > 2.5 * blue
    red, green, blue = pixel(context, case, (30, 35, 2))
    assert red > green > 2 * blue
    for same in ((30, 25, 2), (4, 45, 2)):
        assert np.ptp(pixel(context, case, same)) <= 1


def test_an_exam_without_a_former_mask_has_only_additions(context):
    _, now = boxes()
    case = exam(context, now)
    overlays.show_difference(context, case, None, True)
    assert pixel(context, case, (30, 35, 2))[1] > 1.5 * pixel(context, case, (30, 35, 2))[0]


def test_the_overlay_follows_the_mask_in_the_same_node(context):
    before, now = boxes()
    case = exam(context, before)
    overlays.show_difference(context, case, before, True)
    assert np.ptp(pixel(context, case, (10, 15, 2))) <= 1
    nodes, told = context.nodes("vtkMRMLLabelMapVolumeNode"), []
    nodes[0].AddObserver(slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, lambda *_: told.append(True))
    editor = scene.Editor(context, case)
    editor.paint_voxels("discs", now == 2)
    overlays.show_difference(context, case, before, True)
    editor.close()
    assert np.ptp(pixel(context, case, (10, 15, 2))) > 50
    assert context.nodes("vtkMRMLLabelMapVolumeNode") == nodes
    assert told, "views that are open draw themselves again"


def test_what_is_known_of_the_mask_already_is_not_read_again(context, monkeypatch):
    before, now = boxes()
    case = exam(context, now)
    monkeypatch.setattr(overlays, "read_segmentation", None)
    overlays.show_difference(context, case, before, True, now)
    assert overlays.is_shown(context, case, "difference")


def test_doubt_has_three_steps_and_none_below_the_first(context):
    percent = np.zeros(SHAPE, np.uint8)
    for start, value in ((0, 9), (10, 10), (20, 30), (30, 50)):
        percent[start : start + 10] = value
    percent[:, :5] = 100
    case = exam(context, np.zeros(SHAPE, np.uint8))
    overlays.show_doubt(context, case, turned(percent, PSR), True)
    light, orange, purple = (pixel(context, case, (start, 25, 2)) for start in (15, 25, 35))
    assert np.ptp(pixel(context, case, (5, 25, 2))) <= 1
    assert light[0] > light[1] > 0.9 * light[0] > 1.5 * light[2]
    assert orange[0] > 1.5 * orange[1] > 1.5 * orange[2]
    assert purple[0] > purple[1] and purple[2] > purple[1] + 40
    assert light.sum() > orange.sum() > purple.sum()
    assert (pixel(context, case, (35, 2, 2)) == purple).all()


def test_both_overlays_show_at_once_and_clearing_leaves_the_scene_as_it_was(context):
    before, now = boxes()
    case = exam(context, now)
    other = context.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T1")
    composite(context).SetForegroundVolumeID(other.GetID())
    composite(context).SetForegroundOpacity(0.25)
    found = names(context)
    overlays.show_difference(context, case, before, True)
    overlays.show_doubt(context, case, turned(np.full(SHAPE, 40, np.uint8), PSR), True)
    overlays.show_doubt(context, case, turned(np.full(SHAPE, 60, np.uint8), PSR), True)
    assert not case.segmentation_node.GetDisplayNode().GetVisibility2DFill()
    assert len(context.nodes("vtkMRMLLabelMapVolumeNode")) == 2
    assert composite(context).GetForegroundVolumeID() != other.GetID()
    overlays.clear(context, case)
    tables = {"CSpineSeg difference", "CSpineSeg doubt"}
    assert [name for name in names(context) if name not in tables] == found
    assert composite(context).GetForegroundVolumeID() == other.GetID()
    assert composite(context).GetForegroundOpacity() == 0.25
    assert composite(context).GetLabelVolumeID() is None and composite(context).GetLabelOpacity() == 1.0
    assert case.segmentation_node.GetDisplayNode().GetVisibility2DFill()
    overlays.clear(context, case)


def test_switching_off_hides_one_and_leaves_the_other(context):
    before, now = boxes()
    case = exam(context, now)
    overlays.show_difference(context, case, before, True)
    overlays.show_doubt(context, case, turned(np.full(SHAPE, 40, np.uint8), PSR), True)
    overlays.show_difference(context, case, before, False)
    shown = [overlays.is_shown(context, case, kind) for kind in ("difference", "doubt")]
    assert shown == [False, True]
    assert case.segmentation_node.GetDisplayNode().GetVisibility2DFill()
    overlays.show_doubt(context, case, None, True)
    assert not overlays.is_shown(context, case, "doubt")


def test_closing_an_exam_takes_its_overlays_along_and_not_those_of_another(context):
    before, now = boxes()
    first, second = exam(context, now), exam(context, now)
    for case in (first, second):
        overlays.show_difference(context, case, before, True)
    scene.close_case(context, first)
    assert overlays.is_shown(context, second, "difference")
    scene.close_case(context, second)
    assert context.nodes("vtkMRMLLabelMapVolumeNode") == []
    assert composite(context).GetLabelVolumeID() is None


def test_overlays_go_too_if_the_mask_or_the_overlay_itself_was_deleted(context):
    before, now = boxes()
    case = exam(context, now)
    overlays.show_difference(context, case, before, True)
    context.scene.RemoveNode(context.nodes("vtkMRMLLabelMapVolumeNode")[0])
    overlays.show_difference(context, case, before, True)
    assert pixel(context, case, (10, 15, 2))[1] > 150
    context.remove(case.segmentation_node)
    overlays.clear(context, case)
    assert context.nodes("vtkMRMLLabelMapVolumeNode") == []


def test_overlays_are_in_nobodys_list_and_in_no_saved_scene(context, tmp_path):
    before, now = boxes()
    case = exam(context, now)
    overlays.show_difference(context, case, before, True)
    overlays.show_doubt(context, case, turned(np.full(SHAPE, 40, np.uint8), PSR), True)
    assert all(node.GetHideFromEditors() for node in context.nodes("vtkMRMLLabelMapVolumeNode"))
    scene.save_scene(context, tmp_path / "a.mrb")
    again = scene.Context.create()
    scene.open_scene(again, tmp_path / "a.mrb")
    assert again.nodes("vtkMRMLSegmentationNode") and again.nodes("vtkMRMLLabelMapVolumeNode") == []


def test_a_mask_of_another_image_is_refused_and_nothing_is_shown(context):
    before, now = boxes()
    case = exam(context, now)
    elsewhere = volume.from_array(before, PSR + np.diag([0.3, 0, 0, 0]))
    for show in (overlays.show_difference, overlays.show_doubt):
        with pytest.raises(GeometryError):
            show(context, case, elsewhere, True)
    assert context.nodes("vtkMRMLLabelMapVolumeNode") == []
    assert case.segmentation_node.GetDisplayNode().GetVisibility2DFill()


def test_the_mask_under_a_transform_has_its_overlay_on_it(context):
    before, now = boxes()
    case = exam(context, now)
    transform = context.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    for node in (case.volume_node, case.segmentation_node):
        node.SetAndObserveTransformNodeID(transform.GetID())
    overlays.show_difference(context, case, before, True)
    (node,) = context.nodes("vtkMRMLLabelMapVolumeNode")
    assert node.GetTransformNodeID() == transform.GetID()


def test_colours_say_in_words_what_they_mean(context):
    _, now = boxes()
    case = exam(context, now)
    overlays.show_difference(context, case, None, True)
    (node,) = context.nodes("vtkMRMLLabelMapVolumeNode")
    colors = node.GetDisplayNode().GetColorNode()
    words = {value: colors.GetColorName(value) for value in (overlays.ADDED, overlays.REMOVED)}
    assert words == {1: "added", 2: "removed"}
    assert [entry[:2] for entry in overlays.legend("doubt")][2] == ("Purple", "more likely wrong than right")
    assert isinstance(node, slicer.vtkMRMLLabelMapVolumeNode)
