"""Imported models on disk: every change to their files is noticed by name, and where the user's models lie."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import nnunet_zips as zips
import pytest

from CSpineSegLib import files, model, resources
from CSpineSegLib.errors import InputError, ModelError, WriteError
from CSpineSegLib.model import checksums
from CSpineSegLib.model.nnunet import conversion, store, weights

torch = pytest.importorskip("torch", reason="weights are torch's")


def write(root: Path, name: str = "tiny", **options) -> store.Imported:
    given = {("2d", 0): zips.state(2), ("2d", 1): zips.state(2, seed=1), ("3d_fullres", 0): zips.state(3)}
    return store.write(root, name, zips.plans(), zips.dataset(), given, **{"orientation": "PSR", **options})


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("models")).folder


@pytest.fixture
def folder(pristine, tmp_path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "tiny"))


def edit(path: Path, change) -> None:
    """Change a JSON file and seal the model again, as somebody with bad intentions would."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    checksums.seal(path.parents[1])


def test_a_model_that_was_written_loads_with_all_that_was_given(pristine):
    loaded = store.load(pristine)
    assert (loaded.name, loaded.orientation) == ("tiny", "PSR")
    assert loaded.mirroring == {"2d": (0, 1), "3d_fullres": (0, 1, 2)}
    assert loaded.version == loaded.sha256[:12] and set(loaded.labels) == {0, 1, 2}
    assert sorted(loaded.sums) == sorted(
        path.relative_to(pristine).as_posix()
        for path in pristine.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    )


def test_the_same_model_is_written_with_the_same_bytes(pristine, tmp_path):
    assert write(tmp_path).sums == store.load(pristine).sums


def test_what_is_written_again_from_its_own_weights_is_the_same(pristine, tmp_path):
    loaded = store.load(pristine)
    given = {key: weights.load(loaded, *key) for key in loaded.weights}
    again = store.write(tmp_path, "tiny", zips.plans(), zips.dataset(), given, orientation="PSR")
    assert again.sha256 == loaded.sha256


@pytest.mark.parametrize(
    "name", ["models/2d_fold_1.pt", "models/3d_fullres_fold_0.pt", "configs/plans.json", "configs/metadata.json"]
)
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_changed_or_missing_file_is_named(folder, name, how):
    path = folder / name
    if how == "missing":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    with pytest.raises(ModelError, match=how) as caught:
        model.load(folder)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["models/2d_fold_2.pt", "extra.py", "configs/cache/x", "models/evil.pt"])
def test_a_file_that_is_not_listed_is_named(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(ModelError, match="does not list it") as caught:
        model.load(folder)
    assert name.split("/")[-1] in str(caught.value)


def test_conversions_in_the_cache_are_none_of_its_business(folder):
    kept = conversion.folder_of(model.load(folder), "2d", 0) / conversion.NUMBERS
    assert kept.is_relative_to(folder / store.CACHE)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    assert model.load(folder).sha256 == store.load(folder, weights=False).sha256


def test_without_torch_a_model_can_be_run_once_it_was_converted(folder, monkeypatch):
    loaded = model.load(folder)
    assert loaded.is_converted
    monkeypatch.setattr(store, "find_spec", lambda name: None)
    assert not loaded.is_converted
    kept = conversion.folder_of(loaded, "2d", 0) / conversion.NUMBERS
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x")
    assert loaded.is_converted


def test_without_reading_the_weights_their_absence_and_length_are_noticed(folder):
    path = folder / "models" / "2d_fold_0.pt"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert store.load(folder, weights=False).name == "tiny"
    path.write_bytes(data[:-1])
    with pytest.raises(ModelError, match=r"2d_fold_0.pt was changed or damaged: it has not its"):
        store.load(folder, weights=False)
    path.unlink()
    with pytest.raises(ModelError, match=r"2d_fold_0.pt is missing"):
        store.load(folder, weights=False)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("metadata.json", lambda m: m.pop("orientation"), "lacks what is needed"),
        ("metadata.json", lambda m: m.update(orientation="XYZ"), "is not an orientation"),
        ("metadata.json", lambda m: m.update(orientation=["P"]), "is not an orientation"),
        ("metadata.json", lambda m: m.update(name="../x"), "cannot name a model"),
        ("metadata.json", lambda m: m.update(name=3), "cannot name a model|lacks what is needed"),
        ("metadata.json", lambda m: m.update(schema=99), "another version of CSpineSeg"),
        ("metadata.json", lambda m: m.update(mirroring={"2d": [0, 1]}), "mirroring axes for '3d_fullres'"),
        ("metadata.json", lambda m: m["mirroring"].update({"2d": [0, 2]}), "mirroring axes for '2d'"),
        ("metadata.json", lambda m: m["mirroring"].update({"2d": ["a"]}), "lacks what is needed"),
        ("metadata.json", lambda m: m["bytes"].update({"models/9.pt": 3}), "models/9.pt"),
        ("plans.json", lambda p: p.pop("plans"), "lacks what is needed"),
        (
            "plans.json",
            lambda p: p["plans"].update(image_reader_writer="os.system"),
            "name the image reader 'os.system'",
        ),
        ("plans.json", lambda p: p["plans"]["configurations"].pop("2d"), "weights for just the configurations"),
        ("plans.json", lambda p: p["dataset"]["labels"].update(more=3), "labels are"),
    ],
)
def test_a_model_sealed_again_after_a_change_is_still_read_against_the_lists(folder, name, change, words):
    edit(folder / "configs" / name, change)
    with pytest.raises(ModelError, match=words):
        model.load(folder)


