"""One exam from the dataset through MRML and back: what the GUI, the console and scripts share."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from CSpineSegLib import jobs, model, session, volume
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
