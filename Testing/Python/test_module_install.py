"""Installing into Slicer: at the moment of need, after asking, in two sizes, without replacing what Slicer ships."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from slicer_standins import slicer_app  # noqa: F401  (fixture)

from CSpineSegLib.errors import CSpineSegError, InputError
from CSpineSegLib.jobs import graphics, trying
from CSpineSegLib.workplace import packages

CARD = graphics.Card("NVIDIA RTX A2000", "550.54", 6 * 1024**3, "cuda")


@pytest.fixture
def install(slicer_app, monkeypatch):  # noqa: F811
    """The module, on a computer without a card and with all packages; nothing is tried out, and that is recorded."""
    from CSpineSegModule import install

    monkeypatch.setattr(graphics, "known", lambda: install.cards)
    monkeypatch.setattr(install, "cards", (), raising=False)
    monkeypatch.setattr(install, "tried", [], raising=False)
    monkeypatch.setattr(install, "python_slicer", lambda: "PythonSlicer")

    def check(python, names):
        assert python == "PythonSlicer"
        install.tried.append(list(names))
        return SimpleNamespace(wait=lambda: {"broken": {}})

    monkeypatch.setattr(trying, "Check", check)
    return install


@pytest.fixture
def no_torch(install, monkeypatch):
    """Torch is not installed, and the PyTorch extension is there; what it was asked comes back."""
    asked, there = [], {}
    real = install.installed
    monkeypatch.setattr(install, "installed", lambda name: there.get(name) if name == "torch" else real(name))

    class Logic:
        def installTorch(
            self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None,
            torchvisionVersionRequirement=None,
        ):  # fmt: skip
            asked.append((askConfirmation, torchVersionRequirement))
            there["torch"] = "2.13.0+cu126"
            import torch

            return torch

    extension = types.ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = Logic
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)
    return asked


def gone(monkeypatch):
    """Torch is not imported in this process, as in Slicer's."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)


def test_nothing_is_asked_when_everything_is_there(install, slicer_app):  # noqa: F811
    install.ensure()
    install.ensure(segmentation=True)
    install.ensure(torch=True, commands=True)
    assert slicer_app.installed == slicer_app.questions == install.tried == []


def test_what_is_missing_is_installed_with_slicers_own_versions_held(install, slicer_app):  # noqa: F811
    slicer_app.missing = {"nibabel", "openvino"}
    install.ensure()
    (done,) = slicer_app.installed
    assert done.names == ["nibabel"] and not done.asked, "the user was asked already"
    assert f"numpy=={version('numpy')}\n" in done.constraints
    assert f"torch=={version('torch')}\n" in done.constraints
    assert not done.path.exists(), "the constraints are not left behind"
    assert install.tried == [["nibabel"]]


def test_the_size_is_told_before_anything_is_installed(install, slicer_app, no_torch):  # noqa: F811
    slicer_app.missing, slicer_app.answer = {"nibabel", "pandas", "openvino", "monai"}, False
    with pytest.raises(CSpineSegError, match=r"cannot go on without these packages; nothing was installed"):
        install.ensure(segmentation=True)
    (question,) = slicer_app.questions
    assert "nibabel, pandas and openvino, about " in question
    assert re.search(r"about \d+ MB to download", question)
    # Both sizes, although there is no card.
    assert re.search(r"No graphics card was found. With one, torch and monai would be added, about \d.\d GB", question)
    assert slicer_app.installed == no_torch == []


def test_without_a_card_torch_is_not_installed(install, slicer_app, no_torch):  # noqa: F811
    slicer_app.missing = {"openvino", "monai"}
    install.ensure(segmentation=True)
    assert slicer_app.installed[0].names == ["openvino"] and no_torch == [] and install.tried == [["openvino"]]
    install.ensure(segmentation=True)
    assert len(slicer_app.questions) == 1, "nobody is asked again"


def test_with_a_card_the_user_chooses(install, slicer_app, no_torch, monkeypatch):  # noqa: F811
    gone(monkeypatch)
    install.cards = (CARD,)
    slicer_app.missing, slicer_app.answers = {"openvino", "monai"}, ["For the processor"]
    install.ensure(segmentation=True)
    assert "NVIDIA RTX A2000" in slicer_app.questions[0] and "GB to download" in slicer_app.questions[0]
    assert slicer_app.installed[0].names == ["openvino"] and no_torch == []
    slicer_app.missing, slicer_app.answers = {"openvino", "monai"}, ["With the graphics card"]
    install.ensure(segmentation=True)
    assert slicer_app.installed[1].names == ["openvino", "monai"] and no_torch == [(False, ">=2.6")]
    assert install.tried[-1] == ["openvino", "torch", "monai"]
    slicer_app.missing, slicer_app.answers = {"openvino"}, ["Cancel"]
    monkeypatch.setattr(install, "installed", lambda name: None)
    with pytest.raises(CSpineSegError, match="nothing was installed"):
        install.ensure(segmentation=True)


