"""Plans of nnU-Net read as data: what nnU-Net would do with them is kept, and everything else is refused."""

from __future__ import annotations

import copy
import json

import nnunet_zips as zips
import pytest

from CSpineSegLib.errors import ModelError
from CSpineSegLib.model.nnunet import plans, unets

NETWORK = "dynamic_network_architectures.architectures"


def changed(path: str, value: object, name: str = "PlainConvUNet") -> dict:
    """The usual plans with one value, at a path with "/", replaced."""
    content = copy.deepcopy(zips.plans(name))
    *way, last = path.split("/")
    place = content
    for key in way:
        place = place[key]
    place[last] = value
    return content


def refusal(path: str, value: object, name: str = "PlainConvUNet") -> str:
    with pytest.raises(ModelError) as caught:
        plans.read(changed(path, value, name), zips.dataset())
    said = str(caught.value)
    assert said.endswith(".") and "\n" not in said and len(said) < 500
    return said


def test_plans_are_read_as_nnunet_would_follow_them():
    read = plans.read(zips.plans(), zips.dataset())
    assert list(read.configurations) == ["2d", "3d_fullres"]
    assert (read.reader, read.transpose_forward, read.intensities) == ("SimpleITKIO", (0, 1, 2), ())
    two, three = read.configurations["2d"], read.configurations["3d_fullres"]
    assert (two.patch_size, two.spacing) == ((32, 32), (0.8, 0.8))
    assert (three.patch_size, three.spacing) == ((8, 32, 32), (4.0, 0.8, 0.8))
    assert (two.normalization, two.use_mask_for_norm) == (("ZScoreNormalization",), (False,))
    assert (three.order, three.order_z, three.force_separate_z, three.order_probabilities) == (3, 0, None, 1)
    assert two.network == unets.check(two.network) and three.network["dims"] == 3
    assert read.label_names == {0: "background", 1: "vertebrae", 2: "inter-vetebral disc"}


@pytest.mark.parametrize("name", ["PlainConvUNet", "ResidualEncoderUNet"])
def test_what_is_written_down_of_plans_reads_as_the_same(name):
    content = zips.plans(name)
    content["configurations"]["2d"]["normalization_schemes"] = ["CTNormalization"]
    content["configurations"]["3d_fullres"]["resampling_fn_data_kwargs"]["force_separate_z"] = True
    read = plans.read(content, zips.dataset())
    assert read.intensities == ({"mean": 100.0, "std": 20.0, "percentile_00_5": 10.0, "percentile_99_5": 300.0},)
    through = json.loads(json.dumps(plans.describe(read)))
    assert plans.read(*through) == read


def test_plans_by_nnunets_own_planner_are_read_as_its_plans_manager_reads_them():
    handler = pytest.importorskip("nnunetv2.utilities.plans_handling.plans_handler", reason="the oracle")
    content = zips.plans("ResidualEncoderUNet")
    manager = handler.PlansManager(copy.deepcopy(content)).get_configuration("3d_fullres")
    read = plans.read(content, zips.dataset()).configurations["3d_fullres"]
    assert list(read.patch_size) == manager.patch_size and list(read.spacing) == manager.spacing
    assert read.network["strides"] == manager.pool_op_kernel_sizes


def test_plans_from_before_the_architecture_was_written_down_give_the_network_that_nnunet_builds():
    handler = pytest.importorskip("nnunetv2.utilities.plans_handling.plans_handler", reason="the oracle")
    old = zips.configuration(2)
    del old["architecture"]
    old |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "n_conv_per_stage_encoder": [2, 2, 1],
        "n_conv_per_stage_decoder": [2, 1],
        "num_pool_per_axis": [2, 2],
        "pool_op_kernel_sizes": [[1, 1], [2, 2], [2, 2]],
        "conv_kernel_sizes": [[3, 3], [3, 3], [3, 3]],
        "unet_max_num_features": 8,
    }
    content = zips.plans(configurations={"2d": old})
    read = plans.read(content, zips.dataset()).configurations["2d"]
    with pytest.warns(UserWarning, match="old nnU-Net plans format"):
        manager = handler.PlansManager(copy.deepcopy(content)).get_configuration("2d")
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    theirs = get_network_from_plans(
        manager.network_arch_class_name,
        manager.network_arch_init_kwargs,
        manager.network_arch_init_kwargs_req_import,
        1,
        3,
        deep_supervision=False,
    )
    assert read.network["features_per_stage"] == [4, 8, 8]
    kept = unets.strip(read.network, theirs.state_dict())
    assert {key: tuple(tensor.shape) for key, tensor in kept.items()} == unets.shapes(read.network)
    del old["unet_max_num_features"]
    with pytest.raises(ModelError, match="lack the network"):
        plans.read(zips.plans(configurations={"2d": old}), zips.dataset())


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (f"{NETWORK}.unet.PlainConvUNet", "PlainConvUNet"),
        ("PlainConvUNet", "PlainConvUNet"),
        (f"{NETWORK}.unet.ResidualEncoderUNet", "ResidualEncoderUNet"),
        (f"{NETWORK}.residual_unet.ResidualEncoderUNet", "ResidualEncoderUNet"),
    ],
)
def test_networks_are_known_by_their_full_names(given, name):
    content = changed("configurations/2d/architecture/network_class_name", given, name)
    assert plans.read(content, zips.dataset()).configurations["2d"].network["name"] == name


