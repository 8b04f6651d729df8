"""Bundles, networks and devices: what is refused, and in which words."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from CSpineSegLib import files, model, resources
from CSpineSegLib.errors import ModelError
from CSpineSegLib.model import checksums, engine, exporting, networks, preprocess

torch = pytest.importorskip("torch", reason="the model room needs torch")

TINY = {
    **networks.DYNUNET_2D,
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
    "filters": [4, 8, 8],
}


def export(folder: Path, name: str = "tiny", seed: int = 0, **changes) -> Path:
    torch.manual_seed(seed)
    weights = networks.build(TINY).state_dict()
    figures = {"held_out_phantoms": {"bodies": 0.5, "discs": 0.25}}
    # The converted form has its own tests; making it takes seconds.
    options = {"convert": False, **changes}
    return model.export(folder, name, weights, TINY, preprocess.describe(), {"samples": 12}, figures, **options)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    return export(tmp_path_factory.mktemp("models"))


@pytest.fixture
def bundle_folder(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "tiny"))


def edit_json(path: Path, change) -> None:
    """Change a JSON file of a bundle and seal it again, as somebody with bad intentions would."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    checksums.seal(path.parents[1])


# --- the bundle as written ---


def test_a_bundle_loads_by_folder_with_its_identity(pristine):
    bundle = model.load(pristine)
    assert (bundle.name, bundle.version, bundle.folder) == ("tiny", "0.1.0", pristine)
    assert bundle.sha256 == files.sha256(pristine / "models/model.pt")
    assert bundle.labels == {0: "background", 1: "vertebral bodies", 2: "intervertebral discs"}
    assert (bundle.spacing, bundle.definition) == (0.7, TINY)
    assert (bundle.slices, bundle.is_converted, bundle.calibration) == (1, False, None)


def test_the_measured_figures_are_inside(pristine):
    metadata = model.load(pristine).metadata
    assert metadata["evaluation"]["held_out_phantoms"] == {"bodies": 0.5, "discs": 0.25}
    assert metadata["eval_metrics"] == metadata["evaluation"]


def test_the_same_weights_and_texts_give_the_same_bytes(pristine, tmp_path):
    again = export(tmp_path / "other place")
    for name in (*exporting.REQUIRED, checksums.SUMS):
        assert (again / name).read_bytes() == (pristine / name).read_bytes(), name


def test_exporting_again_replaces_weights_and_checksums(bundle_folder):
    before = model.load(bundle_folder).sha256
    export(bundle_folder.parent, seed=1)
    assert model.load(bundle_folder).sha256 != before


def test_checksums_are_in_the_format_of_sha256sum(pristine):
    lines = (pristine / checksums.SUMS).read_text(encoding="utf-8").splitlines()
    listed = dict(reversed(line.split("  ", 1)) for line in lines)
    present = {path.relative_to(pristine).as_posix() for path in pristine.rglob("*") if path.is_file()}
    assert set(listed) == present - {checksums.SUMS} == set(exporting.REQUIRED)
    assert all(files.sha256(pristine / name) == digest for name, digest in listed.items())


def test_weights_are_stored_in_half_precision_and_run_in_single(pristine):
    bundle = model.load(pristine)
    stored = engine.read_weights(str(pristine / "models/model.pt"), bundle.sha256)
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert {value.dtype for value in engine.network_of(bundle, "cpu").parameters()} == {torch.float32}


def test_export_refuses_weights_that_do_not_fit_or_diverged(tmp_path):
    weights = networks.build(TINY).state_dict()
    rest = (preprocess.describe(), {}, {})
    with pytest.raises(ModelError, match="do not fit"):
        model.export(tmp_path, "tiny", weights, networks.DYNUNET_2D, *rest)
    key = next(iter(weights))
    with pytest.raises(ModelError, match="not finite"):
        model.export(tmp_path, "tiny", {**weights, key: weights[key] * float("nan")}, TINY, *rest)
    with pytest.raises(ModelError, match="cannot name"):
        model.export(tmp_path, "../tiny", weights, TINY, *rest)
    assert list(tmp_path.iterdir()) == []


# --- what is refused on loading ---


