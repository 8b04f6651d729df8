"""Opening an exam in MRML: nodes, segments, names, folders, and no bit changed."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import nibabel
import numpy as np
import pytest
import slicer
from scene_helpers import (
    OBLIQUE,
    ORIENTATIONS,
    PSR,
    affine,
    image,
    labels,
    loaded,
    mask_of,
    node_affine,
)

from CSpineSegLib import anatomy, scene, volume
from CSpineSegLib.errors import GeometryError
from CSpineSegLib.scene import images
from CSpineSegLib.scene.segmentation import segments


@pytest.fixture
def context():
    return scene.Context.create()


GRIDS = [affine(*orientation) for orientation in ORIENTATIONS] + list(OBLIQUE)


def test_there_are_48_orientations():
    assert len({"".join(nibabel.aff2axcodes(grid)) for grid in GRIDS[:48]}) == 48


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: "".join(nibabel.aff2axcodes(grid)))
def test_opening_and_saving_without_an_edit_changes_no_bit(context, grid):
    source = image(grid)
    mask = mask_of(source)
    case, _ = loaded(context, source, mask)
    np.testing.assert_array_equal(node_affine(case.volume_node), source.affine)
    np.testing.assert_array_equal(images.volume_of_node(case.volume_node).array, source.array)
    back = labels(context, case)
    assert back.warnings == ()
    np.testing.assert_array_equal(back.affine, source.affine)
    assert volume.encode(back) == volume.encode(mask)


def test_a_3d_ras_exam_whose_sagittal_axis_is_the_first_comes_back_exactly(context):
    grid = np.diag([0.8, 0.8, 0.8, 1.0])
    grid[:3, 3] = (-60, -80, -90)
    source = image(grid, shape=(24, 20, 22))
    assert (source.orientation, source.sagittal_axis) == ("RAS", 0)
    case, mask = loaded(context, source)
    assert volume.encode(labels(context, case)) == volume.encode(mask)


@pytest.mark.parametrize(
    "kind", ["int8", "uint8", "int16", "uint16", "int32", "int64", "float32", "float64", "float16"]
)
def test_every_voxel_type_keeps_its_values_in_the_scene(context, kind):
    array = np.random.default_rng(3).integers(0, 100, (6, 5, 4)).astype(kind)
    case = scene.load_case(context, volume.from_array(array, PSR), name="exam", patient_id="1")
    shown = images.volume_of_node(case.volume_node).array
    np.testing.assert_array_equal(shown, array)
    assert shown.dtype == (np.float32 if kind == "float16" else array.dtype)


def test_a_case_has_two_segments_with_fixed_ids_names_colours_and_values(context):
    case, _ = loaded(context)
    found = segments(case.segmentation_node)
    assert list(found) == ["bodies", "discs"]
    for structure in anatomy.STRUCTURES:
        segment = found[structure.key]
        assert segment.GetName() == structure.name
        assert segment.GetColor() == structure.color
        assert segment.GetLabelValue() == structure.label
    assert case.segmentation_node.GetSegmentation().GetNumberOfLayers() == 1
    role = case.segmentation_node.GetReferenceImageGeometryReferenceRole()
    assert case.segmentation_node.GetNodeReference(role) is case.volume_node


@pytest.mark.parametrize("mask", ["none", "empty"])
def test_without_labels_there_are_two_empty_segments(context, mask):
    source = image()
    given = None if mask == "none" else volume.like(source, np.zeros(source.shape, np.uint8))
    case = scene.load_case(context, source, given, name="exam", patient_id="1")
    assert list(segments(case.segmentation_node)) == ["bodies", "discs"]
    back = labels(context, case)
    assert not back.array.any() and back.array.dtype == np.uint8 and back.warnings == ()


def test_exams_of_one_patient_share_a_folder_and_another_patient_has_his_own(context):
    first, _ = loaded(context, name="a")
    second, _ = loaded(context, name="b")
    other, _ = loaded(context, name="c", patient="593973-000124")
    assert first.folder == second.folder != other.folder
    hierarchy = context.subject_hierarchy
    assert hierarchy.GetNumberOfItemChildren(first.folder) == 4
    assert hierarchy.GetItemName(first.folder) == "593973-000123"
    assert hierarchy.GetItemLevel(first.folder) == "Patient"
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(other.segmentation_node)) == other.folder
    hierarchy.SetItemName(first.folder, "renamed by hand")
    third, _ = loaded(context, name="d")
    assert third.folder == first.folder


def test_names_in_any_script_are_kept(context):
    case, mask = loaded(context, name="Übung_脊椎", patient="Müller-日本")
    assert case.volume_node.GetName() == "Übung_脊椎"
    assert context.subject_hierarchy.GetItemName(case.folder) == "Müller-日本"
    np.testing.assert_array_equal(labels(context, case).array, mask.array)


def test_closing_a_case_leaves_the_scene_as_it_was(context):
    context.color_table()
    before = context.scene.GetNumberOfNodes(), context.subject_hierarchy.GetNumberOfItems()
    first, _ = loaded(context, name="a")
    second, mask = loaded(context, name="b")
    scene.close_case(context, first)
    np.testing.assert_array_equal(labels(context, second).array, mask.array)
    assert context.subject_hierarchy.GetItemName(second.folder) == "593973-000123"
    scene.close_case(context, second)
    assert (context.scene.GetNumberOfNodes(), context.subject_hierarchy.GetNumberOfItems()) == before


def test_the_window_shows_bone_and_disc_and_not_the_few_brightest_voxels(context):
    array = np.full((10, 10, 10), 100, np.int16)
    array[0, 0, :3] = 30000
    case = scene.load_case(context, volume.from_array(array, PSR), name="exam", patient_id="1")
    display = case.volume_node.GetDisplayNode()
    assert display.GetWindowLevelMax() <= 101 and display.GetWindowLevelMin() <= 100
    assert not display.GetAutoWindowLevel()


def test_a_mask_in_another_voxel_order_is_put_onto_the_image_and_it_is_said(context):
    source = image()
    mask = mask_of(source)
    case = scene.load_case(context, source, volume.reorient(mask, "RAS"), name="exam", patient_id="1")
    assert volume.encode(labels(context, case)) == volume.encode(mask)
    assert "put back voxel by voxel" in case.warnings[0]


def test_a_mask_of_another_image_is_refused_and_nothing_is_added(context):
    source = image()
    other = mask_of(image(PSR + np.array([[0, 0, 0, 1.0], [0] * 4, [0] * 4, [0] * 4])))
    before = context.scene.GetNumberOfNodes()
    with pytest.raises(GeometryError, match="does not lie on"):
        scene.load_case(context, source, other, name="exam", patient_id="1")
    assert context.scene.GetNumberOfNodes() == before


def test_inside_slicer_the_applications_own_scene_and_logics_are_used(monkeypatch):
    # The application cannot be installed here: its scene and logics are real ones of slicer-core, only the names
    # under which Slicer offers them are put in place.
    own = scene.Context.create()
    entry = types.SimpleNamespace(segmentations=types.SimpleNamespace(logic=lambda: own.segmentations))
    monkeypatch.setattr(slicer, "mrmlScene", own.scene, raising=False)
    monkeypatch.setattr(slicer, "app", types.SimpleNamespace(applicationLogic=lambda: own.application), raising=False)
    monkeypatch.setattr(slicer, "modules", entry, raising=False)
    context = scene.Context.create()
    assert context.in_slicer and context.scene is own.scene and context.segmentations is own.segmentations
    case, mask = loaded(context)
    assert volume.encode(labels(context, case)) == volume.encode(mask)


def test_without_slicer_the_room_says_so_in_one_sentence_and_the_library_still_imports(tmp_path):
    code = (
        "import sys; sys.modules['slicer'] = None; import CSpineSegLib; from CSpineSegLib import volume, errors\n"
        "try:\n    import CSpineSegLib.scene\nexcept errors.InputError as error:\n    print(error)"
    )
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert "needs 3D Slicer or the slicer-core package" in answer.stdout and answer.stdout.count("\n") == 1


def test_the_colour_table_holds_our_labels_and_is_read_once(context):
    table = context.color_table()
    assert context.color_table() is table
    assert table.GetNumberOfColors() == 3
    for structure in anatomy.STRUCTURES:
        color = [0.0] * 4
        table.GetColor(structure.label, color)
        np.testing.assert_allclose(color[:3], structure.color, atol=1 / 255)
        assert table.GetTerminologyAsString(structure.label).count(structure.code) == 1


def test_the_real_exam_keeps_voxel_order_and_affine(context, real_t2):
    source = volume.read(real_t2)
    threshold = np.percentile(source.array, (90, 98))
    mask = volume.like(source, np.digitize(source.array, threshold).astype(np.uint8))
    case, _ = loaded(context, source, mask)
    reference = nibabel.load(real_t2)
    np.testing.assert_array_equal(node_affine(case.volume_node), reference.affine)
    np.testing.assert_array_equal(images.volume_of_node(case.volume_node).array, np.asarray(reference.dataobj))
    back = labels(context, case)
    assert volume.encode(back) == volume.encode(mask)
    written = nibabel.Nifti1Image.from_bytes(volume.encode(back, gz=False))
    np.testing.assert_array_equal(written.affine, reference.affine)
    assert nibabel.aff2axcodes(written.affine) == ("P", "S", "R")
