"""The `--python-script` runner on slicer-core: same words, same codes as the command line, and an end in every case."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest
from module_helpers import quick_model, quick_models  # noqa: F401  (fixtures)
from slicer_standins import MODULE_FOLDER

from CSpineSegLib import jobs, model

SCRIPT = MODULE_FOLDER / "CSpineSegModule" / "headless.py"
PATIENT = "900001"


@pytest.fixture
def headless(monkeypatch):
    monkeypatch.syspath_prepend(str(MODULE_FOLDER))
    from CSpineSegModule import headless

    yield headless
    for name in [name for name in sys.modules if name.split(".")[0] == "CSpineSegModule"]:
        del sys.modules[name]


@pytest.fixture
def run(headless):
    """Run words; returns the code, which must be the one that Slicer is ended with, exactly once."""

    def run(*words: object) -> int:
        codes = []
        code = headless.run([str(word) for word in words], exit=codes.append)
        assert codes == [code]
        return code

    return run


def one_sentence(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("cspineseg: ")]
    assert "Traceback" not in text
    return line


def test_words_of_the_command_line_give_what_the_command_line_gives(run, sample_dataset, capsys):
    assert run("list", "--dataset", sample_dataset.root, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 8
    assert run("--", "list", "--dataset", sample_dataset.root) == 0


def test_no_command_brings_torch_into_slicers_process(tmp_path):
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "import headless\n"
        "codes = [headless.run(words) for words in (['doctor'], ['demo', '--help'], ['segment', 'no such file'])]\n"
        "print(codes, [name for name in ('torch', 'monai', 'typer') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *said, last = done.stdout.splitlines()
    assert last == "[0, 0, 2] []"
    assert any(line.startswith("torch") or "torch" in line for line in said), "the doctor has looked at torch"


def test_bad_input_ends_slicer_with_2_and_one_sentence(run, sample_dataset, capsys):
    assert run("show", "593973-000001", "--dataset", sample_dataset.root) == 2
    assert "593973-900001" in one_sentence(capsys.readouterr().err)
    assert run("bogus") == 2
    assert "bogus" in one_sentence(capsys.readouterr().err)
    assert run("open", "593973-000001", "--dataset", sample_dataset.root) == 2
    assert "593973-900001" in one_sentence(capsys.readouterr().err)
    assert run("open") == 2
    assert "target" in one_sentence(capsys.readouterr().err)
    assert run("open", "x", "--bogus") == 2
    assert "--bogus" in one_sentence(capsys.readouterr().err)
    assert run("open", PATIENT) == 2
    assert "--dataset" in one_sentence(capsys.readouterr().err)


def test_whatever_goes_wrong_ends_slicer_with_1(run, headless, monkeypatch, capsys):
    monkeypatch.setattr(headless, "_command", lambda words: 1 / 0)
    assert run("list") == 1
    said = capsys.readouterr().err
    assert "Traceback" in said and "cspineseg: An unexpected error (division by zero)" in said


def test_slicer_is_ended_also_when_the_script_is_interrupted(headless, monkeypatch):
    def interrupt(words):
        raise KeyboardInterrupt

    codes = []
    monkeypatch.setattr(headless, "_command", interrupt)
    with pytest.raises(KeyboardInterrupt):
        headless.run(["list"], exit=codes.append)
    assert codes == [1]


def test_open_checks_every_voxel_and_keeps_picture_and_scene(run, sample_dataset, tmp_path, capsys):
    exam = sample_dataset.exams(patient=PATIENT)[0]
    picture, scene = tmp_path / "bild ü.png", tmp_path / "szene.mrb"
    assert run("open", exam.stem, "--dataset", sample_dataset.root, "--picture", picture, "--scene", scene) == 0
    assert "every voxel" in capsys.readouterr().out
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert zipfile.is_zipfile(scene)
    assert not list((sample_dataset.root / "processed").rglob("*.json")), "looking is no review event"


def test_open_reports_a_voxel_that_changed(headless, sample_dataset):
    import slicer.util

    from CSpineSegLib import session
    from CSpineSegLib.errors import WriteError

    opened = session.open_exam(sample_dataset.exams()[0], record=False)
    headless.check_voxels(opened)
    slicer.util.arrayFromVolume(opened.case.volume_node)[0, 0, 0] += 1
    with pytest.raises(WriteError, match="the image's voxels"):
        headless.check_voxels(opened)


@pytest.mark.usefixtures("quick_model")
def test_segment_runs_in_a_child_and_hands_on_its_code(run, sample_dataset, capsys):
    first, second = sample_dataset.exams()[:2]
    # Done before, so that the child has nothing to compute and the test is quick.
    jobs.segment(first, model.load(jobs.DEFAULT_MODEL))
    assert run("segment", first.stem, "--dataset", sample_dataset.root) == 0
    assert "up to date" in capsys.readouterr().out
    second.image.write_bytes(b"no image")
    assert run("segment", first.stem, second.stem, "--dataset", sample_dataset.root) == 1
    assert second.stem in capsys.readouterr().out
    assert run("segment", "593973-000001", "--dataset", sample_dataset.root) == 2


@pytest.fixture
def asked(headless, monkeypatch):
    """Inside Slicer: what the runner asks to be installed."""
    import types

    asked = []

    def ensure(segmentation=False, interactive=True, *, torch=False, commands=False):
        assert not interactive, "nobody is there to answer"
        asked.append([name for name, wanted in (("segment", segmentation), ("torch", torch)) if wanted])
        assert commands

    install = types.ModuleType("CSpineSegModule.install")
    install.ensure = ensure
    monkeypatch.setitem(sys.modules, "CSpineSegModule.install", install)
    monkeypatch.setattr(sys.modules["CSpineSegModule"], "install", install, raising=False)
    monkeypatch.setattr(headless, "in_slicer", lambda: True)  # as seen by headless alone: there is no PythonSlicer
    return asked


def test_inside_slicer_packages_are_asked_for_before_the_work(run, asked, sample_dataset, capsys):
    assert run("list", "--dataset", sample_dataset.root) == 0
    assert asked == [[]]
    assert run("segment", "593973-000001", "--dataset", sample_dataset.root) == 2
    assert asked[1:] == [["segment"]]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["segment", "--all", "--device", "cuda"], True),
        (["segment", "--all", "--device=mps"], True),
        (["segment", "x", "--engine", "torch"], True),
        (["models", "import", "x.zip"], True),
        (["models", "list"], False),
        (["segment", "--all", "--device", "cpu"], False),
        (["segment", "cuda", "--device", "auto", "--engine=openvino"], False),
        (["segment", "--device"], False),
        ([], False),
    ],
)
def test_gigabytes_are_installed_only_if_the_words_ask_for_them(headless, words, wanted):
    assert headless._asks_for_torch(words) is wanted


class PythonQtStream:
    """The only three things that Slicer's sys.stdout can do."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass

    def isatty(self):
        return False


def test_everything_prints_to_the_streams_of_slicers_python(run, monkeypatch, sample_dataset):
    out, err = PythonQtStream(), PythonQtStream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert run("list", "--dataset", sample_dataset.root) == 0
    assert run("show", PATIENT, "--dataset", sample_dataset.root, "--json") == 0
    assert run("segment", "--help") == 0
    assert "--output" in out.text
    assert run("show", "12x4", "--dataset", sample_dataset.root) == 2
    assert "900001" in out.text and "cspineseg: " in err.text


def test_the_script_runs_as_slicer_runs_it_from_any_folder(sample_dataset, tmp_path):
    # Slicer executes the text of the script with __file__ set and its folder on the path.
    code = (
        "import sys\n"
        f"script = {str(SCRIPT)!r}\n"
        f"sys.argv = [script, 'list', '--dataset', {str(sample_dataset.root)!r}]\n"
        f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        "space = {**globals(), '__file__': script}\n"
        "exec(open(script, encoding='utf-8').read(), space)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 9
    words = [sys.executable, str(SCRIPT), "show", "12x4", "--dataset", str(sample_dataset.root)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "12x4" in one_sentence(done.stderr)
