"""What the slice views show of an exam, on every orientation and on oblique grids, through Slicer's own nodes."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import slicer
from scene_helpers import OBLIQUE, ORIENTATIONS, affine, image, loaded, mask_of, slice_pixels

from CSpineSegLib import scene, volume
from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.scene import images, views

GRIDS = [affine(axes, signs) for axes, signs in ORIENTATIONS] + list(OBLIQUE)


@pytest.fixture
def context():
    return scene.Context.create()


def exam(context, grid=None, **given):
    """An exam of 5 slices from side to side, whatever its axes."""
    codes = volume.from_array(np.zeros((1, 1, 1), np.uint8), affine((1, 2, 0), (-1, 1, 1)) if grid is None else grid)
    lengths = {"L": 5, "R": 5, "A": 12, "P": 12, "S": 14, "I": 14}
    shape = tuple(lengths[letter] for letter in codes.orientation)
    source = image(codes.affine, shape)
    case, _ = loaded(context, source, mask_of(source), **given)
    return case


def add_view(context, name, in_layout=True):
    node = slicer.vtkMRMLSliceNode()
    node.SetName(name)
    node.SetLayoutName(name)
    context.scene.AddNode(node)
    node.SetMappedInLayout(in_layout)
    composite = slicer.vtkMRMLSliceCompositeNode()
    composite.SetLayoutName(name)
    context.scene.AddNode(composite)
    return node


def view(context, name="Yellow"):
    return next(node for node in context.nodes("vtkMRMLSliceNode") if node.GetLayoutName() == name)


def directions(node):
    """Where the view's right, upper edge and normal point, RAS."""
    return images.array_of_matrix(node.GetSliceToRAS())[:3, :3].T


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: volume.from_array(np.zeros((1, 1, 1)), grid).orientation)
def test_an_exam_is_shown_in_its_own_middle_sagittal_slice_whole_and_upright(context, grid):
    case = exam(context, grid)
    assert views.show(context, case) == 2
    node = view(context)
    right, up, normal = directions(node)
    assert right[1] < -0.7 and up[2] > 0.7 and normal[0] < -0.7
    # The slice runs through the centres of the middle voxels, also where the exam is oblique.
    index = np.linalg.solve(case.image.affine, images.array_of_matrix(node.GetSliceToRAS())[:, 3])
    assert index[case.image.sagittal_axis] == pytest.approx(2.0, abs=1e-6)
    across = case.image.affine[:3, case.image.sagittal_axis]
    assert abs(normal @ across) == pytest.approx(np.linalg.norm(across))
    width, height = node.GetDimensions()[:2]
    corners = np.c_[case.image.grid.corners(), np.ones(8)] @ np.linalg.inv(images.array_of_matrix(node.GetXYToRAS())).T
    assert (corners[:, :2] >= -1e-6).all() and (corners[:, :2] <= np.array([width, height]) + 1e-6).all()
    # As large as it can be shown.
    assert max(np.ptp(corners[:, 0]) / width, np.ptp(corners[:, 1]) / height) == pytest.approx(1.0)


def test_showing_arranges_the_layout_and_puts_the_image_behind_everything(context):
    case = exam(context)
    views.show(context, case)
    layout = context.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpYellowSliceView
    (composite,) = context.nodes("vtkMRMLSliceCompositeNode")
    assert composite.GetBackgroundVolumeID() == case.volume_node.GetID()
    display = case.volume_node.GetDisplayNode()
    # As T2 is looked at: the brightest, fat and fluid, are white.
    ends = np.percentile(case.image.array, (1, 98))
    assert not display.GetAutoWindowLevel()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx(tuple(ends))


def test_the_slice_is_seen_as_it_is_read_anterior_left_and_superior_up(context):
    for grid in (GRIDS[0], GRIDS[17], GRIDS[-1]):
        reference = volume.from_array(np.zeros((14, 12, 5), np.int16), affine((2, 1, 0), (1, 1, 1)))
        codes = volume.from_array(np.zeros((1, 1, 1)), grid).orientation
        bright = reference.array
        bright[11:, 9:, 2] = 1000  # superior and anterior, in the middle slice
        case, _ = loaded(context, volume.reorient(reference, codes), None)
        views.show(context, case)
        picture = slice_pixels(context, view(context))
        shown = np.argwhere(picture[:, :, 0] > 128).mean(axis=0) / picture.shape[:2]
        assert shown[0] < 0.4 and shown[1] < 0.4, codes
        scene.close_case(context, case)