@pytest.mark.parametrize(
    "given", [f"{NETWORK}.unet.ResidualUNet", f"{NETWORK}.primus.Primus", "os.system", "builtins.eval", None, 3, ["a"]]
)
def test_other_networks_are_refused_by_name_and_never_looked_up(given):
    said = refusal("configurations/2d/architecture/network_class_name", given)
    assert f"name the network class {given!r}" in said


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("conv_op", "torch.nn.modules.conv.Conv3d", "give the network conv_op 'torch.nn.modules.conv.Conv3d'"),
        ("conv_op", "os.system", "give the network conv_op 'os.system'"),
        ("conv_op", None, "give the network conv_op None"),
        ("norm_op", "torch.nn.modules.batchnorm.BatchNorm2d", "norm_op 'torch.nn.modules.batchnorm.BatchNorm2d'"),
        ("norm_op_kwargs", {"eps": 1e-5, "track_running_stats": True}, "norm_op_kwargs with 'track_running_stats'"),
        ("nonlin", "torch.nn.ReLU", "nonlin 'torch.nn.ReLU'"),
        ("nonlin_kwargs", {"negative_slope": "x"}, "'x' is not allowed for 'negative_slope'"),
        ("dropout_op", "torch.nn.Dropout2d", "dropout_op 'torch.nn.Dropout2d'"),
        ("nonlin_first", True, "nonlin_first True"),
        ("nonlin_first", 0, "nonlin_first 0"),
        ("stochastic_depth_p", 0.1, "the argument 'stochastic_depth_p'"),
        ("n_stages", 99, "'n_stages'"),
        ("n_stages", True, "'n_stages'"),
        ("features_per_stage", [4, 8], "features_per_stage"),
        ("features_per_stage", [4, 8, 10**9], "features_per_stage"),
        ("strides", [[2, 2], [2, 2], [2, 2]], "first stage"),
        ("kernel_sizes", [[3, 3], [2, 2], [3, 3]], "kernel_sizes"),
        ("kernel_sizes", "3", "kernel_sizes"),
        ("conv_bias", "yes", "conv_bias"),
    ],
)
def test_parts_of_a_network_that_are_not_on_the_lists_are_refused(key, value, words):
    said = refusal(f"configurations/2d/architecture/arch_kwargs/{key}", value)
    assert words in said and said.startswith("The plans of '2d' ")


