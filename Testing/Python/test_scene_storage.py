"""Slicer's own files: segmentations and scenes, saved and opened again."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scene_helpers import OBLIQUE, PSR, image, mask_of, node_affine

from CSpineSegLib import anatomy, scene, volume
from CSpineSegLib.errors import InputError, WriteError
from CSpineSegLib.scene import images, terminology
from CSpineSegLib.scene.segmentation import segments


@pytest.fixture
def context():
    return scene.Context.create()


@pytest.fixture(autouse=True)
def no_patient_data_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert not list(folder.iterdir())


def loaded(context, grid=PSR, name="exam"):
    source = image(grid)
    return scene.load_case(context, source, mask_of(source), name=name, patient_id="593973-000123"), mask_of(source)


@pytest.mark.parametrize("grid", [PSR, OBLIQUE[1], OBLIQUE[4]], ids=["PSR", "oblique", "oblique right-handed"])
def test_a_seg_nrrd_keeps_voxels_ids_names_colours_and_terminology(context, tmp_path, grid):
    case, mask = loaded(context, grid)
    path = tmp_path / "Schöne Akten 椎" / "exam.seg.nrrd"
    scene.save_segmentation(context, case.segmentation_node, path)
    node = scene.load_with_slicer(scene.Context.create(), path)
    for structure in anatomy.STRUCTURES:
        segment = segments(node)[structure.key]
        assert segment.GetName() == structure.name
        np.testing.assert_allclose(segment.GetColor(), structure.color, atol=1e-3)
        assert terminology.structure_of(segment) is structure
    back = scene.read_segmentation(context, node, case.image)
    assert volume.encode(back) == volume.encode(mask)
    assert [entry.name for entry in path.parent.iterdir()] == ["exam.seg.nrrd"]


def test_an_empty_segmentation_and_one_with_overlap_survive_a_seg_nrrd(context, tmp_path):
    case = scene.load_case(context, image(), None, name="exam", patient_id="1")
    scene.save_segmentation(context, case.segmentation_node, tmp_path / "empty.seg.nrrd")
    node = scene.load_with_slicer(context, tmp_path / "empty.seg.nrrd", case.volume_node)
    assert list(segments(node)) == ["bodies", "discs"]
    assert not scene.read_segmentation(context, node, case.image).array.any()
    case, mask = loaded(context)
    case.segmentation_node.GetSegmentation().SeparateSegmentLabelmap("discs")
    scene.save_segmentation(context, case.segmentation_node, tmp_path / "layers.seg.nrrd")
    node = scene.load_with_slicer(context, tmp_path / "layers.seg.nrrd")
    np.testing.assert_array_equal(scene.read_segmentation(context, node, case.image).array, mask.array)


@pytest.mark.parametrize("grid", [PSR, OBLIQUE[1], OBLIQUE[4]], ids=["PSR", "oblique", "oblique right-handed"])
def test_a_nifti_mask_read_by_slicer_comes_back_exactly(context, tmp_path, grid):
    case, mask = loaded(context, grid)
    path = tmp_path / "exam é_SEG.nii.gz"
    volume.write(mask, path)
    node = scene.load_with_slicer(context, path, case.volume_node)
    assert volume.encode(scene.read_segmentation(context, node, case.image)) == volume.encode(mask)
    case = scene.Case("again", "1", case.image, case.volume_node, node, case.folder)
    scene.Editor(context, case).paint_voxels("discs", mask.array == 0)
    expected = np.where(mask.array == 0, 2, mask.array)
    np.testing.assert_array_equal(scene.read_segmentation(context, node, case.image).array, expected)


def test_a_nifti_mask_with_only_discs_is_not_taken_for_bodies(context, tmp_path):
    case, mask = loaded(context)
    discs = volume.like(case.image, (mask.array == 2).astype(np.uint8) * np.uint8(2))
    volume.write(discs, tmp_path / "discs.nii.gz")
    node = scene.load_with_slicer(context, tmp_path / "discs.nii.gz")
    np.testing.assert_array_equal(scene.read_segmentation(context, node, case.image).array, discs.array)


def test_a_segmentation_of_something_else_is_refused_and_leaves_no_node(context, tmp_path):
    case, mask = loaded(context)
    wrong = volume.like(case.image, np.where(mask.array == 2, 9, mask.array).astype(np.uint8))
    volume.write(wrong, tmp_path / "cord.nii.gz")
    before = context.scene.GetNumberOfNodes()
    with pytest.raises(InputError, match=r"cord\.nii\.gz: The segment 'Segment_9' is neither"):
        scene.load_with_slicer(context, tmp_path / "cord.nii.gz")
    with pytest.raises(InputError, match="does not exist"):
        scene.load_with_slicer(context, tmp_path / "absent.seg.nrrd")
    (tmp_path / "notes.txt").write_text("no", encoding="utf-8")
    with pytest.raises(InputError, match="not a segmentation file"):
        scene.load_with_slicer(context, tmp_path / "notes.txt")
    assert context.scene.GetNumberOfNodes() == before


def test_a_damaged_file_is_refused_before_slicers_reader_ends_the_process(context, tmp_path):
    case, mask = loaded(context)
    scene.save_segmentation(context, case.segmentation_node, tmp_path / "whole.seg.nrrd")
    whole = (tmp_path / "whole.seg.nrrd").read_bytes()
    middle = len(whole) - 60
    flipped = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    unknown = whole.replace(b"encoding: gzip", b"encoding: hex")
    for damaged in (b"", b"NRRD0004\n", b"NRRD0004\n\n", whole[:200], whole[:-40], flipped, unknown):
        (tmp_path / "broken.seg.nrrd").write_bytes(damaged)
        with pytest.raises(InputError, match=r"broken\.seg\.nrrd"):
            scene.load_with_slicer(context, tmp_path / "broken.seg.nrrd")
    volume.write(mask, tmp_path / "mask.nii.gz")
    (tmp_path / "mask.nii.gz").write_bytes((tmp_path / "mask.nii.gz").read_bytes()[:-100])
    with pytest.raises(InputError, match="truncated or damaged"):
        scene.load_with_slicer(context, tmp_path / "mask.nii.gz")


def test_a_damaged_bundle_is_refused(context, tmp_path):
    loaded(context)
    scene.save_scene(context, tmp_path / "scene.mrb")
    whole = (tmp_path / "scene.mrb").read_bytes()
    third = len(whole) // 3
    (tmp_path / "scene.mrb").write_bytes(whole[:third] + bytes(50) + whole[third + 50 :])
    with pytest.raises(InputError, match=r"cannot be unpacked|cannot be opened"):
        scene.open_scene(scene.Context.create(), tmp_path / "scene.mrb")


def test_a_saved_scene_opens_with_voxel_order_segments_folders_and_edits(context, tmp_path):
    case, mask = loaded(context, name="Übung")
    loaded(context, OBLIQUE[0], name="other")
    voxels = np.zeros(case.image.shape, bool)
    voxels[2:5, 3:6, 1:3] = True
    scene.Editor(context, case).paint_voxels("discs", voxels)
    path = tmp_path / "scene é.mrb"
    scene.save_scene(context, path)
    opened = scene.Context.create()
    scene.open_scene(opened, path)
    names = {node.GetName(): node for node in opened.nodes("vtkMRMLSegmentationNode")}
    assert set(names) == {"Übung_SEG", "other_SEG"}
    node = names["Übung_SEG"]
    expected = np.where(voxels, 2, mask.array)
    back = scene.read_segmentation(opened, node, case.image)
    np.testing.assert_array_equal(back.array, expected)
    assert back.warnings == ()
    assert terminology.structure_of(segments(node)["discs"]) is anatomy.structure(anatomy.DISC)
    shown = node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole())
    np.testing.assert_allclose(node_affine(shown), case.image.affine, atol=1e-9)
    np.testing.assert_array_equal(images.volume_of_node(shown).array, case.image.array)
    hierarchy = opened.subject_hierarchy
    assert hierarchy.GetItemName(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))) == "593973-000123"
    assert scene.load_case(opened, case.image, name="more", patient_id="593973-000123").folder == (
        hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    )


def test_what_is_no_bundle_is_refused(context, tmp_path):
    (tmp_path / "no.mrb").write_bytes(b"not a zip")
    with pytest.raises(InputError, match="cannot be opened as a Slicer bundle"):
        scene.open_scene(context, tmp_path / "no.mrb")
    with zipfile.ZipFile(tmp_path / "empty.mrb", "w") as bundle:
        bundle.writestr("readme.txt", "nothing")
    with pytest.raises(InputError, match="holds no scene"):
        scene.open_scene(context, tmp_path / "empty.mrb")
    with pytest.raises(InputError, match=r"ends in \.mrb"):
        scene.save_scene(context, tmp_path / "scene.zip")
    with pytest.raises(InputError, match=r"ends in \.seg\.nrrd"):
        scene.save_segmentation(context, None, tmp_path / "exam.nrrd")


def test_a_folder_that_cannot_be_written_is_one_sentence_and_keeps_the_former_file(context, tmp_path, monkeypatch):
    case, _ = loaded(context)
    path = tmp_path / "exam.seg.nrrd"
    scene.save_segmentation(context, case.segmentation_node, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WriteError, match="No space left on device"):
        scene.save_segmentation(context, case.segmentation_node, path)
    assert path.read_bytes() == before
    assert [entry for entry in tmp_path.iterdir() if entry.is_file()] == [Path(path)]
