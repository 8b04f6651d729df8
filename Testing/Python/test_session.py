"""One exam from the dataset through MRML and back: what the GUI, the console and scripts share."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest
from module_helpers import quick_model, quick_models  # noqa: F401  (fixtures)

from CSpineSegLib import files, jobs, model, scene, session, volume
from CSpineSegLib.dataset import Dataset, exam_from_file
from CSpineSegLib.errors import InputError
from CSpineSegLib.review import masks, records, status
from CSpineSegLib.scene import Editor


def test_opening_and_saving_without_an_edit_changes_no_bit_of_any_sample_exam(sample_dataset):
    for exam in sample_dataset.exams():
        before = exam.mask.read_bytes()
        revision = session.save(session.open_exam(exam), annotator="ab")
        source, saved = volume.read_mask(exam.mask), volume.read_mask(revision.mask)
        assert np.array_equal(saved.array, source.array)
        assert np.array_equal(saved.affine, volume.read(exam.image).affine)
        assert revision.content["voxels_added"] == {"bodies": 0, "discs": 0}
        assert revision.content["voxels_removed"] == {"bodies": 0, "discs": 0}
        assert exam.mask.read_bytes() == before


def test_an_edit_in_the_scene_arrives_in_the_corrected_mask_and_its_provenance(sample_dataset):
    exam = sample_dataset.exams(source="silver")[0]
    opened = session.open_exam(exam)
    assert status.of(exam).status == "in review"
    inside = np.argwhere(volume.read_mask(exam.mask).array == 1)
    centre = opened.image.affine[:3, :3] @ inside.mean(axis=0) + opened.image.affine[:3, 3]
    Editor(opened.context, opened.case).paint_sphere("discs", centre, 6.0)
    drawn = opened.mask().array
    revision = session.save(opened, status="accepted", annotator="ab", active_seconds=12.5)
    corrected = volume.read_mask(exam.corrected_mask)
    assert np.array_equal(corrected.array, drawn)
    assert revision.content["voxels_added"]["discs"] == int((drawn == 2).sum() - (_source(exam) == 2).sum())
    assert revision.content["parent"]["sha256"] == hashlib.sha256(exam.mask.read_bytes()).hexdigest()
    assert revision.content["active_seconds"] == 12.5
    assert status.of(exam).status == "accepted"


def _source(exam) -> np.ndarray:
    return volume.read_mask(exam.mask).array


def test_editing_goes_on_from_the_latest_draft_but_a_blind_reader_starts_from_the_source(sample_dataset):
    exam = sample_dataset.exams()[0]
    opened = session.open_exam(exam)
    Editor(opened.context, opened.case).paint_voxels("bodies", np.ones(opened.image.shape, bool), erase=True)
    session.save(opened, status="in review", annotator="ab")
    assert not (session.open_exam(exam).mask().array == 1).any()
    blind = session.open_exam(exam, blind=True)
    assert np.array_equal(blind.mask().array, _source(exam))
    assert session.save(blind, annotator="cd").blind
    assert len(records.history(exam)) == 2


@pytest.mark.usefixtures("quick_model")
def test_a_prediction_is_opened_corrected_and_names_its_model(sample_dataset):
    exam = sample_dataset.exams()[0]
    bundle = model.load(jobs.DEFAULT_MODEL)
    jobs.segment(exam, bundle, device="cpu")
    opened = session.open_exam(exam, model=bundle.name)
    predicted = volume.read_mask(exam.predicted(bundle.name))
    assert np.array_equal(opened.mask().array, predicted.array)
    revision = session.save(opened, annotator="ab")
    assert revision.content["model"] == {"name": bundle.name, "sha256": bundle.sha256}
    assert exam.predicted(bundle.name).read_bytes() == revision.mask.read_bytes()


def test_a_session_names_the_prediction_that_it_showed_even_if_it_is_made_anew_meanwhile(sample_dataset):
    exam = sample_dataset.exams()[0]
    shown = predict(exam, exam.mask)
    opened = session.open_exam(exam, model="net")
    empty = volume.read_mask(exam.mask)
    predict(exam, volume.like(empty, np.zeros_like(empty.array)))
    content = session.save(opened, annotator="ab").content
    assert content["parent"]["sha256"] == shown and content["model"]["name"] == "net"
    assert content["voxels_added"] == content["voxels_removed"] == {"bodies": 0, "discs": 0}


def test_a_session_that_began_from_nothing_stays_so_if_a_prediction_appears(sample_dataset):
    exam = sample_dataset.exams()[0]
    drawn = volume.read_mask(exam.mask)
    exam.mask.unlink()
    exam = Dataset.open(sample_dataset.root).exam(exam.stem)
    opened = session.open_exam(exam)
    predict(exam, drawn)
    content = session.save(opened, annotator="ab").content
    assert opened.start.revision.number == 1
    assert content["parent"] is None and content["model"] is None


def predict(exam, mask) -> str:
    """Write a mask as the model "net" would; returns its SHA-256."""
    mask = mask if isinstance(mask, volume.Volume) else volume.read_mask(mask)
    digest = volume.write(mask, exam.predicted("net"))
    record = {"mask": {"sha256": digest, "replaces": None}, "model": {"name": "net", "sha256": "ef" * 32}}
    files.write_json(exam.predicted_record("net"), record)
    return digest


def test_after_a_save_the_session_goes_on_from_that_revision_and_its_clock_starts_again(sample_dataset):
    exam = sample_dataset.exams()[0]
    opened = session.open_exam(exam, annotator="ab")
    time.sleep(0.3)
    first = session.save(opened, status="in review", annotator="ab")
    assert opened.start.revision == first and opened.seconds < 0.3 <= first.content["active_seconds"]
    Editor(opened.context, opened.case).paint_voxels("bodies", np.ones(opened.image.shape, bool), erase=True)
    second = session.save(opened, annotator="ab")
    assert second.content["parent"] == {
        "file": f"processed/corrected/revisions/{first.mask.name}",
        "sha256": first.sha256,
        "revision": 1,
    }
    assert second.content["voxels_removed"]["bodies"] == int((_source(exam) == 1).sum())
    assert second.content["started"] >= first.content["ended"]
    assert not second.raced and second.warnings == ()


def test_a_blind_reader_resumes_under_the_own_name_alone(sample_dataset):
    exam = sample_dataset.exams()[0]
    opened = session.open_exam(exam, blind=True, annotator="cd")
    Editor(opened.context, opened.case).paint_voxels("bodies", np.ones(opened.image.shape, bool), erase=True)
    draft = session.save(opened, status="in review", annotator="cd")
    assert session.save(opened, status="in review", annotator="cd").content["parent"]["sha256"] == draft.sha256
    assert session.open_exam(exam, blind=True, annotator="cd").start.revision.number == 2
    for start in (session.open_exam(exam, blind=True, annotator="ef").start, session.open_exam(exam).start):
        assert start.kind == "dataset"
    # A login name may be several people's.
    session.save(session.open_exam(exam, blind=True), status="in review")
    for start in (session.open_exam(exam, blind=True).start, session.open_exam(exam).start):
        assert start.kind == "dataset"


def test_the_event_names_who_opened(sample_dataset):
    exam = sample_dataset.exams()[0]
    session.open_exam(exam, annotator="cd")
    assert (status.of(exam).status, status.of(exam).annotator) == ("in review", "cd")


def test_an_exam_of_a_dataset_that_cannot_be_written_opens_with_a_warning(sample_dataset, monkeypatch):
    exam = sample_dataset.exams()[0]

    def failing(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(files, "_write_bytes", failing)
    opened = session.open_exam(exam)
    assert np.array_equal(opened.mask().array, _source(exam))
    assert "nothing can be saved" in opened.warnings[-1] and "\n" not in opened.warnings[-1]
    assert status.of(exam).status == "unreviewed"


def test_an_opening_that_fails_leaves_no_node_behind(sample_dataset, monkeypatch):
    exam = sample_dataset.exams()[0]
    context = scene.Context.create()
    with pytest.raises(InputError, match="annotator"):
        session.open_exam(exam, context, annotator=" ")

    def interrupted(*_):
        raise KeyboardInterrupt

    before = context.scene.GetNumberOfNodes()
    monkeypatch.setattr(files, "_write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.open_exam(exam, context)
    assert context.scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == 0
    assert context.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert context.scene.GetNumberOfNodes() <= before + 1, "at most the shared list of nodes by patient"


def test_a_prediction_edited_outside_is_not_opened_but_mentioned(sample_dataset):
    exam = sample_dataset.exams()[0]
    mask = volume.read_mask(exam.mask)
    predict(exam, mask)
    volume.write(volume.like(mask, np.zeros_like(mask.array)), exam.predicted("net"))
    opened = session.open_exam(exam)
    assert opened.start.kind == "dataset"
    assert "cspineseg correct" in opened.warnings[-1]


def test_an_exam_without_image_is_refused_by_name(sample_dataset):
    exam = sample_dataset.exams()[0]
    exam.image.unlink()
    with pytest.raises(InputError, match="has no image"):
        session.open_exam(Dataset.open(sample_dataset.root).exam(exam.stem))


def test_the_real_exam_goes_from_file_to_accepted_mask_on_its_own_grid(real_t2, tmp_path):
    import nibabel

    image = tmp_path / "examen réel.nii.gz"
    image.write_bytes(Path(real_t2).read_bytes())
    exam = exam_from_file(image)
    opened = session.open_exam(exam)
    assert masks.best_mask(exam) is None
    Editor(opened.context, opened.case).paint_sphere("bodies", opened.image.grid.corners().mean(axis=0), 12.0)
    session.save(opened, annotator="ab")
    source, written = nibabel.load(image), nibabel.load(exam.corrected_mask)
    assert np.array_equal(source.affine, written.affine)
    assert nibabel.aff2axcodes(written.affine) == ("P", "S", "R")
    assert written.get_data_dtype() == np.uint8
    assert [int(written.header[code]) for code in ("sform_code", "qform_code")] == [
        int(source.header[code]) for code in ("sform_code", "qform_code")
    ]
    assert np.asanyarray(written.dataobj).sum() > 0
