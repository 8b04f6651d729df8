"""Evaluations of a dataset: Gold and Silver are never mixed, and models, anchors, people and scans are known."""

# Tests take fixtures by name, which ruff holds for definitions anew.
# ruff: noqa: F811

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from cli_cases import refused, said  # noqa: F401  (fixture)

from CSpineSegLib import files, jobs, volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.dataset.sample import with_smooth_errors
from CSpineSegLib.errors import InputError, WriteError
from CSpineSegLib.evaluation import results, summary

MODEL = "model-1"


def exams(dataset):
    """Two Gold exams and a Silver one."""
    return [*dataset.exams(source="gold")[:2], dataset.exams(source="silver")[0]]


@pytest.fixture
def predicted(sample_dataset):
    """The sample, of which a model has segmented three exams, with records and, of the first, a quality."""
    for exam in exams(sample_dataset):
        mask = volume.read_mask(exam.mask)
        drawn = volume.like(mask, with_smooth_errors(mask.array, mask.grid, 3))
        digest = volume.write(drawn, exam.predicted(MODEL))
        known = {"mask": {"file": exam.mask_name, "sha256": digest}, "model": {"name": MODEL, "sha256": "0" * 64}}
        files.write_json(exam.predicted_record(MODEL), known)
    first = exams(sample_dataset)[0]
    mask = {"file": first.mask_name, "sha256": files.sha256(first.predicted(MODEL))}
    files.write_json(first.quality(MODEL), {"mask": mask, "score": 0.875})
    return sample_dataset


def judge(dataset, reference="gold", **options):
    return jobs.evaluate(MODEL, reference, dataset=dataset, **{"jobs": 0, "pictures": 0} | options)


def test_gold_is_only_gold_and_silver_only_silver(predicted):
    first, second, silver = exams(predicted)
    found = judge(predicted)
    assert list(found.exams.index) == sorted([first.stem, second.stem]) and set(found.exams["source"]) == {"gold"}
    assert found.record["unmatched"]["predictions_of_the_other_source"] == [silver.stem]
    assert found.folder == predicted.processed / "reports" / "evaluation" / MODEL / "gold"
    assert summary.section(found).warnings == ()
    other = judge(predicted, "silver")
    assert list(other.exams.index) == [silver.stem] and other.ruler == "silver"
    assert other.folder != found.folder
    assert summary.section(other).warnings == (summary.SILVER_WARNING,)


def test_a_folder_that_is_called_gold_is_a_folder(predicted, tmp_path):
    folder = tmp_path / "gold"
    for exam in exams(predicted)[:1]:
        volume.write(volume.read(exam.mask), folder / exam.mask_name)
    assert judge(predicted, folder).ruler == "folder gold"


def test_what_the_tables_know_of_people_and_scanners_stands_beside(predicted):
    first = exams(predicted)[0]
    row = judge(predicted).exams.loc[first.stem]
    for key in ("age", "sex", "race", "ethnicity", "manufacturer", "field_strength"):
        assert row[key] == first.fields[key], key
    assert row["patient"] == first.patient_id and row["quality"] == 0.875 and row["status"] == "ok"


def test_without_a_gold_list_there_is_no_gold(predicted):
    (predicted.root / "splits" / "gold.txt").unlink()
    for reference in ("gold", "silver"):
        with pytest.raises(InputError, match=r"needs the list of the exams that experts annotated.*--gold-list"):
            judge(Dataset.open(predicted.root), reference)
    assert not (predicted.processed / "reports").exists()


def test_a_gold_list_that_names_unknown_exams_is_a_warning(predicted, tmp_path):
    path = tmp_path / "gold.txt"
    names = [exams(predicted)[0].mask_name, "593973-000777_Study-MR-1_Series-1_SEG.nii.gz"]
    path.write_text("\n".join(names), encoding="utf-8")
    found = judge(Dataset.open(predicted.root, gold_list=path))
    assert found.record["counts"]["compared"] == 1
    assert any("000777" in warning and "not in this dataset" in warning for warning in found.record["warnings"])
    assert str(tmp_path) not in (found.folder / results.RECORD).read_text(encoding="utf-8"), "it may be passed on"


def test_a_prediction_that_somebody_edited_is_not_the_models(predicted):
    first, second, _ = exams(predicted)
    mask = volume.read_mask(first.predicted(MODEL))
    changed = mask.array.copy()
    changed[0, 0, 0] = 1
    volume.write(volume.like(mask, changed), first.predicted(MODEL))
    found = judge(predicted)
    assert list(found.record["failures"]) == [first.stem]
    assert "was changed after the model wrote it" in found.record["failures"][first.stem]
    assert str(predicted.root) not in found.record["failures"][first.stem]
    assert found.usable.index.to_list() == [second.stem]
    folder = jobs.evaluate(predicted.processed / "predicted" / MODEL, "gold", dataset=predicted, jobs=0, pictures=0)
    assert not folder.record["failures"], "as a folder of masks it is what it is"
    assert np.isnan(folder.exams["quality"][first.stem]), "the quality spoke of another mask"


