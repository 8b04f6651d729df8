"""What lies beside a predicted mask speaks of that mask; what is no neck leaves nothing."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from module_helpers import CALIBRATION, quick_model, quick_models  # noqa: F401  (fixtures)

from CSpineSegLib import files, jobs, model, volume
from CSpineSegLib.cli import main
from CSpineSegLib.errors import CSpineSegError, ModelError, WriteError
from CSpineSegLib.jobs import results
from CSpineSegLib.jobs.child import ChildJob
from CSpineSegLib.model import checksums
from CSpineSegLib.model.plausibility import NotCervicalError


@pytest.fixture(scope="module")
def bundle(quick_models) -> model.Bundle:  # noqa: F811
    return model.load(quick_models / jobs.DEFAULT_MODEL)


def changed(bundle: model.Bundle, folder: Path, calibration: dict | None) -> model.Bundle:
    """A copy of a bundle with another calibration or none."""
    import shutil

    shutil.copytree(bundle.folder, folder)
    path = folder / "configs" / "calibration.json"
    path.unlink() if calibration is None else files.write_json(path, calibration)
    checksums.seal(folder)
    return model.load(folder)


@pytest.fixture
def strict(bundle, tmp_path) -> model.Bundle:
    """The same model, to which nothing looks like a neck."""
    return changed(bundle, tmp_path / "strict", {**CALIBRATION, "plausibility": {"intercept": -100.0, "weights": {}}})


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_quality_and_doubt_lie_beside_the_mask_and_name_it(sample_dataset, bundle):
    for exam in (sample_dataset.exams()[0], next(e for e in sample_dataset.exams() if "9006" in e.stem)):
        result = jobs.segment(exam, bundle, device="cpu")
        known = read(exam.quality(bundle.name))
        assert known["mask"] == {"file": result.mask.name, "sha256": files.sha256(result.mask)}
        assert known["doubt"]["sha256"] == files.sha256(exam.doubt(bundle.name))
        assert known["score"] == pytest.approx((known["dice_bodies"] + known["dice_discs"]) / 2, abs=1e-3)
        assert result.score == known["score"] and result.quality == exam.quality(bundle.name)
        image, doubt = volume.read(exam.image), volume.read(exam.doubt(bundle.name))
        assert doubt.array.dtype == np.uint8 and doubt.array.max() <= 100
        assert np.array_equal(doubt.affine, image.affine) and doubt.shape == image.shape
        assert known["axis"] == image.sagittal_axis
        assert [entry["slice"] for entry in known["slices"]] == list(range(image.shape[known["axis"]]))
        record = read(result.provenance)
        assert record["quality"]["score"] == known["score"] and record["settings"] == {"anyway": False, "clean": True}
        assert record["verdict"] == known["verdict"] and 0.25 <= record["verdict"]["probability"] <= 1
        assert set(record["cleaned"]) == {"removed", "filled"}


def test_doubt_of_slices_is_counted_along_the_images_own_axis(sample_dataset, bundle, tmp_path):
    """A slice without anything is in no doubt; it lies where the image says, in either direction."""
    image = volume.read(sample_dataset.exams()[0].image)
    axis = image.sagittal_axis
    doubts = {}
    for codes in ("PSR", "PSL"):
        path = tmp_path / f"{codes}.nii.gz"
        turned = volume.reorient(image, codes)
        volume.write(volume.from_array(turned.array, turned.affine), path)
        result = jobs.segment_file(path, tmp_path / f"{codes}_SEG.nii.gz", bundle, device="cpu", quality=True)
        doubts[codes] = [entry["doubt"] for entry in read(result.quality)["slices"]]
    assert axis == 2 and len(set(doubts["PSR"])) > 2
    assert doubts["PSL"] == doubts["PSR"][::-1]


def test_a_renewed_mask_never_keeps_the_quality_of_the_former(sample_dataset, bundle, tmp_path):
    exam = sample_dataset.exams()[0]
    first = jobs.segment(exam, bundle, device="cpu")
    assert jobs.segment(exam, bundle, device="cpu").skipped
    plain = changed(bundle, tmp_path / "plain", None)
    anyway = jobs.segment(exam, plain, device="cpu", anyway=True)
    assert anyway.mask == first.mask and anyway.score is None and anyway.quality is None
    assert not exam.quality(bundle.name).exists() and not exam.doubt(bundle.name).exists()
    assert read(anyway.provenance)["quality"] is None


@pytest.mark.parametrize("lost", ["quality", "doubt"])
def test_a_result_without_its_quality_is_made_again(sample_dataset, bundle, lost):
    exam = sample_dataset.exams()[0]
    jobs.segment(exam, bundle, device="cpu")
    getattr(exam, lost)(bundle.name).unlink()
    assert not jobs.segment(exam, bundle, device="cpu").skipped
    assert jobs.segment(exam, bundle, device="cpu").skipped


@pytest.mark.parametrize("setting", [{"anyway": True}, {"clean": False}])
def test_another_setting_makes_a_result_outdated(sample_dataset, bundle, setting):
    exam = sample_dataset.exams()[0]
    first = jobs.segment(exam, bundle, device="cpu")
    again = jobs.segment(exam, bundle, device="cpu", **setting)
    assert not first.skipped and not again.skipped
    assert jobs.segment(exam, bundle, device="cpu", **setting).skipped
    record = read(again.provenance)
    assert record["settings"] == {"anyway": False, "clean": True, **setting}
    assert (record["cleaned"] is None) == ("clean" in setting)


def test_a_disk_that_is_full_leaves_mask_record_and_quality_as_they_were(sample_dataset, bundle, monkeypatch):
    exam = sample_dataset.exams()[0]
    jobs.segment(exam, bundle, device="cpu")
    before = tree(sample_dataset.root)

    def full(*arguments, **options):
        raise WriteError("The disk is full.")

    monkeypatch.setattr(results.volume, "write", full)
    with pytest.raises(WriteError):
        jobs.segment(exam, bundle, device="cpu", clean=False)
    assert tree(sample_dataset.root) == before


def test_what_is_no_neck_is_refused_with_its_probability_and_leaves_nothing(sample_dataset, strict, tmp_path):
    exam = sample_dataset.exams()[0]
    before = tree(tmp_path)
    with pytest.raises(NotCervicalError) as caught:
        jobs.segment(exam, strict, device="cpu")
    sentence = str(caught.value)
    assert "this does not look like a cervical spine exam (probability under 1 %)" in sentence
    assert sentence.startswith(exam.image.name) and "--anyway" in sentence
    with pytest.raises(NotCervicalError):
        jobs.segment_file(exam.image, tmp_path / "x.nii.gz", strict, device="cpu")
    assert tree(tmp_path) == before
    forced = jobs.segment(exam, strict, device="cpu", anyway=True)
    record = read(forced.provenance)
    assert record["settings"]["anyway"] and record["verdict"]["probability"] < 0.01
    assert any("segmented anyway" in note for note in record["notes"])


def test_a_batch_goes_on_after_what_is_no_neck_and_tells_the_count(sample_dataset, bundle, strict, capsys):
    exams = sample_dataset.exams()
    words = ["segment", "--all", "--dataset", str(sample_dataset.root), "--device", "cpu"]
    flat = volume.read(exams[1].image)
    volume.write(volume.like(flat, np.full(flat.shape, 3, np.int16)), exams[1].image)
    assert main([*words, "--model", str(bundle.folder)]) == 1
    out = capsys.readouterr().out
    assert out.count("\n") == len(exams) + 1 and "same value" in out
    assert main(["segment", exams[0].stem, *words[2:], "--model", str(strict.folder)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("cspineseg: ")]
    assert "does not look like a cervical spine exam (probability" in line
    assert main(["segment", exams[1].stem, *words[2:], "--model", str(bundle.folder), "--anyway", "--no-clean"]) == 0
    assert read(exams[1].predicted_record(bundle.name))["settings"] == {"anyway": True, "clean": False}


def test_a_refusal_reaches_who_asked_for_it_in_another_process(sample_dataset, strict):
    exam = sample_dataset.exams()[0]
    words = ["segment", exam.stem, "--dataset", str(sample_dataset.root), "--model", str(strict.folder)]
    with pytest.raises(CSpineSegError, match="does not look like a cervical spine exam"):
        ChildJob(words).result(timeout=120)
    assert not exam.predicted(strict.name).exists()
    (result,) = ChildJob([*words, "--anyway"]).result(timeout=120)["results"]
    assert Path(result["mask"]).is_file() and Path(result["quality"]).is_file()


def test_quality_of_a_single_file_is_written_when_asked_and_goes_with_its_mask(
    sample_dataset, bundle, tmp_path, capsys
):
    folder = tmp_path / "élève"
    folder.mkdir()
    image = sample_dataset.exams()[0].image
    output, plain = folder / "cou_SEG.nii.gz", folder / "cou.nii"
    words = ["segment", str(image), "--model", str(bundle.folder), "--device", "cpu", "--json", "--output"]
    assert main([*words, str(output)]) == 0
    assert [path.name for path in folder.iterdir()] == [output.name]
    assert main([*words, str(output), "--quality", "--force"]) == 0
    capsys.readouterr()
    assert sorted(path.name for path in folder.iterdir()) == ["cou_SEG.nii.gz", "cou_doubt.nii.gz", "cou_quality.json"]
    assert read(folder / "cou_quality.json")["mask"]["sha256"] == files.sha256(output)
    # Another mask with the same stem does not take, nor replace unasked, what speaks of this one.
    assert main([*words, str(plain), "--quality"]) == 2
    assert main([*words, str(plain)]) == 0
    assert (folder / "cou_quality.json").exists()
    assert main([*words, str(output), "--force"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["cou.nii", "cou_SEG.nii.gz"]


def test_quality_is_refused_of_a_model_without_and_of_exams_that_have_it_anyway(
    sample_dataset, bundle, tmp_path, capsys
):
    plain = changed(bundle, tmp_path / "plain", None)
    exam = sample_dataset.exams()[0]
    with pytest.raises(ModelError, match="leave out --quality"):
        jobs.segment_file(exam.image, tmp_path / "x.nii.gz", plain, device="cpu", quality=True)
    assert main(["segment", exam.stem, "--dataset", str(sample_dataset.root), "--quality"]) == 2
    assert "--output" in capsys.readouterr().err
    assert not (tmp_path / "x.nii.gz").exists()


def test_a_record_of_an_older_version_is_renewed(sample_dataset, bundle):
    exam = sample_dataset.exams()[0]
    path = jobs.segment(exam, bundle, device="cpu").provenance
    record = read(path)
    for key in ("settings", "quality", "verdict", "cleaned"):
        del record[key]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert not jobs.segment(exam, bundle, device="cpu").skipped


def test_the_settings_are_those_of_the_library(bundle):
    """The command line, the jobs and the model agree on what happens unasked."""
    import inspect

    predict = importlib.import_module("CSpineSegLib.model.prediction").predict
    parameters = inspect.signature(predict).parameters
    unasked = jobs.Options()
    for name, value in unasked.predicting(bundle).items():
        assert parameters[name].default in (value, None), name
    assert unasked.settings(bundle) == {"anyway": False, "clean": True}
    with pytest.raises(TypeError, match="anyhow"):
        jobs.segment(None, bundle, anyhow=True)
