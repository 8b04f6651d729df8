"""The command line as people and programs use it: in this process for speed, in a real one where that matters."""

# Tests take fixtures by name, which ruff holds for definitions anew.
# ruff: noqa: F811

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_cases import refused, said  # noqa: F401  (fixture)
from module_helpers import quick_model, quick_models  # noqa: F401  (fixtures)

from CSpineSegLib import jobs, volume
from CSpineSegLib.dataset import Dataset

# What the network finds in the sample's few voxels is not asked here.
pytestmark = pytest.mark.usefixtures("quick_model")

STEM = "{}_Study-MR-{}_Series-{}"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def first(dataset: Dataset):
    return dataset.exams()[0]


def test_list_shows_every_exam_and_a_query_chooses(said, sample_dataset):
    code, out, _ = said("list", "--dataset", sample_dataset.root, "--json")
    rows = json.loads(out)
    assert code == 0
    assert len(rows) == len(sample_dataset)
    assert {row["status"] for row in rows} == {"unreviewed"}
    code, out, _ = said("list", "--dataset", sample_dataset.root, "--json", "--query", "source == 'silver'")
    silver = json.loads(out)
    assert 0 < len(silver) < len(rows)
    assert {row["source"] for row in silver} == {"silver"}


def test_list_sorts_by_a_column_lowest_first_and_unknown_ones_last(said, sample_dataset):
    code, out, _ = said("list", "--dataset", sample_dataset.root, "--sort", "age", "--json")
    ages = [row["age"] for row in json.loads(out)]
    known = [age for age in ages if age is not None]
    assert code == 0 and known == sorted(known) and len(set(known)) > 1 and ages[: len(known)] == known
    code, _, err = said("list", "--dataset", sample_dataset.root, "--sort", "doubt")
    assert code == 2 and "no column 'doubt'" in err and "score" in err


def test_piped_list_is_plain_tab_separated_text(said, sample_dataset):
    code, out, _ = said("list", "--dataset", sample_dataset.root)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("Patient\tStudy")
    assert len(lines) == len(sample_dataset) + 1
    assert "\x1b" not in out


def test_show_takes_a_short_patient_id_and_a_file(said, sample_dataset):
    exam = first(sample_dataset)
    code, out, _ = said("show", exam.patient_id[-6:].lstrip("0"), "--dataset", sample_dataset.root, "--json")
    assert code == 0
    assert json.loads(out)[0]["exam"] == exam.stem
    code, out, _ = said("show", exam.image, "--json")
    assert code == 0
    assert json.loads(out)[0]["orientation"] == volume.read(exam.image).orientation