@pytest.mark.parametrize("grid", [GRIDS[0], GRIDS[5], GRIDS[30], *OBLIQUE[:2]])
def test_stepping_goes_slice_by_slice_towards_the_patients_left_and_stops_at_the_outermost(context, grid):
    case = exam(context, grid)
    start = views.show(context, case)
    node, seen = view(context), []
    for by in (1, 1, 1, -1, -4):
        seen.append((views.step(context, case, by), -images.array_of_matrix(node.GetSliceToRAS())[0, 3]))
        assert views.shown(context, case) == seen[-1][0]
    toward_left = 1 if case.image.orientation[case.image.sagittal_axis] == "L" else -1
    assert [index for index, _ in seen] == [start + toward_left * by for by in (1, 2, 2, 1, -2)]
    lefts = [left for _, left in seen]
    assert lefts[0] < lefts[1] == lefts[2] and lefts[4] < lefts[3] < lefts[2]


def test_a_place_is_looked_at_in_the_nearest_slice_and_centred_if_it_was_outside_the_view(context):
    case = exam(context)
    views.show(context, case)
    node = view(context)
    before = node.GetFieldOfView()
    place = case.image.affine @ [3, 4, 0.8, 1]
    assert views.look_at(context, case, place[:3]) == 1
    index = np.linalg.solve(case.image.affine, images.array_of_matrix(node.GetSliceToRAS())[:, 3])
    assert index == pytest.approx([5.5, 6.5, 1.0, 1.0])
    node.SetFieldOfView(2.0, 2.0, 4.0)
    assert views.look_at(context, case, place[:3]) == 1
    index = np.linalg.solve(case.image.affine, images.array_of_matrix(node.GetSliceToRAS())[:, 3])
    assert index == pytest.approx([3.0, 4.0, 1.0, 1.0])
    assert before[0] > 2.0


def test_the_other_views_show_the_same_exam_in_their_own_planes(context):
    names = ("Red", "Yellow", "Green")
    for name in names:
        add_view(context, name)
    coronal = np.array([[-1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    view(context, "Green").GetSliceToRAS().DeepCopy(images.matrix(coronal))
    view(context, "Green").UpdateMatrices()
    case = exam(context, OBLIQUE[0])
    views.show(context, case)
    for name, along in zip(names, (2, 0, 1), strict=True):
        assert abs(directions(view(context, name))[2][along]) > 0.7
    ids = {composite.GetBackgroundVolumeID() for composite in context.nodes("vtkMRMLSliceCompositeNode")}
    assert ids == {case.volume_node.GetID()}


def test_a_reviewers_own_layout_is_kept_from_exam_to_exam_unless_it_shows_no_sagittal_slice(context):
    add_view(context, "Red")
    yellow = add_view(context, "Yellow")
    case = exam(context)
    views.show(context, case)
    layout = context.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    own, alone = layout.SlicerLayoutFourUpView, layout.SlicerLayoutOneUpYellowSliceView
    layout.SetViewArrangement(own)
    views.show(context, exam(context, name="next"))
    assert layout.GetViewArrangement() == own
    yellow.SetMappedInLayout(False)
    views.show(context, exam(context, name="last"))
    assert layout.GetViewArrangement() == alone


def test_steps_go_to_the_sagittal_view_that_is_in_the_layout_whichever_that_is(context):
    red, yellow = add_view(context, "Red"), add_view(context, "Yellow", in_layout=False)
    case = exam(context)
    views.show(context, case)
    yellow.SetMappedInLayout(False)
    red.GetSliceToRAS().DeepCopy(yellow.GetSliceToRAS())
    red.UpdateMatrices()
    before = yellow.GetSliceOffset()
    views.step(context, case, 1)
    assert red.GetSliceOffset() != before and yellow.GetSliceOffset() == before


def test_an_exam_that_was_moved_by_a_transform_is_shown_where_it_is(context):
    case = exam(context)
    transform = context.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = (10.0, -7.0, 3.0)
    transform.SetMatrixTransformToParent(images.matrix(matrix))
    case.volume_node.SetAndObserveTransformNodeID(transform.GetID())
    assert views.show(context, case) == 2
    middle = matrix @ case.image.affine @ [5.5, 6.5, 2.0, 1.0]
    assert images.array_of_matrix(view(context).GetSliceToRAS())[:, 3] == pytest.approx(middle)
    views.step(context, case, -1)
    assert views.shown(context, case) == 3


def test_another_thread_is_refused(context):
    case, told = exam(context), []

    def work():
        try:
            views.show(context, case)
        except CSpineSegError as error:
            told.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in told[0]


def test_another_mask_of_the_exam_that_is_shown_leaves_slice_and_zoom_as_they_are(context):
    case = exam(context)
    views.show(context, case)
    views.step(context, case, 1)
    node, at = view(context), views.shown(context, case)
    node.SetFieldOfView(40.0, 40.0, 1.0)
    again = exam(context)
    scene.close_case(context, case)
    assert views.show(context, again, stay=True) == at == views.shown(context, again) != 2
    assert node.GetFieldOfView()[:2] == (40.0, 40.0)
    shown = {item.GetBackgroundVolumeID() for item in context.nodes("vtkMRMLSliceCompositeNode")}
    assert shown == {again.volume_node.GetID()}