def test_torch_that_is_there_for_a_card_needs_monai_and_no_openvino(install, slicer_app):  # noqa: F811
    slicer_app.missing = {"openvino", "monai"}
    install.cards = (CARD,)
    install.ensure(segmentation=True)
    assert slicer_app.installed[0].names == ["monai"]
    install.cards = ()
    install.ensure(segmentation=True)
    assert slicer_app.installed[1].names == ["openvino"]


def test_what_needs_torch_gets_it_also_without_a_card(install, slicer_app, no_torch, monkeypatch):  # noqa: F811
    gone(monkeypatch)
    slicer_app.missing = {"monai"}
    install.ensure(torch=True)
    assert "torch and monai" in slicer_app.questions[0]
    assert no_torch and slicer_app.installed[0].names == ["monai"]


def test_torch_never_enters_slicers_process(install, no_torch, monkeypatch):
    gone(monkeypatch)
    # The extension ends by importing what it installed.
    install.install(["torch"])
    assert "torch" not in sys.modules and no_torch


def test_torch_that_another_module_has_imported_stays(install, no_torch, monkeypatch):
    other = types.ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", other)
    install.install(["torch"])
    assert sys.modules["torch"] is other


def test_another_module_that_the_extension_lacks_is_told(install, no_torch, monkeypatch):
    def broken(self, **options):
        import light_the_torch  # noqa: F401

    monkeypatch.setattr(sys.modules["PyTorchUtils"].PyTorchUtilsLogic, "installTorch", broken)
    gone(monkeypatch)
    with pytest.raises(ModuleNotFoundError, match="light_the_torch"):
        install.install(["torch"])
    assert "torch" not in sys.modules


def test_torch_comes_from_the_pytorch_extension_alone(install, no_torch, slicer_app, monkeypatch):  # noqa: F811
    gone(monkeypatch)
    monkeypatch.setattr(sys.modules["PyTorchUtils"].PyTorchUtilsLogic, "installTorch", lambda self, **options: None)
    with pytest.raises(CSpineSegError, match="was not installed; Slicer's log"):
        install.ensure(torch=True)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(CSpineSegError, match="extension 'PyTorch'"):
        install.ensure(torch=True)
    assert slicer_app.installed == []


@pytest.mark.parametrize(
    ("found", "enough"), [(None, False), ("2.5.1", False), ("2.6.0+cu124", True), ("2.13.0", True), ("3.0", True)]
)
def test_versions_of_torch_are_compared_as_numbers(install, monkeypatch, found, enough):
    monkeypatch.setattr(install, "installed", lambda name: found)
    assert install.missing(["torch"]) == ([] if enough else ["torch"])


def test_a_run_without_a_window_asks_nobody_and_takes_the_small_set(install, slicer_app, no_torch):  # noqa: F811
    install.cards = (CARD,)
    slicer_app.missing = {"openvino", "monai", "typer"}
    install.ensure(segmentation=True, interactive=False, commands=True)
    assert slicer_app.installed[0].names == ["openvino", "typer"] and slicer_app.questions == no_torch == []


def test_a_silent_refusal_to_install_is_noticed(install, slicer_app, monkeypatch):  # noqa: F811
    import slicer

    slicer_app.missing = {"pandas"}
    # As with --testing: returns, and has installed nothing.
    monkeypatch.setattr(slicer.packaging, "pip_ensure", lambda *words, **names: None)
    with pytest.raises(CSpineSegError, match=r"still missing: pandas\."):
        install.ensure()


@pytest.mark.parametrize("error", [subprocess.CalledProcessError(1, "pip"), RuntimeError("PythonSlicer not found")])
def test_a_failed_download_names_the_network_and_the_other_way(install, slicer_app, monkeypatch, error):  # noqa: F811
    import slicer

    def fail(*words, **names):
        raise error

    slicer_app.missing = {"pandas"}
    monkeypatch.setattr(slicer.packaging, "pip_ensure", fail)
    with pytest.raises(CSpineSegError, match=r"network connection, or install from a folder of wheels"):
        install.ensure()


def test_what_was_installed_and_cannot_be_imported_is_told(install, slicer_app, monkeypatch):  # noqa: F811
    slicer_app.missing = {"pandas"}
    answer = SimpleNamespace(wait=lambda: {"broken": {"pandas": "DLL load failed"}})
    monkeypatch.setattr(trying, "Check", lambda python, names: answer)
    with pytest.raises(CSpineSegError, match=rf"pandas {version('pandas')} was installed and .*\(DLL load failed\)"):
        install.ensure()


