"""A dataset as nnU-Net's raw data: what is in it, what is kept, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from nnunet_export_cases import add, affine, case_of, contents, make, raw, stem

from CSpineSegLib import files, volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.errors import InputError, WriteError
from CSpineSegLib.review import events, revisions
from CSpineSegLib.training.nnunet import Folders, cases, export


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return make(tmp_path / "jeu de données")


@pytest.fixture
def folders(tmp_path) -> Folders:
    return Folders.of(tmp_path / "wörk space")


def test_export_has_the_authors_layout_and_leaves_the_dataset_untouched(dataset, folders):
    before = contents(dataset.root)
    made = export(dataset, folders)
    assert contents(dataset.root) == before
    assert (made.count("train"), made.count("test"), made.written, made.left_out) == (6, 1, 7, [])
    described = json.loads((made.folder / "dataset.json").read_text(encoding="utf-8"))
    assert described["channel_names"] == {"0": "T2"}
    assert described["labels"] == {"background": 0, "vertebrae": 1, "inter-vetebral disc": 2}
    assert (described["numTraining"], described["file_ending"]) == (6, ".nii.gz")
    images = sorted(path.name for path in (made.folder / "imagesTr").iterdir())
    labels = sorted(path.name for path in (made.folder / "labelsTr").iterdir())
    assert images == [f"cspine_{number}_0000.nii.gz" for number in range(1, 7)]
    assert labels == [name.replace("_0000", "") for name in images]
    assert [path.name for path in (made.folder / "imagesTs").iterdir()] == ["cspine_7_0000.nii.gz"]
    for case in made.cases:
        exam = dataset.exam(case.exam)
        assert (made.folder / case.image).read_bytes() == exam.image.read_bytes()
        image, label = volume.read(made.folder / case.image), volume.read_mask(made.folder / case.label)
        assert np.array_equal(label.array, volume.read_mask(exam.mask).array)
        assert np.array_equal(label.affine, image.affine) and label.array.dtype == np.uint8


def test_record_and_table_lead_from_every_case_back_to_its_exam(dataset, folders):
    made = export(dataset, folders)
    record = cases.read_complete(made.folder)
    assert record.cases == made.cases and record.about["orientation"] == "PSR"
    rows = [line.split("\t") for line in (made.folder / cases.TABLE).read_text(encoding="utf-8").splitlines()]
    found = {row[0]: row[1] for row in rows[1:]}
    assert found == {case.case: case.exam for case in made.cases} and len(found) == 7
    gold = case_of(made, stem(2))
    assert (gold.mask, gold.source, gold.how, gold.patient) == ("gold", "gold", "copied", "593973-000002")
    assert case_of(made, stem(4)).mask == "silver"
    assert gold.mask_sha256 == files.sha256(dataset.exam(stem(2)).mask)


def test_image_in_another_orientation_is_reoriented_with_its_label_and_said(dataset, folders):
    source, mask_file = add(dataset.root, 8, codes="RAS")
    made = export(Dataset.open(dataset.root), folders)
    case = case_of(made, stem(8))
    image, label = volume.read(made.folder / case.image), volume.read_mask(made.folder / case.label)
    assert case.how == "rewritten: reoriented from RAS to PSR"
    assert any("reoriented from RAS to PSR" in note for note in made.notes)
    assert image.orientation == label.orientation == "PSR"
    assert np.array_equal(image.array, volume.reorient(volume.read(source), "PSR").array)
    assert np.array_equal(label.array, volume.reorient(volume.read_mask(mask_file), "PSR").array)
    assert volume.compare_grids(image.grid, label.grid).kind == "same"
    world = volume.reorient(volume.read(source), "PSR").affine
    assert np.allclose(image.affine, world, atol=1e-4)


def test_file_with_a_fourth_axis_or_uncompressed_becomes_one_that_nnunet_reads(dataset, folders):
    path, _ = add(dataset.root, 8)
    image = volume.read(path)
    header = volume.decode(volume.encode(image)).header
    header["dim"][0], header["dim"][4] = 4, 1
    path.write_bytes(volume.encode(volume.Volume(image.array, image.affine, header)))
    plain, _ = add(dataset.root, 9, ending=".nii")
    made = export(Dataset.open(dataset.root), folders)
    four, uncompressed = case_of(made, stem(8)), case_of(made, stem(9))
    assert four.how == "rewritten: 4 axes made 3" and uncompressed.how == "compressed"
    assert int(volume.read(made.folder / four.image).header["dim"][0]) == 3
    assert np.array_equal(volume.read(made.folder / four.image).array, image.array)
    assert np.array_equal(volume.read(made.folder / uncompressed.image).array, volume.read(plain).array)


def test_axes_that_simpleitk_refuses_are_made_perpendicular(dataset, folders):
    reader = pytest.importorskip("SimpleITK", reason="nnU-Net's reader is not installed")
    path, mask_file = add(dataset.root, 8)
    for file in (path, mask_file):
        image = volume.read(file)
        # A shear of 0.006 degrees, as rounding leaves it in some converters' sforms, and no qform beside it.
        sheared = image.affine.copy()
        sheared[:3, 0] += 1e-4 * np.linalg.norm(sheared[:3, 0]) / np.linalg.norm(sheared[:3, 1]) * sheared[:3, 1]
        header = volume.decode(volume.encode(image)).header
        header.set_sform(sheared, code=1), header.set_qform(None, code=0)
        file.write_bytes(volume.encode(volume.Volume(image.array, sheared, header)))
    with pytest.raises(RuntimeError, match="orthonormal"):
        reader.ReadImage(str(path))
    made = export(Dataset.open(dataset.root), folders)
    case = case_of(made, stem(8))
    assert case.how == "rewritten: its place made unambiguous"
    image, label = (reader.ReadImage(str(made.folder / name)) for name in (case.image, case.label))
    assert image.GetDirection() == label.GetDirection() and image.GetOrigin() == label.GetOrigin()
    assert np.allclose(image.GetSpacing(), (0.7, 0.7, 4.0), atol=1e-4)


def test_accepted_revision_comes_before_the_released_mask_and_other_choices_are_kept(dataset, folders, tmp_path):
    exam = dataset.exam(stem(4))
    released = volume.read_mask(exam.mask)
    drawn = released.array.copy()
    drawn[4, 3, 1] = 0
    revisions.save(exam, volume.like(released, drawn), status="accepted", annotator="ab")
    revisions.save(dataset.exam(stem(5)), released, status="in review", annotator="ab")
    best = export(dataset, folders)
    assert (case_of(best, stem(4)).mask, case_of(best, stem(4)).revision) == ("accepted", 1)
    assert volume.read_mask(best.folder / case_of(best, stem(4)).label).array[4, 3, 1] == 0
    # Nobody has vouched for a draft.
    assert case_of(best, stem(5)).mask == "silver"
    as_released = export(dataset, Folders.of(tmp_path / "released"), which="released")
    assert case_of(as_released, stem(4)).mask == "silver"
    with pytest.raises(InputError, match=r"no patients for fold 4 of 5: 4 patients"):
        export(dataset, Folders.of(tmp_path / "human"), which="human")
    assert not (tmp_path / "human").exists()
    with pytest.raises(InputError, match="choice of masks"):
        export(dataset, folders, which="newest")


def test_prediction_is_taken_only_where_asked_for_and_nothing_else_is_there(dataset, folders):
    add(dataset.root, 9, mask=False)
    opened = Dataset.open(dataset.root)
    for number in (4, 9):
        exam = opened.exam(stem(number))
        drawn = volume.read_mask(dataset.exam(stem(2)).mask)
        digest = volume.write(drawn, exam.predicted("net"))
        model = {"name": "net", "sha256": "0" * 64}
        files.write_json(exam.predicted_record("net"), {"mask": {"sha256": digest}, "model": model})
    made = export(opened, folders)
    assert any(stem(9) in sentence for sentence in made.left_out)
    made = export(opened, folders, which="any")
    assert (case_of(made, stem(9)).mask, case_of(made, stem(9)).model) == ("predicted", "net")
    assert case_of(made, stem(4)).mask == "silver"


def test_human_masks_alone_leave_out_what_only_a_network_drew(dataset, folders):
    add(dataset.root, 7), add(dataset.root, 8)
    gold = dataset.root / "splits" / "gold.txt"
    gold.write_text("".join(f"{stem(number)}\n" for number in (1, 2, 3, 7, 8)), encoding="utf-8")
    made = export(Dataset.open(dataset.root), folders, which="human")
    assert {case.mask for case in made.cases if case.part == "train"} == {"gold"}
    assert made.count("train") == 5
    assert any(stem(4) in sentence and "'human'" in sentence for sentence in made.left_out)
    # A test exam without such a mask is still to be predicted.
    test = case_of(made, stem(6))
    assert test.mask is None and (made.folder / test.image).exists() and not (made.folder / test.label).exists()


def test_exam_whose_files_cannot_be_used_is_left_out_and_said(dataset, folders):
    for number in (10, 11, 12, 13, 14):
        add(dataset.root, number, mask=number != 14)
    shifted = dataset.root / "extracted" / "segmentation" / f"{stem(10)}_SEG.nii.gz"
    grid = affine()
    grid[:3, 3] += 0.4 * grid[:3, 0]
    volume.write(volume.from_array(volume.read_mask(shifted).array, grid), shifted)
    truncated = dataset.root / "extracted" / "annotation" / f"{stem(11)}.nii.gz"
    truncated.write_bytes(truncated.read_bytes()[:300])
    empty = dataset.root / "extracted" / "segmentation" / f"{stem(12)}_SEG.nii.gz"
    volume.write(volume.from_array(np.zeros_like(volume.read_mask(empty).array), affine()), empty)
    opened = Dataset.open(dataset.root)
    events.record(opened.exam(stem(13)), "rejected", annotator="ab")
    made = export(opened, folders)
    assert made.count("train") == 6
    said = {number: next(text for text in made.left_out if stem(number) in text) for number in range(10, 15)}
    assert "does not lie on" in said[10] and "truncated" in said[11] and "no label at all" in said[12]
    assert "rejected" in said[13] and "no mask" in said[14]
    names = {path.name for path in made.folder.rglob("*.nii.gz")}
    assert names == {Path(name).name for case in made.cases for name in (case.image, case.label)}
    assert json.loads((made.folder / "dataset.json").read_text(encoding="utf-8"))["numTraining"] == 6
    listed = [case for fold in json.loads((made.folder / "splits_final.json").read_text()) for case in fold["val"]]
    assert sorted(listed) == sorted(case.case for case in made.cases if case.part == "train")


def test_mask_in_another_voxel_order_is_put_on_the_images_grid(dataset, folders):
    path = dataset.root / "extracted" / "segmentation" / f"{stem(3)}_SEG.nii.gz"
    before = volume.read_mask(path)
    turned = volume.reorient(before, "RAS")
    volume.write(volume.from_array(turned.array, turned.affine), path)
    made = export(dataset, folders)
    case = case_of(made, stem(3))
    assert np.array_equal(volume.read_mask(made.folder / case.label).array, before.array)
    assert any("put back voxel by voxel" in note for note in case.notes)


def test_links_share_images_with_the_dataset_but_never_labels(dataset, folders):
    before = contents(dataset.root)
    made = export(dataset, folders, way="link")
    for case in made.cases:
        exam = dataset.exam(case.exam)
        assert case.how == "linked" and os.path.samefile(made.folder / case.image, exam.image)
        assert not os.path.samefile(made.folder / case.label, exam.mask)
    copied = export(dataset, folders)
    assert copied.written == 7 and not any(
        os.path.samefile(copied.folder / case.image, dataset.exam(case.exam).image) for case in copied.cases
    )
    again = export(dataset, folders, way="link")
    assert again.written == 7 and {case.how for case in again.cases} == {"linked"}
    assert contents(dataset.root) == before


def test_where_nothing_can_be_linked_images_are_copied_and_said(dataset, folders, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    made = export(dataset, folders, way="link")
    assert {case.how for case in made.cases} == {"copied"}
    assert any("7 of 7 images were copied" in note for note in made.notes)


def test_foreign_folders_and_files_are_refused_and_left_alone(dataset, folders):
    folder = raw(folders)
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="not an export of ours"):
        export(dataset, folders)
    assert contents(folders.raw) == {"Dataset108_CSpineSeg/notes.txt": b"mine"}
    (folder / "notes.txt").unlink()
    (folders.results / "Dataset108_Other").mkdir(parents=True)
    with pytest.raises(InputError, match="Dataset108_Other"):
        export(dataset, folders)
    assert list(folder.iterdir()) == []
    made = export(dataset, folders, number=109)
    (made.folder / "imagesTr" / "other_0000.nii.gz").write_bytes(b"x")
    with pytest.raises(InputError, match="other_0000"):
        export(dataset, folders, number=109)


def test_export_never_goes_into_released_data_not_even_through_a_link(dataset, folders, tmp_path):
    inside = Folders.of(dataset.root / "extracted")
    with pytest.raises(WriteError, match="never written"):
        export(dataset, inside)
    made = export(dataset, folders)
    for path in sorted((made.folder / "imagesTs").iterdir()):
        path.unlink()
    (made.folder / "imagesTs").rmdir()
    (made.folder / "imagesTs").symlink_to(dataset.root / "extracted" / "annotation")
    before = contents(dataset.root)
    with pytest.raises(WriteError, match="never written"):
        export(dataset, folders)
    assert contents(dataset.root) == before


@pytest.mark.parametrize(("number", "name"), [(0, "A"), (1000, "A"), (108, "a b"), (108, "../x"), (108, "")])
def test_names_that_nnunet_does_not_take_are_refused(dataset, folders, number, name):
    with pytest.raises(InputError, match="of a dataset"):
        export(dataset, folders, number=number, name=name)
    assert not folders.raw.exists()
