"""The wheel, installed away from the clone, finds its resources and runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> dict[str, str]:
    """Environment in which the library comes from an installed wheel and not from the clone."""
    folder = tmp_path_factory.mktemp("wheel é")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(folder.glob("cspineseg-*.whl"))
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(target)}


def _run(installed: dict[str, str], folder: Path, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "CSpineSegLib.cli", *words]
    return subprocess.run(command, cwd=folder, env=installed, capture_output=True, text=True, check=False)


def test_the_wheel_holds_the_library_its_resources_and_no_test(installed):
    site = Path(installed["PYTHONPATH"])
    assert (site / "CSpineSegLib" / "Resources" / "Terminologies" / "labels.tsv").is_file()
    assert not (site / "Testing").exists()
    assert not (site / "CSpineSeg").exists()
    packaged = {path.relative_to(site / "CSpineSegLib") for path in (site / "CSpineSegLib").rglob("*.py")}
    assert packaged == {path.relative_to(ROOT / "CSpineSegLib") for path in (ROOT / "CSpineSegLib").rglob("*.py")}


def test_resources_and_models_are_those_of_the_wheel(installed, tmp_path):
    answer = _run(installed, tmp_path, "doctor", "--json")
    report = json.loads(answer.stdout)
    site = installed["PYTHONPATH"]
    assert report["resources"].startswith(site)
    assert report["models"][0]["folder"].startswith(site)


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel(installed, tmp_path):
    answer = _run(installed, tmp_path, "demo", "--output", "demo", "--device", "cpu")
    assert answer.returncode == 0, answer.stderr
    assert len(answer.stdout.splitlines()) == 10
    assert (tmp_path / "demo" / "demo.png").stat().st_size > 10_000
