"""Jobs where the world is not as it should be: files vanish, records are lost, masks come in other forms."""

from __future__ import annotations

import gzip
import importlib
import json
import shutil

import numpy as np
import pytest
from module_helpers import quick_models  # noqa: F401  (fixture)

from CSpineSegLib import jobs, model, volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.errors import InputError, ModelError, WriteError
from CSpineSegLib.jobs import results
from CSpineSegLib.jobs.segment import state_of
from CSpineSegLib.model import checksums
from CSpineSegLib.review import events


@pytest.fixture(scope="module")
def bundle(quick_models) -> model.Bundle:  # noqa: F811
    return model.load(quick_models / jobs.DEFAULT_MODEL)


def test_a_predicted_mask_without_its_record_is_somebodys_and_is_kept(sample_dataset, bundle):
    exam = sample_dataset.exams()[0]
    target = exam.predicted(bundle.name)
    drawn = volume.read_mask(exam.mask)
    volume.write(drawn, target)
    content = target.read_bytes()
    with pytest.raises(InputError, match="not written by it"):
        jobs.segment(exam, bundle, device="cpu")
    assert target.read_bytes() == content


def test_another_preprocessing_of_the_same_weights_makes_a_result_outdated(sample_dataset, bundle):
    exam = sample_dataset.exams()[0]
    result = jobs.segment(exam, bundle, device="cpu")
    image = json.loads(result.provenance.read_text(encoding="utf-8"))["image"]["sha256"]
    paths, settings = results.of_exam(exam, bundle.name), {"anyway": False, "clean": True}
    assert state_of(paths, image, bundle, settings) == "current"
    record = json.loads(result.provenance.read_text(encoding="utf-8"))
    record["model"]["bundle_sha256"] = "0" * 64
    result.provenance.write_text(json.dumps(record), encoding="utf-8")
    assert state_of(paths, image, bundle, settings) == "outdated"


def test_a_mask_edited_during_the_segmentation_is_left_as_it_is(sample_dataset, bundle, monkeypatch):
    module = importlib.import_module("CSpineSegLib.jobs.segment")
    exam = sample_dataset.exams()[0]
    target = exam.predicted(bundle.name)
    real = module._predict

    def predict_while_somebody_saves(*arguments, **options):
        answer = real(*arguments, **options)
        volume.write(volume.read_mask(exam.mask), target)
        return answer

    monkeypatch.setattr(module, "_predict", predict_while_somebody_saves)
    with pytest.raises(InputError, match="during the segmentation"):
        jobs.segment(exam, bundle, device="cpu")
    assert np.array_equal(volume.read_mask(target).array, volume.read_mask(exam.mask).array)


def test_an_image_that_vanishes_fails_alone_and_the_batch_goes_on(sample_dataset, bundle):
    exams = sample_dataset.exams()[:2]
    exams[0].image.unlink()
    batch = jobs.segment_many(exams, bundle, device="cpu")
    assert list(batch.failures) == [exams[0].stem]
    assert "cannot be read" in batch.failures[exams[0].stem]
    assert [result.stem for result in batch.results] == [exams[1].stem]


def test_a_missing_device_is_said_once_and_not_for_every_exam(sample_dataset, bundle):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ModelError):
        jobs.segment_many(sample_dataset.exams(), bundle, device="cuda")


def test_an_uncompressed_mask_is_exported_as_what_its_name_says(sample_dataset, tmp_path):
    exam = sample_dataset.exams(source="gold")[0]
    plain = gzip.decompress(exam.mask.read_bytes())
    exam.mask.unlink()
    exam.mask.with_suffix("").write_bytes(plain)
    dataset = Dataset.open(sample_dataset.root)
    jobs.export(dataset, tmp_path / "out", query=f"stem == '{exam.stem}'")
    exported = tmp_path / "out" / exam.mask_name
    assert gzip.decompress(exported.read_bytes()) == plain
    jobs.export(dataset, tmp_path / "out", query=f"stem == '{exam.stem}'")


