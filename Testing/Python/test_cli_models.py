"""The commands about models: import, list, show, remove, for people and for programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nnunet_zips as zips
import numpy as np
import pytest

from CSpineSegLib import volume
from CSpineSegLib.cli import main
from CSpineSegLib.cli.options import parse_folds
from CSpineSegLib.errors import InputError

pytest.importorskip("torch", reason="checkpoints are torch's")

NAME = "nnunet-Dataset108_CSpineSeg"


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "mo dèles"
    monkeypatch.setenv("CSPINESEG_MODELS", str(folder))
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    members = zips.training("2d", (0, 1)) | zips.training("3d_fullres", ("all",))
    return zips.write_zip(tmp_path_factory.mktemp("zips") / "model.zip", members)


@pytest.fixture
def run(capsys):
    """Runs a command; returns its code, standard output and standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*map(str, words)])
        return (code, *capsys.readouterr())

    return call


def test_a_model_is_imported_listed_shown_and_removed(run, models, source):
    code, out, err = run("models", "import", source)
    assert code == 0 and f"name\t{NAME}" in out.splitlines()
    assert "Note: The training images of Dataset108_CSpineSeg are taken to be PSR" in err
    assert "100% Finished" in err

    code, out, _ = run("models", "list")
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["Model", "Version", "Kind", "Holds", "Folder"]
    by_name = {row[0]: row[1:] for row in rows[1:]}
    assert by_name[NAME][1:] == ["nnU-Net, imported", "2d (folds 0, 1), 3d_fullres (fold all)", str(models / NAME)]
    assert by_name["cspine-phantom"][1] == "packaged"

    code, out, err = run("models", "show", NAME)
    shown = dict(line.split("\t", 1) for line in out.splitlines())
    assert (shown["orientation"], shown["best"]) == ("PSR", "-")
    assert "folds 0, 1; mirroring 0, 1; trainer nnUNetTrainer" in shown["configurations"]
    assert "Labels go by value" in err

    assert run("models", "remove", NAME, "--yes") == (0, f"Removed {models / NAME}\n", "")
    assert not (models / NAME).exists()


def test_programs_get_json_and_nothing_else(run, models, source):
    code, out, err = run("models", "import", source, "--json", "--name", "mine", "--orientation", "RAS")
    made = json.loads(out)
    assert (code, err, made["name"], made["orientation"]) == (0, "", "mine", "RAS")
    assert made["configurations"]["2d"]["folds"] == [0, 1]
    assert made["source"]["file"] == "model.zip" and len(made["source"]["sha256"]) == 64
    assert json.loads(run("models", "show", "mine", "--json")[1]) == made
    listed = json.loads(run("models", "list", "--json")[1])
    assert {"mine", "cspine-phantom"} <= {row["name"] for row in listed["models"]} and listed["problems"] == []
    removed = json.loads(run("models", "remove", "mine", "--yes", "--json")[1])
    assert removed == {"removed": "mine", "folder": str(models / "mine")}


def test_a_packaged_model_is_shown_too(run, models):
    code, out, _ = run("models", "show", "cspine-phantom", "--json")
    shown = json.loads(out)
    assert code == 0 and shown["kind"] == "packaged" and shown["labels"]["2"] == "intervertebral discs"


