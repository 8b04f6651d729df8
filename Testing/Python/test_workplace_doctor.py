"""What the doctor says of an installation: rows, what to do, how large it is, and a text that names nobody."""

from __future__ import annotations

import csv
import re
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

from CSpineSegLib import resources
from CSpineSegLib.errors import InputError
from CSpineSegLib.jobs import doctor as looking
from CSpineSegLib.workplace import doctor, packages

ROOT = Path(__file__).resolve().parents[2]
GIB = 1024**3


# --- which packages, and how large ---


def test_the_requirements_are_the_librarys_with_lower_bounds_only():
    lines = resources.path("requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = {line for line in lines if line and not line.startswith("#")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    stated = {*project["dependencies"], *extras["openvino"], *extras["torch"]}
    assert all(">=" in line and "==" not in line for line in wanted)
    # Slicer ships the rest, and torch is the PyTorch extension's.
    assert wanted == {line for line in stated if line.split(">")[0] not in ("numpy", "scipy", "torch")}
    named = {line.split(">")[0] for line in wanted}
    assert named | {"torch"} == {*packages.SIZES[packages.GRAPHICS], *packages.COMMANDS} == {*packages.MEASURED}
    assert f"torch>={packages.TORCH}" in stated


def test_a_processor_needs_no_torch_and_under_150_MB():
    small = packages.SIZES[packages.PROCESSOR]
    assert {*small} == {"nibabel", "pandas", "openvino"}
    assert packages.cost(small)[0] < 150e6
    assert packages.cost(packages.SIZES[packages.GRAPHICS])[0] > 1e9


def on_disk(name: str) -> int:
    """Bytes of an installed package."""
    found = distribution(name)
    with open(found.locate_file(f"{found._path.name}/RECORD"), encoding="utf-8") as stream:
        paths = [Path(found.locate_file(row[0])) for row in csv.reader(stream)]
    return sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc")


@pytest.mark.parametrize("name", sorted({*packages.MEASURED} - {"torch"}))
def test_the_figures_are_those_of_what_is_installed_here(name):
    measured = packages.MEASURED[name]
    if version(name) != measured.version:
        pytest.skip(f"{name} {measured.version} was measured, and {version(name)} is installed")
    assert 0 < measured.download < measured.disk
    alone = on_disk(name)
    # What it brings along is counted too, and is never most of it but for the command line's small packages.
    assert alone < measured.disk * 1.02
    assert name in packages.COMMANDS or measured.disk < alone * 1.1


def test_both_sizes_are_told_in_words():
    small, large = packages.choices()
    assert "nibabel, pandas and openvino" in small and "MB to download" in small and "torch" not in small
    assert "torch and monai" in large and "GB to download" in large


@pytest.mark.parametrize(
    ("count", "text"), [(1, "1 MB"), (61_234_567, "62 MB"), (239_000_000, "240 MB"), (2_912_345_678, "3.0 GB")]
)
def test_sizes_are_rounded_up(count, text):
    assert packages.size_text(count) == text


# --- a folder of wheels ---


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "rouès ü"
    folder.mkdir()
    for name in ("nibabel-5.4.2-py3-none-any", "Pandas-2.3.3-cp312-cp312-manylinux_2_17_x86_64", "open_vino-1-py3"):
        (folder / f"{name}.whl").touch()
    (folder / "openvino-2026.4.1.tar.gz").touch()
    return folder


def test_wheels_are_known_by_name_however_it_is_written(wheels):
    assert packages.wheels(wheels) == {"nibabel", "pandas", "open-vino"}
    packages.check_wheels(wheels, ["nibabel", "pandas", "Open.Vino"], "3.12")


def test_what_a_folder_of_wheels_lacks_is_named_with_the_way_to_fetch_it(wheels):
    with pytest.raises(InputError, match="lacks wheels of openvino and monai;") as raised:
        packages.check_wheels(wheels, ["nibabel", "openvino", "monai"], "3.12")
    assert "pip download --only-binary :all: --python-version 3.12 openvino monai" in str(raised.value)


def test_a_folder_without_wheels_is_not_taken(tmp_path):
    with pytest.raises(InputError, match="holds no wheels"):
        packages.wheels(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        packages.wheels(tmp_path / "nowhere")


# --- rows ---

CARD = {"name": "NVIDIA RTX A2000", "driver": "550.54", "memory": 6 * GIB, "device": "cuda"}
CPU = {"device": "cpu", "name": "x86_64", "free_bytes": 5 * GIB, "total_bytes": 16 * GIB}


def made(card=None, problem=None, broken=None, cuda=False, slicer="5.12.0", **versions) -> dict:
    """A report; packages that are not named are not installed."""
    names = {use: {name: versions.get(name) for name in group} for use, group in looking.NEEDED.items()}
    devices = [CPU, *([{"device": "cuda:0", "name": card["name"], "free_bytes": 1, "total_bytes": 2}] if cuda else [])]
    return {
        "cspineseg": "0.1.0",
        "python": "3.12.10",
        "system": "Linux 6 x86_64",
        "slicer": {"kind": "application", "version": slicer},
        "packages": names,
        "graphics": {"cards": [card] if card else [], "problem": problem},
        "broken": broken or {},
        "devices": {"devices": devices, "auto": "Runs on the CPU."},
        "models": [{"name": "cspine-phantom", "version": "1.0.0", "sha256": "ab" * 32, "folder": "/x"}],
        "model_problems": [],
    }


SMALL = {"nibabel": "5.4.2", "pandas": "2.3.3", "openvino": "2026.4.1"}


def row(report: dict, what: str) -> doctor.Row:
    (found,) = [row for row in doctor.rows(report) if row.what.startswith(what)]
    return found


def test_with_the_small_set_and_no_card_nothing_is_to_be_done():
    rows = doctor.rows(made(**SMALL))
    assert {row.level for row in rows} == {doctor.GOOD} and not any(row.advice for row in rows)
    assert doctor.summary(rows) == "Everything that is needed is there."
    assert "none that PyTorch could use" in row(made(**SMALL), "Graphics card").state
    assert row(made(**SMALL), "Main memory").state == "16.0 GB, 5.0 GB of it free"
    assert row(made(**SMALL), "Model cspine-phantom").state.endswith("SHA-256 " + "ab" * 32)


def test_what_is_missing_is_bad_and_says_how_much_it_is():
    found = row(made(nibabel="5.4.2", pandas="2.3.3"), "openvino")
    assert found.level == doctor.BAD and found.state == "not installed"
    assert re.search(r"Install for the processor' \(about \d+ MB to download", found.advice)
    assert "3 things are missing" in doctor.summary(doctor.rows(made()))
    assert "1 thing is missing" in doctor.summary(doctor.rows(made(**{**SMALL, "pandas": None})))


def test_what_is_to_be_done_comes_first():
    rows = doctor.urgent_first(doctor.rows(made(CARD, nibabel="5", pandas="2")))
    assert [rows[0].what, rows[1].what, rows[2].what] == ["openvino", "torch (PyTorch)", "CSpineSeg"]


def test_a_card_without_torch_is_a_remark_with_the_size_of_the_download():
    found = row(made(CARD, **SMALL), "torch")
    assert (
        found.level == doctor.NOTE and "graphics card is not used" in found.state and "GB to download" in found.advice
    )
    assert row(made(CARD, **SMALL), "Graphics card").state == "NVIDIA RTX A2000, 6 GB, driver 550.54"


@pytest.mark.parametrize(
    ("report", "level", "words"),
    [
        (made(CARD, torch="2.13.0+cpu", monai="1.6.1", **SMALL), doctor.NOTE, "sees no graphics card"),
        (made(CARD, cuda=True, torch="2.13.0+cu126", monai="1.6.1", **SMALL), doctor.GOOD, "2.13.0+cu126"),
        (made(CARD, torch="2.5.1", monai="1.6.1", **SMALL), doctor.BAD, "older than 2.6"),
        (made(CARD, torch="2.13.0", broken={"torch": "no DLL"}, **SMALL), doctor.BAD, "cannot be imported: no DLL"),
        (made(torch="2.13.0+cpu", monai="1.6.1", **SMALL), doctor.GOOD, "2.13.0+cpu"),
    ],
)
def test_a_torch_that_does_not_fit_is_told(report, level, words):
    found = row(report, "torch")
    assert found.level == level and words in found.state and bool(found.advice) == (level != doctor.GOOD)


def test_torch_without_monai_is_bad_only_where_there_is_a_card():
    assert row(made(CARD, torch="2.13.0", **SMALL), "monai").level == doctor.BAD
    assert not [row for row in doctor.rows(made(torch="2.13.0", **SMALL)) if row.what == "monai"]


def test_openvino_is_no_must_where_torch_can_do_its_work():
    report = made(nibabel="5", pandas="2", torch="2.13.0", monai="1.6")
    assert row(report, "openvino").level == doctor.NOTE


def test_a_driver_that_does_not_work_comes_with_what_to_do():
    found = row(made(problem="NVIDIA's driver does not work (no NVML); install it again.", **SMALL), "Graphics card")
    assert found == ("Graphics card", "NVIDIA's driver does not work (no NVML).", "Install it again.", doctor.NOTE)


def test_an_old_slicer_a_damaged_model_and_none_at_all_are_bad():
    assert row(made(slicer="5.10.0", **SMALL), "Slicer").level == doctor.BAD
    assert row(made(slicer="5.12.1", **SMALL), "Slicer").level == doctor.GOOD
    report = {**made(**SMALL), "models": [], "model_problems": ["model.pt was changed."]}
    rows = [row for row in doctor.rows(report) if row.what == "Model"]
    assert [(row.level, bool(row.advice)) for row in rows] == [(doctor.BAD, True)] * 2


def test_before_the_packages_were_tried_nothing_is_said_to_work():
    report = {key: value for key, value in made(**SMALL).items() if key not in ("broken", "devices", "models")}
    assert row(report, "openvino").state == "2026.4.1, being tried"


def test_a_glance_is_enough_for_rows_and_imports_nothing(monkeypatch):
    monkeypatch.setattr(looking, "broken", lambda *words: pytest.fail("nothing is to be imported"))
    rows = doctor.rows(looking.glance(), ["Exam 593973-000001 has no image."])
    assert rows[-1] == ("Dataset", "Exam 593973-000001 has no image.", "", doctor.NOTE)


# --- the text to send ---


def test_the_text_says_all_and_names_nobody(monkeypatch, tmp_path):
    home = tmp_path / "home" / "Zoë Müller"
    home.mkdir(parents=True)
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.setattr("getpass.getuser", lambda: "zmueller")
    problems = [f"{home}/Models/x is damaged.", "/scratch/zmueller/Models: model.pt was changed.", "zmueller2 stays."]
    report = {**made(CARD, **SMALL), "model_problems": problems}
    text = doctor.text(report, ["Exam 593973-000123 has no image."])
    assert "~/Models/x is damaged." in text and "/scratch/<user>/Models: model.pt" in text and "zmueller2" in text
    assert "Zoë" not in text and str(home) not in text and "000123" not in text
    assert "ab" * 32 in text and "driver 550.54" in text and "Problems of the open dataset: 1" in text


def test_windows_folders_of_people_are_hidden_too(monkeypatch):
    class Home:
        def __init__(self, text):
            self.text = text

        def __str__(self):
            return self.text

        resolve = as_posix = lambda self: self.text

    monkeypatch.setattr(Path, "home", lambda: Home(r"C:\Users\Ana"))
    monkeypatch.setattr("getpass.getuser", lambda: "Ana")
    assert doctor.anonymous(r"c:\users\ana\Models and C:\Users\Anastasia\x") == r"~\Models and C:\Users\Anastasia\x"
    assert doctor.anonymous(r"D:\data\Ana\x; Ana stays") == r"D:\data\<user>\x; Ana stays"


def test_a_home_at_the_root_or_none_changes_nothing_else(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/"))
    monkeypatch.setattr("getpass.getuser", lambda: "nobody")
    assert doctor.anonymous("/data/x") == "/data/x"

    def none():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", none)
    assert doctor.anonymous("/data/x") == "/data/x"