def test_unknown_patient_offers_the_nearest(said, sample_dataset):
    known = first(sample_dataset).patient_id
    sentence = refused(said("show", "593973-000009", "--dataset", sample_dataset.root))
    assert "593973-9000" in sentence
    assert known[:7] in sentence


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "12x4"], "dataset"),
        (["list"], "--dataset"),
        (["list", "--dataset", "/no/such/folder"], "/no/such/folder"),
        (["segment"], "Name a patient"),
        (["segment", "--all"], "--dataset"),
        (["segment", "a", "--all"], "not both"),
        (["segment", "--all", "--quality"], "--output"),
        (["segment", "nothing.nii.gz", "--output", "out.nii.gz"], "nothing.nii.gz"),
        (["segment", "nothing.nii.gz", "--output", "out.png"], "out.png"),
        (["bogus"], "bogus"),
        (["list", "--bogus"], "--bogus"),
        (["metrics", "a.nii.gz", "b.nii.gz"], "a.nii.gz"),
    ],
)
def test_bad_words_end_with_one_sentence_and_code_2(said, words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CSPINESEG_DATASET", raising=False)
    assert expected in refused(said(*words))
    assert list(tmp_path.iterdir()) == []


def test_malformed_patient_and_query_are_refused(said, sample_dataset):
    assert "12x4" in refused(said("show", "12x4", "--dataset", sample_dataset.root))
    assert "colour" in refused(said("list", "--dataset", sample_dataset.root, "--query", "colour == 1"))


def test_segment_writes_mask_and_record_then_skips(said, sample_dataset):
    exam = first(sample_dataset)
    before = tree(sample_dataset.root / "extracted")
    code, out, _ = said("segment", exam.stem, "--dataset", sample_dataset.root, "--device", "cpu", "--json")
    result = json.loads(out)["results"][0]
    assert code == 0
    assert not result["skipped"]
    image, mask = volume.read(exam.image), volume.read_mask(result["mask"])
    assert np.array_equal(mask.affine, image.affine)
    assert mask.array.dtype == np.uint8
    record = json.loads(Path(result["provenance"]).read_text(encoding="utf-8"))
    assert record["mask"]["sha256"]
    assert record["model"]["sha256"]
    code, out, _ = said("segment", exam.stem, "--dataset", sample_dataset.root, "--device", "cpu", "--json")
    assert json.loads(out)["results"][0]["skipped"]
    assert tree(sample_dataset.root / "extracted") == before


def test_prediction_that_a_person_edited_is_never_replaced_silently(said, sample_dataset):
    exam = first(sample_dataset)
    words = ["segment", exam.stem, "--dataset", sample_dataset.root, "--device", "cpu", "--json"]
    mask = Path(json.loads(said(*words)[1])["results"][0]["mask"])
    edited = volume.read_mask(mask)
    drawn = edited.array.copy()
    drawn[0, 0, 0] = (drawn[0, 0, 0] + 1) % 3
    volume.write(volume.like(edited, drawn), mask)
    content = mask.read_bytes()
    assert "--force" in refused(said(*words))
    assert mask.read_bytes() == content
    assert said(*words, "--force")[0] == 0
    assert mask.read_bytes() != content


def test_batch_goes_on_after_a_broken_exam_and_resumes(said, sample_dataset):
    exams = sample_dataset.exams()
    exams[1].image.write_bytes(exams[1].image.read_bytes()[:2000])
    words = ["segment", "--all", "--dataset", sample_dataset.root, "--device", "cpu", "--json"]
    code, out, _ = said(*words)
    answer = json.loads(out)
    assert code == 1
    assert list(answer["failures"]) == [exams[1].stem]
    assert "truncated" in answer["failures"][exams[1].stem]
    assert len(answer["results"]) == len(exams) - 1
    again = json.loads(said(*words)[1])
    assert all(result["skipped"] for result in again["results"])


def test_parts_of_a_cluster_cover_every_exam_once(said, sample_dataset):
    from CSpineSegLib.cli.work import _part

    exams = sample_dataset.exams()
    parts = [exam.stem for k in (1, 2, 3) for exam in _part(exams, f"{k}/3")]
    assert sorted(parts) == sorted(exam.stem for exam in exams)
    assert "4/3" in refused(said("segment", "--all", "--dataset", sample_dataset.root, "--part", "4/3"))


def test_correct_takes_an_int16_mask_in_another_order_and_exports_it(said, sample_dataset, tmp_path):
    exam = first(sample_dataset)
    source = volume.read_mask(exam.mask)
    drawn = source.array.copy()
    inside = np.argwhere(drawn == 1)[0]
    drawn[tuple(inside)] = 0
    turned = volume.reorient(volume.from_array(drawn.astype(np.int16), source.affine), "LPS")
    edited = tmp_path / "Slicer export é.nii.gz"
    volume.write(turned, edited)
    words = ["correct", exam.stem, edited, "--dataset", sample_dataset.root, "--annotator", "ab", "--json"]
    code, out, err = said(*words)
    revision = json.loads(out)
    assert code == 0
    assert revision["revision"] == 1
    assert revision["voxels_removed"]["bodies"] == 1
    assert "put back voxel by voxel" in err
    written = volume.read_mask(exam.corrected_mask)
    assert np.array_equal(written.array, drawn)
    assert np.array_equal(written.affine, volume.read(exam.image).affine)
    target = tmp_path / "out"
    query = "status == 'accepted'"
    code, out, _ = said("export", "--dataset", sample_dataset.root, "--output", target, "--query", query, "--json")
    assert code == 0
    assert [row["file_name"] for row in json.loads(out)["files"]] == [exam.mask_name]
    assert (target / exam.mask_name).read_bytes() == exam.corrected_mask.read_bytes()
    assert (target / "annotation_file_cspineseg.tsv").read_text(encoding="utf-8").count("\n") == 2


def test_export_never_replaces_other_content_or_writes_into_the_release(said, sample_dataset, tmp_path):
    exam = first(sample_dataset)
    target = tmp_path / "out"
    target.mkdir()
    (target / exam.mask_name).write_bytes(b"somebody's work")
    words = ["export", "--dataset", sample_dataset.root, "--output"]
    assert "exists already" in refused(said(*words, target))
    assert [path.name for path in target.iterdir()] == [exam.mask_name]
    before = tree(sample_dataset.root)
    assert "never written" in refused(said(*words, sample_dataset.root / "extracted" / "segmentation"))
    assert "processed" in refused(said(*words, sample_dataset.processed / "out"))
    assert tree(sample_dataset.root) == before


@pytest.mark.parametrize("spoil", ["label 3", "fraction", "other lattice"])
def test_unusable_corrections_are_refused_and_nothing_is_written(said, sample_dataset, tmp_path, spoil):
    exam = first(sample_dataset)
    source = volume.read_mask(exam.mask)
    array, affine = source.array.astype(np.float32), source.affine.copy()
    if spoil == "label 3":
        array[0, 0, 0] = 3
    elif spoil == "fraction":
        array[0, 0, 0] = 0.5
    else:
        affine[:3, 3] += affine[:3, 0] / 2
    edited = tmp_path / "edited.nii.gz"
    volume.write(volume.from_array(array, affine), edited)
    before = tree(sample_dataset.root)
    sentence = refused(said("correct", exam.stem, edited, "--dataset", sample_dataset.root, "--annotator", "ab"))
    assert "edited.nii.gz" in sentence
    assert tree(sample_dataset.root) == before


def test_a_patient_with_several_exams_must_be_named_exactly_to_correct(said, sample_dataset, tmp_path):
    table = sample_dataset.table()
    patient = table["patient_id"].value_counts().idxmax()
    sentence = refused(said("correct", patient, tmp_path / "x.nii.gz", "--dataset", sample_dataset.root))
    assert sentence.count("Study-MR") == 3


def test_single_file_is_segmented_and_corrected_outside_any_dataset(said, real_t2, tmp_path):
    folder = tmp_path / "with space é"
    folder.mkdir()
    image = folder / "scan ü.nii.gz"
    image.write_bytes(real_t2.read_bytes())
    output = folder / "mask ü.nii.gz"
    words = ["segment", image, "--output", output, "--device", "cpu", "--json"]
    assert said(*words)[0] == 0
    mask = volume.read_mask(output)
    assert np.array_equal(mask.affine, volume.read(image).affine)
    assert "--force" in refused(said(*words))
    assert "image itself" in refused(said("segment", image, "--output", image, "--force"))
    code, out, _ = said("correct", image, output, "--annotator", "ab", "--json")
    assert code == 0
    revision = json.loads(out)
    assert Path(revision["path"]).parent.parent.parent.name == "scan ü_cspineseg"


def test_doctor_reports_packages_models_and_counts(said, sample_dataset):
    code, out, _ = said("doctor", "--dataset", sample_dataset.root, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["dataset"]["exams"] == len(sample_dataset)
    assert report["packages"]["segmentation on a GPU, training"]["torch"].startswith("2.")
    assert len(report["models"][0]["sha256"]) == 64
    assert report["missing"] == [] and report["broken"] == {}
    assert {"cards", "problem"} == {*report["graphics"]}


def test_cuda_is_refused_where_there_is_none(said, sample_dataset):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    exam = first(sample_dataset)
    sentence = refused(said("segment", exam.stem, "--dataset", sample_dataset.root, "--device", "cuda"))
    assert "--device cpu" in sentence
    assert not exam.predicted(jobs.DEFAULT_MODEL).exists()


def test_real_process_gives_the_same_exit_codes_and_help_has_examples(sample_dataset):
    base = [sys.executable, "-m", "CSpineSegLib.cli"]
    bad = subprocess.run([*base, "list", "--dataset", "/no/such"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    good = subprocess.run([*base, "list", "-d", sample_dataset.root], capture_output=True, text=True, check=False)
    assert good.returncode == 0
    for command in ("list", "show", "segment", "correct", "export", "metrics", "doctor", "demo"):
        text = subprocess.run([*base, command, "--help"], capture_output=True, text=True, check=True).stdout
        assert f"cspineseg {command}" in text
