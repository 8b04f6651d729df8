"""MONAI: its own runner makes the same mask from a bundle as we do, and its schema accepts the metadata."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import model_cases
import numpy as np
import pytest

from CSpineSegLib import model, volume
from CSpineSegLib.errors import ModelError
from CSpineSegLib.model import engine, exporting, metadata_schema, networks

torch = pytest.importorskip("torch", reason="MONAI needs torch")
pytest.importorskip("monai", reason="MONAI is not installed")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> model.Bundle:
    return model_cases.with_neighbours(tmp_path_factory.mktemp("modèles"))


def test_monai_writes_the_same_masks_on_the_same_grids(bundle, real_t2, tmp_path):
    """Left-handed slices near the network's spacing, pixels that need resampling both ways, and half a real exam."""
    pytest.importorskip("fire", reason="MONAI's command line needs it")
    images = {
        "near": model_cases.exam((5, 192, 160), (4.0, 0.6875, 0.6875)),
        "fine": model_cases.exam((6, 280, 256), (2.0, 0.4297, 0.5)),
        "coarse": model_cases.exam((5, 150, 131), (5.0, 0.95, 0.95)),
    }
    for name, image in images.items():
        volume.write(image, tmp_path / f"{name}.nii.gz")
    real = volume.read(real_t2)
    affine = real.affine.copy()
    affine[:3, 3] += 3 * affine[:3, 2]
    volume.write(volume.from_array(real.array[:, :, 3:10], affine), tmp_path / "real.nii.gz")
    paths = [tmp_path / f"{name}.nii.gz" for name in (*images, "real")]
    words = {
        "config_file": bundle.folder / exporting.INFERENCE,
        "meta_file": bundle.folder / exporting.METADATA,
        "bundle_root": bundle.folder,
        "output_dir": tmp_path / "out",
        "images": [str(path) for path in paths],
        "device": "cpu",
    }
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += [word for key, value in words.items() for word in (f"--{key}", str(value))]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    for path in paths:
        theirs = volume.read_mask(tmp_path / "out" / path.name.replace(".nii.gz", "_SEG.nii.gz"))
        ours = predict(bundle, volume.read(path))
        assert np.array_equal(theirs.affine, ours.affine) and theirs.shape == ours.shape
        assert theirs.header.get_data_dtype() == np.uint8
        assert model_cases.dice(theirs.array, ours.array) >= 0.9999, path.name


def predict(bundle: model.Bundle, image: volume.Volume) -> volume.Volume:
    return model.predict(bundle, image, "cpu", engine="torch", anyway=True, clean=False, quality=False).mask


def test_our_loader_and_monai_build_the_same_network(bundle):
    from monai.bundle import ConfigParser

    config = json.loads((bundle.folder / exporting.INFERENCE).read_text(encoding="utf-8"))
    parser = ConfigParser({**config, "bundle_root": str(bundle.folder), "device": "cpu"})
    theirs, ours = parser.get_parsed_content("network"), engine.network_of(bundle, "cpu")
    batch = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32))
    with torch.inference_mode():
        assert torch.equal(theirs(batch), ours(batch))


def test_weights_are_stored_once_and_restored_under_every_name(bundle):
    stored = engine.read_weights(str(bundle.folder / exporting.WEIGHTS), bundle.sha256)
    network = networks.build(bundle.definition)
    assert len(stored) == len(list(network.parameters())) < len(network.state_dict())
    assert {value.dtype for value in stored.values()} == {torch.float16}
    full = engine.weights_of(bundle)
    assert set(full) == set(network.state_dict())
    assert all(torch.equal(full[name], stored[first].float()) for name, first in networks.names(network).items())
    assert (bundle.folder / exporting.WEIGHTS).stat().st_size < 2.2 * sum(value.numel() for value in stored.values())


def test_weights_that_lack_one_are_refused(bundle):
    stored = engine.read_weights(str(bundle.folder / exporting.WEIGHTS), bundle.sha256)
    network = networks.build(bundle.definition)
    stored.popitem()
    with pytest.raises(RuntimeError, match="Missing key"):
        network.load_state_dict(networks.spread(network, stored))


# --- the schema ---


@pytest.fixture(scope="module")
def metadata(bundle) -> dict:
    return bundle.metadata


def test_the_metadata_is_what_the_schema_asks_for(metadata):
    assert metadata_schema.problems(metadata) == []
    assert metadata["schema"].endswith("meta_schema_20240725.json")
    image = metadata["network_data_format"]["inputs"]["image"]
    assert image["num_channels"] == 3 and list(image["channel_def"]) == ["0", "1", "2"]


@pytest.mark.parametrize("name", sorted(metadata_schema.REQUIRED))
def test_every_required_field_is_missed(metadata, name):
    lacking = {key: value for key, value in metadata.items() if key != name}
    assert metadata_schema.problems(lacking) == [f"{name} is missing"]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("version",), 1, "version is not a text"),
        (("changelog",), "none", "changelog is not a table"),
        (("references",), [1], "references is not a list of texts"),
        (("network_data_format",), [], "network_data_format is not a table"),
        (("network_data_format", "inputs"), [], "inputs is not a table"),
        (("network_data_format", "inputs", "image"), None, "image is not a table"),
        (("network_data_format", "inputs", "image", "num_channels"), True, "num_channels is True"),
        (("network_data_format", "inputs", "image", "spatial_shape"), [1.5], "spatial_shape is"),
        (("network_data_format", "outputs", "pred", "value_range"), ["0"], "value_range is"),
        (("other_data_format",), {"inputs": {}}, "other_data_format.outputs is missing"),
    ],
)
def test_a_field_of_another_type_is_found(metadata, place, value, words):
    changed = copy.deepcopy(metadata)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (problem,) = metadata_schema.problems(changed)
    assert words in problem


def test_what_the_schema_leaves_free_passes(metadata):
    free = {"network_data_format": {"inputs": {"age": 3, "name": "text"}, "outputs": {}}, "ours": [1], "references": []}
    assert metadata_schema.problems({**metadata, **free}) == []
    assert metadata_schema.problems([]) == ["it is not a table of names and values"]


def test_export_refuses_metadata_that_monai_would_refuse(tmp_path):
    with pytest.raises(ModelError, match="MONAI's schema: version is not a text"):
        model_cases.tiny(tmp_path, version=1, convert=False)
    assert list(Path(tmp_path).iterdir()) == []


@pytest.mark.parametrize("place", ["docs/README.md", "../other.png", "/tmp/other.png", "SHA256SUMS"])
def test_further_files_stay_within_the_bundle_and_replace_nothing(tmp_path, place):
    with pytest.raises(ModelError, match="cannot be a further file"):
        model_cases.tiny(tmp_path, extra={place: b"x"}, convert=False)
    assert list(tmp_path.iterdir()) == []


def test_further_files_are_sealed_and_go_with_the_next_export(tmp_path):
    folder = model_cases.tiny(tmp_path, extra={"docs/failures.png": b"a picture"}, convert=False)
    assert "docs/failures.png" in model.load(folder).sums
    assert "docs/failures.png" not in model.load(model_cases.tiny(tmp_path, convert=False)).sums