@pytest.mark.parametrize("name", exporting.REQUIRED)
def test_one_changed_byte_is_refused_and_the_file_named(bundle_folder, name):
    path = bundle_folder / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=f"{Path(name).name} was changed"):
        model.load(bundle_folder)


@pytest.mark.parametrize("name", [*exporting.REQUIRED, checksums.SUMS])
def test_a_missing_file_is_named(bundle_folder, name):
    (bundle_folder / name).unlink()
    with pytest.raises(ModelError, match=f"{Path(name).name} is missing"):
        model.load(bundle_folder)


@pytest.mark.parametrize("name", ["models/other.pt", "configs/train.json", "run.py"])
def test_a_file_that_is_not_listed_is_refused(bundle_folder, name):
    (bundle_folder / name).write_bytes(b"anything")
    with pytest.raises(ModelError, match=f"{Path(name).name} does not belong"):
        model.load(bundle_folder)


def test_a_required_file_that_checksums_do_not_list_is_refused(bundle_folder):
    sums = bundle_folder / checksums.SUMS
    lines = [line for line in sums.read_text(encoding="utf-8").splitlines() if not line.endswith("model.pt")]
    sums.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ModelError, match=r"does not list models/model\.pt"):
        model.load(bundle_folder)


@pytest.mark.parametrize("line", ["no checksum", "0" * 64 + "  ../../etc/passwd", "0" * 64 + "  /etc/passwd"])
def test_checksums_that_are_damaged_or_point_outside_are_refused(bundle_folder, line):
    with open(bundle_folder / checksums.SUMS, "a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    with pytest.raises(ModelError, match="SHA256SUMS is damaged"):
        model.load(bundle_folder)


def test_an_unknown_network_is_refused(bundle_folder):
    edit_json(bundle_folder / exporting.INFERENCE, lambda c: c["network_def"].update(_target_="os.system"))
    with pytest.raises(ModelError, match=r"network 'os\.system' is not known"):
        model.load(bundle_folder)


@pytest.mark.parametrize("text", ["$__import__('os').system('true')", "@device", "%other.json#net", "  $1+1"])
@pytest.mark.parametrize("key", ["norm_name", "filters", "_target_"])
def test_an_expression_in_the_network_is_refused_and_not_evaluated(bundle_folder, text, key):
    edit_json(bundle_folder / exporting.INFERENCE, lambda c: c["network_def"].update({key: text}))
    with pytest.raises(ModelError, match="expression"):
        model.load(bundle_folder)


def test_a_network_def_that_is_an_expression_as_a_whole_is_refused(bundle_folder):
    edit_json(bundle_folder / exporting.INFERENCE, lambda c: c.update(network_def="$print(1)"))
    with pytest.raises(ModelError, match="not evaluated"):
        model.load(bundle_folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"filters": [4, 8, 10**6]}, "10000"),
        ({"filters": [4, 8]}, "one length"),
        ({"out_channels": 4}, "out_channels"),
        ({"dropout": 0.5}, "'dropout' is not allowed"),
        ({"norm_name": ["INSTANCE", {"momentum": 1}]}, "norm_name"),
        ({"res_block": 1}, "res_block"),
        ({"name": ["DynUNet"]}, "not known"),
    ],
)
def test_arguments_outside_the_allow_list_are_refused(change, words):
    with pytest.raises(ModelError, match=words):
        networks.build({**TINY, **change})


def test_a_definition_without_its_arguments_says_what_it_lacks():
    with pytest.raises(ModelError, match="lacks filters, in_channels"):
        networks.build(
            {"name": "DynUNet", "strides": [1, 2, 2], "kernel_size": [3] * 3, "upsample_kernel_size": [2] * 2}
        )


def test_labels_and_preprocessing_of_another_kind_are_refused(bundle_folder):
    edit_json(bundle_folder / exporting.METADATA, lambda c: c["labels"].update({"3": "cord"}))
    with pytest.raises(ModelError, match="labels"):
        model.load(bundle_folder)
    edit_json(bundle_folder / exporting.METADATA, lambda c: c["labels"].pop("3"))
    edit_json(bundle_folder / exporting.METADATA, lambda c: c["preprocessing"].update(normalisation="none"))
    with pytest.raises(ModelError, match="preprocessing"):
        model.load(bundle_folder)


