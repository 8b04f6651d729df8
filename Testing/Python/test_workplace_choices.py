"""What a reviewer can choose to segment with: models and devices in words, without anything heavy."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from CSpineSegLib import files, jobs, resources
from CSpineSegLib.jobs.graphics import Card
from CSpineSegLib.workplace import choices


def test_models_are_offered_with_what_they_are_the_usual_one_first(tmp_path, monkeypatch):
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path))
    (packaged, *_), problems = choices.models()
    assert packaged.name == jobs.DEFAULT_MODEL and packaged.text.startswith(f"{jobs.DEFAULT_MODEL} ")
    assert packaged.words.startswith("Packaged with CSpineSeg.") and "quality score" in packaged.words
    assert problems == []
    shutil.copytree(resources.path("Models", jobs.DEFAULT_MODEL), tmp_path / jobs.DEFAULT_MODEL)
    files.write_json(tmp_path / "broken" / "configs" / "metadata.json", {})
    found, problems = choices.models()
    assert found[0].name == jobs.DEFAULT_MODEL and found[0].words.startswith("Your own model.")
    assert len({choice.name for choice in found}) == len(found)
    assert len(problems) == 1 and "broken" in problems[0]


def test_devices_are_offered_in_words_and_nothing_that_is_not_there(monkeypatch):
    card = Card("NVIDIA RTX A2000", "550.54", 8 * 1024**3, "cuda")
    monkeypatch.setattr(choices, "find_spec", lambda name: object())
    monkeypatch.setattr("CSpineSegLib.model.devices.may_see_gpu", lambda: True)
    automatic, gpu, cpu = choices.devices([card, card])
    assert (automatic.name, gpu.name, cpu.name) == ("auto", "cuda", "cpu")
    assert gpu.text == "NVIDIA RTX A2000, 8 GB" and automatic.text == "Automatic: NVIDIA RTX A2000, 8 GB"
    assert "Processor" in cpu.text and "OpenVINO" in cpu.text and "core" in cpu.text
    monkeypatch.setattr("CSpineSegLib.model.devices.may_see_gpu", lambda: False)
    monkeypatch.setattr(choices, "find_spec", lambda name: None)
    automatic, gpu, cpu = choices.devices([card])
    assert "Processor" in automatic.text and "PyTorch, which is not installed" in gpu.words
    assert "nothing installed" in cpu.text
    assert [choice.name for choice in choices.devices([])] == ["auto", "cpu"]


def test_the_workplace_is_imported_without_anything_heavy():
    heavy = {"torch", "openvino", "pandas", "nibabel", "scipy", "slicer", "vtk", "vtkmodules", "monai"}
    code = "import sys, CSpineSegLib.workplace; print(*sorted(name for name in sys.modules if '.' not in name))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert not heavy & set(done.stdout.split())
