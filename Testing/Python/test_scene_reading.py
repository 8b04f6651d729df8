"""Reading a segmentation back onto the source grid, whatever a user did to its segments and layers."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from scene_helpers import (
    OBLIQUE,
    PSR,
    SPACING,
    image,
    labels,
    loaded,
)

from CSpineSegLib import anatomy, scene, volume
from CSpineSegLib.errors import GeometryError, InputError
from CSpineSegLib.scene import images
from CSpineSegLib.scene.segmentation import LABELMAP, segments


@pytest.fixture
def context():
    return scene.Context.create()


def test_renamed_reordered_and_recoloured_segments_are_told_by_their_ids(context):
    case, mask = loaded(context)
    found = segments(case.segmentation_node)
    found["bodies"].SetName("Intervertebral discs")
    found["discs"].SetName("Wirbel-Körper 椎体")
    found["discs"].SetColor(1, 1, 1)
    case.segmentation_node.GetSegmentation().ReorderSegments(["discs", "bodies"])
    back = labels(context, case)
    np.testing.assert_array_equal(back.array, mask.array)
    assert back.warnings == ()


def test_a_deleted_segment_is_read_as_empty_and_it_is_said(context):
    case, mask = loaded(context)
    case.segmentation_node.GetSegmentation().RemoveSegment("discs")
    back = labels(context, case)
    np.testing.assert_array_equal(back.array, np.where(mask.array == 2, 0, mask.array))
    assert back.warnings == ("The segment 'Intervertebral discs' was deleted; label 2 is empty.",)


def test_an_added_segment_with_voxels_is_refused_by_name_and_an_empty_one_left_out(context):
    case, mask = loaded(context)
    segmentation = case.segmentation_node.GetSegmentation()
    segmentation.AddEmptySegment("extra", "Spinal cord")
    back = labels(context, case)
    np.testing.assert_array_equal(back.array, mask.array)
    assert back.warnings == ("The added segment 'Spinal cord' is empty and was left out.",)
    voxels = np.zeros(case.image.shape, np.uint8)
    voxels[1, 2, 3] = 1
    added = segmentation.GetSegment("extra")
    added.RemoveAllRepresentations()
    added.SetLabelValue(1)
    added.AddRepresentation(LABELMAP, images.oriented_image(voxels, case.image.affine))
    with pytest.raises(InputError, match="'Spinal cord' was added and holds 1 voxels"):
        labels(context, case)


def replaced(case, key, array, grid_affine, value=1):
    """Give a segment a labelmap of its own, as Slicer does for separate layers."""
    segment = segments(case.segmentation_node)[key]
    segment.RemoveAllRepresentations()
    segment.SetLabelValue(value)
    segment.AddRepresentation(LABELMAP, images.oriented_image(array.astype(np.uint8), grid_affine))


def test_segments_on_layers_of_their_own_with_any_label_value_come_back(context):
    case, mask = loaded(context)
    case.segmentation_node.GetSegmentation().SeparateSegmentLabelmap("discs")
    assert case.segmentation_node.GetSegmentation().GetNumberOfLayers() == 2
    np.testing.assert_array_equal(labels(context, case).array, mask.array)
    replaced(case, "bodies", (mask.array == 1) * 7, case.image.affine, value=7)
    assert volume.encode(labels(context, case)) == volume.encode(mask)


def test_where_segments_overlap_the_disc_wins_and_the_voxels_are_counted(context):
    case, mask = loaded(context)
    discs = mask.array == 2
    discs[:4] = True
    replaced(case, "discs", discs, case.image.affine)
    case.segmentation_node.GetSegmentation().ReorderSegments(["discs", "bodies"])
    back = labels(context, case)
    np.testing.assert_array_equal(back.array, np.where(discs, 2, mask.array * (mask.array == 1)))
    shared = int(np.count_nonzero(discs & (mask.array == 1)))
    assert back.warnings == (f"{shared} voxels belonged to both segments; they were read as discs.",)


@pytest.mark.parametrize("grid", [PSR, OBLIQUE[1], OBLIQUE[4]], ids=["PSR", "oblique", "oblique right-handed"])
@pytest.mark.parametrize("order", ["LPS", "RAS", "SRA"])
def test_a_labelmap_in_a_flipped_or_permuted_lattice_comes_back_exactly(context, grid, order):
    case, mask = loaded(context, image(grid))
    flipped = volume.reorient(mask, order)
    for structure in anatomy.STRUCTURES:
        replaced(case, structure.key, flipped.array == structure.label, flipped.affine)
    back = labels(context, case)
    assert volume.encode(back) == volume.encode(mask)
    assert len(back.warnings) == 1 and "put back voxel by voxel" in back.warnings[0]


def test_a_cropped_labelmap_comes_back_in_its_place_and_nothing_is_said(context):
    source = image(OBLIQUE[0])
    array = np.zeros(source.shape, np.uint8)
    array[5:8, 6:9, 2:4] = 1
    array[6, 7, 3] = 2
    case, mask = loaded(context, source, volume.like(source, array))
    for structure in anatomy.STRUCTURES:
        part = images.oriented_image(array == structure.label, source.affine)
        cropped = slicer.vtkOrientedImageData()
        slicer.vtkOrientedImageDataResample.CopyImage(part, cropped, (4, 9, 5, 10, 2, 4))
        assert cropped.GetExtent() == (4, 9, 5, 10, 2, 4)
        segment = segments(case.segmentation_node)[structure.key]
        segment.RemoveAllRepresentations()
        segment.SetLabelValue(1)
        segment.AddRepresentation(LABELMAP, cropped)
    back = labels(context, case)
    assert volume.encode(back) == volume.encode(mask) and back.warnings == ()


def test_a_labelmap_grown_beyond_the_image_is_read_unless_labels_lie_out_there(context):
    case, mask = loaded(context)
    grown = np.pad(mask.array == 1, 3)
    origin = case.image.affine.copy()
    origin[:3, 3] -= case.image.affine[:3, :3] @ [3, 3, 3]
    replaced(case, "bodies", grown, origin)
    back = labels(context, case)
    assert volume.encode(back) == volume.encode(mask) and back.warnings == ()
    grown[1, 1, 1] = grown[0, 5, 5] = True
    replaced(case, "bodies", grown, origin)
    with pytest.raises(GeometryError, match=r"'Vertebral bodies' cannot be read back.* 2 labelled voxels outside"):
        labels(context, case)


def test_another_lattice_is_refused_unless_resampling_was_asked_for(context):
    source = image(shape=(12, 14, 6))
    array = np.zeros(source.shape, np.uint8)
    array[3:9, 4:10, 2:5] = 1
    case, mask = loaded(context, source, volume.like(source, array))
    finer = source.affine @ np.diag([0.5, 0.5, 1, 1])
    finer[:3, 3] -= source.affine[:3, :3] @ [0.25, 0.25, 0]
    replaced(case, "bodies", (array == 1).repeat(2, 0).repeat(2, 1), finer)
    with pytest.raises(GeometryError, match=r"'Vertebral bodies' cannot be read back.*measure"):
        labels(context, case)
    back = labels(context, case, resample=True)
    np.testing.assert_array_equal(back.array, mask.array)
    size = (array == 1).sum() * np.prod(SPACING)
    assert f"was resampled: {size:.0f} mm3 became {size:.0f} mm3" in back.warnings[0]
    outside = finer.copy()
    outside[:3, 3] += source.affine[:3, :3] @ [7.3, 0, 0]
    replaced(case, "bodies", (array == 1).repeat(2, 0).repeat(2, 1), outside)
    with pytest.raises(GeometryError, match="voxels lie outside the image"):
        labels(context, case, resample=True)


def transformed(context, *nodes, shift=5.0):
    transform = context.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Registration")
    matrix = np.eye(4)
    matrix[0, 3] = shift
    transform.SetMatrixTransformToParent(images.matrix(matrix))
    for node in nodes:
        node.SetAndObserveTransformNodeID(transform.GetID())


def test_a_transform_that_moves_image_and_segmentation_together_changes_nothing(context):
    case, mask = loaded(context)
    transformed(context, case.volume_node, case.segmentation_node)
    assert volume.encode(labels(context, case)) == volume.encode(mask)


@pytest.mark.parametrize("moved", ["volume_node", "segmentation_node"])
def test_a_transform_that_moves_one_against_the_other_is_refused(context, moved):
    case, mask = loaded(context)
    transformed(context, getattr(case, moved), shift=0.0)
    assert volume.encode(labels(context, case)) == volume.encode(mask)
    transformed(context, getattr(case, moved))
    with pytest.raises(InputError, match="is moved by the transform 'Registration"):
        labels(context, case)


def test_a_segmentation_kept_as_surfaces_is_refused(context):
    case, _ = loaded(context)
    case.segmentation_node.CreateClosedSurfaceRepresentation()
    case.segmentation_node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    with pytest.raises(InputError, match="'Closed surface' and not as voxels"):
        labels(context, case)
