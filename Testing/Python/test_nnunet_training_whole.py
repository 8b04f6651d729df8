"""The whole way with the real nnU-Net: a dataset of phantoms, export, plan, training, zip, import, segmentation."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from nnunet_export_cases import stem

from CSpineSegLib import phantom, volume
from CSpineSegLib.cli import main
from CSpineSegLib.dataset import Dataset

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("nnunetv2") is None, reason="nnU-Net is not installed"),
]

# nnU-Net's own training code with one epoch of four steps in place of 1000 of 250: enough to be a model, and few enough
# for its masks to hold something, since a network's first lesson is that nearly everything is background. Its short
# trainers, which a user would name with --trainer, cannot be looked up where torchvision does not fit torch.
SHORT = """
import sys

if any("nnUNetv2_train" in word for word in sys.orig_argv):
    from functools import wraps

    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    begin = nnUNetTrainer.__init__

    @wraps(begin)
    def short(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        self.num_epochs, self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = 1, 4, 1

    nnUNetTrainer.__init__ = short
"""
NAME = "Dataset108_CSpineSeg"


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run a command that has to end well; returns its JSON, or None."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SHORT, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path / "modèles"))
    few = {"nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1", "nnUNet_compile": "f", "MPLBACKEND": "agg"}
    for name, value in {**few, "OMP_NUM_THREADS": "2"}.items():
        monkeypatch.setenv(name, value)

    def call(*words: object):
        capfd.readouterr()
        code = main([str(word) for word in words])
        said = capfd.readouterr()
        assert code == 0, f"{words}: {said.err[-3000:]}"
        return json.loads(said.out) if "--json" in words else None

    return call


def phantoms(root: Path, patients: int) -> Dataset:
    """A patient each with a phantom, the last for testing; the second lies as RAS."""
    for patient in range(1, patients + 1):
        grid = phantom.grid_around((64, 80, 8), (1.6, 1.6, 4.0), "PSR")
        made = phantom.make(700 + patient, grid)
        parts = {"": np.rint(made.image).astype(np.int16), "_SEG": made.mask}
        for ending, array in parts.items():
            part = volume.from_array(array, grid.affine)
            part = volume.reorient(part, "RAS") if patient == 2 else part
            folder = root / "extracted" / ("segmentation" if ending else "annotation")
            volume.write(part, folder / f"{stem(patient)}{ending}.nii.gz")
    (root / "splits").mkdir()
    (root / "splits" / "splits.tsv").write_text(f"patient_id\tsplit\n{patients}\ttest\n", encoding="utf-8")
    return Dataset.open(root)


def reduce(plans: Path) -> None:
    """Networks of few features, so that a training takes seconds; all else as nnU-Net planned it."""
    content = json.loads(plans.read_text(encoding="utf-8"))
    for configuration in ("2d", "3d_fullres"):
        network = content["configurations"][configuration]["architecture"]["arch_kwargs"]
        network["features_per_stage"] = [min(8 * 2**stage, 32) for stage in range(network["n_stages"])]
    plans.write_text(json.dumps(content), encoding="utf-8")


def test_own_data_become_an_imported_model_that_segments_as_nnunet_does(run, tmp_path):
    work, zipped = tmp_path / "wörk", tmp_path / "model.zip"
    dataset = phantoms(tmp_path / "data", 6)
    test = dataset.exams(patient=6)[0]
    before = {path: path.read_bytes() for path in (dataset.root / "extracted").rglob("*.nii.gz")}
    exported = run("nnunet", "export", "--dataset", dataset.root, "--work", work, "--link", "--json")
    assert (exported["training"], exported["test"]) == (5, 1)

    run("nnunet", "plan", "--work", work, "--preset", "plain", "--processes", 1)
    preprocessed = work / "nnUNet_preprocessed" / NAME
    folds = json.loads((preprocessed / "splits_final.json").read_text(encoding="utf-8"))
    assert folds == json.loads((work / "nnUNet_raw" / NAME / "splits_final.json").read_text(encoding="utf-8"))
    reduce(preprocessed / "nnUNetPlans.json")

    for configuration in ("2d", "3d_fullres"):
        run(
            *("nnunet", "train", "--work", work, "--preset", "plain", "-c", configuration),
            *("--fold", 0, "--device", "cpu", "--continue"),
        )
        fold = work / "nnUNet_results" / NAME / f"nnUNetTrainer__nnUNetPlans__{configuration}" / "fold_0"
        assert (fold / "checkpoint_final.pth").is_file()
        # The patient held out by the export is the one that nnU-Net validated on.
        assert [path.name[:-7] for path in (fold / "validation").glob("*.nii.gz")] == folds[0]["val"]

    run("nnunet", "find-best", "--work", work, "--preset", "plain", "--fold", 0, "--processes", 1)
    assert (work / "nnUNet_results" / NAME / "inference_information.json").is_file()
    run("nnunet", "export-model", "--work", work, "--preset", "plain", "--fold", 0, "--output", zipped)
    imported = run("models", "import", zipped, "--name", "mine", "--json")
    assert imported["orientation"] == "PSR"

    for configuration in ("2d", "3d_fullres"):
        words = ("-c", configuration, "--fold", 0, "--device", "cpu", "--processes", 1, "--probabilities")
        run("nnunet", "predict", "--work", work, "--preset", "plain", *words, "--output", tmp_path / configuration)
    run(
        *("nnunet", "ensemble", "-i", tmp_path / "2d", "-i", tmp_path / "3d_fullres"),
        *("-o", tmp_path / "ensemble", "--processes", 1),
    )
    (case,) = [case["case"] for case in exported["cases"] if case["exam"] == test.stem]
    words = ("segment", test.image, "--model", "mine", "--mode", "exact", "--device", "cpu", "--anyway", "--json")
    for configuration in ("2d", "3d_fullres", "ensemble"):
        output = tmp_path / f"{configuration}.nii.gz"
        run(*words, "--configuration", configuration, "--output", output)
        ours, theirs = (volume.read_mask(path).array for path in (output, tmp_path / configuration / f"{case}.nii.gz"))
        assert len(np.unique(theirs)) > 1, "an empty mask says nothing"
        assert np.mean(ours != theirs) < 1e-4, configuration
    assert {path: path.read_bytes() for path in before} == before


def test_nnunets_own_failure_is_one_sentence(run, tmp_path, capfd):
    work = tmp_path / "w"
    (work / "nnUNet_results" / NAME).mkdir(parents=True)
    capfd.readouterr()
    assert main(["nnunet", "find-best", "--work", str(work)]) == 2
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("cspineseg: nnUNetv2_find_best_configuration failed with code 1; it said last: ")
    assert "nnUNetResEncUNetLPlans.json" in line
    shutil.rmtree(work)
