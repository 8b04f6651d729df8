"""nnU-Net's commands: the lines that are printed, the processes that are run, and how they end."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from module_helpers import is_alive, wait_until
from nnunet_export_cases import make

from CSpineSegLib.errors import Cancelled, InputError, ModelError
from CSpineSegLib.progress import Progress
from CSpineSegLib.training.nnunet import Folders, commands, export, running
from CSpineSegLib.training.nnunet.commands import Training
from CSpineSegLib.training.nnunet.running import Command

posix = pytest.mark.skipif(os.name == "nt", reason="the stand-in executables are scripts with a first line for Python")


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Makes an executable `nnUNetv2_standin` on the PATH from Python source; returns its command."""

    def make(source: str, *arguments: str, **variables: str) -> Command:
        folder = tmp_path / "bin ü"
        folder.mkdir(exist_ok=True)
        path = folder / "nnUNetv2_standin"
        path.write_text(f"#!{sys.executable}\n{source}\n", encoding="utf-8")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return Command("nnUNetv2_standin", arguments, variables)

    return make


@pytest.fixture
def training(tmp_path) -> Training:
    where = Folders.of(tmp_path / "my work")
    (where.raw / "Dataset108_CSpineSeg").mkdir(parents=True)
    return Training(where, 108)


SAYS = "import os, sys; print(sys.argv[1:], os.environ['nnUNet_raw'], os.environ['nnUNet_results'])"


@posix
def test_printed_line_does_in_a_shell_what_is_run_here(tool, tmp_path):
    variables = Folders.of(tmp_path / "it's a \"work\" $HOME ü").environment()
    command = tool(SAYS, "-o", "a b'c", "*", "$PATH", **variables)
    said: list[str] = []
    running.run(command, echo=said.append)
    pasted = subprocess.run(["bash", "-c", command.line()], capture_output=True, text=True, check=True).stdout
    assert "".join(said) == pasted
    assert variables["nnUNet_raw"] in pasted and "a b'c" in pasted and "$PATH" in pasted


def test_line_for_powershell_quotes_what_it_would_read_otherwise(tmp_path):
    command = Command("tool", ("a b'c",), {"nnUNet_raw": "C:\\it's"})
    line = command.line(lambda name: f"C:\\{name}.exe", windows=True)
    assert line == "$env:nnUNet_raw='C:\\it''s'; & 'C:\\tool.exe' 'a b''c'"


@posix
def test_variables_are_set_for_the_process_alone(tool, tmp_path):
    before = dict(os.environ)
    command = tool(SAYS, **Folders.of(tmp_path).environment())
    after = dict(os.environ)
    running.run(command)
    assert dict(os.environ) == after and set(after) == set(before)


@posix
def test_failure_is_one_sentence_with_what_was_said_last(tool):
    command = tool("print('Epoch 0')\nraise RuntimeError('there is no such plan')")
    with pytest.raises(ModelError, match=r"with code 1; it said last: RuntimeError: there is no such plan$"):
        running.run(command)


@posix
def test_death_by_memory_is_told_as_such(tool):
    with pytest.raises(ModelError, match=r"signal 9.*memory"):
        running.run(tool("import os; os.kill(os.getpid(), 9)"))


