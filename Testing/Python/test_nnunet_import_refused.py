"""Exports that are refused: checkpoints that are programs, and models that would run differently here."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import nnunet_zips as zips
import numpy as np
import pytest

from CSpineSegLib.errors import InputError, ModelError
from CSpineSegLib.model.nnunet import importing, weights

torch = pytest.importorskip("torch", reason="checkpoints are torch's")

TOP, CHECKPOINT, PROOF = zips.TOP, zips.CHECKPOINT, zips.PROOF


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    return zips.training("2d")


@pytest.fixture
def refused(tmp_path, monkeypatch):
    return zips.refusal(tmp_path, monkeypatch)


# --- what the zip holds ---


def test_incomplete_and_unusable_contents_are_named(refused, good):
    for part in ("plans.json", "dataset.json"):
        assert f"lacks {TOP}/{part}" in refused({name: data for name, data in good.items() if part not in name})
    assert f"{TOP}/plans.json in" in refused(good | {f"{TOP}/plans.json": b"{"})
    assert "does not hold a table" in refused(good | {f"{TOP}/dataset.json": b"[]"})
    assert "not a readable JSON file" in refused(good | {f"{TOP}/dataset.json": b"\xff\xfe"})
    assert "not a readable JSON file" in refused(good | {f"{TOP}/plans.json": b"[" * 200_000})


@pytest.mark.parametrize(
    ("configured", "words"),
    [
        ("3d_lowres", "3d_lowres is not supported; 2d and 3d_fullres are."),
        ("3d_cascade_fullres", "the second stage of a cascade, which is not supported"),
        ("3d_fullres_bs4", "The configuration '3d_fullres_bs4' is not known here"),
    ],
)
def test_other_configurations_are_refused_where_there_is_no_other(refused, configured, words):
    said = refused(zips.training(configured))
    assert words in said and f"holds only nnUNetTrainer__nnUNetPlans__{configured}" in said


def test_two_trainings_of_one_configuration_are_refused_by_name(refused, good):
    said = refused(good | zips.training("2d", trainer="nnUNetTrainer_5epochs"))
    assert "two trainings of 2d: nnUNetTrainer_5epochs__nnUNetPlans__2d and nnUNetTrainer__nnUNetPlans__2d" in said
    other = zips.plans(dataset_name="Dataset109_CSpineSeg")
    said = refused(good | zips.training("3d_fullres", folder="Dataset109", plan=other))
    assert "differ in dataset name (Dataset108_CSpineSeg and Dataset109_CSpineSeg)" in said
    other = zips.plans(transpose_forward=[1, 0, 2], transpose_backward=[1, 0, 2])
    assert "differ in transpose forward" in refused(good | zips.training("3d_fullres", plan=other))


@pytest.mark.parametrize("trainer", ["nnUNetTrainerBN", "nnUNet_Primus_M_Trainer"])
def test_trainers_of_other_networks_are_refused_by_name(refused, trainer):
    assert f"trained by {trainer}, which takes another network" in refused(zips.training("2d", trainer=trainer))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"background": 0, "spine": [1, 2], "disc": 2}, "trained on regions ('spine': [1, 2])"),
        ({"background": 0, "a": 1, "b": 2, "c": 3}, "labels are [0, 1, 2, 3]"),
        ({"background": 0, "a": 1}, "labels are [0, 1]"),
        ({"background": 0, "a": 1, "b": 3}, "labels are [0, 1, 3]"),
        ({"background": 0, "a": 1, "b": 1, "c": 2}, "labels are [0, 1, 2]"),
        ({"a": 0, "background": 1, "b": 2}, "gives the background's value 0 to 'a'"),
        ({"0": "background", "1": "a"}, "'0' the value 'background', which is not a whole number"),
        ({"background": 0, "a": 1.5, "b": 2}, "the value 1.5, which is not a whole number"),
        ({"background": False, "a": True, "b": 2}, "which is not a whole number"),
        (["background", "a", "b"], "no usable 'labels'"),
    ],
)
def test_other_labels_than_bodies_and_discs_are_refused(refused, labels, words):
    assert words in refused(zips.training("2d", about=zips.dataset(labels=labels)))


def test_several_images_at_a_time_are_refused(refused):
    said = refused(zips.training("2d", about=zips.dataset(channel_names={"0": "T1", "1": "T2"})))
    assert "takes 2 images at a time" in said


def test_an_orientation_that_nobody_knows_is_asked_for(refused):
    about = zips.dataset(labels={"background": 0, "a": 1, "b": 2})
    files = zips.training("2d", plan=zips.plans(dataset_name="Dataset500_Neck"), about=about)
    said = refused(files)
    assert "does not tell how the training images of Dataset500_Neck were oriented" in said and "--orientation" in said
    for wrong in ("PS", "PSP", "XYZ", "PSRA", "LRA", ""):
        assert "is not an orientation; write three letters" in refused(files, orientation=wrong)
    turned = zips.plans(image_reader_writer="NibabelIOWithReorient")
    assert "leave out --orientation" in refused(zips.training("2d", plan=turned), orientation="PSR")


# --- the checkpoint ---


class Program:
    """Runs a program when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"echo x > {PROOF}",)


class Evaluated:
    def __reduce__(self):
        return eval, (f"open({PROOF!r}, 'w')",)