@pytest.mark.parametrize("slices", [3, 2, True, "1"])
def test_a_number_of_slices_that_does_not_fit_the_network_is_refused(bundle_folder, slices):
    edit_json(bundle_folder / exporting.METADATA, lambda c: c["preprocessing"].update(context_slices=slices))
    with pytest.raises(ModelError, match=r"slices at a time|neighbouring slices"):
        model.load(bundle_folder)


@pytest.mark.parametrize("content", ["no json", "[]", '{"format": 1}', '{"format": 1, "run": "$print(1)"}'])
def test_a_calibration_of_anything_but_numbers_is_refused(bundle_folder, content):
    (bundle_folder / "configs/calibration.json").write_text(content, encoding="utf-8")
    checksums.seal(bundle_folder)
    with pytest.raises(ModelError, match=r"calibration\.json"):
        model.load(bundle_folder)


def test_a_calibration_that_could_not_be_read_is_not_exported(tmp_path):
    with pytest.raises(ModelError, match="calibration cannot be used"):
        export(tmp_path, calibration={"format": 1})
    assert list(tmp_path.iterdir()) == []


class Payload:
    """Unpickled without care, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("write", ["torch", "pickle"])
def test_weights_pickled_with_code_are_refused_and_the_code_not_run(bundle_folder, tmp_path, write):
    trace, path = tmp_path / "trace", bundle_folder / "models/model.pt"
    if write == "torch":
        torch.save({"weight": torch.zeros(1), "extra": Payload(trace)}, path)
    else:
        path.write_bytes(pickle.dumps({"weight": Payload(trace)}))
    checksums.seal(bundle_folder)
    with pytest.raises(ModelError, match="more than weights"):
        engine.network_of(model.load(bundle_folder), "cpu")
    assert not trace.exists()


def test_weights_that_are_no_table_or_do_not_fit_are_refused(bundle_folder):
    path = bundle_folder / "models/model.pt"
    for content, words in (([1, 2], "something else"), ({"a": torch.zeros(1)}, "do not fit")):
        torch.save(content, path)
        checksums.seal(bundle_folder)
        with pytest.raises(ModelError, match=words):
            engine.network_of(model.load(bundle_folder), "cpu")


def test_weights_exchanged_after_loading_are_refused(bundle_folder):
    bundle = model.load(bundle_folder)
    export(bundle_folder.parent, seed=2)
    with pytest.raises(ModelError, match="changed after"):
        engine.network_of(bundle, "cpu")


# --- finding bundles ---


def test_own_bundles_are_listed_first_and_found_by_name_also_with_spaces_and_accents(tmp_path, monkeypatch):
    own = tmp_path / "Modèles für mich"
    folder = export(own)
    monkeypatch.setenv("CSPINESEG_MODELS", str(own))
    assert model.available()[0].folder == folder
    assert model.load("tiny").folder == folder
    assert model.load(str(folder)).sha256 == model.load(folder).sha256


def test_a_damaged_bundle_does_not_hide_the_others(tmp_path, monkeypatch):
    export(tmp_path, "good")
    (export(tmp_path, "bad") / "LICENSE").unlink()
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path))
    found, problems = model.survey()
    assert "good" in [bundle.name for bundle in found] and "bad" not in [bundle.name for bundle in found]
    assert any("LICENSE is missing" in problem for problem in problems)


def test_an_unknown_model_offers_the_nearest_names(tmp_path, monkeypatch):
    export(tmp_path)
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match="did you mean tiny"):
        model.load("tinny")


def test_loading_and_listing_need_no_torch(pristine):
    code = (
        "import sys; sys.modules['torch'] = sys.modules['monai'] = None\n"
        f"from CSpineSegLib import model; from CSpineSegLib.model import devices\n"
        f"print(model.load({str(pristine)!r}).name)\n"
        "print(devices.report()['devices'][0]['device'])\n"
        "try: devices.select('cpu')\n"
        "except ValueError as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=resources.root().parent)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[:2] == ["tiny", "cpu"] and "needs torch" in run.stdout
