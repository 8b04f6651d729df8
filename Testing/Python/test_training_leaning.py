"""The shift towards bodies and discs that makes the best mask, folded into the network's own weights."""

from __future__ import annotations

import json

import numpy as np
import pytest
from training_cases import TINY, tiny_exam

from CSpineSegLib import model
from CSpineSegLib.model import engine, networks, preprocess
from CSpineSegLib.training import calibrate, exams, leaning, trainer


def timid(rng: np.random.Generator, shift: float, size: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (3, N) that are right about the order of voxels and `shift` logits too shy, and the truth."""
    logit = rng.normal(0, 2, size)
    body = rng.random(size) < 1 / (1 + np.exp(-3 * logit))
    shown = 1 / (1 + np.exp(-(logit - shift)))
    truth = np.where(np.arange(size) % 2, body.astype(np.uint8), 2 * body.astype(np.uint8))
    own, other = shown, np.full(size, 1e-6)
    maps = np.where(np.arange(size) % 2, [1 - own, own, other], [1 - own, other, own])
    return maps, truth


def test_a_shy_network_is_shifted_by_as_much_as_it_is_shy():
    tables = np.stack([leaning.counts(*timid(np.random.default_rng(i), 1.0), np.ones(20_000, bool)) for i in range(3)])
    i, j, dice = leaning.best(tables)
    assert leaning.STEPS[i] == pytest.approx(1.0, abs=0.25) and leaning.STEPS[j] == pytest.approx(1.0, abs=0.25)
    assert dice[i, j].min() > dice[0, 0].max()


def test_a_network_that_is_right_is_left_as_it_is():
    tables = leaning.counts(*timid(np.random.default_rng(3), 0.0), np.ones(20_000, bool))[None]
    i, j, _ = leaning.best(tables)
    assert leaning.STEPS[i] <= 0.2 and leaning.STEPS[j] <= 0.2


def test_spared_voxels_do_not_count():
    maps, truth = timid(np.random.default_rng(4), 1.0)
    counted = np.arange(len(truth)) < 10_000
    half = leaning.counts(maps[:, :10_000], truth[:10_000], np.ones(10_000, bool))
    np.testing.assert_array_equal(leaning.counts(maps, truth, counted), half)


@pytest.fixture
def run(tmp_path):
    """A finished run of a network that knows nothing, and kept exams."""
    import torch

    torch.manual_seed(3)
    weights = networks.build(TINY).state_dict()
    torch.save(weights, tmp_path / trainer.WEIGHTS)
    about = {"definition": TINY, "held_out": {}, "spacing_mm": 2.0, "context_slices": 3, "steps": 1}
    (tmp_path / trainer.SUMMARY).write_text(json.dumps(about), encoding="utf-8")
    model.export(tmp_path, "cspine-phantom", weights, TINY, preprocess.describe(2.0, 3), {}, {}, convert=False)
    for number in range(2):
        for kind in calibrate.KINDS:
            exams.save(tmp_path / "exams", tiny_exam(kind, number))
    return tmp_path


def test_the_shift_is_in_the_weights_and_the_record_tells_of_it(run, capsys):
    before = model.load(run / "cspine-phantom")
    assert leaning.main([str(run), "--exams-folder", str(run / "exams"), "--exams", "2"]) == 0
    after = model.load(run / "cspine-phantom")
    (told,) = after.metadata["training"]["leaning"]
    assert told["exams"] == 8 and (told["bodies"] > 0 or told["discs"] > 0)
    old, new = (engine.weights_of(one)["output_block.conv.conv.bias"] for one in (before, after))
    assert (new - old).tolist() == pytest.approx([0, told["bodies"], told["discs"]], abs=2e-3)


def test_a_folder_without_a_run_is_a_sentence_and_stays_as_it_is(tmp_path, run, capsys):
    (run / trainer.WEIGHTS).unlink()
    listed = sorted(run.rglob("*"))
    assert leaning.main([str(run), "--exams-folder", str(run / "exams"), "--exams", "2"]) == 2
    assert "no finished training run" in capsys.readouterr().err
    assert sorted(run.rglob("*")) == listed