@pytest.mark.parametrize("place", ["network_weights", "logging", "init_args"])
def test_a_program_in_a_checkpoint_is_refused_by_its_name_and_not_run(refused, good, place):
    content = zips.checkpoint(2)
    content[place] = {**content[place], "x": Program()}
    said = refused(good | {CHECKPOINT: zips.saved(content)})
    assert f"{CHECKPOINT} in" in said and f"holds the program object '{os.system.__module__}.system'" in said


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (Evaluated(), "eval'"),
        (np.arange(3), "_reconstruct'"),
        (Path("x"), "pathlib."),
        (zipfile.ZipInfo, "zipfile.ZipInfo'"),
    ],
)
def test_anything_but_tensors_plain_values_and_numpy_scalars_is_refused_by_its_name(thing, name):
    with pytest.raises(ModelError, match="holds the program object") as caught:
        weights.read(zips.saved({**zips.checkpoint(2), "x": thing}), "x")
    assert name in str(caught.value) and not Path(PROOF).exists()


def test_an_array_of_objects_cannot_smuggle_a_program_in(refused, good):
    scalar = np.float64(1).__reduce__()[0]

    class Smuggled:
        def __reduce__(self):
            return scalar, (np.dtype("O"), Program())

    assert "'numpy.dtypes.ObjectDType'" in refused(good | {CHECKPOINT: zips.saved({"x": Smuggled()})})


def test_checkpoints_in_other_formats_are_refused_unread(refused, good, tmp_path):
    buffer = io.BytesIO()
    torch.save(zips.checkpoint(2), buffer, _use_new_zipfile_serialization=False)
    for data in (buffer.getvalue(), pickle.dumps(Program()), b"", b"x" * 100):
        assert "not in the format in which torch saves weights" in refused(good | {CHECKPOINT: data})
    whole = good[CHECKPOINT]
    assert "is damaged" in refused(good | {CHECKPOINT: whole[: len(whole) // 2]})
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    assert "not a file as torch writes it" in refused(good | {CHECKPOINT: packed.getvalue()})


def test_a_checkpoint_whose_inside_is_damaged_ends_in_a_sentence(refused, good):
    whole = good[CHECKPOINT]
    start = whole.index(b"network_weights")
    for at in (start - 8, start + 40, start + 400, start + 1000):
        changed = bytearray(whole)
        changed[at : at + 6] = b"\xfe" * 6
        with pytest.raises(ModelError, match=r"damaged|program object|neither a tensor|not a checkpoint|weights"):
            weights.read(bytes(changed), "x")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network_weights": None}, "holds no network_weights"),
        ({"network_weights": [1]}, "holds no network_weights"),
        ({"network_weights": {"x": "y"}}, "not a table of names and tensors"),
        ({"init_args": {}}, "does not name its trainer and configuration"),
        ({"init_args": {"configuration": "3d_fullres"}}, "is of the configuration '3d_fullres', not '2d'"),
        ({"inference_allowed_mirroring_axes": (0, 7)}, "names the mirroring axes (0, 7)"),
        ({"inference_allowed_mirroring_axes": "01"}, "names the mirroring axes 01"),
        ({"inference_allowed_mirroring_axes": (0, 2)}, "no usable mirroring axes for '2d'"),
    ],
)
def test_checkpoints_that_are_not_nnunets_are_refused(refused, changes, words):
    assert words in refused(zips.training("2d", **changes))


def test_a_file_that_is_no_table_is_no_checkpoint(refused, good):
    assert "holds no network_weights" in refused(good | {CHECKPOINT: zips.saved([1, 2])})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("decoder.seg_layers.1.weight"), "lack"),
        (lambda w: w.update({"encoder.stages.9.weight": torch.zeros(1)}), "'encoder.stages.9.weight'"),
        (lambda w: w.update({"decoder.seg_layers.1.bias": torch.zeros(4)}), "decoder.seg_layers.1.bias"),
        (lambda w: w.update({"decoder.seg_layers.1.bias": torch.full((3,), float("nan"))}), "not finite"),
        (lambda w: w.update({"decoder.seg_layers.1.bias": torch.full((3,), float("inf"))}), "not finite"),
        (
            lambda w: w.update({"decoder.seg_layers.1.bias": torch.zeros(3, dtype=torch.int64)}),
            "not finite|real|number",
        ),
        (lambda w: w.update({"encoder.stages.0.0.convs.0.norm.running_mean": torch.zeros(4)}), "running_mean"),
        (lambda w: w.update({"encoder.stages.0.0.convs.0.conv.bias": torch.ones(4)}), "twice with different values"),
    ],
)
def test_weights_that_are_not_of_the_plans_network_are_refused_by_name(refused, change, words):
    state = dict(zips.state(2))
    change(state)
    assert re.search(words, refused(zips.training("2d", network_weights=state)))


def test_scalars_of_numpy_1_and_2_are_both_read(good):
    data = zips.saved(zips.checkpoint(2))
    new, old = b"numpy._core.multiarray", b"numpy.core.multiarray"
    assert (new in data) != (old in data)
    with zipfile.ZipFile(io.BytesIO(data)) as stored:
        parts = {name: stored.read(name) for name in stored.namelist()}
    for a, b in ((new, old), (old, new)):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as made:
            for name, content in parts.items():
                made.writestr(name, content.replace(a, b))
        assert weights.read(buffer.getvalue(), "x").epoch == 7


def test_a_missing_source_is_bad_input(tmp_path):
    with pytest.raises(InputError):
        importing.import_model(tmp_path / "none")
