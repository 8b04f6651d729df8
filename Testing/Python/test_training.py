"""Training: a batch follows from its step, a stopped run continues as if it had not stopped, the result is usable."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from CSpineSegLib import model
from CSpineSegLib.errors import Cancelled, InputError, ModelError
from CSpineSegLib.model import networks
from CSpineSegLib.phantom.tissue import COUNT, Tissue
from CSpineSegLib.progress import Progress
from CSpineSegLib.training import __main__ as command
from CSpineSegLib.training import bank, beginning, contrast, feeder, losses, scans, synthesis, trainer

torch = pytest.importorskip("torch", reason="training needs torch")

TINY = {
    **networks.DYNUNET_2D,
    "in_channels": 3,
    "filters": [8, 16, 16],
    "strides": [1, 2, 2],
    "kernel_size": [3, 3, 3],
    "upsample_kernel_size": [2, 2],
}
STEPS = 12
PATCHES = ((64, 1), (96, 1))


def settings(**changes):
    return trainer.Settings(
        **{
            "steps": STEPS,
            "people": 1,
            "every": 10_000,
            "held_out": 1,
            "warm_up": 1,
            "learning_rate": 1e-2,
            "patches": PATCHES,
            **changes,
        }
    )


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    made = bank.Bank(tmp_path_factory.mktemp("bank"))
    for seed in (feeder.FIRST, feeder.HELD_OUT):
        made.get(seed)
    return made


def folder_with_bank(people, folder):
    shutil.copytree(people.folder, folder / "bank")
    return folder


@pytest.fixture(scope="module")
def finished(people, tmp_path_factory):
    folder = folder_with_bank(people, tmp_path_factory.mktemp("whole"))
    return folder, trainer.train(folder, settings(), definition=TINY)


def test_the_bank_reads_back_what_it_drew(people):
    stored = bank.Bank(people.folder).get(feeder.FIRST)
    assert stored.shape == (bank.SLICES, bank.LAYERS, bank.ROWS, bank.COLUMNS)
    np.testing.assert_array_equal(stored, people.get(feeder.FIRST))


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traced")
    return folder, bank.Bank(folder).get(feeder.FIRST + 1)


def test_odd_seeds_are_traced_persons_and_read_back_as_they_were(traced):
    folder, geometry = traced
    stored = bank.Bank(folder).get(feeder.FIRST + 1)
    assert stored.grid.shape == geometry.grid.shape and stored.axes == geometry.axes and stored.wear == geometry.wear
    for name in ("code", "mixed", "samples", "mask", "levels", "spared", "front"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(geometry, name))
    np.testing.assert_array_equal(
        scans.scan(stored, np.random.default_rng(3)), scans.scan(geometry, np.random.default_rng(3))
    )


def test_neighbouring_slices_of_a_traced_person_are_those_of_the_whole(traced):
    geometry = traced[1]
    table = np.random.default_rng(0).uniform(0, 900, COUNT * 256).astype(np.float32)
    whole = geometry.average(table)
    some = scans.neighbours_of(geometry, 1, 3, mirrored=False)
    np.testing.assert_array_equal(some.average(table), whole[1:4])
    np.testing.assert_array_equal(some.mask, geometry.mask[1:4])
    np.testing.assert_allclose(some.grid.affine[:3, 3], (geometry.grid.affine @ [1, 0, 0, 1])[:3])
    turned = scans.neighbours_of(geometry, 1, 3, mirrored=True)
    np.testing.assert_array_equal(turned.average(table), whole[1:4][::-1])
    np.testing.assert_array_equal(turned.spared, geometry.spared[1:4][::-1])


def test_scans_of_a_traced_person_differ(traced):
    first, second = (synthesis.sample(traced[1], np.random.default_rng(seed), 96) for seed in (0, 1))
    for images, labels, weights in (first, second):
        assert images.shape == (synthesis.TARGETS, synthesis.CONTEXT, 96, 96) and np.isfinite(images).all()
        assert labels.shape == weights.shape == (synthesis.TARGETS, 96, 96)
    assert not np.array_equal(first[0], second[0])


def test_labels_of_a_traced_person_follow_the_image_through_every_deformation(traced, monkeypatch):
    monkeypatch.setattr(scans, "scan", lambda geometry, rng: (geometry.mask == 1).astype(np.float32))
    seen = 0
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        images, labels, _ = synthesis._scanned(traced[1], np.random.default_rng(seed), generator, 128)
        # Of three, the share of bodies is largest wherever it is over one half, and never where it is under a third.
        assert (labels[images > 0.5] == 1).all() and (labels[images < 0.33] != 1).all()
        seen += int((images > 0.5).sum())
    assert seen > 1000


def test_stacks_lie_where_bodies_are_and_where_none_is_left():
    middles = np.array([bank.layers(np.random.default_rng(seed)).mean() for seed in range(400)])
    assert 0.45 < (np.abs(middles) < 8).mean() < 0.65
    assert (np.abs(middles) > 19).mean() > 0.1 and np.abs(middles).max() < 37
    assert abs((middles > 0).mean() - 0.5) < 0.08


def test_slices_of_a_stack_lie_apart_like_the_neighbours_that_the_network_is_shown():
    for seed in range(200):
        layers = bank.layers(np.random.default_rng(seed))
        apart = np.diff(layers.mean(1))
        assert np.allclose(apart, apart[0]) and 2.69 < apart[0] < 5.51
        assert (np.diff(layers.ravel()) > 0).all()


def test_a_batch_depends_on_its_step_alone(people):
    seeds = feeder.people_at(0, 1, 10)
    first, again, next_one = (synthesis.batch(people, seeds, 3, step) for step in (7, 7, 8))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.images.shape != next_one.images.shape or not np.array_equal(first.images, next_one.images)


def test_batches_are_finite_normalised_images_with_labels_and_weights(people):
    for step in range(6):
        batch = synthesis.batch(people, feeder.people_at(0, 1, 10), 0, step)
        assert np.isfinite(batch.images).all() and 0.2 < batch.images.std() < 3
        assert set(np.unique(batch.labels)) <= {0, 1, 2}
        assert set(np.unique(batch.weights)) <= {0.0, 1.0}


def stack_of(tissue):
    return np.full((bank.SLICES, bank.LAYERS, bank.ROWS, bank.COLUMNS), tissue, np.uint8)


def test_the_tip_of_the_dens_does_not_count_and_other_bone_does():
    _, label, weight = synthesis.sample(stack_of(Tissue.DENS), np.random.default_rng(0), 128)
    assert (label == 1).mean() > 0.2
    assert (weight[label == 1] == 0).mean() > 0.99
    _, label, weight = synthesis.sample(stack_of(Tissue.BONE), np.random.default_rng(0), 128)
    assert weight.min() == 1 and label.max() == 0


def test_a_voxel_is_what_most_of_its_six_samples_are():
    tissue = np.full((6, 1, 1, 4), Tissue.MUSCLE, np.uint8)
    tissue[:4, 0, 0, 0] = Tissue.MARROW
    tissue[:2, 0, 0, 1] = Tissue.MARROW
    tissue[:3, 0, 0, 2], tissue[3:5, 0, 0, 2] = Tissue.ANNULUS, Tissue.MARROW
    tissue[:2, 0, 0, 3], tissue[2:, 0, 0, 3] = Tissue.DENS, Tissue.MARROW
    labels, weights = synthesis._labels(tissue)
    assert labels[0, 0].tolist() == [1, 0, 2, 1]
    assert weights[0, 0].tolist() == [1, 1, 1, 0]


def test_a_target_is_shown_between_its_neighbours():
    slices = stack_of(Tissue.AIR)
    slices[::2] = Tissue.CSF
    between, others = 0, 0
    for seed in range(24):
        images, _, _ = synthesis.sample(slices, np.random.default_rng(seed), 64)
        assert images.shape == (synthesis.TARGETS, synthesis.CONTEXT, 64, 64)
        if np.array_equal(images[1, 0], images[1, 1]):
            others += 1
            continue
        # The second target is the right neighbour of the first, and the other way round.
        np.testing.assert_array_equal(images[0, 2], images[1, 1])
        np.testing.assert_array_equal(images[1, 0], images[0, 1])
        between += 1
    assert 0 < others < between


def test_contrasts_differ_and_never_hide_the_disc_in_the_body():
    rng = np.random.default_rng(0)
    drawn = np.array([contrast.draw(rng)[0] for _ in range(300)])
    assert drawn.shape == (300, COUNT) and (drawn >= 0).all()
    brighter = (drawn[:, Tissue.MARROW] > drawn[:, Tissue.ANNULUS]).mean()
    assert 0.5 < brighter < 0.99


def test_shapes_that_nobody_drew_replace_soft_tissue_and_never_the_spine():
    for seed in range(6):
        rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        tissue = np.full((2, 64, 64), Tissue.MUSCLE)
        tissue[:, :, 20:40] = np.resize([Tissue.MARROW, Tissue.ANNULUS, Tissue.CSF, Tissue.CORD, Tissue.BONE], 20)
        ideal = torch.full((2, 64, 64), 100.0)
        changed = contrast._elsewhere(ideal, tissue, rng, generator) != ideal
        assert not changed[:, :, 20:40].any()
        assert changed.any()


def test_some_stacks_hold_noise_alone(monkeypatch):
    monkeypatch.setattr(synthesis, "EMPTY", 1.0)
    images, labels, weights = synthesis.sample(stack_of(Tissue.MARROW), np.random.default_rng(0), 64)
    assert labels.max() == 0 and weights.min() == 1 and images.std() > 0.3


def test_held_out_people_are_never_trained_on():
    assert feeder.HELD_OUT not in feeder.people_at(10_000_000, 100, 8)
    assert len(feeder.people_at(0, 10, 8)) == 10 and len(feeder.people_at(80, 10, 8)) == 20


def test_pixels_of_no_weight_leave_the_loss_alone():
    logits = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 3, (2, 16, 16), generator=torch.Generator().manual_seed(1))
    weights = torch.ones(2, 16, 16)
    weights[:, :4] = 0
    before = losses.dice_and_cross_entropy(logits, labels, weights)
    changed = logits.clone()
    changed[:, :, :4] *= -5
    assert torch.equal(losses.dice_and_cross_entropy(changed, labels, weights), before)
    right = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2) * 30.0
    assert losses.dice_and_cross_entropy(right, labels, weights) < 0.01


def test_training_lowers_the_loss(finished):
    folder, _ = finished
    lines = [json.loads(line) for line in (folder / trainer.LOG).read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["step"] == STEPS
    assert lines[-1]["loss"] < 0.97 * lines[0]["first_loss"]
    assert 0 <= lines[-1]["dice_bodies"] <= 1


def test_a_finished_run_leaves_weights_and_description_and_no_bank(finished):
    folder, summary = finished
    assert summary["steps"] == STEPS and summary["samples"] >= STEPS and summary["samples_per_second"] > 0
    assert summary == json.loads((folder / trainer.SUMMARY).read_text(encoding="utf-8"))
    assert not (folder / "bank").exists()
    network = networks.build(TINY)
    network.load_state_dict(torch.load(folder / trainer.WEIGHTS, weights_only=True))


def test_the_result_becomes_a_bundle_that_loads(finished):
    folder, summary = finished
    bundle = model.load(command.export(folder, "tiny-phantom", summary))
    assert bundle.name == "tiny-phantom"


def test_a_stopped_run_continues_to_the_same_weights(finished, people, tmp_path):
    folder = folder_with_bank(people, tmp_path / "stopped")
    seen = []
    stop = Progress(report=seen.append, cancelled=lambda: len(seen) >= 3)
    with pytest.raises(Cancelled):
        trainer.train(folder, settings(), definition=TINY, progress=stop)
    state = torch.load(folder / trainer.CHECKPOINT, weights_only=True)
    assert 3 <= state["step"] < STEPS
    assert not (folder / trainer.WEIGHTS).exists()
    summary = trainer.train(folder, settings(), definition=TINY, resume=True)
    whole = torch.load(finished[0] / trainer.WEIGHTS, weights_only=True)
    resumed = torch.load(folder / trainer.WEIGHTS, weights_only=True)
    assert summary["steps"] == STEPS and summary["samples"] == finished[1]["samples"]
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_a_run_may_begin_with_a_packaged_model_of_single_slices(finished, people, tmp_path):
    """The neighbours are new to it, so at first it must say what it said without them."""
    single = networks.build({**TINY, "in_channels": 1}).eval()
    halves = {name: value.half().float() for name, value in single.state_dict().items()}
    single.load_state_dict(halves)
    told = {"samples": 7, "minutes": 1.0, "phantoms": 3, "device": "cpu"}
    folder = model.export(
        tmp_path, "single", halves, {**TINY, "in_channels": 1}, model.preprocess.describe(), told, {"none": 0}
    )
    three = networks.build(TINY).eval()
    three.load_state_dict(beginning.weights(model.load(folder), three.state_dict()))
    images = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(three(images), single(images[:, 1:2]), atol=1e-5)
    summary = trainer.train(
        folder_with_bank(people, tmp_path / "run"), settings(steps=1), definition=TINY, start=model.load(folder)
    )
    assert summary["continues"]["name"] == "single" and summary["continues"]["samples"] == 7
    with pytest.raises(InputError, match="another network"):
        beginning.weights(model.load(folder), networks.build({**TINY, "filters": [8, 8, 16]}).state_dict())


def test_a_folder_that_holds_a_run_is_not_overwritten(finished):
    with pytest.raises(InputError, match="--resume"):
        trainer.train(finished[0], settings(), definition=TINY)


def test_resuming_needs_the_checkpoint_of_the_same_run(finished, tmp_path):
    with pytest.raises(InputError, match="no checkpoint"):
        trainer.train(tmp_path / "nothing", settings(), definition=TINY, resume=True)
    with pytest.raises(InputError, match="another seed"):
        trainer.train(finished[0], settings(seed=9), definition=TINY, resume=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_is_refused_where_there_is_none_and_the_command_says_so(tmp_path, capsys):
    with pytest.raises(ModelError, match="CUDA"):
        trainer.device_of("cuda")
    assert command.main(["--out", str(tmp_path / "x"), "--steps", "1", "--device", "cuda"]) == 2
    assert "CUDA" in capsys.readouterr().err


def test_a_failure_in_the_making_of_batches_is_told_with_its_cause(tmp_path):
    (tmp_path / f"{feeder.FIRST}.npz").write_bytes(b"not an archive")
    source = feeder.Feeder(tmp_path, 0, 0, 1, 10)
    try:
        with pytest.raises(RuntimeError, match="batches failed"):
            source.next()
    finally:
        source.close()
