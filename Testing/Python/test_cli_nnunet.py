"""`cspineseg nnunet ...` as people and clusters use it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cli_cases import ask, refused
from nnunet_export_cases import contents, make, stem

from CSpineSegLib import resources, volume
from CSpineSegLib.training.nnunet import Folders, jobarray

bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")


@pytest.fixture
def said(capsys, monkeypatch):
    """A function that runs `cspineseg nnunet` with its words, see :func:`cli_cases.ask`."""
    monkeypatch.delenv("CSPINESEG_NNUNET", raising=False)
    monkeypatch.delenv("CSPINESEG_DATASET", raising=False)
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.delenv(name, raising=False)

    return lambda *words: ask(capsys, "nnunet", *words)


@pytest.fixture
def work(tmp_path, said) -> Path:
    """A folder with an export in it."""
    dataset = make(tmp_path / "data set")
    assert said("export", "--dataset", dataset.root, "--work", tmp_path / "wörk")[0] == 0
    return tmp_path / "wörk"


def test_export_says_how_much_and_where_and_then_that_nothing_was_new(said, tmp_path):
    dataset = make(tmp_path / "data")
    words = ["export", "--dataset", dataset.root, "--work", tmp_path / "w"]
    code, out, _ = said(*words)
    assert code == 0 and out.startswith("6 exams for training and 1 for testing") and "7 of them written now" in out
    code, out, _ = said(*words, "--json")
    found = json.loads(out)
    assert (found["training"], found["test"], found["written"], len(found["cases"])) == (6, 1, 0, 7)
    assert found["cases"][0]["exam"] == stem(1) and found["folder"].endswith("Dataset108_CSpineSeg")


def test_export_into_nnunets_own_raw_folder_with_a_query_links_and_another_name(said, tmp_path):
    dataset = make(tmp_path / "data")
    words = ["export", "--dataset", dataset.root, "--output", tmp_path / "mine" / "raw", "--link", "--id", 7]
    code, out, _ = said(*words, "--name", "Neck", "--query", "study != 101", "--json")
    found = json.loads(out)
    assert code == 0 and len(found["cases"]) == 6 and {case["how"] for case in found["cases"]} == {"linked"}
    assert Path(found["folder"]) == tmp_path / "mine" / "raw" / "Dataset007_Neck"
    assert "not both" in refused(said(*words, "--work", tmp_path))


def test_splits_are_drawn_again_by_the_seed(said, work):
    path = next(work.rglob("splits_final.json"))
    before = path.read_bytes()
    code, out, _ = said("splits", "--work", work)
    assert code == 0 and out.startswith("5 patients in 5 folds of ") and path.read_bytes() == before
    code, out, _ = said("splits", "--work", work, "--seed", 3, "--json")
    assert code == 0 and len(json.loads(out)["folds"]) == 5 and path.read_bytes() != before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plan"], "nnUNetv2_plan_and_preprocess -d 108 -pl nnUNetPlannerResEncL -c 2d 3d_fullres"),
        (["plan", "--preset", "plain", "-c", "2d", "--processes", 3], "-c 2d .*--clean -npfp 3 -np 3$"),
        (["train", "--fold", 2, "-c", "2d"], "nnUNetv2_train Dataset108_CSpineSeg 2d 2 -tr nnUNetTrainer .*--npz$"),
        (["train", "--fold", "all", "--no-npz", "--continue", "--device", "cpu"], " all .* -device cpu --c$"),
        (["train", "--fold", 0, "--", "-num_gpus", 2], "--npz -num_gpus 2$"),
        (["predict", "-o", "masks", "-c", "2d", "-f", 0, "-f", 1], "imagesTs'? -o masks .*-c 2d -f 0 1$"),
        (["predict", "-o", "m", "-i", "in", "--no-mirror", "--probabilities"], "--disable_tta --save_probabilities$"),
        (["find-best"], "nnUNetv2_find_best_configuration Dataset108_CSpineSeg .*-f 0 1 2 3 4$"),
        (["export-model", "-o", "model.zip", "-c", "2d", "-f", 0], "nnUNetv2_export_model_to_zip .*-c 2d -f 0$"),
    ],
)
def test_dry_run_prints_nnunets_command_with_its_folders_and_changes_nothing(said, work, words, expected):
    before = contents(work)
    # Before "--", behind which everything is nnU-Net's.
    code, out, _ = said(words[0], "--work", work, "--dry-run", *words[1:])
    assert code == 0 and out.count("\n") == 1
    assert re.search(expected, out.strip()), out
    settings = dict(word.split("=", 1) for word in shlex.split(out) if word.startswith("nnUNet_"))
    assert Folders.of(work).environment().items() <= settings.items()
    assert contents(work) == before
    found = json.loads(said(words[0], "--work", work, "--dry-run", "--json", *words[1:])[1])
    assert found["line"] == out.strip() and found["environment"] == settings


def test_ensemble_wants_probabilities(said, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    words = ["ensemble", "-i", tmp_path / "a", "-i", tmp_path / "b", "-o", tmp_path / "c", "--dry-run"]
    assert "--probabilities" in refused(said(*words))
    for name in ("a", "b"):
        (tmp_path / name / "cspine_1.npz").write_bytes(b"")
    code, out, _ = said(*words)
    assert code == 0 and re.search("nnUNetv2_ensemble -i .*a .*b -o .*c$", out.strip())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["plan"], "--work"),
        (["export", "--work", "w"], "--dataset"),
        (["train", "--work", "empty", "--fold", 0], "no dataset of number 108"),
        (["train", "--work", "empty"], "--fold"),
        (["train", "--work", "WORK", "--fold", 0], "cspineseg nnunet plan"),
        (["train", "--work", "WORK", "--fold", 0, "--dry-run", "extra"], "after --"),
        (["train", "--work", "WORK", "--fold", 0, "--bogus"], "--bogus"),
        (["predict", "--work", "WORK", "--output", "o", "--input", "nowhere"], "nowhere"),
        (["export-model", "--work", "WORK", "--output", "model.tar"], ".zip"),
        (["job-array", "--cluster", "pbs", "--work", "WORK"], "slurm"),
        (["job-array", "--cluster", "slurm"], "--work"),
        (["splits", "--work", "empty"], "no dataset"),
    ],
)
def test_bad_words_end_with_one_sentence(said, work, words, expected, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    assert expected in refused(said(*(work if word == "WORK" else word for word in words)))
    assert contents(tmp_path) == before


def test_images_that_lie_otherwise_than_in_training_are_refused(said, work, tmp_path):
    image = volume.read(next((work / "nnUNet_raw").rglob("imagesTs/*.nii.gz")))
    (tmp_path / "in").mkdir()
    volume.write(volume.reorient(image, "RAS"), tmp_path / "in" / "neck_0000.nii.gz")
    sentence = refused(said("predict", "--work", work, "-i", tmp_path / "in", "-o", tmp_path / "out"))
    assert "neck_0000.nii.gz lies RAS" in sentence and "cspineseg segment" in sentence
    (tmp_path / "in" / "neck_0000.nii.gz").rename(tmp_path / "in" / "neck.nii.gz")
    assert "neck_0000" in refused(said("predict", "--work", work, "-i", tmp_path / "in", "-o", tmp_path / "out"))


@bash
def test_what_nnunet_says_is_shown_and_its_failure_is_one_sentence(said, work, tmp_path, monkeypatch):
    """nnU-Net is stood in for here; the test of a whole training runs the real one."""
    from CSpineSegLib.training.nnunet import running

    script = tmp_path / "standin"
    script.write_text("#!/usr/bin/env bash\necho working on $4\nexit ${CODE:-0}\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(running, "locate", lambda name: str(script))
    code, out, err = said("find-best", "--work", work)
    assert code == 0 and out.splitlines()[1] == "working on 3d_fullres" and out.startswith("nnUNet_raw=")
    code, out, err = said("find-best", "--work", work, "--json")
    assert json.loads(out)["seconds"] >= 0 and "working on" in err
    monkeypatch.setenv("CODE", "5")
    code, out, err = said("find-best", "--work", work)
    assert code == 2 and "failed with code 5; it said last: working on 3d_fullres" in err


@bash
def test_half_a_zip_is_not_left_and_a_whole_one_is_replaced_only_by_force(said, work, tmp_path, monkeypatch):
    from CSpineSegLib.training.nnunet import running

    script, target = tmp_path / "standin", tmp_path / "model.zip"
    script.write_text(f"#!/usr/bin/env bash\ncp {shlex.quote(str(tmp_path / 'made.zip'))} \"$8\"\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(running, "locate", lambda name: str(script))
    inside = "Dataset108_CSpineSeg/nnUNetTrainer__nnUNetPlans__2d"
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as made:
        for name in ("plans.json", "dataset.json"):
            made.writestr(f"{inside}/{name}", "{}")
    words = ["export-model", "--work", work, "-o", target, "-c", "2d", "-f", "0"]
    assert "lacks /fold_0/checkpoint_final.pth" in said(*words)[2] and not target.exists()
    with zipfile.ZipFile(tmp_path / "made.zip", "a") as made:
        made.writestr(f"{inside}/fold_0/checkpoint_final.pth", "x")
    assert said(*words)[0] == 0 and zipfile.is_zipfile(target)
    assert "--force" in refused(said(*words))
    assert said(*words, "--force")[0] == 0
    (tmp_path / "made.zip").write_bytes(b"PK half")
    assert "not a readable zip" in said(*words, "--force")[2] and not target.exists()


@bash
@pytest.mark.parametrize(
    ("cluster", "variables"), [("slurm", {"SLURM_ARRAY_TASK_ID": "3"}), ("lsf", {"LSB_JOBINDEX": "4"})]
)
def test_job_array_runs_the_fold_of_its_number_with_options_that_exist(said, work, tmp_path, cluster, variables):
    code, out, _ = said("job-array", "--cluster", cluster, "--work", work, "-c", "2d", "--preset", "plain", "--id", 108)
    assert code == 0
    # As the scheduler runs it, with a stand-in that only keeps the words.
    kept = tmp_path / "words"
    standin = tmp_path / "stand in"
    standin.write_text(f'#!/usr/bin/env bash\nprintf "%s\\n" "$@" > {shlex.quote(str(kept))}\n', encoding="utf-8")
    standin.chmod(0o755)
    script = re.sub(r"(?m)^CSPINESEG=.*$", f"CSPINESEG={shlex.quote(str(standin))}", out)
    subprocess.run(["bash"], input=script, text=True, env={"PATH": os.environ["PATH"], **variables}, check=True)
    words = kept.read_text(encoding="utf-8").splitlines()
    assert words[0] == "nnunet"
    code, out, err = said(*words[1:], "--dry-run")
    assert code == 0, err
    assert re.search("Dataset108_CSpineSeg 2d 3 -tr nnUNetTrainer -p nnUNetPlans --npz --c$", out.strip())
    assert f"nnUNet_raw={shlex.quote(str(work / 'nnUNet_raw'))}" in out and "nnUNet_n_proc_DA=8" in out


@bash
@pytest.mark.parametrize("cluster", list(jobarray.TEMPLATES))
def test_templates_are_sound_for_bash_and_their_scheduler(cluster):
    path = jobarray.template(cluster)
    assert path.parent == resources.path("Cluster")
    subprocess.run(["bash", "-n", str(path)], check=True)
    text = path.read_text(encoding="utf-8")
    mark = {"slurm": "#SBATCH ", "lsf": "#BSUB "}[cluster]
    lines = text.splitlines()
    directives = [number for number, line in enumerate(lines) if line.startswith(mark)]
    first = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    # Schedulers stop reading at the first command.
    assert lines[0].startswith("#!") and directives and max(directives) < first
    assert any("0-4" in lines[number] or "[1-5]" in lines[number] for number in directives)


def test_help_has_examples_and_the_real_process_the_same_codes(tmp_path):
    base = [sys.executable, "-m", "CSpineSegLib.cli", "nnunet"]
    text = subprocess.run([*base, "train", "--help"], capture_output=True, text=True, check=True).stdout
    assert "cspineseg nnunet train" in text
    environment = {name: value for name, value in os.environ.items() if not name.startswith("nnUNet_")}
    bad = subprocess.run([*base, "plan"], capture_output=True, text=True, check=False, env=environment)
    assert bad.returncode == 2 and bad.stderr.startswith("cspineseg: ")
