"""Exams segmented by a model imported from nnU-Net: asked for in one way or another, here or in a worker."""

from __future__ import annotations

import json
from pathlib import Path

import nnunet_zips as zips
import numpy as np
import pytest

from CSpineSegLib import jobs, volume
from CSpineSegLib.cli import main
from CSpineSegLib.errors import ModelError
from CSpineSegLib.model.nnunet import store
from CSpineSegLib.model.nnunet.run import Run

QUICK = {"device": "cpu", "engine": "torch", "anyway": True}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    """A folder with the imported model "mine": two folds in 2D, tiny, with random weights."""
    folder = tmp_path_factory.mktemp("modèles")
    weights = {("2d", fold): zips.state(2, seed=fold) for fold in (0, 1)}
    # Coarse, in few windows.
    plans = zips.plans()
    plans["configurations"]["2d"].update(patch_size=[64, 64], spacing=[2.5, 2.5])
    store.write(folder, "mine", plans, zips.dataset(), weights, orientation="PSR")
    return folder


@pytest.fixture
def model(models, monkeypatch) -> store.Imported:
    monkeypatch.setenv(store.VARIABLE, str(models))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return store.load(models / "mine")


def record(exam) -> dict:
    return json.loads(exam.predicted_record("mine").read_text(encoding="utf-8"))


def test_the_record_says_how_it_was_run_and_another_way_is_not_up_to_date(sample_dataset, model):
    exam, last = sample_dataset.exams()[0], None
    for run in (None, Run(mirror=False), Run(folds=(1,), mirror=False), Run("fast"), Run("exact", "2d", (0,), False)):
        found = jobs.segment(exam, model, run=run, **QUICK)
        assert not found.skipped and found.mask == exam.predicted("mine") and found.mask.is_file()
        known = record(exam)
        assert known["settings"] == {"anyway": True, "clean": False, **(run or Run()).settings()}
        assert known["model"]["sha256"] == model.sha256 and known["settings"] != last
        assert (found.score, known["cleaned"]) == (None, None)
        last = known["settings"]
        assert jobs.segment(exam, model, run=run, **QUICK).skipped
    assert jobs.segment(exam, model, run=Run("exact", "2d", (0,), False), **{**QUICK, "engine": "auto"}).skipped


def test_its_mask_is_cleaned_where_that_is_asked_for_and_only_then(sample_dataset, model):
    exam, run = sample_dataset.exams()[0], Run(folds=(0,), mirror=False)
    jobs.segment(exam, model, run=run, **QUICK)
    plain = volume.read_mask(exam.predicted("mine")).array
    assert not jobs.segment(exam, model, run=run, clean=True, **QUICK).skipped
    cleaned = volume.read_mask(exam.predicted("mine")).array
    assert record(exam)["settings"]["clean"] and set(record(exam)["cleaned"]) == {"removed", "filled"}
    assert not np.array_equal(plain, cleaned)


@pytest.mark.parametrize("run", [Run(configuration="3d_fullres"), Run(folds=(0, 4)), Run(configuration="ensemble")])
def test_a_run_that_the_model_does_not_have_is_said_once_and_nothing_is_written(sample_dataset, model, run, tmp_path):
    with pytest.raises(ModelError, match="mine"):
        jobs.segment_many(sample_dataset.exams(), model, run=run)
    image = sample_dataset.exams()[0].image
    with pytest.raises(ModelError, match="mine"):
        jobs.segment_file(image, tmp_path / "x.nii.gz", model, run=run)
    assert not (tmp_path / "x.nii.gz").exists() and not sample_dataset.processed.joinpath("predicted").exists()


def test_options_go_to_a_worker_and_come_back_as_they_were():
    run = Run("exact", "2d", (0, "all"), False)
    for options in (jobs.Options(), jobs.Options("cpu", "torch", True, False, True, run)):
        assert jobs.Options.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert jobs.Options().to_json() == {}


def test_a_worker_runs_it_as_this_process_does_and_so_does_the_command_line(sample_dataset, model, capsys):
    exams, run = sample_dataset.exams()[:2], Run(folds=(1,), mirror=False)
    with jobs.Worker() as worker:
        known = worker.load(model, "cpu", "torch").result(120)
        assert (known["name"], known["engine"]) == ("mine", "torch")
        batch = jobs.segment_many(exams, model, worker=worker, run=run, **QUICK)
    assert batch.failures == {} and [result.skipped for result in batch.results] == [False, False]
    away = [exam.predicted("mine").read_bytes() for exam in exams]
    assert all(result.skipped for result in jobs.segment_many(exams, model, run=run, **QUICK).results)
    jobs.segment_many(exams, model, run=run, force=True, **QUICK)
    assert [exam.predicted("mine").read_bytes() for exam in exams] == away
    words = ["segment", *(exam.stem for exam in exams), "--dataset", str(sample_dataset.root), "--model", "mine"]
    words += ["--device", "cpu", "--engine", "torch", "--anyway", "--json"]
    capsys.readouterr()
    assert main([*words, "--folds", "1", "--no-mirror"]) == 0
    assert all(result["skipped"] for result in json.loads(capsys.readouterr().out)["results"])
    assert main([words[0], exams[0].stem, *words[3:], "--mode", "fast", "--clean"]) == 0
    assert not json.loads(capsys.readouterr().out)["results"][0]["skipped"]
    assert record(exams[0])["settings"] == {"anyway": True, "clean": True, **Run("fast").settings()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--mode", "quick"], "'quick' is not a mode"),
        (["--configuration", "3d_lowres"], "not a configuration"),
        (["--configuration", "3d_fullres"], "has no configuration 3d_fullres"),
        (["--folds", "7"], "has no fold 7"),
        (["--folds", "one"], "does not name folds"),
        (["--model", jobs.DEFAULT_MODEL, "--mode", "fast"], "imported models"),
        (["--model", jobs.DEFAULT_MODEL, "--no-mirror"], "imported models"),
    ],
)
def test_words_that_do_not_fit_the_model(sample_dataset, model, capsys, words, expected):
    for chosen in ("--all", sample_dataset.exams()[0].stem):
        assert main(["segment", chosen, "--dataset", str(sample_dataset.root), "--model", "mine", *words]) == 2
        (line,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("cspineseg: ")]
        assert expected in line and line.endswith(".")
