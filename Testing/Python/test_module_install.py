"""Installing into Slicer: at the moment of need, after asking, without replacing what Slicer ships."""

from __future__ import annotations

import sys
import types
from importlib.metadata import version

import pytest
from module_standins import ROOT, slicer_app  # noqa: F401  (fixture)

from CSpineSegLib.errors import CSpineSegError


@pytest.fixture
def install(slicer_app):  # noqa: F811
    from CSpineSegModule import install

    return install


def test_nothing_is_asked_when_everything_is_there(install, slicer_app):  # noqa: F811
    install.ensure()
    install.ensure(segmentation=True)
    assert slicer_app.installed == []


def test_what_is_missing_is_installed_with_slicers_own_versions_held(install, slicer_app):  # noqa: F811
    slicer_app.missing = {"nibabel"}
    install.ensure()
    (done,) = slicer_app.installed
    assert done.names == ["nibabel"] and done.asked
    assert f"numpy=={version('numpy')}\n" in done.constraints
    assert f"torch=={version('torch')}\n" in done.constraints
    assert not done.path.exists(), "the constraints are not left behind"


def test_the_segmenting_packages_wait_until_someone_segments(install, slicer_app):  # noqa: F811
    slicer_app.missing = {"monai"}
    install.ensure()
    assert slicer_app.installed == []
    install.ensure(segmentation=True, interactive=False)
    assert slicer_app.installed[0].names == ["monai"] and not slicer_app.installed[0].asked


def test_declining_is_one_sentence(install, slicer_app):  # noqa: F811
    slicer_app.missing, slicer_app.declines = {"pandas"}, True
    with pytest.raises(CSpineSegError, match=r"cannot go on without these packages"):
        install.ensure()


def test_a_silent_refusal_to_install_is_noticed(install, slicer_app, monkeypatch):  # noqa: F811
    import slicer

    slicer_app.missing = {"pandas"}
    # As with --testing: returns, and has installed nothing.
    monkeypatch.setattr(slicer.packaging, "pip_ensure", lambda *words, **names: None)
    with pytest.raises(CSpineSegError, match=r"missing: pandas>="):
        install.ensure()


def test_a_failed_download_names_the_network(install, slicer_app, monkeypatch):  # noqa: F811
    import subprocess

    import slicer

    def fail(*words, **names):
        raise subprocess.CalledProcessError(1, "pip")

    slicer_app.missing = {"pandas"}
    monkeypatch.setattr(slicer.packaging, "pip_ensure", fail)
    with pytest.raises(CSpineSegError, match="network"):
        install.ensure()


def test_an_old_slicer_is_asked_to_be_updated(install, monkeypatch):
    import slicer

    monkeypatch.delattr(slicer, "packaging")
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    with pytest.raises(CSpineSegError, match=r"Slicer 5\.12"):
        install.ensure()


def test_torch_comes_from_the_pytorch_extension_alone(install, monkeypatch):
    asked = []

    class Logic:
        def installTorch(
            self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None,
            torchvisionVersionRequirement=None,
        ):  # fmt: skip
            asked.append((askConfirmation, torchVersionRequirement))
            return answer

    real = install.installed
    monkeypatch.setattr(install, "installed", lambda name: None if name == "torch" else real(name))
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(CSpineSegError, match="extension 'PyTorch'"):
        install.ensure(segmentation=True)
    extension = types.ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = Logic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    answer = None
    with pytest.raises(CSpineSegError, match="was not installed"):
        install.ensure(segmentation=True)
    answer = types.ModuleType("torch")
    install.ensure(segmentation=True)
    assert asked == [(True, ">=2.6")] * 2


@pytest.mark.parametrize(
    ("found", "enough"), [("2.5.1", False), ("2.6.0+cu124", True), ("2.13.0", True), ("3.0", True)]
)
def test_versions_of_torch_are_compared_as_numbers(install, monkeypatch, found, enough):
    monkeypatch.setattr(install, "installed", lambda name: found)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    if enough:
        install._ensure_torch(True)
        return
    with pytest.raises(CSpineSegError):
        install._ensure_torch(True)


def test_the_requirements_have_lower_bounds_only_and_are_the_librarys():
    import tomllib

    lines = (ROOT / "Resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = {line for line in lines if line and not line.startswith("#")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = {*project["dependencies"], *project["optional-dependencies"]["torch"]}
    assert all(">=" in line and "==" not in line for line in wanted)
    # Slicer ships the rest, and torch is the PyTorch extension's.
    assert wanted == {line for line in stated if line.split(">")[0] not in ("numpy", "scipy", "torch")}