def test_an_unknown_model_is_told_those_that_there_are(predicted):
    with pytest.raises(InputError, match=f"models that segmented this dataset: {MODEL}"):
        jobs.evaluate("model-2", "gold", dataset=predicted)


def test_an_anchor_that_a_person_gave_names_the_levels_of_both_masks(predicted):
    first = exams(predicted)[0]
    labelled = jobs.levels(first)
    (body,) = [one for one in labelled.content["elements"] if one["name"] in ("C6", "vertebra 5")][:1]
    point = labelled.content["landmarks"][body["name"]]["centre"]
    judge(predicted)
    before = files.read_json(results_of(predicted, first))
    jobs.levels(first, anchor=("C7", point))
    found = judge(predicted)
    content = files.read_json(results_of(predicted, first))
    assert before["anchor"] is None and content["anchor"]["level"] == "C7"
    reasons = [content["levels"][side]["reason"] for side in ("reference", "candidate")]
    assert all("Levels count from C7" in reason for reason in reasons)
    assert found.values("level_shift_rate", "", "exam")[first.stem] == 0
    # An anchor that meets nothing of the prediction is left out there, and said.
    mask = volume.read_mask(first.predicted(MODEL))
    volume.write(volume.like(mask, np.zeros_like(mask.array)), first.predicted(MODEL))
    known = files.read_json(first.predicted_record(MODEL))
    known["mask"]["sha256"] = files.sha256(first.predicted(MODEL))
    files.write_json(first.predicted_record(MODEL), known)
    empty = judge(predicted)
    assert empty.values("dice", "bodies")[first.stem] == 0 and not empty.record["failures"]
    assert empty.values("missing", "bodies", "exam")[first.stem] > 4


def results_of(dataset, exam):
    return dataset.processed / "reports" / "evaluation" / MODEL / "gold" / "exams" / f"{exam.stem}.json"


def test_the_worst_are_drawn_and_those_of_a_former_run_go(predicted):
    found = judge(predicted, pictures=2)
    folder = found.folder / results.PICTURES
    drawn = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(drawn) == {f"{stem}.png" for stem in found.exams.index}
    for data in drawn.values():
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = struct.unpack(">II", data[16:24])
        assert width >= 500 and height >= 600
    assert {path.name: path.read_bytes() for path in judged_again(predicted, 2)} == drawn, "the same bytes each time"
    assert len(judged_again(predicted, 1)) == 1
    assert len(summary.worst_section(results.read(found.folder)).figures) == 1


def judged_again(dataset, pictures):
    return sorted((judge(dataset, pictures=pictures).folder / results.PICTURES).iterdir())


def test_nothing_is_written_into_the_release(predicted):
    with pytest.raises(WriteError, match="never written"):
        judge(predicted, output=predicted.root / "extracted" / "results")


def test_the_command_prints_sections_and_writes_their_tables(said, predicted, tmp_path):
    words = ("evaluate", MODEL, "--reference", "gold", "--dataset", predicted.root, "--jobs", "0")
    code, out, err = said(*words, "--output", tmp_path / "out", "--published")
    assert code == 0, err
    assert "2 exams of 2 patients by model-1 were compared with Gold masks" in out and "published 2D" in out
    assert "1 predictions are of exams that are not gold" in err
    written = {path.stem for path in (tmp_path / "out" / "tables").glob("*.tsv")}
    assert {"accuracy", "conventions", "levels", "levels-events", "failures", "worst"} <= written
    code, out, _ = said(*words, "--output", tmp_path / "out", "--json")
    content = json.loads(out)
    assert (
        code == 0
        and content["counts"]["compared"] == 2
        and set(content["sections"])
        == {
            "accuracy",
            "levels",
            "worst",
        }
    )


def test_the_command_ends_with_1_if_an_exam_failed_and_with_2_for_what_cannot_be(said, predicted, tmp_path):
    first, second, _ = exams(predicted)
    first.predicted(MODEL).write_bytes(b"no mask")
    folder = predicted.processed / "predicted" / MODEL
    words = ("evaluate", folder, "--reference", "gold", "--dataset", predicted.root, "--jobs", "0")
    code, out, err = said(*words, "--output", tmp_path / "out")
    assert code == 1 and f"{first.stem}: " in err and "1 could not be compared" in out
    assert "silver needs a dataset" in refused(said("evaluate", folder, "--reference", "silver"))
    volume.write(volume.read(second.mask), folder / f"{second.stem}.nii.gz")
    sentence = refused(said(*words, "--output", tmp_path / "other"))
    assert f"holds two files of {second.stem}" in sentence and not (tmp_path / "other").exists()
    assert "'--reference'" in refused(said("evaluate", folder))
