"""Names of imported models: taken, replaced and removed; and nothing is left of an import that ended."""

from __future__ import annotations

from pathlib import Path

import nnunet_zips as zips
import pytest

from CSpineSegLib.errors import Cancelled, ModelError
from CSpineSegLib.model.nnunet import importing
from CSpineSegLib.progress import Progress

torch = pytest.importorskip("torch", reason="checkpoints are torch's")


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """The user's models, in a path with a space and an accent; made by the first import."""
    folder = tmp_path / "donnée s" / "Models"
    monkeypatch.setenv("CSPINESEG_MODELS", str(folder))
    return folder


@pytest.fixture
def both(tmp_path) -> Path:
    return zips.both(tmp_path)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_name_is_not_taken_twice_unless_forced_and_the_former_stays_until_then(models, tmp_path, both):
    first = importing.import_model(both)
    other = zips.write_zip(tmp_path / "other.zip", zips.training("2d", (3,)))
    before = tree(models)
    with pytest.raises(ModelError, match=r"There is already a nnunet-Dataset108_CSpineSeg in .*--force"):
        importing.import_model(other)
    assert tree(models) == before
    second = importing.import_model(other, force=True)
    assert second.folder == first.folder and set(second.weights) == {("2d", 3)}
    assert [path.name for path in models.iterdir()] == [first.name]
    assert importing.import_model(both, name="mine").sha256 == first.sha256


def test_another_plan_of_the_same_dataset_gets_another_name(models, tmp_path):
    source = zips.write_zip(tmp_path / "a.zip", zips.training("2d", (0,), "ResidualEncoderUNet"))
    assert importing.import_model(source).name == "nnunet-Dataset108_CSpineSeg-nnUNetResEncUNetLPlans"


@pytest.mark.parametrize("name", ["../x", "a b", "", ".hidden", "é"])
def test_a_name_that_could_not_be_a_folder_everywhere_is_refused(models, both, name):
    with pytest.raises(ModelError, match="cannot name a model"):
        importing.import_model(both, name=name)
    assert not models.exists()


def test_a_packaged_models_name_and_a_foreign_folder_are_never_replaced(models, both):
    with pytest.raises(ModelError, match="is the name of a packaged model"):
        importing.import_model(both, name="cspine-phantom", force=True)
    (models / "mine").mkdir(parents=True)
    (models / "mine" / "notes.txt").write_text("keep me", encoding="utf-8")
    with pytest.raises(ModelError, match=r"There is already a mine in .*choose another --name"):
        importing.import_model(both, name="mine", force=True)
    assert tree(models) == {str(models / "mine" / "notes.txt"): b"keep me"}


def test_progress_rises_to_the_end_and_names_the_stages(models, both):
    events = []
    importing.import_model(both, progress=Progress(events.append))
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert {"Opening", "Checking the file", "Reading weights", "Writing weights"} <= {event.stage for event in events}


@pytest.mark.parametrize("stage", ["Opening", "Checking the file", "Reading weights", "Writing weights", "Checking"])
def test_cancelling_at_any_stage_leaves_nothing(models, both, stage):
    seen = []
    progress = Progress(lambda event: seen.append(event.stage), lambda: bool(seen) and seen[-1] == stage)
    with pytest.raises(Cancelled):
        importing.import_model(both, progress=progress)
    assert not models.exists()


def test_a_failure_in_the_last_checkpoint_leaves_the_former_model_as_it_was(models, tmp_path, both):
    importing.import_model(both)
    before = tree(models)
    bad = zips.training("2d", (0,)) | zips.training("3d_fullres", (1,), network_weights={})
    with pytest.raises(ModelError, match="lack"):
        importing.import_model(zips.write_zip(tmp_path / "bad.zip", bad), force=True)
    assert tree(models) == before and len(list(models.iterdir())) == 1


def test_a_full_disk_leaves_nothing(models, both, monkeypatch):
    from CSpineSegLib import files
    from CSpineSegLib.errors import WriteError

    def full(path: Path, data: bytes) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write_bytes", full)
    with pytest.raises(WriteError, match="No space left"):
        importing.import_model(both)
    assert not models.exists()


def test_only_imported_models_of_the_users_folder_are_removed(models, both):
    made = importing.import_model(both)
    other = models / "mine"
    (other / "configs").mkdir(parents=True)
    with pytest.raises(ModelError, match="does not look like an imported model"):
        importing.remove("mine")
    with pytest.raises(ModelError, match="is a packaged model"):
        importing.remove("cspine-phantom")
    with pytest.raises(ModelError, match=f"There is no imported model 'nn' in .*; there is {made.name}"):
        importing.remove("nn")
    for name in ("..", "../Models", str(made.folder)):
        with pytest.raises(ModelError, match="cannot name a model"):
            importing.remove(name)
    assert made.folder.is_dir()
    (made.folder / "configs" / "metadata.json").write_text("{", encoding="utf-8")
    assert importing.remove(made.name) == made.folder
    assert [path.name for path in models.iterdir()] == ["mine"]