@posix
def test_a_bar_that_is_drawn_over_is_relayed_and_its_last_state_told(tool, monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    said: list[str] = []
    events = []
    source = "import sys, time\nfor k in (1, 2, 3): sys.stdout.write(f'\\r{k} of 3 é'); time.sleep(0.3)\nsys.exit(4)"
    with pytest.raises(ModelError, match=r"code 4; it said last: 3 of 3 é$"):
        running.run(tool(source), Progress(events.append), said.append)
    assert "".join(said) == "\r1 of 3 é\r2 of 3 é\r3 of 3 é" and len(said) >= 2
    assert {"1 of 3 é", "2 of 3 é"} <= {event.message for event in events}


# A child, a grandchild that ignores a polite request, and their numbers in a file.
TREE = """
import os, signal, subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(300)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid} {other.pid}")
print("ready", flush=True)
time.sleep(float(sys.argv[2]))
sys.exit(3)
"""


def numbers(path: Path) -> list[int]:
    assert wait_until(lambda: path.exists() and len(path.read_text().split()) == 3, 60)
    return [int(word) for word in path.read_text().split()]


@posix
def test_cancelling_ends_the_process_and_all_that_it_started(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "GRACE_SECONDS", 2.0)
    path = tmp_path / "pids"
    with pytest.raises(Cancelled):
        running.run(tool(TREE, str(path), "300"), Progress(lambda event: None, path.exists))
    assert wait_until(lambda: not any(map(is_alive, numbers(path))), 10)


@posix
def test_workers_that_outlive_a_failed_process_are_not_waited_for(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "GRACE_SECONDS", 1.0)
    path = tmp_path / "pids"
    # The child holds the output of the process that fails.
    held = TREE.replace("stdout=subprocess.PIPE", "stdout=None").replace("child.stdout.readline()", "")
    command = tool(held, str(path), "0.5")
    with pytest.raises(ModelError, match="code 3"):
        running.run(command)
    assert wait_until(lambda: not any(map(is_alive, numbers(path))), 10)


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clusters_signal_and_ctrl_c_end_nnunet_with_the_command(tool, tmp_path, number):
    path = tmp_path / "pids"
    tool(TREE, str(path), "300")
    code = (
        # A shell starts what runs in its background deaf to Ctrl-C, and these tests may run there.
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from CSpineSegLib.training.nnunet import running\nfrom CSpineSegLib.errors import Cancelled\n"
        "running.GRACE_SECONDS = 2.0\n"
        f"try: running.run(running.Command('nnUNetv2_standin', ({str(path)!r}, '300')))\n"
        "except (Cancelled, KeyboardInterrupt): sys.exit(17)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    pids = numbers(path)
    process.send_signal(number)
    assert process.wait(60) == 17
    assert wait_until(lambda: not any(map(is_alive, pids)), 10)


def test_nnunets_own_executables_are_found():
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")
    for name in ("nnUNetv2_train", "nnUNetv2_predict"):
        path = Path(running.locate(name))
        assert path.is_file() and path.stem == name


def test_without_nnunet_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelError) as caught:
        running.locate("nnUNetv2_no_such_command")
    sentence = str(caught.value)
    assert f'{sys.executable} -m pip install "nnunetv2>=2.8.1"' in sentence and sentence.endswith("as it is.")
    try:
        import torch
    except ImportError:
        return
    assert f'"torch=={torch.__version__.partition("+")[0]}"' in sentence


def options_of(name: str) -> set[str]:
    """The options of one of nnU-Net's commands, read from its source."""
    (entry,) = [entry for entry in entry_points(group="console_scripts") if entry.name == name]
    tree = ast.parse(Path(importlib.util.find_spec(entry.module).origin).read_text(encoding="utf-8"))
    (function,) = [node for node in ast.walk(tree) if getattr(node, "name", "") == entry.attr]
    helpers = {node.func.id for node in ast.walk(function) if isinstance(getattr(node, "func", None), ast.Name)}
    bodies = [function, *(node for node in ast.walk(tree) if getattr(node, "name", "") in helpers)]
    calls = [node for body in bodies for node in ast.walk(body) if isinstance(node, ast.Call)]
    words = [arg.value for call in calls if getattr(call.func, "attr", "") == "add_argument" for arg in call.args]
    return {word for word in words if word.startswith("-")}


def test_every_option_that_is_given_is_one_that_nnunet_has(training, tmp_path):
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")
    several = Training(training.folders, 108, "resenc-m", "nnUNetTrainer", 2)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.npz").write_bytes(b"")
    predicted = {"fold": ("0", "all"), "device": "cpu", "mirror": False, "probabilities": True}
    made = [
        several.plan(),
        several.train("2d", "0", device="cpu", resume=True),
        several.predict(tmp_path, tmp_path, "2d", **predicted),
        several.find_best(),
        several.ensemble([tmp_path / "a"] * 2, tmp_path),
        several.export_model(tmp_path / "x.zip"),
    ]
    for command in made:
        given = {word for word in command.arguments if word.startswith("-")}
        assert given and given <= options_of(command.name), command.name
    assert [word for word in made[1].arguments if word == "nnUNetResEncUNetMPlans"]
    assert made[0].variables["nnUNet_n_proc_DA"] == "2" and "nnUNet_n_proc_DA" not in training.plan().variables


def test_presets_are_nnunets_own_planners_and_plans():
    pytest.importorskip("nnunetv2", reason="nnU-Net is not installed")
    spec = importlib.util.find_spec("nnunetv2.experiment_planning.experiment_planners")
    paths = Path(spec.submodule_search_locations[0]).rglob("*.py")
    sources = "".join(path.read_text(encoding="utf-8") for path in paths)
    for planner, plans in commands.PRESETS.values():
        assert f"class {planner}(" in sources and f"'{plans}'" in sources


def test_training_starts_only_when_every_case_of_the_export_is_preprocessed(tmp_path):
    where = Folders.of(tmp_path / "work")
    made = export(make(tmp_path / "data"), where)
    training = Training(where, 108, "plain")
    home = where.preprocessed / made.folder.name
    data = home / "nnUNetPlans_2d"
    data.mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds no nnUNetPlans\.json; run 'cspineseg nnunet plan' first"):
        training.check_trainable("2d", "0")
    plans = {"configurations": {"2d": {"data_identifier": data.name}}}
    (home / "nnUNetPlans.json").write_text(json.dumps(plans), encoding="utf-8")
    names = [case.case for case in made.cases if case.part == "train"]
    for name in names[:-1]:
        (data / f"{name}.pkl").write_bytes(b"")
    with pytest.raises(InputError, match=rf"lacks cases of the export \({names[-1]}\)"):
        training.check_trainable("2d", "0")
    (data / f"{names[-1]}.pkl").write_bytes(b"")
    assert training.check_trainable("2d", "0") == training.check_trainable("2d", "all") == []
    assert (home / "splits_final.json").read_bytes() == (made.folder / "splits_final.json").read_bytes()
    with pytest.raises(InputError, match="no fold 5; the export has 5"):
        training.check_trainable("2d", "5")
    with pytest.raises(InputError, match="no configuration 3d_fullres"):
        training.check_trainable("3d_fullres", "0")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda training: Training(training.folders, 108, "huge"),
        lambda training: Training(training.folders, 108, processes=0),
        lambda training: Training(training.folders, 109).train("2d", "0"),
        lambda training: training.train("3d_lowres", "0"),
        lambda training: training.train("2d", "first"),
        lambda training: training.train("2d", "-1"),
        lambda training: training.train("2d", "0", device="gpu"),
        lambda training: training.predict(Path("a"), Path("b"), "2d", fold=()),
        lambda training: training.ensemble([Path("a")], Path("b")),
        lambda training: training.ensemble([Path("a"), Path("b")], Path("c")),
        lambda training: training.check_trainable("2d", "0"),
        lambda training: Folders.of(None, {"nnUNet_raw": "/raw"}),
        lambda training: Folders.of(" "),
    ],
)
def test_wrong_words_are_refused_in_a_sentence(training, wrong):
    with pytest.raises(InputError) as caught:
        wrong(training)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_nnunets_own_variables_count_without_a_work_folder(tmp_path):
    variables = {f"nnUNet_{name}": str(tmp_path / name) for name in ("raw", "preprocessed", "results")}
    assert Folders.of(None, variables).environment() == variables


def test_two_datasets_of_one_number_are_refused_before_nnunet_is(training):
    (training.folders.results / "Dataset108_Other").mkdir(parents=True)
    with pytest.raises(InputError, match="more than one dataset of number 108"):
        training.train("2d", "0")


def test_old_nnunet_may_not_make_ensembles(training, monkeypatch):
    monkeypatch.setattr(commands, "version", lambda: (2, 6, 2))
    with pytest.raises(InputError, match=r"2\.6\.2 takes probabilities for logits"):
        training.find_best()