def test_a_damaged_model_is_listed_as_such_and_not_shown(run, models, source):
    run("models", "import", source)
    plans = models / NAME / "configs" / "plans.json"
    plans.write_text("{}", encoding="utf-8")
    code, out, err = run("models", "list")
    assert code == 0 and NAME not in out and f"Note: {plans} was changed or damaged" in err
    assert f"{plans} was changed" in json.loads(run("models", "list", "--json")[1])["problems"][0]
    code, out, err = run("models", "show", NAME)
    assert (code, out) == (2, "") and f"cspineseg: {plans} was changed" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("import", "none.zip"), "none.zip does not exist"),
        (("import",), "Missing argument"),
        (("import", "{source}", "--orientation", "abc"), "'abc' is not an orientation"),
        (("import", "{source}", "--name", "a/b"), "'a/b' cannot name a model"),
        (("import", "{source}", "--name", "cspine-phantom"), "is the name of a packaged model"),
        (("show", "none"), "There is no model 'none'"),
        (("remove", "none", "--yes"), "There is no imported model 'none'"),
        (("remove", "cspine-phantom", "--yes"), "cspine-phantom is a packaged model"),
        (("remove", "..", "--yes"), "'..' cannot name a model"),
    ],
)
def test_what_cannot_be_done_ends_in_one_sentence(run, models, source, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("models", *(str(source) if word == "{source}" else word for word in words))
    lines = [line for line in err.splitlines() if line.startswith("cspineseg: ")]
    assert (code, out, len(lines)) == (2, "", 1) and said in lines[0] and "Traceback" not in err
    assert not models.exists()


def test_an_unknown_orientation_names_the_option(run, models, tmp_path):
    about = zips.dataset(labels={"background": 0, "a": 1, "b": 2})
    members = zips.training("2d", plan=zips.plans(dataset_name="Dataset500_Neck"), about=about)
    path = zips.write_zip(tmp_path / "a.zip", members)
    code, _, err = run("models", "import", path)
    assert code == 2 and "name it with --orientation" in err and not models.exists()
    assert run("models", "import", path, "--orientation", "lps")[0] == 0


def test_a_second_import_needs_force(run, models, source):
    assert run("models", "import", source)[0] == 0
    code, _, err = run("models", "import", source)
    assert code == 2 and "give --force to replace it" in err
    assert run("models", "import", source, "--force")[0] == 0


def test_removing_asks_first_and_only_where_somebody_can_answer(run, models, source, monkeypatch):
    run("models", "import", source)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    code, _, err = run("models", "remove", NAME)
    assert code == 2 and "--yes" in err and (models / NAME).is_dir()
    import typer

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    asked = []

    def answer(text: str, abort: bool) -> None:
        asked.append(text)
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", answer)
    assert run("models", "remove", NAME)[0] == 1 and (models / NAME).is_dir()
    assert asked == [f"Delete {models / NAME}?"]


@pytest.mark.parametrize(
    ("text", "folds"), [(None, None), ("0", (0,)), ("0, 2,4", (0, 2, 4)), ("all", ("all",)), ("all,1", ("all", 1))]
)
def test_folds_are_read_from_their_option(text, folds):
    assert parse_folds(text) == folds


@pytest.mark.parametrize("text", ["", ",", "0,", "0,0", "-1", "a", "0;1", "1.0", "٣"])
def test_what_names_no_folds_is_refused(text):
    with pytest.raises(InputError, match="does not name folds"):
        parse_folds(text)


def test_modes_are_compared_on_an_image_and_nothing_is_written(run, models, source, tmp_path):
    assert run("models", "import", source)[0] == 0
    affine = np.array([[0, 0, -4.0, 8], [-0.6, 0, 0, 20], [0, 0.6, 0, -20], [0, 0, 0, 1.0]])
    image = tmp_path / "neck.nii.gz"
    array = np.random.default_rng(1).integers(0, 900, (40, 48, 5)).astype(np.int16)
    volume.write(volume.from_array(array, affine), image)
    before = sorted(tmp_path.rglob("*.nii*"))
    words = ("models", "compare", NAME, image, "--configuration", "2d", "--device", "cpu", "--anyway")
    code, out, _ = run(*words, "--json")
    told = json.loads(out)
    assert code == 0 and [one["mode"] for one in told] == ["exact", "default", "fast"]
    assert told[0]["dice"] == {"1": 1.0, "2": 1.0} and min(one["seconds"] for one in told) > 0
    code, out, _ = run(*words)
    assert code == 0 and out.splitlines()[0].split("\t")[:2] == ["Mode", "Seconds"]
    assert sorted(tmp_path.rglob("*.nii*")) == before


def test_a_packaged_model_has_no_modes_to_compare(run, models, tmp_path):
    code, out, err = run("models", "compare", "cspine-phantom", tmp_path / "neck.nii.gz")
    assert code == 2 and out == "" and "one mode only" in err
