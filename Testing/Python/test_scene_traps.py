"""Slicer's traps: each test first shows the trap on slicer-core itself, then that the scene room avoids it.

If the first half of a test fails, Slicer has changed, and the remedy may have become unnecessary.
"""

from __future__ import annotations

import threading

import nibabel
import numpy as np
import pytest
import slicer
from scene_helpers import PSR, image, mask_of, node_affine, read_raw
from vtkmodules.util import numpy_support

from CSpineSegLib import anatomy, scene, volume
from CSpineSegLib.errors import CSpineSegError, GeometryError, InputError
from CSpineSegLib.scene import images, terminology
from CSpineSegLib.scene.pictures import surfaces_of
from CSpineSegLib.scene.segmentation import LABELMAP, segments

EXPORT = slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode
EXTENT = slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY


@pytest.fixture
def context():
    return scene.Context.create()


@pytest.fixture
def case(context):
    source = image()
    return scene.load_case(context, source, mask_of(source), name="exam", patient_id="593973-000123")


def test_trap_1_left_handed_grids_are_flipped_by_slicers_reader_and_kept_by_ours(context, tmp_path):
    source = image(PSR)
    path = tmp_path / "psr.nii.gz"
    volume.write(source, path)
    raw = read_raw(context.scene, path)
    assert np.linalg.det(node_affine(raw)[:3, :3]) > 0
    assert not np.array_equal(images.volume_of_node(raw).array, source.array)

    ours = scene.load_case(context, volume.read(path), name="exam", patient_id="1").volume_node
    np.testing.assert_array_equal(node_affine(ours), nibabel.load(path).affine)
    np.testing.assert_array_equal(images.volume_of_node(ours).array, np.asarray(nibabel.load(path).dataobj))


def forms(path, sform, qform, codes, dtype=np.int16, units="mm"):
    array = np.arange(12 * 14 * 5).reshape(12, 14, 5).astype(dtype)
    picture = nibabel.Nifti1Image(array, np.eye(4))
    picture.header.set_xyzt_units(units)
    picture.set_sform(sform, codes[0])
    picture.set_qform(qform, codes[1], strip_shears=True)
    nibabel.save(picture, path)


def shifted(matrix, millimetres):
    result = matrix.copy()
    result[0, 3] += millimetres
    return result


RIGHT = np.diag([0.7, 0.8, 4.0, 1.0])


def test_trap_2_slicer_takes_the_qform_where_nibabel_takes_the_sform(context, tmp_path):
    path = tmp_path / "forms.nii"
    forms(path, RIGHT, shifted(RIGHT, 20.0), codes=(2, 1))
    raw = node_affine(read_raw(context.scene, path))
    assert abs(raw - nibabel.load(path).affine).max() == pytest.approx(20.0)

    with pytest.raises(GeometryError, match="disagree"):
        volume.read(path)
    forms(path, RIGHT, shifted(RIGHT, 0.05), codes=(2, 1))
    ours = scene.load_case(context, volume.read(path), name="exam", patient_id="1")
    np.testing.assert_array_equal(node_affine(ours.volume_node), nibabel.load(path).affine)
    assert "disagree" in ours.warnings[0]


def test_trap_3_a_sheared_sform_fails_or_is_silently_straightened_by_slicer(context, tmp_path):
    sheared = RIGHT.copy()
    sheared[0, 1] = 0.3
    path = tmp_path / "shear.nii"
    forms(path, sheared, sheared, codes=(1, 0))
    assert read_raw(context.scene, path) is None
    forms(path, sheared, sheared, codes=(1, 1))
    raw = read_raw(context.scene, path)
    assert abs(node_affine(raw) - nibabel.load(path).affine).max() > 0.05

    with pytest.raises(GeometryError, match=r"shear|disagree"):
        volume.read(path)
    sheared[0, 1] = 0.002
    forms(path, sheared, RIGHT, codes=(1, 0))
    source = volume.read(path)
    mask = mask_of(source)
    ours = scene.load_case(context, source, mask, name="exam", patient_id="1")
    back = scene.read_segmentation(context, ours.segmentation_node, source)
    np.testing.assert_array_equal(back.array, mask.array)
    np.testing.assert_array_equal(back.affine, source.affine)


def test_trap_4_units_in_metres_and_intensity_scales_are_the_same_in_file_and_scene(context, tmp_path):
    path = tmp_path / "metres.nii"
    metres = np.diag([0.0007, 0.0008, 0.004, 1.0])
    forms(path, metres, metres, codes=(1, 1), units="meter")
    raw = node_affine(read_raw(context.scene, path))
    assert np.diag(raw)[0] == pytest.approx(0.7) and np.diag(nibabel.load(path).affine)[0] == pytest.approx(0.0007)

    ours = scene.load_case(context, volume.read(path), name="exam", patient_id="1")
    np.testing.assert_allclose(node_affine(ours.volume_node), raw, atol=1e-6)

    picture = nibabel.Nifti1Image(np.arange(840, dtype=np.int16).reshape(12, 14, 5), RIGHT)
    picture.header.set_slope_inter(2.5, -10)
    nibabel.save(picture, tmp_path / "scaled.nii")
    raw = images.volume_of_node(read_raw(context.scene, tmp_path / "scaled.nii"))
    assert raw.array.dtype.kind == "f"
    ours = scene.load_case(context, volume.read(tmp_path / "scaled.nii"), name="exam", patient_id="1")
    np.testing.assert_allclose(images.volume_of_node(ours.volume_node).array, raw.array, rtol=1e-6)


