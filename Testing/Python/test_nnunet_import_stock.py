"""Zips by nnU-Net's own exporter, of models by its own planner and trainer, are imported whole."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nnunetv2", reason="the oracle")
pytest.importorskip("torch", reason="checkpoints are torch's")

import nnunet_cases
import nnunet_oracle as oracle
import torch

from CSpineSegLib.model.nnunet import importing, weights

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    return nnunet_cases.products(tmp_path_factory.getbasetemp() / "oracle")


@pytest.mark.parametrize("kind", oracle.MODELS)
def test_zip_and_folder_by_nnunet_give_one_model_with_its_weights_bit_for_bit(products, kind, tmp_path):
    expected = oracle.MODELS[kind]
    made = importing.import_model(products.zip(kind), root=tmp_path)
    assert set(made.weights) == {(name, fold) for name in expected["configurations"] for fold in expected["folds"]}
    assert made.orientation == ("RAS" if expected["reader"] else "PSR")
    for name in expected["configurations"]:
        again = importing.import_model(products.home.results(kind, name), root=tmp_path, name=f"folder-{name}")
        of_this = {file: digest for file, digest in made.sums.items() if file.startswith(f"models/{name}_")}
        assert of_this and {file: again.sums[file] for file in of_this} == of_this
    for (name, fold), file in made.weights.items():
        path = products.home.results(kind, name) / f"fold_{fold}" / oracle.CHECKPOINT
        stock = torch.load(path, map_location="cpu", weights_only=False)
        kept = weights.load(made, name, fold)
        assert kept and all(torch.equal(tensor, stock["network_weights"][key]) for key, tensor in kept.items())
        assert made.mirroring[name] == tuple(stock["inference_allowed_mirroring_axes"])
        assert (made.folder / file).stat().st_size < 0.55 * path.stat().st_size


def test_plans_are_understood_as_nnunet_understands_them(products, tmp_path):
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    for kind in oracle.MODELS:
        made = importing.import_model(products.zip(kind), root=tmp_path)
        for name, one in made.plans.configurations.items():
            stock = PlansManager(str(Path(products.home.results(kind, name)) / "plans.json"))
            configuration = stock.get_configuration(name)
            assert list(one.patch_size) == list(configuration.patch_size)
            assert list(one.spacing) == list(configuration.spacing)
            assert list(one.normalization) == configuration.normalization_schemes
            assert list(one.use_mask_for_norm) == configuration.use_mask_for_norm
            assert configuration.resampling_fn_data.keywords == {
                "is_seg": False,
                "order": one.order,
                "order_z": one.order_z,
                "force_separate_z": one.force_separate_z,
            }
            assert list(made.plans.transpose_forward) == stock.transpose_forward
            assert made.plans.reader == stock.image_reader_writer_class.__name__
