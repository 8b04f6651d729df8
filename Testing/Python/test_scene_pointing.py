"""One click into a view: a place in the image's own coordinates, once, and nothing of it stays in the scene."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from scene_helpers import PSR, loaded

from CSpineSegLib import scene, volume
from CSpineSegLib.scene import images

PLACE = (3.0, -12.5, 20.0)


@pytest.fixture
def context():
    return scene.Context.create()


@pytest.fixture
def case(context):
    return loaded(context, volume.from_array(np.full((8, 8, 4), 300, np.int16), PSR))[0]


class Asked:
    """A pointing, how often it called, and the nodes that Slicer's views look at."""

    def __init__(self, context, case):
        self.calls, self.context = 0, context
        self.pointing = scene.Pointing(context, case, "C5", self.happened)
        self.interaction = context.application.GetInteractionNode()
        self.selection = context.application.GetSelectionNode()

    def happened(self):
        self.calls += 1

    @property
    def mode(self):
        return self.interaction.GetCurrentInteractionMode()

    @property
    def point(self):
        return self.context.scene.GetNodeByID(self.selection.GetActivePlaceNodeID())

    def click(self, place=PLACE):
        """As a view does: first a point that follows the mouse, then the place, then the mode ends."""
        node = self.point
        index = node.AddControlPointWorld(1.0, 1.0, 1.0)
        node.ResetNthControlPointPosition(index)
        node.SetNthControlPointPositionWorld(index, *place)
        self.interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)


def points(context) -> int:
    return len(context.nodes("vtkMRMLMarkupsFiducialNode"))


def test_a_click_gives_its_place_and_the_mouse_is_free_again(context, case):
    asked = Asked(context, case)
    assert asked.mode == slicer.vtkMRMLInteractionNode.Place and not asked.interaction.GetPlaceModePersistence()
    assert asked.pointing.place is None and asked.calls == 0
    assert asked.point.GetControlPointLabelFormat() == "C5" and asked.point.GetMaximumNumberOfControlPoints() == 1
    assert asked.point.GetHideFromEditors() and not asked.point.GetSaveWithScene()
    asked.click()
    assert asked.calls and asked.pointing.place == pytest.approx(PLACE)
    asked.pointing.close()
    assert points(context) == 0 and asked.mode == slicer.vtkMRMLInteractionNode.ViewTransform


def test_a_place_is_told_in_the_images_own_coordinates_where_the_exam_is_moved(context, case):
    matrix = np.eye(4)
    matrix[:3, 3] = (10.0, -4.0, 7.0)
    transform = context.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(images.matrix(matrix))
    case.volume_node.SetAndObserveTransformNodeID(transform.GetID())
    asked = Asked(context, case)
    asked.click(np.add(PLACE, matrix[:3, 3]))
    assert asked.pointing.place == pytest.approx(PLACE)
    asked.pointing.close()


def test_another_mouse_mode_gives_it_up(context, case):
    asked = Asked(context, case)
    asked.interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
    assert asked.calls == 1 and asked.pointing.place is None
    asked.pointing.close()
    asked.interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)
    assert asked.calls == 1, "nothing is followed any more"


def test_closing_ends_the_mode_and_gives_back_what_was_placed_before(context, case):
    line = context.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "a line of the user")
    selection = context.application.GetSelectionNode()
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsLineNode")
    selection.SetActivePlaceNodeID(line.GetID())
    context.application.GetInteractionNode().SetPlaceModePersistence(1)
    asked = Asked(context, case)
    assert not asked.interaction.GetPlaceModePersistence()
    asked.pointing.close()
    assert asked.interaction.GetPlaceModePersistence(), "who places many points goes on with it"
    assert asked.mode == slicer.vtkMRMLInteractionNode.ViewTransform and points(context) == 0
    assert selection.GetActivePlaceNodeID() == line.GetID()
    assert selection.GetActivePlaceNodeClassName() == "vtkMRMLMarkupsLineNode"


def test_the_mode_of_somebody_elses_points_is_left_alone(context, case):
    asked = Asked(context, case)
    other = context.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "points of the user")
    asked.selection.SetActivePlaceNodeID(other.GetID())
    asked.pointing.close()
    assert asked.mode == slicer.vtkMRMLInteractionNode.Place and points(context) == 1
    assert asked.selection.GetActivePlaceNodeID() == other.GetID()


def test_the_scene_may_be_closed_meanwhile(context, case):
    asked = Asked(context, case)
    context.scene.Clear(0)
    asked.pointing.close()
    assert points(context) == 0 and asked.pointing.place is None
