"""nnU-Net's two U-Nets are ours bit for bit, take its checkpoints, and take nothing that no such network has."""

import copy
import math

import pytest

from CSpineSegLib.errors import ModelError
from CSpineSegLib.model.nnunet import unets

COMMON = {
    "input_channels": 1,
    "num_classes": 3,
    "conv_bias": True,
    "norm_affine": True,
    "norm_eps": 1e-5,
    "negative_slope": 0.01,
}
PLAIN_2D = {
    **COMMON,
    "name": "PlainConvUNet",
    "dims": 2,
    "n_stages": 4,
    "features_per_stage": [8, 16, 32, 32],
    "kernel_sizes": [[3, 3]] * 4,
    "strides": [[1, 1], [2, 2], [2, 2], [2, 2]],
    "n_conv_per_stage": [2, 2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2, 2],
}
# Thick slices, as nnU-Net plans them: in plane alone at first, and never striding across all slices.
PLAIN_3D = {
    **COMMON,
    "name": "PlainConvUNet",
    "dims": 3,
    "n_stages": 4,
    "features_per_stage": [4, 8, 16, 20],
    "kernel_sizes": [[1, 3, 3], [1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 2]],
    "n_conv_per_stage": [2, 2, 2, 2],
    "n_conv_per_stage_decoder": [2, 2, 2],
}
RESIDUAL_2D = {
    **{key: value for key, value in PLAIN_2D.items() if key != "n_conv_per_stage"},
    "name": "ResidualEncoderUNet",
    "n_blocks_per_stage": [1, 3, 2, 2],
    "n_conv_per_stage_decoder": [1, 1, 1],
}
RESIDUAL_3D = {
    **{key: value for key, value in PLAIN_3D.items() if key != "n_conv_per_stage"},
    "name": "ResidualEncoderUNet",
    "n_blocks_per_stage": [1, 2, 3, 1],
    "n_conv_per_stage_decoder": [1, 2, 1],
}
VARIED = {
    **PLAIN_2D,
    "features_per_stage": [6, 7, 9, 11],
    "kernel_sizes": [[5, 3], [3, 1], [3, 3], [3, 7]],
    "strides": [[1, 1], [3, 1], [1, 2], [2, 2]],
    "n_conv_per_stage": [1, 3, 2, 1],
    "n_conv_per_stage_decoder": [2, 1, 3],
    "conv_bias": False,
    "norm_affine": False,
    "norm_eps": 1e-3,
    "negative_slope": 0.2,
}
# Strides without widening, and widening without strides: the residual's ways around are then a pool or a projection.
CROSSED = {**RESIDUAL_2D, "features_per_stage": [8, 8, 16, 16], "strides": [[1, 1], [2, 2], [1, 1], [1, 2]]}
# Numbers that stand for every stage and axis.
SHORT = {
    **COMMON,
    "name": "ResidualEncoderUNet",
    "dims": 2,
    "n_stages": 3,
    "features_per_stage": [4, 8, 8],
    "kernel_sizes": 3,
    "strides": [1, 2, 2],
    "n_blocks_per_stage": 2,
    "n_conv_per_stage_decoder": 1,
}
DEFINITIONS = {
    "plain 2D": PLAIN_2D,
    "plain 3D": PLAIN_3D,
    "residual 2D": RESIDUAL_2D,
    "residual 3D": RESIDUAL_3D,
    "varied": VARIED,
    "crossed": CROSSED,
    "short": SHORT,
}


def oracle(definition):
    """nnU-Net's own network of a definition, with random weights in every tensor, ready for inference."""
    torch = pytest.importorskip("torch")
    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    keys = ("input_channels", "n_stages", "features_per_stage", "kernel_sizes", "strides", "num_classes")
    keys += ("n_conv_per_stage_decoder", "conv_bias", "n_conv_per_stage", "n_blocks_per_stage")
    dims = definition["dims"]
    network = getattr(unet, definition["name"])(
        **{key: definition[key] for key in keys if key in definition},
        conv_op=getattr(torch.nn, f"Conv{dims}d"),
        norm_op=getattr(torch.nn, f"InstanceNorm{dims}d"),
        norm_op_kwargs={"eps": definition["norm_eps"], "affine": definition["norm_affine"]},
        nonlin=torch.nn.LeakyReLU,
        nonlin_kwargs={"inplace": True, "negative_slope": definition["negative_slope"]},
        deep_supervision=False,
    )
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape)
    return network.eval()