def test_defaults_of_nnunets_networks_are_taken_where_plans_do_not_tell():
    content = zips.plans()
    kwargs = content["configurations"]["2d"]["architecture"]["arch_kwargs"]
    for key in ("conv_bias", "nonlin_kwargs", "norm_op_kwargs"):
        del kwargs[key]
    network = plans.read(content, zips.dataset()).configurations["2d"].network
    assert (network["conv_bias"], network["norm_affine"], network["norm_eps"]) == (False, False, 1e-5)
    assert network["negative_slope"] == 0.01


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("preprocessor_name", "CTPreprocessor", "name the preprocessor 'CTPreprocessor'"),
        ("normalization_schemes", ["os.system"], "name the normalisation 'os.system'"),
        ("normalization_schemes", ["ZScoreNormalization"] * 2, "which is not a list of 1"),
        ("normalization_schemes", [["ZScoreNormalization"]], "name the normalisation"),
        ("use_mask_for_norm", [1], "neither true nor false"),
        ("resampling_fn_data", "resample_torch_fornnunet", "name 'resample_torch_fornnunet' for 'resampling_fn_data'"),
        ("resampling_fn_probabilities", "no_resampling_hack", "'no_resampling_hack' for 'resampling_fn_probabilities'"),
        ("resampling_fn_data_kwargs", {"memefficient": True}, "resample with 'memefficient'"),
        ("resampling_fn_data_kwargs", {"is_seg": True}, "resample with 'is_seg'"),
        ("resampling_fn_data_kwargs", {"order": 9}, "not between 0 and 5"),
        ("resampling_fn_data_kwargs", {"force_separate_z": "x"}, "neither true nor false"),
        ("resampling_fn_data_kwargs", {"separate_z_anisotropy_threshold": 2}, "another threshold of anisotropy"),
        ("patch_size", [32], "which is not a list of 2"),
        ("patch_size", [32, 30], "a patch side of 30, which the strides, 4, do not divide"),
        ("patch_size", [32.5, 32], "not a whole number"),
        ("patch_size", [4096 * 4, 32], "not between 1 and 4096"),
        ("spacing", [0.5, -1], "not a number between"),
        ("spacing", [0.5, float("nan")], "not a number between"),
        ("spacing", [0.5, "x"], "not a number between"),
        ("architecture", [], "no usable 'architecture'"),
        ("previous_stage", "3d_lowres", "a stage of a cascade"),
        ("inherits_from", "2d", "inherits from '2d', which leads nowhere"),
        ("inherits_from", "none", "inherits from 'none', which leads nowhere"),
    ],
)
def test_a_configuration_that_would_be_run_differently_is_refused(key, value, words):
    assert words in refusal(f"configurations/2d/{key}", value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("image_reader_writer", "Tiff3DIO", "name the image reader 'Tiff3DIO'"),
        ("image_reader_writer", ["SimpleITKIO"], "name the image reader"),
        ("label_manager", "MyLabels", "name the label manager 'MyLabels'"),
        ("transpose_forward", [0, 1, 1], "does not name each axis once"),
        ("transpose_forward", [1, 2, 0], "transposes that do not undo each other"),
        ("transpose_forward", [0, 1], "not a list of 3"),
        ("configurations", [], "no usable 'configurations'"),
        ("configurations", {"3d_lowres": {}}, "no configuration 2d or 3d_fullres, only 3d_lowres"),
        ("configurations", {}, "no configuration 2d or 3d_fullres"),
        ("dataset_name", None, "no usable 'dataset_name'"),
        ("plans_name", "", "no usable 'plans_name'"),
    ],
)
def test_plans_that_would_be_followed_differently_are_refused(key, value, words):
    assert words in refusal(key, value)


def test_inheritance_between_configurations_is_followed():
    content = zips.plans()
    content["configurations"]["base"] = content["configurations"].pop("2d")
    content["configurations"]["2d"] = {"inherits_from": "base", "spacing": [0.5, 0.6]}
    read = plans.read(content, zips.dataset()).configurations["2d"]
    assert read.spacing == (0.5, 0.6) and read.patch_size == (32, 32)


def test_intensities_are_needed_only_where_they_are_used():
    content = changed("configurations/2d/normalization_schemes", ["CTNormalization"])
    by_modality = dict(content)
    by_modality["foreground_intensity_properties_by_modality"] = by_modality.pop(
        "foreground_intensity_properties_per_channel"
    )
    assert plans.read(by_modality, zips.dataset()) == plans.read(content, zips.dataset())
    del content["foreground_intensity_properties_per_channel"]
    with pytest.raises(ModelError, match="foreground_intensity_properties_per_channel"):
        plans.read(content, zips.dataset())
    content["configurations"]["2d"]["normalization_schemes"] = ["NoNormalization"]
    assert plans.read(content, zips.dataset()).intensities == ()


def test_labels_of_one_value_and_the_ignore_label_are_as_in_nnunet():
    labels = {"background": 0, "vertebrae": [1], "disc": "2", "ignore": 3}
    assert plans.read(zips.plans(), zips.dataset(labels=labels)).label_names == {
        0: "background",
        1: "vertebrae",
        2: "disc",
    }
    old = zips.dataset(modality={"0": "T2"})
    del old["channel_names"]
    assert plans.read(zips.plans(), old).channel == "T2"


@pytest.mark.parametrize("content", [None, [], "x", 3])
def test_what_is_no_table_is_refused(content):
    for pair in ((content, zips.dataset()), (zips.plans(), content)):
        with pytest.raises(ModelError, match="no usable"):
            plans.read(*pair)