def test_a_rejected_exam_is_left_out_of_an_export_and_it_is_said(sample_dataset, tmp_path):
    exam = sample_dataset.exams(source="gold")[0]
    events.record(exam, "rejected", annotator="ab")
    found = jobs.export(sample_dataset, tmp_path / "out", query="source == 'gold'")
    assert exam.mask_name not in [row["file_name"] for row in found["files"]]
    assert any(exam.stem in sentence and "rejected" in sentence for sentence in found["left_out"])


def test_a_file_that_is_no_export_table_is_not_replaced(sample_dataset, tmp_path):
    from CSpineSegLib.jobs.export import TABLE

    folder = tmp_path / "out"
    folder.mkdir()
    (folder / TABLE).write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="no table of an export"):
        jobs.export(sample_dataset, folder)
    assert [path.name for path in folder.iterdir()] == [TABLE]


def test_a_record_names_no_folder_of_the_computer(sample_dataset, bundle):
    exam = sample_dataset.exams()[0]
    jobs.segment(exam, bundle, device="cpu")
    assert str(sample_dataset.root.parent) not in exam.predicted_record(bundle.name).read_text(encoding="utf-8")


def test_a_bundle_cannot_name_a_folder_outside_its_own(bundle, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder, folder)
    metadata = folder / "configs" / "metadata.json"
    content = json.loads(metadata.read_text(encoding="utf-8"))
    metadata.write_text(json.dumps({**content, "name": "../corrected"}), encoding="utf-8")
    checksums.seal(folder)
    with pytest.raises(ModelError):
        model.load(folder)


def test_a_second_export_into_the_same_folder_keeps_the_rows_of_the_first(sample_dataset, tmp_path):
    from CSpineSegLib.jobs.export import TABLE

    for source in ("gold", "silver"):
        jobs.export(sample_dataset, tmp_path / "out", query=f"source == '{source}'")
    masks = sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz"))
    lines = (tmp_path / "out" / TABLE).read_text(encoding="utf-8").splitlines()[1:]
    assert len(masks) == len(sample_dataset)
    assert all(sum(mask in line for line in lines) == 1 for mask in masks)


def test_an_export_that_fails_midway_leaves_nothing(sample_dataset, tmp_path, monkeypatch):
    module = importlib.import_module("CSpineSegLib.jobs.export")
    real, calls = module.files.write_verified, []

    def full_after_three(path, data, *rest, **options):
        calls.append(path)
        if len(calls) == 4:
            raise WriteError("The disk is full.")
        return real(path, data, *rest, **options)

    monkeypatch.setattr(module.files, "write_verified", full_after_three)
    with pytest.raises(WriteError):
        jobs.export(sample_dataset, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_two_files_of_one_name_are_both_segmented(sample_dataset, tmp_path, capsys):
    from CSpineSegLib.cli import main

    image = sample_dataset.exams()[0].image.read_bytes()
    paths = [tmp_path / name / "scan.nii.gz" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(image)
    assert main(["segment", *map(str, paths), "--device", "cpu", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 2


def test_an_empty_dataset_option_is_not_the_current_folder(sample_dataset, monkeypatch, capsys):
    from CSpineSegLib.cli import main

    monkeypatch.chdir(sample_dataset.root)
    assert main(["list", "--dataset", ""]) == 2
    assert "empty text" in capsys.readouterr().err


def test_after_an_edited_prediction_was_taken_over_it_may_be_renewed(sample_dataset, bundle):
    exam = sample_dataset.exams()[0]
    target = jobs.segment(exam, bundle, device="cpu").mask
    edited = volume.read_mask(target)
    drawn = edited.array.copy()
    drawn[0, 0, 0] = (drawn[0, 0, 0] + 1) % 3
    volume.write(volume.like(edited, drawn), target)
    with pytest.raises(InputError, match="keep that work"):
        jobs.segment(exam, bundle, device="cpu")
    revision = jobs.correct(exam, target, annotator="ab")
    assert not jobs.segment(exam, bundle, device="cpu").skipped
    assert np.array_equal(volume.read_mask(revision.mask).array, drawn)
    assert not np.array_equal(volume.read_mask(target).array, drawn)
