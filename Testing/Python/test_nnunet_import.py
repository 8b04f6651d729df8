"""Import of nnU-Net's exports: what is kept, and what is recorded of where it came from."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import nnunet_zips as zips
import pytest

from CSpineSegLib import model
from CSpineSegLib.errors import ModelError
from CSpineSegLib.model.nnunet import archive, importing, store, trainings, unets, weights
from CSpineSegLib.progress import Progress

torch = pytest.importorskip("torch", reason="checkpoints are torch's")


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """The user's models, in a path with a space and an accent; made by the first import."""
    folder = tmp_path / "donnée s" / "Models"
    monkeypatch.setenv("CSPINESEG_MODELS", str(folder))
    return folder


@pytest.fixture
def both(tmp_path) -> Path:
    return zips.both(tmp_path)


# --- what is imported ---


@pytest.mark.parametrize("name", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("configured", ["2d", "3d_fullres"])
def test_weights_are_kept_bit_for_bit_each_once_and_without_the_optimiser(models, tmp_path, configured, name):
    source = zips.write_zip(tmp_path / "a.zip", zips.training(configured, (0,), name))
    made = importing.import_model(source)
    kept = weights.load(made, configured, 0)
    given = zips.state(2 if configured == "2d" else 3, name)
    definition = made.plans.configurations[configured].network
    assert list(kept) == list(unets.shapes(definition))
    assert all(torch.equal(tensor, given[key]) and tensor.dtype == given[key].dtype for key, tensor in kept.items())
    assert len({tensor.untyped_storage().data_ptr() for tensor in kept.values()}) == len(kept) < len(given)
    assert sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) == 4 * sum(
        tensor.numel() for tensor in kept.values()
    )


def test_two_configurations_and_all_their_folds_become_one_model(models, both):
    made = importing.import_model(both)
    assert set(made.weights) == {("2d", 0), ("2d", 1), ("2d", "all"), ("3d_fullres", 0)}
    assert made.folds("2d") == (0, 1, "all") and made.folds("3d_fullres") == (0,)
    assert list(made.plans.configurations) == ["2d", "3d_fullres"]
    assert made.name == "nnunet-Dataset108_CSpineSeg" and made.folder == models / made.name
    first, second = (weights.load(made, "2d", fold) for fold in (0, 1))
    assert not torch.equal(
        first["encoder.stages.0.0.convs.0.conv.weight"], second["encoder.stages.0.0.convs.0.conv.weight"]
    )


def test_the_model_is_found_by_name_like_a_packaged_one(models, both):
    made = importing.import_model(both)
    found = model.load(made.name)
    assert isinstance(found, model.Imported)
    assert (found.sha256, found.weights, found.plans) == (made.sha256, made.weights, made.plans)
    assert made.name in [one.name for one in model.available()]
    assert model.survey()[1] == []
    assert found.labels == model.load("cspine-phantom").labels
    assert found.calibration is None and found.is_converted


def test_the_source_is_recorded_with_its_checksum(models, both):
    made = importing.import_model(both)
    source = made.metadata["source"]
    assert source["sha256"] == hashlib.sha256(both.read_bytes()).hexdigest()
    assert (source["file"], source["dataset_name"]) == ("both.zip", "Dataset108_CSpineSeg")
    assert made.metadata["trainers"] == {"2d": "nnUNetTrainer", "3d_fullres": "nnUNetTrainer"}
    assert made.metadata["checkpoints"]["2d fold all"] == {"trainer": "nnUNetTrainer", "epochs": 7}


def test_a_results_folder_gives_the_same_model_as_its_zip(models, tmp_path, both):
    with zipfile.ZipFile(both) as archive:
        archive.extractall(tmp_path / "nnUNet_results")
    from_zip = importing.import_model(both, name="a")
    from_folder = importing.import_model(tmp_path / "nnUNet_results" / "Dataset108_CSpineSeg", name="b")
    assert from_folder.sha256 == from_zip.sha256
    one = importing.import_model(
        tmp_path / "nnUNet_results/Dataset108_CSpineSeg/nnUNetTrainer__nnUNetPlans__3d_fullres", name="c"
    )
    assert set(one.weights) == {("3d_fullres", 0)}


def test_plans_and_trainer_choose_among_several_trainings_of_a_results_folder(models, tmp_path):
    members = zips.training("2d") | zips.training("3d_fullres")
    for name in ("2d", "3d_fullres"):
        members |= zips.training(name, (0,), "ResidualEncoderUNet")
        members |= zips.training(name, (0,), "ResidualEncoderUNet", trainer="nnUNetTrainer_5epochs")
    results = zips.write_folder(tmp_path / "results", members)
    with pytest.raises(ModelError, match=r"two trainings of 2d: .* and .*; choose with --plans or --trainer"):
        importing.import_model(results)
    plain = importing.import_model(results, plans="nnUNetPlans")
    assert plain.plans.configurations["2d"].network["name"] == "PlainConvUNet" and len(plain.weights) == 2
    short = importing.import_model(results, plans="nnUNetResEncUNetLPlans", trainer="nnUNetTrainer_5epochs")
    assert set(short.metadata["trainers"].values()) == {"nnUNetTrainer_5epochs"}
    with pytest.raises(ModelError, match=r"no training of plans a and trainer b; it holds nnUNetTrainer_5epochs__"):
        importing.import_model(results, plans="a", trainer="b")


