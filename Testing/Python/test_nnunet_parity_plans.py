"""Exports of nnU-Net's own making, and what else its planner and trainers can put into them: taken, or refused."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("nnunetv2", reason="the oracle")
pytest.importorskip("torch", reason="checkpoints are torch's")

import nnunet_cases as cases
import nnunet_oracle as oracle
import torch

from CSpineSegLib.errors import ModelError
from CSpineSegLib.model.nnunet import importing

pytestmark = pytest.mark.slow

TRAINED = "nnUNetTrainer__nnUNetPlans__3d_fullres"


@pytest.fixture(scope="module")
def products(tmp_path_factory) -> cases.Products:
    return cases.products(tmp_path_factory.getbasetemp() / "oracle")


@pytest.fixture(scope="module")
def planned_for_large(products, tmp_path_factory) -> dict:
    """Plans of nnU-Net's planner for exams of which a patch holds less than a quarter: with 3d_lowres and a cascade."""
    home, name = oracle.Home(tmp_path_factory.mktemp("large")), oracle.MODELS["isotropic"]["folder"]
    shutil.copytree(products.home.folder / "raw" / name, home.folder / "raw" / name)
    (home.folder / "results").mkdir()
    target = home.folder / "preprocessed" / name
    target.mkdir(parents=True)
    fingerprint = json.loads((products.home.folder / "preprocessed" / name / "dataset_fingerprint.json").read_text())
    # The same exams with four times the voxels along every axis, and a card that holds little of one.
    fingerprint["shapes_after_crop"] = [[4 * n for n in shape] for shape in fingerprint["shapes_after_crop"]]
    (target / "dataset_fingerprint.json").write_text(json.dumps(fingerprint), encoding="utf-8")
    command = ["nnUNetv2_plan_experiment", "-d", str(oracle.MODELS["isotropic"]["dataset"])]
    home.run([[*command, "-gpu_memory_target", "0.6"]])
    planned = json.loads((target / "nnUNetPlans.json").read_text(encoding="utf-8"))
    assert {"3d_lowres", "3d_cascade_fullres"} <= set(planned["configurations"])
    return planned


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    """A copy of a zip; `change` gives each member's new name and contents, or None to leave it out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            made = change(name, old.read(name))
            if made is not None:
                new.writestr(*made)
    return target


def edited(contents: bytes, **changes: object) -> bytes:
    return json.dumps({**json.loads(contents), **changes}).encode()


def refusal(path: Path, root: Path) -> str:
    """The one sentence with which a zip is refused; nothing is written then."""
    with pytest.raises(ModelError) as refused:
        importing.import_model(path, root=root)
    assert not root.exists() or not list(root.iterdir())
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("configuration", ["3d_lowres", "3d_cascade_fullres"])
def test_a_training_of_a_cascade_is_refused(products, planned_for_large, tmp_path, configuration):
    def change(name: str, contents: bytes):
        folder = TRAINED.replace("3d_fullres", configuration)
        contents = json.dumps(planned_for_large).encode() if name.endswith("plans.json") else contents
        return name.replace(TRAINED, folder), contents

    path = rewritten(products.zip("isotropic"), tmp_path / "large.zip", change)
    assert f"{configuration} is" in refusal(path, tmp_path / "models")


def test_plans_that_also_hold_a_cascade_are_no_obstacle(products, planned_for_large, tmp_path):
    more = {
        name: content
        for name, content in planned_for_large["configurations"].items()
        if name in ("3d_lowres", "3d_cascade_fullres")
    }

    def change(name: str, contents: bytes):
        if name.endswith("plans.json"):
            contents = edited(contents, configurations={**json.loads(contents)["configurations"], **more})
        return name, contents

    path = rewritten(products.zip("isotropic"), tmp_path / "more.zip", change)
    made = [importing.import_model(one, root=tmp_path, name=one.stem) for one in (path, products.zip("isotropic"))]
    assert made[0].sha256 == made[1].sha256 and set(made[0].plans.configurations) == {"3d_fullres"}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"background": 0, "spine": [1, 2], "disc": 2}, "trained on regions"),
        ({"background": 0, "body": 1, "disc": 2, "cord": 3}, "labels are [0, 1, 2, 3]"),
    ],
)
def test_regions_and_further_labels_are_refused(products, tmp_path, labels, words):
    def change(name: str, contents: bytes):
        if name.endswith("dataset.json"):
            contents = edited(contents, labels=labels, regions_class_order=[1, 2])
        return name, contents

    path = rewritten(products.zip("isotropic"), tmp_path / "labels.zip", change)
    assert words in refusal(path, tmp_path / "models")


def test_a_trainer_that_nobody_knows_changes_nothing_and_is_named(products, tmp_path):
    def change(name: str, contents: bytes):
        if name.endswith(".pth"):
            checkpoint = torch.load(io.BytesIO(contents), weights_only=False)
            checkpoint["trainer_name"] = "nnUNetTrainerWandB"
            torch.save(checkpoint, changed := io.BytesIO())
            contents = changed.getvalue()
        return name.replace("nnUNetTrainer__", "nnUNetTrainerWandB__"), contents

    path = rewritten(products.zip("isotropic"), tmp_path / "wandb.zip", change)
    made = [importing.import_model(one, root=tmp_path, name=one.stem) for one in (path, products.zip("isotropic"))]
    assert made[0].sha256 == made[1].sha256
    assert any("nnUNetTrainerWandB" in note for note in made[0].metadata["notes"])