def loaded(definition, weights):
    network = unets.build(definition)
    network.load_state_dict(unets.strip(definition, weights))
    return network


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_the_logits_are_those_of_nnunets_own_network_bit_for_bit(definition):
    theirs = oracle(definition)
    import torch

    size = [2 * step for step in unets.divisors(definition)]
    inputs = torch.randn(2, 1, *size)
    with torch.inference_mode():
        expected = theirs(inputs)
        found = loaded(definition, theirs.state_dict())(inputs)
    assert found.shape == (2, 3, *size)
    assert torch.equal(found, expected)
    assert expected.std() > 0.01


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_each_weight_is_stored_once_and_a_checkpoint_lists_some_of_them_four_times(definition):
    full = oracle(definition).state_dict()
    stored = unets.strip(definition, full)
    tensors = {tensor.data_ptr() for name, tensor in full.items() if ".seg_layers." not in name}
    stages = definition["n_stages"]
    assert {name: tuple(tensor.shape) for name, tensor in stored.items()} == unets.shapes(definition)
    assert len({tensor.data_ptr() for tensor in stored.values()}) == len(stored) == len(tensors) + 2
    assert [name for name in stored if ".seg_layers." in name] == [
        f"decoder.seg_layers.{stages - 2}.weight",
        f"decoder.seg_layers.{stages - 2}.bias",
    ]
    assert all(name in full and full[name] is tensor for name, tensor in stored.items())
    assert unets.strip(definition, stored).keys() == stored.keys()
    assert unets.build(definition).state_dict().keys() == stored.keys()


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_weights_of_a_distributed_or_compiled_training_fit(prefix):
    full = oracle(SHORT).state_dict()
    found = unets.strip(SHORT, {prefix + name: tensor for name, tensor in full.items()})
    assert found.keys() == unets.shapes(SHORT).keys()


def test_dropout_which_does_nothing_at_inference_moves_no_weights():
    torch = pytest.importorskip("torch")
    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    keys = ("input_channels", "n_stages", "features_per_stage", "kernel_sizes", "strides", "num_classes", "conv_bias")
    network = unet.PlainConvUNet(
        **{key: PLAIN_2D[key] for key in (*keys, "n_conv_per_stage", "n_conv_per_stage_decoder")},
        conv_op=torch.nn.Conv2d,
        norm_op=torch.nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        dropout_op=torch.nn.Dropout2d,
        dropout_op_kwargs={"p": 0.5},
        nonlin=torch.nn.LeakyReLU,
    ).eval()
    inputs = torch.randn(1, 1, 16, 32)
    with torch.inference_mode():
        assert torch.equal(loaded(PLAIN_2D, network.state_dict())(inputs), network(inputs))


def test_the_planners_largest_network_is_within_the_limits():
    torch = pytest.importorskip("torch")
    large = {**RESIDUAL_3D, "n_stages": 7, "features_per_stage": [32, 64, 128, 256, 320, 320, 320]}
    large |= {"kernel_sizes": 3, "strides": [1, 2, 2, 2, 2, 2, 2], "n_blocks_per_stage": [1, 3, 4, 6, 6, 6, 6]}
    large |= {"n_conv_per_stage_decoder": 1}
    with torch.device("meta"):
        full = oracle(large).state_dict()
    found = unets.shapes(large)
    assert sum(map(math.prod, found.values())) > 140e6
    assert {name: tuple(full[name].shape) for name in found} == found


def broken(**changes):
    return {**copy.deepcopy(PLAIN_2D), **changes}