def test_a_training_folder_of_another_name_tells_what_it_is_by_its_files(models, tmp_path):
    members = zips.training("2d", (0,), trainer="nnUNetTrainerDA5")
    renamed = {name.replace("nnUNetTrainerDA5__nnUNetPlans__2d", "my best"): data for name, data in members.items()}
    made = importing.import_model(zips.write_zip(tmp_path / "a.zip", renamed))
    assert made.metadata["trainers"] == {"2d": "nnUNetTrainerDA5"}
    flat = {name.split("/", 2)[2]: data for name, data in members.items()}
    assert importing.import_model(zips.write_zip(tmp_path / "b.zip", flat), name="flat").sha256 == made.sha256


def test_the_identity_changes_with_weights_plans_orientation_and_mirroring_alone(models, tmp_path):
    def sha(number: int, orientation: str = "PSR", **options) -> str:
        source = zips.write_zip(tmp_path / f"{number}.zip", zips.training("2d", **options))
        return importing.import_model(source, name=f"m{number}", orientation=orientation).sha256

    wide = zips.plans()
    wide["configurations"]["2d"]["spacing"] = [0.7, 0.8]
    same, *others = (
        sha(0),
        sha(1, folds=(1,)),
        sha(2, plan=wide),
        sha(3, "RAS"),
        sha(4, inference_allowed_mirroring_axes=(0,)),
    )
    assert len({same, *others}) == 5
    assert sha(5, current_epoch=9, file="checkpoint_best.pth") == same


# --- what is recorded or said ---


@pytest.mark.parametrize(("axes", "kept"), [((0, 1), (0, 1)), ([1], (1,)), ((), ()), (None, ())])
def test_mirroring_is_what_the_checkpoint_permits(models, tmp_path, axes, kept):
    members = zips.training("2d", trainer="nnUNetTrainerNoMirroring", inference_allowed_mirroring_axes=axes)
    made = importing.import_model(zips.write_zip(tmp_path / "a.zip", members))
    assert made.mirroring == {"2d": kept} == store.load(made.folder).mirroring


def test_a_checkpoint_that_names_no_mirroring_permits_none_as_in_nnunet(models, tmp_path):
    members = zips.training("2d")
    content = zips.checkpoint(2)
    del content["inference_allowed_mirroring_axes"]
    members["Dataset108_CSpineSeg/nnUNetTrainer__nnUNetPlans__2d/fold_0/checkpoint_final.pth"] = zips.saved(content)
    assert importing.import_model(zips.write_zip(tmp_path / "a.zip", members)).mirroring == {"2d": ()}


def test_folds_that_permit_other_mirroring_follow_the_first_and_it_is_said(models, tmp_path):
    members = zips.training("2d", (0,)) | zips.training("2d", (1,), inference_allowed_mirroring_axes=None)
    made = importing.import_model(zips.write_zip(tmp_path / "a.zip", members))
    assert made.mirroring == {"2d": (0, 1)}
    assert any("fold_1/checkpoint_final.pth permits other mirroring" in note for note in made.metadata["notes"])


def test_the_final_checkpoint_is_preferred_and_the_best_taken_where_there_is_no_other(models, tmp_path):
    members = zips.training("2d", (0,)) | zips.training("2d", (1,), file="checkpoint_best.pth")
    best_too = zips.training("2d", (0,), file="checkpoint_best.pth", current_epoch=3)
    made = importing.import_model(zips.write_zip(tmp_path / "a.zip", best_too | members))
    assert made.metadata["checkpoints"]["2d fold 0"]["epochs"] == 7
    said = [note for note in made.metadata["notes"] if "checkpoint_best" in note]
    assert len(said) == 1 and "fold_1/checkpoint_best.pth was taken" in said[0]


def test_lowres_and_cascade_beside_others_are_left_out_and_it_is_said(models, tmp_path):
    members = zips.training("2d") | zips.training("3d_lowres") | zips.training("3d_cascade_fullres")
    made = importing.import_model(zips.write_zip(tmp_path / "a.zip", members))
    assert set(made.weights) == {("2d", 0)}
    notes = " ".join(made.metadata["notes"])
    assert "3d_lowres is not supported" in notes and "3d_cascade_fullres is the second stage of a cascade" in notes