def test_trap_5_slicer_exports_int16_with_codes_of_its_own_and_ours_keeps_uint8_and_the_files_codes(context, tmp_path):
    source = image()
    source.header.set_sform(source.affine, code=2)
    source.header.set_qform(source.affine, code=1)
    mask = mask_of(source)
    case = scene.load_case(context, source, mask, name="exam", patient_id="1")
    labelmap = context.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert EXPORT(case.segmentation_node, list(segments(case.segmentation_node)), labelmap, case.volume_node, EXTENT)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    context.scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "raw.nii"))
    assert storage.WriteData(labelmap)
    raw = nibabel.load(tmp_path / "raw.nii").header
    assert raw.get_data_dtype() == np.int16
    assert (int(raw["sform_code"]), int(raw["qform_code"])) == (1, 1)

    volume.write(scene.read_segmentation(context, case.segmentation_node, source), tmp_path / "ours.nii")
    ours = nibabel.load(tmp_path / "ours.nii").header
    assert ours.get_data_dtype() == np.uint8
    assert (int(ours["sform_code"]), int(ours["qform_code"])) == (2, 1)


def test_trap_6_a_shared_labelmap_takes_raw_values_and_a_separated_one_changes_them(context, case):
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    node, expected = case.segmentation_node, mask_of(case.image).array
    voxels = np.zeros(case.image.shape, bool)
    voxels[3:6, 4:8, 1:3] = True
    everywhere = [end for size in case.image.shape for end in (0, size - 1)]

    def written(value, others):
        raw = scene.load_case(context, case.image, mask_of(case.image), name="raw", patient_id="1").segmentation_node
        modifier = images.oriented_image(voxels.astype(np.uint8) * value, case.image.affine)
        logic.SetBinaryLabelmapToSegment(modifier, raw, "discs", logic.MODE_MERGE_MAX, everywhere, False, others)
        return raw, scene.read_segmentation(context, raw, case.image).array[voxels]

    _, shared = written(1, ["bodies"])
    assert np.count_nonzero(shared == anatomy.BODY) > np.count_nonzero(expected[voxels] == anatomy.BODY)
    separated, lost = written(2, [])
    assert [segment.GetLabelValue() for segment in segments(separated).values()] == [1, 1]
    assert np.count_nonzero(lost == anatomy.DISC) == 0

    assert scene.Editor(context, case).paint_voxels("discs", voxels) == 24
    expected = np.where(voxels, anatomy.DISC, expected)
    np.testing.assert_array_equal(scene.read_segmentation(context, node, case.image).array, expected)


def test_trap_7_an_imported_labelmap_has_no_terminology_and_our_segments_have(context, case, tmp_path):
    labelmap = context.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    labelmap.SetIJKToRASMatrix(images.matrix(PSR))
    labelmap.SetAndObserveImageData(images.oriented_image(mask_of(case.image).array, np.eye(4)))
    raw = context.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labelmap, raw)
    assert len(segments(raw)) == 2
    assert all(terminology.structure_of(segment) is None for segment in segments(raw).values())

    def codes(node):
        return {key: terminology.structure_of(segment).code for key, segment in segments(node).items()}

    assert codes(case.segmentation_node) == {"bodies": "3572006", "discs": "360499006"}
    entry = slicer.vtkSlicerTerminologyEntry()
    serialized = segments(case.segmentation_node)["discs"].GetTerminology()
    assert slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(serialized, entry)
    assert entry.GetTypeObject().GetCodeMeaning() == "Intervertebral disc"
    assert entry.GetCategoryObject().GetCodeValue() == "123037004"
    assert entry.GetRegionObject().GetCodeMeaning() == "Cervical spine"
    scene.save_segmentation(context, case.segmentation_node, tmp_path / "exam.seg.nrrd")
    assert codes(scene.load_with_slicer(context, tmp_path / "exam.seg.nrrd")) == codes(case.segmentation_node)


def exported(context, node, reference, table=None):
    labelmap = context.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert EXPORT(node, list(segments(node)), labelmap, reference, EXTENT, table)
    return images.volume_of_node(labelmap).array


def test_trap_8_slicers_export_renumbers_and_ours_goes_by_the_segments_id(context, case):
    node, expected = case.segmentation_node, mask_of(case.image).array
    node.GetSegmentation().ReorderSegments(["discs", "bodies"])
    raw = exported(context, node, case.volume_node)
    np.testing.assert_array_equal(raw == anatomy.BODY, expected == anatomy.DISC)
    np.testing.assert_array_equal(exported(context, node, case.volume_node, context.color_table()), expected)

    discs = segments(node)["discs"]
    discs.SetName("Disques")
    discs.SetTerminology("")
    raw = exported(context, node, case.volume_node, context.color_table())
    assert set(np.unique(raw)) - {0, 1, 2}

    back = scene.read_segmentation(context, node, case.image)
    np.testing.assert_array_equal(back.array, expected)
    assert back.warnings == ()


