"""How the doctor looks: at graphics cards through their drivers, at packages in a process of its own."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from CSpineSegLib import jobs
from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.jobs import graphics, trying

# --- graphics cards ---


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts a program in the place of nvidia-smi."""
    if os.name == "nt" or sys.platform == "darwin":
        pytest.skip("NVIDIA's program is imitated by a shell script")

    def install(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(graphics, "PATIENCE", 2.0)
    return install


def test_cards_are_named_with_memory_and_driver(driver):
    driver('echo "NVIDIA RTX A2000, 6138, 550.54.14"\necho "NVIDIA GH200, 96GB, [N/A], 560.1"')
    found, problem = graphics.look()
    assert [str(card) for card in found] == [
        "NVIDIA RTX A2000, 6 GB, driver 550.54.14",
        "NVIDIA GH200, driver 560.1",
    ] or [card.name for card in found] == ["NVIDIA RTX A2000", "NVIDIA GH200"]
    assert problem is None and {card.device for card in found} == {"cuda"}
    assert found[0].memory == 6138 * 1024**2 and found[1].memory is None


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ('echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18', "version mismatch"),
        ("exit 9", "ended with code 9"),
        ("sleep 20", "does not answer"),
    ],
)
def test_a_driver_that_does_not_work_is_told_and_is_no_card(driver, script, sentence):
    driver(script)
    found, problem = graphics.look()
    assert found == [] and sentence in problem and problem.endswith((".", "again."))


def test_no_driver_is_no_problem(monkeypatch):
    monkeypatch.setattr(graphics, "_program", lambda: None)
    assert graphics._nvidia() == ([], None)


def test_an_apple_computer_has_a_card_and_an_old_one_has_none(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert [card.device for card in graphics.look()[0]] == ["mps"]
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert graphics.look() == ([], None)


# --- the other process ---


def shadow(folder: Path, name: str, source: str, monkeypatch) -> None:
    """What another process gets when it imports a package."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_another_process_imports_everything_and_reports(monkeypatch, tmp_path):
    # It needs no package but NumPy, so a broken one does not keep it from saying so.
    names = ("nibabel", "pandas", "typer", "openvino", "torch", "monai")
    for name in names:
        shadow(tmp_path, name, f"raise ImportError('no {name} today')", monkeypatch)
    report = trying.Check().wait()
    assert report["broken"] == {name: f"no {name} today" for name in names}
    assert [model["name"] for model in report["models"]] == [jobs.DEFAULT_MODEL]
    assert report["devices"]["devices"][0]["device"] == "cpu"
    assert json.loads(json.dumps(report)) == report


def test_a_package_that_ends_the_interpreter_is_named(monkeypatch, tmp_path):
    shadow(tmp_path, "monai", "import os; os._exit(11)", monkeypatch)
    check = trying.Check(names=["nibabel", "monai"])
    with pytest.raises(CSpineSegError, match="ends when it imports monai;"):
        check.wait()


def test_what_libraries_print_does_not_hide_the_report(monkeypatch, tmp_path):
    shadow(tmp_path, "monai", "print('hello', end='\\n\\n')", monkeypatch)
    assert trying.Check(names=["monai"]).wait() == {"broken": {}}


def test_an_import_that_never_ends_is_ended(monkeypatch, tmp_path):
    shadow(tmp_path, "monai", "import time; time.sleep(600)", monkeypatch)
    check = trying.Check(names=["monai"])
    # Until it has come so far, which takes a while on a busy computer.
    while not os.fstat(check._noted.fileno()).st_size:
        assert check.poll() is None
        time.sleep(0.05)
    check._until = 0.0
    with pytest.raises(CSpineSegError, match=r"Importing monai takes longer than \d+ s; restart the computer"):
        check.wait()
    assert check._process.poll() is not None


def test_looking_is_ended_by_closing_and_a_missing_interpreter_is_one_sentence():
    check = trying.Check()
    assert check.is_running() and check.poll() is None
    check.close()
    check.close()
    assert not check.is_running()
    with pytest.raises(CSpineSegError, match="could not be started"):
        trying.Check("/no/such/python")