def test_trainers_of_nnunet_that_only_change_training_are_known_and_others_are_named(models, tmp_path):
    import ast
    import importlib.util

    place = Path(importlib.util.find_spec("nnunetv2").submodule_search_locations[0], "training", "nnUNetTrainer")
    names = {
        node.name
        for path in place.rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    other = {name for name in names if "Primus" in name or name == "nnUNetTrainerBN"}
    assert len(names - other) > 40 and len(other) > 10
    by_name = {name: trainings.Training("", name, "nnUNetPlans", "2d", {}) for name in names}
    assert {name for name, one in by_name.items() if trainings.trainer_note(one) is not None} <= other
    members = zips.training("2d", trainer="nnUNetTrainerWandB")
    made = importing.import_model(zips.write_zip(tmp_path / "a.zip", members))
    assert any(note.startswith("The trainer nnUNetTrainerWandB is not one of") for note in made.metadata["notes"])


def test_what_nnunet_found_best_is_recorded(models, tmp_path):
    two, three, low = (f"nnUNetTrainer__nnUNetPlans__{name}" for name in ("2d", "3d_fullres", "3d_lowres"))

    def members(*titles: str) -> dict[str, bytes]:
        keys = ("trainer", "plans_identifier", "configuration")
        chosen = [dict(zip(keys, title.split("__"), strict=True)) for title in titles]
        content = {"best_model_or_ensemble": {"selected_model_or_models": chosen}}
        return {"Dataset108_CSpineSeg/inference_information.json": json.dumps(content).encode()}

    def best(*titles: str) -> tuple[str | None, str | None]:
        with archive.open_source(zips.write_zip(tmp_path / "a.zip", files | members(*titles))) as source:
            return trainings.best(source, trainings.find(source, Progress()))

    files = zips.training("2d") | zips.training("3d_fullres")
    assert best(two, three)[0] == "ensemble" and best(three)[0] == "3d_fullres"
    assert best(low) == (None, f"nnU-Net found {low} best in its cross-validation, which is not in this import.")
    assert best()[0] is None and "does not tell which" in best()[1]
    made = importing.import_model(zips.write_zip(tmp_path / "b.zip", files | members(two, three)))
    assert made.best == "ensemble" and any("it is used unless you ask" in note for note in made.metadata["notes"])


def test_postprocessing_is_left_alone_and_it_is_said(models, tmp_path):
    members = zips.training("2d")
    members["Dataset108_CSpineSeg/nnUNetTrainer__nnUNetPlans__2d/crossval_results_folds_0/postprocessing.pkl"] = b"boom"
    made = importing.import_model(zips.write_zip(tmp_path / "a.zip", members))
    assert any("postprocessing.pkl, which is a program, not opened" in note for note in made.metadata["notes"])


def test_labels_go_by_value_and_names_that_look_swapped_are_pointed_at(models, tmp_path):
    def note(number: int, **labels: int) -> str:
        about = zips.dataset(labels={"background": 0, **labels})
        made = importing.import_model(
            zips.write_zip(tmp_path / f"{number}.zip", zips.training("2d", about=about)), name=f"m{number}"
        )
        assert made.labels[1] == "vertebral bodies"
        return next(note for note in made.metadata["notes"] if note.startswith("Labels go by value"))

    assert "other way round" not in note(0, wirbel=1, bandscheibe=2)
    assert "other way round" in note(1, discs=1, vertebrae=2)


@pytest.mark.parametrize(
    ("reader", "dataset_name", "labels", "given", "kept"),
    [
        ("SimpleITKIO", "Dataset007_cspineseg", ("a", "b"), None, "PSR"),
        ("NibabelIO", "Dataset500_Neck", ("vertebrae", "inter-vetebral disc"), None, "PSR"),
        ("NibabelIOWithReorient", "Dataset500_Neck", ("a", "b"), None, "RAS"),
        ("SimpleITKIOWithReorient", "Dataset500_Neck", ("a", "b"), "RAS", "RAS"),
        ("SimpleITKIO", "Dataset500_Neck", ("a", "b"), " lpi ", "LPI"),
        ("SimpleITKIO", "Dataset108_CSpineSeg", ("a", "b"), "RAS", "RAS"),
    ],
)
def test_the_orientation_is_given_or_the_readers_or_that_of_the_dataset(
    models, tmp_path, reader, dataset_name, labels, given, kept
):
    about = zips.dataset(labels={"background": 0, labels[0]: 1, labels[1]: 2})
    plan = zips.plans(image_reader_writer=reader, dataset_name=dataset_name)
    source = zips.write_zip(tmp_path / "a.zip", zips.training("2d", plan=plan, about=about))
    made = importing.import_model(source, orientation=given)
    assert made.orientation == kept == store.load(made.folder).orientation
    assumed = [note for note in made.metadata["notes"] if "are taken to be PSR" in note]
    assert bool(assumed) == (given is None and "Reorient" not in reader)