WRONG = {
    "not a table": ([1, 2], "not a table"),
    "unknown network": (broken(name="os.system"), "'os.system' is not known"),
    "a name that is no text": (broken(name=["PlainConvUNet"]), "is not known"),
    "unknown argument": (broken(norm_op="torch.nn.BatchNorm2d"), "unknown argument 'norm_op'"),
    "argument of the other network": (broken(n_blocks_per_stage=[1] * 4), "'n_blocks_per_stage'"),
    "missing argument": ({k: v for k, v in PLAIN_2D.items() if k != "strides"}, "no 'strides'"),
    "four dimensions": (broken(dims=4), "4 is not allowed for 'dims'"),
    "two channels": (broken(input_channels=2), "2 is not allowed for 'input_channels'"),
    "four classes": (broken(num_classes=4), "4 is not allowed for 'num_classes'"),
    "stages that are true": (broken(n_stages=True), "True is not allowed for 'n_stages'"),
    "too few stages listed": (broken(features_per_stage=[8, 16, 32]), "3 values for 'features_per_stage'"),
    "an axis too many": (broken(strides=[[1, 1], [2, 2], [2, 2, 2], [2, 2]]), "3 values for 'strides'"),
    "even kernel": (broken(kernel_sizes=[[3, 3], [2, 2], [3, 3], [3, 3]]), "2 is not allowed for 'kernel_sizes'"),
    "stride of zero": (broken(strides=[[1, 1], [0, 2], [2, 2], [2, 2]]), "0 is not allowed for 'strides'"),
    "a fraction of a feature": (broken(features_per_stage=[8, 16.0, 32, 32]), "16.0 is not allowed"),
    "huge features": (broken(features_per_stage=[8, 16, 32, 10**9]), "not allowed for 'features_per_stage'"),
    "a bomb within the limits": (broken(features_per_stage=2048, n_conv_per_stage=12), "over the limit"),
    "a stride at the start": (broken(strides=[[2, 2]] * 4), "smaller mask"),
    "epsilon that is text": (broken(norm_eps="1e-5"), "'1e-5' is not allowed for 'norm_eps'"),
    "epsilon that is no number": (broken(norm_eps=float("nan")), "nan is not allowed"),
    "slope below zero": (broken(negative_slope=-0.1), "-0.1 is not allowed"),
    "bias by expression": (broken(conv_bias="$True"), "'$True' is not allowed for 'conv_bias'"),
}


@pytest.mark.parametrize(("definition", "words"), WRONG.values(), ids=WRONG)
def test_a_definition_with_anything_else_is_refused_in_one_sentence(definition, words):
    with pytest.raises(ModelError, match=r"^[^\n]*\.$") as caught:
        unets.build(definition)
    assert words in str(caught.value)


def spoiled(change):
    full = dict(oracle(PLAIN_2D).state_dict())
    change(full)
    return full


def _nan(full):
    name = "decoder.seg_layers.2.weight"
    full[name] = full[name] * float("nan")


def _disagree(full):
    name = "decoder.encoder.stages.1.0.convs.0.conv.weight"
    full[name] = full[name] + 1


WRONG_WEIGHTS = {
    "a missing weight": (
        lambda full: [full.pop(name) for name in list(full) if "stages.2.0.convs.1" in name and "bias" in name],
        "lack 'encoder.stages.2.0.convs.1",
    ),
    "a foreign weight": (lambda full: full.update(extra=full["decoder.seg_layers.2.bias"]), "hold 'extra'"),
    "another width": (
        lambda full: full.update({"decoder.seg_layers.2.bias": full["decoder.seg_layers.0.bias"][:2]}),
        "are 2 numbers where the plans ask for 3",
    ),
    "no finite number": (_nan, "not finite"),
    "two versions of one": (_disagree, "twice with different values"),
    "no tensor": (lambda full: full.update({"decoder.seg_layers.2.bias": [1.0, 2.0, 3.0]}), "not a table of names"),
    "whole numbers": (
        lambda full: full.update({"decoder.seg_layers.2.bias": full["decoder.seg_layers.2.bias"].long()}),
        "not finite numbers",
    ),
}


@pytest.mark.parametrize(("change", "words"), WRONG_WEIGHTS.values(), ids=WRONG_WEIGHTS)
def test_weights_that_do_not_fit_are_refused_in_one_sentence(change, words):
    with pytest.raises(ModelError, match=r"^[^\n]*\.$") as caught:
        unets.strip(PLAIN_2D, spoiled(change))
    assert words in str(caught.value)


def test_weights_may_be_counted_and_sizes_asked_for_without_torch(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    assert unets.divisors(PLAIN_3D) == (2, 8, 8)
    assert unets.shapes(PLAIN_3D)["decoder.transpconvs.0.weight"] == (20, 16, 1, 2, 2)