def test_weights_of_another_network_are_refused_by_file_and_name(folder):
    torch.save({"a": torch.zeros(3)}, folder / "models" / "2d_fold_0.pt")
    edit(folder / "configs" / "metadata.json", lambda m: m["bytes"].pop("models/2d_fold_0.pt"))
    loaded = model.load(folder)
    with pytest.raises(ModelError, match=r"2d_fold_0.pt cannot be used: .*'a'"):
        weights.load(loaded, "2d", 0)
    with pytest.raises(ModelError, match="has no fold 7 of 2d; it has 2d fold 0, 2d fold 1, 3d_fullres fold 0"):
        weights.load(loaded, "2d", 7)


def test_a_damaged_model_is_told_about_and_the_others_are_listed(pristine, tmp_path, monkeypatch):
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path))
    shutil.copytree(pristine, tmp_path / "good")
    shutil.copytree(pristine, tmp_path / "bad")
    (tmp_path / "bad" / "configs" / "plans.json").unlink()
    (tmp_path / ".cspineseg.0123456789ab.cspineseg-folder" / "configs").mkdir(parents=True)
    found, problems = model.survey()
    assert tmp_path / "good" in [one.folder for one in found]
    assert len(problems) == 1 and str(tmp_path / "bad" / "configs" / "plans.json") in problems[0]


# --- where the user's models lie ---


def test_the_users_folder_is_the_platforms_and_is_outside_of_the_package(monkeypatch, tmp_path):
    monkeypatch.delenv("CSPINESEG_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    found = {}
    for platform in ("linux", "win32", "darwin"):
        monkeypatch.setattr(sys, "platform", platform)
        found[platform] = store.user_folder()
    assert found == {
        "linux": tmp_path / "CSpineSeg" / "Models",
        "win32": tmp_path / "local" / "CSpineSeg" / "Models",
        "darwin": tmp_path / "home" / "Library" / "Application Support" / "CSpineSeg" / "Models",
    }
    monkeypatch.setattr(sys, "platform", "linux")
    # A relative folder is to be ignored, says the specification of these variables.
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert store.user_folder() == tmp_path / "home" / ".local" / "share" / "CSpineSeg" / "Models"


def test_a_user_without_a_home_still_has_the_packaged_models(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("CSPINESEG_MODELS")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(InputError, match="set CSPINESEG_MODELS"):
        store.user_folder()
    assert all(folder.is_relative_to(resources.path("Models")) for folder in model.bundle.folders())


def test_the_tests_do_not_see_the_users_own_models():
    assert "user" in Path(os.environ["CSPINESEG_MODELS"]).parts[-2]


# --- folders that are there whole or not at all ---


def test_a_folder_takes_its_place_whole_or_not_at_all(tmp_path):
    target = tmp_path / "a" / "b"
    with files.build_folder(target) as building:
        (building / "x").write_text("1", encoding="utf-8")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["x"] and len(list(target.parent.iterdir())) == 1
    with pytest.raises(FileExistsError), files.build_folder(target):
        raise AssertionError("never entered")
    with pytest.raises(KeyError), files.build_folder(target, replace=True) as building:
        (building / "y").write_text("2", encoding="utf-8")
        raise KeyError
    assert [path.name for path in target.iterdir()] == ["x"]
    with files.build_folder(target, replace=True) as building:
        (building / "y").write_text("2", encoding="utf-8")
    assert [path.name for path in target.iterdir()] == ["y"] and len(list(target.parent.iterdir())) == 1


def test_of_two_that_build_the_same_folder_the_second_is_told(tmp_path):
    with (
        pytest.raises(FileExistsError),
        files.build_folder(tmp_path / "a"),
        files.build_folder(tmp_path / "a") as other,
    ):
        (other / "x").write_text("first", encoding="utf-8")
    assert (tmp_path / "a" / "x").read_text(encoding="utf-8") == "first" and len(list(tmp_path.iterdir())) == 1


def test_a_former_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    with files.build_folder(tmp_path / "a") as building:
        (building / "x").write_text("former", encoding="utf-8")
    real, calls = files._replace, []

    def fails_second(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise PermissionError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(files, "_replace", fails_second)
    with pytest.raises(WriteError, match="Permission denied"), files.build_folder(tmp_path / "a", replace=True):
        pass
    assert (tmp_path / "a" / "x").read_text(encoding="utf-8") == "former" and len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_import_left_is_swept_by_a_later_one_and_nothing_else(tmp_path):
    old, new, other = (
        tmp_path / name
        for name in (f".cspineseg.{'0' * 12}.cspineseg-folder", f".cspineseg.{'1' * 12}.cspineseg-folder", "x")
    )
    for folder in (old, new, other):
        (folder / "models").mkdir(parents=True)
        (folder / "models" / "w.pt").write_bytes(b"x")
    for path in (*old.rglob("*"), old, *other.rglob("*"), other):
        os.utime(path, (1, 1))
    with files.build_folder(tmp_path / "a"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.name, "a", "x"])