def test_trap_9_a_colour_table_gives_a_nifti_names_and_colours_but_no_terminology(context, case, tmp_path):
    path = tmp_path / "exam_SEG.nii.gz"
    volume.write(mask_of(case.image), path)
    table = slicer.vtkMRMLColorTableNode()
    context.scene.AddNode(table)
    table.Copy(context.color_table())
    raw = context.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    raw.SetLabelmapConversionColorTableNodeID(table.GetID())
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(raw)
    assert all(terminology.structure_of(segment) is None for segment in segments(raw).values())

    node = scene.load_with_slicer(context, path)
    for structure in anatomy.STRUCTURES:
        segment = segments(node)[structure.key]
        assert (segment.GetName(), segment.GetColor()) == (structure.name, structure.color)
        assert terminology.structure_of(segment) is structure
    back = scene.read_segmentation(context, node, case.image)
    np.testing.assert_array_equal(back.array, mask_of(case.image).array)


def test_trap_10_mrml_from_another_thread_is_refused_before_it_crashes(context, case, tmp_path):
    raised = []

    def attempt(function):
        try:
            function()
        except CSpineSegError as error:
            raised.append(str(error))

    calls = (
        lambda: scene.load_case(context, case.image, name="exam", patient_id="1"),
        lambda: scene.read_segmentation(context, case.segmentation_node, case.image),
        lambda: scene.Editor(context, case),
        lambda: scene.Context.create(),
        lambda: scene.picture(context, case, tmp_path / "picture.png"),
        lambda: scene.save_scene(context, tmp_path / "scene.mrb"),
        lambda: scene.close_case(context, case),
    )
    nodes = context.scene.GetNumberOfNodes()
    for call in calls:
        thread = threading.Thread(target=attempt, args=(call,), name="Worker")
        thread.start()
        thread.join()
    assert len(raised) == len(calls)
    assert all("main thread" in text and "'Worker'" in text for text in raised)
    assert context.scene.GetNumberOfNodes() == nodes and not list(tmp_path.iterdir())


@pytest.mark.parametrize("grid", [PSR, RIGHT], ids=["left-handed", "right-handed"])
def test_surfaces_of_left_handed_grids_are_inside_out_in_slicer_and_not_in_ours(context, grid):
    source = image(grid)
    array = np.zeros(source.shape, np.uint8)
    array[3:9, 4:10, 1:4] = anatomy.BODY
    case = scene.load_case(context, source, volume.like(source, array), name="exam", patient_id="1")

    def enclosed(surface):
        points = numpy_support.vtk_to_numpy(surface.GetPoints().GetData()).astype(float)
        points -= points.mean(axis=0)
        first, second, third = (
            points[numpy_support.vtk_to_numpy(surface.GetPolys().GetConnectivityArray())]
            .reshape(-1, 3, 3)
            .transpose(1, 0, 2)
        )
        normals = numpy_support.vtk_to_numpy(surface.GetPointData().GetNormals())
        return np.einsum("ij,ij", first, np.cross(second, third)) / 6, np.mean((points * normals).sum(axis=1) > 0)

    ours, outwards = enclosed(surfaces_of(case.segmentation_node)["bodies"])
    size = np.count_nonzero(array) * source.grid.voxel_volume
    assert 0.5 * size < ours < size and outwards == 1.0
    case.segmentation_node.CreateClosedSurfaceRepresentation()
    raw, outwards = enclosed(segments(case.segmentation_node)["bodies"].GetRepresentation("Closed surface"))
    assert (raw < 0, outwards) == ((True, 0.0) if source.grid.is_left_handed else (False, 1.0))


def test_a_mask_that_came_through_slicers_dialogs_is_flipped_nameless_and_can_be_adopted(context, case, tmp_path):
    volume.write(mask_of(case.image), tmp_path / "mask.nii.gz")
    labelmap = read_raw(context.scene, tmp_path / "mask.nii.gz", "vtkMRMLLabelMapVolumeNode")
    node = context.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labelmap, node)
    assert not {"bodies", "discs"} & set(segments(node))
    with pytest.raises(InputError, match="'Label_1' was added"):
        scene.read_segmentation(context, node, case.image)

    scene.adopt_segmentation(context, node, case.volume_node)
    back = scene.read_segmentation(context, node, case.image)
    assert volume.encode(back) == volume.encode(mask_of(case.image))
    assert "is flipped" in back.warnings[0]


def test_an_image_with_a_label_of_its_own_is_not_a_mask(context):
    source = image()
    wrong = volume.like(source, np.full(source.shape, 3, np.uint8))
    nodes = context.scene.GetNumberOfNodes()
    with pytest.raises(InputError, match="label 3"):
        scene.load_case(context, source, wrong, name="exam", patient_id="1")
    assert context.scene.GetNumberOfNodes() == nodes


def test_slicer_still_calls_the_voxels_of_a_segmentation_as_we_do():
    assert slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName() == LABELMAP
