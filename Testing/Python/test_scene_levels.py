"""Levels in the scene: every voxel, name and point where it belongs on every grid, and gone with the exam."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scene_helpers import OBLIQUE, ORIENTATIONS, PSR, affine, labels, loaded, turned

from CSpineSegLib import anatomy, scene, spine, volume
from CSpineSegLib.errors import InputError
from CSpineSegLib.scene import images, terminology
from CSpineSegLib.scene.segmentation import segments
from CSpineSegLib.spine.labelling import Element, Instance, Labelling

GRIDS = [PSR, *(affine(axes, signs) for axes, signs in ORIENTATIONS[5::9]), OBLIQUE[0], OBLIQUE[3]]
SHAPE = (24, 60, 5)
# Rows (towards the head) of two bodies, the disc between them, a block of two, and the disc above it.
STACK = (("C3", 1, 48, 58), ("C3-C4", 2, 44, 48), ("C4", 1, 34, 44), ("C4-C5", 2, 30, 34), ("C5-C6", 1, 8, 30))


@pytest.fixture
def context():
    return scene.Context.create()


@cache
def stack() -> tuple[np.ndarray, np.ndarray]:
    """Mask and instance numbers on axes PSR."""
    mask, numbers = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint16)
    for number, (_, label, low, high) in enumerate(STACK, start=1):
        mask[4:20, low:high, 1:4], numbers[4:20, low:high, 1:4] = label, number
    mask[0, 0, 0], numbers[0, 0, 0] = 1, 9
    return mask, numbers


def found_in(numbers: volume.Volume, absolute: bool = True) -> Labelling:
    """The labelling of a stack on any grid."""
    elements, instances = [], []
    for number, (name, label, _, _) in enumerate(STACK, start=1):
        index = np.argwhere(numbers.array == number)
        centre = numbers.affine[:3, :3] @ index.mean(axis=0) + numbers.affine[:3, 3]
        instances.append(Instance(number, label, len(index), 1.0, centre, np.zeros((2, 3)), (1, 3), False))
        block = number == len(STACK)
        kind = "disc" if label == 2 else "block" if block else "body"
        levels = (("C5", "C6") if block else (name,)) if absolute else ()
        elements.append(Element(kind, levels, (number + 1) // 2, (number,), 1.0, "fused" if block else "", 1 + block))
    ends = [instances[0].centroid_mm, instances[-1].centroid_mm]
    # Somewhat beyond both ends.
    line = np.array([ends[0] + share * (ends[1] - ends[0]) for share in np.linspace(-0.3, 1.5, 40)])
    speck = Instance(9, 1, 1, 1.0, np.zeros(3), np.zeros((2, 3)), (0, 0), True)
    reason = "As it was drawn."
    return Labelling(numbers.array, tuple(instances), tuple(elements), (speck,), absolute, reason, 1.0, line)


def shown(context, grid=PSR, absolute=True):
    mask, numbers = stack()
    source = turned(np.full(SHAPE, 300, np.int16), grid)
    case, own = loaded(context, source, turned(mask, grid))
    labelling = found_in(turned(numbers, grid), absolute)
    return case, own, labelling, scene.show_levels(context, case, labelling)


def voxels(node, source) -> dict[str, np.ndarray]:
    """Segment id -> where it is, on the grid of `source`."""
    found = {}
    for key, segment in segments(node).items():
        image = images.volume_of_image(segment.GetRepresentation("Binary labelmap"))
        own = volume.from_array((image.array == segment.GetLabelValue()).astype(np.uint8), image.affine)
        found[key] = volume.conform(own, source).array.astype(bool)
    return found


def names_of(points) -> list[str]:
    return [points.GetNthControlPointLabel(index) for index in range(points.GetNumberOfControlPoints())]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: volume.from_array(np.zeros((1, 1, 1)), grid).orientation)
def test_every_level_is_a_segment_at_its_voxels_on_every_grid(context, grid):
    case, own, labelling, levels = shown(context, grid)
    found = voxels(levels.segmentation, case.image)
    assert list(found) == ["C3", "C3-C4", "C4", "C4-C5", "C5", "C6"]
    for number, (name, *_) in enumerate(STACK[:4], start=1):
        assert np.array_equal(found[name], labelling.instances_volume == number), name
    block = labelling.instances_volume == 5
    assert np.array_equal(found["C5"] | found["C6"], block) and not (found["C5"] & found["C6"]).any()
    assert 0.4 < found["C5"].sum() / block.sum() < 0.6
    assert np.array_equal(labels(context, case).array, own.array), "the mask is as it was"


@pytest.mark.parametrize("grid", [GRIDS[0], GRIDS[2], OBLIQUE[3]])
def test_every_body_and_disc_has_a_point_with_its_name_in_it(context, grid):
    case, _, labelling, levels = shown(context, grid)
    assert names_of(levels.points) == ["C3", "C3-C4 disc", "C4", "C4-C5 disc", "C5-C6 block"]
    for index in range(5):
        place = np.array([*levels.points.GetNthControlPointPosition(index), 1.0])
        voxel = np.rint(np.linalg.solve(case.image.affine, place)[:3] - 1e-6).astype(int)
        assert labelling.instances_volume[tuple(voxel)] == index + 1
    assert levels.points.GetNthControlPointDescription(4) == "fused" and levels.points.GetLocked()
    assert levels.line.GetNumberOfControlPoints() == 40
    assert levels.line.GetNthControlPointPosition(0) == pytest.approx(labelling.line_mm[0])


def test_segments_bear_the_names_and_codes_of_their_levels(context):
    *_, levels = shown(context)
    known = {level.name: level for level in anatomy.levels()}
    for key, segment in segments(levels.segmentation).items():
        assert segment.GetName() == (f"{key} disc" if "-" in key else key)
        assert segment.GetLabelValue() == known[key].value and not segment.GetNameAutoGenerated()
        assert f"SCT^{known[key].code}^{key} " in segment.GetTerminology()
        assert "Cervical spine" in segment.GetTerminology()
    by_name = {name: terminology.level_entry(level) for name, level in known.items()}
    assert "Cervical spine" in by_name["C7-T1"] and "Thoracic spine" in by_name["T1"]
    assert len(set(by_name.values())) == len(known)


def test_neighbours_differ_in_colour():
    def differ(first, second) -> float:
        return float(np.linalg.norm(np.subtract(first, second)))

    bodies = [scene.levels.color(order, False) for order in range(20)]
    discs = [scene.levels.color(order, True) for order in range(20)]
    for order in range(19):
        assert differ(bodies[order], bodies[order + 1]) > 0.5
        assert differ(discs[order], discs[order + 1]) > 0.15
        assert min(differ(discs[order], bodies[order]), differ(discs[order], bodies[order + 1])) > 0.5


def test_without_names_places_from_the_top_are_shown(context):
    case, _, labelling, levels = shown(context, absolute=False)
    found = voxels(levels.segmentation, case.image)
    assert list(found) == ["body-1", "disc-1", "body-2", "disc-2", "block-3"]
    assert names_of(levels.points) == ["body 1", "disc 1", "body 2", "disc 2", "block 3"]
    for number, place in enumerate(found.values(), start=1):
        assert np.array_equal(place, labelling.instances_volume == number)
    generic = [terminology.structure_of(segment).key for segment in segments(levels.segmentation).values()]
    assert generic == ["bodies", "discs", "bodies", "discs", "bodies"]


def test_a_mask_in_another_order_of_voxels_is_put_onto_the_image(context):
    mask, numbers = stack()
    case, _ = loaded(context, volume.from_array(np.full(SHAPE, 300, np.int16), PSR), volume.from_array(mask, PSR))
    other = volume.reorient(volume.from_array(numbers, PSR), "LAS")
    levels = scene.show_levels(context, case, found_in(other), volume.like(other, other.array))
    assert np.array_equal(voxels(levels.segmentation, case.image)["C4"], numbers == 3)
    with pytest.raises(InputError, match="find them again"):
        scene.show_levels(context, case, found_in(other))
    assert scene.find_levels(context, case) is not None, "what was shown stays"


def test_levels_that_are_shown_again_take_the_place_of_the_former(context):
    case, _, labelling, _ = shown(context)
    count = len(context.nodes("vtkMRMLNode"))
    again = scene.show_levels(context, case, labelling)
    assert len(context.nodes("vtkMRMLNode")) == count
    found = scene.find_levels(context, case)
    assert (found.segmentation, found.points, found.line) == (again.segmentation, again.points, again.line)


def test_levels_lie_in_the_patients_folder_and_go_with_their_exam_alone(context):
    case, _, labelling, levels = shown(context)
    other, _ = loaded(context, case.image, name="other", patient="593973-000124")
    kept = scene.show_levels(context, other, labelling)
    hierarchy = context.subject_hierarchy
    for node in (levels.segmentation, levels.points, levels.line):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == case.folder
    scene.close_case(context, case)
    assert scene.find_levels(context, case) is None
    assert scene.find_levels(context, other).points is kept.points
    scene.close_case(context, other)
    kinds = ("vtkMRMLDisplayableNode", "vtkMRMLMarkupsDisplayNode", "vtkMRMLSegmentationDisplayNode")
    assert [node.GetName() for kind in kinds for node in context.nodes(kind)] == []


def test_a_saved_scene_keeps_levels_points_and_line(context, tmp_path):
    shown(context)
    scene.save_scene(context, tmp_path / "levels é.mrb")
    back = scene.Context.create()
    scene.open_scene(back, tmp_path / "levels é.mrb")
    (points,) = back.nodes("vtkMRMLMarkupsFiducialNode")
    (line,) = back.nodes("vtkMRMLMarkupsCurveNode")
    assert names_of(points)[-1] == "C5-C6 block" and line.GetNumberOfControlPoints() == 40
    kept = [segments(node) for node in back.nodes("vtkMRMLSegmentationNode")]
    assert [list(found) for found in kept][1] == ["C3", "C3-C4", "C4", "C4-C5", "C5", "C6"]


def test_levels_of_a_sample_exam_are_shown_as_they_were_found(context, sample_dataset):
    exam = sample_dataset.exams(patient="593973-900002")[0]
    image, mask = volume.read(exam.image), volume.read_mask(exam.mask)
    labelling = spine.label(mask)
    case = scene.load_case(context, image, mask, name=exam.stem, patient_id=exam.patient_id)
    found = voxels(scene.show_levels(context, case, labelling).segmentation, image)
    expected = labelling.level_volume(mask).array
    for name, place in found.items():
        assert place.any() and np.array_equal(place, expected == anatomy.level_value(name)), name


def visible(node) -> bool:
    return bool(node.GetDisplayNode().GetVisibility())


def seen(case, levels) -> tuple[bool, ...]:
    """Whether mask, levels, line and names are seen."""
    return tuple(visible(node) for node in (case.segmentation_node, levels.segmentation, levels.line, levels.points))


def test_the_levels_are_seen_in_the_place_of_the_mask_and_the_mask_again_when_they_go(context):
    case, _, _, levels = shown(context)
    scene.levels.choose(context, case, levels=True, names=True)
    assert seen(case, levels) == (False, True, True, True)
    scene.levels.choose(context, case, levels=True, names=False)
    assert seen(case, levels) == (False, True, True, False)
    scene.levels.choose(context, case, levels=False, names=True)
    assert seen(case, levels) == (True, False, False, False)
    scene.levels.choose(context, case, levels=True, names=True)
    scene.levels.clear(context, case)
    scene.levels.hide(context, case, False)
    assert visible(case.segmentation_node)


def test_what_was_chosen_is_seen_again_after_the_image_was_seen_alone(context):
    case, _, _, levels = shown(context)
    for chosen, expected in ((True, (False, True, True, False)), (False, (True, False, False, False))):
        scene.levels.choose(context, case, levels=chosen, names=False)
        scene.levels.hide(context, case, True)
        assert not any(seen(case, levels))
        scene.levels.hide(context, case, False)
        assert seen(case, levels) == expected
    scene.levels.choose(context, case, levels=True, names=True, hidden=True)
    assert not any(seen(case, levels)), "chosen for later"


def test_without_levels_or_display_nodes_the_mask_is_hidden_and_shown(context):
    case, _ = loaded(context, volume.from_array(np.full(SHAPE, 300, np.int16), PSR))
    scene.levels.hide(context, case, True)
    assert not visible(case.segmentation_node)
    scene.levels.choose(context, case, levels=True, names=True)
    assert visible(case.segmentation_node), "there are no levels to show in its place"
    context.scene.RemoveNode(case.segmentation_node.GetDisplayNode())
    scene.levels.hide(context, case, True)