def test_an_old_slicer_is_asked_to_be_updated(install, monkeypatch):
    import slicer

    monkeypatch.delattr(slicer, "packaging")
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    with pytest.raises(CSpineSegError, match=r"Slicer 5\.12"):
        install.ensure()


# --- without network ---


@pytest.fixture
def offline(slicer_app, monkeypatch, tmp_path):  # noqa: F811
    """A folder of wheels, and Slicer's pip_install, which records its words."""
    import slicer

    calls = []

    def pip_install(
        requirements, constraints=None, no_deps_requirements=None, skip_packages=None, blocking=True,
        show_progress=True, requester=None, parent=None, logCallback=None, completedCallback=None,
    ):  # fmt: skip
        calls.append((requirements, constraints.read_text(encoding="utf-8")))
        slicer_app.missing.clear()

    monkeypatch.setattr(slicer.packaging, "pip_install", pip_install, raising=False)
    folder = tmp_path / "roues ü"
    folder.mkdir()

    def wheels(*names):
        for name in names:
            (folder / f"{name}-1.0-py3-none-any.whl").touch()
        return str(folder)

    return SimpleNamespace(calls=calls, wheels=wheels)


def test_wheels_in_a_folder_are_installed_without_network(install, slicer_app, offline):  # noqa: F811
    slicer_app.missing = {"nibabel", "openvino", "monai"}
    folder = offline.wheels("nibabel", "openvino", "numpy")
    names = install.missing_from_wheels(folder)
    install.install_wheels(folder, names)
    ((words, constraints),) = offline.calls
    assert words == ["--no-index", "--find-links", folder, "nibabel>=5.3", "openvino>=2025.4"]
    assert f"numpy=={version('numpy')}\n" in constraints
    assert install.tried == [["nibabel", "openvino"]] and slicer_app.installed == []


def test_a_wheel_of_torch_means_a_graphics_card(install, slicer_app, offline, monkeypatch):  # noqa: F811
    slicer_app.missing = {"monai"}
    there = {"torch": "2.5.1"}
    real = install.installed
    monkeypatch.setattr(install, "installed", lambda name: there.get(name) or real(name))
    folder = offline.wheels("torch", "monai")
    names = install.missing_from_wheels(folder)
    assert names == ["torch", "monai"]
    with pytest.raises(CSpineSegError, match="still missing: torch"):
        install.install_wheels(folder, names)
    ((words, constraints),) = offline.calls
    assert words[-2:] == [f"torch>={packages.TORCH}", "monai>=1.5"]
    assert "torch==" not in constraints, "the old one would be held"


def test_a_folder_that_lacks_something_is_told_before_pip_runs(install, slicer_app, offline):  # noqa: F811
    slicer_app.missing = {"nibabel", "openvino"}
    with pytest.raises(InputError, match="lacks wheels of openvino"):
        install.missing_from_wheels(offline.wheels("nibabel"))
    assert offline.calls == []


def test_wheels_that_do_not_fit_are_told(install, slicer_app, offline, monkeypatch):  # noqa: F811
    import slicer

    def fail(*words, **names):
        raise subprocess.CalledProcessError(1, "pip install")

    slicer_app.missing = {"nibabel"}
    monkeypatch.setattr(slicer.packaging, "pip_install", fail)
    with pytest.raises(CSpineSegError, match="another Python or another system"):
        install.install_wheels(offline.wheels("nibabel"), ["nibabel"])


def test_pip_itself_installs_from_a_folder_with_spaces_and_accents_and_no_network(install, tmp_path):
    """The words that Slicer's pip gets, run by pip on a wheel that is made here."""
    import zipfile

    folder, target = tmp_path / "roues ü", tmp_path / "site"
    folder.mkdir()
    with zipfile.ZipFile(folder / "cspinethere-1.0-py3-none-any.whl", "w") as wheel:
        info = "cspinethere-1.0.dist-info"
        wheel.writestr("cspinethere.py", "answer = 42\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: cspinethere\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    packages.check_wheels(folder, ["cspinethere"], "3.12")
    words = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", str(folder), "cspinethere>=1"]
    blocked = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    done = subprocess.run([*words, "--target", str(target)], env=blocked, capture_output=True, text=True, check=False)
    if "No module named pip" in done.stderr:
        pytest.skip("pip is not installed here")
    assert done.returncode == 0, done.stderr
    assert (target / "cspinethere.py").exists()
