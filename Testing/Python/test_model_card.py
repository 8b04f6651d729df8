"""The model card, what is added to a bundle after its export, and the pictures of failures."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import model_cases
import numpy as np
import pytest

from CSpineSegLib import model
from CSpineSegLib.errors import ModelError
from CSpineSegLib.model import exporting

pytest.importorskip("torch", reason="the model room needs torch")


@pytest.fixture
def bundle_folder(tmp_path) -> Path:
    return model_cases.tiny(tmp_path, convert=False)


def card_of(folder: Path) -> str:
    return (folder / exporting.CARD).read_text(encoding="utf-8")


def test_the_card_says_what_the_model_is_for_what_it_saw_and_what_it_is_not(bundle_folder):
    card = card_of(bundle_folder)
    for words in (
        "## Intended use",
        "not a medical device",
        "## Out of scope",
        "Other parts of the spine",
        "## Input checks and refusal",
        "--anyway",
        "neighbours about 4 mm away",
        "parameters; weights in half precision",
        "phantoms only. No real image",
        "Nothing has been measured.",
        "no quality score is given",
        "No pictures of failures",
        "## Limits",
        "never shown a real image",
    ):
        assert words in card, words


LINE = {"intercept": 2.0, "weights": {"bodies_sure": 0.5}, "ranges": {"bodies_sure": [-1.0, 3.0]}}
CALIBRATED = {
    "format": 1,
    "temperature": {"plain": 1.5, "averaged": 1.25},
    "quality": {"views": ["mirror"], "bodies": LINE, "discs": LINE},
    "fitted": {"phantoms": 24},
}


def test_what_is_measured_later_goes_into_the_bundle_and_its_card(bundle_folder):
    before = model.load(bundle_folder)
    model.amend(bundle_folder, calibration=CALIBRATED)
    model.amend(bundle_folder, evaluation={"later": {"dice": 0.75}}, extra={"docs/failures.png": b"a picture"})
    after = model.load(bundle_folder)
    assert after.sha256 == before.sha256 and after.calibration.plain == 1.5
    assert after.metadata["evaluation"] == after.metadata["eval_metrics"] == {"later": {"dice": 0.75}}
    card = card_of(bundle_folder)
    for words in (
        "later, dice | 0.75",
        "temperature of 1.5",
        "mirror",
        "| phantoms | 24 |",
        "](failures.png)",
        "No real",
    ):
        assert words in card
    assert "Nothing has been measured" not in card and "No real image" in card


def test_what_does_not_fit_leaves_the_bundle_as_it_is(bundle_folder):
    before = {path: path.read_bytes() for path in bundle_folder.rglob("*") if path.is_file()}
    for given in ({"calibration": {"format": 1}}, {"extra": {"LICENSE": b""}}, {"evaluation": {"dice": float("nan")}}):
        with pytest.raises(ModelError):
            model.amend(bundle_folder, **given)
    assert before == {path: path.read_bytes() for path in bundle_folder.rglob("*") if path.is_file()}


# --- pictures of failures ---


@pytest.fixture(scope="module")
def gallery():
    path = Path(__file__).resolve().parents[1] / "Tools" / "failure_gallery.py"
    spec = importlib.util.spec_from_file_location("failure_gallery", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_outlines_lie_where_the_labels_are_and_the_picture_is_small(gallery):
    image_module = pytest.importorskip("PIL.Image", reason="pictures are read with Pillow")
    rng = np.random.default_rng(0)
    truth, found = np.zeros((2, 200, 160), np.uint8)
    truth[20:60, 20:60], found[130:180, 100:150] = 1, 2
    panels = [
        gallery.Panel(rng.normal(0.3, 0.05, (200, 160)), truth, found, (0.7, 0.7), f"exam {k}\nslice") for k in range(6)
    ]
    data = gallery.draw(panels)
    assert data[:2] == b"\xff\xd8" and len(data) <= 300_000
    picture = np.asarray(image_module.open(io.BytesIO(gallery.draw(panels[:1]))).convert("RGB")).astype(int)
    red, _, blue = np.moveaxis(picture, 2, 0)
    places = [np.argwhere(colour).mean(axis=0) / red.shape for colour in (blue > red + 60, red > blue + 60)]
    assert places[0][0] < 0.45 and places[0][1] < 0.45
    assert places[1][0] > 0.55 and places[1][1] > 0.55


def test_the_worst_exams_of_a_report_are_chosen(gallery, tmp_path):
    from CSpineSegLib import files

    for name in ("t2-0000", "t2-0001", "beyond-0000"):
        (tmp_path / f"{name}.npz").touch()
    dice = {"t2-0000": 0.9, "t2-0001": 0.7, "beyond-0000": 0.8, "t2-0009": 0.1}
    trials = [{"group": "t2", "exam": name, "dice": {"bodies": value, "discs": None}} for name, value in dice.items()]
    trials += [{"group": "t1", "exam": "t2-0000", "dice": {"bodies": 0.0}}, {"group": "t2", "exam": "t2-0000"}]
    files.write_json(tmp_path / "report.json", {"trials": trials})
    chosen = gallery.worst(tmp_path, tmp_path / "report.json", 2)
    assert [path.stem for path in chosen] == ["t2-0001", "beyond-0000"]
